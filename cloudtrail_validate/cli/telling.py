"""Options that tell others of a run: alerts, metrics, a heartbeat. None of them touches verdict or exit code.

A run is told of when its files are written, so that a target that hangs costs no report; then the files are written once
more, with what became of each target. The heartbeat comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import Verdict
from cloudtrail_validate.report import NotificationRecord, Report, RequestEcho

if TYPE_CHECKING:
    from cloudtrail_validate.api import Result
    from cloudtrail_validate.metrics.target import MetricsTarget
    from cloudtrail_validate.notify.event import Event, OpenFindings
    from cloudtrail_validate.notify.target import Target
    from cloudtrail_validate.request import Request

_WHEN: Final = ("change", "problem", "always")
_EMF_OUT: Final = "emf:-"

F = TypeVar("F", bound=Callable[..., Any])


def telling_options(command: F) -> F:
    """Add the options to a command. Each may come from the environment, where no other user reads its secrets."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def alert_options(command: F) -> F:
    """Add the options of alerts alone to a command, which is told of by `tell_event`."""
    for option in reversed(_OPTIONS[:2]):
        command = option(command)
    return command


_OPTIONS: Final = (
    click.option(
        "--notify",
        multiple=True,
        metavar="TARGET",
        envvar="CTVALIDATE_NOTIFY",
        help="Tell sns:ARN, eventbridge:BUS, securityhub, webhook:URL, file:PATH or apprise:URL (repeatable).",
    ),
    click.option(
        "--notify-when",
        type=click.Choice(_WHEN),
        default="problem",
        envvar="CTVALIDATE_NOTIFY_WHEN",
        help="Tell of evidence of change, of everything but a pass, or of every run.  [default: problem]",
    ),
    click.option(
        "--metrics",
        multiple=True,
        metavar="TARGET",
        envvar="CTVALIDATE_METRICS",
        help="Write metrics to FILE.prom, cloudwatch:NAMESPACE, emf:PATH or emf:- (repeatable).",
    ),
    click.option(
        "--heartbeat",
        metavar="URL",
        envvar="CTVALIDATE_HEARTBEAT",
        help="Fetch this URL when a run has come to its end, whatever its verdict.",
    ),
)


class Telling(msgspec.Struct, frozen=True):
    """Who is to be told of a run, checked."""

    targets: tuple[Target, ...] = ()
    when: str = "problem"
    metrics: tuple[MetricsTarget, ...] = ()
    heartbeat: str | None = None
    profile: str | None = None

    @property
    def anybody(self) -> bool:
        """Whether there is anything to do before the report is whole."""
        return bool(self.targets or self.metrics)


def take(options: dict[str, Any], *, format_is_table: bool = True) -> Telling:
    """Take the telling options out of a command's options. Raises `RequestError`; nothing is sent."""
    notify, when, metrics = options.pop("notify"), options.pop("notify_when"), options.pop("metrics", ())
    heartbeat = options.pop("heartbeat", None)
    if not (notify or metrics or heartbeat):
        return Telling()
    from cloudtrail_validate.metrics.target import parse_metrics
    from cloudtrail_validate.notify.heartbeat import check_heartbeat
    from cloudtrail_validate.notify.target import parse_target

    if _EMF_OUT in metrics and not format_is_table:
        raise RequestError("--metrics emf:-: expected --format table with it, since standard output holds one document")
    return Telling(
        targets=tuple(parse_target(text) for text in notify),
        when=when,
        metrics=tuple(parse_metrics(text) for text in metrics),
        heartbeat=check_heartbeat(heartbeat) if heartbeat else None,
        profile=options.get("profile"),
    )


