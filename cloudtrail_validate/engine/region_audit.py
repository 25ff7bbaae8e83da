"""Runs all stages for one account-region in this process."""

from __future__ import annotations

from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.cut import cut
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.prove import prove
from cloudtrail_validate.engine.reconcile import Reconciler
from cloudtrail_validate.engine.settle import settle, unfinished
from cloudtrail_validate.engine.stages import LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tools import Tools
from cloudtrail_validate.runtime.loop import together


class RegionAudit:
    """Validates one account-region. `run` once; `partial` is what was found where the run was ended early."""

    def __init__(self, region: AccountRegion, scope: Scope, tools: Tools) -> None:
        self._region = region
        self._scope = scope
        self._tools = tools
        self._reader = DigestReader(tools.store, tools.limiter, tools.kept)
        self._proven: ProvenChains | None = None
        self._parts: list[Reconciler] = []

    async def run(self) -> RegionResult:
        """Prove, cut, reconcile, settle."""
        try:
            proven = await prove(self._region, self._scope, self._tools, self._reader)
            self._proven = proven
            results = await self._reconcile(proven)
            return await settle(proven, results, self._scope, self._tools, self._reader)
        finally:
            self._reader.forget()

    def partial(self) -> RegionResult | None:
        """What was found until now, or None where no digest was proven yet."""
        return unfinished(self._proven, [part.result() for part in self._parts]) if self._proven else None

    async def _reconcile(self, proven: ProvenChains) -> list[LogResult]:
        """All batches side by side: what they may hold together is bounded by the budget of references."""
        batches = cut(proven, self._scope.window)
        self._parts = [Reconciler(batch, self._scope, self._tools, self._reader) for batch in batches]
        return await together(part.run() for part in self._parts)
