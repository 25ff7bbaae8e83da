"""Interval arithmetic against sets of minutes."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.coverage import (
    NAME_SLACK,
    Span,
    covers,
    difference,
    intersection,
    seconds,
    subtract,
    touches,
    union,
)
from cloudtrail_validate.core.model import HOUR, Interval

from .helpers import START

MINUTE = timedelta(minutes=1)


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


def test_the_slack_is_what_real_names_need() -> None:
    assert timedelta(seconds=262) < NAME_SLACK < HOUR / 2
