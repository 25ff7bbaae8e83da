"""Sources that are slow, denied, gone, odd or hostile: no pass, no accusation and no error comes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.report import from_json
from tests.witness.kit import ACCOUNT, BUCKET, GROUP, REGION, Trail, hidden, middle, record

if TYPE_CHECKING:
    from pathlib import Path


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
    assert "cloudtrail:LookupEvents" in trail.ask().stdout


def test_a_log_group_that_is_gone(trail: Trail) -> None:
    arn = trail.create()
    trail.aws.log_groups.clear()
    report = trail.witness(trail=arn)
    (group,) = [one for one in record(report).sources if one.source == "log-group"]
    assert "ResourceNotFound" in (group.problem or "")
    assert report.exit_code == 3


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
    answer = trail.ask().stdout
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
        answer = trail.ask("--s3-bucket", BUCKET, "--format", "json", trail=arn)
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
