"""A trail that AWS serves under its own names, and the command line's answer about it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from cloudtrail_validate.simulate import simulate
from tests.faults.helpers import SPEC, RecordingSink, Trail, publish, same_keys
from tests.servers.internet import Bucket, Internet

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

REGION = "eu-west-1"
INTERFACE = "bucket.vpce-0123456789abcdef0-a1b2c3d4.s3.{region}.vpce.amazonaws.com"
SMALL = dataclasses.replace(SPEC, hours=2)


def trail_in(net: Internet, aws: AwsServer, region: str = REGION, **options: Any) -> Trail:
    """Write a trail whose home, bucket and key are in a region."""
    spec = dataclasses.replace(SMALL, home_region=region, regions=(region,), **options)
    aws.enabled_regions.add(region)
    client = aws.client("s3", region)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=spec.bucket, **place)  # type: ignore[arg-type]  # any region's name
    sink = RecordingSink(spec.bucket, client)
    simulation = simulate(spec, sink, (), new_key=same_keys())
    publish(aws, simulation)
    aws.client("cloudtrail", region).create_trail(
        Name=spec.trail_name, S3BucketName=spec.bucket, EnableLogFileValidation=True
    )
    net.buckets[spec.bucket] = Bucket(region)
    digests = tuple(sorted(key for role, key in sink.written if role == "digest"))
    return Trail(simulation, digests, tuple(sorted(key for role, key in sink.written if role == "log")))
