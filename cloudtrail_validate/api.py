"""The library's entry: `validate(request)` returns a report, prints nothing and never exits."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cloudtrail_validate.aws import Aws, ConfigurationError, aside
from cloudtrail_validate.discover import Target
from cloudtrail_validate.engine import Engine, Outcome
from cloudtrail_validate.evidence.versions import witness
from cloudtrail_validate.keys import AwsKeys, KeySource, read_key_file
from cloudtrail_validate.layout import base_of, parse_trail_arn
from cloudtrail_validate.ledger import Ledger, Listener, Progress
from cloudtrail_validate.lookup import lifecycle_rules, look_up, removed_by
from cloudtrail_validate.model import Cause, Finding, Interval, Locator, Status
from cloudtrail_validate.pace import Pace
from cloudtrail_validate.report import Report, RequestEcho, Run
from cloudtrail_validate.report.build import Evidence, build
from cloudtrail_validate.request import Request, now_utc
from cloudtrail_validate.stores import BucketAbsentError, Store, StoreError
from cloudtrail_validate.stores.local import Local
from cloudtrail_validate.stores.s3 import S3, Patience
from cloudtrail_validate.trails import AccessError, locate
from cloudtrail_validate.why import Trail, explain, reaches

if sys.platform == "win32":
    _runner = asyncio
else:
    import uvloop as _runner

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run works with: where it reads, whose keys it takes, what it looks for, and how fast it may."""

    store: Store
    keys: KeySource
    target: Target
    pace: Pace
    aws: Aws | None


class Companion(Listener, Protocol):
    """What goes along with a run, such as a snapshot: hears of everything, may stand before its store."""

    def adapt(self, setting: Setting) -> Setting:
        """The setting that the run is to have instead. Called once, on the run's loop."""
        ...

    async def conclude(self, outcome: Outcome) -> None:
        """Everything is validated and the store still open. Not called where the run was interrupted or failed."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """A report, and what only the run itself knows: whether it was stopped early, and exact numbers of findings."""

    report: Report
    outcome: Outcome

    @property
    def interrupted(self) -> bool:
        """Whether the run was stopped before its end."""
        return self.outcome.interrupted


def validate(request: Request, *, progress: Progress | None = None, listener: Listener | None = None) -> Report:
    """Validate and return the report.

    `progress` is a counter object that another thread may poll; `listener` hears of every finding and object at once.
    Raises `RequestError` for a request that cannot be meant, `ConfigurationError` where AWS's configuration is wrong or
    there is no such trail or bucket, `AccessError` where nothing could be read for want of a permission. Whatever a
    bucket holds is in the report and raises nothing.
    """
    return run(request, progress=progress, listener=listener).report


def run(
    request: Request,
    *,
    progress: Progress | None = None,
    listener: Listener | None = None,
    now: datetime | None = None,
    patience: Patience | None = None,
    on_start: Callable[[Engine], None] | None = None,
    companion: Companion | None = None,
) -> Result:
    """As `validate`, for those who need more of the run.

    `now` is the time at which the question is asked: it ends the default window and decides what is late. `on_start` is
    given the engine, on its loop; `companion` goes along with the run.
    """
    asked = now or now_utc()
    request.check(asked)
    heard = [item for item in (listener, companion) if item is not None]
    ledger = Ledger(progress or Progress(), heard[0] if len(heard) == 1 else _All(heard) if heard else None)
    return run_loop(_validate(request, ledger, asked, patience=patience, on_start=on_start, companion=companion))


async def open_setting(request: Request, window: Interval, now: datetime, patience: Patience | None = None) -> Setting:
    """Everything that a run of this request works with. Raises as `validate`; the store is the caller's to close."""
    keys: KeySource | None = read_key_file(request.public_keys) if request.public_keys else None
    aws = await aside(_identity, request, patience) if request.source is None or keys is None else None
    if keys is None:
        keys = AwsKeys(_made(aws), window, now)
    pace = Pace(request.concurrency, rate=request.max_rate)
    if request.source is not None:
        return Setting(Local(request.source), keys, _local_target(request), pace, aws)
    store = S3(_made(aws), pace=pace, patience=patience)
    return Setting(store, keys, await aside(locate, request, _made(aws), window), pace, aws)


