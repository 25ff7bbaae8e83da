"""The library's entry: `validate(request)` returns a report, prints nothing and never exits."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from cloudtrail_validate.core.errors import (
    AbsentError,
    AccessError,
    BucketAbsentError,
    ConfigurationError,
    InternalError,
    RequestError,
    StoreError,
)
from cloudtrail_validate.core.executor import parse_executor
from cloudtrail_validate.core.findings import Listener, Progress, Watch, looks_at_logs
from cloudtrail_validate.core.layout import base_of
from cloudtrail_validate.core.model import Cause, Finding, Interval, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.shards import parse_shard
from cloudtrail_validate.core.text import printable, without_secrets
from cloudtrail_validate.core.trouble import refused
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.engine.stages import Scope
from cloudtrail_validate.misplaced import displaced, missed
from cloudtrail_validate.report import Report, RequestEcho, Run, StateRecord
from cloudtrail_validate.report.build import Evidence, build
from cloudtrail_validate.request import Request, parse_span
from cloudtrail_validate.runtime.clock import now_utc
from cloudtrail_validate.runtime.files import read_at_most
from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.runtime.loop import in_daemon_thread, run_loop
from cloudtrail_validate.session import Session, open_session
from cloudtrail_validate.stores.placement import DisplacedError, Watched
from cloudtrail_validate.stores.protocol import Store

if TYPE_CHECKING:
    import boto3

    from cloudtrail_validate.distribute.elsewhere import Elsewhere
    from cloudtrail_validate.distribute.parts import Part, ShardPlan
    from cloudtrail_validate.distribute.unforeseen import Beyond
    from cloudtrail_validate.state.model import OpenFinding
    from cloudtrail_validate.state.run import StateRun


class Companion(Listener, Protocol):
    """What goes along with a run, such as a snapshot: hears of everything, may stand before its store."""

    def adapt(self, session: Session) -> Session:
        """The setting that the run is to have instead. Called once, on the run's loop."""
        ...

    async def conclude(self, outcome: Outcome) -> None:
        """Everything is validated and the store still open. Not called where the run was interrupted or failed."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """A report, and what only the run itself knows: whether it was stopped early, and exact numbers of findings.

    `part` is there where the run was one shard of a larger one: what `merge` takes. With a state, `open_before` are the
    findings that were open before the run (None where nothing was remembered yet), `open_after` those that are still.
    """

    report: Report
    outcome: Outcome
    part: Part | None = None
    open_before: tuple[OpenFinding, ...] | None = None
    open_after: tuple[OpenFinding, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether the run was stopped before its end."""
        return self.outcome.interrupted


def validate(
    request: Request,
    *,
    session: boto3.Session | None = None,
    progress: Progress | None = None,
    listener: Listener | None = None,
) -> Report:
    """Validate and return the report.

    `session` is who asks AWS; without it `request.profile` and the environment say who, as for the AWS CLI. `progress` is
    a counter object that another thread may poll; `listener` hears of every finding and object at once. May be called
    where an event loop is running (it blocks it meanwhile).

    Raises `RequestError` for a request that cannot be meant, `ConfigurationError` where AWS's configuration is wrong or
    there is no such trail or bucket, `AccessError` where nothing could be read for want of a permission or connection.
    Whatever a bucket holds is in the report and raises nothing.
    """
    return run(request, session=session, progress=progress, listener=listener).report


