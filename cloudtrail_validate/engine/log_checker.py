"""Reads logs in a bounded pool, and hands each answer back to who asked.

Jobs wait in one queue that producers may fill only so far. As many workers as the limiter allows take them as fast as the
store answers, and end when the queue is empty: none has to be woken that finds nothing to do. Objects in flight are
bounded by the number of workers, bytes in flight by a budget that large objects draw on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.gzip import Content, Flaw
from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.engine.stages import ProvenDigest
from cloudtrail_validate.runtime.limits import Budget, RateLimiter
from cloudtrail_validate.stores.protocol import Store

_SMALL_BYTES: Final = 64 * 1024  # compressed; below, the number of workers bounds the bytes well enough
_LARGE_BYTES: Final = 4 * 1024 * 1024  # compressed; above, an object is streamed and holds no more than this
BYTES_IN_FLIGHT: Final = 48 * 1024 * 1024  # compressed bytes of larger objects held at once
_QUEUED: Final = 4_000  # jobs that may wait, ~0.3 kB each
_log = logging.getLogger("cloudtrail_validate")

Answer = Content | AbsentError | StoreError | Exception


class Collector(Protocol):
    """Takes the answers of the jobs that it handed in."""

    def take(self, job: Job, answer: Answer) -> None:
        """Take one answer: the content, why there is none, or an error of this program's own."""
        ...


class Job(NamedTuple):
    """One log to read: how a digest names it, that digest, what the listing said of it (None: not listed), who asks.

    `where` is the log's own, which makes a new one each time that it is asked.
    """

    log: LogReference
    digest: ProvenDigest
    info: ObjectInfo | None
    owner: Collector
    where: Locator

    @property
    def size(self) -> int:
        """Return the compressed bytes by the listing; 0 where it was not listed."""
        return self.info.size if self.info else 0


def judge_content(sha256: str, content: Content) -> str | None:
    """Return the rule that a log's content breaks, or None: damage first, then the hash, then what follows the member."""
    if content.flaw in (Flaw.NOT_GZIP, Flaw.DAMAGED, Flaw.TRUNCATED, Flaw.SPECIAL):
        return rules.LOG_MALFORMED
    if content.sha256 != sha256.lower():
        return rules.LOG_ALTERED
    return rules.LOG_TRAILING_DATA if content.flaw is not None else None


class LogChecker:
    """Reads logs. `put` as often as needed; every job's owner gets exactly one answer, unless the run is cancelled."""

    def __init__(self, store: Store, watch: Watch, limiter: RateLimiter) -> None:
        self._store = store
        self._progress = watch.progress
        self._make = watch.inflater
        self._limiter = limiter
        self._queue: deque[Job] = deque()
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._budget = Budget(BYTES_IN_FLIGHT)

    async def put(self, jobs: Sequence[Job]) -> None:
        """Hand in logs to read; waits while too many are queued."""
        if not jobs:
            return
        self._progress.objects_known += len(jobs)
        self._progress.bytes_known += sum(job.size for job in jobs)
        while len(self._queue) >= _QUEUED:
            self._room.clear()
            await self._room.wait()
        self._queue.extend(jobs)
        self._employ()

    async def cancel(self) -> None:
        """Stop at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _most(self) -> int:
        """Return how many workers there may be: what the limiter allows changes."""
        return self._store.workers or self._limiter.limit

    def _employ(self) -> None:
        """Start as many workers as there is work for, within the limit."""
        for _ in range(min(len(self._queue), self._most() - len(self._tasks))):
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._employ()  # work that came between a worker's last look and its end

    async def _work(self) -> None:
        queue = self._queue
        check = self._check if self._store.batch == 1 else self._check_batch
        while queue:
            await check(queue.popleft())
            if len(queue) < _QUEUED:
                self._room.set()
            if len(self._tasks) < self._most():  # the limiter has come to allow more
                self._employ()

    async def _check(self, job: Job) -> None:
        """Read one log within the run's limits. Whatever goes wrong with it concerns this one log only."""
        held = await self._budget.take(min(job.size, _LARGE_BYTES)) if job.size > _SMALL_BYTES else 0
        answer: Answer
        try:
            async with self._limiter:
                info = job.info
                answer = await self._store.content(
                    job.where, info.size if info else None, info.etag if info else "", self._make
                )
        except (AbsentError, StoreError) as error:
            answer = error
        except Exception as error:
            _log.exception("log %s", job.where)
            answer = error
        finally:
            if held:
                await self._budget.give(held)
        self._account(job, answer)

    async def _check_batch(self, first: Job) -> None:
        """Read several logs in one go, leaving enough for the other workers. What no listing showed is read by itself."""
        if first.info is None:
            await self._check(first)
            return
        number = min(self._store.batch, 1 + len(self._queue) // self._most())
        jobs = [first]
        while self._queue and len(jobs) < number and self._queue[0].info is not None:
            jobs.append(self._queue.popleft())
        answers: Sequence[Answer]
        try:
            answers = await self._store.contents([job.where for job in jobs], self._make)
        except Exception as error:
            _log.exception("%d logs from %s", len(jobs), first.where)
            answers = [error] * len(jobs)
        for job, answer in zip(jobs, answers, strict=True):
            self._account(job, answer)

    def _account(self, job: Job, answer: Answer) -> None:
        self._progress.objects_done += 1
        self._progress.bytes_done += job.size
        job.owner.take(job, answer)
