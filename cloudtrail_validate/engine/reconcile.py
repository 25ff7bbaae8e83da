"""Reconciles one batch of logs: what proven digests name in a key range, what is listed there, and what is read.

A log that a digest names and the listing shows is read as listed; one that no listing shows is read all the same, since
only a read can tell a missing object from a listing that lied. What is listed and nobody names is left for `settle`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.errors import AbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.findings import FindingSet, LogRead, Watch
from cloudtrail_validate.core.gzip import Content
from cloudtrail_validate.core.model import Cause, ChainId, Counts, Finding, Locator, ObjectInfo, Status
from cloudtrail_validate.engine.digest_reader import DigestReader, says_both
from cloudtrail_validate.engine.log_checker import Answer, Job, judge_content
from cloudtrail_validate.engine.log_folder import list_batch, list_odd
from cloudtrail_validate.engine.outside import is_marker
from cloudtrail_validate.engine.routing import Router
from cloudtrail_validate.engine.stages import Failure, LogBatch, LogResult, ProvenDigest, Scope, Unnamed
from cloudtrail_validate.engine.tools import Tools

REWRITE_SLACK: Final = timedelta(minutes=5)  # a log is written at the latest when its digest's hour ends
Named = tuple[LogReference, ProvenDigest]


class Outcomes:
    """Collects what became of the logs of one batch, and tells of it at once."""

    def __init__(self, watch: Watch, *, dated: bool) -> None:
        self.findings = FindingSet()
        self.bytes_hashed = 0
        self._watch = watch
        self._dated = dated
        self._statuses: dict[ChainId, dict[Status | None, int]] = {}
        self._left = 0
        self._done = asyncio.Event()

    def expect(self, number: int) -> None:
        """Announce that so many answers will be taken."""
        self._left += number

    async def all_taken(self) -> None:
        """Wait until every announced answer was taken."""
        while self._left:
            self._done.clear()
            await self._done.wait()

    def take(self, job: Job, answer: Answer) -> None:
        """Count a log, and say what is wrong with it."""
        if isinstance(answer, Content):
            self._judge(job, answer)
        elif isinstance(answer, AbsentError):
            self._found(job, rules.LOG_MISSING, Status.MISSING)
        elif isinstance(answer, CustomerKeyError):
            self._found(job, rules.LOG_ALTERED, Status.ALTERED, detail=answer.detail)
        elif isinstance(answer, StoreError):
            written = self._rewritten(job)
            detail = says_both(answer.detail, written) if written else answer.detail
            self._found(job, rules.LOG_UNREADABLE, Status.UNVERIFIABLE, cause=answer.cause, detail=detail)
        else:
            detail = f"internal error, please report it: {type(answer).__name__}: {answer}"
            self._found(job, rules.LOG_UNREADABLE, Status.UNVERIFIABLE, detail=detail)
        self._left -= 1
        if not self._left:
            self._done.set()

    def add(self, finding: Finding) -> None:
        """Take a finding in, and tell of it."""
        self.findings.add(finding)
        self._watch.found(finding)

    def counts(self) -> tuple[tuple[ChainId, Counts], ...]:
        """Return the numbers of logs by chain."""
        return tuple(
            (chain, Counts(**{"valid" if status is None else str(status): number for status, number in held.items()}))
            for chain, held in sorted(self._statuses.items(), key=lambda pair: pair[0].sort_key())
        )

    def _judge(self, job: Job, content: Content) -> None:
        rule = judge_content(job.log.hash_value, content)
        self.bytes_hashed += content.size
        modified = self._rewritten(job)
        self._watch.judged(LogRead(job.where, job.digest.entry.where, rule, content))
        if rule is not None:
            actual = content.sha256 if rule == rules.LOG_ALTERED else None
            detail = content.flaw.value if content.flaw else None
            self._found(job, rule, Status.ALTERED, actual=actual, detail=detail)
        elif modified is not None:
            self._found(job, rules.LOG_REWRITTEN, Status.NOTICE, detail=f"{modified:%Y-%m-%dT%H:%M:%SZ}")
        else:
            self._count(job, None)

    def _rewritten(self, job: Job) -> datetime | None:
        """Return the time at which a log was written, where that is after the hour in which CloudTrail wrote it."""
        modified = job.info.modified if job.info and self._dated else None
        late = modified is not None and modified > job.digest.written + REWRITE_SLACK
        return modified if late else None

    def _found(
        self,
        job: Job,
        rule: str,
        status: Status,
        *,
        cause: Cause | None = None,
        actual: str | None = None,
        detail: str | None = None,
    ) -> None:
        self._count(job, status)
        chain, where = job.digest.entry.chain, job.where
        self.add(
            Finding(
                rule,
                status,
                chain.account,
                chain.region,
                chain.trail or None,
                where,
                job.digest.interval,
                cause=cause,
                expected=job.log.hash_value,
                actual=actual,
                detail=detail,
            )
        )

    def _count(self, job: Job, status: Status | None) -> None:
        held = self._statuses.setdefault(job.digest.entry.chain, {})
        counted = None if status is Status.NOTICE else status
        held[counted] = held.get(counted, 0) + 1
        self._watch.checked(job.where, status, digest=False)


class Reconciler:
    """Reconciles one batch. `run` once; `result` at any time is what was found until then."""

    def __init__(self, batch: LogBatch, scope: Scope, tools: Tools, reader: DigestReader) -> None:
        self._batch = batch
        self._scope = scope
        self._tools = tools
        self._reader = reader
        self._router = Router(batch.region, scope.now)
        self._outcomes = Outcomes(tools.watch, dated=tools.store.dated)
        self._unnamed: list[Unnamed] = []
        self._failures: list[Failure] = []

    async def run(self) -> LogResult:
        """Read what is named, list what lies there, and wait for all answers."""
        held = await self._tools.references.take(self._batch.number)
        try:
            waiting = await self._waiting()
            matched: set[str] = set()
            try:
                async for page in self._pages():
                    await self._put(self._match(page, waiting, matched))
            except AbsentError:
                pass  # no such folder: what is named is read all the same
            except StoreError as error:
                self._failures.append(self._failure(error))
            await self._put([job for pair in waiting.values() for job in self._job(pair, None)])
            await self._outcomes.all_taken()
        finally:
            await self._tools.references.give(held)
        return self.result()

    def result(self) -> LogResult:
        """Return what was found until now."""
        outcomes = self._outcomes
        return LogResult(
            outcomes.counts(),
            outcomes.findings.freeze(),
            tuple(self._unnamed),
            outcomes.bytes_hashed,
            tuple(self._failures),
        )

    async def _waiting(self) -> dict[str, Named]:
        """Return the logs that are this batch's, by key. Those that name a key with yet another hash are read at once."""
        waiting: dict[str, Named] = {}
        claims: set[tuple[Locator, str]] = set()
        further: list[Job] = []
        for log, digest in await self._named():
            known = waiting.get(log.s3_object)
            if not digest.counted:
                waiting.setdefault(log.s3_object, (log, digest))
            elif known is None or not known[1].counted:
                waiting[log.s3_object] = log, digest
                claims.add((log.where, log.hash_value))
            elif (log.where, log.hash_value) not in claims:
                claims.add((log.where, log.hash_value))
                further += self._job((log, digest), None)
        await self._put(further)
        return waiting

    async def _named(self) -> list[Named]:
        """Return the references that are this batch's, in the order of its digests: the first that names a log counts it."""
        batch = self._batch
        answers = await asyncio.gather(*(self._reader.references(digest) for digest in batch.digests))
        out: list[Named] = []
        for digest, logs in zip(batch.digests, answers, strict=True):
            if logs is None:
                self._outcomes.add(_changed(digest))
            elif _all_inside(digest, batch):
                out += [(log, digest) for log in logs]
                self._reader.drop(digest.entry.where)
            else:
                out += [(log, digest) for log in logs if self._owns(log)]
        return out

    def _owns(self, log: LogReference) -> bool:
        place, odd = self._router.place_of(log)
        return self._batch.owns(place, log.s3_object, odd=odd)

    def _match(self, page: Sequence[ObjectInfo], waiting: dict[str, Named], matched: set[str]) -> list[Job]:
        """Turn listed logs that are named into jobs; keep the rest."""
        jobs: list[Job] = []
        place = self._batch.place
        for info in page:
            pair = waiting.pop(info.key, None)
            if pair is not None:
                matched.add(info.key)
                jobs += self._job(pair, info)
            elif place is not None and info.key not in matched and self._is_file(info):
                self._unnamed.append(Unnamed(place.folder.bucket, place.path, info))
        return jobs

    def _is_file(self, info: ObjectInfo) -> bool:
        """Tell whether a listed object is a file that a digest must name. Regular ones are no business of the odd batch."""
        place, batch = self._batch.place, self._batch
        odd = place is not None and self._router.is_odd(place.path, info.key)
        return odd == batch.odd and not is_marker(info)

    def _job(self, pair: Named, info: ObjectInfo | None) -> list[Job]:
        """Return the work of checking a log, if there is any: what a digest outside the window names is only known."""
        return [Job(*pair, info, self._outcomes, pair[0].where)] if pair[1].counted else []

    async def _put(self, jobs: Sequence[Job]) -> None:
        self._outcomes.expect(len(jobs))
        await self._tools.checker.put(jobs)

    def _pages(self) -> AsyncIterator[Sequence[ObjectInfo]]:
        batch, store = self._batch, self._tools.store
        if batch.odd and batch.place is not None:
            return list_odd(store, batch.place, self._scope.window, self._scope.now)
        return list_batch(store, batch)

    def _failure(self, error: StoreError) -> Failure:
        place = self._batch.place
        where = Locator(place.folder.bucket, place.path) if place else Locator("", "")
        return Failure(rules.LOG_UNREADABLE, where, error.cause, error.detail)


def _all_inside(digest: ProvenDigest, batch: LogBatch) -> bool:
    """Tell whether every log that a digest names is the batch's."""
    if len(digest.reaches) != 1 or batch.odd:
        return False
    (reach,) = digest.reaches
    if reach.place != batch.place or reach.odd:
        return False
    return batch.place is None or (batch.after <= reach.first and (batch.before is None or reach.last < batch.before))


def _changed(digest: ProvenDigest) -> Finding:
    chain = digest.entry.chain
    return Finding(
        rules.DIGEST_UNREADABLE,
        Status.UNVERIFIABLE,
        chain.account,
        chain.region,
        chain.trail or None,
        digest.entry.where,
        digest.interval,
        detail="it was read and proven, and is not the same any more: run again",
    )
