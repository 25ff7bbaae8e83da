"""`ctvalidate doctor`: parse, gather, examine, render, exit with the worst answer. Nothing is ever changed."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudtrail_validate.cli import telling, validate
from cloudtrail_validate.cli.files import check_writable
from cloudtrail_validate.cli.writing import console, printed
from cloudtrail_validate.core.errors import AccessError, ConfigurationError, RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.clock import now_utc
from cloudtrail_validate.runtime.files import write_whole

if TYPE_CHECKING:
    from datetime import datetime

    from cloudtrail_validate.doctor.facts import Facts, LastProof, Scope
    from cloudtrail_validate.doctor.model import Ask, Check, Unread
    from cloudtrail_validate.doctor.report import DoctorReport

TABLE: Final = "table"
UNKNOWN: Final = 3
MOST_DAYS: Final = 36_500  # a century: S3's own limit for Object Lock
_SCOPE: Final = (
    "trail_arn",
    "bucket",
    "prefix",
    "accounts",
    "regions",
    "profile",
    "endpoint_url",
    "role_arn",
    "external_id",
)
_FILE = click.Path(path_type=Path, dir_okay=False)


class _UnreachableError(click.ClickException):
    """AWS could not be asked at all: nothing is known."""

    exit_code = UNKNOWN


def _options(command: click.Command) -> click.Command:
    """The options of validation that say what to examine and as whom, before those of the doctor."""
    shared = {param.name: param for param in validate.command.params}
    command.params[:0] = [shared[name] for name in _SCOPE if name in shared]
    return command


@_options
@click.command("doctor", short_help="Would tampering be noticed, could it be undone, is it prevented?")
@click.option(
    "--retention-days",
    type=click.IntRange(1, MOST_DAYS),
    default=365,
    metavar="N",
    help="Days that logs must stay.  [default: 365]",
)
@click.option("--check", "chosen", multiple=True, metavar="ID", help="Only this check (repeatable).")
@click.option("--skip", "skipped", multiple=True, metavar="ID", help="All but this check (repeatable).")
@click.option(
    "--expect-function",
    "functions",
    multiple=True,
    metavar="ARN",
    help="A Lambda function that may run on new files (repeatable).",
)
@click.option(
    "--last-report", type=_FILE, metavar="FILE", help="JSON report of the last validation, for validated-lately."
)
@click.option(
    "--state", metavar="WHERE", help="Memory of validations, for validated-lately: FILE, DIR/ or s3://BUCKET/KEY."
)
@click.option(
    "--format",
    "format_",
    default=TABLE,
    metavar="[table|json|sarif|html|asff]",
    help="Format on standard output.  [default: table]",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Write a report, too, format by ending: .json, .sarif, .html, .asff.json (repeatable).",
)
@click.option(
    "--fix-plan",
    is_flag=False,
    flag_value="cli",
    type=click.Choice(["cli", "cloudformation"]),
    help="Print what would mend it instead: commands, or a template of what is missing. Nothing is changed.",
)
@telling.alert_options
@click.option("-q", "--quiet", is_flag=True, help="Only the verdict and what is not well.")
@click.option("-v", "--verbose", is_flag=True, help="Show the evidence of what is well, too.")
def command(**options: Any) -> int:
    """Examine how a trail, its bucket, its keys and its organization are set up, by reading only.

    Each check helps to answer one of three questions: would tampering be noticed, could it be undone, is it prevented.
    `ctvalidate explain ID` says what a check asks and why. Without --trail-arn and --s3-bucket the account's only trail
    is examined. A check whose questions are denied is unknown.

    Exit codes: 0 all well, 1 something is bad, 3 something is weak or unknown, 2 wrong command line or configuration.
    """
    from cloudtrail_validate.doctor.model import NOT_ASKED

    now = now_utc()
    format_, outputs = options.pop("format_").strip().lower(), options.pop("outputs")
    verbose, quiet = options.pop("verbose"), options.pop("quiet")
    plan = options.pop("fix_plan")
    checks, left_out = _checks(options.pop("chosen"), options.pop("skipped"))
    _check_outputs(format_, outputs)
    state, last = options.pop("state"), _last(options.pop("last_report"))
    if state is not None and last != NOT_ASKED:
        raise click.UsageError("--state: expected it without --last-report")
    try:
        alerts = telling.take(options)
    except RequestError as error:
        raise click.UsageError(printable(str(error))) from error
    scope = _scope(options, now)
    report, facts = _examine(options, scope, checks, left_out, now, last if state is None else state)
    whole = _write(report, outputs)
    if alerts.anybody:
        from cloudtrail_validate.doctor.alerts import event

        telling.tell_event(alerts, event(report))
    told = _plan(report, facts, plan) if plan else _render(report, format_, verbose=verbose, quiet=quiet)
    return report.exit_code if (whole and told) or report.exit_code != 0 else UNKNOWN


def _checks(chosen: tuple[str, ...], skipped: tuple[str, ...]) -> tuple[list[Check], dict[str, str]]:
    """The checks to run, and those that the user left out."""
    from difflib import get_close_matches

    from cloudtrail_validate.doctor.registry import CHECKS

    for option, names in (("--check", chosen), ("--skip", skipped)):
        for name in names:
            if name not in CHECKS:
                near = get_close_matches(name, CHECKS, n=3)
                hint = f"nearest: {', '.join(near)}" if near else "ctvalidate explain lists them"
                raise click.UsageError(f"{option}: there is no check '{printable(name)}'; {hint}")
    wanted = [check for check in CHECKS.values() if (not chosen or check.id in chosen) and check.id not in skipped]
    if not wanted:
        raise click.UsageError("--skip: expected at least one check that is left")
    return wanted, dict.fromkeys(skipped, "--skip")


def _scope(options: dict[str, Any], now: datetime) -> Scope:
    """What to examine. Raises click.UsageError for what cannot be meant."""
    from cloudtrail_validate.doctor.facts import Scope

    bucket = options["bucket"]
    try:
        Request(
            start=now - timedelta(days=1),
            trail_arn=options["trail_arn"],
            bucket=bucket if bucket is not None or options["trail_arn"] else "any",
            regions=options["regions"],
            accounts=options["accounts"],
            role_arn=options["role_arn"],
            external_id=options["external_id"],
        ).check(now)
    except RequestError as error:
        raise click.UsageError(printable(str(error))) from error
    return Scope(
        trail_arn=options["trail_arn"],
        bucket=bucket,
        prefix=options["prefix"],
        regions=options["regions"],
        accounts=options["accounts"],
        retention_days=options["retention_days"],
        functions=options["functions"],
    )


def _examine(
    options: dict[str, Any],
    scope: Scope,
    checks: list[Check],
    left_out: dict[str, str],
    now: datetime,
    last: LastProof | Unread | str | None,
) -> tuple[DoctorReport, Facts]:
    """Gather and examine. `last` is the last validation, or the state that tells of it."""
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.doctor.examine import examine
    from cloudtrail_validate.doctor.gather import gather
    from cloudtrail_validate.doctor.gather.state import last_proof
    from cloudtrail_validate.doctor.report import build

    wanted: frozenset[Ask] = frozenset(ask for check in checks for ask in check.asks)
    try:
        aws = Aws(
            profile=options["profile"],
            endpoint_url=options["endpoint_url"],
            role_arn=options["role_arn"],
            external_id=options["external_id"],
            trail_arn=scope.trail_arn,
            regions=scope.regions,
        )
        known = last_proof(aws, last) if isinstance(last, str) else last
        facts = gather(aws, scope, wanted, now, known)
    except (RequestError, ConfigurationError) as error:
        raise click.UsageError(printable(str(error))) from error
    except AccessError as error:
        raise _UnreachableError(printable(str(error))) from error
    return build(facts, examine(facts, checks), now_utc().replace(microsecond=0), left_out), facts


def _last(path: Path | None) -> LastProof | Unread | None:
    """When and how the last validation ended, out of its report."""
    from cloudtrail_validate.doctor.facts import LastProof
    from cloudtrail_validate.doctor.model import NOT_ASKED
    from cloudtrail_validate.report import from_json

    if path is None:
        return NOT_ASKED
    try:
        report = from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise click.UsageError(
            f"--last-report: expected a JSON report of ctvalidate, got {str(path)!r}: {error}"
        ) from error
    return LastProof(report.run.finished, report.exit_code, path.name)


def _check_outputs(format_: str, outputs: tuple[Path, ...]) -> None:
    from cloudtrail_validate.doctor import render

    names = (TABLE, *render.FORMATS)
    if format_ not in names:
        raise click.UsageError(f"--format: expected {', '.join(names)}, got {format_!r}")
    for path in outputs:
        if render.by_ending(path.name) is None:
            raise click.UsageError(f"--output: expected a file ending in {render.endings()}, got {str(path)!r}")
        check_writable("--output", path)


def _write(report: DoctorReport, outputs: tuple[Path, ...]) -> bool:
    """Write the report's files, each whole or not at all; False where one could not be written."""
    from cloudtrail_validate.doctor import render

    whole = True
    for path in outputs:
        name = render.by_ending(path.name)
        if name is not None:
            try:
                write_whole(path, render.renderer(name)(report))
            except OSError as error:
                click.echo(f"ctvalidate: --output: cannot write {path}: {error.strerror}", err=True)
                whole = False
    return whole


def _plan(report: DoctorReport, facts: Facts, sort: str) -> bool:
    from cloudtrail_validate.doctor.plan import script
    from cloudtrail_validate.doctor.template import template

    text = script(report) if sort == "cli" else template(facts, report)
    if text is None:
        click.echo("ctvalidate: nothing of it is mended by a new resource: --fix-plan prints the commands", err=True)
        return True
    return _print(text)


def _render(report: DoctorReport, format_: str, *, verbose: bool, quiet: bool) -> bool:
    """Write the report on standard output; False where there was no room for it."""
    from cloudtrail_validate.doctor import render

    if format_ != TABLE:
        return _print(render.renderer(format_)(report))
    from cloudtrail_validate.doctor.render.table import render as render_table

    whole = not sys.stdout.isatty()
    return printed(lambda: render_table(report, console(), verbose=verbose, quiet=quiet, whole=whole))


def _print(text: str) -> bool:
    return printed(lambda: sys.stdout.buffer.write(text.encode()))
