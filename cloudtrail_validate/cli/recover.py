"""`ctvalidate recover REPORT --to DIR`: the proven originals, out of the bucket's versions, into a folder."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudtrail_validate.cli.scope import check_role
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.evidence.recover import Plan


@click.command("recover", short_help="Bring proven originals back from the bucket's versions.")
@click.argument("report", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=False))
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR")
@click.option("--force", is_flag=True, help="Replace files of other content that lie in DIR.")
@click.option(
    "--from-history",
    is_flag=True,
    help="Write what event history and the log group hold of the lost hours instead; nothing proves it.",
)
@click.option(
    "--max-requests",
    "budget",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help="Most requests to a source in one region, with --from-history.  [default: no bound]",
)
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first.")
@click.option("--external-id", metavar="ID", help="External id for that role.")
def command(
    report: Path,
    folder: Path,
    *,
    force: bool,
    from_history: bool,
    budget: int | None,
    profile: str | None,
    endpoint_url: str | None,
    role_arn: str | None,
    external_id: str | None,
) -> int:
    """Write the originals that REPORT knows to DIR/KEY, each checked again against its proven hash.

    REPORT is a JSON report made with --versions. Files that lie there already are kept, and an interrupted run is
    taken up where it ended. Beside each digest goes its signature, so that `ctvalidate --source DIR` validates what
    came back. Nothing in the bucket is changed. Needs s3:GetObjectVersion.

    With --from-history any JSON report will do: for each of its gaps and lost logs the events that AWS still tells of
    elsewhere go to DIR/SOURCE/ACCOUNT/REGION/, a line each with its source. No digest proves these events.

    Exit codes: 0 every original is there, 2 wrong command line or no such report, 3 some could not be recovered.
    """
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.core.errors import ConfigurationError
    from cloudtrail_validate.core.layout import region_in
    from cloudtrail_validate.evidence.recover import ReportError, plan

    if budget is not None and not from_history:
        raise click.UsageError("--max-requests: expected --from-history with it")
    check_role(role_arn, external_id)
    try:
        planned = None if from_history else plan(report.read_bytes())
        folder.mkdir(parents=True, exist_ok=True)
        aws = Aws(
            profile=profile,
            endpoint_url=endpoint_url,
            role_arn=role_arn,
            external_id=external_id,
            like=next((region_in(wanted.where.key) for wanted in planned.wanted), "") if planned else "",
        )
    except (ReportError, ConfigurationError) as error:
        return _refuse(f"{report}: {error}" if isinstance(error, ReportError) else str(error))
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}")
    if planned is None:
        return _from_history(report, aws, folder, budget)
    return _recover(planned, aws, folder, force=force)


def _from_history(path: Path, aws: Aws, folder: Path, budget: int | None) -> int:
    """What the sources hold of the lost hours, a line a slot on standard output."""
    from cloudtrail_validate.cli.reports import read_report
    from cloudtrail_validate.core.model import isoformat
    from cloudtrail_validate.runtime.clock import now_utc
    from cloudtrail_validate.witness.keeping import Keep
    from cloudtrail_validate.witness.recovering import recover

    report, keep = read_report(str(path)).report, Keep(folder)
    events = slots = failed = 0
    for source, (account, region), slot, answer in recover(report, aws, keep, now_utc(), budget):
        if answer.told and keep.read(source, account, region, slot) is None:
            keep.write(source, account, region, slot, answer.told, partly=True)
        slots, events, failed = slots + 1, events + len(answer.told), failed + (answer.problem is not None)
        hours = f"{isoformat(slot.start)}/{isoformat(slot.end)}"
        words = (source.value, account, region, hours, plural(len(answer.told), "event"), answer.problem or "")
        click.echo("\t".join(printable(word) for word in words if word))
    where = printable(str(folder))
    lost = f"{failed:,} of {plural(slots, 'part')} of the lost hours not or not wholly told"
    click.echo(f"ctvalidate: {plural(events, 'event')} in {where}, none of them proven by a digest; {lost}", err=True)
    if not slots:
        click.echo("ctvalidate: the report names no lost hours", err=True)
        return int(ExitCode.EMPTY)
    return int(ExitCode.UNPROVEN if failed else ExitCode.VALID)


def _recover(planned: Plan, aws: Aws, folder: Path, *, force: bool) -> int:
    from cloudtrail_validate.evidence.recover import Done, Outcome, Recovery

    numbers: Counter[Outcome] = Counter()
    lost = [Done(where, Outcome.LOST, why) for where, why in planned.lost]
    for done in chain(Recovery(aws, folder, force=force).run(planned.wanted), lost):
        numbers[done.outcome] += 1
        words = (done.outcome, str(done.where), done.detail or "")
        click.echo("\t".join(printable(word) for word in words if word))
    there = numbers[Outcome.RECOVERED] + numbers[Outcome.PRESENT]
    click.echo(
        f"ctvalidate: {plural(numbers[Outcome.RECOVERED], 'original')} recovered to {printable(str(folder))}, "
        f"{numbers[Outcome.PRESENT]:,} already there, {numbers[Outcome.FAILED]:,} failed, "
        f"{numbers[Outcome.LOST]:,} without a proven version",
        err=True,
    )
    whole = there and not numbers[Outcome.FAILED] and not numbers[Outcome.LOST]
    return int(ExitCode.VALID if whole else ExitCode.UNPROVEN)


def _refuse(message: str) -> int:
    """One line on standard error, and the contract's code for what cannot be done as asked."""
    click.echo(f"ctvalidate: {printable(message)}", err=True)
    return int(ExitCode.USAGE)
