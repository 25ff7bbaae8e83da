"""What is new, found again, healed and still open: the one value that all targets are told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Kind, Status
from cloudtrail_validate.notify.event import Event, OpenFindings, build_event, refused_event, still_open
from cloudtrail_validate.report import ChainRecord, FindingRecord, Report
from cloudtrail_validate.report.healing import TOLD
from cloudtrail_validate.report.references import Severity, identities
from tests.report import samples
from tests.report.samples import at, chain, finding, log_key, report

ALTERED = finding(rules.LOG_ALTERED, log_key(5), hours=(5, 6), expected=samples.GOOD, actual=samples.BAD)
GAP = finding(rules.GAP_BROKEN, hours=(3, 5))


def remembered(*found: FindingRecord) -> OpenFindings:
    return still_open(build_event(report([chain()], found)))


def rules_of(event: Event, name: str) -> list[str]:
    return [item.finding.rule for item in getattr(event, name)]


def test_a_first_run_opens_all_but_notices() -> None:
    told = samples.telling()
    event = build_event(told)
    assert len(event.opened) == sum(one.status in TOLD for one in told.findings)
    assert (event.again, event.healed, event.carried, event.remembers) == ((), (), (), False)
    assert all(item.finding.status is not Status.NOTICE for item in event.opened)
    assert event.severity is Severity.CRITICAL


def test_the_same_finding_keeps_its_id_and_first_sight() -> None:
    first = build_event(report([chain()], [ALTERED]))
    later = report([chain(hours=48)], [ALTERED], hours=48)
    event = build_event(later, still_open(first))
    (before,), (now,) = first.opened, event.again
    assert (now.id, now.first_seen, now.times) == (before.id, before.first_seen, 2)
    assert now.last_seen == later.run.finished > before.last_seen
    assert (event.id, event.opened, event.healed) == (first.id, (), ())


def test_ids_are_those_of_every_format() -> None:
    told = samples.telling()
    known = dict(zip(identities(told.findings), told.findings, strict=True))
    for item in build_event(told).opened:
        assert known[item.id].rule == item.finding.rule
        assert known[item.id].key == item.finding.key


def test_what_is_proven_now_is_healed() -> None:
    event = build_event(report([chain()]), remembered(ALTERED, GAP))
    assert sorted(rules_of(event, "healed")) == [rules.GAP_BROKEN, rules.LOG_ALTERED]
    assert still_open(event) == OpenFindings()


NOT_HEALED = {
    "another account": report([chain(samples.SECOND)]),
    "another region": report([chain(region="eu-west-1")]),
    "another trail": report([chain(trail="other")]),
    "its hours are a gap": report([chain(gaps=[("gap-broken", 5, 6)])], [finding(rules.GAP_BROKEN, hours=(5, 6))]),
    "a part of its hours is a gap": report([chain(gaps=[("gap-broken", 5.5, 6)])]),
    "a window that ends before": report([chain(hours=4)], hours=4),
    "nothing was found": samples.empty(),
    "another rule accuses it": report([chain()], [finding(rules.LOG_MISSING, log_key(5), hours=(5, 6))]),
    "it could not be read": report([chain()], [finding(rules.LOG_UNREADABLE, log_key(5), hours=(5, 6))]),
    "findings were left out": report([chain()], findings_truncated=True),
    "only backfill digests are proven": report([chain(kind=Kind.BACKFILL)]),
}


@pytest.mark.parametrize("later", NOT_HEALED.values(), ids=NOT_HEALED)
def test_what_was_not_looked_at_or_not_proven_stays_open(later: Report) -> None:
    event = build_event(later, remembered(ALTERED))
    assert event.healed == ()
    assert rules_of(event, "carried") == [rules.LOG_ALTERED]
    assert rules.LOG_ALTERED in [item.finding.rule for item in still_open(event).findings]


def test_an_interrupted_run_heals_nothing() -> None:
    event = build_event(report([chain()]), remembered(ALTERED), complete=False)
    assert (event.healed, rules_of(event, "carried")) == ((), [rules.LOG_ALTERED])


def test_a_region_that_has_digests_again_is_no_longer_absent() -> None:
    absent = finding(rules.CHAIN_ABSENT, hours=(0, 24), region="eu-west-1", trail=None)
    event = build_event(report([chain(region="eu-west-1", until=3)]), remembered(absent))
    assert rules_of(event, "healed") == [rules.CHAIN_ABSENT]


def test_a_file_outside_of_date_folders_is_looked_for_in_every_run() -> None:
    stray = finding(rules.LOG_EXTRA, "AWSLogs/111122223333/CloudTrail/us-east-1/stray.json.gz", trail=None)
    assert rules_of(build_event(report([chain()]), remembered(stray)), "healed") == [rules.LOG_EXTRA]
    assert rules_of(build_event(report([chain(region="eu-west-1")]), remembered(stray)), "carried") == [rules.LOG_EXTRA]


def test_the_state_changes_with_what_is_open_and_with_nothing_else() -> None:
    one, two = report([chain()], [ALTERED]), report([chain(hours=30)], [ALTERED], hours=30)
    assert build_event(one).state == build_event(two).state
    assert build_event(one).state != build_event(report([chain()], [ALTERED, GAP])).state
    assert build_event(report([chain()])).state != build_event(report([chain()]), remembered(ALTERED)).state


def test_tolerated_findings_are_no_alarm() -> None:
    event = build_event(report([chain()], [GAP], tolerated=(rules.GAP_BROKEN,)))
    assert (event.verdict, event.severity) == ("valid", Severity.INFORMATIONAL)


def test_a_refused_run_carries_everything() -> None:
    told = report([chain()])
    event = refused_event(
        told.request, remembered(ALTERED), exit_code=3, problem="denied\x1b[31m", now=at(1), version="1"
    )
    assert (event.verdict, event.exit_code, event.healed) == ("unproven", 3, ())
    assert (rules_of(event, "carried"), event.problem) == ([rules.LOG_ALTERED], r"denied\x1b[31m")


def test_memory_survives_json() -> None:
    memory = still_open(build_event(samples.hostile()))
    assert msgspec.json.decode(msgspec.json.encode(memory), type=OpenFindings) == memory


_FINDINGS = st.lists(
    st.builds(
        finding,
        st.sampled_from([rules.LOG_ALTERED, rules.LOG_MISSING, rules.LOG_EXTRA, rules.LOG_UNDIGESTED]),
        st.integers(0, 23).map(log_key),
    ),
    max_size=4,
)
_CHAINS = st.lists(
    st.builds(
        chain,
        st.sampled_from([samples.ACCOUNT, samples.SECOND]),
        st.sampled_from(["us-east-1", "eu-west-1"]),
        until=st.integers(1, 24),
    ),
    max_size=3,
)


@given(st.lists(st.tuples(_CHAINS, _FINDINGS), min_size=1, max_size=4))
def test_no_finding_is_lost_between_runs(runs: list[tuple[list[ChainRecord], list[FindingRecord]]]) -> None:
    """Whatever was open is found again, healed or carried: exactly one of them. What is healed lies in covered hours."""
    memory: OpenFindings | None = None
    for chains, found in runs:
        told = report(chains, found)
        event = build_event(told, memory)
        before = {item.id for item in memory.findings} if memory else set()
        parts = [{item.id for item in getattr(event, name)} for name in ("again", "healed", "carried")]
        assert set().union(*parts) == before
        assert sum(map(len, parts)) == len(before)
        assert not before & {item.id for item in event.opened}
        for item in event.healed:
            places = [one for one in chains if (one.account, one.region) == (item.finding.account, item.finding.region)]
            assert any(start < end for one in places for start, end in one.covered)
        memory = still_open(event)
        assert {item.id for item in event.found} <= {item.id for item in memory.findings}
