"""What bounds a run: requests in flight, room for what is held in memory, descriptors of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from cloudtrail_validate.pace import Budget, Pace

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from cloudtrail_validate.loop import room_for
print(room_for({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
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


def test_spare_room_is_taken_at_once_or_not_at_all() -> None:
    async def use() -> None:
        budget = Budget(10)
        assert budget.spare(6)
        assert not budget.spare(5)
        waiting = asyncio.create_task(budget.take(5))
        await asyncio.sleep(0)
        assert not waiting.done()
        await budget.give(6)
        assert await waiting == 5
        assert budget.spare(5)
        assert not budget.spare(1)

    asyncio.run(use())


def test_who_asks_for_more_than_there_is_gets_all_of_it() -> None:
    async def use() -> None:
        budget = Budget(10)
        assert await budget.take(25) == 10
        assert await budget.take(0) == 0
        await budget.give(10)
        assert budget.spare(10)

    asyncio.run(use())


def test_no_more_are_in_flight_than_the_pace_allows() -> None:
    async def use() -> int:
        pace, most = Pace(3), 0

        async def request() -> None:
            nonlocal most
            async with pace:
                most = max(most, pace.in_flight)
                await asyncio.sleep(0)

        await asyncio.gather(*(request() for _ in range(50)))
        assert pace.in_flight == 0
        return most

    assert asyncio.run(use()) == 3


def test_a_cancelled_request_leaves_its_place_to_the_next() -> None:
    async def use() -> None:
        pace = Pace(1)
        await pace.__aenter__()
        waiting = [asyncio.create_task(pace.__aenter__()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await pace.__aexit__(None, None, None)
        await waiting[1]
        assert pace.in_flight == 1

    asyncio.run(use())


def test_slow_down_halves_once_a_wave_and_creeps_back() -> None:
    async def use() -> None:
        pace = Pace(64)
        pace.slow_down()
        pace.slow_down()  # of the same wave
        assert pace.limit == 32
        for _ in range(32):
            async with pace:
                pass
        assert pace.limit == 33

    asyncio.run(use())
