"""Uses and renews the state of a trail in one run.

`narrow` lists every account-region as far back as asked, compares the fingerprint of each hour with the one that was taken
when the hour was proven, and leaves out of the plan what is the same. `conclude` judges what was proven once and is not any
more, and makes the next state of what this run has proven.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import Span, difference, intersection, subtract, union
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.model import HOUR, Interval, Locator
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import AccountRegion, Plan
from cloudtrail_validate.core.recheck import Recheck
from cloudtrail_validate.engine.stages import RegionResult, Scope
from cloudtrail_validate.report.references import CHANGE
from cloudtrail_validate.state.compare import (
    Compared,
    Expired,
    Expiry,
    Listed,
    intervals,
    named_elsewhere,
    sort_stretches,
)
from cloudtrail_validate.state.conclude import FindingsByPlace, RegionEnd
from cloudtrail_validate.state.listing import list_hours, list_kinds
from cloudtrail_validate.state.model import OpenFinding, RegionState, State, Stretch, hour_of, moment_of
from cloudtrail_validate.state.open_findings import OpenHours, ends_with, still_open, told_again
from cloudtrail_validate.state.recheck import choose, oldest_read
from cloudtrail_validate.stores.protocol import Store

_LISTINGS_AT_ONCE: Final = 64
Region = tuple[str, str, str]


class Horizon(msgspec.Struct, frozen=True):
    """How far back a run lists again: `days` before now, None for all that is remembered."""

    days: int | None = None


class Used(msgspec.Struct, frozen=True):
    """What the report says of the state: whether it was there, since when, how far back was listed, what it vouches for.

    `owed` are hours that were to be read again, and were not for want of time.
    """

    created: bool
    saved: datetime | None
    horizon: datetime | None
    hours: int
    read_within_days: int | None
    owed: int


class StateMemory:
    """What is remembered of a trail, in one run. `narrow`, then `conclude`, once each.

    `expired` tells of a key and its age whether a lifecycle rule of the bucket explains that it is gone.
    """

    def __init__(
        self, state: State, *, created: bool, horizon: Horizon, recheck: Recheck | None, expired: Expired
    ) -> None:
        self._state = state
        self._created = created
        self._horizon = horizon
        self._recheck = recheck
        self._expired = expired
        self._known = {region.place: region for region in state.regions}
        self._open = OpenHours(state.open)
        self._compared: dict[Region, Compared] = {}
        self._since: datetime | None = None
        self._chosen: dict[Region, list[int]] = {}

    async def narrow(self, plan: Plan, scope: Scope, store: Store) -> Plan:
        """Leave out what is unchanged. Where a listing fails, nothing is left out: reading will say why.

        What has waited longest to be read again comes first.
        """
        gate = asyncio.Semaphore(_LISTINGS_AT_ONCE)

        async def one(region: AccountRegion) -> AccountRegion:
            async with gate:
                return await self._narrow(region, scope, store)

        if self._recheck is not None or any(region.owed for region in self._state.regions):
            self._chosen = choose(self._recheck, self._state.regions, hour_of(scope.now), self._state.runs)
        sites = await asyncio.gather(*(one(region) for region in plan.sites))
        return replace(plan, sites=tuple(sorted(sites, key=self._waiting)))

    def _remembered(self, region: AccountRegion) -> RegionState | None:
        """What is remembered of an account-region, also from when it had fewer folders.

        A plain trail that becomes an organization's goes on in a new folder, by which its account-region is known since.
        """
        known = [self._known[place] for place in _places(region) if place in self._known]
        if not known or known[0].place == _place(region):
            return known[0] if known else None
        return replace(known[0], organization_id=region.organization_id)

    def _waiting(self, region: AccountRegion) -> tuple[bool, int]:
        known = self._remembered(region)
        read = {item.start: item.read for item in known.stretches} if known else {}
        chosen = self._chosen.get(_place(region), ())
        owed = known is not None and bool(known.owed)
        return not owed, min((read[start] for start in chosen if start in read), default=2**31)

    async def _narrow(self, region: AccountRegion, scope: Scope, store: Store) -> AccountRegion:
        place = _place(region)
        known = self._remembered(region)
        days = self._days(region, known, scope)
        try:
            kinds = await list_kinds(store, region)
            listed = Listed(days, await list_hours(store, region, kinds, days, scope.now), kinds)
        except StoreError:
            kept = known.stretches if known else ()
            self._compared[place] = Compared(known, None, (scope.window,), kept)
            return replace(region, edges=known.edges if known else ())
        if known is None:
            self._compared[place] = Compared(None, listed, (scope.window,))
            return region
        expiry = Expiry(known, region.folders[0], listed, scope.now, self._expired)
        compared = sort_stretches(known, listed, frozenset(self._chosen.get(place, ())), expiry)
        left = [Interval(moment_of(start), moment_of(end)) for start, end in known.unproven]
        left += self._open.of(region, scope.window)
        accused = list(self._open.of(region, scope.window, only=CHANGE))
        over = difference(expiry.over(left, accused), (scope.window,))
        return self._with_windows(region, known, replace(compared, over=over), scope)

    def _days(self, region: AccountRegion, known: RegionState | None, scope: Scope) -> Interval:
        """The days to list: the window's, and those that are remembered, as far back as the horizon or what is open."""
        start = scope.window.start
        if known is not None and known.stretches:
            first = moment_of(known.stretches[0].start)
            if self._horizon.days is not None:
                first = max(first, scope.now - timedelta(days=self._horizon.days))
            start = min(start, first)
        if known is not None and known.unproven:
            start = min(start, moment_of(known.unproven[0][0]))
        if known is not None:
            start = min([start, *(span.start for span in self._open.of(region, scope.window))])
        self._since = start if self._since is None else min(self._since, start)
        return Interval(start, max(scope.window.end, scope.now))

    def _with_windows(
        self, region: AccountRegion, known: RegionState, compared: Compared, scope: Scope
    ) -> AccountRegion:
        """The account-region, with only the hours to validate that are new, have changed or were never proven.

        With each goes what was asked for an hour beside: so the link between what is new and what was proven is checked, and
        logs that bear the name of another hour than their digest's are read.
        """
        window, unproven = scope.window, [Interval(moment_of(start), moment_of(end)) for start, end in known.unproven]
        unproven += self._missed(known, scope)
        gone = union((*intervals(compared.gone), *compared.over))
        asked = difference(union((window, *unproven, *intervals(known.stretches))), gone)
        same = union(intervals((*compared.kept, *compared.gone, *compared.again)))
        left = difference(union((*unproven, *self._open.of(region, window))), compared.over)
        asking = (*subtract(window, same), *left, *intervals(compared.changed))
        beside = union(Interval(span.start - HOUR, span.end + HOUR) for span in asking)
        named = union(named_elsewhere(known, compared.changed))
        windows = union((*asking, *intersection(named, asked), *intersection(beside, asked)))
        self._compared[known.place] = replace(compared, windows=windows)
        unchanged = difference(union(item.within(window) for item in intervals(compared.kept)), windows)
        there = compared.there(unchanged)
        rank = {start: number for number, start in enumerate(self._chosen.get(known.place, ()))}
        again = sorted(compared.again, key=lambda item: rank[item.start])
        rereads = [compared.there((piece,)) for item in again for piece in subtract(item.interval, windows)]
        return replace(
            region,
            windows=windows,
            edges=known.edges,
            unchanged=unchanged,
            unchanged_digests=there.digests,
            unchanged_logs=there.logs,
            rereads=tuple(rereads),
        )

    def _missed(self, known: RegionState, scope: Scope) -> list[Interval]:
        """The hours between what was asked for last and the window: a schedule that failed for a while leaves no hole."""
        ends = [
            *(item.interval.end for item in known.stretches[-1:]),
            *(moment_of(end) for _, end in known.unproven[-1:]),
        ]
        if not ends or max(ends) >= scope.window.start:
            return []
        start = max(ends)
        if self._horizon.days is not None:
            start = max(start, scope.now - timedelta(days=self._horizon.days))
        return [Interval(start, scope.window.start)] if start < scope.window.start else []

    def conclude(self, outcome: Outcome, results: Sequence[RegionResult], scope: Scope) -> tuple[Outcome, State, Used]:
        """Say what was proven once and is not any more, and return the next state."""
        told = FindingsByPlace(outcome.findings)
        missed = _missed_digests(self._state.open)
        ends = {
            place: RegionEnd(self._compared_of(result, scope), result, outcome, told, scope, missed)
            for place, result in _by_place(results).items()
        }
        found = FindingSet([outcome.findings])
        for end in ends.values():
            for finding in end.rewritten():
                found.add(finding)
        windows: dict[tuple[str, str], Span] = {}
        over: dict[tuple[str, str], Span] = {}
        for (_, account, region), end in ends.items():
            windows[account, region] = union((*windows.get((account, region), ()), *end.windows))
            over[account, region] = union((*over.get((account, region), ()), *end.over))
        for finding in told_again(self._state.open, over):
            found.add(finding)
        ended = replace(outcome, findings=found.freeze())
        seen = {edge.where: edge.sha256 for result in results for edge in result.edges}
        saved = scope.now.replace(microsecond=0)
        open_ = [
            item for item in still_open(self._state.open, ended, saved, windows, seen) if not ends_with(item, over)
        ]
        regions = self._next(ends, _missed_digests(open_))
        state = replace(self._state, saved=saved, runs=self._state.runs + 1, regions=regions, open=tuple(open_))
        return ended, state, self._used(regions, hour_of(scope.now))

    def _compared_of(self, result: RegionResult, scope: Scope) -> Compared:
        """What was compared; nothing, of an account-region that only proven digests led to."""
        return self._compared.get(_place(result.region)) or Compared(None, None, (scope.window,))

    def _next(self, ends: dict[Region, RegionEnd], accused: set[Locator]) -> tuple[RegionState, ...]:
        known_anew = {place for end in ends.values() for place in _places(end.region)}
        regions = {place: region for place, region in self._known.items() if place not in known_anew}
        regions |= {place: end.remember(accused) for place, end in ends.items()}
        return tuple(regions[place] for place in sorted(regions))

    def _used(self, regions: Iterable[RegionState], now: int) -> Used:
        stretches: list[Stretch] = []
        owed = 0
        for region in regions:
            stretches += region.stretches
            starts = set(region.owed)
            owed += sum(item.length for item in region.stretches if item.start in starts)
        return Used(
            self._created,
            None if self._created else self._state.saved,
            self._since,
            sum(item.length for item in stretches),
            oldest_read(stretches, now),
            owed,
        )


def _missed_digests(open_: Iterable[OpenFinding]) -> set[Locator]:
    return {item.where for item in open_ if item.rule == rules.HISTORY_REWRITTEN and item.where}


def _place(region: AccountRegion) -> Region:
    return (region.organization_id or "", region.account, region.region)


def _places(region: AccountRegion) -> tuple[Region, ...]:
    """The names that an account-region may be known by: that of its first folder, and those of its others."""
    return tuple(dict.fromkeys((item.organization_id or "", region.account, region.region) for item in region.folders))


def _by_place(results: Iterable[RegionResult]) -> dict[Region, RegionResult]:
    """One result an account-region: that in which a further trail must write has a second one."""
    out: dict[Region, RegionResult] = {}
    for result in results:
        known = out.get(_place(result.region))
        out[_place(result.region)] = result if known is None else _both(known, result)
    return out


def _both(one: RegionResult, other: RegionResult) -> RegionResult:
    return replace(
        one,
        chains=one.chains + other.chains,
        findings=FindingSet([one.findings, other.findings]).freeze(),
        digests=one.digests + other.digests,
        unfinished=one.unfinished or other.unfinished,
        edges=one.edges + other.edges,
        skipped=one.skipped + other.skipped,
    )
