"""The state's bytes: what is read back is what was saved, and nothing else is taken for it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.model import ChainId, Kind, Locator, Status
from cloudtrail_validate.core.plan import Edge
from cloudtrail_validate.state.codec import decode, encode
from cloudtrail_validate.state.model import DAY, OpenFinding, RegionState, State, Stretch, fold, merge

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ACCOUNT, REGION = "111122223333", "us-east-1"
CHAIN = ChainId(ACCOUNT, REGION, "management-events", REGION, None, Kind.STANDARD)


def stretch(start: int, *, length: int = 1, mark: int = 0, read: int = 0) -> Stretch:
    return Stretch(start, length, bytes([mark]) * 32, 1, 2, read, read)


def edge(hours: int, sha256: str = "aa") -> Edge:
    return Edge(CHAIN, Locator("b", f"k{hours}"), sha256, "ff", NOW + timedelta(hours=hours))


def state(*stretches: Stretch, edges: tuple[Edge, ...] = (), runs: int = 1) -> State:
    region = RegionState(ACCOUNT, REGION, None, stretches, edges)
    found = OpenFinding("log-missing", Status.MISSING, ACCOUNT, REGION, None, Locator("b", "k"), None, NOW, NOW)
    return State("s3://b/", None, NOW, runs, (region,), (found,), "0.1.0")


def test_what_is_saved_is_read_back() -> None:
    whole = state(stretch(5), stretch(DAY, length=DAY, mark=7), edges=(edge(1),))
    assert decode(encode(whole), "x") == whole


def test_one_flipped_byte_anywhere_is_one_line_and_no_state() -> None:
    data, chance = encode(state(*(stretch(hour, mark=hour % 251) for hour in range(200)))), random.Random(1)
    for at in {0, 5, len(data) - 1, *(chance.randrange(len(data)) for _ in range(300))}:
        broken = bytearray(data)
        broken[at] ^= 1 << chance.randrange(8)
        with pytest.raises(ConfigurationError, match=r"\A--state: x is .*\Z"):
            decode(bytes(broken), "x")


@pytest.mark.parametrize("cut", [0, 3, 20, 60, 90, 120])
def test_a_state_cut_short_is_none(cut: int) -> None:
    with pytest.raises(ConfigurationError):
        decode(encode(state(stretch(1)))[:cut], "x")


def test_a_later_version_is_named() -> None:
    later = encode(state()).replace(b"ctvalidate.state/1", b"ctvalidate.state/2", 1)
    with pytest.raises(ConfigurationError, match=r"from another version of ctvalidate \(ctvalidate.state/2\)"):
        decode(later, "x")


def test_a_year_of_an_account_region_fits_eighteen_kilobytes() -> None:
    """200 accounts x 17 regions x a year within 100 MB."""
    chance = random.Random(2)
    days = [
        Stretch(day * DAY, DAY, chance.randbytes(32), 24, chance.randrange(10**4), 490_000, 490_000)
        for day in range(365)
    ]
    assert len(encode(state(*days))) < 100_000_000 / (200 * 17)


def test_whole_days_are_folded_and_hours_are_not() -> None:
    hours = {hour: stretch(hour, mark=hour, read=100 - hour) for hour in range(DAY + 3)}
    day, *rest = fold(hours)
    assert (day.start, day.length, day.digests, day.logs, day.read) == (0, DAY, DAY, 2 * DAY, 100 - (DAY - 1))
    assert [item.start for item in rest] == [DAY, DAY + 1, DAY + 2]
    assert fold({0: day, **{item.start: item for item in rest}}) == (day, *rest)


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_a_merge_knows_what_either_knew_and_the_newest_of_it(one: set[int], other: set[int]) -> None:
    ours = state(*fold({hour: stretch(hour, mark=1, read=2) for hour in one}), edges=(edge(2, "bb"),))
    theirs = state(*fold({hour: stretch(hour, mark=2, read=1) for hour in other}), edges=(edge(1),), runs=5)
    both = merge(ours, theirs)
    known = {item.start + hour for region in both.regions for item in region.stretches for hour in range(item.length)}
    assert known <= one | other
    assert {hour for hour in one | other if hour // DAY * DAY not in _days(ours, theirs)} <= known
    assert both.regions[0].edges == (edge(2, "bb"),)
    assert both.runs == 6
    assert merge(both, both).regions == both.regions


def _days(*states: State) -> set[int]:
    return {
        item.start for whole in states for region in whole.regions for item in region.stretches if item.length == DAY
    }


def test_a_merge_keeps_the_finding_seen_last() -> None:
    ours = state()
    later = replace(ours.open[0], last_seen=NOW + timedelta(days=1), times=2)
    assert merge(ours, replace(ours, open=(later,))).open == (later,)
    assert merge(replace(ours, open=(later,)), ours).open == (later,)
