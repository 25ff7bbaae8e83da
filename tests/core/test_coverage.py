"""Interval arithmetic against sets of minutes, and where a log that nobody names stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import (
    NAME_SLACK,
    Placed,
    Span,
    Zones,
    covers,
    difference,
    intersection,
    judge_unreferenced,
    place,
    seconds,
    subtract,
    touches,
    union,
)
from cloudtrail_validate.core.model import HOUR, Interval

from .helpers import START

MINUTE = timedelta(minutes=1)
DAY = Interval(START, START + timedelta(days=1))


def at(minute: float) -> datetime:
    return START + minute * MINUTE


def span(start: float, end: float) -> Interval:
    return Interval(at(start), at(end))


def minutes(*intervals: Interval) -> set[int]:
    """The naive model: the minutes that begin in any of them."""
    return {
        minute
        for interval in intervals
        for minute in range(int((interval.start - START) / MINUTE), int((interval.end - START) / MINUTE))
    }


INTERVALS = st.builds(lambda start, length: span(start, start + length), st.integers(0, 40), st.integers(0, 12))
LISTS = st.lists(INTERVALS, max_size=6)
SPANS = st.builds(union, LISTS)


def is_normal(found: Span) -> bool:
    """Sorted, disjoint, not touching, without empty members."""
    return all(one.start < one.end for one in found) and all(one.end < other.start for one, other in pairwise(found))


@given(LISTS)
def test_union(intervals: list[Interval]) -> None:
    assert minutes(*union(intervals)) == minutes(*intervals)
    assert is_normal(union(intervals))


@given(LISTS)
def test_union_leaves_out_what_runs_backwards(intervals: list[Interval]) -> None:
    backwards = [Interval(item.end + MINUTE, item.start) for item in intervals]
    assert union([*intervals, *backwards]) == union(intervals)


@given(INTERVALS, SPANS)
def test_subtract(window: Interval, covered: Span) -> None:
    found = subtract(window, covered)
    assert minutes(*found) == minutes(window) - minutes(*covered)
    assert is_normal(found)


@given(SPANS, SPANS)
def test_difference(one: Span, other: Span) -> None:
    assert minutes(*difference(one, other)) == minutes(*one) - minutes(*other)
    assert is_normal(difference(one, other))


@given(SPANS, SPANS)
def test_intersection(one: Span, other: Span) -> None:
    assert minutes(*intersection(one, other)) == minutes(*one) & minutes(*other)
    assert is_normal(intersection(one, other))


@given(SPANS)
def test_seconds(covered: Span) -> None:
    assert seconds(covered) == 60 * len(minutes(*covered))


@given(SPANS, INTERVALS)
def test_covers(covered: Span, interval: Interval) -> None:
    """An interval without length stands for its one instant."""
    wanted = minutes(interval) or minutes(Interval(interval.start, interval.start + MINUTE))
    assert covers(covered, interval) == (wanted <= minutes(*covered))


@given(SPANS, INTERVALS)
def test_touches(covered: Span, interval: Interval) -> None:
    wanted = minutes(interval) or minutes(Interval(interval.start, interval.start + MINUTE))
    assert touches(covered, interval) == bool(wanted & minutes(*covered))


# -- intervals themselves ---------------------------------------------------------------------------------------------


@given(INTERVALS, INTERVALS)
def test_overlaps_and_within(one: Interval, other: Interval) -> None:
    common = minutes(one) & minutes(other)
    assert minutes(one.within(other)) == common
    assert one.within(other).seconds == 60 * len(common)
    if minutes(one) and minutes(other):
        assert one.overlaps(other) == other.overlaps(one) == bool(common)


@given(INTERVALS, st.integers(-5, 60))
def test_contains(interval: Interval, minute: int) -> None:
    assert interval.contains(at(minute)) == (minute in minutes(interval))


def test_an_interval_that_runs_backwards_has_no_length() -> None:
    assert span(5, 1).seconds == 0


# -- placing a log in time --------------------------------------------------------------------------------------------

SLACK = NAME_SLACK / MINUTE


@pytest.mark.parametrize(
    ("minute", "modified", "day", "moments", "spans"),
    [
        (None, None, None, (), ()),
        (60, None, DAY, (60,), ((60 - SLACK, 60 + SLACK),)),
        (60, 62, DAY, (62,), ((62, 62),)),  # one delivery: S3 knows when
        (60, 60 - SLACK, DAY, (55,), ((55, 55),)),
        (60, 60 + SLACK + 0.1, DAY, (65.1, 60), ((65.1, 65.1), (55, 65))),  # two times: it may be read for either
        (60, 9000, DAY, (9000, 60), ((9000, 9000), (55, 65))),
        (None, 70, None, (70,), ((70, 70),)),
        (None, 70, DAY, (70,), ((70, 70), (0, 1440))),
        (None, 9000, DAY, (9000,), ((9000, 9000), (0, 1440))),
        (None, None, DAY, (), ((0, 1440),)),
    ],
)
def test_place(
    minute: float | None,
    modified: float | None,
    day: Interval | None,
    moments: tuple[float, ...],
    spans: tuple[tuple[float, float], ...],
) -> None:
    placed = place(None if minute is None else at(minute), None if modified is None else at(modified), day)
    assert placed.moments == tuple(map(at, moments))
    assert placed.spans == tuple(span(*pair) for pair in spans)


@pytest.mark.parametrize(
    ("placed", "belongs"),
    [
        (place(at(60), None, DAY), [True, False, False]),
        (place(at(60), at(62), DAY), [True, False, False]),
        (place(at(60), at(150), DAY), [True, True, False]),
        (place(at(60), at(9000), DAY), [True, False, True]),
        (place(at(59), None, DAY), [False, False, False]),  # its name's minute decides, not the slack around it
        (place(None, at(130), DAY), [False, True, False]),
        (place(None, None, DAY), [True, True, False]),
        # Written in another year, in a folder of this day: it is a file of this day for whoever reads by folder.
        (place(None, at(9000), DAY), [True, True, True]),
        (place(None, None, None), [False, False, False]),
    ],
)
def test_belongs(placed: Placed, belongs: list[bool]) -> None:
    windows = (span(60, 120), span(120, 180), span(9000, 9060))
    assert [placed.belongs(window) for window in windows] == belongs


def test_clipped_keeps_what_lies_in_the_window() -> None:
    placed = place(None, at(130), DAY).clipped(span(120, 180))
    assert placed.spans == (span(130, 130), span(120, 180))
    assert place(at(60), at(130), DAY).clipped(span(120, 180)).spans == (span(130, 130),)
    assert place(at(118), None, DAY).clipped(span(120, 180)).spans == (span(120, 123),)
    assert place(at(60), at(120), DAY).clipped(span(120, 180)).spans == (span(120, 120),)
    assert place(at(60), at(180), DAY).clipped(span(120, 180)).spans == ()


# -- the decision -----------------------------------------------------------------------------------------------------

# Hours 0 to 2 are proven, hour 2 to 3 is lost (a gap), hours 3 to 5 are proven again; nothing is known after.
ZONES = Zones((span(0, 120), span(180, 300)), (span(120, 180),), at(300))
EXTRA, UNDIGESTED, PENDING = rules.LOG_EXTRA, rules.LOG_UNDIGESTED, rules.LOG_PENDING


@pytest.mark.parametrize(
    ("placed", "named", "expected"),
    [
        (place(at(60), at(60), DAY), True, EXTRA),
        (place(at(60), None, DAY), True, EXTRA),
        # Between proven and lost hours a name alone does not tell which; the time of writing does.
        (place(at(118), None, DAY), True, UNDIGESTED),
        (place(at(118), at(118), DAY), True, EXTRA),
        (place(at(118), at(121), DAY), True, UNDIGESTED),
        (place(at(150), at(150), DAY), True, UNDIGESTED),
        (place(at(150), None, DAY), True, UNDIGESTED),
        # Planted: named for a proven hour, written in a lost one, and the other way round.
        (place(at(60), at(150), DAY), True, EXTRA),
        (place(at(150), at(60), DAY), True, EXTRA),
        # Newer than the newest digest.
        (place(at(310), at(311), DAY), True, PENDING),
        (place(at(300), at(300), DAY), True, PENDING),
        (place(at(299), at(299), DAY), True, EXTRA),
        (place(at(298), None, DAY), True, PENDING),
        (place(at(60), at(310), DAY), True, EXTRA),
        (place(at(150), at(310), DAY), True, UNDIGESTED),
        # CloudTrail writes no other names: one instant in proven hours is enough.
        (place(None, None, DAY), False, EXTRA),
        (place(None, at(150), None), False, UNDIGESTED),
        (place(None, at(310), None), False, PENDING),
        (place(None, at(60), None), False, EXTRA),
        (place(at(118), None, DAY), False, EXTRA),
        # Nothing is known of its time.
        (place(None, None, None), True, UNDIGESTED),
    ],
)
def test_judge_unreferenced(placed: Placed, named: bool, expected: str) -> None:
    assert judge_unreferenced(placed, ZONES, named=named, excused=False) == expected
    # A trail without validation may have written what proven hours do not name; nothing else changes by that.
    excused = UNDIGESTED if expected == EXTRA else expected
    assert judge_unreferenced(placed, ZONES, named=named, excused=excused != expected) == excused


def test_without_any_digest_nothing_is_pending() -> None:
    nothing = Zones((), (), None)
    assert judge_unreferenced(place(at(310), at(310), DAY), nothing, named=True, excused=False) == UNDIGESTED


def test_a_log_after_the_newest_digest_in_hours_reported_as_a_gap_is_not_pending() -> None:
    cut = Zones((span(0, 120),), (span(120, 600),), at(120))
    assert judge_unreferenced(place(at(310), at(310), DAY), cut, named=True, excused=False) == UNDIGESTED
    assert judge_unreferenced(place(at(310), at(310), DAY), cut, named=True, excused=True) == UNDIGESTED


def test_the_slack_is_what_real_names_need() -> None:
    assert timedelta(seconds=262) < NAME_SLACK < HOUR / 2
