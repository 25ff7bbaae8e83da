"""SNS, EventBridge and Security Hub, on moto: what arrives is read back; refusals and half successes are told."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.notify import eventbridge, securityhub, sns
from cloudtrail_validate.notify.event import build_event
from cloudtrail_validate.notify.target import DeliveryError, parse_target
from tests.notify.helpers import ACCOUNT, Sender, changed, healed, many
from tests.report import samples
from tests.servers.faults import Respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy


def as_json(value: Any) -> Respond:
    return Respond(200, json.dumps(value).encode(), "application/json")


# -- SNS -------------------------------------------------------------------------------------------------------------


def subscribed(aws: AwsServer, name: str, region: str = "us-east-1") -> tuple[str, str]:
    """A topic's ARN and the URL of a queue that it feeds."""
    fifo = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    topic = aws.client("sns", region).create_topic(Name=name, Attributes=fifo)["TopicArn"]
    queues = aws.client("sqs", region)
    queue = queues.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {})["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns", region).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return topic, queue


def received(aws: AwsServer, queue: str, region: str = "us-east-1") -> list[dict[str, Any]]:
    answer = aws.client("sqs", region).receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def test_sns_message_arrives_with_attributes(aws: AwsServer) -> None:
    topic, queue = subscribed(aws, "alerts", "eu-west-1")  # the topic's region, not the sender's
    assert parse_target(f"sns:{topic}").deliver(changed(), Sender()) is None
    (message,) = received(aws, queue, "eu-west-1")
    assert message["Subject"] == "ctvalidate CHANGED: 1 altered - mgmt"
    assert message["Message"].startswith("CHANGED: evidence of change (exit code 1)\n")
    values = {name: (value["Type"], value["Value"]) for name, value in message["MessageAttributes"].items()}
    assert values["verdict"] == ("String", "changed")
    assert values["exit_code"] == ("Number", "1")
    assert values["trail"] == ("String", "mgmt")
    assert len(values) <= 10


def test_sns_fifo_topic_tells_one_state_once(aws: AwsServer) -> None:
    topic, queue = subscribed(aws, "alerts.fifo")
    target = parse_target(f"sns:{topic}")
    for event in (changed(), changed(), healed()):
        target.deliver(event, Sender())
    subjects = [message["Subject"] for message in received(aws, queue)]
    subjects += [message["Subject"] for message in received(aws, queue)]
    assert sorted(subjects) == ["ctvalidate CHANGED: 1 altered - mgmt", "ctvalidate VALID: 2 healed - mgmt"]


@pytest.mark.parametrize("name", ["hostile", "huge"])
def test_sns_takes_whatever_a_bucket_holds(aws: AwsServer, name: str) -> None:
    topic, queue = subscribed(aws, "alerts")
    told = samples.hostile() if name == "hostile" else samples.huge()
    parse_target(f"sns:{topic}").deliver(build_event(told), Sender())
    assert len(received(aws, queue)) == 1
    message = sns.message(build_event(told), fifo=True)
    assert len(message["Message"].encode()) < sns.MAX_MESSAGE
    assert re.fullmatch(r"[!-~]{1,128}", message["MessageGroupId"])
    assert re.fullmatch(r"[!-~]{1,128}", message["MessageDeduplicationId"])


def test_sns_refusal_names_the_permission(aws: AwsServer) -> None:
    topic, _ = subscribed(aws, "alerts")
    aws.denied = {"sns:Publish"}
    with pytest.raises(DeliveryError, match=r"sns:Publish: AccessDenied \(allow sns:Publish\)"):
        parse_target(f"sns:{topic}").deliver(changed(), Sender())


def test_sns_topic_that_is_not_there(aws: AwsServer) -> None:
    with pytest.raises(DeliveryError, match="sns:Publish: NotFound"):
        parse_target(f"sns:arn:aws:sns:us-east-1:{ACCOUNT}:nowhere").deliver(changed(), Sender())


# -- EventBridge -----------------------------------------------------------------------------------------------------


def test_eventbridge_events_can_be_routed(aws: AwsServer) -> None:
    """Through a rule on the change of evidence, into a queue, as users will have it."""
    events, queues = aws.client("events"), aws.client("sqs")
    queue = queues.create_queue(QueueName="events")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["ctvalidate"], "detail": {"finding": {"status": ["altered"]}, "change": ["opened"]}}
    events.put_rule(Name="changed", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="changed", Targets=[{"Id": "1", "Arn": arn}])
    assert parse_target("eventbridge:default").deliver(changed(), Sender()) is None
    (message,) = received(aws, queue)
    assert (message["detail-type"], message["source"]) == (eventbridge.FINDING, "ctvalidate")
    assert message["resources"] == [samples.TRAIL_ARN, f"arn:aws:s3:::{samples.BUCKET}"]
    (item,) = [item for item in changed().opened if item.finding.status == "altered"]
    assert message["detail"]["id"] == item.id
    assert message["detail"]["finding"]["key"] == item.finding.key
    assert message["detail"]["exit_code"] == 1


