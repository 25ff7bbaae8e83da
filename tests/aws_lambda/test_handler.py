"""The function on a trail of moto's: a new digest is proven and told of; late, doubled, forged and lost things."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.aws_lambda import TIME_LEFT, NotAllToldError, NoTimeLeftError, handle, handler, read_settings
from cloudtrail_validate.core.errors import AccessError, ConfigurationError
from cloudtrail_validate.core.layout import folder_of, parse_digest_key
from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.simulate import TrailSpec
from cloudtrail_validate.state.codec import decode
from cloudtrail_validate.state.model import State
from tests.aws_lambda import events
from tests.faults.helpers import ACCOUNT, BUCKET, Trail, deliver
from tests.servers.receiver import Reply

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer
    from tests.servers.receiver import Receiver

LAST_HOUR = (datetime.now(UTC) - timedelta(minutes=35)).replace(minute=0, second=0, microsecond=0)
SPEC = TrailSpec(
    accounts=(ACCOUNT,), bucket=BUCKET, start=LAST_HOUR - timedelta(hours=6), hours=6, logs_per_hour=2, markers=False
)


@pytest.fixture
def trail(aws: AwsServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Trail:
    """A trail whose newest digest was delivered just now, and the function's settings for it."""
    made = deliver(aws, SPEC)
    monkeypatch.setenv("CTVALIDATE_S3_BUCKET", BUCKET)
    monkeypatch.setenv("CTVALIDATE_TRAIL_ARN", made.arn)
    monkeypatch.setenv("CTVALIDATE_NOTIFY", f"webhook:{receiver.url}/alert")
    aws.calls.clear()
    return made


def only(answer: dict[str, Any]) -> dict[str, Any]:
    (proof,) = answer["proofs"]
    assert isinstance(proof, dict)
    return proof


def end_of(key: str) -> datetime:
    found = folder_of(BUCKET, key)
    assert found is not None
    name = parse_digest_key(found[0], key)
    assert name is not None
    return name.end


def logs_of_last(trail: Trail, hours: int = 1) -> list[str]:
    return list(trail.logs[-2 * hours :])


@pytest.mark.parametrize("shape", ["s3", "eventbridge", "sns", "sqs"])
def test_a_new_digest_is_proven(
    trail: Trail, receiver: Receiver, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    key = trail.digests[-1]
    event = {
        "s3": events.s3(BUCKET, key),
        "eventbridge": events.eventbridge(BUCKET, key),
        "sns": events.sns(events.cloudtrail(BUCKET, key)),
        "sqs": events.sqs(events.s3(BUCKET, key)),
    }[shape]
    answer = handler(event)
    proof = only(answer)
    assert (proof["verdict"], proof["exit_code"], proof["region"]) == ("valid", 0, "us-east-1")
    assert (proof["digests_valid"], proof["logs_valid"]) == (2, 4)  # its own, and its predecessor's, for the link
    assert (proof["end"], answer["digests"], answer["ignored"]) == (isoformat(end_of(key)), 1, 0)
    assert receiver.got == []
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["verdict"] == "valid"
    assert json.loads(json.dumps(answer)) == answer


def tampered(aws: AwsServer, key: str, change: str) -> None:
    client = aws.client("s3")
    if change == "gone":
        client.delete_object(Bucket=BUCKET, Key=key)
        return
    held = client.get_object(Bucket=BUCKET, Key=key)
    body = gzip.decompress(held["Body"].read())
    client.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(body + b" "), Metadata=held["Metadata"])


