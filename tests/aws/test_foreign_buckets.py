"""Chains that lead to other buckets: whose they are is not for the chain to say."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import Request, run
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.simulate.signing import KeyRing
from tests.aws.kit import REGION, SMALL
from tests.faults.helpers import QUICK, real, same_keys
from tests.scenarios.keys import publish
from tests.scenarios.moving import moving
from tests.scenarios.vector import Move
from tests.servers.internet import OWNER, Bucket, Internet

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report
    from cloudtrail_validate.simulate import Delivery
    from tests.servers.aws import AwsServer

OLD, NEW = "amzn-s3-demo-bucket1", "amzn-s3-demo-bucket2"
SPEC = dataclasses.replace(SMALL, hours=4, bucket=OLD, regions=(REGION,), home_region=REGION)
MOVED_AT = 2
STRANGER = "444455556666"


@pytest.fixture
def moved(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trail of moto's account, whose bucket changed while it ran."""
    monkeypatch.setenv("AWS_REGION", REGION)
    ring = KeyRing(SPEC, same_keys())
    buckets: dict[str, list[Delivery]] = defaultdict(list)
    for bucket, delivery in moving(SPEC, [Move(hour=MOVED_AT, bucket=NEW)], ring):
        buckets[bucket].append(delivery)
    client: Any = aws_server.client("s3", REGION)
    placed = {"LocationConstraint": REGION}
    for bucket, deliveries in buckets.items():
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration=placed)
        for item in deliveries:
            client.put_object(Bucket=bucket, Key=item.key, Body=item.body, Metadata=dict(item.metadata or {}))
        net.buckets[bucket] = Bucket(REGION)
    publish(aws_server, ring.published())
    aws_server.client("cloudtrail", REGION).create_trail(
        Name=SPEC.trail_name, S3BucketName=NEW, EnableLogFileValidation=True
    )


def asked(**options: Any) -> Report:
    request = Request(start=SPEC.base, end=SPEC.end, **options)
    return run(request, now=SPEC.end + (SPEC.hour(1).end - SPEC.hour(0).end), timeouts=QUICK).report


def unproven(report: Report) -> str:
    """What is said of the old hours, where nobody looked into the old bucket."""
    assert report.exit_code == 3
    found = {finding.rule: finding for finding in real(report)}
    assert set(found) == {"digest-unreadable", "gap-broken"}
    assert found["gap-broken"].end == SPEC.hour(MOVED_AT - 1).end
    assert found["digest-unreadable"].bucket == OLD
    return found["digest-unreadable"].message


@pytest.mark.usefixtures("moved")
def test_a_bucket_that_a_foreign_chain_names(net: Internet) -> None:
    """Only a bucket was asked for: nothing is sent to another, and the finding says how it would be."""
    message = unproven(asked(bucket=NEW))
    assert f"it lies in the bucket {OLD}, which was not asked for" in message
    assert "name it with --also-bucket" in message
    assert {visit.bucket for visit in net.visited("s3")} == {NEW}


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("options", [{}, {"bucket": NEW}])
def test_a_bucket_of_the_trail_s_owner(net: Internet, options: dict[str, str]) -> None:
    report = asked(trail_arn=SPEC.trail_arn.replace(SPEC.owner, OWNER), **options)
    assert (report.exit_code, real(report), report.summary.logs.valid) == (0, [], 8)
    expected = {visit.headers.get("x-amz-expected-bucket-owner") for visit in net.visited("s3") if visit.bucket == OLD}
    assert OWNER in expected
    assert all("x-amz-expected-bucket-owner" not in visit.headers for visit in net.visited("s3") if visit.bucket == NEW)


@pytest.mark.usefixtures("moved")
def test_a_bucket_that_has_come_into_other_hands(net: Internet) -> None:
    net.buckets[OLD] = Bucket(REGION, owner=STRANGER)
    message = unproven(asked(trail_arn=SPEC.trail_arn.replace(SPEC.owner, OWNER)))
    assert f"the bucket {OLD} does not belong to {OWNER}, or s3:ListBucket on it is denied" in message
    assert {visit.method for visit in net.visited("s3") if visit.bucket == OLD} == {"HEAD"}


@pytest.mark.usefixtures("moved")
def test_a_bucket_that_was_named(net: Internet) -> None:
    net.buckets[OLD] = Bucket(REGION, owner=STRANGER)
    report = asked(bucket=NEW, also_buckets=(OLD,))
    assert (report.exit_code, real(report), report.summary.logs.valid) == (0, [], 8)
    assert all("x-amz-expected-bucket-owner" not in visit.headers for visit in net.visited("s3"))


@pytest.mark.usefixtures("moved")
def test_evidence_is_not_looked_for_in_a_bucket_that_is_not_visited(net: Internet) -> None:
    unproven(asked(bucket=NEW, versions=True, lookup_events=True))
    assert {visit.bucket for visit in net.visited("s3")} == {NEW}


@pytest.mark.parametrize(
    ("target", "visited", "owner"),
    [
        (Target(NEW, None), False, None),
        (Target(NEW, None, also_buckets=(OLD,)), True, None),
        (Target(OLD, None), True, None),
        (Target(NEW, None, "trail", REGION, OWNER), True, OWNER),
        (Target(NEW, None, "trail", REGION, OWNER, also_buckets=(OLD,)), True, None),
        (Target("", None), True, None),  # a local copy
    ],
)
def test_which_bucket_is_visited(target: Target, visited: bool, owner: str | None) -> None:
    assert target.may_visit(OLD) is visited
    assert target.expected_owner(OLD) == owner
    assert target.may_visit(target.bucket)
    assert target.expected_owner(target.bucket) is None
