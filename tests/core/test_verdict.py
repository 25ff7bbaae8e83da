"""The verdict for every combination of what can be found, and the bounded findings that it is taken from."""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core import findings as findings_module
from cloudtrail_validate.core import rules
from cloudtrail_validate.core.findings import KEPT_PER_STATUS, Findings, FindingSet, Progress, Watch
from cloudtrail_validate.core.model import Counts, Finding, Interval, Locator, Status
from cloudtrail_validate.core.verdict import ExitCode, Tally, Verdict, decide

from .helpers import START

# The contract's table of exit codes, by the worst that was found.
CHANGED = {Status.ALTERED, Status.MISSING, Status.EXTRA}
UNPROVEN = {Status.UNVERIFIABLE, Status.UNCOVERED}
EVERY_SET = list(chain.from_iterable(combinations(Status, size) for size in range(len(Status) + 1)))
CODES = {Verdict.VALID: 0, Verdict.CHANGED: 1, Verdict.UNPROVEN: 3, Verdict.EMPTY: 4}


def tally(*findings: tuple[str, Status]) -> Tally:
    out = Tally()
    for rule, status in findings:
        out.add(rule, status)
    return out


@pytest.mark.parametrize("statuses", EVERY_SET, ids="+".join)
@pytest.mark.parametrize("digests", [0, 1, 10_000])
@pytest.mark.parametrize("tolerated", [frozenset(), frozenset(rules.RULES)], ids=["strict", "tolerant"])
def test_the_verdict_on_every_set_of_statuses(
    statuses: tuple[Status, ...], digests: int, tolerated: frozenset[str]
) -> None:
    verdict, code = decide(tally(*((rules.LOG_ALTERED, s) for s in statuses)), digests=digests, tolerated=tolerated)
    if CHANGED & {*statuses}:
        expected = Verdict.CHANGED
    elif digests == 0:
        expected = Verdict.EMPTY
    elif UNPROVEN & {*statuses} and not tolerated:
        expected = Verdict.UNPROVEN
    else:
        expected = Verdict.VALID
    assert verdict is expected
    assert code is ExitCode[expected.name]
    assert code == CODES[expected]


@pytest.mark.parametrize("rule", sorted(rules.RULES))
@pytest.mark.parametrize("status", Status)
def test_tolerating_another_rule_changes_nothing(rule: str, status: Status) -> None:
    others = frozenset(rules.RULES) - {rule}
    found = tally((rule, status))
    assert decide(found, digests=1, tolerated=others) == decide(found, digests=1)


@pytest.mark.parametrize("status", sorted(UNPROVEN))
def test_one_tolerated_rule_does_not_excuse_the_next(status: Status) -> None:
    found = tally((rules.GAP_TAIL, status), (rules.GAP_BROKEN, status))
    for rule in (rules.GAP_TAIL, rules.GAP_BROKEN):
        assert decide(found, digests=1, tolerated=[rule])[1] is ExitCode.UNPROVEN
    assert decide(found, digests=1, tolerated=iter([rules.GAP_TAIL, rules.GAP_BROKEN]))[1] is ExitCode.VALID


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_nothing_is_not_said_of_a_chains_lost_hours(rule: str) -> None:
    """A window that lies in a hole wholly has no digest, but its chain has some before it."""
    lost = rule in (rules.GAP_BROKEN, rules.GAP_RESTART, rules.GAP_TAIL)
    expected = (Verdict.UNPROVEN, 3) if lost else (Verdict.EMPTY, 4)
    assert decide(tally((rule, Status.UNCOVERED)), digests=0) == expected
    assert decide(tally((rule, Status.UNCOVERED)), digests=0, tolerated=[rule]) == (Verdict.EMPTY, 4)


def test_one_rule_of_two_statuses_is_tolerated_only_as_unverifiable() -> None:
    """`digest-key-unknown` may be either."""
    rule = rules.DIGEST_KEY_UNKNOWN
    assert decide(tally((rule, Status.UNVERIFIABLE)), digests=1, tolerated=[rule])[1] is ExitCode.VALID
    assert decide(tally((rule, Status.ALTERED)), digests=1, tolerated=[rule])[1] is ExitCode.CHANGED


def test_the_exit_codes_are_those_of_the_contract() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "VALID": 0,
        "CHANGED": 1,
        "USAGE": 2,
        "UNPROVEN": 3,
        "EMPTY": 4,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize("digests", [0, 7])
@pytest.mark.parametrize("status", [None, *Status])
def test_an_interrupted_run_is_130_unless_it_found_a_change(status: Status | None, digests: int) -> None:
    found = tally(*([("rule", status)] if status else []))
    changed = status in (Status.ALTERED, Status.MISSING, Status.EXTRA)
    expected = (Verdict.CHANGED, 1) if changed else (Verdict.UNPROVEN, 130)
    assert decide(found, digests=digests, tolerated=["rule"], interrupted=True) == expected


def test_the_tally_by_rule() -> None:
    found = tally(*[("a", Status.ALTERED)] * 2, ("a", Status.NOTICE), ("b", Status.NOTICE))
    assert found.by_rule() == {"a": 3, "b": 1}


