"""`ctvalidate file`: was this one log file delivered by CloudTrail, and by which chain of proof."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click
import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.model import Locator, isoformat
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.evidence.file_search import FileProof

_URI: Final = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)
_OF_EVENTS: Final = frozenset({"prefix", "accounts", "regions"})
_WORDS: Final = {
    ExitCode.VALID: "proven: CloudTrail delivered this file, and it is unchanged",
    ExitCode.CHANGED: "changed: this is not what CloudTrail delivered",
    ExitCode.UNPROVEN: "unproven: nobody can vouch for this file",
    ExitCode.EMPTY: "no digest was found there at all",
}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`--format json`."""

    schema: Literal["ctvalidate.file/1"] = "ctvalidate.file/1"
    exit_code: int
    bucket: str | None
    key: str
    rule: str | None
    sha256: str | None
    expected: str | None
    digest: str | None
    signed_by: str | None
    fingerprint: str | None
    region: str | None
    steps: tuple[str, ...]
    problems: tuple[str, ...]
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@click.command("file", short_help="Was this one log file delivered by CloudTrail?")
@click.argument("file", metavar="[s3://BUCKET/KEY|PATH]", required=False)
@click.option("--event-id", metavar="ID", help="Find the log of this event on --day, and prove the event by it.")
@click.option("--day", metavar="YYYY-MM-DD", help="The day of the event, UTC.")
@click.option("--key", metavar="KEY", help="The S3 key that a file on disk has or had.")
@click.option("--source", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="A local copy.")
@click.option("--s3-bucket", "bucket", metavar="NAME", help="Bucket in which the digests are.")
@click.option("--s3-prefix", "prefix", metavar="PREFIX", help="Prefix there, to look for an event in.")
@click.option("--account-id", "accounts", multiple=True, metavar="ID", help="Look for an event here only (repeatable).")
@click.option("--region", "regions", multiple=True, metavar="REGION", help="Look for an event here only (repeatable).")
@click.option("--copy-of", metavar="s3://BUCKET[/PREFIX]", help="The place that the bucket or --source is a copy of.")
@click.option("--follow-links", is_flag=True, help="Take links in a local copy that lead out of it as files.")
@click.option("--trail-arn", metavar="ARN", help="Only this trail's digests count.")
@click.option("--public-keys", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Exported keys.")
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first.")
@click.option("--external-id", metavar="ID", help="External id for that role.")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json", "html"]), default="text", help="[default: text]"
)
def command(
    file: str | None, key: str | None, event_id: str | None, day: str | None, format_: str, **options: Any
) -> int:
    """Prove one log file, or one event, or show why it cannot be.

    Finds the digest that names the file, checks that digest's signature and the file's hash. With --event-id the logs of
    --day are searched for the event first; --format html is a page to print. Exits 0 if proven, 1 if altered, missing or
    extra, 3 if nobody can vouch for it, 4 if there is no digest there at all; as a validation of that day where no log holds
    the event, and 4 in place of 0.
    """
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError
    from cloudtrail_validate.evidence.file_search import window_of
    from cloudtrail_validate.evidence.prove_file import prove_file

    now = now_utc()
    if event_id is not None:
        from cloudtrail_validate.cli.file_event import prove

        return prove(event_id, day, format_, {"file": file, "--key": key}, options)
    options = {name: value for name, value in options.items() if name not in _OF_EVENTS}
    if file is None or day is not None or format_ == "html":
        raise click.UsageError("expected a log file, or --event-id and --day; --day and html are for events")
    try:
        where, path, bucket = _place(file, key, options.pop("bucket"), options["source"])
        window = window_of(where.key)
        proof = prove_file(
            Request(start=window.start, end=window.end, bucket=bucket, **options), where, path=path, now=now
        )
    except (RequestError, ConfigurationError) as error:
        raise click.UsageError(printable(str(error))) from error
    except AccessError as error:
        click.echo(f"ctvalidate: {printable(str(error))}", err=True)
        return int(ExitCode.UNPROVEN)
    answer = answer_of(proof)
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return answer.exit_code
    for step in answer.steps:
        click.echo(printable(step))
    for problem in answer.problems:
        click.echo(f"found on the way: {printable(problem)}")
    return answer.exit_code


def _place(
    file: str, key: str | None, bucket: str | None, source: Path | None
) -> tuple[Locator, Path | None, str | None]:
    """The file's bucket and key, its path where it lies on this computer, and the bucket to look for digests in."""
    uri = _URI.fullmatch(file)
    if uri is not None:
        if key is not None:
            raise RequestError("--key: expected it with a file on disk, not with an s3:// address")
        if bucket not in (None, uri["bucket"]):
            raise RequestError(f"--s3-bucket: expected the bucket of the file, {uri['bucket']}, or none")
        where = Locator("" if source else uri["bucket"], uri["key"])
        return where, None, None if source else uri["bucket"]
    if file.startswith("s3://"):
        raise RequestError(f"expected s3://BUCKET/KEY, got {file!r}")
    if key is None:
        raise RequestError("expected --key with a file on disk: its S3 key says when and where it was delivered")
    if (source is None) == (bucket is None):
        raise RequestError("expected either --source or --s3-bucket with a file on disk: where its digests are")
    if not Path(file).is_file():
        raise RequestError(f"expected a log file, got {file!r}")
    return Locator(bucket or "", key), Path(file), bucket


def answer_of(proof: FileProof) -> Answer:
    """The proof as JSON has it."""
    from cloudtrail_validate.report.sentences import describe

    return Answer(
        exit_code=int(proof.exit_code),
        bucket=proof.where.bucket or None,
        key=proof.where.key,
        rule=proof.rule,
        sha256=proof.sha256,
        expected=proof.expected,
        digest=str(proof.digest) if proof.digest else None,
        signed_by=str(proof.witness) if proof.witness else None,
        fingerprint=proof.key.fingerprint if proof.key else None,
        region=proof.key.region if proof.key else None,
        steps=tuple(_steps(proof)),
        problems=tuple(describe(finding) for finding in proof.problems),
    )


def _steps(proof: FileProof) -> list[str]:
    """The chain of proof, a line a step."""
    steps = [f"file         {proof.where}"]
    if proof.sha256:
        steps.append(f"SHA-256      {proof.sha256} (of the inflated content)")
    if proof.digest and proof.interval:
        same = "the same" if proof.expected == proof.sha256 else f"expected {proof.expected}"
        steps.append(f"named by     {proof.digest}: {same}")
        steps.append(f"hours        {isoformat(proof.interval.start)} to {isoformat(proof.interval.end)}")
    if proof.witness:
        own = "its own" if proof.witness == proof.digest else f"that of its successor {proof.witness}"
        steps.append(f"signature    {own}, SHA256withRSA, valid")
    if proof.key:
        key = proof.key
        steps.append(
            f"key          {key.fingerprint} of {key.region or 'any region'}, valid {isoformat(key.not_before)} to"
            f" {isoformat(key.not_after)}, from {'CloudTrail' if key.source == 'aws' else 'a file'}"
        )
    if proof.rule:
        steps.append(f"rule         {proof.rule}{f': {proof.detail}' if proof.detail else ''}")
    return [*steps, f"result       {_WORDS[proof.exit_code]}"]
