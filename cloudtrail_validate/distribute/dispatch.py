"""Sends account-regions and batches of logs to an executor's workers, and takes their results as they come.

The code knows `concurrent.futures.Executor` and nothing else of who does the work. What a worker that was lost had to do is
asked for again; what is lost again and again is a finding about these hours, never silence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Final, TypeVar

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.findings import FindingSet, Watch
from cloudtrail_validate.core.model import Finding, Interval, Locator, Status
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.distribute.work import Call, Context, Reply, work
from cloudtrail_validate.engine.cut import cut
from cloudtrail_validate.engine.region_audit import named_in
from cloudtrail_validate.engine.settle import unfinished, unproven
from cloudtrail_validate.engine.stages import LogBatch, LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tasks import Answer, Audit, Reconcile, Settle, Task
from cloudtrail_validate.engine.tools import Tools
from cloudtrail_validate.runtime.loop import together

ATTEMPTS: Final = 3  # a call is made, before what it was to do counts as unproven
REGIONS_A_CALL: Final = 24  # account-regions: enough to keep a worker's requests in flight where each has few digests
REFERENCES_A_CALL: Final = 12_000  # logs of large account-regions, ~1 s of a core
REFERENCES_AT_LEAST: Final = 2_000  # some hundreds are in flight: fewer would leave a worker waiting for answers
ROUNDS: Final = 6  # calls for each worker, of fewer logs where there are not so many: else some are idle at the end
LARGE: Final = 6_000  # logs of one account-region from which on they are cut
CALLS_A_WORKER: Final = 3  # under way: two are made at once, and the next is there when one is answered
_log = logging.getLogger("cloudtrail_validate")
T = TypeVar("T")


class Dispatcher:
    """Has the stages of a run done by an executor's workers.

    `context` is asked before each call, since credentials are renewed meanwhile. `workers` says how many calls are worth
    having under way.
    """

    def __init__(self, executor: Executor, workers: int, context: Callable[[Scope], Context], watch: Watch) -> None:
        self._executor = executor
        self._context = context
        self._watch = watch
        self._room = asyncio.Semaphore(workers * CALLS_A_WORKER)
        self._workers = workers

    async def audit(
        self, regions: Sequence[AccountRegion], scope: Scope, tools: Tools, take: Callable[[RegionResult], None]
    ) -> None:
        """Validate account-regions; `take` is given each result as it comes."""
        size = max(1, min(REGIONS_A_CALL, -(-len(regions) // (self._workers * CALLS_A_WORKER))))
        groups = [regions[start : start + size] for start in range(0, len(regions), size)]
        await together(self._audit_group(group, scope, tools, take) for group in groups)

    async def reconcile(self, proven: ProvenChains, scope: Scope, tools: Tools) -> list[LogResult]:
        """Cut the logs of an account-region into batches, and have these read; results come in their order."""
        few = max(REFERENCES_AT_LEAST, named_in(proven) // (self._workers * ROUNDS))
        groups = list(_groups(cut(proven, scope.window, few), min(few, REFERENCES_A_CALL)))
        answers = await together(self._do([Reconcile(batch) for batch in group], scope, tools) for group in groups)
        out: list[LogResult] = []
        for group, found in zip(groups, answers, strict=True):
            for batch, answer in zip(group, found, strict=True):
                result = answer if isinstance(answer, LogResult) else _lost_batch(batch, scope.window)
                self._tell(result.findings.kept)
                out.append(result)
        return out

    async def _audit_group(
        self,
        regions: Sequence[AccountRegion],
        scope: Scope,
        tools: Tools,
        take: Callable[[RegionResult], None],
    ) -> None:
        answers = await self._do([Audit(region, LARGE) for region in regions], scope, tools)
        for region, answer in zip(regions, answers, strict=True):
            if isinstance(answer, ProvenChains):
                result = await self._large(answer, scope, tools)
            elif isinstance(answer, RegionResult):
                result = answer
                self._tell(result.findings.kept)
            else:
                result = _lost_region(region, scope.window)
                self._tell(result.findings.kept)
            take(result)
            self._watch.progress.regions_done += 1

    async def _large(self, proven: ProvenChains, scope: Scope, tools: Tools) -> RegionResult:
        """Cut the logs of a large account-region, and settle it when all of them are read."""
        results = await self.reconcile(proven, scope, tools)
        answers = await self._do([Settle(proven, tuple(results))], scope, tools)
        settled = answers[0]
        if isinstance(settled, RegionResult):
            known = {finding for result in results for finding in result.findings.kept}  # told when they came
            self._tell([finding for finding in settled.findings.kept if finding not in known])
            return settled
        part = unfinished(proven, results)
        lost = _lost_region(proven.region, scope.window)
        return msgspec.structs.replace(part, findings=FindingSet([part.findings, lost.findings]).freeze())

    async def _do(self, tasks: Sequence[Task], scope: Scope, tools: Tools) -> Sequence[Answer | None]:
        """Have units of work done by one worker; None for each where that failed again and again."""
        keys = await self._keys(tasks, tools)
        for attempt in range(1, ATTEMPTS + 1):
            async with self._room:
                call = msgspec.msgpack.encode(Call(self._context(scope), dict(keys), tuple(tasks)))
                try:
                    answer = await asyncio.wrap_future(self._executor.submit(work, call))
                except asyncio.CancelledError as error:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    _log.warning("attempt %d of %d units of work: given up there: %r", attempt, len(tasks), error)
                    continue  # Dask cancels what it had taken when its scheduler is gone
                except Exception as error:  # a killed worker, a lost connection, a bug over there
                    _log.warning("attempt %d of %d units of work: %s", attempt, len(tasks), error)
                    continue
            reply = msgspec.msgpack.decode(answer, type=Reply)
            progress = self._watch.progress
            progress.objects_done += reply.objects
            progress.objects_known += reply.objects
            progress.bytes_done += reply.bytes
            progress.bytes_known += reply.bytes
            for one in reply.checked:
                self._watch.checked(one.where, one.status, digest=one.digest)
            return reply.answers
        return [None] * len(tasks)

    async def _keys(self, tasks: Sequence[Task], tools: Tools) -> Mapping[str, RegionKeys]:
        regions = {_region_of(task).region for task in tasks}
        return dict(zip(regions, await together(_ask(tools, region) for region in regions), strict=True))

    def _tell(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self._watch.found(finding)


async def _ask(tools: Tools, region: str) -> RegionKeys:
    return await tools.keys(region)


def _region_of(task: Task) -> AccountRegion:
    if isinstance(task, Reconcile):
        return task.batch.region
    return task.proven.region if isinstance(task, Settle) else task.region


def _groups(batches: Sequence[LogBatch], most: int) -> Iterator[list[LogBatch]]:
    """Batches in order, `most` references at once where a batch has not more."""
    group: list[LogBatch] = []
    number = 0
    for batch in batches:
        if group and number + batch.number > most:
            yield group
            group, number = [], 0
        group.append(batch)
        number += batch.number
    if group:
        yield group


def _lost_region(region: AccountRegion, window: Interval) -> RegionResult:
    """The result of an account-region that no worker could validate."""
    return unproven(region, window, "the processes that were to validate it ended before they answered")


def _lost_batch(batch: LogBatch, window: Interval) -> LogResult:
    """The result of a batch of logs that no worker could read."""
    found = FindingSet()
    where = Locator(batch.place.folder.bucket, batch.place.path) if batch.place else None
    detail = f"the processes that were to read {batch.number:,} logs ended before they answered"
    found.add(
        Finding(
            rules.LOG_UNREADABLE,
            Status.UNVERIFIABLE,
            batch.region.account,
            batch.region.region,
            batch.region.trail or None,
            where,
            window,
            detail=detail,
        )
    )
    return LogResult((), found.freeze(), ())
