"""HTTP GET through libcurl, for an event loop: whole answers, or bodies in pieces. Knows nothing of S3.

All connections belong to one thread (`curl_thread`). Requests are handed over and answers taken back in batches: to wake
the other thread costs more than to start a request, and a turn of either loop gathers what has come meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores.curl_thread import CurlThread, Order
from cloudtrail_validate.stores.transfer import Answer, Outcome, Route, Transfer, TransferError

_LAST_WORDS: Final = 2.0  # seconds that `close` waits for the thread, which never waits for the network itself


class Curl:
    """Asks servers. Lives on one event loop; the thread begins with the first request and ends with `close`.

    `most` bounds requests under way; further ones wait, and their time does not run.
    """

    def __init__(self, timeouts: Timeouts, most: int) -> None:
        self._timeouts = timeouts
        self._most = most
        self._thread: CurlThread | None = None
        self._ended: asyncio.Future[None] | None = None
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
        thread, ended = self._thread, self._ended
        if thread is not None and ended is not None:
            thread.stop()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(ended), _LAST_WORDS)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, order: Order, transfer: Transfer) -> None:
        if self._closed:
            if order is Order.BEGIN:
                transfer.done(TransferError("the store is closed"))
            return
        self._waiting.append((order, transfer))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush, loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            if self._thread is None:
                self._ended = loop.create_future()
                self._thread = CurlThread(loop, self._timeouts, self._most, self._ended)
            self._thread.give(waiting)
        except (OSError, RuntimeError) as error:  # no descriptor or no thread to be had
            for _, transfer in waiting:
                transfer.done(TransferError(str(error)))
