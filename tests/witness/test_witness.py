"""`ctvalidate witness`: what the sources tell is held against the logs, and every benign reason is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloudtrail_validate.report import WitnessRecord, formats, from_json

from .kit import ACCOUNT, BUCKET, GROUP, REGION, Trail, found, tool

if TYPE_CHECKING:
    from pathlib import Path

    from cloudtrail_validate.report import Report
    from tests.servers.aws import AwsServer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's own pace would make an hour of these tests."""
    monkeypatch.setattr("cloudtrail_validate.witness.sources.HISTORY_RATE", 1_000.0)
    monkeypatch.setattr("cloudtrail_validate.witness.sources.GROUP_RATE", 1_000.0)
    monkeypatch.setattr("cloudtrail_validate.aws.event_history._FIRST_WAIT", 0.01)


@pytest.fixture
def trail(aws: AwsServer) -> Trail:
    return Trail(aws)


def record(report: Report) -> WitnessRecord:
    assert isinstance(report.witness, WitnessRecord)
    return report.witness


def middle(trail: Trail) -> str:
    return trail.logs[len(trail.logs) // 2]


def hidden(trail: Trail, **changes: Any) -> dict[str, Any]:
    """An event that no log holds, of the middle of the window, told by event history."""
    event = deepcopy(trail.read(middle(trail))[0]) | {"eventID": "11111111-2222-4333-8444-555555555555"} | changes
    trail.aws.history[REGION].append(event)
    return event


def test_sources_and_logs_agree(trail: Trail) -> None:
    report = trail.witness()
    told = record(report)
    assert (report.exit_code, found(report)) == (0, [])
    assert told.compared == told.agreeing == len(trail.events)
    (source,) = told.sources
    assert (source.source, source.account, source.region, source.problem) == ("event-history", ACCOUNT, REGION, None)
    assert source.events == len(trail.events) > 50  # more than a page
    assert told.whole


def test_the_log_group_is_asked_where_the_trail_is_known(trail: Trail) -> None:
    told = record(trail.witness(trail=trail.create()))
    assert [source.source for source in told.sources] == ["event-history", "log-group"]
    assert told.compared == 2 * len(trail.events) == told.agreeing


def test_an_event_that_no_log_holds(trail: Trail) -> None:
    event = hidden(trail, readOnly=False)
    report = trail.witness()
    assert (report.exit_code, found(report)) == (3, [("witness-event-absent", event["eventID"])])
    (finding,) = [one for one in report.findings if one.rule == "witness-event-absent"]
    assert "selectors are not known" in finding.message
    assert event["eventName"] in finding.message
    report = trail.witness("--tolerate", "witness-event-absent")
    assert report.exit_code == 0
    told = trail.witness(trail=trail.create())
    assert "should be" in next(one.message for one in told.findings if one.rule == "witness-event-absent")


@pytest.mark.parametrize(
    ("selectors", "read_only"),
    [
        ({"EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]}, True),
        ({"EventSelectors": [{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}]}, False),
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": False}]}, False),
        (
            {
                "EventSelectors": [
                    {
                        "ReadWriteType": "All",
                        "IncludeManagementEvents": True,
                        "ExcludeManagementEventSources": ["kms.amazonaws.com"],
                    }
                ]
            },
            True,
        ),
        (
            {
                "AdvancedEventSelectors": [
                    {
                        "FieldSelectors": [
                            {"Field": "eventCategory", "Equals": ["Management"]},
                            {"Field": "readOnly", "Equals": ["false"]},
                        ]
                    }
                ]
            },
            True,
        ),
    ],
    ids=["write-only", "read-only", "no-management", "kms-excluded", "advanced"],
)
def test_what_the_selectors_leave_out_is_no_finding(trail: Trail, selectors: Any, read_only: bool) -> None:
    hidden(trail, readOnly=read_only, eventSource="kms.amazonaws.com")
    report = trail.witness(trail=trail.create(**selectors))
    assert found(report) == []
    assert record(report).left_out == 1


def test_an_event_of_a_global_service_in_another_regions_log(aws: AwsServer) -> None:
    trail = Trail(aws, regions=(REGION, "eu-west-1"), multi_region=True)
    elsewhere = next(event for event in trail.events.values() if event["awsRegion"] == "eu-west-1")
    aws.history[REGION].append(elsewhere | {"awsRegion": REGION})
    for history in (aws.history["eu-west-1"], []):  # where that region's history is empty, too
        aws.history["eu-west-1"] = history
        report = trail.witness("--region", "eu-west-1")
        assert "witness-event-absent" not in {rule for rule, _ in found(report)}


def test_what_is_not_delivered_yet_is_no_finding(trail: Trail) -> None:
    manifest = trail.simulation.manifest
    hidden(trail, eventTime=f"{manifest.end - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}")
    report = trail.witness()
    assert (found(report), record(report).undue) == ([], 1)


def test_an_edited_log_shows_what_was_edited(trail: Trail) -> None:
    key = middle(trail)
    records = trail.read(key)
    was, records[0]["sourceIPAddress"] = records[0]["sourceIPAddress"], "203.0.113.9"
    trail.write(key, records)
    report = trail.witness(trail=trail.create())
    assert report.exit_code == 1
    assert record(report).differing == 2  # both sources say so, and it is one finding
    (finding,) = [one for one in report.findings if one.rule == "witness-event-differs"]
    assert (finding.key, finding.status) == (key, "altered")
    assert (finding.expected, finding.actual) == (f'"{was}"', '"203.0.113.9"')
    assert "a log that is not proven" in finding.message


def test_a_proven_log_that_history_contradicts(trail: Trail) -> None:
    event = trail.aws.history[REGION][len(trail.aws.history[REGION]) // 2]
    trail.aws.history[REGION].remove(event)
    trail.aws.history[REGION].append({**event, "userAgent": "another", "beside": "a field that the log has not"})
    report = trail.witness()
    assert [rule for rule, _ in found(report)] == ["witness-event-differs"]
    assert "a proven log" in next(one.message for one in report.findings if one.rule.startswith("witness"))


def test_an_event_that_was_completed_later_is_no_difference(trail: Trail) -> None:
    event = trail.aws.history[REGION].pop(len(trail.aws.history[REGION]) // 2)
    added = {"reason": "UPDATED_DATA", "updatedFields": "userAgent", "originalEventID": event["eventID"]}
    trail.aws.history[REGION].append({**event, "userAgent": "another", "addendum": added})
    report = trail.witness()
    assert (report.exit_code, found(report)) == (0, [])


def test_only_the_lost_hours(trail: Trail) -> None:
    key = middle(trail)
    gone = trail.read(key)
    trail.drop(key)
    report = trail.witness("--only-lost")
    told = record(report)
    assert report.exit_code == 1
    assert found(report) == []
    assert told.only_lost
    assert len(gone) <= told.undue < len(trail.events)
    assert told.compared < len(trail.events)
    before = trail.aws.calls["cloudtrail:LookupEvents", REGION]
    clean = trail.witness()
    assert record(clean).compared == len(trail.events)
    assert trail.aws.calls["cloudtrail:LookupEvents", REGION] > before


def test_nothing_is_asked_where_nothing_is_lost(trail: Trail) -> None:
    report = trail.witness("--only-lost")
    assert (report.exit_code, record(report).sources) == (0, ())
    assert trail.aws.calls["cloudtrail:LookupEvents", REGION] == 0


def test_of_other_accounts_only_the_log_group_can_tell(aws: AwsServer) -> None:
    trail = Trail(aws, accounts=(ACCOUNT, "444455556666"))
    own = [event for event in trail.events.values() if event["recipientAccountId"] == ACCOUNT]
    aws.history[REGION] = list(own)
    report = trail.witness()
    told = record(report)
    assert (report.exit_code, told.compared, told.skipped_accounts) == (3, len(own), ("444455556666",))
    arn = trail.create()
    report = trail.witness(trail=arn)
    told = record(report)
    assert {source.source: source.events for source in told.sources}["log-group"] == len(trail.events)
    assert told.compared == told.agreeing == len(own) + len(trail.events)
    assert told.whole
    assert report.exit_code == 0


def test_a_local_copy_has_a_witness_as_well(trail: Trail, tmp_path: Path) -> None:
    for item in trail.s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        if item["Key"].endswith("/"):
            continue
        path = tmp_path / "copy" / item["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(trail.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
        head = trail.s3.head_object(Bucket=BUCKET, Key=item["Key"])
        if head["Metadata"]:
            path.with_name(f"{path.name}.metadata.json").write_text(json.dumps(head["Metadata"]))
    words = ("witness", "--source", tmp_path / "copy", "--region", REGION, *trail.window, "--format", "json")
    report = from_json(tool(*words).stdout)
    assert (report.exit_code, record(report).agreeing) == (0, len(trail.events))
    refused = tool(*words, "--keep", next((tmp_path / "copy").rglob("CloudTrail")) / REGION)
    assert "would count as planted" in str(refused.exception)


# Pace, budget, resuming


def test_throttling_is_waited_out(trail: Trail) -> None:
    trail.aws.throttled["LookupEvents"] = 4
    report = trail.witness()
    assert (report.exit_code, record(report).compared) == (0, len(trail.events))


def test_a_budget_ends_the_asking_and_makes_no_pass(trail: Trail) -> None:
    report = trail.witness("--max-requests", "1")
    told = record(report)
    assert (report.exit_code, report.verdict) == (3, "unproven")
    assert told.sources[0].requests == 1
    assert "--max-requests" in (told.sources[0].problem or "")
    assert 0 < told.agreeing == told.compared <= 50  # one page, of the first of perhaps two days


def test_a_run_with_the_same_folder_goes_on(trail: Trail, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    first = record(trail.witness("--keep", str(keep)))
    asked = trail.aws.calls["cloudtrail:LookupEvents", REGION]
    again = record(trail.witness("--keep", str(keep)))
    assert trail.aws.calls["cloudtrail:LookupEvents", REGION] == asked
    assert (again.compared, again.agreeing) == (first.compared, first.agreeing)
    assert again.sources[0].kept_slots == again.sources[0].slots
    kept = sorted(path for path in keep.rglob("*") if path.is_file())
    assert kept[0].parent == keep / "event-history" / ACCOUNT / REGION
    kept[0].write_bytes(b"not json\n" * 3)
    assert trail.witness("--keep", str(keep)).exit_code == 0  # fewer events, none of them wrong


def test_a_denied_source_makes_no_pass_and_says_which_permission(trail: Trail) -> None:
    trail.aws.denied.add("cloudtrail:LookupEvents")
    report = trail.witness()
    assert report.exit_code == 3
    assert "cloudtrail:LookupEvents" in (record(report).sources[0].problem or "")
    assert "cloudtrail:LookupEvents" in tool("witness", "--s3-bucket", BUCKET, "--region", REGION, *trail.window).stdout


def test_a_log_group_that_is_gone(trail: Trail) -> None:
    arn = trail.create()
    trail.aws.log_groups.clear()
    report = trail.witness(trail=arn)
    (group,) = [one for one in record(report).sources if one.source == "log-group"]
    assert "ResourceNotFound" in (group.problem or "")
    assert report.exit_code == 3


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_tells(trail: Trail, name: str) -> None:
    event = hidden(trail)
    answer = tool("witness", "--s3-bucket", BUCKET, "--region", REGION, *trail.window, "--format", name)
    assert answer.return_value == 3
    assert event["eventID"] in answer.stdout


def test_the_table_tells_how_much_was_compared(trail: Trail) -> None:
    hidden(trail)
    answer = tool("witness", "--trail-arn", trail.create(), "--region", REGION, *trail.window).stdout
    assert "independent sources" in answer
    assert "log-group: 1 region" in answer
    assert "Event known elsewhere, in no log" in answer


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"eventID": 7, "eventTime": "2026-01-01T00:00:00Z"},
        {"eventID": "x" * 5_000, "eventTime": "2026-01-01T00:00:00Z"},
    ],
    ids=["empty", "number", "long"],
)
def test_nonsense_of_a_source_is_passed_over(trail: Trail, event: dict[str, Any]) -> None:
    whole = {**trail.aws.history[REGION][0], **event}
    trail.aws.log_groups[GROUP] = []
    arn = trail.create()
    trail.aws.log_groups[GROUP].append({**whole, "eventTime": trail.aws.history[REGION][0]["eventTime"]} | event)
    assert trail.witness(trail=arn).exit_code == 0


def test_hostile_words_of_a_source_are_not_obeyed(trail: Trail) -> None:
    hidden(trail, eventName="\x1b[31mRun\u202e", eventSource="[x](http://x)")
    answer = tool("witness", "--s3-bucket", BUCKET, "--region", REGION, *trail.window).stdout
    assert "\x1b" not in answer
    assert "\u202e" not in answer


NO_ANSWER = ("null", "[]", '"x"', "{", "", "[" * 100_000, "<html>")
ODD = {
    "cloudtrail:LookupEvents": (
        *('{"Events": null}', '{"Events": 7}', '{"Events": [7]}', '{"Events": [{"CloudTrailEvent": 7}]}'),
        *('{"Events": [{"CloudTrailEvent": "' + "[" * 5_000 + '"}]}', '{"Events": [], "NextToken": {"a": 1}}'),
        '{"Events": [], "NextToken": "same"}',
    ),
    "logs:FilterLogEvents": (
        '{"events": {}}',
        '{"events": [7]}',
        '{"events": [{"message": "{}"}], "nextToken": "same"}',
    ),
    "cloudtrail:GetEventSelectors": (
        *('{"EventSelectors": [7]}', '{"EventSelectors": {"a": {}}}'),
        '{"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": 7, "Equals": 7}]}]}',
    ),
    "cloudtrail:DescribeTrails": (
        *('{"trailList": [7]}', '{"trailList": []}', '{"trailList": [{"CloudWatchLogsLogGroupArn": "arn:::::"}]}'),
    ),
}


@pytest.mark.parametrize("permission", ODD)
def test_whatever_is_answered_is_no_accusation_and_no_error(trail: Trail, permission: str) -> None:
    arn = trail.create()
    for body in (*NO_ANSWER, *ODD[permission]):
        trail.aws.raw[permission] = body.encode()
        answer = tool(
            *("witness", "--trail-arn", arn, "--s3-bucket", BUCKET, "--region", REGION, *trail.window),
            *("--format", "json"),
        )
        assert from_json(answer.stdout).exit_code in (0, 3), body


def test_an_interrupt_while_sources_are_asked(trail: Trail, tmp_path: Path) -> None:
    """Without AWS's own pace taken away there is time to be interrupted in; what was kept until then stays."""
    trail.aws.history[REGION] *= 10
    command = [sys.executable, "-m", "cloudtrail_validate", "witness", "--s3-bucket", BUCKET, "--region", REGION]
    with subprocess.Popen(
        [*command, *trail.window, "--format", "json", "--no-progress"], stdout=subprocess.PIPE, env=os.environ
    ) as process:
        while trail.aws.calls["cloudtrail:LookupEvents", REGION] < 2:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    report = from_json(out)
    assert process.returncode == report.exit_code == 130
    assert report.stopped
    assert report.verdict == "unproven"


def test_a_folder_that_cannot_be_written_makes_no_pass(trail: Trail, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "event-history").write_text("in the way")
    report = trail.witness("--keep", str(tmp_path / "kept"))
    assert report.exit_code == 3
    assert "cannot be kept" in (record(report).sources[0].problem or "")


def test_nobody_knows_whose_history_it_is(trail: Trail) -> None:
    trail.aws.denied.add("sts:GetCallerIdentity")
    key = middle(trail)
    trail.drop(key)
    report = trail.witness()
    assert report.exit_code == 1  # evidence stays evidence
    assert "sts:GetCallerIdentity" in (record(report).sources[0].problem or "")


# Bringing back


def test_what_was_lost_comes_back_and_is_never_called_proven(trail: Trail, tmp_path: Path) -> None:
    key = middle(trail)
    gone = {event["eventID"] for event in trail.read(key)}
    trail.drop(key)
    arn = trail.create()
    kept = tmp_path / "report.json"
    tool("--trail-arn", arn, "--region", REGION, *trail.window, "-o", kept, "-q")
    answer = tool("recover", kept, "--to", tmp_path / "back", "--from-history")
    assert answer.return_value == 0
    lines = [line for path in (tmp_path / "back").rglob("*.jsonl") for line in path.read_text().splitlines()]
    told = [json.loads(line) for line in lines]
    assert {one["source"] for one in told} == {"event-history", "log-group"}
    assert not any(one["proven"] for one in told)
    for source in ("event-history", "log-group"):
        assert gone <= {one["event"]["eventID"] for one in told if one["source"] == source}
    assert next(one["event"] for one in told if one["event"]["eventID"] in gone) in trail.events.values()
    assert "none of them proven" in answer.stderr
    assert "CloudTrail-Digest" not in str(sorted((tmp_path / "back").rglob("*")))


def test_hours_beyond_90_days_are_said_to_be(trail: Trail, tmp_path: Path) -> None:
    trail.drop(middle(trail))
    kept = tmp_path / "report.json"
    tool("--s3-bucket", BUCKET, "--region", REGION, *trail.window, "-o", kept, "-q")
    report = from_json(kept.read_text())
    old = timedelta(days=200)
    findings = tuple(
        msgspec.structs.replace(one, start=one.start - old, end=one.end - old) if one.start and one.end else one
        for one in report.findings
    )
    kept.write_bytes(msgspec.json.encode(msgspec.structs.replace(report, findings=findings)))
    answer = tool("recover", kept, "--to", tmp_path / "back", "--from-history")
    assert answer.return_value == 3
    assert "90 days" in answer.stdout


def test_a_report_without_losses_and_what_cannot_be_meant(trail: Trail, tmp_path: Path) -> None:
    kept = tmp_path / "report.json"
    tool("--s3-bucket", BUCKET, "--region", REGION, *trail.window, "-o", kept, "-q")
    assert tool("recover", kept, "--to", tmp_path / "back", "--from-history").return_value == 4
    assert "--from-history" in str(tool("recover", kept, "--to", tmp_path / "b", "--max-requests", 3).exception)
