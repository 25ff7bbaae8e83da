"""Permissions and settings that are missing: what can be done without them is done, and what cannot is one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.httpsession import where

from cloudtrail_validate import AccessError, ConfigurationError
from tests.faults.helpers import BUCKET, LOGS, SPEC, real, rules_of

if TYPE_CHECKING:
    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer

ROLE = "arn:aws:iam::123456789012:role/auditor"


def line(error: pytest.ExceptionInfo[Exception]) -> str:
    """The message, which is one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


def test_get_trail_serves_where_describe_trails_is_denied(aws: AwsServer, trail: Trail) -> None:
    aws.denied.add("cloudtrail:DescribeTrails")
    report = trail.run(trail_arn=trail.arn).report
    assert (report.exit_code, real(report), report.summary.logs.valid) == (0, [], LOGS)
    assert aws.calls["cloudtrail:GetTrail", "us-east-1"] >= 1


def test_without_either_the_line_names_both(aws: AwsServer, trail: Trail) -> None:
    aws.denied |= {"cloudtrail:DescribeTrails", "cloudtrail:GetTrail"}
    with pytest.raises(AccessError) as caught:
        trail.run(trail_arn=trail.arn)
    message = line(caught)
    for word in ("cloudtrail:DescribeTrails", "cloudtrail:GetTrail", "--s3-bucket"):
        assert word in message


def test_with_a_bucket_only_public_keys_are_asked_for(aws: AwsServer, trail: Trail) -> None:
    aws.denied |= {"cloudtrail:DescribeTrails", "cloudtrail:GetTrail", "cloudtrail:GetTrailStatus"}
    requests: list[dict[str, Any]] = [{"trail_arn": trail.arn, "bucket": BUCKET}, {"bucket": BUCKET}]
    for request in requests:
        report = trail.run(**request).report
        assert (report.exit_code, real(report), report.summary.logs.valid) == (0, [], LOGS)


def test_what_only_helps_is_no_finding_when_denied(aws: AwsServer, trail: Trail) -> None:
    aws.denied |= {
        "account:ListRegions",
        "ec2:DescribeRegions",
        "organizations:ListAccounts",
        "sts:GetCallerIdentity",
        "cloudtrail:GetTrailStatus",
        "s3:GetBucketLocation",
    }
    report = trail.run(trail_arn=trail.arn).report
    assert (report.exit_code, real(report), report.run.caller_arn) == (0, [], None)


def test_without_public_keys_nothing_is_proven(aws: AwsServer, trail: Trail) -> None:
    aws.denied.add("cloudtrail:ListPublicKeys")
    report = trail.run().report
    assert set(rules_of(report)) == {"digest-key-unknown", "gap-broken", "log-undigested"}
    finding = next(finding for finding in report.findings if finding.rule == "digest-key-unknown")
    assert (finding.status, finding.cause) == ("unverifiable", "access-denied")
    assert "allow cloudtrail:ListPublicKeys" in finding.message
    assert report.exit_code == 3


def test_exported_keys_need_no_permission(aws: AwsServer, trail: Trail, tmp_path: Path) -> None:
    aws.denied.add("cloudtrail:ListPublicKeys")
    report = trail.run(public_keys=trail.keys_file(tmp_path)).report
    assert (report.exit_code, {key.source for key in report.public_keys}) == (0, {"file"})
    assert aws.calls["cloudtrail:ListPublicKeys", "us-east-1"] == 0


def test_without_list_bucket_the_line_names_it(aws: AwsServer, trail: Trail) -> None:
    aws.denied.add("s3:ListBucket")
    requests: list[dict[str, Any]] = [{"trail_arn": trail.arn}, {"bucket": BUCKET}]
    for request in requests:
        with pytest.raises(AccessError) as caught:
            trail.run(**request)
        assert "allow s3:ListBucket" in line(caught)


def test_without_get_object_everything_is_unverifiable(aws: AwsServer, trail: Trail) -> None:
    aws.denied.add("s3:GetObject")
    report = trail.run().report
    assert {finding.status for finding in real(report)} == {"unverifiable", "uncovered"}
    assert all("s3:GetObject" in finding.message for finding in real(report) if finding.rule == "digest-unreadable")
    assert report.exit_code == 3


