"""`ctvalidate witness`: validate, and hold what independent sources tell against the logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli import Interrupted, validate
from cloudtrail_validate.cli.files import check_apart, telling_of_older
from cloudtrail_validate.cli.scope import request_options
from cloudtrail_validate.cli.writing import check_outputs, kept_as, print_report, write_files
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from datetime import datetime

    from cloudtrail_validate.core.verdict import Tally
    from cloudtrail_validate.report import Report
    from cloudtrail_validate.request import Request
    from cloudtrail_validate.witness.run import Asked


@request_options(beside={"format_", "outputs", "show", "quiet"}, without={"lookup_events"})
@click.command("witness", short_help="Hold event history and the log group against the proven logs.")
@click.option("--only-lost", is_flag=True, help="Ask only about the hours of gaps and of lost or altered logs.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep what the sources tell; a run with the same DIR goes on where one ended.",
)
@click.option(
    "--max-requests",
    "budget",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help="Most requests to a source in one region; AWS answers two a second.  [default: no bound]",
)
def command(*, only_lost: bool, keep: Path | None, budget: int | None, **options: Any) -> int:
    """Validate, then ask CloudTrail's event history and the trail's CloudWatch Logs group, and compare event by event.

    Digests prove files; they cannot say that an event was never delivered. The sources can: they are written by AWS, out
    of reach of whoever holds the bucket. Event history goes back 90 days and holds the management events of the caller's
    own account; the log group is read where --trail-arn names the trail. Exits as a validation, 1 for an event that a log
    tells otherwise, 3 also for one that no log holds, or where a source did not tell all.
    """
    from cloudtrail_validate.witness.run import Asked

    format_, outputs, show, quiet = (options.pop(name) for name in ("format_", "outputs", "show", "quiet"))
    progress, now = validate.take_progress(options, quiet=quiet), now_utc()
    try:
        check_outputs(format_, outputs)
        request = validate.build_request(options, now)
        request.check(now)
        for option, path in (*(("--output", path) for path in outputs), *((("--keep", keep),) if keep else ())):
            check_apart(option, path, request.source)
    except RequestError as error:
        raise click.UsageError(printable(str(error))) from error
    with telling_of_older(outputs):
        report, tally, interrupted = _run(request, now, Asked(only_lost, keep, budget), progress)
    written = write_files(report, outputs)
    told = print_report(report, format_, tally=tally, show=show, quiet=quiet, kept=kept_as(outputs))
    if interrupted:
        return Interrupted(report.exit_code)
    return report.exit_code if (told and written) or report.exit_code != ExitCode.VALID else int(ExitCode.UNPROVEN)


def _run(request: Request, now: datetime, asked: Asked, progress: str) -> tuple[Report, Tally, bool]:
    """Run, and put what the sources made of it into the report."""
    from cloudtrail_validate.core.findings import FindingSet, Progress
    from cloudtrail_validate.report.build import amend
    from cloudtrail_validate.witness.run import Witness

    counters = Progress()
    witness = Witness(asked, request, now, counters)
    result = validate.execute(
        request, now, companion=witness, progress=progress, counters=counters, on_start=witness.begin
    )
    findings = FindingSet([result.outcome.findings, witness.findings]).freeze()
    report = result.report
    if not result.interrupted:
        report = amend(
            *(report, result.outcome, witness.findings, witness.record, request.tolerate),
            interrupted=witness.interrupted,
        )
    return report, findings.tally, result.interrupted or witness.interrupted