# -- counts -----------------------------------------------------------------------------------------------------------


def test_counts_add_up() -> None:
    statuses = (None, Status.NOTICE, Status.ALTERED, Status.MISSING, Status.EXTRA, Status.UNVERIFIABLE)
    counts = Counts.of(status for number, status in enumerate(statuses, start=1) for _ in range(number))
    assert counts == Counts(valid=3, altered=3, missing=4, extra=5, unverifiable=6)
    assert counts.total == 21
    assert counts + Counts(1, 1, 1, 1, 1) == Counts(4, 4, 5, 6, 7)
    assert sum([counts, counts], Counts()).total == 42


# -- findings ---------------------------------------------------------------------------------------------------------


def collected(*given: Finding) -> Findings:
    found = FindingSet()
    for item in given:
        found.add(item)
    return found.freeze()


def finding(rule: str, status: Status, number: int = 0) -> Finding:
    return Finding(rule, status, where=Locator("b", f"k{number}"))


def test_a_flood_of_notices_cannot_push_out_an_alteration() -> None:
    flood = finding(rules.LOG_REWRITTEN, Status.NOTICE)
    notices = [replace(flood, where=Locator("b", f"k{number}")) for number in range(KEPT_PER_STATUS + 7)]
    found = collected(*notices, finding(rules.LOG_ALTERED, Status.ALTERED))
    assert found.truncated
    assert Counter(item.status for item in found.kept) == {Status.NOTICE: KEPT_PER_STATUS, Status.ALTERED: 1}
    assert found.kept[0].rule == rules.LOG_ALTERED
    assert found.tally.numbers == {
        (rules.LOG_REWRITTEN, Status.NOTICE): KEPT_PER_STATUS + 7,
        (rules.LOG_ALTERED, Status.ALTERED): 1,
    }
    assert decide(found.tally, digests=1)[1] is ExitCode.CHANGED


def test_each_status_has_its_own_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_module, "KEPT_PER_STATUS", 3)
    found = collected(*(finding("r", status, number) for number, status in product(range(5), Status)))
    assert Counter(item.status for item in found.kept) == dict.fromkeys(Status, 3)
    assert {number for _, _, number in found.numbers} == {5}
    assert found.truncated


def test_what_fits_is_not_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_module, "KEPT_PER_STATUS", 3)
    assert not collected(*(finding("r", Status.NOTICE, number) for number in range(3))).truncated


@given(st.permutations(range(40)), st.integers(1, 39))
def test_what_is_kept_does_not_depend_on_the_order_of_arrival(order: list[int], at: int) -> None:
    """However findings arrive, one by one or in parts that were capped already, the same ones are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings_module, "KEPT_PER_STATUS", 7)
        given_ = [finding("r", Status.EXTRA, number) for number in order]
        parts = FindingSet([collected(*given_[:at]), collected(*given_[at:])]).freeze()
        assert collected(*given_) == parts == collected(*(finding("r", Status.EXTRA, number) for number in range(40)))


def test_findings_come_worst_first_and_then_by_place_and_time() -> None:
    hours = [Interval(START.replace(hour=hour), START.replace(hour=hour + 1)) for hour in (2, 1)]
    found = [
        Finding("z", Status.NOTICE),
        Finding("b", Status.ALTERED, "444455556666"),
        Finding("b", Status.ALTERED, "111122223333", "us-east-1", interval=hours[0]),
        Finding("b", Status.ALTERED, "111122223333", "us-east-1", interval=hours[1]),
        Finding("b", Status.ALTERED, "111122223333", "eu-west-1"),
        Finding("b", Status.ALTERED),
        Finding("a", Status.ALTERED, "999999999999"),
        Finding("z", Status.UNCOVERED),
        Finding("z", Status.UNVERIFIABLE),
        Finding("z", Status.EXTRA),
        Finding("z", Status.MISSING),
    ]
    order = [6, 5, 4, 3, 2, 1, 10, 9, 8, 7, 0]
    assert list(collected(*found).kept) == [found[index] for index in order]


def test_progress_shows_the_newest_findings_and_no_notices() -> None:
    progress = Progress()
    watch = Watch(progress)
    watch.found(finding("first", Status.ALTERED))
    for number in range(3):
        watch.found(finding("r", Status.EXTRA, number))
    watch.found(finding("quiet", Status.NOTICE))
    watch.found(Finding("hours", Status.UNCOVERED, region="us-east-1"))
    assert progress.findings == 5
    assert list(progress.latest) == ["r k1", "r k2", "hours us-east-1"]


def test_the_listener_hears_everything_at_once() -> None:
    class Heard:
        def __init__(self) -> None:
            self.findings: list[Finding] = []
            self.objects: list[tuple[Locator, Status | None, bool]] = []

        def finding(self, finding: Finding) -> None:
            self.findings.append(finding)

        def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
            self.objects.append((where, status, digest))

    heard = Heard()
    watch = Watch(Progress(), heard)
    item = finding("r", Status.ALTERED)
    watch.found(item)
    watch.checked(Locator("b", "k"), None, digest=True)
    assert heard.findings == [item]
    assert heard.objects == [(Locator("b", "k"), None, True)]
