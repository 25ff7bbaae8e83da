"""`ctvalidate file --event-id`: an event out of the very bytes that were proven."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.helpers import Answer, call
from tests.search.events import event, log
from tests.search.kit import Trail, make_trail

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.aws import AwsServer

ID = "6a7d5a79-388e-431d-afe4-bb07d39b3b1a"


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return make_trail(tmp_path)


def prove(trail: Trail, capsys: pytest.CaptureFixture[str], event_id: str, *args: str) -> Answer:
    scope = [
        "--source",
        str(trail.tree),
        "--public-keys",
        str(trail.keys),
        "--day",
        f"{trail.simulation.manifest.start:%Y-%m-%d}",
    ]
    return call(capsys, "file", "--event-id", event_id, *scope, *args)


def test_an_event_is_printed_with_its_chain_of_proof(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    path = trail.logs[1]
    wanted = trail.events(path)[2]
    answer = prove(trail, capsys, wanted["eventID"])
    assert answer.code == 0
    assert f'"eventID": "{wanted["eventID"]}"' in answer.out
    assert "signature    its own, SHA256withRSA, valid" in answer.out
    assert "result       proven: CloudTrail delivered this file, and it is unchanged" in answer.out
    told = json.loads(prove(trail, capsys, wanted["eventID"], "--format", "json").out)
    assert told["event"] == wanted
    assert told["key"] == trail.key(path)
    assert told["rule"] is None
    assert told["schema"] == "ctvalidate.file/1"
    page = prove(trail, capsys, wanted["eventID"], "--format", "html").out
    assert "This event was delivered by AWS CloudTrail, unchanged" in page
    assert "<script" not in page


def test_an_event_of_an_altered_log_is_shown_as_such(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    trail.write(trail.logs[1], log(event(eventName="<b>Planted</b>\x1b[2J", eventID=ID)))
    answer = prove(trail, capsys, ID)
    assert answer.code == 1
    assert "rule         log-altered" in answer.out
    assert "\x1b" not in answer.out
    page = prove(trail, capsys, ID, "--format", "html")
    assert page.code == 1
    assert "<b>Planted" not in page.out
    assert "is not what CloudTrail delivered" in page.out


def test_of_two_logs_that_hold_an_event_the_proven_one_counts(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = trail.events(trail.logs[1])[0]
    trail.write(trail.logs[0], log(wanted))
    answer = prove(trail, capsys, wanted["eventID"])
    assert answer.code == 0
    assert f"also in {trail.key(trail.logs[0])}, unproven" in answer.err


def test_an_event_that_is_in_no_log(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    trail.logs[1].unlink()
    answer = prove(trail, capsys, ID)
    assert answer.code == 1
    assert "none holds event" in answer.err
    assert "may be lost" in answer.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--event-id", ID], "--day"),
        (["--event-id", ID, "--day", "today"], "--day"),
        (["--event-id", ID, "--day", "2026-02-30"], "no day"),
        (["--event-id", "*", "--day", "2026-01-01"], "eventID"),
        (["--event-id", ID, "--day", "2026-01-01", "x.json.gz"], "file"),
        (["--day", "2026-01-01"], "--event-id"),
        (["x.json.gz", "--format", "html"], "html"),
    ],
)
def test_what_cannot_be_meant_is_exit_2(
    options: list[str], says: str, trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = call(capsys, "file", *options, "--source", str(trail.tree), "--public-keys", str(trail.keys))
    assert answer.code == 2
    assert says in answer.err


@pytest.mark.parametrize("prefix", ["", "copies/"])
def test_an_event_in_a_copy_of_a_bucket(
    prefix: str, aws: AwsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy alone is read, also where the original is gone; what is proven has the names of the original."""
    copied, trail = "amzn-s3-demo-destination-bucket", make_trail(tmp_path)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=copied)
    for path in sorted(trail.tree.rglob("*.json.gz")):
        beside = path.with_name(f"{path.name}.metadata.json")
        metadata = json.loads(beside.read_text()) if beside.exists() else {}
        s3.put_object(Bucket=copied, Key=prefix + trail.key(path), Body=path.read_bytes(), Metadata=metadata)
    wanted = trail.events(trail.logs[3])[1]
    day = f"{trail.simulation.manifest.start:%Y-%m-%d}"
    words = ["--event-id", wanted["eventID"], "--day", day, "--public-keys", str(trail.keys), "--format", "json"]
    words += ["--s3-bucket", copied, *(["--s3-prefix", prefix.strip("/")] if prefix else [])]
    answer = call(capsys, "file", *words, "--copy-of", "s3://amzn-s3-demo-bucket")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert (told["event"], told["key"]) == (wanted, trail.key(trail.logs[3]))
    assert told["bucket"] == "amzn-s3-demo-bucket"
    assert copied not in told["digest"]
    local = ["file", *words[:8], "--source", str(trail.tree), "--copy-of", "s3://amzn-s3-demo-bucket"]
    assert call(capsys, *local).code == 0


def test_an_event_in_a_bucket(aws: AwsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cloudtrail_validate.simulate import S3Sink, simulate
    from tests.search.kit import SPEC
    from tests.simulate.helpers import same_keys

    s3 = aws.client("s3")
    s3.create_bucket(Bucket=SPEC.bucket)
    simulation = simulate(SPEC, S3Sink(SPEC.bucket, s3, threads=4), new_key=same_keys())
    keys = tmp_path / "keys.json"
    keys.write_text(simulation.keys.as_json())
    local = make_trail(tmp_path / "same")
    wanted = local.events(local.logs[3])[1]
    scope = ["--s3-bucket", SPEC.bucket, "--public-keys", str(keys), "--day", f"{simulation.manifest.start:%Y-%m-%d}"]
    answer = call(capsys, "file", "--event-id", wanted["eventID"], *scope, "--format", "json")
    assert answer.code == 0
    assert json.loads(answer.out)["event"] == wanted
    assert json.loads(answer.out)["bucket"] == SPEC.bucket
