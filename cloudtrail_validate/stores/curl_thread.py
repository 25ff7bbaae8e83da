"""Connections on a thread of their own: for systems whose event loop cannot watch libcurl's sockets, or only dearly.

Orders are handed over and answers taken back in batches: to wake the other thread costs more than to start a request, and a
turn of either loop gathers what has come meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores.connections import CLOSED, Connections, Order, Orders, deliver, internal_error, refuse
from cloudtrail_validate.stores.poller import IN, make_poller
from cloudtrail_validate.stores.transfer import Transfer

_LAST_WORDS: Final = 2.0  # seconds that `close` waits for the thread, which never waits for the network itself
_log = logging.getLogger("cloudtrail_validate")


class CurlThread:
    """Drives connections from a thread. `give` and `close` are called on the event loop, all else is the thread's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts, most: int) -> None:
        self._loop = loop
        self._ended: asyncio.Future[None] = loop.create_future()
        self._inbox: deque[tuple[Order, Transfer]] = deque()
        self._asleep = self._stopping = False
        self._reason = CLOSED  # why transfers end that are under way when the thread does
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._poller = make_poller()
        self._poller.register(self._ear.fileno(), IN)
        self._connections = Connections(timeouts, most, self._poller)
        threading.Thread(target=self._run, name="ctvalidate-curl", daemon=True).start()

    # On the event loop.

    def give(self, orders: Orders) -> None:
        """Hand over orders, in the order in which they are to be done."""
        self._inbox.extend(orders)
        if self._ended.done():
            self._end()
        else:
            self._ring()

    async def close(self) -> None:
        """End the thread, whatever it is doing."""
        self._stopping = True
        self._ring()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ended), _LAST_WORDS)

    def _ring(self) -> None:
        if self._asleep:
            self._asleep = False
            with suppress(OSError):  # full of earlier rings, or closed
                self._bell.send(b"!")

    def _end(self) -> None:
        """End every transfer: nobody may wait for a thread that is no more."""
        if not self._ended.done():
            self._ended.set_result(None)
        refuse(tuple(self._taken()), self._reason)

    # On the thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._connections.turn(self._wait(), self._taken())
                self._pass_on()
        except Exception as error:  # whatever it is, nobody may wait for ever for an answer
            _log.exception("curl thread")
            self._reason = internal_error(error)
            self._stopping = True
        self._connections.close(self._reason)
        self._pass_on()
        self._ear.close()
        self._bell.close()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._end)

    def _wait(self) -> Iterator[tuple[int, int]]:
        due = self._connections.due
        self._asleep = True  # from here on, whoever puts something into the inbox rings
        if self._inbox or self._stopping:
            due = 0.0
        wait = None if due is None else max(0, round((due - time.monotonic()) * 1000 + 0.5))
        events = self._poller.poll(wait)
        self._asleep = False
        for descriptor, ready in events:
            if descriptor == self._ear.fileno():
                with suppress(BlockingIOError):
                    self._ear.recv(4096)
            else:
                yield descriptor, ready

    def _taken(self) -> Iterator[tuple[Order, Transfer]]:
        while self._inbox:
            yield self._inbox.popleft()

    def _pass_on(self) -> None:
        told, self._connections.told = self._connections.told, []
        if told:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(deliver, told)
