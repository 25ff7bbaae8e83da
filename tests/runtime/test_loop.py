"""The event loop: in a notebook as well, and nobody waits for what hangs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cloudtrail_validate.runtime.loop import in_daemon_thread, run_loop, together


async def _answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_work_runs_also_where_a_loop_is_running() -> None:
    async def notebook() -> tuple[int, bool]:
        return run_loop(_answer()), asyncio.get_running_loop().is_running()

    assert run_loop(_answer()) == 42
    assert asyncio.run(notebook()) == (42, True)


def test_what_the_work_raises_comes_out_of_both() -> None:
    async def failing() -> None:
        raise ZeroDivisionError("x")

    async def notebook() -> None:
        run_loop(failing())

    with pytest.raises(ZeroDivisionError):
        run_loop(failing())
    with pytest.raises(ZeroDivisionError):
        asyncio.run(notebook())


def test_where_one_fails_the_others_are_cancelled() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError("x")

    async def run() -> None:
        await together([slow(), failing()])

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
    assert ended == ["slow"]


def test_a_blocking_call_has_a_thread_that_nobody_waits_for() -> None:
    hang, began = threading.Event(), threading.Event()

    def forever() -> None:
        began.set()
        hang.wait(60)

    async def run() -> bool:
        waiting = asyncio.ensure_future(in_daemon_thread(forever))
        await asyncio.sleep(0)  # until the thread is begun
        began.wait(60)
        waiting.cancel()
        (thread,) = (item for item in threading.enumerate() if item.name == "ctvalidate-aside")
        return thread.daemon

    assert asyncio.run(run())
    hang.set()


def test_a_blocking_calls_result_and_error_come_back() -> None:
    def divided(one: int, other: int) -> float:
        return one / other

    async def run(other: int) -> float:
        return await in_daemon_thread(divided, 6, other)

    assert asyncio.run(run(3)) == 2
    with pytest.raises(ZeroDivisionError):
        asyncio.run(run(0))
