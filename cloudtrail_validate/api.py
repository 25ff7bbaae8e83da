"""The library's entry: `validate(request)` returns a report, prints nothing and never exits."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from cloudtrail_validate.aws import Aws, ConfigurationError
from cloudtrail_validate.discover import Target
from cloudtrail_validate.engine import Engine, Outcome
from cloudtrail_validate.keys import AwsKeys, KeySource, read_key_file
from cloudtrail_validate.layout import base_of, parse_trail_arn
from cloudtrail_validate.ledger import Ledger, Listener, Progress
from cloudtrail_validate.model import Cause
from cloudtrail_validate.pace import Pace
from cloudtrail_validate.report import Report, RequestEcho, Run
from cloudtrail_validate.report.build import build
from cloudtrail_validate.request import Request, now_utc
from cloudtrail_validate.stores import BucketAbsentError, Store, StoreError
from cloudtrail_validate.stores.local import Local
from cloudtrail_validate.stores.s3 import S3, Patience
from cloudtrail_validate.trails import AccessError, locate

if sys.platform == "win32":
    _runner = asyncio
else:
    import uvloop as _runner

T = TypeVar("T")


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
) -> Result:
    """As `validate`, for those who need more of the run.

    `now` is the time at which the question is asked: it ends the default window and decides what is late. `on_start` is
    given the engine, on its loop.
    """
    asked = now or now_utc()
    request.check(asked)
    ledger = Ledger(progress or Progress(), listener)
    return _run_loop(_validate(request, ledger, asked, patience, on_start))


async def _validate(
    request: Request,
    ledger: Ledger,
    now: datetime,
    patience: Patience | None,
    on_start: Callable[[Engine], None] | None,
) -> Result:
    begun, window = now_utc(), request.window(now)
    keys: KeySource | None = read_key_file(request.public_keys) if request.public_keys else None
    aws = await asyncio.to_thread(_identity, request, patience) if request.source is None or keys is None else None
    if keys is None:
        keys = AwsKeys(_made(aws), window, now)
    pace = Pace(request.concurrency, rate=request.max_rate)
    store: Store
    if request.source is not None:
        store, target = Local(request.source), _local_target(request)
    else:
        store = S3(_made(aws), pace=pace, patience=patience)
        target = await asyncio.to_thread(locate, request, _made(aws), window)
    engine = Engine(store, keys, ledger, pace)
    if on_start is not None:
        on_start(engine)
    caller = asyncio.create_task(asyncio.to_thread(aws.caller_arn)) if aws and request.source is None else None
    source = _source(request, target)
    try:
        outcome = await engine.run(target, window, now)
    except BucketAbsentError as error:
        raise ConfigurationError(f"{source}: {error}") from error
    except StoreError as error:
        need = "allow s3:ListBucket" if error.cause is Cause.ACCESS_DENIED else error.cause
        raise AccessError(f"cannot list {source} ({need}): {error.detail}") from error
    finally:
        await store.close()
    echo = RequestEcho(
        trail_arn=request.trail_arn,
        start=window.start.replace(microsecond=0),
        end=window.end.replace(microsecond=0),
        source=source,
        regions=request.regions,
        accounts=request.accounts,
    )
    who = await caller if caller else None
    ran = Run(started=begun.replace(microsecond=0), finished=now_utc().replace(microsecond=0), caller_arn=who)
    return Result(build(outcome, echo, ran, request.tolerate), outcome)


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


def _source(request: Request, target: Target) -> str:
    if request.source is not None:
        return Path(request.source).resolve().as_uri()
    return f"s3://{target.bucket}/{base_of(target.prefix).removesuffix('AWSLogs/')}"


def _run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it exists."""
    return _runner.run(work)
