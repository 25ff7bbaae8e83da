"""Compares what is remembered of an account-region with what lies there now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cloudtrail_validate.core.coverage import covers, touches, union
from cloudtrail_validate.core.layout import LOG_KIND, Folder, log_bound
from cloudtrail_validate.core.model import EPOCH, Interval
from cloudtrail_validate.core.plan import Unchanged
from cloudtrail_validate.state.listing import NOTHING, HourListing, hours_in
from cloudtrail_validate.state.model import RegionState, Stretch, day_fingerprint, hour_of, moment_of

_INSTANT: Final = timedelta(microseconds=1)

Expired = Callable[[str, timedelta], str | None]
"""The lifecycle rule of the bucket that explains that an object of this key and age is gone, None where none does."""


class Listed(msgspec.Struct, frozen=True):
    """What the listing of an account-region showed: the days listed, the hours in which anything lies, and which kinds."""

    days: Interval
    hours: Mapping[int, HourListing]
    kinds: frozenset[str]


class Compared(msgspec.Struct, frozen=True):
    """An account-region in this run: what was remembered, what lies there now, and what follows.

    `kept` stretches are the same, or lie beyond what was listed; `again` are the same and are to be read again all the same;
    `changed` look otherwise, `gone` are away as a lifecycle rule explains. `listed` None: the listing failed, and nothing of
    this run is remembered. `windows` are the hours that are validated whatever happens. `over` are hours that were not
    proven, at an age at which lifecycle rules remove everything: there is nothing more to ask.
    """

    known: RegionState | None
    listed: Listed | None
    windows: tuple[Interval, ...]
    kept: tuple[Stretch, ...] = ()
    again: tuple[Stretch, ...] = ()
    changed: tuple[Stretch, ...] = ()
    gone: tuple[Stretch, ...] = ()
    over: tuple[Interval, ...] = ()

    def fingerprint(self, stretch: Stretch) -> bytes:
        """What the hours of a stretch look like now."""
        return fingerprint_of(stretch, self.listed.hours if self.listed else {})

    def there(self, span: Sequence[Interval]) -> Unchanged:
        """What lies in some hours now; `interval` is the first of them."""
        listed = self.listed.hours if self.listed else {}
        held = [listed[hour] for hour in hours_in(span) if hour in listed]
        interval = span[0] if span else Interval(EPOCH, EPOCH)
        return Unchanged(interval, sum(item.digests for item in held), sum(item.logs for item in held))


def sort_stretches(known: RegionState, listed: Listed, chosen: Set[int], expiry: Expiry) -> Compared:
    """Compare each stretch. `chosen` are starts of those to read again."""
    kept: list[Stretch] = []
    again: list[Stretch] = []
    changed: list[Stretch] = []
    gone: list[Stretch] = []
    for stretch in known.stretches:
        if stretch.interval.start < listed.days.start or stretch.interval.end > listed.days.end:
            kept.append(stretch)  # beyond the horizon, or a clock that went back: neither listed nor forgotten
        elif fingerprint_of(stretch, listed.hours) == stretch.fingerprint:
            (again if stretch.start in chosen and not expiry.ends(stretch) else kept).append(stretch)
        else:
            (gone if expiry.explains(stretch) else changed).append(stretch)
    return Compared(known, listed, (), tuple(kept), tuple(again), tuple(changed), tuple(gone))


class Expiry:
    """Tells what the bucket's lifecycle rules explain about an account-region.

    S3 removes what has expired from the midnight after on, in no order, and the last files of a day are written on the next:
    so a day goes in parts, and what is left of it names what is gone.
    """

    def __init__(self, known: RegionState, folder: Folder, listed: Listed, now: datetime, expired: Expired) -> None:
        self._digests = [edge.where.key for edge in known.edges]
        self._folder = folder
        self._listed = listed
        self._now = now
        self._expired = expired

    def explains(self, stretch: Stretch) -> bool:
        """Whether all that differs is that files are gone which a rule removes at their age."""
        there = [self._listed.hours[hour] for hour in stretch.hours if hour in self._listed.hours]
        digests, logs = sum(item.digests for item in there), sum(item.logs for item in there)
        if digests > stretch.digests or logs > stretch.logs:
            return False
        if not there:
            return self._digests_end(stretch)
        fewer = [digests < stretch.digests, logs < stretch.logs]
        ended = [self._digests_end(stretch), self._logs_end(stretch)]
        return any(fewer) and all(end for less, end in zip(fewer, ended, strict=True) if less)

    def ends(self, stretch: Stretch) -> bool:
        """Whether hours are so old that their files go, or may go at any moment: reading them again proves nothing."""
        return self._digests_end(stretch) or self._logs_end(stretch)

    def over(self, spans: Iterable[Interval], accused: Sequence[Interval]) -> tuple[Interval, ...]:
        """The hours among these that are so old that both their digests and their logs go.

        Those that somebody stands `accused` of changing only once no digest is left: until then they may be healed. A file
        that was planted is younger than its hour, and outlives the digests that convict it.
        """
        hours = {hour for span in spans for hour in range(hour_of(span.start), hour_of(span.end - _INSTANT) + 1)}
        first, evident = hour_of(self._listed.days.start), union(accused)
        old = (Stretch(hour, 1, b"", 0, 0, 0, 0) for hour in hours if hour >= first)
        return union(
            item.interval
            for item in old
            if self._digests_end(item)
            and self._logs_end(item)
            and not (self._digests_in(item.start) and touches(evident, item.interval))
        )

    def _digests_in(self, hour: int) -> int:
        return self._listed.hours.get(hour, NOTHING).digests

    def _digests_end(self, stretch: Stretch) -> bool:
        return any(self._expired(key, self._age(stretch)) for key in self._digests)

    def _logs_end(self, stretch: Stretch) -> bool:
        bound = log_bound(self._folder, LOG_KIND, moment_of(stretch.start))
        return self._expired(bound, self._age(stretch)) is not None

    def _age(self, stretch: Stretch) -> timedelta:
        return self._now - stretch.interval.end


def named_elsewhere(known: RegionState, changed: Iterable[Stretch]) -> Iterable[Interval]:
    """The hours whose digests name logs of other hours that have changed, or that are not remembered and not compared."""
    there, others = union(intervals(known.stretches)), union(intervals(changed))
    for digest, first, last in known.late:
        named = Interval(moment_of(first), moment_of(last + 1))
        if touches(others, named) or not covers(there, named):
            yield Interval(moment_of(digest), moment_of(digest + 1))


def intervals(stretches: Iterable[Stretch]) -> Iterable[Interval]:
    """The hours of stretches."""
    return (item.interval for item in stretches)


def fingerprint_of(stretch: Stretch, listed: Mapping[int, HourListing]) -> bytes:
    """The fingerprint of a stretch's hours in a listing."""
    hours = [listed.get(hour, NOTHING).fingerprint for hour in stretch.hours]
    return hours[0] if stretch.length == 1 else day_fingerprint(hours)
