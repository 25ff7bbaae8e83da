"""A trail that AWS serves under its own names, and the command line's answer about it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import run
from cloudtrail_validate.simulate import simulate
from tests.faults.helpers import QUICK, SPEC, RecordingSink, Trail, publish, same_keys
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.servers.internet import Bucket, Internet, Reply, Visit, api_error, query_error, s3_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.aws import AwsServer

REGION = "eu-west-1"
INTERFACE = "bucket.vpce-0123456789abcdef0-a1b2c3d4.s3.{region}.vpce.amazonaws.com"
SMALL = dataclasses.replace(SPEC, hours=2)
ROLE = "arn:aws:iam::123456789012:role/auditor"
KEYS = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
THROUGH_ROLE = f"role_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}"
"""The rest of a profile that assumes the role with the keys of another."""


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


def refusal(trail: Trail, kind: type[Exception], **options: Any) -> str:
    """The one line that nothing was validated with."""
    with pytest.raises(kind) as caught:
        run(trail.request(**options), timeouts=QUICK)
    line = str(caught.value)
    assert "\n" not in line
    assert "internal error" not in line
    return line


def everywhere(code: str, message: str) -> Callable[[Visit], Reply]:
    """A refusal of every request, as each service words it."""

    def answer(visit: Visit) -> Reply:
        if visit.place.service == "s3":
            return s3_error(visit, 400 if code == "ExpiredToken" else 403, code, message)
        if visit.place.service == "sts":
            return query_error(403, code, message)
        return api_error(400, code, message)

    return answer


EXPIRED = everywhere("ExpiredToken", "The provided token has expired.")