def test_eventbridge_puts_the_result_first_and_ten_at_a_time(aws: AwsServer) -> None:
    event = many(25)
    made = list(eventbridge.batches(eventbridge.entries(event, "default")))
    assert [len(batch) for batch in made] == [10, 10, 6]
    assert made[0][0]["DetailType"] == eventbridge.RESULT
    result = json.loads(made[0][0]["Detail"])
    assert (len(result["opened"]), result["numbers"]["opened"]) == (20, 25)
    parse_target("eventbridge:default").deliver(event, Sender())
    assert aws.calls["events:PutEvents", "us-east-1"] == 3


def test_eventbridge_keeps_its_limits_and_says_what_it_left_out() -> None:
    event = build_event(samples.huge(accounts=2, regions=2, findings=3_000))
    made = list(eventbridge.batches(eventbridge.entries(event, "default")))
    assert sum(map(len, made)) == 1 + eventbridge.MOST_FINDINGS
    for batch in made:
        assert sum(map(eventbridge.entry_size, batch)) <= eventbridge.MAX_BYTES
        assert all(len(entry["DetailType"]) <= 128 for entry in batch)


def test_eventbridge_long_findings_are_dropped_from_the_result_not_the_result() -> None:
    long = replace(changed().opened[0].finding, message="x" * 50_000)
    event = replace(changed(), opened=tuple(replace(changed().opened[0], finding=long) for _ in range(20)))
    entry = next(eventbridge.entries(event, "default"))
    assert eventbridge.entry_size(entry) < eventbridge.MAX_BYTES
    assert json.loads(entry["Detail"])["numbers"]["opened"] == 20


FAILED = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}


def test_eventbridge_entries_that_failed_are_put_again(
    aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    half = {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, FAILED, {"EventId": "3"}]}
    proxy.fault(as_json(half), operation="PutEvents", first=1)
    target = eventbridge.EventBridgeTarget("default", None, wait=0.0)
    assert target.deliver(changed(), Sender()) is None
    assert proxy.count(operation="PutEvents") == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"FailedEntryCount": 3, "Entries": [FAILED] * 3},
            "3 entries were not taken, the first: ThrottlingException: Rate",
        ),
        ({"FailedEntryCount": 0, "Entries": []}, "3 entries were not taken, the first: the answer is not from EventBr"),
        ({"FailedEntryCount": 1, "Entries": [FAILED]}, "3 entries were not taken"),
    ],
)
def test_eventbridge_success_with_failed_entries_is_no_success(
    aws: AwsServer,
    fault_proxy: Callable[[str], FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, Any],
    words: str,
) -> None:
    proxy = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    proxy.fault(as_json(answer), operation="PutEvents")
    with pytest.raises(DeliveryError, match=words):
        eventbridge.EventBridgeTarget("default", None, wait=0.0).deliver(changed(), Sender())


def test_eventbridge_by_arn_goes_to_its_region(aws: AwsServer) -> None:
    aws.client("events", "eu-west-1").create_event_bus(Name="security")
    parse_target(f"eventbridge:arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/security").deliver(changed(), Sender())
    assert aws.calls["events:PutEvents", "eu-west-1"] == 1


# -- Security Hub ----------------------------------------------------------------------------------------------------


def imported(aws: AwsServer, region: str = "us-east-1") -> list[dict[str, Any]]:
    pages = aws.client("securityhub", region).get_paginator("get_findings").paginate()
    return [item for page in pages for item in page["Findings"]]


