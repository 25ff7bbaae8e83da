"""Uses and renews the state of a trail in one run.

`narrow` lists every account-region as far back as asked, compares the fingerprint of each hour with the one that was taken
when the hour was proven, and leaves out of the plan what is the same. `conclude` judges what was proven once and is not any
more, and makes the next state of what this run has proven.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import covers, subtract, touches, union
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.model import HOUR, ChainReport, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import AccountRegion, Plan
from cloudtrail_validate.core.recheck import Recheck
from cloudtrail_validate.engine.stages import RegionResult, Scope
from cloudtrail_validate.state.listing import NOTHING, HourListing, hours_in, list_hours
from cloudtrail_validate.state.model import (
    DAY,
    OpenFinding,
    RegionState,
    State,
    Stretch,
    day_fingerprint,
    fold,
    hour_of,
    moment_of,
)
from cloudtrail_validate.state.recheck import choose, oldest_read
from cloudtrail_validate.stores.protocol import Store

_LISTINGS_AT_ONCE: Final = 64
Region = tuple[str, str, str]


class Horizon(msgspec.Struct, frozen=True):
    """How far back a run lists again: `days` before now, None for all that is remembered."""

    days: int | None = None


class Used(msgspec.Struct, frozen=True):
    """What the report says of the state: whether it was there, since when, how far back was listed, what it vouches for."""

    created: bool
    saved: datetime | None
    horizon: datetime | None
    hours: int
    read_within_days: int | None


class StateMemory:
    """What is remembered of a trail, in one run. `narrow`, then `conclude`, once each.

    `expired` tells of a key and its age whether a lifecycle rule of the bucket explains that it is gone.
    """

    def __init__(
        self,
        state: State,
        *,
        created: bool,
        horizon: Horizon,
        recheck: Recheck | None,
        expired: Callable[[str, timedelta], str | None],
    ) -> None:
        self._state = state
        self._created = created
        self._horizon = horizon
        self._recheck = recheck
        self._expired = expired
        self._known = {region.place: region for region in state.regions}
        self._listed: dict[Region, dict[int, HourListing]] = {}
        self._kept: dict[Region, list[Stretch]] = {}
        self._changed: dict[Region, list[Stretch]] = {}
        self._gone: dict[Region, list[Stretch]] = {}
        self._windows: dict[Region, tuple[Interval, ...]] = {}
        self._since: datetime | None = None
        self._rechecked: set[tuple[Region, int]] = set()

    async def narrow(self, plan: Plan, scope: Scope, store: Store) -> Plan:
        """Leave out what is unchanged. Where a listing fails, nothing is left out: reading will say why."""
        gate = asyncio.Semaphore(_LISTINGS_AT_ONCE)

        async def one(region: AccountRegion) -> AccountRegion:
            async with gate:
                return await self._narrow(region, scope, store)

        chosen = self._chosen(scope.now)
        self._rechecked = chosen
        return replace(plan, sites=tuple(await asyncio.gather(*(one(region) for region in plan.sites))))

    def _chosen(self, now: datetime) -> set[tuple[Region, int]]:
        if self._recheck is None:
            return set()
        every = [(place, item) for place, region in self._known.items() for item in region.stretches]
        return choose(self._recheck, every, hour_of(now), self._state.runs)

    async def _narrow(self, region: AccountRegion, scope: Scope, store: Store) -> AccountRegion:
        place = _place(region)
        known = self._known.get(place)
        days = self._days(known, scope)
        try:
            listed = await list_hours(store, region, days, scope.now)
        except StoreError:
            self._kept[place] = list(known.stretches) if known else []
            return replace(region, edges=known.edges if known else ())
        self._listed[place] = listed
        if known is None:
            return region
        self._sort(place, known, listed, days, scope.now)
        return self._with_windows(region, known, scope)

    def _days(self, known: RegionState | None, scope: Scope) -> Interval:
        """The days to list: the window's, and those that are remembered, as far back as the horizon."""
        start = scope.window.start
        if known is not None and known.stretches:
            first = moment_of(known.stretches[0].start)
            if self._horizon.days is not None:
                first = max(first, scope.now - timedelta(days=self._horizon.days))
            start = min(start, first)
        self._since = start if self._since is None else min(self._since, start)
        return Interval(start, max(scope.window.end, scope.now))

    def _sort(
        self, place: Region, known: RegionState, listed: Mapping[int, HourListing], days: Interval, now: datetime
    ) -> None:
        """Compare each stretch: kept, changed, or gone as a lifecycle rule explains."""
        kept: list[Stretch] = []
        changed: list[Stretch] = []
        gone: list[Stretch] = []
        for stretch in known.stretches:
            if stretch.interval.start < days.start:
                kept.append(stretch)  # beyond the horizon: neither listed nor forgotten
            elif _fingerprint(stretch, listed) == stretch.fingerprint:
                (changed if (place, stretch.start) in self._rechecked else kept).append(stretch)
            elif _is_empty(stretch, listed) and self._explained(known, stretch, now):
                gone.append(stretch)
            else:
                changed.append(stretch)
        self._kept[place], self._changed[place], self._gone[place] = kept, changed, gone

    def _explained(self, known: RegionState, stretch: Stretch, now: datetime) -> bool:
        keys = [edge.where.key for edge in known.edges]
        age = now - stretch.interval.end
        return any(self._expired(key, age) for key in keys)

    def _with_windows(self, region: AccountRegion, known: RegionState, scope: Scope) -> AccountRegion:
        """The account-region, with only the hours to validate that are new or have changed."""
        place = _place(region)
        within = [item for item in self._kept[place] if item.interval.overlaps(scope.window)]
        within = [item for item in within if not touches(union(self._still_open(region)), item.interval)]
        unchanged = union(item.interval.within(scope.window) for item in within)
        changed = [item.interval for item in self._changed[place]]
        gone = union(item.interval for item in self._gone[place])
        asked_again = [span for span in self._still_open(region) if span.start >= (self._since or scope.window.start)]
        todo = union((*subtract(scope.window, union((*unchanged, *gone))), *changed, *asked_again))
        self._windows[place] = todo
        return replace(
            region,
            windows=todo,
            edges=known.edges,
            unchanged=unchanged,
            unchanged_digests=sum(item.digests for item in within),
            unchanged_logs=sum(item.logs for item in within),
        )

    def _still_open(self, region: AccountRegion) -> list[Interval]:
        """The hours of findings that no run has found healed, with those beside: they are asked for again each time."""
        return [
            Interval(finding.interval.start - HOUR, finding.interval.end + HOUR)
            for finding in self._state.open
            if finding.interval is not None
            and finding.account in (None, region.account)
            and finding.region in (None, region.region)
        ]

    def conclude(self, outcome: Outcome, results: Sequence[RegionResult], scope: Scope) -> tuple[Outcome, State, Used]:
        """Say what was proven once and is not any more, and return the next state."""
        by_place = {_place(result.region): result for result in results}
        found = FindingSet([outcome.findings])
        regions: list[RegionState] = []
        for place in dict.fromkeys((*self._known, *by_place)):
            result, known = by_place.get(place), self._known.get(place)
            if result is None:
                regions += [known] if known else []
                continue
            for finding in self._rewritten(place, result, outcome):
                found.add(finding)
            regions.append(self._next(place, result, outcome, scope))
        stretches = [item for region in regions for item in region.stretches]
        used = Used(
            self._created,
            None if self._created else self._state.saved,
            self._since,
            sum(item.length for item in stretches),
            oldest_read(stretches, hour_of(scope.now)),
        )
        ended = replace(outcome, findings=found.freeze())
        state = replace(
            self._state,
            saved=scope.now.replace(microsecond=0),
            runs=self._state.runs + 1,
            regions=tuple(sorted(regions, key=lambda region: region.place)),
            open=self._open(ended, scope),
        )
        return ended, state, used

    def _rewritten(self, place: Region, result: RegionResult, outcome: Outcome) -> Iterable[Finding]:
        """Proven hours and edges that are there no more, where nothing else found says so."""
        known = self._known.get(place)
        if known is None or result.unfinished:
            return
        accused = _accused(result, outcome)
        covered = [chain.covered for chain in result.chains if chain.chain.kind is Kind.STANDARD]
        for stretch in self._changed.get(place, ()):
            lost = not covered or not all(covers(span, stretch.interval) for span in covered)
            if lost and not touches(accused, stretch.interval):
                now = _fingerprint(stretch, self._listed.get(place, {}))
                yield _history(known, None, stretch.interval, stretch.fingerprint.hex(), now.hex())
        for stretch in self._gone.get(place, ()):
            yield _expired_notice(known, stretch)
        yield from self._edges(place, known, result, accused)

    def _edges(
        self, place: Region, known: RegionState, result: RegionResult, accused: tuple[Interval, ...]
    ) -> Iterable[Finding]:
        """Remembered digests that were read again and are others now, or that are gone unexplained."""
        seen = {edge.where: edge for edge in result.edges}
        kept = union(item.interval for item in (*self._kept.get(place, ()), *self._gone.get(place, ())))
        for edge in known.edges:
            hour = Interval(edge.end - HOUR, edge.end)
            now = seen.get(edge.where)
            if now is not None and now.sha256 != edge.sha256:
                yield _history(known, edge.where, hour, edge.sha256, now.sha256)
            told = touches(kept, hour) or touches(accused, hour) or not covers(self._windows.get(place, ()), hour)
            if now is None and not told:
                yield _history(known, edge.where, hour, edge.sha256, None)

    def _next(self, place: Region, result: RegionResult, outcome: Outcome, scope: Scope) -> RegionState:
        """What is remembered of an account-region from now on."""
        region, known = result.region, self._known.get(place)
        held = {item.start: item for item in self._kept.get(place, ())}
        if not result.unfinished:
            held |= self._proven_now(place, result, outcome, scope)
        edges = {edge.chain: edge for edge in (known.edges if known else ())}
        for edge in result.edges:
            if edge.chain not in edges or edges[edge.chain].end < edge.end:
                edges[edge.chain] = edge
        return RegionState(
            region.account,
            region.region,
            region.organization_id,
            fold(held),
            tuple(edges[chain] for chain in sorted(edges)),
        )

    def _proven_now(self, place: Region, result: RegionResult, outcome: Outcome, scope: Scope) -> dict[int, Stretch]:
        """The hours that this run has read in full and proven, with the fingerprints of its listing."""
        listed = self._listed.get(place, {})
        windows = self._windows.get(place, (scope.window,))
        standard = [chain for chain in result.chains if chain.chain.kind is Kind.STANDARD]
        spoiled = _accused(result, outcome, every=True)
        first = {stretch.start: stretch.proven for stretch in self._changed.get(place, ())}
        out: dict[int, Stretch] = {}
        if not standard:
            return out
        hour_now = hour_of(scope.now)
        for hour in hours_in(windows):
            span = Interval(moment_of(hour), moment_of(hour + 1))
            proven = all(covers(chain.covered, span) for chain in standard) and not touches(spoiled, span)
            if proven:
                there = listed.get(hour, NOTHING)
                since = first.get(hour, first.get(hour - hour % DAY, hour_now))
                out[hour] = Stretch(hour, 1, there.fingerprint, there.digests, there.logs, since, hour_now)
        return out

    def _open(self, outcome: Outcome, scope: Scope) -> tuple[OpenFinding, ...]:
        """The findings of this run, and those of earlier ones whose hours this run did not look at."""
        now = scope.now.replace(microsecond=0)
        before = {finding.name: finding for finding in self._state.open}
        out: dict[tuple[str, str, str, str, str], OpenFinding] = {}
        for finding in outcome.findings.kept:
            if finding.status is Status.NOTICE:
                continue
            item = _open_finding(finding, now)
            known = before.get(item.name)
            if known is not None:
                item = replace(item, first_seen=known.first_seen, times=known.times + 1)
            out[item.name] = item
        looked_at = {_place_of(chain): self._windows.get(_place_of(chain), (scope.window,)) for chain in outcome.chains}
        for name, item in before.items():
            spans = [
                span
                for place, span in looked_at.items()
                if item.account in (None, place[1]) and item.region in (None, place[2])
            ]
            inside = item.interval is None or any(touches(span, item.interval) for span in spans)
            if name not in out and not inside:
                out[name] = item
        return tuple(out[name] for name in sorted(out))


