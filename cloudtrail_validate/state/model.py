"""The state as values. An hour of an account-region is one stretch, and so is a whole day."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import EPOCH, HOUR, ChainId, Interval, Locator, Status, isoformat
from cloudtrail_validate.core.plan import Edge

DAY: Final = 24  # hours


class Stretch(msgspec.Struct, frozen=True, array_like=True, order=True):
    """An hour, or a whole day, of which everything was proven, and what its listing looked like then.

    `start` is in hours since 1970; `length` 1 or 24 hours. `fingerprint` is the SHA-256 of the sorted lines of the hour's
    listing, for a day that of its 24 fingerprints. `proven` is when it was first proven, `read` when all of it was last
    read, both in hours since 1970.
    """

    start: int
    length: int
    fingerprint: bytes
    digests: int
    logs: int
    proven: int
    read: int

    @property
    def interval(self) -> Interval:
        """The hours themselves, as times."""
        return Interval(moment_of(self.start), moment_of(self.start + self.length))

    @property
    def hours(self) -> range:
        """The hours themselves, each in hours since 1970."""
        return range(self.start, self.start + self.length)


class OpenFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finding that no later run has found healed. Times are when it was seen first and last, and how often.

    `expected` is what `history-rewritten` misses: the SHA-256 of a digest, or a fingerprint of hours, in hex.
    """

    rule: str
    status: Status
    account: str | None
    region: str | None
    trail: str | None
    where: Locator | None
    interval: Interval | None
    first_seen: datetime
    last_seen: datetime
    times: int = 1
    expected: str | None = None

    @property
    def name(self) -> tuple[str, ...]:
        """The identity of the finding across runs: that of `report.references.fact_of`."""
        if self.where:
            return (self.rule, *self.where)
        edge = "" if self.interval is None or self.rule == rules.CHAIN_ABSENT else isoformat(self._edge(self.interval))
        return (self.rule, self.account or "", self.region or "", self.trail or "", edge)

    def _edge(self, interval: Interval) -> datetime:
        """The end of the hours that is not the window's own."""
        return interval.end if self.rule == rules.GAP_LATE_START else interval.start


