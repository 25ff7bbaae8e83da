"""Runs all stages for one account-region in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from cloudtrail_validate.core.coverage import union
from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.model import ChainId, ChainReport, Interval, Kind
from cloudtrail_validate.core.plan import AccountRegion, Unchanged
from cloudtrail_validate.engine.cut import cut
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.prove import prove
from cloudtrail_validate.engine.reconcile import Reconciler
from cloudtrail_validate.engine.settle import settle, unfinished
from cloudtrail_validate.engine.stages import LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tools import Tools
from cloudtrail_validate.runtime.clock import now_utc
from cloudtrail_validate.runtime.loop import together


class LogWorkers(Protocol):
    """Others who may read batches of logs."""

    def takes_logs(self, number: int) -> bool:
        """Tell whether so many logs of one account-region are read by them."""
        ...

    async def reconcile(self, proven: ProvenChains, scope: Scope, tools: Tools) -> list[LogResult]:
        """Read all logs that proven digests name, and what else lies there."""
        ...


def named_in(proven: ProvenChains) -> int:
    """Return the number of logs that the digests of an account-region name and that are to be read."""
    return sum(digest.number for digest in proven.digests if digest.counted)


class RegionAudit:
    """Validates one account-region. `run` once; `partial` is what was found where the run was ended early."""

    def __init__(self, region: AccountRegion, scope: Scope, tools: Tools, elsewhere: LogWorkers | None = None) -> None:
        self._region = region
        self._scope = scope
        self._tools = tools
        self._elsewhere = elsewhere
        self._reader = DigestReader(tools.store, tools.limiter, tools.kept)
        self._proven: ProvenChains | None = None
        self._parts: list[Reconciler] = []

    async def run(self) -> RegionResult:
        """Prove, cut, reconcile, settle."""
        if self._region.windows is not None:
            return await self._each_window(self._region.windows)
        try:
            proven = await self._prove()
            return await self._finish(proven)
        finally:
            self._reader.forget()

    async def run_up_to(self, limit: int | None) -> RegionResult | ProvenChains:
        """Run all stages, or only the first where it names more than `limit` logs."""
        if self._region.windows is not None:
            return await self._each_window(self._region.windows)
        try:
            proven = await self._prove()
            return proven if limit is not None and named_in(proven) > limit else await self._finish(proven)
        finally:
            self._reader.forget()

    def partial(self) -> RegionResult | None:
        """Return what was found until now, or None where no digest was proven yet."""
        return unfinished(self._proven, [part.result() for part in self._parts]) if self._proven else None

    async def _each_window(self, windows: Sequence[Interval]) -> RegionResult:
        """Validate several windows one after the other, as one result."""
        skipped: list[Unchanged] = []
        region = replace(self._region, windows=None, rereads=())
        until = self._scope.until
        results = [await self._one_window(region, window) for window in windows]
        for reread in self._region.rereads:
            if until is not None and now_utc() >= until:
                skipped.append(reread)
            else:
                results.append(await self._one_window(region, reread.interval))
        return join_results(self._region, results, skipped, self._scope.window)

    async def _one_window(self, region: AccountRegion, window: Interval) -> RegionResult:
        return await RegionAudit(region, Scope(window, self._scope.now), self._tools, self._elsewhere).run()

    async def _prove(self) -> ProvenChains:
        self._proven = await prove(self._region, self._scope, self._tools, self._reader)
        return self._proven

    async def _finish(self, proven: ProvenChains) -> RegionResult:
        results = await self._reconcile(proven)
        return await settle(proven, results, self._scope, self._tools, self._reader)

    async def _reconcile(self, proven: ProvenChains) -> list[LogResult]:
        """Reconcile all batches side by side: what they may hold together is bounded by the budget of references."""
        if self._elsewhere is not None and self._elsewhere.takes_logs(named_in(proven)):
            return await self._elsewhere.reconcile(proven, self._scope, self._tools)
        batches = cut(proven, self._scope.window)
        self._parts = [Reconciler(batch, self._scope, self._tools, self._reader) for batch in batches]
        return await together(part.run() for part in self._parts)


def join_results(
    region: AccountRegion, results: Sequence[RegionResult], skipped: Sequence[Unchanged], run: Interval
) -> RegionResult:
    """Join the results of several windows of one account-region, which share no hour, and what is unchanged there.

    `skipped` are hours that were to be read again and were not: those in the window of the `run` are unchanged like others.
    """
    within = [item for item in skipped if item.interval.overlaps(run)]
    unchanged = union((*region.unchanged, *(item.interval.within(run) for item in within)))
    chains: dict[ChainId, ChainReport] = {}
    for report in (report for result in results for report in result.chains):
        known = chains.get(report.chain, ChainReport(report.chain))
        chains[report.chain] = ChainReport(
            report.chain,
            known.digests + report.digests,
            known.logs + report.logs,
            union((*known.covered, *report.covered)),
            (*known.gaps, *report.gaps),
            unfinished=known.unfinished or report.unfinished,
        )
    edges = dict.fromkeys(edge.chain for edge in region.edges if edge.chain.kind is Kind.STANDARD)
    remembered = list(edges) if unchanged else []
    for index, chain in enumerate(remembered):
        known = chains.get(chain, ChainReport(chain))
        chains[chain] = replace(known, covered=union((*known.covered, *unchanged)), unchanged=unchanged)
        if index == 0:  # an hour's numbers are of all chains there
            chains[chain] = replace(
                chains[chain],
                unchanged_digests=region.unchanged_digests + sum(item.digests for item in within),
                unchanged_logs=region.unchanged_logs + sum(item.logs for item in within),
            )
    return RegionResult(
        region,
        tuple(chains[chain] for chain in sorted(chains, key=ChainId.sort_key)),
        FindingSet(result.findings for result in results).freeze(),
        tuple(digest for result in results for digest in result.digests),
        tuple(dict.fromkeys(key for result in results for key in result.keys)),
        sum(result.bytes_hashed for result in results),
        tuple(dict.fromkeys((*(chain for result in results for chain in result.trails), *remembered))),
        any(result.unfinished for result in results),
        tuple(dict.fromkeys(edge for result in results for edge in result.edges)),
        tuple(item.interval for item in skipped),
        tuple(dict.fromkeys(item for result in results for item in result.continuations)),
    )
