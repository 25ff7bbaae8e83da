"""Waits for sockets: `select.poll` where it exists, whose registrations are no system calls, else `select.select`."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Sequence
from typing import Final, Protocol

IN: Final = 0x1  # POSIX: POLLIN, POLLOUT, POLLERR, POLLHUP have these values on Linux, macOS and the BSDs
OUT: Final = 0x4
BROKEN: Final = 0x8 | 0x10


class Poller(Protocol):
    """Descriptors and what each is waited for, a sum of `IN` and `OUT`."""

    def register(self, descriptor: int, events: int, /) -> object:
        """Wait for these events of a descriptor from now on, instead of those before."""
        ...

    def unregister(self, descriptor: int, /) -> object:
        """Forget a descriptor. Raises KeyError for one that is not known."""
        ...

    def poll(self, milliseconds: int | None, /) -> Sequence[tuple[int, int]]:
        """Return the descriptors that are ready, waiting so long at most; None waits for ever."""
        ...


class SelectPoller:
    """For Windows, which bounds it to 512 sockets (FD_SETSIZE of CPython)."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}

    def register(self, descriptor: int, events: int, /) -> None:
        """Wait for these events of a descriptor from now on."""
        self._events[descriptor] = events

    def unregister(self, descriptor: int, /) -> None:
        """Forget a descriptor."""
        del self._events[descriptor]

    def poll(self, milliseconds: int | None, /) -> Sequence[tuple[int, int]]:
        """Return the descriptors that are ready."""
        readers = [descriptor for descriptor, events in self._events.items() if events & IN]
        writers = [descriptor for descriptor, events in self._events.items() if events & OUT]
        seconds = None if milliseconds is None else milliseconds / 1000
        if not readers and not writers:  # Windows refuses three empty lists
            time.sleep(seconds or 0)
            return []
        ready, able, broken = select.select(readers, writers, writers, seconds)
        found = dict.fromkeys(ready, IN)
        for descriptor in able:
            found[descriptor] = found.get(descriptor, 0) | OUT
        for descriptor in broken:  # a connection that was refused
            found[descriptor] = found.get(descriptor, 0) | BROKEN
        return list(found.items())


def make_poller() -> Poller:
    """Return the best that this system has."""
    return SelectPoller() if sys.platform == "win32" else select.poll()
