"""Arithmetic of covered time, and where an unreferenced log file stands in it. Pure.

A set of intervals is a sorted tuple of disjoint, non-empty, half-open intervals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval

NAME_SLACK: Final = timedelta(minutes=5)  # a name's minute is -262 s … +200 s off its LastModified, 35 genuine files
TAIL: Final = timedelta(hours=2)  # the newest digest is normally up to ~91 minutes old; older is a gap
Span = tuple[Interval, ...]


def union(intervals: Iterable[Interval]) -> Span:
    """The time that any of the intervals covers."""
    out: list[Interval] = []
    for interval in sorted(item for item in intervals if item.start < item.end):
        if out and interval.start <= out[-1].end:
            if interval.end > out[-1].end:
                out[-1] = Interval(out[-1].start, interval.end)
        else:
            out.append(interval)
    return tuple(out)


def subtract(window: Interval, covered: Span) -> Span:
    """The part of `window` that `covered` leaves open."""
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
    """The part of `one` that `other` leaves."""
    return tuple(piece for interval in one for piece in subtract(interval, other))


def intersection(one: Span, other: Span) -> Span:
    """The time that both cover."""
    return tuple(piece for interval in one for piece in subtract(interval, subtract(interval, other)))


def seconds(span: Span) -> int:
    """Total length."""
    return sum(interval.seconds for interval in span)


def covers(span: Span, interval: Interval) -> bool:
    """True where the whole of `interval` (or, if it is empty, its one instant) lies in `span`."""
    index = bisect_right(span, interval.start, key=attrgetter("start")) - 1
    if index < 0:
        return False
    holder = span[index]
    return interval.end <= holder.end and (interval.start < interval.end or holder.contains(interval.start))


def touches(span: Span, interval: Interval) -> bool:
    """True where `span` and `interval` share an instant."""
    index = max(0, bisect_right(span, interval.start, key=attrgetter("start")) - 1)
    return any(item.overlaps(interval) for item in span[index : index + 2]) or any(
        item.contains(interval.start) for item in span[index : index + 1]
    )


class Placed(msgspec.Struct, frozen=True):
    """When a log file may have been delivered: every time span that its evidence allows.

    `moments` are the points (name's minute, LastModified) that decide whether it belongs to a window; `spans` the same
    with their uncertainty, and a date folder's whole day where nothing better is known, or where its name is of another
    day (`astray`). `written` is when it was written, as far as a store's LastModified is evidence of that.
    """

    moments: tuple[datetime, ...]
    spans: tuple[Interval, ...]
    written: datetime | None = None
    astray: bool = False

    def belongs(self, window: Interval) -> bool:
        """Whether any of its times lies in the window."""
        return any(window.contains(moment) for moment in self.moments) or any(
            span.overlaps(window)
            for span in self.spans
            if span.start < span.end and not any(span.contains(moment) for moment in self.moments)
        )

    def clipped(self, window: Interval) -> Placed:
        """Only what of its times lies in the window: what lies outside is another question."""
        inside = [span for span in self.spans if span.overlaps(window) or window.contains(span.start)]
        return replace(self, spans=tuple(span.within(window) for span in inside))


def place(minute: datetime | None, modified: datetime | None, day: Interval | None) -> Placed:
    """Place a log in time by its name's minute, its LastModified (None where the store's is no evidence) and date folder.

    On S3 a log's LastModified is its delivery. Where name and LastModified are too far apart to be one delivery (a copied
    bucket, a late log, a planted file) both count: a reader will take the file for its name's hour. So does the date
    folder where the name is of another day: CloudTrail puts no log there.
    """
    moments: list[datetime] = []
    spans: list[Interval] = []
    astray = minute is not None and day is not None and not _near(day, minute)
    if modified is not None:
        moments.append(modified)
        spans.append(Interval(modified, modified))
    if minute is not None and (modified is None or abs(minute - modified) > NAME_SLACK):
        moments.append(minute)
        spans.append(Interval(minute - NAME_SLACK, minute + NAME_SLACK))
    if day is not None and (minute is None or astray):
        spans.append(day)
    return Placed(tuple(moments), tuple(spans), modified, astray)


def _near(day: Interval, minute: datetime) -> bool:
    return day.start - NAME_SLACK <= minute < day.end + NAME_SLACK


class Zones(msgspec.Struct, frozen=True):
    """What is known about the hours of one folder.

    `proven` are hours in which every log must have been named by a digest; `gaps` the hours reported as uncovered;
    `waiting` is when the logs begin whose digests are still to come, None where there is no digest.
    """

    proven: Span
    gaps: Span
    waiting: datetime | None


def judge_unreferenced(placed: Placed, zones: Zones, *, named: bool, excused: bool) -> str:
    """The rule for a log file that no digest of any trail in its folder references.

    `named` says whether it has the name of a log file at all: CloudTrail writes no other names, so any other file that
    touches proven hours is extra. `excused` is true where a trail without validation is known to write to the folder.
    """
    fits = covers if named and not placed.astray else touches
    if any(fits(zones.proven, span) for span in placed.spans):
        return rules.LOG_UNDIGESTED if excused else rules.LOG_EXTRA
    latest = max((span.end for span in placed.spans), default=None)
    in_gap = any(touches(zones.gaps, span) for span in placed.spans)
    if zones.waiting is not None and latest is not None and latest >= zones.waiting and not in_gap:
        return rules.LOG_PENDING
    return rules.LOG_UNDIGESTED
