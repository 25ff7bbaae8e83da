"""`ctvalidate recover --from-history`: what was lost comes back from the sources, and is never called proven."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from cloudtrail_validate.report import from_json
from tests.witness.kit import BUCKET, REGION, Trail, middle, tool

if TYPE_CHECKING:
    from pathlib import Path


def validated(trail: Trail, folder: Path, *what: str) -> Path:
    """The report of a validation, kept in a folder."""
    kept = folder / "report.json"
    tool(*what, "--region", REGION, *trail.window, "-o", kept, "-q")
    return kept


def test_what_was_lost_comes_back_and_is_never_called_proven(trail: Trail, tmp_path: Path) -> None:
    key = middle(trail)
    gone = {event["eventID"] for event in trail.read(key)}
    trail.drop(key)
    kept = validated(trail, tmp_path, "--trail-arn", trail.create())
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
    kept = validated(trail, tmp_path, "--s3-bucket", BUCKET)
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
    kept = validated(trail, tmp_path, "--s3-bucket", BUCKET)
    assert tool("recover", kept, "--to", tmp_path / "back", "--from-history").return_value == 4
    assert "--from-history" in str(tool("recover", kept, "--to", tmp_path / "b", "--max-requests", 3).exception)
