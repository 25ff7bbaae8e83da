"""The outcome of a run: chains, findings and time covered, before it becomes a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import Span, intersection
from cloudtrail_validate.core.findings import Ledger
from cloudtrail_validate.core.model import ChainReport, Interval, Kind, Status


@dataclass(slots=True)
class Outcome:
    """What a run found: records of chains, the ledger with all findings, and whether it was stopped before its end."""

    chains: list[ChainReport]
    ledger: Ledger
    window: Interval
    interrupted: bool = False
    empty: tuple[str, ...] = ()  # accounts that were asked for and have nothing

    @property
    def digests(self) -> int:
        """Digests looked at, whatever came of them; where some could not be looked at, it is not that there are none."""
        unread = self.ledger.tally.numbers[rules.DIGEST_UNREADABLE, Status.UNVERIFIABLE]
        return max(unread, sum(chain.digests.total for chain in self.chains))

    def covered(self) -> Span:
        """The part of the window that proven digests cover in every account and region that was to have them."""
        spans = [chain.covered for chain in self.chains if chain.chain.kind is Kind.STANDARD]
        if not spans or self.empty:
            return ()
        together = spans[0]
        for span in spans[1:]:
            together = intersection(together, span)
        return together


def chains_in_order(chains: Iterable[ChainReport]) -> list[ChainReport]:
    """Records in the order in which reports show them."""
    return sorted(chains, key=lambda report: report.chain.sort_key())
