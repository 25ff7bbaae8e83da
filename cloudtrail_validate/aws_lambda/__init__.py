"""`cloudtrail_validate.aws_lambda.handler`: proves each digest within minutes of its delivery, and alerts.

The function takes what AWS sends when an object is written (S3, SNS, the trail's own notifications, EventBridge, any of
them through SQS), proves the digest, its link to its predecessor and the logs of both, and tells the targets of `--notify`.
Events that come late, twice or two at once do the same work again and name the same findings by the same ids; a forged one
can do no more than have an hour of the configured trail validated.

Settings, from the environment: `CTVALIDATE_S3_BUCKET` (needed), `CTVALIDATE_S3_PREFIX`, `CTVALIDATE_TRAIL_ARN`,
`CTVALIDATE_NOTIFY` (targets, separated by blanks), `CTVALIDATE_NOTIFY_WHEN`, `CTVALIDATE_TOLERATE` (rules, likewise),
`CTVALIDATE_ROLE_ARN` and `CTVALIDATE_EXTERNAL_ID`; `CTVALIDATE_STATE`, `CTVALIDATE_REQUIRE_STATE` (`1`) and
`CTVALIDATE_STATE_SIGN_WITH` (`kms:ARN`). With a state, which scheduled runs of the same trail may share, the digest is
proven against what was proven before: an edge that is not there as it was is found, what is open is no news, and what is
healed is closed. Functions that save at once merge what they have.

An invocation fails, so that Lambda repeats it and keeps it for later, where nothing could be validated, where an alert did
not go out, and where there was no time left. A verdict is no failure: it is in the answer, in the log, and told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from cloudtrail_validate.api import run
from cloudtrail_validate.aws_lambda.deliveries import Sorted, Task, Watched, sort_event
from cloudtrail_validate.core.errors import AccessError, ConfigurationError, InternalError, RequestError
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.deliver import OwnSurroundings, When, notify, tell
from cloudtrail_validate.notify.event import Memory, refused_event
from cloudtrail_validate.notify.remembered import open_findings
from cloudtrail_validate.notify.target import Target, parse_target
from cloudtrail_validate.report import NotificationRecord, RequestEcho
from cloudtrail_validate.report.build import this_tool
from cloudtrail_validate.report.references import to_json
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.clock import now_utc

TIME_LEFT: Final = 20_000  # milliseconds that an invocation keeps for alerts: what is not begun by then is repeated
RELIST: Final = "2d"  # listed again at each delivery; all that is remembered is a scheduled run's to list
CONCURRENCY: Final = 128  # requests in flight: an hour of a region, on a share of one core


class NotAllToldError(Exception):
    """Something was found and an alert did not go out: the invocation is to be repeated."""


class NoTimeLeftError(Exception):
    """Not every digest of the event could be looked at: the invocation is to be repeated."""


class Context(Protocol):
    """What Lambda hands over beside the event."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        ...


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the function is configured for."""

    bucket: str
    prefix: str | None
    trail_arn: str | None
    targets: tuple[Any, ...]
    when: When
    tolerate: frozenset[str]
    role_arn: str | None
    external_id: str | None
    state: str | None = None
    require_state: bool = False
    state_sign_with: str | None = None

    @property
    def watched(self) -> Watched:
        """The trail whose digests are looked at."""
        return Watched(self.bucket, self.prefix, parse_trail_arn(self.trail_arn) if self.trail_arn else None)

    def request(self, task: Task) -> Request:
        """The validation that a task asks for."""
        return Request(
            start=task.window.start,
            end=task.window.end,
            trail_arn=self.trail_arn,
            bucket=self.bucket,
            prefix=self.prefix,
            regions=(task.region,),
            accounts=(task.account,),
            role_arn=self.role_arn,
            external_id=self.external_id,
            tolerate=self.tolerate,
            concurrency=CONCURRENCY,
            state=self.state,
            require_state=self.require_state,
            state_sign_with=self.state_sign_with,
            relist=RELIST if self.state is not None else "all",
        )


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task, as it is logged and answered."""

    account: str
    region: str
    start: datetime
    end: datetime
    verdict: str
    exit_code: int
    digests_valid: int
    logs_valid: int
    findings: int
    notifications: tuple[NotificationRecord, ...]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the function's environment. Raises `ConfigurationError`."""

    def value(name: str) -> str | None:
        return environment.get(f"CTVALIDATE_{name}") or None

    bucket, arn, when = value("S3_BUCKET"), value("TRAIL_ARN"), value("NOTIFY_WHEN") or When.PROBLEM
    if bucket is None:
        raise ConfigurationError("CTVALIDATE_S3_BUCKET: expected the trail's bucket")
    if value("STATE") is None and (value("REQUIRE_STATE") or value("STATE_SIGN_WITH")):
        raise ConfigurationError(
            "CTVALIDATE_REQUIRE_STATE, CTVALIDATE_STATE_SIGN_WITH: expected CTVALIDATE_STATE with them"
        )
    if arn is not None and parse_trail_arn(arn) is None:
        raise ConfigurationError(
            f"CTVALIDATE_TRAIL_ARN: expected arn:aws:cloudtrail:…:trail/NAME, got {printable(arn)!r}"
        )
    if when not in set(When):
        raise ConfigurationError(f"CTVALIDATE_NOTIFY_WHEN: expected {', '.join(When)}, got {printable(when)!r}")
    try:
        targets: tuple[Target, ...] = tuple(parse_target(text) for text in (value("NOTIFY") or "").split())
    except RequestError as error:
        raise ConfigurationError(f"CTVALIDATE_NOTIFY: {error}") from error
    return Settings(
        bucket=bucket,
        prefix=value("S3_PREFIX"),
        trail_arn=arn,
        targets=targets,
        when=When(when),
        tolerate=frozenset((value("TOLERATE") or "").split()),
        role_arn=value("ROLE_ARN"),
        external_id=value("EXTERNAL_ID"),
        state=value("STATE"),
        require_state=value("REQUIRE_STATE") is not None,
        state_sign_with=value("STATE_SIGN_WITH"),
    )


