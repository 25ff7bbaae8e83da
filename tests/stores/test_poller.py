"""Pollers agree on what is ready, whatever becomes of the descriptors that they were given."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.stores.poller import IN, OUT, SelectPoller, make_poller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloudtrail_validate.stores.poller import Poller

if sys.platform == "linux":
    from cloudtrail_validate.stores.poller import EpollPoller

    KINDS = ["epoll", "poll", "select"]
else:
    KINDS = ["poll", "select"]


@pytest.fixture(params=KINDS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    if request.param == "epoll" and sys.platform == "linux":
        epoll = EpollPoller()
        yield epoll
        epoll.close()
    else:
        yield SelectPoller() if request.param == "select" else make_poller()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with ExitStack() as stack:
        yield tuple(stack.enter_context(end) for end in socket.socketpair())  # type: ignore[misc]  # two of them


def test_what_is_waited_for_is_told(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller.register(ours.fileno(), IN)
    assert poller.poll(0) == []
    theirs.send(b"x")
    assert poller.poll(1000) == [(ours.fileno(), IN)]
    poller.register(ours.fileno(), OUT)
    assert poller.poll(1000) == [(ours.fileno(), OUT)]
    poller.register(ours.fileno(), IN | OUT)
    assert poller.poll(1000) == [(ours.fileno(), IN | OUT)]


def test_what_is_forgotten_is_not_told(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller.register(ours.fileno(), IN)
    poller.unregister(ours.fileno())
    theirs.send(b"x")
    assert poller.poll(0) == []
    poller.register(ours.fileno(), IN)
    assert poller.poll(1000) == [(ours.fileno(), IN)]
    poller.unregister(ours.fileno())
    assert poller.poll(0) == []
    with pytest.raises(KeyError):
        poller.unregister(ours.fileno())


def test_a_number_that_another_socket_has_got_meanwhile(poller: Poller) -> None:
    """The kernel has forgotten the first one, and gives its number to the next."""
    first, other = socket.socketpair()
    number = first.fileno()
    poller.register(number, IN)
    poller.unregister(number)
    first.close()
    other.close()
    second, other = socket.socketpair()
    assert number in (second.fileno(), other.fileno())
    ours, theirs = (second, other) if second.fileno() == number else (other, second)
    with ours, theirs:
        poller.register(number, IN)
        theirs.send(b"x")
        assert poller.poll(1000) == [(number, IN)]


@pytest.mark.skipif(sys.platform != "linux", reason="only epoll keeps what is unregistered")
def test_an_idle_descriptor_wakes_nobody_twice(pair: tuple[socket.socket, socket.socket]) -> None:
    """Whoever waits for the poller's own descriptor would wake for ever for a connection that its server has closed."""
    ours, theirs = pair
    poller, watcher = EpollPoller(), make_poller()
    watcher.register(poller.fileno(), IN)
    poller.register(ours.fileno(), IN)
    poller.unregister(ours.fileno())
    theirs.close()
    assert watcher.poll(1000) == [(poller.fileno(), IN)]
    assert poller.poll(0) == []
    assert watcher.poll(0) == []
    poller.close()
