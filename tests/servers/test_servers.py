"""The servers behave as the tests that use them believe."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.servers.aws_extra import DEFAULT_REGIONS, DigestDelivery, PublicKey
from tests.servers.clients import SECRET_KEY
from tests.servers.raw import BODY, BUCKET, KEY, Raw, error_of
from tests.servers.rclone import rclone_s3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy
    from tests.servers.rclone import RcloneServer

START = datetime(2026, 1, 1, tzinfo=UTC)


def key(number: int, start: datetime, *, days: int = 30) -> PublicKey:
    return PublicKey(
        Value=bytes([0x30, 0x82, 0xFF, number]),
        ValidityStartTime=start,
        ValidityEndTime=start + timedelta(days=days),
        Fingerprint=f"{number:032x}",
    )


# moto


def test_list_public_keys_pages_and_filters_by_time_and_region(aws: AwsServer) -> None:
    first = [key(number, START + timedelta(days=number)) for number in range(5)]
    late = key(9, START + timedelta(days=300))
    aws.public_keys = {"us-east-1": [*first, late], "eu-west-1": [key(77, START)]}
    pages = list(
        aws.client("cloudtrail")
        .get_paginator("list_public_keys")
        .paginate(StartTime=START, EndTime=START + timedelta(days=60))
    )
    assert [len(page["PublicKeyList"]) for page in pages] == [2, 2, 1]
    listed = [found for page in pages for found in page["PublicKeyList"]]
    assert [(found["Fingerprint"], found["Value"]) for found in listed] == [
        (each["Fingerprint"], each["Value"]) for each in first
    ]
    assert listed[0]["ValidityStartTime"] == START
    assert listed[0]["ValidityEndTime"] == START + timedelta(days=30)
    answer = aws.client("cloudtrail", "eu-west-1").list_public_keys(StartTime=START, EndTime=START)
    assert [found["Fingerprint"] for found in answer["PublicKeyList"]] == [f"{77:032x}"]
    assert aws.calls["cloudtrail:ListPublicKeys", "us-east-1"] == 3
    assert aws.calls["cloudtrail:ListPublicKeys", "eu-west-1"] == 1


def test_list_public_keys_honours_page_size_and_refuses_foreign_tokens(aws: AwsServer) -> None:
    aws.public_keys["us-east-1"] = [key(number, START) for number in range(3)]
    cloudtrail = aws.client("cloudtrail")
    end = START + timedelta(days=1)
    token = cloudtrail.list_public_keys(StartTime=START, EndTime=end)["NextToken"]
    with pytest.raises(ClientError) as caught:
        cloudtrail.list_public_keys(StartTime=START, EndTime=end + timedelta(days=1), NextToken=token)
    assert error_of(caught) == (400, "InvalidTokenException")
    with pytest.raises(ClientError) as caught:
        cloudtrail.list_public_keys(StartTime=end, EndTime=START)
    assert error_of(caught) == (400, "InvalidTimeRangeException")
    aws.page_size = 3
    assert "NextToken" not in cloudtrail.list_public_keys(StartTime=START, EndTime=end)


def test_a_reset_forgets_buckets_though_the_calls_were_forgotten_before(aws: AwsServer) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.calls.clear()
    aws.reset()
    assert aws.client("s3").list_buckets()["Buckets"] == []


def test_trail_status_and_description(aws: AwsServer) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    cloudtrail = aws.client("cloudtrail")
    for name in ("management", "other"):
        cloudtrail.create_trail(Name=name, S3BucketName=BUCKET, IsMultiRegionTrail=True)
    arn = cloudtrail.get_trail(Name="management")["Trail"]["TrailARN"]
    aws.digest_delivery["management", "us-east-1"] = DigestDelivery(time=START)
    aws.digest_delivery["management", "eu-west-1"] = DigestDelivery(error="AccessDenied")
    status = cloudtrail.get_trail_status(Name=arn)
    assert status["LatestDigestDeliveryTime"] == START
    assert "LatestDigestDeliveryError" not in status
    elsewhere = aws.client("cloudtrail", "eu-west-1").get_trail_status(Name=arn)
    assert elsewhere["LatestDigestDeliveryError"] == "AccessDenied"
    assert "LatestDigestDeliveryTime" not in elsewhere
    assert len(cloudtrail.describe_trails()["trailList"]) == 2
    assert [trail["Name"] for trail in cloudtrail.describe_trails(trailNameList=[arn])["trailList"]] == ["management"]


@pytest.mark.parametrize(
    ("permission", "call", "expected"),
    [
        ("cloudtrail:DescribeTrails", ("cloudtrail", "describe_trails", {}), (400, "AccessDeniedException")),
        ("cloudtrail:ListPublicKeys", ("cloudtrail", "list_public_keys", {}), (400, "AccessDeniedException")),
        ("organizations:ListAccounts", ("organizations", "list_accounts", {}), (400, "AccessDeniedException")),
        ("account:ListRegions", ("account", "list_regions", {}), (403, "AccessDeniedException")),
        ("ec2:DescribeRegions", ("ec2", "describe_regions", {}), (403, "UnauthorizedOperation")),
        ("sts:GetCallerIdentity", ("sts", "get_caller_identity", {}), (403, "AccessDenied")),
        ("s3:ListBucket", ("s3", "list_objects_v2", {"Bucket": BUCKET}), (403, "AccessDenied")),
        ("s3:ListBucket", ("s3", "head_bucket", {"Bucket": BUCKET}), (403, "403")),
        ("s3:ListBucketVersions", ("s3", "list_object_versions", {"Bucket": BUCKET}), (403, "AccessDenied")),
        ("s3:GetBucketLocation", ("s3", "get_bucket_location", {"Bucket": BUCKET}), (403, "AccessDenied")),
        ("s3:GetObject", ("s3", "get_object", {"Bucket": BUCKET, "Key": KEY}), (403, "AccessDenied")),
        ("s3:GetObject", ("s3", "head_object", {"Bucket": BUCKET, "Key": KEY}), (403, "403")),
    ],
)
def test_denied_actions(
    aws: AwsServer, permission: str, call: tuple[str, str, dict[str, str]], expected: tuple[int, str]
) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=b"{}")
    aws.client("organizations").create_organization()
    service, method, arguments = call
    ask = getattr(aws.client(service), method)
    ask(**arguments)
    aws.denied.add(permission)
    with pytest.raises(ClientError) as caught:
        ask(**arguments)
    assert error_of(caught) == expected
    aws.denied.clear()
    ask(**arguments)


def test_regions_are_the_same_by_both_ways_of_asking(aws: AwsServer) -> None:
    aws.enabled_regions = {*DEFAULT_REGIONS, "eu-south-1"} - {"sa-east-1"}
    regions: list[str] = []
    token: dict[str, str] = {}
    account = aws.client("account")
    while True:
        page = account.list_regions(RegionOptStatusContains=["ENABLED", "ENABLED_BY_DEFAULT"], MaxResults=5, **token)
        regions += [region["RegionName"] for region in page["Regions"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert set(regions) == aws.enabled_regions
    ec2 = aws.client("ec2")
    described = ec2.describe_regions()["Regions"]
    assert {region["RegionName"] for region in described} == aws.enabled_regions
    disabled = ec2.describe_regions(AllRegions=True, Filters=[{"Name": "opt-in-status", "Values": ["not-opted-in"]}])
    assert "sa-east-1" in {region["RegionName"] for region in disabled["Regions"]}
    with pytest.raises(ClientError) as caught:
        ec2.describe_regions(Filters=[{"Name": "endpoint", "Values": ["*"]}])
    assert error_of(caught) == (400, "InvalidParameterValue")


@pytest.mark.parametrize(
    ("service", "method", "expected"),
    [
        ("cloudtrail", "describe_trails", (400, "UnrecognizedClientException")),
        ("sts", "get_caller_identity", (403, "InvalidClientTokenId")),
        ("ec2", "describe_regions", (401, "AuthFailure")),
    ],
)
def test_a_region_that_is_not_enabled_knows_no_credentials(
    aws: AwsServer, service: str, method: str, expected: tuple[int, str]
) -> None:
    client = aws.client(service, "eu-south-2")
    with pytest.raises(ClientError) as caught:
        getattr(client, method)()
    assert error_of(caught) == expected
    aws.enabled_regions.add("eu-south-2")
    getattr(client, method)()


def test_what_moto_does_not_know_is_an_error_at_once(aws: AwsServer) -> None:
    with pytest.raises(ClientError) as caught:
        aws.client("cloudtrail").list_imports()
    assert error_of(caught) == (501, "NotImplemented")


@pytest.mark.parametrize("round_", [1, 2])
def test_each_test_finds_aws_empty(aws: AwsServer, round_: int) -> None:
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert (aws.public_keys, aws.denied, aws.digest_delivery) == ({}, set(), {})
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.denied.add("s3:ListAllMyBuckets")
    aws.public_keys["us-east-1"] = [key(1, START)]


@pytest.mark.parametrize("name", ["logs//AWSLogs/x.json.gz", "/lead", "a/../b", "100%2F + é.gz", "marker/"])
def test_moto_keeps_odd_keys_as_they_are(aws: AwsServer, name: str) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=name, Body=b"content", Metadata={"signature": "ab"})
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [name]
    answer = s3.get_object(Bucket=BUCKET, Key=name)
    assert answer["Body"].read() == b"content"
    assert answer["Metadata"] == {"signature": "ab"}


def test_moto_keeps_connections_open(aws: AwsServer, fault_proxy: Callable[[str], FaultProxy]) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    proxy = fault_proxy(aws.endpoint)
    with Raw(proxy.endpoint) as raw:
        assert [raw.ask("GET", f"/{BUCKET}")[0] for _ in range(5)] == [200] * 5
        assert raw.connection.sock is not None
    assert proxy.max_connections == 1


def test_aws_cli_reaches_moto(aws: AwsServer) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    cloudtrail = aws.client("cloudtrail")
    arn = cloudtrail.create_trail(Name="management", S3BucketName=BUCKET, EnableLogFileValidation=True)["TrailARN"]
    aws.public_keys["us-east-1"] = [key(number, START) for number in range(3)]
    arguments = ["--trail-arn", arn, "--start-time", "2026-01-01T00:00:00Z", "--end-time", "2026-01-02T00:00:00Z"]
    result = subprocess.run(
        [sys.executable, "-m", "awscli", "cloudtrail", "validate-logs", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr == ""
    assert (
        f"Validating log files for trail {arn} between 2026-01-01T00:00:00Z and 2026-01-02T00:00:00Z" in result.stdout
    )
    assert "No digest" in result.stdout
    assert result.returncode == 0
    assert aws.calls["s3:ListBucket", "us-east-1"] >= 1


# rclone


def test_rclone_keeps_metadata_and_capitalises_it(bucket: RcloneServer) -> None:
    answer = bucket.client().get_object(Bucket=BUCKET, Key=KEY)
    assert answer["Body"].read() == BODY
    assert answer["Metadata"] == {"Signature": "ab", "Signature-Algorithm": "SHA256withRSA"}
    assert (bucket.root / BUCKET / KEY).read_bytes() == BODY


def test_rclone_checks_signatures(bucket: RcloneServer) -> None:
    with pytest.raises(ClientError) as caught:
        bucket.client(secret_key="wrong").get_object(Bucket=BUCKET, Key=KEY)
    assert error_of(caught) == (403, "SignatureDoesNotMatch")
    with pytest.raises(ClientError) as caught:
        bucket.client(access_key="AKIAI44QH8DHBEXAMPLE").list_objects_v2(Bucket=BUCKET)
    assert error_of(caught) == (403, "InvalidAccessKeyId")


def test_rclone_sees_the_disk_where_it_is_told_to(tmp_path: Path) -> None:
    with rclone_s3(tmp_path, watch_disk=True) as server:
        s3 = server.client()
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"old", Metadata={"signature": "ab"})
        (server.root / BUCKET / "a").write_bytes(b"changed")
        (server.root / BUCKET / "b").write_bytes(b"new")
        changed = s3.get_object(Bucket=BUCKET, Key="a")
        assert (changed["Body"].read(), changed["Metadata"]) == (b"changed", {})
        assert s3.get_object(Bucket=BUCKET, Key="b")["Body"].read() == b"new"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((urlsplit(server.endpoint).hostname, urlsplit(server.endpoint).port))


# The environment


def test_no_credentials_reach_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    assert boto3.Session().get_credentials() is None
    assert not {name for name in os.environ if name.lower().endswith("_proxy")}


def test_setup_clients_do_not_read_the_environment(
    aws: AwsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "auditor")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert aws.client("s3").list_buckets()["Buckets"] == []


def test_aws_leads_every_sdk_to_the_server(aws: AwsServer) -> None:
    credentials = boto3.Session().get_credentials()
    assert credentials is not None
    assert credentials.secret_key == SECRET_KEY
    assert boto3.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert boto3.client("s3").meta.endpoint_url == aws.endpoint
