"""Arithmetic of covered time. Pure.

A set of intervals is a sorted tuple of disjoint, non-empty, half-open intervals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import timedelta
from operator import attrgetter
from typing import Final

from cloudtrail_validate.core.model import Interval

NAME_SLACK: Final = timedelta(minutes=5)  # a name's minute is -262 s … +200 s off its LastModified, 35 genuine files
TAIL: Final = timedelta(hours=2)  # the newest digest is normally up to ~91 minutes old; older is a gap
Span = tuple[Interval, ...]


def union(intervals: Iterable[Interval]) -> Span:
    """Return the time that any of the intervals covers."""
    out: list[Interval] = []
    for interval in sorted(item for item in intervals if item.start < item.end):
        if out and interval.start <= out[-1].end:
            if interval.end > out[-1].end:
                out[-1] = Interval(out[-1].start, interval.end)
        else:
            out.append(interval)
    return tuple(out)


def subtract(window: Interval, covered: Span) -> Span:
    """Return the part of `window` that `covered` leaves open."""
    holes: list[Interval] = []
    at = window.start
    for interval in covered:
        if interval.end <= at:
            continue
        if interval.start >= window.end:
            break
        if interval.start > at:
            holes.append(Interval(at, interval.start))
        at = interval.end
    if at < window.end:
        holes.append(Interval(at, window.end))
    return tuple(holes)


def difference(one: Span, other: Span) -> Span:
    """Return the part of `one` that `other` leaves."""
    return tuple(piece for interval in one for piece in subtract(interval, other))


def intersection(one: Span, other: Span) -> Span:
    """Return the time that both cover."""
    return tuple(piece for interval in one for piece in subtract(interval, subtract(interval, other)))


def seconds(span: Span) -> int:
    """Return the total length of some intervals that do not overlap, in seconds."""
    return sum(interval.seconds for interval in span)


def covers(span: Span, interval: Interval) -> bool:
    """Tell whether the whole of `interval` (or, if it is empty, its one instant) lies in `span`."""
    index = bisect_right(span, interval.start, key=attrgetter("start")) - 1
    if index < 0:
        return False
    holder = span[index]
    return interval.end <= holder.end and (interval.start < interval.end or holder.contains(interval.start))


def touches(span: Span, interval: Interval) -> bool:
    """Tell whether `span` and `interval` share an instant."""
    index = max(0, bisect_right(span, interval.start, key=attrgetter("start")) - 1)
    return any(item.overlaps(interval) for item in span[index : index + 2]) or any(
        item.contains(interval.start) for item in span[index : index + 1]
    )
