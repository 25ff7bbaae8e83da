"""`--notify`, `--metrics`, `--heartbeat` as they are used: what is told, what the report says of it, what never changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.report import NotificationRecord, Report, from_json
from tests.cli.helpers import Answer, call, spawn
from tests.faults.helpers import BUCKET, deliver
from tests.servers.receiver import Reply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer
    from tests.servers.receiver import Receiver


@pytest.fixture
def trail(aws: AwsServer) -> Trail:
    """The usual trail with one log less."""
    made = deliver(aws)
    aws.client("s3").delete_object(Bucket=BUCKET, Key=made.logs[3])
    return made


def base(trail: Trail) -> list[str]:
    return ["--trail-arn", trail.arn, *trail.times(), "--format", "json"]


def notes(report: Report) -> list[NotificationRecord]:
    assert isinstance(report.notifications, tuple)
    return list(report.notifications)


def test_everybody_is_told_and_the_report_says_so(
    trail: Trail, aws: AwsServer, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
    output, events, prom = tmp_path / "report.json", tmp_path / "events.jsonl", tmp_path / "ct.prom"
    answer = call(
        capsys,
        *base(trail),
        *("--notify", f"sns:{topic}", "--notify", "securityhub", "--notify", "eventbridge:default"),
        *("--notify", f"webhook:{receiver.url}/T0KEN", "--notify", f"file:{events}"),
        *("--metrics", str(prom), "--metrics", "cloudwatch:ct", "--output", str(output)),
        *("--heartbeat", f"{receiver.url}/beat/{{exit_code}}"),
    )
    report = from_json(answer.out)
    assert (answer.code, answer.err, report.exit_code) == (1, "", 1)
    assert [note.outcome for note in notes(report)] == ["sent"] * 7
    assert from_json(output.read_text()) == report
    assert receiver.paths == ["/T0KEN", "/beat/1"]
    body = json.loads(receiver.got[0].body)
    assert (body["verdict"], body["trail"]) == ("changed", trail.arn)
    assert [item["finding"]["key"] for item in body["opened"]] == [trail.logs[3]]
    (imported,) = aws.client("securityhub").get_findings()["Findings"]
    assert imported["Id"] == f"ctvalidate/{body['opened'][0]['id']}"
    assert 'rule="log-missing",scope="' in prom.read_text()
    assert "T0KEN" not in answer.out + output.read_text() + prom.read_text()


def test_nobody_asked_for_is_not_in_the_report(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert "notifications" not in json.loads(call(capsys, *base(trail)).out)


def failing(receiver: Receiver, tmp_path: Path) -> list[str]:
    receiver.replies = [Reply(403), Reply(410)]
    return [
        *("--notify", f"webhook:{receiver.url}/T0KEN", "--notify", "sns:arn:aws:sns:us-east-1:123456789012:nowhere"),
        *("--metrics", "emf:/dev/full", "--heartbeat", f"{receiver.url}/T0KEN"),
        *("--output", str(tmp_path / "report.json")),
    ]


@pytest.mark.parametrize("tampered", [True, False])
def test_failures_are_said_and_change_no_code(
    aws: AwsServer, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, tampered: bool
) -> None:
    made = deliver(aws)
    if tampered:
        aws.client("s3").delete_object(Bucket=BUCKET, Key=made.logs[3])
    answer = call(capsys, *base(made), *failing(receiver, tmp_path), "--notify-when", "always")
    report = from_json(answer.out)
    assert answer.code == report.exit_code == int(tampered)
    assert [note.outcome for note in notes(report)] == ["failed"] * 3
    assert from_json((tmp_path / "report.json").read_text()) == report
    lines = answer.err.splitlines()
    assert len(lines) == 4
    assert lines[0] == f"ctvalidate: webhook:{receiver.url}/…: HTTP status 403"
    assert "sns:Publish: NotFound" in lines[1]
    assert "No space left on device" in lines[2]
    assert lines[3] == f"ctvalidate: heartbeat {receiver.url}/…: HTTP status 410"
    assert "T0KEN" not in answer.out + answer.err


def test_a_pass_is_not_told_of_unless_asked(aws: AwsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, events = deliver(aws), tmp_path / "events.jsonl"
    report = from_json(call(capsys, *base(made), "--notify", f"file:{events}").out)
    assert ([note.outcome for note in notes(report)], events.exists()) == (["not-due"], False)
    report = from_json(call(capsys, *base(made), "--notify", f"file:{events}", "--notify-when", "always").out)
    assert ([note.outcome for note in notes(report)], events.exists()) == (["sent"], True)


def test_the_environment_may_hold_the_secrets(
    trail: Trail, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTVALIDATE_NOTIFY", f"webhook:{receiver.url}/one webhook:{receiver.url}/two")
    monkeypatch.setenv("CTVALIDATE_NOTIFY_WHEN", "change")
    monkeypatch.setenv("CTVALIDATE_HEARTBEAT", f"{receiver.url}/beat")
    monkeypatch.setenv("CTVALIDATE_WEBHOOK_SECRET", "s3cret")
    answer = spawn(*base(trail))
    assert answer.code == 1
    assert sorted(receiver.paths[:2]) == ["/one", "/two"]
    assert receiver.paths[2] == "/beat"
    assert receiver.got[0].headers["x-ctvalidate-signature"].startswith("sha256=")


def test_a_refused_run_is_told_of_and_has_no_heartbeat(
    trail: Trail, aws: AwsServer, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever takes the permissions away must not end the alerts with them."""
    aws.denied = {"s3:ListBucket"}
    told = ["--notify", f"webhook:{receiver.url}/alert", "--heartbeat", f"{receiver.url}/beat"]
    answer = call(capsys, *base(trail), *told)
    assert (answer.code, answer.out) == (3, "")
    assert receiver.paths == ["/alert"]
    body = json.loads(receiver.got[0].body)
    assert (body["verdict"], body["exit_code"]) == ("unproven", 3)
    assert "s3:ListBucket" in body["problem"]
    assert body["text"].startswith("ctvalidate UNPROVEN: nothing could be validated - ")


