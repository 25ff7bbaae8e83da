"""Limits requests in flight and per second, and what they hold in memory; backs off when S3 says SlowDown.

`RateLimiter` bounds requests in flight and, where asked, requests a second. The first few tell how long an answer takes:
where that is a millisecond, hundreds at once are only more connections and more work (CPU an object 0.92 times with 64 for
512, benchmarks.organization). When S3 answers SlowDown it halves what is in flight and then creeps back up, so that a run
that shares an account gives way instead of pushing.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import deque
from types import TracebackType
from typing import Final

import msgspec

_LEAST: Final = 4  # in flight, however often S3 says SlowDown
_COOLING: Final = 0.5  # seconds in which further SlowDown answers belong to the same congestion
_FIRST: Final = 16  # requests that tell how long an answer takes
_MEANWHILE: Final = 32  # in flight until then
_ENOUGH: Final = 64  # in flight, however fast the answers
_A_SECOND: Final = 16_000  # requests: over twice what two cores get through


def cores() -> int:
    """Return the number of cores that this process may use: in a cpuset fewer than the computer has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


class Timeouts(msgspec.Struct, frozen=True):
    """Bounds how long a request may take and how often it is tried again. Times in seconds.

    Retries are the store's, not libcurl's or boto3's, so that a SlowDown is seen at once and slows the whole run, not one
    request.
    """

    connect: float = 10.0
    read: float = 20.0  # without a byte arriving
    retries: int = 5  # of a request or transfer that broke off, 0.1 s to 3 s apart
    give_up: float = 30.0  # no retry begins later than this


class RateLimiter:
    """A gate for requests: `async with pace:` around each. Lives on one event loop."""

    def __init__(self, limit: int, *, rate: float | None = None) -> None:
        self.ceiling = limit
        self.limit = min(limit, _MEANWHILE)
        self.in_flight = 0
        self._most = self.limit
        self._first = _FIRST
        self._begun: deque[float] = deque()
        self._fastest = math.inf
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0
        self._cooled = 0.0
        self._successes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self.in_flight >= self.limit or self._waiting:
            await self._wait()
        else:
            self.in_flight += 1
        if self._interval:
            try:
                await self._space_out()
            except asyncio.CancelledError:
                self.in_flight -= 1
                self._wake()
                raise
        if self._first:
            self._begun.append(time.perf_counter())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._first:
            self._learn()
        self.in_flight -= 1
        if self.limit < self._most:
            self._recover()
        self._wake()

    def slow_down(self) -> None:
        """Halve what is in flight after S3 said SlowDown, once for each wave of such answers."""
        now = asyncio.get_running_loop().time()
        if now < self._cooled:
            return
        self._cooled = now + _COOLING
        self._successes = 0
        self.limit = max(min(_LEAST, self._most), self.limit // 2)

    def _learn(self) -> None:
        """One of the first requests has ended. After the last: as many in flight as their answers take to come.

        By Little's law, from the fastest answer, which waited least for this process. Ends are matched with starts in
        order; where answers overtake each other, that errs on the side of more.
        """
        self._fastest = min(self._fastest, time.perf_counter() - self._begun.popleft())
        self._first -= 1
        if not self._first:
            self._most = min(self.ceiling, max(_ENOUGH, round(self._fastest * _A_SECOND)))
            if not self._cooled:
                self.limit = self._most

    def _recover(self) -> None:
        """One more in flight for every `limit` requests that passed: additive increase."""
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit += 1

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.in_flight -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    async def _space_out(self) -> None:
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._interval
        if turn > now:
            await asyncio.sleep(turn - now)


class Budget:
    """Bounds what is held at once, in whatever unit. One that asks for more than there is gets all of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._change = asyncio.Condition()

    async def take(self, amount: int) -> int:
        """Wait for room. Returns what to give back."""
        amount = min(amount, self._limit)
        if amount <= 0:
            return 0
        async with self._change:
            await self._change.wait_for(lambda: self._free >= amount)
            self._free -= amount
        return amount

    async def give(self, amount: int) -> None:
        """Make room again."""
        if amount > 0:
            async with self._change:
                self._free += amount
                self._change.notify_all()


class TryBudget:
    """Bounds what may be held at once where nobody waits for room: it is there, or it is not."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    def take(self, amount: int) -> bool:
        """Take so much, if there is so much."""
        if amount > self._free:
            return False
        self._free -= amount
        return True

    def give(self, amount: int) -> None:
        """Give it back."""
        self._free += amount