@pytest.mark.parametrize(
    ("which", "change", "rule"),
    [
        ("digest", "altered", "digest-signature-invalid"),
        ("predecessor", "altered", "digest-link-broken"),
        ("predecessor", "gone", "digest-missing"),
        ("log", "altered", "log-altered"),
        ("log", "gone", "log-missing"),
    ],
)
def test_tampering_is_told_within_the_invocation(
    trail: Trail, aws: AwsServer, receiver: Receiver, which: str, change: str, rule: str
) -> None:
    key = {"digest": trail.digests[-1], "predecessor": trail.digests[-2], "log": trail.logs[-1]}[which]
    tampered(aws, key, change)
    proof = only(handler(events.eventbridge(BUCKET, trail.digests[-1])))
    assert (proof["verdict"], proof["exit_code"]) == ("changed", 1)
    (got,) = receiver.got
    told = json.loads(got.body)
    found = {(item["finding"]["rule"], item["finding"]["key"]) for item in told["opened"]}
    wanted = {"digest-link-broken": {"digest-link-broken", "digest-signature-invalid"}}.get(rule, {rule})
    assert any((name, key) in found for name in wanted), found
    assert [note["outcome"] for note in proof["notifications"]] == ["sent"]


def test_a_digest_that_is_gone_again_is_told(trail: Trail, aws: AwsServer, receiver: Receiver) -> None:
    """S3 says that it was written. Whoever deletes it at once does not get away with silence."""
    aws.client("s3").delete_object(Bucket=BUCKET, Key=trail.digests[-1])
    late = datetime.now(UTC) + timedelta(hours=3)
    answer = handle(events.s3(BUCKET, trail.digests[-1]), None, read_settings(os.environ), now=late)
    assert only(answer)["exit_code"] in (1, 3)
    assert json.loads(receiver.got[0].body)["verdict"] in ("changed", "unproven")


def test_the_same_event_again_names_the_same_findings(trail: Trail, aws: AwsServer, receiver: Receiver) -> None:
    tampered(aws, trail.logs[-1], "altered")
    event = events.s3(BUCKET, trail.digests[-1])
    handler(event)
    handler(events.sqs(event, event))
    first, second = (json.loads(got.body) for got in receiver.got)
    assert [item["id"] for item in first["opened"]] == [item["id"] for item in second["opened"]]
    assert (first["id"], first["state"]) == (second["id"], second["state"])


