"""Several targets of one run: which runs are due, what becomes of each, and that none of them costs the report."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.verdict import Tally
from cloudtrail_validate.notify.deliver import OwnSurroundings, When, notify
from cloudtrail_validate.notify.event import Event, OpenFindings, build_event, still_open
from cloudtrail_validate.notify.target import DeliveryError, Surroundings, parse_target
from cloudtrail_validate.report import Report, Verdict
from tests.notify.helpers import altered, gap
from tests.report import samples
from tests.report.samples import chain, report

if TYPE_CHECKING:
    from tests.servers.receiver import Receiver


@dataclass
class Listening:
    """A target that keeps what it is told, or fails as it is told to."""

    name: str = "here"
    fails: Exception | None = None
    waits: threading.Event | None = None
    events: list[Event] = field(default_factory=list)

    def deliver(self, event: Event, surroundings: Surroundings) -> str | None:  # the protocol's
        if self.waits is not None:
            self.waits.wait(30)
        if self.fails is not None:
            raise self.fails
        self.events.append(event)
        return None


REPORTS = samples.verdicts()
OPEN_CHANGE = still_open(build_event(report([chain()], [altered()])))
OPEN_GAP = still_open(build_event(report([chain(gaps=[("gap-broken", 3, 5)])], [gap()])))
DAY = report([chain()])


@pytest.mark.parametrize(
    ("told", "previous", "due"),
    [
        (REPORTS[Verdict.VALID], None, {When.ALWAYS}),
        (REPORTS[Verdict.CHANGED], None, {When.CHANGE, When.PROBLEM, When.ALWAYS}),
        (REPORTS[Verdict.UNPROVEN], None, {When.PROBLEM, When.ALWAYS}),
        (REPORTS[Verdict.EMPTY], None, {When.PROBLEM, When.ALWAYS}),
        (DAY, OPEN_CHANGE, {When.CHANGE, When.PROBLEM, When.ALWAYS}),  # what was told is taken back
        (DAY, OPEN_GAP, {When.PROBLEM, When.ALWAYS}),
        (DAY, OpenFindings(), {When.ALWAYS}),
    ],
)
def test_which_runs_are_told_of(told: Report, previous: OpenFindings | None, due: set[When]) -> None:
    for when in When:
        target = Listening()
        (record,) = notify(told, previous, [target], when=when)
        assert (record.outcome, len(target.events)) == (("sent", 1) if when in due else ("not-due", 0)), when


def test_one_target_that_fails_costs_the_others_nothing() -> None:
    blocked = threading.Event()
    targets = [
        Listening("good"),
        Listening("refused", DeliveryError("HTTP status 403")),
        Listening("unset", ConfigurationError("no AWS credentials found")),
        Listening("broken", ValueError("T0KEN")),
        Listening("hanging", waits=blocked),
        Listening("also good"),
    ]
    records = notify(REPORTS[Verdict.CHANGED], None, targets, deadline=0.5)
    blocked.set()
    assert [(record.target, record.outcome, record.detail) for record in records] == [
        ("good", "sent", None),
        ("refused", "failed", "HTTP status 403"),
        ("unset", "failed", "no AWS credentials found"),
        ("broken", "failed", "ValueError"),  # the text of what nobody expected may hold a secret
        ("hanging", "failed", "no answer within 0.5 s"),
        ("also good", "sent", None),
    ]


def test_numbers_are_exact_where_findings_were_capped() -> None:
    tally = Tally()
    for _ in range(30_000):
        tally.add("log-altered", Status.ALTERED)
    target = Listening()
    notify(report([chain()], [altered()], findings_truncated=True), None, [target], tally=tally)
    assert target.events[0].counts[Status.ALTERED] == 30_000
    assert target.events[0].counts_are_exact


def test_without_credentials_aws_targets_say_so(no_aws_files: object) -> None:
    targets = [parse_target("sns:arn:aws:sns:us-east-1:123456789012:alerts"), parse_target("eventbridge:default")]
    records = notify(REPORTS[Verdict.CHANGED], None, targets)
    assert [record.outcome for record in records] == ["failed", "failed"]
    assert all("no AWS credentials found" in str(record.detail) for record in records)


def test_secrets_come_from_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTVALIDATE_WEBHOOK_SECRET", "s3cret")
    target = parse_target(f"webhook:{receiver.url}/T0KEN")
    (record,) = notify(REPORTS[Verdict.CHANGED], None, [target], surroundings=OwnSurroundings())
    assert record.outcome == "sent"
    assert "x-ctvalidate-signature" in receiver.got[0].headers
    assert "T0KEN" not in repr(record)
