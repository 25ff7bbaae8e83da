"""Keeps findings open until they are healed: what was not proven is asked for again in each run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product

from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import Span, covers, union
from cloudtrail_validate.core.findings import KEPT_PER_STATUS
from cloudtrail_validate.core.model import Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.report import FindingRecord
from cloudtrail_validate.report.build import record
from cloudtrail_validate.report.healing import Proof
from cloudtrail_validate.report.references import CHANGE, hours
from cloudtrail_validate.state.model import OpenFinding


def as_record(item: OpenFinding) -> FindingRecord:
    """The finding as a report has it."""
    return record(Finding(item.rule, item.status, item.account, item.region, item.trail, item.where, item.interval))


class OpenHours:
    """Finds the hours that open findings are about by account-region, as each of thousands asks several times a run."""

    def __init__(self, open_: Iterable[OpenFinding]) -> None:
        self._by_place: dict[tuple[str | None, str | None], list[tuple[Status, Interval | None]]] = {}
        for item in open_:
            self._by_place.setdefault((item.account, item.region), []).append((item.status, hours(as_record(item))))

    def of(
        self, region: AccountRegion, window: Interval, *, only: Collection[Status] = tuple(Status)
    ) -> Iterator[Interval]:
        """Yield the hours to ask for again in an account-region; `window` where those of a finding are not known.

        A finding without account or region is about all of either.
        """
        for place in product((region.account, None), (region.region, None)):
            for status, span in self._by_place.get(place, ()):
                if status in only:
                    yield span or window


def still_open(
    before: Iterable[OpenFinding],
    outcome: Outcome,
    now: datetime,
    windows: Mapping[tuple[str, str], Span],
    seen: Mapping[Locator, str],
) -> tuple[OpenFinding, ...]:
    """The findings of a run, and those of earlier runs that it did not show to be healed.

    `windows` are the hours that were validated by account and region; `seen` the SHA-256 of remembered digests that were
    proven again. At most as many of one status as a report holds, the oldest first: the hours of the others are remembered
    as unproven.
    """
    known = {item.name: item for item in before}
    out: dict[tuple[str, ...], OpenFinding] = {}
    for finding in outcome.findings.kept:
        if finding.status is not Status.NOTICE:
            item = _opened(finding, now)
            if (first := known.get(item.name)) is not None:
                item = replace(item, first_seen=first.first_seen, times=first.times + 1)
            out.setdefault(item.name, item)
    healing = _Healing(outcome, windows, seen, out.values())
    for name, item in known.items():
        if name not in out and not healing.closes(item):
            out[name] = item
    return _bounded(out.values())


def told_again(open_: Iterable[OpenFinding], over: Mapping[tuple[str, str], Span]) -> Iterable[Finding]:
    """The findings of what is evidence of change in hours that are over: nothing is left there to find or to heal it.

    That a rule has removed the rest is no reason to be silent about it. `over` is by account and region.
    """
    for item in open_:
        if item.status in CHANGE and _is_over(item, over):
            yield Finding(
                item.rule,
                item.status,
                item.account,
                item.region,
                item.trail,
                item.where,
                item.interval,
                expected=item.expected,
                detail="found by an earlier run; a lifecycle rule of the bucket has removed the rest of these hours since",
            )


def ends_with(item: OpenFinding, over: Mapping[tuple[str, str], Span]) -> bool:
    """Whether hours that were merely not proven are over, and what was open about them with them."""
    return item.status not in CHANGE and _is_over(item, over)


def _is_over(item: OpenFinding, over: Mapping[tuple[str, str], Span]) -> bool:
    if item.account is None or item.region is None:
        return False
    span = hours(as_record(item))
    return span is not None and covers(over.get((item.account, item.region), ()), span)


class _Healing:
    """What one run shows to be healed."""

    def __init__(
        self,
        outcome: Outcome,
        windows: Mapping[tuple[str, str], Span],
        seen: Mapping[Locator, str],
        found: Iterable[OpenFinding],
    ) -> None:
        standard = [item for item in outcome.chains if item.chain.kind is Kind.STANDARD and not item.unfinished]
        looked_at = [item for item in standard if windows.get((item.chain.account, item.chain.region))]
        accused = {item.where.key for item in found if item.where is not None}
        self._seen = seen
        self._truncated = outcome.findings.truncated
        self._proof = Proof(
            ((item.chain.account, item.chain.region, item.chain.trail, item.covered) for item in looked_at), accused
        )
        self._told: dict[tuple[str | None, ...], list[Interval]] = {}
        for item in found:
            if item.interval is not None and item.status is Status.UNCOVERED:
                self._told.setdefault((item.account, item.region, item.trail), []).append(item.interval)
        self._covered: dict[tuple[str | None, ...], list[Interval]] = {}
        for report in looked_at:
            chain = report.chain
            self._covered.setdefault((chain.account, chain.region, chain.trail), []).extend(report.covered)

    def closes(self, item: OpenFinding) -> bool:
        """Whether an open finding that was not found again is healed, or told of by other findings now."""
        if self._truncated:
            return False  # it may be among what is not kept
        if item.rule == rules.HISTORY_REWRITTEN and item.where is not None:
            return self._seen.get(item.where) == item.expected
        return self._proof.heals(as_record(item)) or self._is_told(item)

    def _is_told(self, item: OpenFinding) -> bool:
        """Whether other gaps, and proven hours beside them, take up all hours of a gap: part of it is healed."""
        place = (item.account, item.region, item.trail)
        if item.status is not Status.UNCOVERED or item.interval is None or place not in self._told:
            return False
        return covers(union((*self._told[place], *self._covered.get(place, ()))), item.interval)


def _opened(finding: Finding, now: datetime) -> OpenFinding:
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
        expected=finding.expected if finding.rule == rules.HISTORY_REWRITTEN else None,
    )


def _bounded(items: Iterable[OpenFinding]) -> tuple[OpenFinding, ...]:
    by_status: dict[Status, list[OpenFinding]] = {}
    for item in items:
        by_status.setdefault(item.status, []).append(item)
    kept: Sequence[OpenFinding] = [
        item
        for held in by_status.values()
        for item in sorted(held, key=lambda item: (item.first_seen, item.name))[:KEPT_PER_STATUS]
    ]
    return tuple(sorted(kept, key=lambda item: item.name))