def handler(event: object, context: Context | None = None) -> dict[str, Any]:
    """Take an event. Returns what was proven, as JSON types. Raises where Lambda is to repeat the invocation."""
    return handle(event, context, read_settings(os.environ))


def handle(
    event: object,
    context: Context | None,
    settings: Settings,
    memory: Memory | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """As `handler`, with settings, memory and time given."""
    asked = now or now_utc()
    sorted_event = sort_event(event, settings.watched, asked)
    proofs: list[Proof] = []
    failures: list[Exception] = []
    for number, task in enumerate(sorted_event.tasks):
        if context is not None and context.get_remaining_time_in_millis() < TIME_LEFT:
            raise NoTimeLeftError(f"{len(sorted_event.tasks) - number} of {len(sorted_event.tasks)} are not looked at")
        try:
            proofs.append(_prove(task, settings, memory, asked))
        except (RequestError, ConfigurationError, AccessError, InternalError) as error:
            failures.append(error)  # what is wrong with one account or region must not hold up the others
        else:
            _log(proofs[-1])
    if sorted_event.ignored and not proofs:
        _log({"ignored": sorted_event.ignored})
    if failures:
        raise failures[0]
    unheard = [note for proof in proofs for note in proof.notifications if note.outcome == "failed"]
    if unheard:
        raise NotAllToldError("; ".join(f"{note.target}: {note.detail}" for note in unheard))
    return _answer(sorted_event, proofs)


def _prove(task: Task, settings: Settings, memory: Memory | None, now: datetime) -> Proof:
    """Validate a task and tell of it."""
    request = settings.request(task)
    previous = memory.open_before() if memory is not None else None
    around = OwnSurroundings()
    try:
        result = run(request, now=now)
    except (RequestError, ConfigurationError, AccessError, InternalError) as error:
        echo = RequestEcho(
            trail_arn=settings.trail_arn,
            start=task.window.start,
            end=task.window.end,
            source=f"s3://{settings.bucket}/{settings.prefix or ''}",
            regions=request.regions,
            accounts=request.accounts,
        )
        code = 2 if isinstance(error, RequestError | ConfigurationError) else 3
        refused = refused_event(
            echo, previous, exit_code=code, problem=str(error), now=now, version=this_tool().version
        )
        tell(refused, settings.targets, when=settings.when, surroundings=around)
        raise
    report, tally = result.report, result.outcome.findings.tally
    kept = None
    if result.open_before is not None:  # the state decides what is healed, since it has asked about further hours
        previous, kept = open_findings(result.open_before), open_findings(result.open_after)
    told = notify(report, previous, settings.targets, when=settings.when, tally=tally, kept=kept, surroundings=around)
    unsaved = report.state and report.state.unsaved
    if isinstance(unsaved, str):
        raise ConfigurationError(unsaved)  # what was found is told; Lambda tries again, and then it may be remembered
    return Proof(
        account=task.account,
        region=task.region,
        start=task.window.start,
        end=task.window.end,
        verdict=str(report.verdict),
        exit_code=report.exit_code,
        digests_valid=report.summary.digests.valid,
        logs_valid=report.summary.logs.valid,
        findings=sum(tally.numbers.values()),
        notifications=told,
    )


def _answer(sorted_event: Sorted, proofs: list[Proof]) -> dict[str, Any]:
    answer = {"digests": sorted_event.digests, "ignored": sorted_event.ignored, "proofs": proofs}
    built: dict[str, Any] = msgspec.json.decode(to_json(answer))
    return built


def _log(what: object) -> None:
    """One line of JSON, which CloudWatch Logs finds its way in."""
    sys.stdout.write(to_json(what) + "\n")
    sys.stdout.flush()