def run(
    request: Request,
    *,
    session: boto3.Session | None = None,
    progress: Progress | None = None,
    listener: Listener | None = None,
    now: datetime | None = None,
    timeouts: Timeouts | None = None,
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
    hears = heard[0] if len(heard) == 1 else _All(heard) if heard else None
    watch = Watch(progress, hears, looks_at_logs(companion))
    return run_loop(
        _validate(request, watch, asked, session, timeouts=timeouts, on_start=on_start, companion=companion)
    )


def plan(request: Request, shards: int, *, session: boto3.Session | None = None, now: datetime | None = None) -> bytes:
    """Return the plan of a run in parts, as JSON lines: which account-regions each of `shards` parts validates.

    Only delimiter listings are made. Raises as `validate`.
    """
    asked = now or now_utc()
    request.check(asked)
    return run_loop(_plan(request, shards, asked, session))


async def _plan(request: Request, shards: int, now: datetime, boto_session: boto3.Session | None) -> bytes:
    from cloudtrail_validate.distribute.parts import plan_lines

    window = request.window(now)
    async with _documented():
        session = await open_session(request, window, now, None, boto_session)
        try:
            async with _refusals(request, session):
                found = await discover(session.store, session.target)
        finally:
            await session.store.close()
    return plan_lines(found, source_uri(request, session.target), window, shards)


async def _validate(
    request: Request,
    watch: Watch,
    now: datetime,
    boto_session: boto3.Session | None,
    *,
    timeouts: Timeouts | None,
    on_start: Callable[[Engine], None] | None,
    companion: Companion | None,
) -> Result:
    begun, window = now_utc(), request.window(now)
    async with _documented():
        session = await open_session(request, window, now, timeouts, boto_session)
    opened = session.store
    if companion is not None:
        session = companion.adapt(session)
    target, aws = session.target, session.aws
    store = Watched(session.store, session.keys.region)
    alone = companion is None or session.store is opened
    elsewhere = _elsewhere(request, session, timeouts, watch, store) if alone else None
    engine = Engine(store, session.keys, watch, session.limiter, elsewhere)
    if on_start is not None:
        on_start(engine)
    kept = await _state(request, session, source_uri(request, target), now)
    if kept is not None:
        target = kept.remembered(target)
    shard = _shard(request)
    caller = asyncio.create_task(in_daemon_thread(aws.caller_arn)) if aws else None
    try:
        async with _refusals(request, session):
            async with _documented():
                memory, until = (kept.memory if kept else shard), _until(request, begun)
                outcome = await engine.run(target, window, now, memory, whole=shard is None, until=until)
                beyond: Beyond | None = None
                if shard is None:
                    await _check_place(request, session, opened, outcome)
                elif not outcome.interrupted:
                    scope = Scope(window, now)
                    beyond = await shard.look_beyond(engine, target, scope, store, session.limiter, session.keys)
                    outcome = replace(outcome, interrupted=beyond is None)
                remembered: StateRecord | UnsetType = UNSET
                if kept is not None:
                    outcome, remembered = await asyncio.to_thread(
                        kept.finish, outcome, engine.results, Scope(window, now), version("ctvalidate")
                    )
                evidence = await _evidence(request, outcome, engine, session, window, now, whole=shard is None)
            if companion is not None and not outcome.interrupted:
                await companion.conclude(outcome)
    finally:
        if elsewhere is not None:
            elsewhere.close()
        await store.close()
    echo = echo_of(request, target, window)
    who = await caller if caller and (caller.done() or not outcome.interrupted) else None
    ran = Run(started=begun.replace(microsecond=0), finished=now_utc().replace(microsecond=0), caller_arn=who)
    report = build(outcome, echo, ran, request.tolerate, evidence, remembered)
    part = _part(request, shard, report, target, outcome, engine, beyond=beyond) if shard is not None else None
    return Result(report, outcome, part, *(kept.opened if kept is not None else ()))


def _until(request: Request, begun: datetime) -> datetime | None:
    """When to begin no more of what is only read again."""
    return begun + parse_span(request.max_duration, "--max-duration") if request.max_duration is not None else None


async def _evidence(
    request: Request,
    outcome: Outcome,
    engine: Engine,
    session: Session,
    window: Interval,
    now: datetime,
    *,
    whole: bool,
) -> Evidence:
    """Gather what explains the findings of a run that was not interrupted, and hints where it found nothing."""
    evidence = Evidence()
    if outcome.findings.numbers and not outcome.interrupted:
        from cloudtrail_validate.evidence.gather import gather

        evidence = await gather(request, outcome, engine.results, session, now)
    if not outcome.digests and not outcome.interrupted and whole:
        evidence = dataclasses.replace(evidence, hints=await _hints(session, window, now))
    return evidence


async def _hints(session: Session, window: Interval, now: datetime) -> tuple[str, ...]:
    """What to try where no digest was found."""
    from cloudtrail_validate.core.hints import hints
    from cloudtrail_validate.evidence.look_around import look_around

    return hints(session.target, window, now, await look_around(session.store, session.target))


async def _check_place(request: Request, session: Session, store: Store, outcome: Outcome) -> None:
    """Where nothing was found: see whether digests begin elsewhere in the tree. Raises `ConfigurationError`."""
    if not outcome.digests and not outcome.interrupted:
        error = await missed(request, session, store)
        if error is not None:
            raise error


@contextlib.asynccontextmanager
async def _refusals(request: Request, session: Session) -> AsyncIterator[None]:
    """Turn what hinders a run as a whole into the errors that are documented."""
    source, aws = source_uri(request, session.target), session.aws
    try:
        yield
    except DisplacedError as error:
        raise displaced(request, session.copy, error.seen) from None
    except BucketAbsentError as error:
        raise ConfigurationError(printable(f"{source}: {error}")) from error
    except (StoreError, AbsentError) as error:
        if isinstance(error, AbsentError):  # a bare 404: S3 itself would have named what is absent
            error = StoreError(Cause.NETWORK, f"this is no answer of S3: {error}")
        bucket = session.copy.bucket if session.copy else session.target.bucket
        on = bucket if bucket.startswith("arn:") else f"arn:{aws.partition if aws else 'aws'}:s3:::{bucket}"
        login = aws.login if aws else None
        raise refused(
            error, f"cannot list {source}", permission="s3:ListBucket", on=on if aws else "", login=login
        ) from error


def _shard(request: Request) -> ShardPlan | None:
    """The part of a larger run that this one is, if it is one. Raises `ConfigurationError`."""
    if request.shard is None:
        return None
    from cloudtrail_validate.distribute.parts import MAX_PLAN_BYTES, ShardPlan, read_plan

    planned = None
    if request.plan is not None:
        try:
            with request.plan.open("rb") as file:
                data = read_at_most(file, MAX_PLAN_BYTES)
            planned = read_plan(data, str(request.plan))  # one that is too long breaks off, and is refused for that
        except OSError as error:
            raise ConfigurationError(f"--plan: cannot read {request.plan}: {error.strerror}") from error
    return ShardPlan(parse_shard(request.shard), planned)


def _part(
    request: Request,
    shard: ShardPlan,
    report: Report,
    target: Target,
    outcome: Outcome,
    engine: Engine,
    *,
    beyond: Beyond | None,
) -> Part:
    from cloudtrail_validate.distribute.parts import Part

    return Part(
        version=report.tool.version,
        shard=parse_shard(request.shard or ""),
        plan=shard.fingerprint,
        request=report.request,
        run=report.run,
        window=outcome.window,
        target=target,
        tolerate=tuple(sorted(request.tolerate)),
        sites=shard.sites,
        results=tuple(replace(result, digests=()) for result in engine.results),
        findings=engine.of_the_plan(),
        interrupted=outcome.interrupted,
        beyond=beyond,
    )


async def _state(request: Request, session: Session, source: str, now: datetime) -> StateRun | None:
    """The memory of earlier runs, where there is to be one."""
    if request.state is None:
        return None
    from cloudtrail_validate.state.run import open_state

    return await open_state(request, session, source, now)


def _elsewhere(
    request: Request, session: Session, timeouts: Timeouts | None, watch: Watch, store: Watched
) -> Elsewhere | None:
    """Who else may do the work."""
    from cloudtrail_validate.distribute.elsewhere import elsewhere_of

    return elsewhere_of(parse_executor(request.executor), request, session, timeouts, watch, look=store.look)


@contextlib.asynccontextmanager
async def _documented() -> AsyncIterator[None]:
    """Let out what is documented; anything else becomes an `InternalError`."""
    try:
        yield
    except (RequestError, ConfigurationError, AccessError, AbsentError, StoreError, MemoryError):
        raise
    except Exception as error:
        said = printable(" ".join(f"{type(error).__name__}: {error}".split()))
        raise InternalError(f"internal error, please report it: {said}") from error


def echo_of(request: Request, target: Target, window: Interval) -> RequestEcho:
    """The request as the report repeats it."""
    return RequestEcho(
        trail_arn=request.trail_arn,
        start=window.start.replace(microsecond=0),
        end=window.end.replace(microsecond=0),
        source=source_uri(request, target),
        regions=request.regions,
        accounts=request.accounts,
        copy_of=request.copy_of or UNSET,
        profile=request.profile or UNSET,
        endpoint_url=without_secrets(request.endpoint_url) if request.endpoint_url else UNSET,
        role_arn=request.role_arn or UNSET,
    )


def source_uri(request: Request, target: Target) -> str:
    """Where a run reads: `s3://bucket/prefix` or `file:///…`."""
    if request.source is not None:
        return Path(request.source).resolve().as_uri()
    if request.copy_of is not None:
        return f"s3://{request.bucket}/{base_of(request.prefix).removesuffix('AWSLogs/')}"
    return f"s3://{target.bucket}/{base_of(target.prefix).removesuffix('AWSLogs/')}"


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
