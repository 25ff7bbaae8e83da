"""Concludes a run for one account-region: what is proven no more, and what is remembered from now on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import Span, covers, difference, touches, union
from cloudtrail_validate.core.findings import Findings
from cloudtrail_validate.core.layout import log_minute
from cloudtrail_validate.core.model import HOUR, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import AccountRegion, Edge
from cloudtrail_validate.engine.stages import ProvenDigest, RegionResult, Scope
from cloudtrail_validate.report.references import CHANGE
from cloudtrail_validate.state.compare import Compared, intervals
from cloudtrail_validate.state.listing import hours_in
from cloudtrail_validate.state.model import (
    DAY,
    RegionState,
    Stretch,
    fold,
    hour_of,
    join_edges,
    join_hours,
    moment_of,
    owed_in,
)

_UNREAD: Final = frozenset({rules.DIGEST_UNREADABLE, rules.LOG_UNREADABLE})


class FindingsByPlace:
    """The findings of a run by account and region; those about all of either are everybody's."""

    def __init__(self, findings: Findings) -> None:
        self._held: dict[tuple[str | None, str | None], list[Finding]] = {}
        for finding in findings.kept:
            self._held.setdefault((finding.account, finding.region), []).append(finding)

    def of(self, account: str, region: str) -> Iterable[Finding]:
        """Those that concern an account-region."""
        for place in ((account, region), (account, None), (None, region), (None, None)):
            yield from self._held.get(place, ())