def test_a_role_that_may_be_assumed(aws: AwsServer, trail: Trail) -> None:
    report = trail.run(role_arn=ROLE, external_id="tail-of-a-string").report
    assert report.exit_code == 0
    assert report.run.caller_arn == "arn:aws:sts::123456789012:assumed-role/auditor/ctvalidate"


@pytest.mark.parametrize("by_trail", [True, False])
def test_a_role_that_may_not_be_assumed(aws: AwsServer, trail: Trail, by_trail: bool) -> None:
    aws.denied.add("sts:AssumeRole")
    with pytest.raises(ConfigurationError) as caught:
        trail.run(role_arn=ROLE, trail_arn=trail.arn if by_trail else None, bucket=None if by_trail else BUCKET)
    assert "sts:AssumeRole" in line(caught)
    assert ROLE in line(caught)
    assert aws.calls["s3:ListBucket", "us-east-1"] == 0


def test_no_credentials(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    requests: list[dict[str, Any]] = [{"role_arn": ROLE}, {}]
    for request in requests:
        with pytest.raises(ConfigurationError) as caught:
            trail.run(**request)
        assert "no AWS credentials found" in line(caught)


def test_no_such_bucket(trail: Trail) -> None:
    with pytest.raises(ConfigurationError) as caught:
        trail.run(bucket="amzn-s3-demo-bucket-of-nobody")
    assert "s3://amzn-s3-demo-bucket-of-nobody/" in line(caught)


def test_no_such_trail(trail: Trail) -> None:
    with pytest.raises(ConfigurationError) as caught:
        trail.run(trail_arn=trail.arn + "-of-last-year")
    assert trail.arn + "-of-last-year" in line(caught)
    assert "--s3-bucket" in line(caught)


def test_what_a_deleted_trail_left_behind(aws: AwsServer, trail: Trail) -> None:
    aws.client("cloudtrail").delete_trail(Name=SPEC.trail_name)
    report = trail.run(trail_arn=trail.arn, bucket=BUCKET).report
    assert (report.exit_code, real(report)) == (0, [])


@pytest.mark.parametrize(
    "content", [None, b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_bundle_that_is_none(
    trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
    with pytest.raises(ConfigurationError) as caught:
        trail.run()
    assert "AWS_CA_BUNDLE: expected a readable PEM file" in line(caught)


def test_a_ca_bundle_with_names_in_utf_8(trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle.pem"
    path.write_bytes("# Főtanúsítvány\n".encode() + Path(where()).read_bytes())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
    assert trail.run().report.exit_code == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_PROFILE", "no-such-profile", "no-such-profile"),
        ("AWS_ENDPOINT_URL", "not a url", "not a url"),
        ("AWS_ENDPOINT_URL_S3", "nonsense", "nonsense"),
    ],
)
def test_an_environment_that_is_wrong(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        trail.run()
    assert words in line(caught)


def test_nobody_listens(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(AccessError) as caught:
        trail.run()
    assert "network" in line(caught)
    with pytest.raises(AccessError) as caught:
        trail.run(trail_arn=trail.arn)
    assert "cannot look up the trail" in line(caught)


def test_a_wrong_profile_of_the_request(trail: Trail) -> None:
    with pytest.raises(ConfigurationError) as caught:
        trail.run(profile="auditor")
    assert "auditor" in line(caught)


def test_a_region_that_is_not_enabled_is_unverifiable(aws: AwsServer, trail: Trail) -> None:
    aws.enabled_regions.remove("us-east-1")
    report = trail.run().report
    unknown = [finding for finding in report.findings if finding.rule == "digest-key-unknown"]
    assert {finding.cause for finding in unknown} == {"access-denied"}
    assert all("see that the region is enabled" in finding.message for finding in unknown)
    assert report.exit_code == 3


def test_the_caller_is_named(trail: Trail) -> None:
    assert trail.run().report.run.caller_arn == "arn:aws:sts::123456789012:user/moto"
