"""`ctvalidate witness`: what the sources tell is held against the logs, and every benign reason is known."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.report import formats, from_json
from tests.witness.kit import ACCOUNT, BUCKET, REGION, Trail, found, hidden, middle, only, record, tool

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.aws import AwsServer


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
    finding = only(report, "witness-event-absent")
    assert "selectors are not known" in finding.message
    assert event["eventName"] in finding.message
    report = trail.witness("--tolerate", "witness-event-absent")
    assert report.exit_code == 0
    told = trail.witness(trail=trail.create())
    assert "should be" in only(told, "witness-event-absent").message


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
    finding = only(report, "witness-event-differs")
    assert (finding.key, finding.status) == (key, "altered")
    assert (finding.expected, finding.actual) == (f'"{was}"', '"203.0.113.9"')
    assert "a log that is not proven" in finding.message


def test_a_proven_log_that_history_contradicts(trail: Trail) -> None:
    event = trail.aws.history[REGION][len(trail.aws.history[REGION]) // 2]
    trail.aws.history[REGION].remove(event)
    trail.aws.history[REGION].append({**event, "userAgent": "another", "beside": "a field that the log has not"})
    report = trail.witness()
    assert [rule for rule, _ in found(report)] == ["witness-event-differs"]
    assert "a proven log" in only(report, "witness-event-differs").message


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


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_tells(trail: Trail, name: str) -> None:
    event = hidden(trail)
    answer = trail.ask("--format", name)
    assert answer.return_value == 3
    assert event["eventID"] in answer.stdout


def test_the_table_tells_how_much_was_compared(trail: Trail) -> None:
    hidden(trail)
    answer = trail.ask(trail=trail.create()).stdout
    assert "independent sources" in answer
    assert "log-group: 1 region" in answer
    assert "Event known elsewhere, in no log" in answer
