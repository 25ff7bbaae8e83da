"""`ctvalidate lake PLACE`: verify the saved results of CloudTrail Lake queries."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli import Interrupted
from cloudtrail_validate.cli.files import telling_of_older
from cloudtrail_validate.cli.sealing import open_authority, open_signer, sealing_options, tell_taken, tell_unfinished
from cloudtrail_validate.cli.stopping import signals_given_back, stop_on_signals
from cloudtrail_validate.cli.validate import PROGRESS, refused, shown_progress, take_progress
from cloudtrail_validate.cli.writing import check_outputs, kept_as, print_report, report_options, write_files
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.lake import LakeQuestion
    from cloudtrail_validate.report import Report
    from cloudtrail_validate.snapshot.results import ResultsTaker


@click.command("lake", short_help="Verify saved results of CloudTrail Lake queries.")
@click.argument("place", metavar="s3://BUCKET/PREFIX/|DIR")
@click.option(
    "--public-keys",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Use exported keys; see `ctvalidate keys export`.",
)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep what is verified in a snapshot, a folder of its own.",
)
@sealing_options
@click.option("--follow-links", is_flag=True, help="Take links in a folder that lead out of it as files.")
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first.")
@click.option("--external-id", metavar="ID", help="External id for that role.")
@report_options
@click.option("--tolerate", multiple=True, metavar="RULE", help="Leave an unverifiable rule out of the exit code.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    help="A bar on a terminal, or lines of JSON for programs, on standard error.  [default: auto]",
)
@click.option("--no-progress", is_flag=True, help="No progress bar, even on a terminal.")
def command(
    place: str, *, folder: Path | None, sign_with: str | None, timestamp: str | None, force: bool, **options: Any
) -> int:
    """Verify the saved results of CloudTrail Lake queries: one folder, or all at and below a prefix.

    The signature of each sign file, the hash of each result file that it lists, what lies there besides, and whether the
    results are of the place and time that they are said to be. Shows each query's statement, and whether it is covered by
    the signature. Exits as a validation does: 0 all proven, 1 evidence of change, 3 unproven, 4 no results found.

    With --to everything is copied while it is read, as `ctvalidate snapshot` does it: with a manifest, AWS's public keys,
    the report and a declaration; `ctvalidate verify-snapshot DIR` proves it all again without AWS.
    """
    from cloudtrail_validate.lake import LakeQuestion
    from cloudtrail_validate.lake.question import read_place

    format_, outputs, show, quiet = (options.pop(name) for name in ("format_", "outputs", "show", "quiet"))
    progress, now = take_progress(options, quiet=quiet), now_utc()
    try:
        check_outputs(format_, outputs)
        source, bucket, prefix = read_place(place)
        for option, path in (*(("--output", path) for path in outputs), *((("--to", folder),) if folder else ())):
            _check_apart(option, path, source)
        question = LakeQuestion(
            source=source, bucket=bucket, prefix=prefix, tolerate=frozenset(options.pop("tolerate")), **options
        )
        question.check()
    except RequestError as error:
        raise click.UsageError(printable(str(error))) from error
    taker = _taker(folder, question, now, sign_with=sign_with, timestamp=timestamp, force=force)
    try:
        with telling_of_older(outputs):
            report = _verify(question, now, progress, taker)
        if report.stopped and not quiet:
            click.echo("ctvalidate: interrupted: the report holds what was found until then", err=True)
        kept = _finish(taker, folder, question, report, now)
    finally:
        if taker is not None:
            taker.close()
    written = write_files(report, outputs) and kept
    told = print_report(report, format_, show=show, quiet=quiet, kept=kept_as(outputs))
    if report.stopped:
        return Interrupted(report.exit_code)
    return report.exit_code if (told and written) or report.exit_code != ExitCode.VALID else int(ExitCode.UNPROVEN)


def _taker(
    folder: Path | None,
    question: LakeQuestion,
    now: datetime,
    *,
    sign_with: str | None,
    timestamp: str | None,
    force: bool,
) -> ResultsTaker | None:
    """What takes the snapshot, None where none is asked for."""
    if folder is None:
        if sign_with or timestamp or force:
            raise click.UsageError("--sign-with, --timestamp and --force: expected --to with them")
        return None
    from cloudtrail_validate.core.model import Interval
    from cloudtrail_validate.snapshot.bundle import Asked, open_bundle
    from cloudtrail_validate.snapshot.manifest import SnapshotError
    from cloudtrail_validate.snapshot.results import ResultsTaker

    source = str(question.source.resolve()) if question.source else None
    asked = Asked(
        bucket=question.bucket or None,
        prefix=question.prefix or None,
        source=source,
        follow_links=question.follow_links,
        queries=True,
    )
    try:
        signer, authority = open_signer(sign_with, question.profile), open_authority(timestamp)
        bundle = open_bundle(folder, asked, Interval(now - timedelta(seconds=1), now), force=force)
    except (RequestError, SnapshotError) as error:
        raise click.UsageError(printable(str(error))) from error
    return ResultsTaker(bundle, signer, authority)


def _verify(question: LakeQuestion, now: datetime, progress: str, taker: ResultsTaker | None) -> Report:
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError, InternalError
    from cloudtrail_validate.core.findings import Progress
    from cloudtrail_validate.lake import verify

    counters = Progress()
    try:
        with signals_given_back(), shown_progress(counters, progress):
            return verify(question, now=now, progress=counters, companion=taker, on_start=stop_on_signals)
    except InternalError:
        raise
    except (RequestError, ConfigurationError, AccessError) as error:
        raise refused(error) from error


def _finish(
    taker: ResultsTaker | None, folder: Path | None, question: LakeQuestion, report: Report, now: datetime
) -> bool:
    """End the snapshot and say what is in it. False where it is not whole."""
    if taker is None or folder is None:
        return True
    from cloudtrail_validate.snapshot.manifest import SnapshotError

    if report.stopped:
        tell_unfinished(f"{folder}: interrupted")
        return False
    try:
        manifest = taker.finish(report, question.tolerate, now)
    except SnapshotError as error:
        tell_unfinished(f"--to: {error}")
        return False
    tell_taken(folder, manifest, taker.stamped)
    return True


def _check_apart(option: str, path: Path, source: Path | None) -> None:
    """Refuse a report among the results: the next verification would call it extra."""
    if source is not None and path.resolve().is_relative_to(source.resolve()):
        raise click.UsageError(
            f"{option}: {str(path)!r} lies among the results, and would count as planted there: expected another place"
        )
