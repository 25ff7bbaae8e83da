"""The library's entry: `validate(request)` returns a report, prints nothing and never exits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
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
from cloudtrail_validate.core.findings import Listener, Listeners, Progress, Watch, looks_at_logs
from cloudtrail_validate.core.layout import base_of
from cloudtrail_validate.core.model import Cause, Interval
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.shards import parse_shard
from cloudtrail_validate.core.text import printable, without_secrets
from cloudtrail_validate.core.trouble import refused
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.engine.stages import Scope
from cloudtrail_validate.report import Report, RequestEcho, Run, StateRecord
from cloudtrail_validate.report.build import Evidence, build
from cloudtrail_validate.request import Request, parse_span
from cloudtrail_validate.runtime.clock import now_utc
from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.runtime.loop import in_daemon_thread, run_loop
from cloudtrail_validate.session import Session, open_session
from cloudtrail_validate.stores.placement import DisplacedError, Watched
from cloudtrail_validate.stores.protocol import Store

if TYPE_CHECKING:
    import boto3

    from cloudtrail_validate.aws.own_session import AnySession
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
    session: AnySession | None = None,
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
    hears = heard[0] if len(heard) == 1 else Listeners(heard) if heard else None
    watch = Watch(progress, hears, looks_at_logs(companion))
    opening = _opened(request, watch, asked, session, timeouts=timeouts, on_start=on_start, companion=companion)
    return run_loop(_validate(opening, companion))


def plan(request: Request, shards: int, *, session: AnySession | None = None, now: datetime | None = None) -> bytes:
    """Return the plan of a run in parts, as JSON lines: which account-regions each of `shards` parts validates.

    Only delimiter listings are made. Raises as `validate`.
    """
    asked = now or now_utc()
    request.check(asked)
    return run_loop(_plan(request, shards, asked, session))


async def _plan(request: Request, shards: int, now: datetime, boto_session: AnySession | None) -> bytes:
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


async def _validate(opening: AbstractAsyncContextManager[_Opened], companion: Companion | None) -> Result:
    begun = now_utc()
    async with opening as opened:
        request, aws = opened.request, opened.session.aws
        caller = asyncio.create_task(in_daemon_thread(aws.caller_arn)) if aws else None
        async with _refusals(request, opened.session):
            async with _documented():
                ended = await _ended(opened, _until(request, begun))
            outcome = ended.outcome
            if companion is not None and not outcome.interrupted:
                await companion.conclude(outcome)
    echo = echo_of(request, opened.target, opened.scope.window)
    who = await caller if caller and (caller.done() or not outcome.interrupted) else None
    ran = Run(started=begun.replace(microsecond=0), finished=now_utc().replace(microsecond=0), caller_arn=who)
    report = build(outcome, echo, ran, request.tolerate, ended.evidence, ended.remembered)
    part = _part(opened, opened.shard, ended, report) if opened.shard is not None else None
    return Result(report, outcome, part, *(opened.kept.opened if opened.kept is not None else ()))


class _Opened(msgspec.Struct, frozen=True):
    """What one run asks, and what it works with.

    `store` is what the engine reads, `plain` the same without what a companion puts before it. `target` is the session's,
    and what a state remembers.
    """

    request: Request
    scope: Scope
    session: Session
    plain: Store
    store: Store
    engine: Engine
    target: Target
    kept: StateRun | None
    shard: ShardPlan | None


class _Ended(msgspec.Struct, frozen=True):
    """What the engine came to, and what else was learned while the store was open."""

    outcome: Outcome
    evidence: Evidence
    remembered: StateRecord | UnsetType
    beyond: Beyond | None


@contextlib.asynccontextmanager
async def _opened(
    request: Request,
    watch: Watch,
    now: datetime,
    boto_session: AnySession | None,
    *,
    timeouts: Timeouts | None,
    on_start: Callable[[Engine], None] | None,
    companion: Companion | None,
) -> AsyncIterator[_Opened]:
    """Open what a run works with, and close it when the run is over, however it ends."""
    window = request.window(now)
    async with contextlib.AsyncExitStack() as closing:
        async with _documented():
            session = await open_session(request, window, now, timeouts, boto_session)
        plain = session.store
        if companion is not None:
            session = companion.adapt(session)
        store = Watched(session.store, session.keys.region)
        closing.push_async_callback(store.close)
        elsewhere = _elsewhere(request, session, timeouts, watch, store) if session.store is plain else None
        if elsewhere is not None:
            closing.callback(elsewhere.close)
        engine = Engine(store, session.keys, watch, session.limiter, elsewhere)
        if on_start is not None:
            on_start(engine)
        kept = await _state(request, session, source_uri(request, session.target), now)
        target = kept.remembered(session.target) if kept is not None else session.target
        shard = _shard(request)
        yield _Opened(request, Scope(window, now), session, plain, store, engine, target, kept, shard)


async def _ended(opened: _Opened, until: datetime | None) -> _Ended:
    """Validate, compare with what a state remembers, and look for what explains the findings. Raises as the stages do."""
    request, session, engine, scope = opened.request, opened.session, opened.engine, opened.scope
    kept, shard = opened.kept, opened.shard
    memory, whole = (kept.memory if kept is not None else shard), shard is None
    outcome = await engine.run(opened.target, scope.window, scope.now, memory, whole=whole, until=until)
    beyond: Beyond | None = None
    if shard is None:
        await _check_place(request, session, opened.plain, outcome)
    elif not outcome.interrupted:
        beyond = await shard.look_beyond(engine, opened.target, scope, opened.store, session.limiter, session.keys)
        outcome = replace(outcome, interrupted=beyond is None)
    remembered: StateRecord | UnsetType = UNSET
    if kept is not None:
        outcome, remembered = await asyncio.to_thread(
            kept.finish, outcome, engine.results, scope, version("ctvalidate")
        )
    evidence = await _evidence(request, outcome, engine, session, scope, whole=whole)
    return _Ended(outcome, evidence, remembered, beyond)


def _until(request: Request, begun: datetime) -> datetime | None:
    """When to begin no more of what is only read again."""
    return begun + parse_span(request.max_duration, "--max-duration") if request.max_duration is not None else None


async def _evidence(
    request: Request,
    outcome: Outcome,
    engine: Engine,
    session: Session,
    scope: Scope,
    *,
    whole: bool,
) -> Evidence:
    """Gather what explains the findings of a run that was not interrupted, and hints where it found nothing."""
    evidence = Evidence()
    if outcome.findings.numbers and not outcome.interrupted:
        from cloudtrail_validate.evidence.gather import gather

        evidence = await gather(request, outcome, engine.results, session, scope.now)
    if not outcome.digests and not outcome.interrupted and whole:
        evidence = replace(evidence, hints=await _hints(session, scope.window, scope.now))
    return evidence


async def _hints(session: Session, window: Interval, now: datetime) -> tuple[str, ...]:
    """What to try where no digest was found."""
    from cloudtrail_validate.core.hints import hints
    from cloudtrail_validate.evidence.look_around import look_around

    return hints(session.target, window, now, await look_around(session.store, session.target))


async def _check_place(request: Request, session: Session, store: Store, outcome: Outcome) -> None:
    """Where nothing was found: see whether digests begin elsewhere in the tree. Raises `ConfigurationError`."""
    if not outcome.digests and not outcome.interrupted:
        from cloudtrail_validate.misplaced import missed

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
        from cloudtrail_validate.misplaced import displaced

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
    from cloudtrail_validate.distribute.parts import ShardPlan, read_plan_file

    planned = read_plan_file(request.plan) if request.plan is not None else None
    return ShardPlan(parse_shard(request.shard), planned)


def _part(opened: _Opened, shard: ShardPlan, ended: _Ended, report: Report) -> Part:
    from cloudtrail_validate.distribute.parts import Part

    return Part(
        version=report.tool.version,
        shard=parse_shard(opened.request.shard or ""),
        plan=shard.fingerprint,
        request=report.request,
        run=report.run,
        window=ended.outcome.window,
        target=opened.target,
        tolerate=tuple(sorted(opened.request.tolerate)),
        sites=shard.sites,
        results=tuple(replace(result, digests=()) for result in opened.engine.results),
        findings=opened.engine.of_the_plan(),
        interrupted=ended.outcome.interrupted,
        beyond=ended.beyond,
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