def test_securityhub_opens_updates_and_closes_the_same_finding(aws: AwsServer) -> None:
    target = parse_target("securityhub")
    event = changed()
    assert target.deliver(event, Sender()) is None
    assert target.deliver(event, Sender()) is None
    found = {item["GeneratorId"]: item for item in imported(aws)}
    assert len(imported(aws)) == 2
    altered, lost = found["ctvalidate/log-altered"], found["ctvalidate/gap-broken"]
    assert (altered["Compliance"]["Status"], altered["RecordState"]) == ("FAILED", "ACTIVE")
    assert lost["Compliance"]["Status"] == "WARNING"
    assert altered["FindingProviderFields"]["Severity"]["Label"] == "CRITICAL"
    assert altered["AwsAccountId"] == ACCOUNT  # the sender's, not that of the report's caller
    assert altered["ProductArn"] == f"arn:aws:securityhub:us-east-1:{ACCOUNT}:product/{ACCOUNT}/default"

    assert target.deliver(healed(), Sender()) is None
    closed = imported(aws)
    assert {item["Id"] for item in closed} == {item["Id"] for item in found.values()}
    assert {(item["Compliance"]["Status"], item["RecordState"]) for item in closed} == {("PASSED", "ARCHIVED")}
    assert all(item["CreatedAt"] == altered["CreatedAt"] < item["UpdatedAt"] for item in closed)


def test_securityhub_leaves_the_customers_fields_alone() -> None:
    for item in securityhub.findings(changed(), ACCOUNT, "us-east-1") + securityhub.findings(
        healed(), ACCOUNT, "us-east-1"
    ):
        assert not {"Workflow", "Severity", "Types", "Note", "UserDefinedFields", "VerificationState"} & item.keys()


def test_securityhub_gets_a_hundred_at_a_time(aws: AwsServer) -> None:
    parse_target("securityhub:eu-west-1").deliver(many(250), Sender())
    assert len(imported(aws, "eu-west-1")) == 250
    assert aws.calls["securityhub:BatchImportFindings", "eu-west-1"] == 3


def test_securityhub_calls_stay_small() -> None:
    made = securityhub.findings(build_event(samples.hostile()), ACCOUNT, "us-east-1")
    assert all(len(json.dumps(item)) < 240_000 for item in made)
    large = [{"Id": str(n), "x": "y" * 200_000} for n in range(60)]
    sizes = [sum(len(json.dumps(item)) for item in batch) for batch in securityhub.batches(iter(large))]
    assert len(sizes) == 3
    assert all(size < 6_000_000 for size in sizes)


def test_securityhub_success_with_failed_findings_is_no_success(
    aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    target = securityhub.SecurityHubTarget(None, wait=0.0)
    event = changed()
    refused = {"Id": f"ctvalidate/{event.opened[0].id}", "ErrorCode": "InvalidInput", "ErrorMessage": "Resources"}
    passing = {"Id": f"ctvalidate/{event.opened[1].id}", "ErrorCode": "InternalError", "ErrorMessage": "again"}
    answer = {"FailedCount": 2, "SuccessCount": 0, "FailedFindings": [refused, passing]}
    proxy.fault(as_json(answer), path="/findings/import", first=1)
    with pytest.raises(DeliveryError, match=r"1 findings were not taken, the first: InvalidInput: Resources"):
        target.deliver(event, Sender())
    assert [item["Id"] for item in imported(aws)] == [passing["Id"]]  # what failed in passing was imported again
    proxy.clear()
    one = many(1)
    lasting = passing | {"Id": f"ctvalidate/{one.opened[0].id}"}
    proxy.fault(as_json({"FailedCount": 1, "SuccessCount": 0, "FailedFindings": [lasting]}), path="/findings/import")
    with pytest.raises(DeliveryError, match="InternalError"):
        target.deliver(one, Sender())
    assert proxy.count(path="/findings/import") >= 2 + securityhub.TRIES


def test_securityhub_refusal_names_the_permission(aws: AwsServer) -> None:
    aws.denied = {"securityhub:BatchImportFindings"}
    with pytest.raises(DeliveryError, match=r"allow securityhub:BatchImportFindings"):
        parse_target("securityhub").deliver(changed(), Sender())


def test_a_server_that_answers_nonsense_is_a_failed_delivery(
    aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    proxy.fault(Respond(200, b"<html>captive portal", "text/html"))
    for text in (f"sns:arn:aws:sns:us-east-1:{ACCOUNT}:alerts", "eventbridge:default", "securityhub"):
        with pytest.raises(DeliveryError):
            parse_target(text).deliver(changed(), Sender())


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *(
            "sns:",
            "sns:alerts",
            "sns:arn:aws:sqs:us-east-1:123456789012:x",
            "sns:arn:aws:sns:us-east-1:123456789012:a b",
        ),
        *("eventbridge:", "eventbridge:a b", "eventbridge:arn:aws:sns:us-east-1:123456789012:x"),
        *("securityhub:nowhere", "pagerduty:x", "https://example.com", ""),
    ],
)
def test_what_names_no_target_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="--notify"):
        parse_target(text)
