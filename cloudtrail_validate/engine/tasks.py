"""Units of work that another process can do: a stage and the values it takes. Answers are the values it returns.

    Audit     an account-region, whole
    Prove     an account-region's digests
    Reconcile a batch of its logs
    Settle    what both came to

`Audit` is for account-regions whose logs fit one worker; the other three are the same work, cut.
"""

from __future__ import annotations

import msgspec

from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.prove import prove
from cloudtrail_validate.engine.reconcile import Reconciler
from cloudtrail_validate.engine.region_audit import RegionAudit
from cloudtrail_validate.engine.settle import settle
from cloudtrail_validate.engine.stages import LogBatch, LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tools import Tools


class Audit(msgspec.Struct, frozen=True, tag=True):
    """Validate an account-region, all stages: or only its digests, where they name more than `limit` logs."""

    region: AccountRegion
    limit: int | None = None


class Prove(msgspec.Struct, frozen=True, tag=True):
    """Prove an account-region's digests. Answered by `ProvenChains`."""

    region: AccountRegion


class Reconcile(msgspec.Struct, frozen=True, tag=True):
    """Read a batch of logs. Answered by `LogResult`."""

    batch: LogBatch


class Settle(msgspec.Struct, frozen=True, tag=True):
    """Judge an account-region. Answered by `RegionResult`."""

    proven: ProvenChains
    results: tuple[LogResult, ...]


Task = Audit | Prove | Reconcile | Settle
Answer = ProvenChains | LogResult | RegionResult


async def perform(task: Task, scope: Scope, tools: Tools) -> Answer:
    """Do one unit of work with this process' tools."""
    if isinstance(task, Audit):
        return await RegionAudit(task.region, scope, tools).run_up_to(task.limit)
    reader = DigestReader(tools.store, tools.limiter, tools.kept)
    try:
        if isinstance(task, Prove):
            return await prove(task.region, scope, tools, reader)
        if isinstance(task, Reconcile):
            return await Reconciler(task.batch, scope, tools, reader).run()
        return await settle(task.proven, task.results, scope, tools, reader)
    finally:
        reader.forget()