def test_two_at_once(trail: Trail, aws: AwsServer, receiver: Receiver) -> None:
    tampered(aws, trail.logs[-1], "gone")
    answers: list[dict[str, Any]] = []
    event = events.eventbridge(BUCKET, trail.digests[-1])
    threads = [threading.Thread(target=lambda: answers.append(handler(event))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [only(answer)["verdict"] for answer in answers] == ["changed", "changed"]
    assert len({json.loads(got.body)["state"] for got in receiver.got}) == 1


def test_a_late_event_has_its_own_hours_proven(trail: Trail, aws: AwsServer) -> None:
    tampered(aws, trail.logs[-1], "gone")  # of the newest hour, which this event does not ask about
    proof = only(handler(events.s3(BUCKET, trail.digests[3])))
    assert (proof["verdict"], proof["end"]) == ("valid", isoformat(end_of(trail.digests[3])))


def test_hours_that_were_missed_are_proven_together(trail: Trail) -> None:
    """A queue hands over what it kept while the function was broken."""
    messages = [events.s3(BUCKET, key) for key in trail.digests[2:]]
    proof = only(handler(events.sqs(*messages)))
    assert (proof["verdict"], proof["digests_valid"]) == ("valid", 6)  # one before the five


def test_forged_events_read_nothing_and_alert_nobody(trail: Trail, aws: AwsServer, receiver: Receiver) -> None:
    other = trail.digests[-1].replace("AWSLogs/", "elsewhere/AWSLogs/")
    event = {
        "Records": [*events.s3("attacker-bucket", trail.digests[-1])["Records"], *events.s3(BUCKET, other)["Records"]]
    }
    answer = handler(event)
    assert answer == {"digests": 0, "ignored": 2, "proofs": []}
    assert (sum(aws.calls.values()), receiver.got) == (0, [])


def test_a_forged_account_has_nothing_read_but_the_trails_bucket(trail: Trail, aws: AwsServer) -> None:
    forged = trail.digests[-1].replace(ACCOUNT, "999999999999")
    proof = only(handler(events.s3(BUCKET, forged)))
    assert proof["exit_code"] != 0  # an event says that there is a digest, and there is none: that is told
    read = {permission: n for (permission, _), n in aws.calls.items() if permission.startswith("s3:Get")}
    assert read == {"s3:GetObject": len(trail.digests)}  # to see whether the bucket is a copy of another


def test_logs_and_other_objects_cost_nothing(trail: Trail, aws: AwsServer) -> None:
    answer = handler(events.sns(events.cloudtrail(BUCKET, *trail.logs)))
    assert answer == {"digests": 0, "ignored": len(trail.logs), "proofs": []}
    assert sum(aws.calls.values()) == 0


def test_an_alert_that_did_not_go_out_fails_the_invocation(trail: Trail, aws: AwsServer, receiver: Receiver) -> None:
    tampered(aws, trail.logs[-1], "gone")
    receiver.replies = [Reply(403)]
    with pytest.raises(NotAllToldError, match="HTTP status 403"):
        handler(events.s3(BUCKET, trail.digests[-1]))
    assert only(handler(events.s3(BUCKET, trail.digests[-1])))["verdict"] == "changed"  # as Lambda repeats it


def test_a_refusal_is_told_and_fails_the_invocation(trail: Trail, aws: AwsServer, receiver: Receiver) -> None:
    aws.denied = {"s3:ListBucket"}
    with pytest.raises(AccessError, match="s3:ListBucket"):
        handler(events.s3(BUCKET, trail.digests[-1]))
    body = json.loads(receiver.got[0].body)
    assert (body["exit_code"], body["verdict"]) == (3, "unproven")
    assert "s3:ListBucket" in body["problem"]


class Hurried:
    """A context with little time."""

    def get_remaining_time_in_millis(self) -> int:
        return TIME_LEFT - 1


def test_no_time_left_fails_the_invocation(trail: Trail) -> None:
    with pytest.raises(NoTimeLeftError, match="1 of 1"):
        handler(events.s3(BUCKET, trail.digests[-1]), Hurried())
    assert handler(events.s3_test(), Hurried())["proofs"] == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "CTVALIDATE_S3_BUCKET"),
        ({"TRAIL_ARN": "mgmt"}, "CTVALIDATE_TRAIL_ARN"),
        ({"NOTIFY": "pigeon:coop"}, "CTVALIDATE_NOTIFY"),
        ({"NOTIFY_WHEN": "now"}, "CTVALIDATE_NOTIFY_WHEN"),
        ({"REQUIRE_STATE": "1"}, "CTVALIDATE_STATE"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, str], words: str) -> None:
    given = {f"CTVALIDATE_{name}": value for name, value in settings.items()}
    with pytest.raises(ConfigurationError, match=words):
        read_settings(given | ({"CTVALIDATE_S3_BUCKET": BUCKET} if settings else {}))


