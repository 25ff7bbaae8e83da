"""HTTP GET through libcurl, for an event loop: whole answers, or bodies in pieces. Knows nothing of S3.

All connections live on the loop itself where it can watch them (`curl_loop`), else on one thread (`curl_thread`). What is
asked for within one turn of the loop begins together.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores.connections import CLOSED, Order, Orders, refuse
from cloudtrail_validate.stores.curl_thread import CurlThread
from cloudtrail_validate.stores.transfer import Answer, Outcome, Route, Transfer, TransferError

if sys.platform == "linux":
    from cloudtrail_validate.stores.curl_loop import CurlLoop


class Driver(Protocol):
    """Drives connections, from wherever."""

    def give(self, orders: Orders) -> None:
        """Have orders done, in their order."""
        ...

    async def close(self) -> None:
        """Give up what is under way, and close all connections."""
        ...


def drive(loop: asyncio.AbstractEventLoop, timeouts: Timeouts, most: int) -> Driver:
    """Return what drives connections best on this system and loop.

    Raises OSError or RuntimeError where no descriptor or no thread is to be had.
    """
    if sys.platform == "linux":
        with suppress(NotImplementedError):  # a loop that watches no descriptors
            return CurlLoop(loop, timeouts, most)
    return CurlThread(loop, timeouts, most)


class Curl:
    """Asks servers. Lives on one event loop, from the first request to `close`.

    `most` bounds requests under way; further ones wait, and their time does not run.
    """

    def __init__(self, timeouts: Timeouts, most: int) -> None:
        self._timeouts = timeouts
        self._most = most
        self._driver: Driver | None = None
        self._waiting: list[tuple[Order, Transfer]] = []
        self._closed = False

    async def get(self, route: Route, url: str, limit: int) -> Answer:
        """Return the whole answer, its body of `limit` bytes at most. Raises `TransferError`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def done(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        transfer = Transfer(route, url, limit, done)
        self._hand_over(loop, Order.BEGIN, transfer)
        try:
            outcome = await future
        except asyncio.CancelledError:
            self._hand_over(loop, Order.ABANDON, transfer)
            raise
        if isinstance(outcome, TransferError):
            raise outcome
        return outcome

    async def stream(self, route: Route, url: str, limit: int, take: Callable[[bytes], Awaitable[object]]) -> Answer:
        """Return the answer, whose body, where its status is 200, went in pieces to `take` one after the other.

        Raises `TransferError`, and whatever `take` raises.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes | Outcome] = asyncio.Queue()
        transfer = Transfer(route, url, limit, queue.put_nowait, queue.put_nowait)
        self._hand_over(loop, Order.BEGIN, transfer)
        try:
            while isinstance(item := await queue.get(), bytes):
                await take(item)
                self._hand_over(loop, Order.TAKEN, transfer)
        except BaseException:
            self._hand_over(loop, Order.ABANDON, transfer)
            raise
        if isinstance(item, TransferError):
            raise item
        return item

    async def close(self) -> None:
        """Close all connections. What is still under way ends with `TransferError`."""
        self._closed = True
        if self._driver is not None:
            await self._driver.close()

    def _hand_over(self, loop: asyncio.AbstractEventLoop, order: Order, transfer: Transfer) -> None:
        if self._closed:
            refuse([(order, transfer)], CLOSED)
            return
        self._waiting.append((order, transfer))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush, loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            if self._driver is None:
                self._driver = drive(loop, self._timeouts, self._most)
            self._driver.give(waiting)
        except (OSError, RuntimeError) as error:  # no descriptor or no thread to be had
            refuse(waiting, str(error))
