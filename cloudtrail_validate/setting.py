"""What a run works with: its store, keys, target and bounds, made of what was asked.

What only some runs need is imported when they do: botocore and obstore cost more time than validating a small folder.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.discover import Target
from cloudtrail_validate.keys import KeySource, read_key_file
from cloudtrail_validate.layout import parse_trail_arn
from cloudtrail_validate.loop import aside, room_for
from cloudtrail_validate.model import Interval
from cloudtrail_validate.pace import Pace, Patience
from cloudtrail_validate.request import Request
from cloudtrail_validate.stores import Store

if TYPE_CHECKING:
    from cloudtrail_validate.aws import Aws


class Setting(msgspec.Struct, frozen=True):
    """What a run works with: where it reads, whose keys it takes, what it looks for, and how fast it may.

    `aws` is who reads the bucket, None for a local copy.
    """

    store: Store
    keys: KeySource
    target: Target
    pace: Pace
    aws: Aws | None = None


async def open_setting(request: Request, window: Interval, now: datetime, patience: Patience | None = None) -> Setting:
    """Everything that a run of this request works with. Raises as `validate`; the store is the caller's to close."""
    pace = Pace(room_for(request.concurrency), rate=request.max_rate)
    filed = read_key_file(request.public_keys) if request.public_keys else None
    if request.source is None:
        from cloudtrail_validate.trails import locate

        aws = await aside(_identity, request, patience)
        locating = asyncio.create_task(aside(locate, request, aws, window))
        await asyncio.sleep(0)  # AWS is asked while obstore is imported
        from cloudtrail_validate.stores.s3 import S3

        store, keys = S3(aws, pace=pace, patience=patience), filed or _issuer(aws, window, now)
        return Setting(store, keys, await locating, pace, aws)
    from cloudtrail_validate.stores.local import Local

    keys = filed or _issuer(await aside(_identity, request, patience), window, now)
    return Setting(Local(request.source), keys, _local_target(request), pace)


def _issuer(aws: Aws, window: Interval, now: datetime) -> KeySource:
    from cloudtrail_validate.issuer import AwsKeys

    return AwsKeys(aws, window, now)


def _identity(request: Request, patience: Patience | None) -> Aws:
    from cloudtrail_validate.aws import Aws

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