def _place(region: AccountRegion) -> Region:
    return (region.organization_id or "", region.account, region.region)


def _place_of(report: ChainReport) -> Region:
    return (report.chain.organization_id or "", report.chain.account, report.chain.region)


def _fingerprint(stretch: Stretch, listed: Mapping[int, HourListing]) -> bytes:
    hours = [listed.get(stretch.start + hour, NOTHING).fingerprint for hour in range(stretch.length)]
    return hours[0] if stretch.length == 1 else day_fingerprint(hours)


def _is_empty(stretch: Stretch, listed: Mapping[int, HourListing]) -> bool:
    return not any(stretch.start + hour in listed for hour in range(stretch.length))


def _accused(result: RegionResult, outcome: Outcome, *, every: bool = False) -> tuple[Interval, ...]:
    """The hours of an account-region about which something was found: evidence of change or, with `every`, anything."""
    wanted = {Status.ALTERED, Status.MISSING, Status.EXTRA}
    out = []
    for finding in outcome.findings.kept:
        if finding.account not in (None, result.region.account) or finding.region not in (None, result.region.region):
            continue
        spoils = every and (finding.status is not Status.NOTICE or finding.rule == rules.LOG_PENDING)
        if finding.status in wanted or spoils:
            span = finding.interval or Interval(outcome.window.start, outcome.window.end)
            out.append(Interval(span.start - HOUR, span.end + HOUR) if every and finding.where else span)
    return union(out)


def _history(
    known: RegionState, where: Locator | None, interval: Interval, expected: str, actual: str | None
) -> Finding:
    trail = known.edges[0].chain.trail if known.edges else None
    return Finding(
        rules.HISTORY_REWRITTEN,
        Status.ALTERED,
        known.account,
        known.region,
        trail,
        where,
        interval,
        expected=expected,
        actual=actual,
        detail=None if actual else "it is gone",
    )


def _expired_notice(known: RegionState, stretch: Stretch) -> Finding:
    trail = known.edges[0].chain.trail if known.edges else None
    detail = "removed by a lifecycle rule of the bucket after it was proven"
    interval = stretch.interval
    return Finding(
        rules.HISTORY_REWRITTEN, Status.NOTICE, known.account, known.region, trail, interval=interval, detail=detail
    )


def _open_finding(finding: Finding, now: datetime) -> OpenFinding:
    return OpenFinding(
        finding.rule,
        finding.status,
        finding.account,
        finding.region,
        finding.trail,
        finding.where,
        finding.interval,
        now,
        now,
    )
