"""What a run works with: its store, keys, target and bounds, made of what was asked.

What only some runs need is imported when they do: botocore and libcurl cost more time than validating a small folder.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.copies import Displacement, agrees, stated, trail_prefix
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.request import DEFAULT_CONCURRENCY, Request
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts
from cloudtrail_validate.runtime.loop import fit_descriptor_limit, in_daemon_thread
from cloudtrail_validate.stores.key_file import KeySource, read_key_file
from cloudtrail_validate.stores.protocol import Store

if TYPE_CHECKING:
    from cloudtrail_validate.aws.own_session import AnySession
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.stores.transfer import Way

T = TypeVar("T")


class Session(msgspec.Struct, frozen=True):
    """What a run works with: where it reads, whose keys it takes, what it looks for, and how fast it may.

    `aws` is who reads the bucket, None for a local copy. `copy` says how what is read is displaced (`--copy-of`): store and
    target then are those of the place that was copied. `ways` returns the ways to buckets that are open, for workers.
    """

    store: Store
    keys: KeySource
    target: Target
    limiter: RateLimiter
    aws: Aws | None = None
    copy: Displacement | None = None
    ways: Callable[[], tuple[Way, ...]] = tuple


async def open_session(
    request: Request,
    window: Interval,
    now: datetime,
    timeouts: Timeouts | None = None,
    boto_session: AnySession | None = None,
    like: str = "",
) -> Session:
    """Everything that a run of this request works with. Raises as `validate`; the store is the caller's to close.

    `boto_session` is who asks AWS, None for whom the request and the environment name; `like` is a region of the
    partition that is meant where nothing else says a region.
    """
    limiter = RateLimiter(fit_descriptor_limit(request.concurrency or DEFAULT_CONCURRENCY), rate=request.max_rate)
    filed = read_key_file(request.public_keys) if request.public_keys else None
    if request.source is None:
        from cloudtrail_validate.aws.trail import locate

        aws = await in_daemon_thread(_identity, request, timeouts, boto_session, like)
        locating = asyncio.create_task(in_daemon_thread(locate, request, aws, window))
        await asyncio.sleep(0)  # AWS is asked while libcurl is imported
        from cloudtrail_validate.stores.s3 import S3

        store, keys = S3(lambda: aws, limiter=limiter, timeouts=timeouts), filed or _issuer(aws, window, now)
        target = replace(await locating, expect=request.places)
        aws.limit_to(target)
        return await _as_original(Session(store, keys, target, limiter, aws, ways=store.ways), request)
    from cloudtrail_validate.stores.local import Local

    keys = filed or _issuer(await in_daemon_thread(_identity, request, timeouts, boto_session, like), window, now)
    local = Local(request.source, follow_links=request.follow_links)
    return await _as_original(Session(local, keys, _local_target(request), limiter), request)


async def _as_original(session: Session, request: Request) -> Session:
    """The session as if what is read lay in the place that it is a copy of, where that was said."""
    of = request.original
    if of is None:
        return session
    from cloudtrail_validate.stores.copy_of import CopyStore
    from cloudtrail_validate.stores.placement import displacements, find_digests

    bucket, store = session.target.bucket, session.store
    said = stated(bucket, request.prefix, of)
    # Where two readings of the option are possible, the first digest that is found tells which is meant.
    places = await find_digests(store, bucket, f"{request.prefix}/" if request.prefix else "")
    seen = (item for item in await displacements(store, places) if any(agrees(item, one) for one in said))
    known = next(seen, said[0])
    prefix = trail_prefix(known, request.prefix)
    target = replace(session.target, bucket=of.bucket, prefix=prefix, delivered={})
    return replace(session, store=CopyStore(store, known), target=target, copy=known)


def reopen_store(
    source: Path | None,
    target: Target,
    limiter: RateLimiter,
    timeouts: Timeouts,
    *,
    follow_links: bool = False,
    copy: Displacement | None = None,
    credentials: tuple[str, str, str | None] | None = None,
    profile: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    trail_arn: str | None = None,
    ways: Sequence[Way] = (),
) -> Store:
    """Open the store of a run again in another process, as whoever `credentials` are. Raises as `validate`.

    botocore is imported where `ways`, which that process has opened on the same machine, do not lead: 0.2 s of CPU.
    """
    if source is not None:
        from cloudtrail_validate.stores.local import Local

        return _copied(Local(source, follow_links=follow_links, processes=False), copy)
    from cloudtrail_validate.stores.s3 import S3

    def identity() -> Aws:
        from cloudtrail_validate.aws.identity import session_as
        from cloudtrail_validate.aws.session import Aws

        aws = Aws(
            session_as(credentials, profile, region),
            trail_arn=trail_arn,
            endpoint_url=endpoint_url,
            connect=timeouts.connect,
            read=timeouts.read,
            attempts=timeouts.retries + 1,
        )
        aws.limit_to(replace(target, bucket=copy.bucket) if copy else target)
        return aws

    who = _once(identity)
    if not ways:
        who()
    return _copied(S3(who, limiter=limiter, timeouts=timeouts, ways=ways), copy)


def _once(make: Callable[[], T]) -> Callable[[], T]:
    """Return a function that returns what is made when it is called first, by however many threads."""
    lock = threading.Lock()
    made: list[T] = []

    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get


def _copied(store: Store, copy: Displacement | None) -> Store:
    from cloudtrail_validate.stores.copy_of import CopyStore

    return CopyStore(store, copy) if copy is not None else store


def _issuer(aws: Aws, window: Interval, now: datetime) -> KeySource:
    from cloudtrail_validate.aws.public_keys import AwsKeys

    return AwsKeys(aws, window, now)


def _identity(request: Request, timeouts: Timeouts | None, boto_session: AnySession | None, like: str) -> Aws:
    from cloudtrail_validate.aws.session import Aws

    waits = timeouts or Timeouts()
    return Aws(
        boto_session,
        trail_arn=request.trail_arn,
        regions=request.regions,
        like=like,
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
    narrowed = Target(
        request.bucket or "",
        request.prefix,
        regions=request.regions,
        accounts=request.accounts,
        expect=request.places,
    )
    return replace(narrowed, trail=arn.name, home_region=arn.region, owner=arn.account) if arn else narrowed
