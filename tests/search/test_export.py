"""`ctvalidate export`: what a database reads out of the files is what the logs hold, each row with its proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudtrail_validate.search import export
from tests.cli.helpers import call
from tests.search.events import event, log
from tests.search.kit import Trail, make_trail

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return make_trail(tmp_path)


def exported(trail: Trail, capsys: pytest.CaptureFixture[str], *args: str) -> Path:
    folder = trail.folder / "events"
    answer = call(capsys, "export", "--events", str(folder), *trail.scope, *args)
    assert answer.code == 0, answer.err
    return folder


def queried(sql: str) -> list[tuple[Any, ...]]:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as base:
        found: list[tuple[Any, ...]] = base.execute(sql).fetchall()
    return found


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_duckdb_reads_every_event_with_its_proof(
    format_: str, trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported(trail, capsys, "--format", format_)
    reader = (
        f"read_{'parquet' if format_ == 'parquet' else 'json'}('{folder}/*/*/*/*.{format_}', hive_partitioning=true)"
    )
    columns = "eventID::VARCHAR, eventName, userArn, proof, digest, account::VARCHAR, region, day::VARCHAR, event"
    rows = queried(f"SELECT {columns} FROM {reader}")  # noqa: S608  # our own words
    every = {e["eventID"]: e for path in trail.logs for e in trail.events(path)}
    assert sorted(row[0] for row in rows) == sorted(every)
    for event_id, name, arn, proof, digest, account, region, day, whole in rows:
        held = every[event_id]
        assert (name, arn, proof) == (held["eventName"], held["userIdentity"].get("arn"), "proven")
        assert "/CloudTrail-Digest/" in digest
        assert (account, region, day) == (held["recipientAccountId"], held["awsRegion"], held["eventTime"][:10])
        assert (json.loads(whole) if isinstance(whole, str) else whole) == held


def test_the_documents_query_runs(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    folder = exported(trail, capsys, "--format", "parquet")
    text = (ROOT / "docs" / "search.md").read_text("utf-8")
    (sql,) = [part.split("```")[0] for part in text.split("```sql\n")[1:]]
    rows = queried(sql.replace("events/", f"{folder}/").rstrip().rstrip(";"))
    every = [e for path in trail.logs for e in trail.events(path)]
    assert sum(row[-1] for row in rows) == sum("errorCode" in e for e in every)


def test_the_manifest_says_what_the_validation_said(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((exported(trail, capsys) / export.MANIFEST).read_text())
    every = [e for path in trail.logs for e in trail.events(path)]
    assert (manifest["verdict"], manifest["events"], manifest["proven"]) == ("valid", len(every), len(every))
    again = call(capsys, "export", "--events", str(trail.folder / "events"), *trail.scope)
    assert again.code == 2
    assert "new or empty" in again.err


def test_folders_are_never_named_by_an_event(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = [
        event(recipientAccountId="../../x", awsRegion="/etc", eventTime=time, eventName="Planted\ud800\x00")
        for time in ("../..", "9998-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 3)
    ]
    trail.write(trail.logs[0], json.dumps({"Records": hostile}).encode())
    for format_ in ("jsonl", "parquet"):
        folder = trail.folder / f"events-{format_}"
        answer = call(capsys, "export", "--events", str(folder), "--format", format_, *trail.scope)
        assert answer.code == 1
        names = {path.relative_to(folder).parts for path in folder.rglob("events-*")}
        assert {name[:2] for name in names} == {("account=111122223333", "region=us-east-1")}
        assert {name[2] for name in names} <= {"day=2026-01-01", "day=2025-12-31"}
        reader = "read_parquet" if format_ == "parquet" else "read_json"
        planted = f"{reader}('{folder}/*/*/*/*.{format_}') WHERE eventName LIKE 'Planted%'"
        rows = queried(f"SELECT proof, proofRule FROM {planted}")  # noqa: S608  # our own words
        assert rows == [("unproven", "log-altered")] * len(hostile)


def test_files_are_bounded(trail: Trail, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_ROW_GROUP", 20_000)
    monkeypatch.setattr(export, "_HELD", 30_000)
    folder = exported(trail, capsys)
    files = sorted(folder.rglob("events-*.jsonl"))
    assert len(files) > 2
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert len(lines) == sum(len(trail.events(path)) for path in trail.logs)


def test_filters_and_unproven_events(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    trail.write(trail.logs[0], log(event(eventName="Planted")))
    folder = trail.folder / "few"
    answer = call(capsys, "export", "--events", str(folder), "--event", "Planted", "--proven-only", *trail.scope)
    assert answer.code == 1
    assert not list(folder.rglob("events-*"))
    assert json.loads((folder / export.MANIFEST).read_text())["withheld"] == 1


def test_a_service_is_taken_for_one_as_search_takes_it(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    folder = exported(trail, capsys, "--source", "ec2.amazonaws.com")
    lines = [json.loads(line) for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
    every = [event for path in trail.logs for event in trail.events(path)]
    assert {line["eventID"] for line in lines} == {
        e["eventID"] for e in every if e["eventSource"] == "ec2.amazonaws.com"
    }
    assert lines


def test_no_room_is_no_success(
    trail: Trail, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write_pieces", full)
    answer = call(capsys, "export", "--events", str(trail.folder / "x"), *trail.scope)
    assert answer.code == 3
    assert "No space left" in answer.err
    inside = trail.tree / "AWSLogs" / "111122223333" / "CloudTrail" / "us-east-1" / "x"
    assert call(capsys, "export", "--events", str(inside), *trail.scope).code == 2
