"""`ctvalidate recheck`: compare an inventory with checksums that S3 computed, without reading an object."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli.writing import Shown, print_answer
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report.formats import FEW
from cloudtrail_validate.runtime.files import read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloudtrail_validate.inventory.batch_report import Manifest, Row
    from cloudtrail_validate.inventory.compare import Recheck

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("recheck", short_help="Prove archived objects again by checksums that S3 computes.")
@click.option("--inventory", type=_FILE, required=True, metavar="FILE", help="What a run wrote with --inventory.")
@click.option(
    "--checksum-report", required=True, metavar="WHERE", help="manifest.json of the job's report: s3://… or a file."
)
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--show", type=Shown(), default=FEW, metavar="N|all", help="Objects shown of each sort.  [default: 3]")
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
def command(
    inventory: Path, checksum_report: str, *, format_: str, show: int, profile: str | None, endpoint_url: str | None
) -> int:
    """Compare the SHA-256 of proven objects with those that an S3 Batch Operations job computed.

    The job's operation is Compute checksum, its algorithm SHA-256, its type full object. It works in every storage class, so
    archived years are proven again without a restore and without a GET.

    Exit codes: 0 all the same; 1 S3 computed another SHA-256 for an object, or has it no more; 3 for some S3 computed none;
    4 nothing could be compared; 2 wrong command line, no inventory or no report.
    """
    from cloudtrail_validate.inventory.compare import compare
    from cloudtrail_validate.inventory.files import check, read

    try:
        check(inventory)
        source = _Source(checksum_report, profile, endpoint_url)
        manifest = source.manifest()
        found = compare(
            read(inventory),
            source.rows(manifest),
            inventory=printable(str(inventory)),
            report=printable(checksum_report),
            created=printable(manifest.created),
        )
    except ConfigurationError as error:
        raise click.UsageError(printable(str(error))) from error
    lines = _lines(found, None if show < 0 else show)
    told = print_answer(found, format_, lambda: sys.stdout.writelines(f"{line}\n" for line in lines))
    return found.exit_code if told or found.exit_code != ExitCode.VALID else int(ExitCode.UNPROVEN)


class _Source:
    """Where a report lies: in S3, or in a folder beside its manifest."""

    def __init__(self, where: str, profile: str | None, endpoint_url: str | None) -> None:
        self._where = where
        self._profile = profile
        self._endpoint_url = endpoint_url
        self._client: Any = None

    def manifest(self) -> Manifest:
        from cloudtrail_validate.inventory.batch_report import MOST_MANIFEST, read_manifest

        if self._where.startswith("s3://"):
            bucket, _, key = self._where.removeprefix("s3://").partition("/")
            return read_manifest(self._object(bucket, key, MOST_MANIFEST))
        return read_manifest(self._file(Path(self._where), MOST_MANIFEST))

    def rows(self, manifest: Manifest) -> Iterator[Row]:
        """The rows of all files; each must have the MD5 that the manifest tells."""
        from cloudtrail_validate.inventory.batch_report import MOST_BYTES, read_rows

        for result in manifest.results:
            if self._where.startswith("s3://"):
                data = self._object(result.bucket, result.key, MOST_BYTES)
            else:  # as downloaded: a folder `results` beside the manifest, or the files themselves
                name, beside = result.key.rpartition("/")[2], Path(self._where).parent
                inner = beside / "results" / name
                data = self._file(inner if inner.exists() else beside / name, MOST_BYTES)
            if result.md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != result.md5.lower():
                raise ConfigurationError(f"--checksum-report: {result.key} is not what the manifest tells: another MD5")
            try:
                yield from read_rows(manifest, data.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise ConfigurationError(f"--checksum-report: {result.key} is no UTF-8") from error

    def _object(self, bucket: str, key: str, most: int) -> bytes:
        from cloudtrail_validate.aws.refusals import object_refused
        from cloudtrail_validate.cli.shards import client

        try:
            self._client = self._client or client(self._profile, self._endpoint_url)
            answer = self._client.get_object(Bucket=bucket, Key=key)
            data = read_at_most(answer["Body"], most)
        except Exception as error:  # botocore has many; whatever it is, the report is not there
            where = f"s3://{bucket}/{key}"
            line = object_refused(error, "--checksum-report: cannot read", where, "s3:GetObject")
            raise ConfigurationError(str(line)) from error
        return _bounded(data, most, f"s3://{bucket}/{key}")

    def _file(self, path: Path, most: int) -> bytes:
        try:
            with path.open("rb") as file:
                return _bounded(read_at_most(file, most), most, str(path))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"--checksum-report: cannot read {path}: {error}") from error


def _bounded(data: bytes, most: int, name: str) -> bytes:
    if len(data) > most:
        raise ConfigurationError(f"--checksum-report: {name} is too large")
    return data


_SENTENCES = {
    ExitCode.VALID: "VALID  S3 computed the SHA-256 of every object in the inventory as it was proven",
    ExitCode.CHANGED: "CHANGED  S3 computed another SHA-256 than was proven, or has an object no more",
    ExitCode.UNPROVEN: "UNPROVEN  No object differs, but not all could be compared",
    ExitCode.EMPTY: "EMPTY  Nothing could be compared: the report tells of no object of the inventory",
}


def _lines(found: Recheck, show: int | None) -> Iterator[str]:
    """The answer, the numbers, and what is not the same."""
    yield f"{_SENTENCES[ExitCode(found.exit_code)]} (exit code {found.exit_code})."
    yield ""
    yield "  ".join(f"{number:,} {answer}" for answer, number in found.counts.items())
    yield f"Report of {found.created or 'no date'}: {found.report}"
    if found.unknown:
        yield f"{plural(found.unknown, 'object')} of the report are not in the inventory: nothing is said of them"
    shown: dict[str, int] = {}
    for item in found.differences:
        shown[item.answer] = shown.get(item.answer, 0) + 1
        if show is None or shown[item.answer] <= show:
            yield f"{item.answer.upper():<13} {printable(f's3://{item.bucket}/{item.key}')}"
            yield f"{'':<13} {printable(item.detail)}; expected {item.expected}, got {item.actual or 'nothing'}"
    left = sum(max(0, number - show) for number in shown.values()) if show is not None else 0
    if left:
        yield f"and {left:,} more: --show all"
