"""What bounds a run: requests in flight, room for what is held in memory, descriptors of the process."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import pytest

from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater, digest_of
from cloudtrail_validate.core.model import EPOCH, Counts, Interval, Locator
from cloudtrail_validate.engine.listing import Entry
from cloudtrail_validate.engine.log_checker import Job, LogChecker
from cloudtrail_validate.engine.reconcile import Outcomes
from cloudtrail_validate.engine.stages import ProvenDigest
from cloudtrail_validate.runtime.limits import Budget, RateLimiter, TryBudget
from tests.core.helpers import CHAIN

if TYPE_CHECKING:
    from cloudtrail_validate.stores.protocol import Store

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from cloudtrail_validate.runtime.loop import fit_descriptor_limit
print(fit_descriptor_limit({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of descriptors to raise")
@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "room", "then"),
    [
        (1024, 4096, 512, 512, 1024),  # enough: left alone
        (256, 4096, 512, 512, 640),  # as on macOS: raised by as much as is needed
        (256, 300, 512, 172, 300),  # raised as far as allowed, and no more connections than that
        (100, 100, 512, 1, 100),  # hopeless, but one request at a time may still do
    ],
)
def test_connections_fit_the_descriptors(soft: int, hard: int, wanted: int, room: int, then: int) -> None:
    code = LIMITED.format(soft=soft, hard=hard, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(room), str(then)]


def test_an_allowance_is_taken_at_once_or_not_at_all() -> None:
    allowance = TryBudget(10)
    assert allowance.take(6)
    assert not allowance.take(5)
    allowance.give(6)
    assert allowance.take(10)
    assert not allowance.take(1)
    assert allowance.take(0)


def test_who_asks_for_more_than_there_is_gets_all_of_it() -> None:
    async def use() -> None:
        budget = Budget(10)
        assert await budget.take(25) == 10
        assert await budget.take(0) == 0
        await budget.give(10)
        assert await asyncio.wait_for(budget.take(10), timeout=10) == 10

    asyncio.run(use())


def test_no_more_are_in_flight_than_the_pace_allows() -> None:
    async def use() -> int:
        limiter, most = RateLimiter(3), 0

        async def request() -> None:
            nonlocal most
            async with limiter:
                most = max(most, limiter.in_flight)
                await asyncio.sleep(0)

        await asyncio.gather(*(request() for _ in range(50)))
        assert limiter.in_flight == 0
        return most

    assert asyncio.run(use()) == 3


def test_a_cancelled_request_leaves_its_place_to_the_next() -> None:
    async def use() -> None:
        limiter = RateLimiter(1)
        await limiter.__aenter__()
        waiting = [asyncio.create_task(limiter.__aenter__()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await limiter.__aexit__(None, None, None)
        await waiting[1]
        assert limiter.in_flight == 1

    asyncio.run(use())


class Clock:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("cloudtrail_validate.runtime.limits.time.perf_counter", made)
    return made


async def answered(limiter: RateLimiter, clock: Clock, seconds: float, number: int = 40) -> None:
    """So many requests, each answered after that long."""
    for _ in range(number):
        async with limiter:
            clock.now += seconds


@pytest.mark.parametrize(
    ("ceiling", "seconds", "limit"),
    [
        (512, 0.001, 64),  # a server next door
        (512, 0.010, 160),
        (512, 0.030, 480),  # S3 of the same region
        (512, 0.250, 512),  # of another continent: as many as were allowed
        (100, 0.030, 100),
        (8, 0.001, 8),
    ],
)
def test_as_many_are_in_flight_as_answers_take_to_come(clock: Clock, ceiling: int, seconds: float, limit: int) -> None:
    async def use() -> int:
        limiter = RateLimiter(ceiling)
        assert limiter.limit == min(ceiling, 32)
        await answered(limiter, clock, 10 * seconds, 1)  # one that stands out changes nothing
        await answered(limiter, clock, seconds)
        return limiter.limit

    assert asyncio.run(use()) == limit


def test_slow_down_halves_once_a_wave_and_creeps_back(clock: Clock) -> None:
    async def use() -> None:
        limiter = RateLimiter(64)
        await answered(limiter, clock, 0.001)
        limiter.slow_down()
        limiter.slow_down()  # of the same wave
        assert limiter.limit == 32
        await answered(limiter, clock, 0.001, 32)
        assert limiter.limit == 33

    asyncio.run(use())


def test_who_was_told_to_slow_down_at_once_does_not_jump_back(clock: Clock) -> None:
    async def use() -> None:
        limiter = RateLimiter(512)
        limiter.slow_down()
        assert limiter.limit == 16
        await answered(limiter, clock, 0.030, 17)
        assert limiter.limit == 17
        await answered(limiter, clock, 0.030, 50)
        assert limiter.limit == 19

    asyncio.run(use())


def test_who_is_cancelled_while_waiting_for_a_turn_takes_none() -> None:
    async def use() -> None:
        limiter = RateLimiter(4, rate=0.01)

        async def ask() -> None:
            async with limiter:
                pass

        await ask()
        asking = [asyncio.create_task(ask()) for _ in range(6)]
        await asyncio.sleep(0)
        assert limiter.in_flight == 4
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert limiter.in_flight == 0

    asyncio.run(use())


def test_work_that_waits_is_taken_up_when_more_may_be_in_flight(clock: Clock) -> None:
    """Logs are handed in before it is known how long answers take."""

    class Slow:
        """Of a store only what the checker asks: each answer takes a while."""

        dated, batch, workers = True, 1, None
        under_way = most = 0

        async def content(
            self, where: Locator, size: int | None, etag: str = "", make: MakeInflater = Inflater
        ) -> Content:
            assert (where.bucket, size, etag, make) == ("", None, "", Inflater)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            for _ in range(20):
                await asyncio.sleep(0)
            clock.now += 0.030
            self.under_way -= 1
            return digest_of(gzip.compress(b"{}"))

    async def use() -> int:
        store, taken = Slow(), Outcomes(Watch(), dated=True)
        checker = LogChecker(cast("Store", store), Watch(), RateLimiter(512))
        digest = ProvenDigest(Entry(EPOCH, Locator("", "digest"), CHAIN), Interval(EPOCH, EPOCH), "", 2_000)
        logs = [LogReference("", str(number), "0" * 64, "SHA-256") for number in range(2_000)]
        taken.expect(len(logs))
        await checker.put([Job(log, digest, None, taken, log.where) for log in logs])
        await taken.all_taken()
        assert taken.counts() == ((CHAIN, Counts(altered=2_000)),)
        return store.most

    assert asyncio.run(use()) >= 480
