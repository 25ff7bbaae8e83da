"""Connections on the event loop itself: for systems with epoll, whose descriptor a loop watches like any other.

A thread of their own would share the interpreter with the loop all the same. What the two pay for handing it to each other,
a fifth of what a small log costs, buys nothing (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import asyncio
import logging
import time

from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores.connections import CLOSED, Connections, Orders, deliver, internal_error, refuse
from cloudtrail_validate.stores.poller import EpollPoller

_log = logging.getLogger("cloudtrail_validate")


class CurlLoop:
    """Drives connections from an event loop. Everything is called on it.

    Raises NotImplementedError where the loop watches no descriptors, and OSError where there is no descriptor to be had.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts, most: int) -> None:
        self._loop = loop
        self._poller = EpollPoller()
        self._connections = Connections(timeouts, most, self._poller)
        self._timer: asyncio.TimerHandle | None = None
        self._wakes = 0.0  # when `_timer` does, in monotonic seconds
        self._closed = ""  # why, once it is
        try:
            loop.add_reader(self._poller.fileno(), self._turn)
        except NotImplementedError:
            self._poller.close()
            raise

    def give(self, orders: Orders) -> None:
        """Do what is asked for, in that order."""
        self._turn(orders)

    async def close(self) -> None:
        """Give up all transfers."""
        self._end(CLOSED)

    def _turn(self, orders: Orders = ()) -> None:
        if self._closed:
            refuse(orders, self._closed)
            return
        connections = self._connections
        try:
            connections.turn(self._poller.poll(0), orders)
        except Exception as error:  # whatever it is, nobody may wait for ever for an answer
            _log.exception("connections")
            self._end(internal_error(error))
            refuse(orders, self._closed)
            return
        self._tell()
        due = connections.due
        if due is not None and (self._timer is None or due < self._wakes):
            self._wake_at(due)

    def _tell(self) -> None:
        if self._connections.told:
            told, self._connections.told = self._connections.told, []
            deliver(told)

    def _wake_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes = due
        self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._look_at_the_time)

    def _look_at_the_time(self) -> None:
        self._timer = None
        self._turn()

    def _end(self, reason: str) -> None:
        if not self._closed:
            self._closed = reason
            if self._timer is not None:
                self._timer.cancel()
            self._loop.remove_reader(self._poller.fileno())
            self._connections.close(reason)
            self._poller.close()
            self._tell()
