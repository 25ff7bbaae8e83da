"""The outcome of a run: chains, findings and time covered, before it becomes a report."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import Span, intersection
from cloudtrail_validate.core.findings import Findings
from cloudtrail_validate.core.model import ChainReport, Interval, Kind, Status
from cloudtrail_validate.core.signature import PublicKey


class Reached(msgspec.Struct, frozen=True):
    """Tells how far a stopped run had come: objects done, of those known; `all_known` where none was to come."""

    objects_done: int
    objects_known: int
    all_known: bool


class Outcome(msgspec.Struct, frozen=True):
    """Holds a run's result: records of chains in the report's order, findings, and whether it was stopped before its end.

    `reached` is how far it had come then. `empty` are accounts that were asked for and have nothing; `keys` the public
    keys that proved something.
    """

    chains: tuple[ChainReport, ...]
    findings: Findings
    window: Interval
    interrupted: bool = False
    empty: tuple[str, ...] = ()
    keys: tuple[PublicKey, ...] = ()
    bytes_hashed: int = 0
    reached: Reached | None = None

    @property
    def digests(self) -> int:
        """Return the number of digests looked at, whatever came of them.

        Where some could not be looked at, it is not that there are none.
        """
        unread = self.findings.tally.numbers[rules.DIGEST_UNREADABLE, Status.UNVERIFIABLE]
        return max(unread, sum(chain.digests.total + chain.unchanged_digests for chain in self.chains))

    def covered(self) -> Span:
        """Return the part of the window that proven digests cover in every account and region that was to have them."""
        spans = [chain.covered for chain in self.chains if chain.chain.kind is Kind.STANDARD]
        if not spans or self.empty:
            return ()
        together = spans[0]
        for span in spans[1:]:
            together = intersection(together, span)
        return intersection(together, (self.window,))  # with a state, hours beyond it are validated as well

    def account_regions(self) -> tuple[int, int]:
        """Count the account-regions that have digests, and those that were to have any: found and expected ones."""
        places: dict[tuple[str, str, str], bool] = {}
        for chain in self.chains:
            if chain.chain.kind is Kind.STANDARD:
                place = (chain.chain.organization_id or "", chain.chain.account, chain.chain.region)
                there = not (chain.unfinished or any(gap.rule == rules.CHAIN_ABSENT for gap in chain.gaps))
                places[place] = places.get(place, True) and there
        return sum(places.values()), len(places) + len(self.empty)


def chains_in_order(chains: Iterable[ChainReport]) -> tuple[ChainReport, ...]:
    """Sort records into the order in which reports show them."""
    return tuple(sorted(chains, key=lambda report: report.chain.sort_key()))