async def _validate(
    request: Request,
    ledger: Ledger,
    now: datetime,
    *,
    patience: Patience | None,
    on_start: Callable[[Engine], None] | None,
    companion: Companion | None,
) -> Result:
    begun, window = now_utc(), request.window(now)
    setting = await open_setting(request, window, now, patience)
    if companion is not None:
        setting = companion.adapt(setting)
    store, target, aws = setting.store, setting.target, setting.aws
    engine = Engine(store, setting.keys, ledger, setting.pace)
    if on_start is not None:
        on_start(engine)
    caller = asyncio.create_task(aside(aws.caller_arn)) if aws and request.source is None else None
    source = source_uri(request, target)
    try:
        outcome = await engine.run(target, window, now)
        evidence = await _evidence(request, outcome, setting, now)
        if companion is not None and not outcome.interrupted:
            await companion.conclude(outcome)
    except BucketAbsentError as error:
        raise ConfigurationError(f"{source}: {error}") from error
    except StoreError as error:
        need = "allow s3:ListBucket" if error.cause is Cause.ACCESS_DENIED else error.cause
        raise AccessError(f"cannot list {source} ({need}): {error.detail}") from error
    finally:
        await store.close()
    echo = echo_of(request, target, window)
    who = await caller if caller and (caller.done() or not outcome.interrupted) else None
    ran = Run(started=begun.replace(microsecond=0), finished=now_utc().replace(microsecond=0), caller_arn=who)
    return Result(build(outcome, echo, ran, request.tolerate, evidence), outcome)


async def _evidence(request: Request, outcome: Outcome, setting: Setting, now: datetime) -> Evidence:
    """What explains the findings: events in proven logs, CloudTrail's event history if asked, lifecycle rules."""
    findings = outcome.ledger.findings()
    if outcome.interrupted or not findings:
        return Evidence()
    aws, target = setting.aws, setting.target
    trail = Trail(target.bucket, target.owner, target.home_region)
    events = dict(await explain(findings, outcome.proofs, setting.store, setting.pace, trail))
    if aws is None or request.source is not None:
        return Evidence(events)
    if request.lookup_events:
        hours = reaches(findings)
        told = await asyncio.to_thread(look_up, hours, aws, target.home_region, target.bucket, now)
        events |= {finding: found for finding, found in told.items() if finding not in events}
    missing = [finding for finding in findings if finding.status is Status.MISSING and finding.where]
    rules = await asyncio.to_thread(lifecycle_rules, aws, target.bucket) if missing else ()
    fitting = {finding: removed_by(finding, rules, now) for finding in missing} if rules else {}
    versions = await asyncio.to_thread(witness, findings, aws, setting.keys.region) if request.versions else {}
    return Evidence(events, {finding: rule for finding, rule in fitting.items() if rule}, versions)


def echo_of(request: Request, target: Target, window: Interval) -> RequestEcho:
    """The request as the report repeats it."""
    return RequestEcho(
        trail_arn=request.trail_arn,
        start=window.start.replace(microsecond=0),
        end=window.end.replace(microsecond=0),
        source=source_uri(request, target),
        regions=request.regions,
        accounts=request.accounts,
    )


def _identity(request: Request, patience: Patience | None) -> Aws:
    waits = patience or Patience()
    return Aws(
        profile=request.profile,
        endpoint_url=request.endpoint_url,
        role_arn=request.role_arn,
        external_id=request.external_id,
        connect=waits.connect,
        read=waits.read,
        attempts=waits.retries + 1,
    )


def _local_target(request: Request) -> Target:
    """A local copy: its bucket is whatever its digests name, unless the user says which."""
    arn = parse_trail_arn(request.trail_arn) if request.trail_arn else None
    narrowed = Target(request.bucket or "", request.prefix, regions=request.regions, accounts=request.accounts)
    return replace(narrowed, trail=arn.name, home_region=arn.region, owner=arn.account) if arn else narrowed


def _made(aws: T | None) -> T:
    assert aws is not None  # noqa: S101  # made above wherever a path leads here
    return aws


def source_uri(request: Request, target: Target) -> str:
    """Where a run reads: `s3://bucket/prefix` or `file:///…`."""
    if request.source is not None:
        return Path(request.source).resolve().as_uri()
    return f"s3://{target.bucket}/{base_of(target.prefix).removesuffix('AWSLogs/')}"


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it exists."""
    return _runner.run(work)


class _All:
    """Several listeners as one."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners

    def finding(self, finding: Finding) -> None:
        for listener in self._listeners:
            listener.finding(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        for listener in self._listeners:
            listener.checked(where, status, digest=digest)
