"""Log files: what a proven digest says of one, against what lies there; and the bounded pipeline that finds out.

Jobs wait in one queue that producers may fill only so far. As many workers as the pace allows take them as fast as the
store answers, and end when the queue is empty: none has to be woken that finds nothing to do. Objects in flight are
bounded by the number of workers, bytes in flight by a budget that large objects draw on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import AbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.findings import Ledger
from cloudtrail_validate.core.gzip import Content, Flaw
from cloudtrail_validate.core.model import ChainReport, Finding, Locator, Status
from cloudtrail_validate.runtime.limits import Budget, RateLimiter
from cloudtrail_validate.stores.protocol import Store

REWRITE_SLACK: Final = timedelta(minutes=5)  # a log is written at the latest when its digest's hour ends
_SMALL_BYTES: Final = 64 * 1024  # compressed; below, the number of workers bounds the bytes well enough
_LARGE_BYTES: Final = 4 * 1024 * 1024  # compressed; above, an object is streamed and holds no more than this
BYTES_IN_FLIGHT: Final = 48 * 1024 * 1024  # compressed bytes of larger objects held at once
_QUEUED: Final = 4_000  # jobs that may wait, ~0.6 kB each


class Job(msgspec.Struct, frozen=True):
    """One log to read. `size`, `modified` and `etag` are what the listing said, None and empty where it was not listed.

    `ended` is the end of the digest that names it (for a late log: when that digest itself was written);
    `chain` the record in which its outcome is counted.
    """

    where: Locator
    sha256: str
    chain: ChainReport
    ended: datetime
    size: int | None
    modified: datetime | None
    etag: str = ""


def judge_content(sha256: str, content: Content) -> str | None:
    """The rule that a log's content breaks, or None: damage first, then the hash, then what follows the member."""
    if content.flaw in (Flaw.NOT_GZIP, Flaw.DAMAGED, Flaw.TRUNCATED):
        return rules.LOG_MALFORMED
    if content.sha256 != sha256.lower():
        return rules.LOG_ALTERED
    return rules.LOG_TRAILING_DATA if content.flaw is not None else None


class LogChecker:
    """Reads logs and says what they are. `put` as often as needed, then `finish`."""

    def __init__(self, store: Store, ledger: Ledger, limiter: RateLimiter) -> None:
        self._store = store
        self._ledger = ledger
        self._limiter = limiter
        self._queue: deque[Job] = deque()
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._budget = Budget(BYTES_IN_FLIGHT)

    async def put(self, jobs: Sequence[Job]) -> None:
        """Hand in logs to read; waits while too many are queued."""
        if not jobs:
            return
        progress = self._ledger.progress
        progress.objects_known += len(jobs)
        progress.bytes_known += sum(job.size or 0 for job in jobs)
        while len(self._queue) >= _QUEUED and self._failed is None:
            self._room.clear()
            await self._room.wait()
        self._queue.extend(jobs)
        self._employ()

    async def finish(self) -> None:
        """Wait until everything handed in is done. Raises what a worker raised, which nothing in a bucket can cause."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._failed is not None:
            raise self._failed
        if self._queue:
            raise RuntimeError(f"{len(self._queue)} logs were not looked at")

    async def cancel(self) -> None:
        """Stop at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _most(self) -> int:
        """How many workers there may be: what the pace allows changes."""
        return self._store.workers or self._limiter.limit

    def _employ(self) -> None:
        """As many workers as there is work for, within the limit."""
        for _ in range(min(len(self._queue), self._most() - len(self._tasks))):
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        self._failed = self._failed or task.exception()
        if self._failed is not None:
            self._room.set()  # whoever waits would wait for ever
        else:
            self._employ()  # work that came between a worker's last look and its end

    async def _work(self) -> None:
        queue = self._queue
        check = self._check if self._store.batch == 1 else self._check_batch
        while queue:
            await check(queue.popleft())
            if len(queue) < _QUEUED:
                self._room.set()
            if len(self._tasks) < self._most():  # the pace has come to allow more
                self._employ()

    async def _check(self, job: Job) -> None:
        """Read one log within the run's pace."""
        size = job.size or 0
        held = await self._budget.take(min(size, _LARGE_BYTES)) if size > _SMALL_BYTES else 0
        try:
            async with self._limiter:
                answer = await self._store.content(job.where, job.size, job.etag)
        except (AbsentError, StoreError) as error:
            self._account(job, error)
        else:
            self._account(job, answer)
        finally:
            if held:
                await self._budget.give(held)

    async def _check_batch(self, job: Job) -> None:
        """Read several logs in one go, leaving enough for the other workers."""
        number = min(self._store.batch, 1 + len(self._queue) // self._most())
        jobs = [job, *(self._queue.popleft() for _ in range(min(number - 1, len(self._queue))))]
        for one, answer in zip(jobs, await self._store.contents([one.where for one in jobs]), strict=True):
            self._account(one, answer)

    def _account(self, job: Job, answer: Content | AbsentError | StoreError) -> None:
        """Count a log and report what is wrong with it."""
        if isinstance(answer, AbsentError):
            self._found(job, rules.LOG_MISSING, Status.MISSING)
        elif isinstance(answer, CustomerKeyError):
            self._found(job, rules.LOG_ALTERED, Status.ALTERED, error=answer)
        elif isinstance(answer, StoreError):
            self._found(job, rules.LOG_UNREADABLE, Status.UNVERIFIABLE, error=answer)
        else:
            self._read(job, answer)
        progress = self._ledger.progress
        progress.objects_done += 1
        progress.bytes_done += job.size or 0

    def _read(self, job: Job, content: Content) -> None:
        rule = judge_content(job.sha256, content)
        self._ledger.bytes_hashed += content.size
        if rule is not None:
            self._found(job, rule, Status.ALTERED, content=content)
            return
        if self._store.dated and job.modified is not None and job.modified > job.ended + REWRITE_SLACK:
            self._found(job, rules.LOG_REWRITTEN, Status.NOTICE)
            return
        job.chain.logs.valid += 1
        self._ledger.checked(job.where, None, digest=False)

    def _found(
        self, job: Job, rule: str, status: Status, *, content: Content | None = None, error: StoreError | None = None
    ) -> None:
        job.chain.logs.add(status)
        chain = job.chain.chain
        detail = error.detail if error else content.flaw.value if content and content.flaw else None
        if rule == rules.LOG_REWRITTEN and job.modified is not None:
            detail = f"{job.modified:%Y-%m-%dT%H:%M:%SZ}"
        self._ledger.add(
            Finding(
                rule,
                status,
                chain.account,
                chain.region,
                chain.trail or None,
                job.where,
                cause=error.cause if error and status is Status.UNVERIFIABLE else None,
                expected=job.sha256,
                actual=content.sha256 if content and rule == rules.LOG_ALTERED else None,
                detail=detail,
            )
        )
        self._ledger.checked(job.where, status, digest=False)