class RegionEnd:
    """How a run ended for one account-region: `rewritten` are findings of its own, `remember` what is kept.

    `region` is the account-region, `missed` are digests that earlier runs have found not to be there as they were.
    """

    def __init__(
        self,
        compared: Compared,
        result: RegionResult,
        outcome: Outcome,
        told: FindingsByPlace,
        scope: Scope,
        missed: Collection[Locator] = (),
    ) -> None:
        region = result.region
        found = (*result.findings.kept, *told.of(region.account, region.region))
        changed = [finding for finding in found if finding.status in CHANGE]
        spoiling = [item for item in found if item.status is not Status.NOTICE or item.rule == rules.LOG_PENDING]
        self._missed = missed
        self._compared = compared
        self._result = result
        self.region = region
        self._standard = [report for report in result.chains if report.chain.kind is Kind.STANDARD]
        self._accused = _hours(changed, outcome.window)
        self._unread = _hours([item for item in found if item.rule in _UNREAD], outcome.window)
        self._spoiled = _hours(spoiling, outcome.window, slack=HOUR)
        self._capped = result.findings.truncated or outcome.findings.truncated
        skipped = union(result.skipped)
        self._skipped = tuple(item for item in compared.again if touches(skipped, item.interval))
        self._again = tuple(item for item in compared.again if not touches(skipped, item.interval))
        self.over = compared.over
        self.windows = difference(union((*compared.windows, *intervals(compared.again))), skipped)
        self._proven = {} if result.unfinished or self._capped else self._proven_now(hour_of(scope.now))

    def rewritten(self) -> Iterable[Finding]:
        """Proven hours and edges that are there no more, where nothing else found says so."""
        compared, known = self._compared, self._compared.known
        if known is None or self._result.unfinished:
            return
        for stretch in compared.changed:
            if self._is_lost(stretch):
                now = compared.fingerprint(stretch)
                yield _history(known, None, stretch.interval, stretch.fingerprint.hex(), now.hex())
        for stretch in compared.gone:
            yield _expired(known, stretch)
        yield from self._edges(known)

    def remember(self, accused: Collection[Locator]) -> RegionState:
        """What is kept. `accused` are digests that are not as they were, and are asked for until they are.

        While one is missed, a chain that shows up meanwhile may stand in its place: its digests are not asked for later.
        """
        region, compared = self._result.region, self._compared
        known = compared.known or RegionState(region.account, region.region, region.organization_id)
        held = {item.start: item for item in (*compared.kept, *self._skipped)}
        for stretch in (*compared.changed, *self._again):
            if self._is_kept(stretch):
                held[stretch.start] = stretch
        held |= {hour: item for hour, item in self._proven.items() if not _inside_day(hour, held, self._proven)}
        stretches = fold(held)
        edges, chains = self._result.edges, {edge.chain for edge in known.edges}
        if any(edge.where in accused for edge in known.edges):
            edges = tuple(edge for edge in edges if edge.chain in chains)
        return RegionState(
            region.account,
            region.region,
            region.organization_id,
            stretches,
            join_edges((*known.edges, *edges), accused),
            self._unproven(known, stretches),
            owed_in(stretches, (item.start for item in self._skipped)),
            _late(known.late, self._result.digests, stretches),
        )

    def _is_lost(self, stretch: Stretch) -> bool:
        """Whether hours that look otherwise are proven no more, and nothing else says why.

        Of several chains one that began later proves nothing there and never did: so digests must have become fewer.
        """
        if touches(self._accused, stretch.interval) or touches(self._unread, stretch.interval):
            return False
        proving = [covers(report.covered, stretch.interval) for report in self._standard]
        return not any(proving) or (not all(proving) and self._digests_now(stretch) < stretch.digests)

    def _digests_now(self, stretch: Stretch) -> int:
        there = self._compared.listed.hours if self._compared.listed else {}
        return sum(there[hour].digests for hour in stretch.hours if hour in there)

    def _edges(self, known: RegionState) -> Iterable[Finding]:
        """Remembered digests that were read again and are others now, or that are gone unexplained.

        That an hour's listing is the same speaks for its digest, unless that was missed when the listing was taken.
        """
        seen = {edge.where: edge for edge in self._result.edges}
        compared = self._compared
        same = (*compared.kept, *compared.again, *compared.gone)
        elsewhere = union((*self._accused, *self._unread))
        told = union((*elsewhere, *(item.interval for item in same)))
        for edge in known.edges:
            hour = Interval(edge.end - HOUR, edge.end)
            now = seen.get(edge.where)
            if now is not None and now.sha256 != edge.sha256:
                yield _history(known, edge, hour, edge.sha256, now.sha256)
            quiet = elsewhere if edge.where in self._missed else told
            if now is None and not touches(quiet, hour) and covers(self.windows, hour):
                yield _history(known, edge, hour, edge.sha256, None)

    def _proven_now(self, hour_now: int) -> dict[int, Stretch]:
        """The hours that this run has read in full and proven, with the fingerprints of its listing."""
        listed = self._compared.listed
        if listed is None or not self._standard:
            return {}
        spoiled = union((*self._spoiled, *_elsewhere(self._result.digests, self._result.region, listed.kinds)))
        known = (*self._compared.changed, *self._again, *self._compared.kept)
        first = {item.start: item.proven for item in known}
        out: dict[int, Stretch] = {}
        for hour in hours_in(self.windows):
            span, there = Interval(moment_of(hour), moment_of(hour + 1)), listed.hours.get(hour)
            if there is None or not there.digests or span.start < listed.days.start or touches(spoiled, span):
                continue  # what was not listed, or has its digest elsewhere, could go unseen
            if all(covers(report.covered, span) for report in self._standard):
                since = first.get(hour, first.get(hour - hour % DAY, hour_now))
                out[hour] = Stretch(hour, 1, there.fingerprint, there.digests, there.logs, since, hour_now)
        return out

    def _is_kept(self, stretch: Stretch) -> bool:
        """Whether a stretch that was read again and is not proven is remembered as it was.

        So it is compared with what was proven in each run, until it is that or something is found to say why not. Where
        evidence of change says so, its hours are remembered one by one.
        """
        if all(hour in self._proven for hour in stretch.hours):
            return False
        return self._capped or not touches(self._accused, stretch.interval)

    def _unproven(self, known: RegionState, stretches: Iterable[Stretch]) -> tuple[tuple[int, int], ...]:
        """The hours that were asked for, in this run or before, and that nothing proves."""
        if self._compared.listed is None:
            return known.unproven
        settled = {hour for stretch in (*stretches, *self._compared.gone) for hour in stretch.hours}
        settled |= set(hours_in(self.over))
        before = {hour for start, end in known.unproven for hour in range(start, end)}
        asked = before | set(hours_in(self.windows))
        return join_hours((hour, hour + 1) for hour in asked - settled)