@pytest.mark.parametrize(
    "options",
    [
        ["--notify", "pigeon:coop"],
        ["--notify", "webhook:http://example.com/T0KEN"],
        ["--notify-when", "sometimes"],
        ["--metrics", "metrics.txt"],
        ["--metrics", "emf:-"],  # standard output holds one document
        ["--heartbeat", "example.com/T0KEN"],
    ],
)
def test_what_cannot_be_meant_is_exit_2_before_anything_is_read(
    trail: Trail, aws: AwsServer, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    aws.calls.clear()
    answer = call(capsys, *base(trail), *options)
    assert (answer.code, answer.out, sum(aws.calls.values())) == (2, "", 0)
    assert options[0] in answer.line
    assert "T0KEN" not in answer.err


def test_jsonl_says_it_in_its_last_line(trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.jsonl"
    arguments = [*base(trail)[:-1], "jsonl", "--notify", f"file:{events}"]
    last = json.loads(call(capsys, *arguments).out.splitlines()[-1])
    assert (last["type"], last["notifications"][0]["outcome"]) == ("summary", "sent")


def test_emf_goes_beside_a_table(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, *base(trail)[:-2], "--metrics", "emf:-")
    documents = [json.loads(line) for line in answer.out.splitlines() if line.startswith('{"_aws"')]
    assert documents[0]["ExitCode"] == 1
    assert "log-missing" in answer.out


def test_alerts_go_out_with_the_senders_own_identity(
    trail: Trail, aws: AwsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The role that reads the bucket can read and nothing else."""
    role = "arn:aws:iam::123456789012:role/auditor"
    topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
    aws.calls.clear()
    answer: Answer = call(
        capsys, *base(trail), "--role-arn", role, "--notify", f"sns:{topic}", "--notify", "securityhub"
    )
    assert (answer.code, answer.err) == (1, "")
    assert sum(n for (permission, _), n in aws.calls.items() if permission == "sts:AssumeRole") == 1
    assert aws.calls["sns:Publish", "us-east-1"] == 1


def test_with_a_state_findings_are_opened_found_again_and_closed(
    aws: AwsServer, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, client = deliver(aws), aws.client("s3")
    body = client.get_object(Bucket=BUCKET, Key=made.logs[3])["Body"].read()
    client.delete_object(Bucket=BUCKET, Key=made.logs[3])
    arguments = [*base(made), "--state", str(tmp_path / "state"), "--notify", f"webhook:{receiver.url}/"]
    arguments += ["--notify", "securityhub"]
    codes = [call(capsys, *arguments).code, call(capsys, *arguments).code]
    client.put_object(Bucket=BUCKET, Key=made.logs[3], Body=body)
    codes += [call(capsys, *arguments).code, call(capsys, *arguments).code]
    assert codes == [1, 1, 0, 0]
    told = [json.loads(got.body) for got in receiver.got]
    assert [{name: len(one[name]) for name in ("opened", "again", "healed")} for one in told] == [
        {"opened": 1, "again": 0, "healed": 0},
        {"opened": 0, "again": 1, "healed": 0},
        {"opened": 0, "again": 0, "healed": 1},
    ]  # the fourth run has nothing to tell
    assert len({told[0]["opened"][0]["id"], told[1]["again"][0]["id"], told[2]["healed"][0]["id"]}) == 1
    assert told[2]["healed"][0]["times"] == 2
    (imported,) = aws.client("securityhub").get_findings()["Findings"]
    assert (imported["Compliance"]["Status"], imported["RecordState"]) == ("PASSED", "ARCHIVED")
