"""What explains a gap: events in proven logs, CloudTrail's event history, lifecycle rules."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import Request, run
from cloudtrail_validate.core.activity import explaining_events
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.evidence.event_history import expiring_rule
from cloudtrail_validate.simulate import FolderSink, Restart, TrailSpec, simulate
from tests.cli.helpers import call
from tests.faults.helpers import SPEC, deliver
from tests.servers import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy

STOPPED = TrailSpec(hours=12, logs_per_hour=2, events_per_log=3, restarts=(Restart(5, 2),))
EVENT = {
    "eventTime": "2026-01-01T04:50:00Z",
    "eventName": "StopLogging",
    "eventSource": "cloudtrail.amazonaws.com",
    "eventID": "0e0f0000-0000-4000-a000-000000000001",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "192.0.2.7",
    "userIdentity": {"arn": "arn:aws:iam::111122223333:user/operator"},
    "requestParameters": {"name": "management-events"},
}


def test_the_logs_around_a_gap_tell_who_stopped_the_trail(tmp_path: Path) -> None:
    simulation = simulate(STOPPED, FolderSink(tmp_path / "trail"))
    keys = tmp_path / "keys.json"
    keys.write_text(simulation.keys.as_json())
    window = simulation.manifest.window
    request = Request(
        start=window.start,
        end=window.end,
        source=tmp_path / "trail",
        public_keys=keys,
        trail_arn=simulation.manifest.trail_arn,
    )
    (gap,) = run(request).report.findings
    assert gap.rule == "gap-restart"
    assert [event.event_name for event in gap.explanations] == ["StopLogging", "StartLogging"]
    for event in gap.explanations:
        assert event.log is not None
        assert "/CloudTrail/us-east-1/" in event.log
        assert event.principal.startswith("arn:aws:")
    assert gap.explanations[0].time < gap.start < gap.end < gap.explanations[1].time  # type: ignore[operator]  # a gap has hours


def test_a_clean_trail_is_not_read_twice(tmp_path: Path) -> None:
    simulation = simulate(TrailSpec(hours=2, logs_per_hour=1), FolderSink(tmp_path / "trail"))
    keys = tmp_path / "keys.json"
    keys.write_text(simulation.keys.as_json())
    window = simulation.manifest.window
    report = run(Request(start=window.start, end=window.end, source=tmp_path / "trail", public_keys=keys)).report
    assert report.findings == ()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, 1),
        ({"eventSource": "s3.amazonaws.com"}, 0),
        ({"eventTime": "yesterday"}, 0),
        ({"eventTime": 5}, 0),
        ({"eventName": "ListTrails"}, 0),
        ({"userIdentity": "root"}, 1),
        ({"eventName": "DeleteObject", "eventSource": "s3.amazonaws.com", "requestParameters": None}, 0),
        ({"eventName": "DeleteObject", "eventSource": "s3.amazonaws.com", "requestParameters": {"bucketName": "b"}}, 1),
        ({"eventName": "DeleteObject", "eventSource": "s3.amazonaws.com", "requestParameters": {"bucketName": "c"}}, 0),
    ],
    ids=str,
)
def test_what_counts_as_an_explanation(change: dict[str, Any], found: int) -> None:
    content = json.dumps({"Records": [EVENT | change, {"eventName": ["StopLogging"]}, 5]}).encode()
    assert len(list(explaining_events(content, Locator("b", "k"), "b"))) == found


@pytest.mark.parametrize(
    "content", [b"", b"StopLogging", b'{"Records": "StopLogging"}', b"[" * 100_000 + b"StopLogging"]
)
def test_hostile_content_explains_nothing(content: bytes) -> None:
    assert list(explaining_events(content, None, "")) == []


def test_the_event_history_is_asked_only_on_request(
    aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = replace(SPEC, hours=12, logs_per_hour=0, restarts=(Restart(5, 2),), start=_recent())
    trail = deliver(aws, quiet)
    proxy = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    told = json.dumps(EVENT | {"eventTime": f"{quiet.start + timedelta(hours=4, minutes=50):%Y-%m-%dT%H:%M:%SZ}"})
    body = json.dumps({"Events": [{"EventId": "1", "CloudTrailEvent": told}]}).encode()
    asked = proxy.fault(faults.Respond(200, body, "application/x-amz-json-1.1"), operation="^LookupEvents$")
    window = trail.simulation.manifest.window
    request = Request(start=window.start, end=window.end, trail_arn=trail.arn)
    assert [finding.explanations for finding in run(request).report.findings if finding.rule == "gap-restart"] == [()]
    assert asked.fired == 0
    request = Request(start=window.start, end=window.end, trail_arn=trail.arn, lookup_events=True)
    (gap,) = (finding for finding in run(request).report.findings if finding.rule == "gap-restart")
    assert [(event.event_name, event.log) for event in gap.explanations] == [("StopLogging", None)]
    assert asked.fired


def test_a_lifecycle_rule_that_fits_what_is_missing_is_named(aws: AwsServer) -> None:
    trail = deliver(aws)
    s3 = aws.client("s3")
    rule: Any = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "AWSLogs/"}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=trail.simulation.manifest.bucket, LifecycleConfiguration={"Rules": [rule]}
    )
    s3.delete_object(Bucket=trail.simulation.manifest.bucket, Key=trail.logs[0])
    window = trail.simulation.manifest.window
    report = run(Request(start=window.start, end=window.end, trail_arn=trail.arn)).report
    (missing,) = (finding for finding in report.findings if finding.rule == "log-missing")
    assert isinstance(missing.lifecycle, str)
    assert missing.lifecycle.startswith("tidy: expires objects under 'AWSLogs/' after 30 days")


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"Status": "Enabled", "Expiration": {"Days": 10}}, True),
        ({"Status": "Disabled", "Expiration": {"Days": 10}}, False),
        ({"Status": "Enabled", "Expiration": {"Days": 100}}, False),
        ({"Status": "Enabled", "Prefix": "other/", "Expiration": {"Days": 10}}, False),
        ({"Status": "Enabled", "Filter": {"And": {"Prefix": "AWSLogs/"}}, "Expiration": {"Days": 10}}, True),
        ({"Status": "Enabled", "Expiration": {"ExpiredObjectDeleteMarker": True}}, False),
        ({"Status": "Enabled"}, False),
    ],
    ids=str,
)
def test_which_lifecycle_rules_fit(rule: dict[str, Any], fits: bool) -> None:
    assert bool(expiring_rule([rule], "AWSLogs/1/x", timedelta(days=40))) is fits


def test_json_lines_come_as_found_and_end_with_the_summary(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    simulation = simulate(TrailSpec(hours=6), FolderSink(tmp_path / "trail"), ("log-altered", "log-missing"))
    keys = tmp_path / "keys.json"
    keys.write_text(simulation.keys.as_json())
    manifest = simulation.manifest
    answer = call(
        capfd,
        *("--source", str(tmp_path / "trail"), "--public-keys", str(keys), "--format", "jsonl"),
        *("--start-time", f"{manifest.start:%Y-%m-%dT%H:%M:%SZ}", "--end-time", f"{manifest.end:%Y-%m-%dT%H:%M:%SZ}"),
    )
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 1
    assert [lines[0]["type"], lines[-1]["type"]] == ["run", "summary"]
    found = {line["rule"] for line in lines if line["type"] == "finding"}
    assert found == {"log-altered", "log-missing"}
    assert lines[-1]["exit_code"] == 1


def _recent() -> datetime:
    """A start whose trail the 90 days of event history still hold."""
    return (datetime.now(UTC) - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
