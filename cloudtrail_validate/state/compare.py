"""Compares what is remembered of an account-region with what lies there now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta

import msgspec

from cloudtrail_validate.core.coverage import covers, touches, union
from cloudtrail_validate.core.layout import LOG_KIND, Folder, log_bound
from cloudtrail_validate.core.model import EPOCH, Interval
from cloudtrail_validate.core.plan import Unchanged
from cloudtrail_validate.state.listing import NOTHING, HourListing, hours_in
from cloudtrail_validate.state.model import RegionState, Stretch, day_fingerprint, moment_of

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
    this run is remembered. `windows` are the hours that are validated whatever happens.
    """

    known: RegionState | None
    listed: Listed | None
    windows: tuple[Interval, ...]
    kept: tuple[Stretch, ...] = ()
    again: tuple[Stretch, ...] = ()
    changed: tuple[Stretch, ...] = ()
    gone: tuple[Stretch, ...] = ()

    def fingerprint(self, stretch: Stretch) -> bytes:
        """What the hours of a stretch look like now."""
        return fingerprint_of(stretch, self.listed.hours if self.listed else {})

    def there(self, span: Sequence[Interval]) -> Unchanged:
        """What lies in some hours now; `interval` is the first of them."""
        listed = self.listed.hours if self.listed else {}
        held = [listed[hour] for hour in hours_in(span) if hour in listed]
        interval = span[0] if span else Interval(EPOCH, EPOCH)
        return Unchanged(interval, sum(item.digests for item in held), sum(item.logs for item in held))


def sort_stretches(
    known: RegionState, listed: Listed, chosen: Set[int], explained: Callable[[Stretch], bool]
) -> Compared:
    """Compare each stretch. `chosen` are starts of those to read again; `explained` tells of those that expired."""
    kept: list[Stretch] = []
    again: list[Stretch] = []
    changed: list[Stretch] = []
    gone: list[Stretch] = []
    for stretch in known.stretches:
        if stretch.interval.start < listed.days.start:
            kept.append(stretch)  # beyond the horizon: neither listed nor forgotten
        elif fingerprint_of(stretch, listed.hours) == stretch.fingerprint:
            (again if stretch.start in chosen else kept).append(stretch)
        else:
            (gone if explained(stretch) else changed).append(stretch)
    return Compared(known, listed, (), tuple(kept), tuple(again), tuple(changed), tuple(gone))


def expiry(
    known: RegionState, folder: Folder, listed: Listed, now: datetime, expired: Expired
) -> Callable[[Stretch], bool]:
    """Tell of a stretch whether a lifecycle rule explains that nothing is left of it, or nothing but its digests."""
    digests = [edge.where.key for edge in known.edges]

    def explained(stretch: Stretch) -> bool:
        there = [listed.hours[hour] for hour in stretch.hours if hour in listed.hours]
        age = now - stretch.interval.end
        if not there:
            return any(expired(key, age) for key in digests)
        if any(item.logs for item in there) or sum(item.digests for item in there) != stretch.digests:
            return False
        return expired(log_bound(folder, LOG_KIND, moment_of(stretch.start)), age) is not None

    return explained


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
