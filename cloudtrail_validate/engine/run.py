"""Runs one validation from a target to an outcome: all account-regions at once, everything bounded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.expectation import further, without_chain
from cloudtrail_validate.core.findings import Findings, FindingSet, Watch
from cloudtrail_validate.core.model import ChainId, ChainReport, Finding, Interval, Locator, Status
from cloudtrail_validate.core.outcome import Outcome, Reached, chains_in_order
from cloudtrail_validate.core.plan import AccountRegion, Plan, Target, Unlisted
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.engine.region_audit import LogWorkers, RegionAudit
from cloudtrail_validate.engine.stages import ProvenDigest, RegionResult, Scope
from cloudtrail_validate.engine.tools import Tools, make_tools
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.runtime.loop import in_daemon_thread, together
from cloudtrail_validate.stores.key_file import KeySource
from cloudtrail_validate.stores.protocol import Store

REGIONS_AT_ONCE: Final = 64  # enough to keep every request slot busy when each has only a few digests to read
_log = logging.getLogger("cloudtrail_validate")
_log.addHandler(logging.NullHandler())  # without it, Python prints what nobody asked for to standard error


class Workers(LogWorkers, Protocol):
    """Others who may validate whole account-regions, or read batches of logs."""

    def takes_regions(self, regions: Sequence[AccountRegion], scope: Scope) -> bool:
        """Tell whether these account-regions are validated by them."""
        ...

    async def audit(
        self, regions: Sequence[AccountRegion], scope: Scope, tools: Tools, take: Callable[[RegionResult], None]
    ) -> None:
        """Validate account-regions; `take` is given each result as it comes."""
        ...

    def kill(self) -> None:
        """End what is under way at once."""
        ...


class Memory(Protocol):
    """Narrows a plan by what earlier runs have proven."""

    async def narrow(self, plan: Plan, scope: Scope, store: Store) -> Plan:
        """Leave out of the plan what is unchanged since it was proven. Raises as a listing does."""
        ...


class Engine:
    """Runs one validation. `stop` ends it early; what was found until then is in the outcome.

    `elsewhere` are others who may do the work. `results` are what the account-regions came to, in the order in which they
    were done.
    """

    def __init__(
        self,
        store: Store,
        keys: KeySource,
        watch: Watch,
        limiter: RateLimiter,
        elsewhere: Workers | None = None,
    ) -> None:
        self._store = store
        self._source = keys
        self._watch = watch
        self._limiter = limiter
        self._elsewhere = elsewhere
        self._keys: dict[str, asyncio.Task[RegionKeys]] = {}
        self._stopping = asyncio.Event()
        self._findings = FindingSet()
        self._empty: tuple[str, ...] = ()
        self._planned: list[AccountRegion] = []
        self.results: list[RegionResult] = []

    def stop(self) -> None:
        """End the run as soon as possible. May be called from a signal handler of the loop."""
        self._stopping.set()

    async def until_stopped(self) -> None:
        """Return when the run has been told to stop."""
        await self._stopping.wait()

    def of_the_plan(self) -> Findings:
        """Return findings that are about no account-region alone."""
        return self._findings.freeze()

    def digests(self) -> Iterable[ProvenDigest]:
        """Return all proven digests that name logs."""
        return (digest for result in self.results for digest in result.digests)

    async def run(
        self,
        target: Target,
        window: Interval,
        now: datetime,
        memory: Memory | None = None,
        *,
        whole: bool = True,
        until: datetime | None = None,
    ) -> Outcome:
        """Validate a target; `memory` narrows the plan to what is not known yet.

        Without `whole` it is one part of a run: what must be there besides is for whoever sees all parts to say. After
        `until` nothing more is begun that is only read again.

        Raises `StoreError` or `AbsentError` only where nothing at all could be listed.
        """
        self._watch.progress.phase = "listing"
        tools = make_tools(self._store, self._limiter, self._region_keys, self._watch)
        work = asyncio.create_task(self._all(target, Scope(window, now, until), tools, memory, whole=whole))
        stopping = asyncio.create_task(self._stopping.wait())
        interrupted = False
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                interrupted = True
                work.cancel()
                if self._elsewhere is not None:
                    self._elsewhere.kill()
            await asyncio.gather(work, return_exceptions=interrupted)
        finally:
            for task in (work, stopping, *self._keys.values()):
                task.cancel()
            await tools.checker.cancel()
        self._watch.progress.phase = "done"
        return self._outcome(window, interrupted=interrupted)

    async def _all(self, target: Target, scope: Scope, tools: Tools, memory: Memory | None, *, whole: bool) -> None:
        gate = asyncio.Semaphore(REGIONS_AT_ONCE)
        plan = await discover(self._store, target)
        if memory is not None:
            plan = await memory.narrow(plan, scope, self._store)
        for unlisted in plan.unlisted:
            self._add(_cannot_look(target, unlisted, scope.window))
        progress = self._watch.progress
        progress.phase = "validating"
        progress.regions_known = len(plan.sites)
        await self._every(plan.sites, scope, tools, gate)
        if not whole:
            return
        more = self._further(target, plan)
        progress.regions_known += len(more)
        await self._every(more, scope, tools, gate)
        told = {item.account for item in plan.unlisted if item.account}
        self._empty = without_chain(target, self._judged(), told)
        for account in self._empty:
            self._add(_nothing_of(target, account, scope.window))
        progress.listing_done = True

    async def _every(
        self, regions: Sequence[AccountRegion], scope: Scope, tools: Tools, gate: asyncio.Semaphore
    ) -> None:
        self._planned += regions
        if regions and self._elsewhere is not None and self._elsewhere.takes_regions(regions, scope):
            await self._elsewhere.audit(regions, scope, tools, self.results.append)
        else:
            await together(self._one(region, scope, tools, gate) for region in regions)

    async def _one(self, region: AccountRegion, scope: Scope, tools: Tools, gate: asyncio.Semaphore) -> None:
        async with gate:
            audit = RegionAudit(region, scope, tools, self._elsewhere)
            try:
                self.results.append(await audit.run())
            except asyncio.CancelledError:
                partial = audit.partial()
                if partial is not None:
                    self.results.append(partial)
                raise
            self._watch.progress.regions_done += 1

    def _further(self, target: Target, plan: Plan) -> tuple[AccountRegion, ...]:
        """Return account-regions that proven digests show to be missing: a multi-region trail writes in all of them."""
        proven = {chain for result in self.results for chain in result.trails}
        reports = (report for result in self.results for report in result.chains)
        continuations = dict.fromkeys(item for result in self.results for item in result.continuations)
        return further(target, plan.sites, proven, reports, continuations)

    def _judged(self) -> list[ChainId]:
        """Return the chains that the report accounts for so far."""
        return [report.chain for result in self.results for report in result.chains]

    def _add(self, finding: Finding) -> None:
        self._findings.add(finding)
        self._watch.found(finding)

    def _outcome(self, window: Interval, *, interrupted: bool) -> Outcome:
        findings = FindingSet([self._findings.freeze(), *(result.findings for result in self.results)])
        chains = [chain for result in self.results for chain in result.chains]
        progress, reached = self._watch.progress, None
        if interrupted:
            done = {_place(result.region) for result in self.results}
            left = [region for region in self._planned if _place(region) not in done]
            chains += [ChainReport(region.nameless, unfinished=True) for region in left]
            reached = Reached(progress.objects_done, progress.objects_known, progress.listing_done)
        return Outcome(
            chains_in_order(chains),
            findings.freeze(),
            window,
            interrupted,
            self._empty,
            tuple({key for result in self.results for key in result.keys}),
            sum(result.bytes_hashed for result in self.results),
            reached,
        )

    async def _region_keys(self, region: str) -> RegionKeys:
        """Return the keys of a region, asked for once."""
        if region not in self._keys:
            self._keys[region] = asyncio.create_task(in_daemon_thread(self._source.region, region))
        return await asyncio.shield(self._keys[region])


def _place(region: AccountRegion) -> tuple[str | None, str, str]:
    return region.organization_id, region.account, region.region


def _cannot_look(target: Target, unlisted: Unlisted, window: Interval) -> Finding:
    return Finding(
        rules.DIGEST_UNREADABLE,
        Status.UNVERIFIABLE,
        unlisted.account,
        None,
        target.trail or None,
        Locator(target.bucket, unlisted.prefix),
        window,
        unlisted.cause,
        detail=unlisted.detail,
    )


def _nothing_of(target: Target, account: str, window: Interval) -> Finding:
    return Finding(rules.CHAIN_ABSENT, Status.UNCOVERED, account, None, target.trail or None, interval=window)
