"""What a run works with: its store, keys, target and bounds, made of what was asked.

What only some runs need is imported when they do: boto3 and libcurl cost more time than validating a small folder.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts
from cloudtrail_validate.runtime.loop import fit_descriptor_limit, in_daemon_thread
from cloudtrail_validate.stores.key_file import KeySource, read_key_file
from cloudtrail_validate.stores.protocol import Store

if TYPE_CHECKING:
    import boto3

    from cloudtrail_validate.aws.session import Aws


class Session(msgspec.Struct, frozen=True):
    """What a run works with: where it reads, whose keys it takes, what it looks for, and how fast it may.

    `aws` is who reads the bucket, None for a local copy.
    """

    store: Store
    keys: KeySource
    target: Target
    limiter: RateLimiter
    aws: Aws | None = None


async def open_session(
    request: Request,
    window: Interval,
    now: datetime,
    timeouts: Timeouts | None = None,
    boto_session: boto3.Session | None = None,
    like: str = "",
) -> Session:
    """Everything that a run of this request works with. Raises as `validate`; the store is the caller's to close.

    `boto_session` is who asks AWS, None for whom the request and the environment name; `like` is a region of the
    partition that is meant where nothing else says a region.
    """
    limiter = RateLimiter(fit_descriptor_limit(request.concurrency), rate=request.max_rate)
    filed = read_key_file(request.public_keys) if request.public_keys else None
    if request.source is None:
        from cloudtrail_validate.aws.trail import locate

        aws = await in_daemon_thread(_identity, request, timeouts, boto_session, like)
        locating = asyncio.create_task(in_daemon_thread(locate, request, aws, window))
        await asyncio.sleep(0)  # AWS is asked while libcurl is imported
        from cloudtrail_validate.stores.s3 import S3

        store, keys = S3(aws, limiter=limiter, timeouts=timeouts), filed or _issuer(aws, window, now)
        target = replace(await locating, expect=request.places)
        aws.limit_to(target)
        return Session(store, keys, target, limiter, aws)
    from cloudtrail_validate.stores.local import Local

    keys = filed or _issuer(await in_daemon_thread(_identity, request, timeouts, boto_session, like), window, now)
    return Session(Local(request.source, follow_links=request.follow_links), keys, _local_target(request), limiter)


def reopen_store(
    source: Path | None,
    target: Target,
    limiter: RateLimiter,
    timeouts: Timeouts,
    *,
    follow_links: bool = False,
    credentials: tuple[str, str, str | None] | None = None,
    profile: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    trail_arn: str | None = None,
) -> Store:
    """Open the store of a run again in another process, as whoever `credentials` are. Blocking; raises as `validate`."""
    if source is not None:
        from cloudtrail_validate.stores.local import Local

        return Local(source, follow_links=follow_links, processes=False)
    import boto3

    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.stores.s3 import S3

    access, secret, token = credentials or (None, None, None)
    session = boto3.Session(
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name=region,
        profile_name=profile,
    )
    aws = Aws(
        session,
        trail_arn=trail_arn,
        endpoint_url=endpoint_url,
        connect=timeouts.connect,
        read=timeouts.read,
        attempts=timeouts.retries + 1,
    )
    aws.limit_to(target)
    return S3(aws, limiter=limiter, timeouts=timeouts)


def _issuer(aws: Aws, window: Interval, now: datetime) -> KeySource:
    from cloudtrail_validate.aws.public_keys import AwsKeys

    return AwsKeys(aws, window, now)


def _identity(request: Request, timeouts: Timeouts | None, boto_session: boto3.Session | None, like: str) -> Aws:
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
