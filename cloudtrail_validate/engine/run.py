"""One validation from a checked request to an outcome: all sites at once, everything bounded."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.findings import Ledger
from cloudtrail_validate.core.model import Finding, Interval, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import AccountRegion, Target, Unlisted
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.digest_reader import ProvenChains
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.engine.log_checker import LogChecker
from cloudtrail_validate.engine.region_audit import RegionAudit, Scope, Tools
from cloudtrail_validate.runtime.limits import Budget, RateLimiter, TryBudget
from cloudtrail_validate.runtime.loop import in_daemon_thread
from cloudtrail_validate.stores.key_file import KeySource
from cloudtrail_validate.stores.protocol import Store

SITES_AT_ONCE: Final = 64  # enough to keep every request slot busy when each has only a few digests to read
REFERENCES_IN_MEMORY: Final = 40_000  # of all sites together, ~0.5 kB each
REFERENCES_KEPT: Final = 12_500  # besides, from proving a digest until its logs are matched; others are read again
_log = logging.getLogger("cloudtrail_validate")
_log.addHandler(logging.NullHandler())  # without it, Python prints what nobody asked for to standard error


class Engine:
    """Runs one validation. `stop` ends it early; what was found until then is in the outcome.

    `proofs` is what each account-region proved, small enough to keep.
    """

    def __init__(self, store: Store, keys: KeySource, ledger: Ledger, limiter: RateLimiter) -> None:
        self._store = store
        self._source = keys
        self._ledger = ledger
        self._limiter = limiter
        self._keys: dict[str, asyncio.Task[RegionKeys]] = {}
        self._stopping = asyncio.Event()
        self.proofs: list[ProvenChains] = []

    def stop(self) -> None:
        """End the run as soon as possible. May be called from a signal handler of the loop."""
        self._stopping.set()

    async def run(self, target: Target, window: Interval, now: datetime) -> Outcome:
        """Validate a target. Raises `StoreError` or `AbsentError` only where nothing at all could be listed."""
        progress = self._ledger.progress
        progress.phase = "listing"
        checker = LogChecker(self._store, self._ledger, self._limiter)
        bounds = Budget(REFERENCES_IN_MEMORY), TryBudget(REFERENCES_KEPT)
        tools = Tools(self._store, self._ledger, checker, self._limiter, *bounds, self._region_keys)
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

    async def _one(
        self, site: AccountRegion, scope: Scope, tools: Tools, outcome: Outcome, gate: asyncio.Semaphore
    ) -> None:
        async with gate:
            audit = RegionAudit(site, scope, tools)
            try:
                outcome.chains += await audit.run()
                if audit.proof is not None and audit.proof.named:
                    self.proofs.append(audit.proof)
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
            self._keys[region] = asyncio.create_task(in_daemon_thread(self._source.region, region))
        return await asyncio.shield(self._keys[region])


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


def _failed(site: AccountRegion, window: Interval, error: Exception) -> Finding:
    return Finding(
        rules.DIGEST_UNREADABLE,
        Status.UNVERIFIABLE,
        site.account,
        site.region,
        site.trail or None,
        interval=window,
        detail=f"internal error, please report it: {type(error).__name__}: {error}",
    )
