"""Findings as a value: exact numbers, the same that are kept in any order, and who hears of each at once."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from cloudtrail_validate.core import findings as module
from cloudtrail_validate.core import rules
from cloudtrail_validate.core.findings import Findings, FindingSet, Progress, Watch, order_of
from cloudtrail_validate.core.model import HOUR, Finding, Interval, Locator, Status

START = datetime(2026, 1, 1, tzinfo=UTC)


def finding(number: int, status: Status = Status.ALTERED, rule: str = rules.LOG_ALTERED) -> Finding:
    return Finding(rule, status, where=Locator("b", f"key-{number:04}"), interval=Interval(START, START + HOUR))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_does_not_depend_on_the_order_of_arrival(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(module, "KEPT_PER_STATUS", 10)
    all_ = [finding(number) for number in range(50)] + [finding(7, Status.NOTICE, rules.LOG_PENDING)]
    random.Random(seed).shuffle(all_)
    held = FindingSet()
    for item in all_:
        held.add(item)
    frozen = held.freeze()
    assert [item.where for item in frozen.kept] == [Locator("b", f"key-{number:04}") for number in (*range(10), 7)]
    assert frozen.numbers == ((rules.LOG_ALTERED, Status.ALTERED, 50), (rules.LOG_PENDING, Status.NOTICE, 1))
    assert frozen.truncated


def test_a_flood_of_one_status_pushes_out_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_PER_STATUS", 3)
    held = FindingSet()
    for number in range(100):
        held.add(finding(number, Status.NOTICE, rules.LOG_PENDING))
    held.add(finding(1))
    assert [item.status for item in held.freeze().kept] == [Status.ALTERED, *[Status.NOTICE] * 3]


def test_joined_is_what_one_set_would_have_been(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_PER_STATUS", 4)
    halves = [FindingSet(), FindingSet()]
    whole = FindingSet()
    for number in range(20):
        halves[number % 2].add(finding(number))
        whole.add(finding(number))
    assert FindingSet([half.freeze() for half in halves]).freeze() == whole.freeze()
    assert FindingSet().freeze() == Findings()


def test_the_worst_comes_first_and_the_order_is_total() -> None:
    statuses = [finding(1, status) for status in Status]
    assert [item.status for item in sorted(random.Random(1).sample(statuses, len(statuses)), key=order_of)] == list(
        Status
    )
    nothing = Finding(rules.GAP_TAIL, Status.UNCOVERED)
    assert order_of(nothing) < order_of(finding(1, Status.UNCOVERED, rules.LOG_ALTERED))


def test_the_tally_is_exact() -> None:
    held = FindingSet()
    for _ in range(3):
        held.add(finding(1))
    assert held.freeze().tally.numbers[rules.LOG_ALTERED, Status.ALTERED] == 3
    assert not held.freeze().truncated


class Ear:
    """Remembers what it heard."""

    every_object = False

    def __init__(self) -> None:
        self.heard: list[object] = []

    def finding(self, finding: Finding) -> None:
        self.heard.append(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        self.heard.append((where, status, digest))


def test_a_watch_counts_and_passes_on() -> None:
    ear, progress = Ear(), Progress()
    watch = Watch(progress, ear)
    watch.found(finding(1))
    watch.found(finding(2, Status.NOTICE, rules.LOG_PENDING))
    watch.checked(Locator("b", "k"), None, digest=True)
    assert len(ear.heard) == 3
    assert progress.findings == 1  # notices are none
    assert list(progress.latest) == ["log-altered key-0001"]
    assert not watch.every_object
    assert not Watch().every_object
