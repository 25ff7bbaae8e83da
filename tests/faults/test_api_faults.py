"""CloudTrail and STS that fail: what is only useful is done without, what is needed is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate import AccessError
from tests.faults.helpers import BRISK, LOGS, real, rules_of
from tests.servers import faults

if TYPE_CHECKING:
    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy

HOTEL = faults.Respond(200, b"<html>Welcome to the hotel</html>", "text/html")
FAULTS = {
    "throttled": (faults.throttling(), "throttled"),
    "500": (faults.api_error(500, "InternalFailure", "The request failed."), "network"),
    "reset": (faults.Reset(), "network"),
    "hang": (faults.Hang(), "network"),
    "truncated": (faults.Truncate(20), "network"),
    "expired": (faults.api_error(400, "ExpiredTokenException", "The token has expired."), "access-denied"),
    "hotel": (HOTEL, "network"),
}
PASSING = [FAULTS[name][0] for name in ("throttled", "500", "reset", "hang", "truncated")]
each = pytest.mark.parametrize(("action", "cause"), FAULTS.values(), ids=FAULTS.keys())
some = pytest.mark.parametrize("action", [FAULTS[name][0] for name in ("throttled", "truncated", "hang", "hotel")])


@pytest.mark.parametrize("action", PASSING, ids=["throttled", "500", "reset", "hang", "truncated"])
def test_what_passes_leaves_no_trace(trail: Trail, proxy: FaultProxy, action: faults.Action) -> None:
    rules = [proxy.fault(action, operation=name, first=1) for name in ("DescribeTrails", "ListPublicKeys")]
    report = trail.run(trail_arn=trail.arn).report
    assert [rule.fired for rule in rules] == [1, 1]
    assert (report.exit_code, real(report), report.summary.logs.valid) == (0, [], LOGS)


@each
def test_keys_that_cannot_be_had(trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str) -> None:
    proxy.fault(action, operation="ListPublicKeys")
    report = trail.run(BRISK).report
    assert set(rules_of(report)) == {"digest-key-unknown", "gap-broken", "log-undigested"}
    unknown = [finding for finding in report.findings if finding.rule == "digest-key-unknown"]
    assert {(finding.status, finding.cause) for finding in unknown} == {("unverifiable", cause)}
    assert all("cloudtrail:ListPublicKeys in us-east-1" in finding.message for finding in unknown)
    assert all("\n" not in finding.message for finding in unknown)
    assert report.exit_code == 3


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"PublicKeyList": [{}]},
        {"PublicKeyList": [{"Fingerprint": "00" * 16, "Value": "AAAA"}]},
        {"PublicKeyList": [{"Fingerprint": 7, "Value": "!", "ValidityStartTime": "x", "ValidityEndTime": 1e300}]},
        {"PublicKeyList": None, "NextToken": "again"},
        {"NextToken": "again"},
        {"PublicKeyList": "many"},
        [],
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_an_answer_without_keys_is_no_proof_and_no_crash(trail: Trail, proxy: FaultProxy, answer: object) -> None:
    proxy.fault(
        faults.Respond(200, json.dumps(answer).encode(), "application/x-amz-json-1.1"), operation="ListPublicKeys"
    )
    report = trail.run(BRISK).report
    assert set(rules_of(report)) == {"digest-key-unknown", "gap-broken", "log-undigested"}
    assert {finding.status for finding in real(report)} == {"unverifiable", "uncovered"}
    assert not any("internal error" in finding.message for finding in report.findings)


@some
def test_get_trail_serves_where_describe_trails_fails(trail: Trail, proxy: FaultProxy, action: faults.Action) -> None:
    proxy.fault(action, operation="DescribeTrails")
    report = trail.run(BRISK, trail_arn=trail.arn).report
    assert (report.exit_code, real(report)) == (0, [])


@some
def test_a_trail_that_cannot_be_looked_up_is_one_line(trail: Trail, proxy: FaultProxy, action: faults.Action) -> None:
    proxy.fault(action, operation="DescribeTrails|GetTrail$")
    with pytest.raises(AccessError) as caught:
        trail.run(BRISK, trail_arn=trail.arn)
    assert "\n" not in str(caught.value)
    assert "--s3-bucket" in str(caught.value)


@pytest.mark.parametrize(
    "action", [faults.Hang(), faults.Reset(), HOTEL, faults.throttling()], ids=["hang", "reset", "hotel", "json"]
)
def test_who_is_asking_is_left_open_where_sts_fails(
    trail: Trail, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, aws: AwsServer, action: faults.Action
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDTRAIL", aws.endpoint)
    rule = proxy.fault(action)  # what is left is STS
    report = trail.run(BRISK, trail_arn=trail.arn).report
    assert (report.exit_code, real(report), report.run.caller_arn) == (0, [], None)
    assert rule.fired >= 1