def test_a_cold_start_loads_no_command_line() -> None:
    """What Lambda imports before the first event: nothing of the terminal, whose libraries cost time and serve nobody."""
    code = (
        "import sys, cloudtrail_validate.aws_lambda;"
        "print([m for m in ('rich', 'click', 'boto3', 'prometheus_client', 'apprise') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


STATE = "amzn-s3-demo-destination-bucket"


@pytest.fixture
def state(trail: Trail, aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A state beside the trail."""
    aws.client("s3").create_bucket(Bucket=STATE)
    monkeypatch.setenv("CTVALIDATE_STATE", f"s3://{STATE}/ctvalidate/state")
    return f"s3://{STATE}/ctvalidate/state"


def remembered(aws: AwsServer) -> State:
    answer = aws.client("s3").get_object(Bucket=STATE, Key="ctvalidate/state")
    return decode(answer["Body"].read(), "state")


def proven_hours(aws: AwsServer) -> int:
    return sum(item.length for region in remembered(aws).regions for item in region.stretches)


def test_with_a_state_a_digest_is_proven_against_what_was_proven(trail: Trail, aws: AwsServer, state: str) -> None:
    for key in trail.digests[2:]:
        assert only(handler(events.s3(BUCKET, key)))["verdict"] == "valid"
    held = remembered(aws)
    assert [edge.where.key for region in held.regions for edge in region.edges] == [trail.digests[-1]]
    assert (held.runs, held.open, proven_hours(aws)) == (len(trail.digests) - 2, (), len(trail.digests) - 1)


def test_what_was_proven_and_is_gone_is_told_at_the_next_delivery(
    trail: Trail, aws: AwsServer, receiver: Receiver, state: str
) -> None:
    """Two hours back: without a state nobody would look there."""
    handler(events.sqs(*(events.s3(BUCKET, key) for key in trail.digests[2:-1])))
    lost = trail.logs[4]
    tampered(aws, lost, "gone")
    assert only(handler(events.s3(BUCKET, trail.digests[-1])))["verdict"] == "changed"
    told = json.loads(receiver.got[0].body)
    assert [(item["finding"]["rule"], item["finding"]["key"]) for item in told["opened"]] == [("log-missing", lost)]
    handler(events.s3(BUCKET, trail.digests[-1]))
    told = json.loads(receiver.got[1].body)
    assert (told["opened"], [item["finding"]["key"] for item in told["again"]]) == ([], [lost])


def test_what_is_healed_is_closed(trail: Trail, aws: AwsServer, receiver: Receiver, state: str) -> None:
    client, lost = aws.client("s3"), trail.logs[-1]
    body = client.get_object(Bucket=BUCKET, Key=lost)["Body"].read()
    tampered(aws, lost, "gone")
    handler(events.s3(BUCKET, trail.digests[-1]))
    client.put_object(Bucket=BUCKET, Key=lost, Body=body)
    assert only(handler(events.s3(BUCKET, trail.digests[-1])))["verdict"] == "valid"
    told = json.loads(receiver.got[1].body)
    assert ([item["finding"]["key"] for item in told["healed"]], remembered(aws).open) == ([lost], ())


def test_several_that_save_at_once_lose_nothing(trail: Trail, aws: AwsServer, state: str) -> None:
    answers: list[dict[str, Any]] = []
    keys = trail.digests[2:]
    threads = [threading.Thread(target=lambda key=key: answers.append(handler(events.s3(BUCKET, key)))) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [only(answer)["verdict"] for answer in answers] == ["valid"] * len(keys)
    held = remembered(aws)
    assert [edge.where.key for region in held.regions for edge in region.edges] == [trail.digests[-1]]
    assert proven_hours(aws) >= len(keys) - 1


def test_late_and_doubled_events_take_nothing_back(trail: Trail, aws: AwsServer, state: str) -> None:
    for key in (trail.digests[-1], trail.digests[2], trail.digests[2], trail.digests[-1]):
        assert only(handler(events.s3(BUCKET, key)))["verdict"] == "valid"
    held = remembered(aws)
    assert [edge.where.key for region in held.regions for edge in region.edges] == [trail.digests[-1]]


def test_forged_events_leave_the_state_as_it_is(trail: Trail, aws: AwsServer, state: str) -> None:
    handler(events.s3(BUCKET, trail.digests[-1]))
    before = remembered(aws)
    handler(events.s3("attacker-bucket", trail.digests[-1]))
    assert remembered(aws) == before
    forged = trail.digests[-1].replace(ACCOUNT, "999999999999")
    assert only(handler(events.s3(BUCKET, forged)))["exit_code"] != 0
    after = {region.account: region for region in remembered(aws).regions}
    assert after[ACCOUNT] == before.regions[0]
    assert not [item for region in remembered(aws).regions if region.account != ACCOUNT for item in region.stretches]


def test_a_state_that_cannot_be_used_is_told_and_left_as_it_is(
    trail: Trail, aws: AwsServer, receiver: Receiver, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTVALIDATE_REQUIRE_STATE", "1")
    with pytest.raises(ConfigurationError, match="there is no state"):
        handler(events.s3(BUCKET, trail.digests[-1]))
    aws.client("s3").put_object(Bucket=STATE, Key="ctvalidate/state", Body=b"ctvalidate.state/9\n")
    with pytest.raises(ConfigurationError, match="another version"):
        handler(events.s3(BUCKET, trail.digests[-1]))
    assert aws.client("s3").get_object(Bucket=STATE, Key="ctvalidate/state")["Body"].read() == b"ctvalidate.state/9\n"
    assert [json.loads(got.body)["exit_code"] for got in receiver.got] == [2, 2]