class RegionState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of one account-region: proven stretches in order of time, and the newest digest of each chain.

    `edges` also holds digests that were proven once and are not there as they were. `unproven` are hours that were asked
    for and could not be proven, from and up to, in hours since 1970: they are asked for again in each run. `owed` are the
    starts of stretches that were to be read again and were not, for want of time. `late` are digests that name logs of other
    hours than their own and those beside: a digest's hour, and the first and last hour in the names of its logs.
    """

    account: str
    region: str
    organization_id: str | None
    stretches: tuple[Stretch, ...] = ()
    edges: tuple[Edge, ...] = ()
    unproven: tuple[tuple[int, int], ...] = ()
    owed: tuple[int, ...] = ()
    late: tuple[tuple[int, int, int], ...] = ()

    @property
    def place(self) -> tuple[str, str, str]:
        """The account-region's identity."""
        return (self.organization_id or "", self.account, self.region)


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is remembered of one source. `saved` is when, `runs` how many runs have added to it."""

    source: str
    trail_arn: str | None
    saved: datetime
    runs: int
    regions: tuple[RegionState, ...] = ()
    open: tuple[OpenFinding, ...] = ()
    version: str = ""


def hour_of(moment: datetime) -> int:
    """Hours since 1970, of the hour that a moment lies in."""
    return int((moment - EPOCH) // HOUR)


def moment_of(hour: int) -> datetime:
    """The beginning of an hour."""
    return datetime.fromtimestamp(hour * 3600, UTC)


def fold(stretches: dict[int, Stretch]) -> tuple[Stretch, ...]:
    """Put hours in order, and days of which every hour is there into one each."""
    out: list[Stretch] = []
    days: dict[int, list[Stretch]] = {}
    for stretch in sorted(stretches.values()):
        if stretch.length == DAY:
            out.append(stretch)
        else:
            days.setdefault(stretch.start // DAY, []).append(stretch)
    for day, hours in days.items():
        out += [_day_of(day, hours)] if len(hours) == DAY else hours
    return tuple(sorted(out))


def _day_of(day: int, hours: list[Stretch]) -> Stretch:
    return Stretch(
        day * DAY,
        DAY,
        day_fingerprint([hour.fingerprint for hour in hours]),
        sum(hour.digests for hour in hours),
        sum(hour.logs for hour in hours),
        max(hour.proven for hour in hours),
        min(hour.read for hour in hours),
    )


def day_fingerprint(hours: list[bytes]) -> bytes:
    """The fingerprint of a day, from those of its 24 hours in order."""
    return hashlib.sha256(b"".join(hours)).digest()


def merge(ours: State, theirs: State) -> State:
    """Join two states of the same source that were saved from the same one: of each stretch the one read last.

    Where both know a time differently cut (an hour here, its day there), the finer one is dropped: it is read again.
    """
    regions = {region.place: region for region in theirs.regions}
    for region in ours.regions:
        known = regions.get(region.place)
        regions[region.place] = region if known is None else _merge_region(region, known)
    open_ = {finding.name: finding for finding in theirs.open}
    for finding in ours.open:
        known_finding = open_.get(finding.name)
        if known_finding is None or known_finding.last_seen < finding.last_seen:
            open_[finding.name] = finding
    return State(
        ours.source,
        ours.trail_arn,
        max(ours.saved, theirs.saved),
        max(ours.runs, theirs.runs) + 1,
        tuple(regions[place] for place in sorted(regions)),
        tuple(open_[name] for name in sorted(open_)),
        ours.version,
    )


def _merge_region(one: RegionState, other: RegionState) -> RegionState:
    held = {stretch.start: stretch for stretch in other.stretches}
    for stretch in one.stretches:
        known = held.get(stretch.start)
        if known is None or (stretch.length, stretch.read) >= (known.length, known.read):
            held[stretch.start] = stretch
    days = {start // DAY for start, stretch in held.items() if stretch.length == DAY}
    kept = {start: item for start, item in held.items() if item.length == DAY or start // DAY not in days}
    folded = fold(kept)
    return RegionState(
        one.account,
        one.region,
        one.organization_id,
        folded,
        join_edges((*other.edges, *one.edges), {edge.where for edge in (*old_edges(one), *old_edges(other))}),
        join_hours((*one.unproven, *other.unproven)),
        owed_in(folded, (*one.owed, *other.owed)),
        tuple(sorted({*one.late, *other.late})),
    )


def owed_in(stretches: Iterable[Stretch], starts: Iterable[int]) -> tuple[int, ...]:
    """The starts, in what is remembered now, of what was not read again: an hour may have become part of a day."""
    holders = {hour: item.start for item in stretches for hour in item.hours}
    return tuple(sorted({holders[start] for start in starts if start in holders}))


def join_edges(edges: Sequence[Edge], accused: Collection[Locator] = ()) -> tuple[Edge, ...]:
    """The newest edge of each chain, the first of several that end together, and those that are accused; sorted."""
    newest: dict[ChainId, Edge] = {}
    for edge in edges:
        known = newest.get(edge.chain)
        if known is None or known.end < edge.end:
            newest[edge.chain] = edge
    kept = {(edge.chain, edge.where): edge for edge in newest.values()}
    for edge in edges:
        if edge.where in accused:
            kept.setdefault((edge.chain, edge.where), edge)
    return tuple(sorted(kept.values(), key=lambda edge: (edge.chain.sort_key(), edge.end, edge.where)))


def old_edges(region: RegionState) -> tuple[Edge, ...]:
    """The edges of a region that are not the newest of their chains: those that are not there as they were."""
    newest = set(join_edges(region.edges))
    return tuple(edge for edge in region.edges if edge not in newest)


def join_hours(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same hours in ranges that neither touch nor overlap, in order."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return tuple(out)
