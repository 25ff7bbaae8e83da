"""`ctvalidate lake PLACE`: verify the saved results of CloudTrail Lake queries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli import Interrupted
from cloudtrail_validate.cli.files import telling_of_older
from cloudtrail_validate.cli.stopping import signals_given_back, stop_on_signals
from cloudtrail_validate.cli.validate import PROGRESS, refused, shown_progress, take_progress
from cloudtrail_validate.cli.writing import check_outputs, kept_as, print_report, report_options, write_files
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.lake import LakeQuestion
    from cloudtrail_validate.lake.copies import Copies
    from cloudtrail_validate.report import Report


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
    help="Keep what is verified, with keys and report, in a folder of its own.",
)
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
def command(place: str, *, folder: Path | None, **options: Any) -> int:
    """Verify the saved results of CloudTrail Lake queries: one folder, or all at and below a prefix.

    The signature of each sign file, the hash of each result file that it lists, what lies there besides, and whether the
    results are of the place and time that they are said to be. Shows each query's statement, and whether it is covered by
    the signature. Exits as a validation does: 0 all proven, 1 evidence of change, 3 unproven, 4 no results found.
    """
    from cloudtrail_validate.lake import LakeQuestion
    from cloudtrail_validate.lake.copies import Copies
    from cloudtrail_validate.lake.question import read_place

    format_, outputs, show, quiet = (options.pop(name) for name in ("format_", "outputs", "show", "quiet"))
    progress = take_progress(options, quiet=quiet)
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
    copies = Copies(folder) if folder is not None else None
    with telling_of_older(outputs):
        report = _verify(question, progress, copies)
    if report.stopped and not quiet:
        click.echo("ctvalidate: interrupted: the report holds what was found until then", err=True)
    written = write_files(report, outputs) and _tell(copies)
    told = print_report(report, format_, show=show, quiet=quiet, kept=kept_as(outputs))
    if report.stopped:
        return Interrupted(report.exit_code)
    return report.exit_code if (told and written) or report.exit_code != ExitCode.VALID else int(ExitCode.UNPROVEN)


def _verify(question: LakeQuestion, progress: str, copies: Copies | None) -> Report:
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError, InternalError
    from cloudtrail_validate.core.findings import Progress
    from cloudtrail_validate.lake import verify

    counters = Progress()
    try:
        with signals_given_back(), shown_progress(counters, progress):
            return verify(question, progress=counters, copies=copies, on_start=stop_on_signals)
    except InternalError:
        raise
    except (RequestError, ConfigurationError, AccessError) as error:
        raise refused(error) from error


def _tell(copies: Copies | None) -> bool:
    """Say what was kept. False where it is not all."""
    if copies is None:
        return True
    where = printable(str(copies.folder))
    for key in copies.left_out:
        click.echo(f"ctvalidate: left out {printable(key)}: no file can safely have this name", err=True)
    if copies.failure is not None:
        click.echo(f"ctvalidate: --to: {printable(copies.failure)}", err=True)
        return False
    told = f"{plural(copies.files, 'file')} in {where}; prove it again: ctvalidate lake {where}/tree --public-keys"
    click.echo(f"ctvalidate: {told} {where}/keys.json", err=True)
    return True


def _check_apart(option: str, path: Path, source: Path | None) -> None:
    """Refuse a report among the results: the next verification would call it extra."""
    if source is not None and path.resolve().is_relative_to(source.resolve()):
        raise click.UsageError(
            f"{option}: {str(path)!r} lies among the results, and would count as planted there: expected another place"
        )
