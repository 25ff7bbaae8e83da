"""When a finding of an earlier run is healed: the one rule that alerts and the state share.

A finding that is not found again is healed only where the later run looked at its hours, has them proven, and accuses the
same object of nothing else. A run that did not look, or could not, leaves it open: silence is no proof.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.report import FindingRecord
from cloudtrail_validate.report.references import CHANGE, OPEN, hours

TOLD = CHANGE | OPEN
"""Statuses of findings that can be open; a notice cannot."""


class Proof:
    """What a run proves: which hours of which account, region and trail, and which objects it accuses.

    `covered` are account, region, trail and proven hours of each standard chain; `accused` the keys of what the run found.
    """

    def __init__(
        self, covered: Iterable[tuple[str, str, str, Sequence[Interval]]], accused: Collection[str | None]
    ) -> None:
        self._covered: dict[tuple[str, str], list[tuple[str, Interval]]] = {}
        for account, region, trail, spans in covered:
            self._covered.setdefault((account, region), []).extend((trail, span) for span in spans)
        self._accused = accused

    def heals(self, finding: FindingRecord) -> bool:
        """Whether a finding that the run did not find again is healed."""
        covered = self._of(finding.account, finding.region)
        if finding.rule == rules.CHAIN_ABSENT:
            return bool(covered)  # there are digests now; hours from before the first are findings of their own
        if finding.key is not None and finding.key in self._accused:
            return False  # another rule accuses the same object now: nothing is well
        span = hours(finding)
        if span is None:
            return bool(covered)  # no hours to prove: files outside of date folders are looked for in every run
        return _contains([interval for trail, interval in covered if finding.trail in (None, trail)], span)

    def _of(self, account: str | None, region: str | None) -> list[tuple[str, Interval]]:
        """What is proven in an account and region; a finding about all of either looks at all of them."""
        if account is not None and region is not None:
            return self._covered.get((account, region), [])
        return [
            item
            for place, held in self._covered.items()
            if account in (None, place[0]) and region in (None, place[1])
            for item in held
        ]


def accused(findings: Iterable[FindingRecord]) -> set[str | None]:
    """The keys of objects that findings say something about that is no notice."""
    return {finding.key for finding in findings if finding.key is not None and finding.status in TOLD}


def _contains(covered: Sequence[Interval], span: Interval) -> bool:
    """Whether intervals, in any order, cover a span together."""
    reached = span.start
    for interval in sorted(covered):
        if interval.start > reached:
            break
        reached = max(reached, interval.end)
    return reached >= span.end and any(interval.overlaps(span) for interval in covered)
