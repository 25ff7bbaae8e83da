"""Waits for sockets: epoll on Linux, `select.poll` where there is that, else `select.select`."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

IN: Final = 0x1  # POSIX: POLLIN, POLLOUT, POLLERR, POLLHUP have these values on Linux (epoll too), macOS and the BSDs
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


if sys.platform == "linux":

    class EpollPoller:
        """Keeps its registrations in the kernel, behind a descriptor of its own that others can wait for.

        Between two requests a connection is unregistered and registered again. That would be two system calls of 2 µs
        each; so one that is unregistered is only marked as idle, until it is wanted again or something happens to it. A
        descriptor that was closed meanwhile the kernel has forgotten, and its number may be another socket's: what is
        registered again is therefore said to the kernel each time.
        """

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._registered: set[int] = set()
            self._idle: set[int] = set()

        def fileno(self) -> int:
            """Return the descriptor that is readable while a registered one is ready."""
            return self._epoll.fileno()

        def register(self, descriptor: int, events: int, /) -> None:
            """Wait for these events of a descriptor from now on."""
            self._idle.discard(descriptor)
            if descriptor in self._registered:
                try:
                    self._epoll.modify(descriptor, events)
                except FileNotFoundError:  # closed, and another by the same number
                    self._epoll.register(descriptor, events)
            else:
                self._epoll.register(descriptor, events)
                self._registered.add(descriptor)

        def unregister(self, descriptor: int, /) -> None:
            """Forget a descriptor."""
            if descriptor not in self._registered:
                raise KeyError(descriptor)
            self._idle.add(descriptor)

        def poll(self, milliseconds: int | None, /) -> Sequence[tuple[int, int]]:
            """Return the descriptors that are ready."""
            ready = self._epoll.poll(None if milliseconds is None else milliseconds / 1000)
            if self._idle and not self._idle.isdisjoint([descriptor for descriptor, _ in ready]):
                for descriptor in self._idle.intersection([descriptor for descriptor, _ in ready]):
                    self._drop(descriptor)
                ready = [pair for pair in ready if pair[0] in self._registered]
            return ready

        def close(self) -> None:
            """Give its descriptor back."""
            self._epoll.close()

        def _drop(self, descriptor: int) -> None:
            self._idle.discard(descriptor)
            self._registered.discard(descriptor)
            with suppress(OSError):  # closed meanwhile
                self._epoll.unregister(descriptor)


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
    """Return the best for a thread that waits on it: `select.poll`, whose registrations are no system calls."""
    return SelectPoller() if sys.platform == "win32" else select.poll()