def _hours(findings: Iterable[Finding], window: Interval, *, slack: timedelta = timedelta(0)) -> Span:
    """The hours that findings are about, the whole window where none are told; `slack` goes around those of an object."""
    spans = [(finding.interval or window, slack if finding.where else timedelta(0)) for finding in findings]
    return union(Interval(span.start - around, span.end + around) for span, around in spans)


def _elsewhere(digests: Iterable[ProvenDigest], region: AccountRegion, kinds: Collection[str]) -> Iterable[Interval]:
    """The hours whose logs lie where the listing did not look."""
    for digest in digests:
        for reach in digest.reaches:
            place = reach.place
            if place is None or place.folder not in region.folders or place.kind not in kinds:
                yield digest.interval


def _late(
    known: Iterable[tuple[int, int, int]], digests: Iterable[ProvenDigest], stretches: Iterable[Stretch]
) -> tuple[tuple[int, int, int], ...]:
    """Digests that name logs of other hours, in whose fingerprints these are.

    What lies an hour away is read with it when that hour changes, so it is told of only while that hour is not remembered.
    """
    there = union(intervals(stretches))
    out = {(digest, first, last) for digest, first, last in known if _is_far(digest, first, last)}
    out |= {item for item in known if not covers(there, _span(item))}
    for digest in digests:
        named = [log_minute(key) for reach in digest.reaches for key in (reach.first, reach.last)]
        hours = [hour_of(minute) for minute in named if minute is not None]
        if hours:
            item = (hour_of(digest.interval.start), min(hours), max(hours))
            if _is_far(*item) or not covers(there, _span(item)):
                out.add(item)
    return tuple(sorted(out))


def _is_far(digest: int, first: int, last: int) -> bool:
    """Whether logs lie beyond the hours beside those of their digest, which need not begin with a full hour."""
    return not digest - 1 <= first <= last <= digest + 2


def _span(item: tuple[int, int, int]) -> Interval:
    return Interval(moment_of(item[1]), moment_of(item[2] + 1))


def _inside_day(hour: int, held: dict[int, Stretch], proven: Collection[int]) -> bool:
    """Whether an hour lies in a day that is remembered as a whole, and of which not every hour is proven anew."""
    day = held.get(hour - hour % DAY)
    return day is not None and day.length == DAY and not all(item in proven for item in day.hours)


def _history(known: RegionState, edge: Edge | None, interval: Interval, expected: str, actual: str | None) -> Finding:
    """A finding about a digest, or about hours. Of hours no trail is told: which one proved them is not remembered."""
    return Finding(
        rules.HISTORY_REWRITTEN,
        Status.ALTERED,
        known.account,
        known.region,
        edge.chain.trail if edge else None,
        edge.where if edge else None,
        interval,
        expected=expected,
        actual=actual,
        detail=None if actual else "it is gone",
    )


def _expired(known: RegionState, stretch: Stretch) -> Finding:
    trails = {edge.chain.trail for edge in known.edges}
    trail = trails.pop() if len(trails) == 1 else None
    detail = "removed by a lifecycle rule of the bucket after it was proven"
    interval = stretch.interval
    return Finding(
        rules.HISTORY_REWRITTEN, Status.NOTICE, known.account, known.region, trail, interval=interval, detail=detail
    )