def tell(plan: Telling, result: Result) -> Result:
    """Tell of a run and return its result with what became of that in the report.

    With a state, what it holds open is no news, and what it no longer holds open is closed.
    Of an interrupted run only evidence of change is told, and no metrics are written: it says nothing of the rest.
    """
    if not plan.anybody or (result.interrupted and result.report.verdict is not Verdict.CHANGED):
        return result
    from cloudtrail_validate.notify.deliver import OwnSurroundings, When, notify

    previous, kept = _remembered(result)
    around = OwnSurroundings(plan.profile)
    tally = result.outcome.findings.tally
    told = notify(
        result.report,
        previous,
        plan.targets,
        when=When(plan.when),
        tally=tally,
        complete=not result.interrupted,
        kept=kept,
        surroundings=around,
    )
    report = msgspec.structs.replace(result.report, notifications=told)
    if not result.interrupted:
        told += _write_metrics(plan, report, result, around)
    _complain(told)
    return replace(result, report=msgspec.structs.replace(report, notifications=told))


def _remembered(result: Result) -> tuple[OpenFindings | None, OpenFindings | None]:
    """What was open before the run and what is after it, where a state remembers."""
    if result.open_before is None:
        return None, None
    from cloudtrail_validate.notify.remembered import open_findings

    return open_findings(result.open_before), open_findings(result.open_after)


def _write_metrics(plan: Telling, report: Report, result: Result, around: Any) -> tuple[NotificationRecord, ...]:
    """After the alerts, since how many of those failed is a metric."""
    from cloudtrail_validate.metrics.target import MetricsError
    from cloudtrail_validate.notify.deliver import in_time
    from cloudtrail_validate.notify.target import DeliveryError

    def write(target: MetricsTarget) -> None:
        try:
            target.write(report, result.outcome.findings.tally, around)
        except MetricsError as error:
            raise DeliveryError(str(error)) from error

    return in_time([(target.name, partial(write, target)) for target in plan.metrics])


def tell_refusal(plan: Telling, request: Request, now: datetime, error: click.ClickException) -> None:
    """Tell that nothing could be validated: whoever takes the permissions away must not end the alerts with them."""
    if not plan.targets:
        return
    from cloudtrail_validate.notify.deliver import OwnSurroundings, When
    from cloudtrail_validate.notify.deliver import tell as tell_event
    from cloudtrail_validate.notify.event import refused_event
    from cloudtrail_validate.report.build import this_tool

    window = request.window(now)
    source = str(request.source) if request.source else f"s3://{request.bucket}/" if request.bucket else "unknown"
    echo = RequestEcho(
        trail_arn=request.trail_arn,
        start=window.start.replace(microsecond=0),
        end=window.end.replace(microsecond=0),
        source=source,
        regions=request.regions,
        accounts=request.accounts,
    )
    event = refused_event(
        echo, None, exit_code=error.exit_code, problem=error.format_message(), now=now, version=this_tool().version
    )
    _complain(tell_event(event, plan.targets, when=When(plan.when), surroundings=OwnSurroundings(plan.profile)))


def tell_event(plan: Telling, event: Event) -> None:
    """Tell of something else than a validation; a line on standard error names each target that failed."""
    if plan.targets:
        from cloudtrail_validate.notify.deliver import OwnSurroundings, When
        from cloudtrail_validate.notify.deliver import tell as deliver

        _complain(deliver(event, plan.targets, when=When(plan.when), surroundings=OwnSurroundings(plan.profile)))


def beat(plan: Telling, result: Result, code: int) -> None:
    """Fetch the heartbeat of a run that came to its end."""
    if plan.heartbeat is None or result.interrupted:
        return
    from cloudtrail_validate.notify.heartbeat import beat as fetch
    from cloudtrail_validate.notify.heartbeat import public_name
    from cloudtrail_validate.notify.target import DeliveryError

    try:
        fetch(plan.heartbeat, result.report.verdict, code)
    except DeliveryError as error:
        _complain((NotificationRecord(target=public_name(plan.heartbeat), outcome="failed", detail=str(error)),))


def _complain(records: Sequence[NotificationRecord]) -> None:
    for record in records:
        if record.outcome == "failed":
            click.echo(f"ctvalidate: {printable(f'{record.target}: {record.detail}')}", err=True)
