"""One validation from a checked request to an outcome: all sites at once, everything bounded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cloudtrail_validate import rules
from cloudtrail_validate.coverage import Span, intersection
from cloudtrail_validate.discover import Target, Unlisted, discover
from cloudtrail_validate.keys import KeySource
from cloudtrail_validate.ledger import Ledger
from cloudtrail_validate.logs import LogChecker
from cloudtrail_validate.loop import aside
from cloudtrail_validate.model import ChainReport, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.pace import Allowance, Budget, Pace
from cloudtrail_validate.reading import Proof
from cloudtrail_validate.signature import RegionKeys
from cloudtrail_validate.site import Scope, Site, SiteAudit, Tools
from cloudtrail_validate.stores import Store

SITES_AT_ONCE: Final = 64  # enough to keep every request slot busy when each has only a few digests to read
REFERENCES_IN_MEMORY: Final = 40_000  # of all sites together, ~0.5 kB each
REFERENCES_KEPT: Final = 12_500  # besides, from proving a digest until its logs are matched; others are read again
_log = logging.getLogger("cloudtrail_validate")
_log.addHandler(logging.NullHandler())  # without it, Python prints what nobody asked for to standard error


@dataclass(slots=True)
class Outcome:
    """What a run found: records of chains, the ledger with all findings, and whether it was stopped before its end.

    `proofs` is what each site proved, small enough to keep.
    """

    chains: list[ChainReport]
    ledger: Ledger
    window: Interval
    interrupted: bool = False
    proofs: list[Proof] = field(default_factory=list)
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


class Engine:
    """Runs one validation. `stop` ends it early; what was found until then is in the outcome."""

    def __init__(self, store: Store, keys: KeySource, ledger: Ledger, pace: Pace) -> None:
        self._store = store
        self._source = keys
        self._ledger = ledger
        self._pace = pace
        self._keys: dict[str, asyncio.Task[RegionKeys]] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End the run as soon as possible. May be called from a signal handler of the loop."""
        self._stopping.set()

    async def run(self, target: Target, window: Interval, now: datetime) -> Outcome:
        """Validate a target. Raises `StoreError` or `AbsentError` only where nothing at all could be listed."""
        progress = self._ledger.progress
        progress.phase = "listing"
        checker = LogChecker(self._store, self._ledger, self._pace)
        bounds = Budget(REFERENCES_IN_MEMORY), Allowance(REFERENCES_KEPT)
        tools = Tools(self._store, self._ledger, checker, self._pace, *bounds, self._region_keys)
        outcome = Outcome([], self._ledger, window)
        work = asyncio.create_task(self._all(target, Scope(window, now, target.selects), tools, outcome))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                outcome.interrupted = True
                work.cancel()
            await asyncio.gather(work, return_exceptions=outcome.interrupted)
        finally:
            for task in (work, stopping, *self._keys.values()):
                task.cancel()
            await checker.cancel()
        progress.phase = "done"
        return outcome

    async def _all(self, target: Target, scope: Scope, tools: Tools, outcome: Outcome) -> None:
        gate = asyncio.Semaphore(SITES_AT_ONCE)
        try:
            plan = await discover(self._store, target)
            for unlisted in plan.unlisted:
                self._ledger.add(_cannot_look(target, unlisted, scope.window))
            outcome.empty = plan.empty
            for account in plan.empty:
                self._ledger.add(_nothing_of(target, account, scope.window))
            self._ledger.progress.phase = "validating"
            await asyncio.gather(*(self._one(site, scope, tools, outcome, gate) for site in plan.sites))
            self._ledger.progress.listing_done = True
            await tools.checker.finish()
        except asyncio.CancelledError:
            self._ledger.add(_interrupted(scope.window))
            raise

    async def _one(self, site: Site, scope: Scope, tools: Tools, outcome: Outcome, gate: asyncio.Semaphore) -> None:
        async with gate:
            audit = SiteAudit(site, scope, tools)
            try:
                outcome.chains += await audit.run()
                if audit.proof is not None and audit.proof.named:
                    outcome.proofs.append(audit.proof)
            except asyncio.CancelledError:
                outcome.chains += audit.partial()
                raise
            except Exception as error:
                # One site that went wrong must not take the others with it, nor pass for proven.
                _log.exception("site %s %s", site.account, site.region)
                outcome.chains += audit.partial()
                self._ledger.add(_failed(site, scope.window, error))

    async def _region_keys(self, region: str) -> RegionKeys:
        """The keys of a region, asked for once."""
        if region not in self._keys:
            self._keys[region] = asyncio.create_task(aside(self._source.region, region))
        return await asyncio.shield(self._keys[region])


def chains_in_order(chains: Iterable[ChainReport]) -> list[ChainReport]:
    """Records in the order in which reports show them."""
    return sorted(chains, key=lambda report: report.chain.sort_key())


def _cannot_look(target: Target, unlisted: Unlisted, window: Interval) -> Finding:
    return Finding(
        rules.DIGEST_UNREADABLE,
        Status.UNVERIFIABLE,
        unlisted.account,
        None,
        target.trail or None,
        Locator(target.bucket, unlisted.prefix),
        window,
        unlisted.error.cause,
        detail=unlisted.error.detail,
    )


def _nothing_of(target: Target, account: str, window: Interval) -> Finding:
    return Finding(rules.CHAIN_ABSENT, Status.UNCOVERED, account, None, target.trail or None, interval=window)


def _interrupted(window: Interval) -> Finding:
    return Finding(
        rules.DIGEST_UNREADABLE, Status.UNVERIFIABLE, interval=window, detail="the run was interrupted before its end"
    )


def _failed(site: Site, window: Interval, error: Exception) -> Finding:
    return Finding(
        rules.DIGEST_UNREADABLE,
        Status.UNVERIFIABLE,
        site.account,
        site.region,
        site.trail or None,
        interval=window,
        detail=f"internal error, please report it: {type(error).__name__}: {error}",
    )
