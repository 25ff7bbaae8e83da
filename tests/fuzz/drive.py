"""Puts many cases to one way in, and watches over each: which errors escape, what they say, how long it takes.

`CTVALIDATE_FUZZ=N` makes every fuzz of the tests N times as long; the first cases stay the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.fuzz.mutate import Mutator

FACTOR: Final = max(1, int(os.environ.get("CTVALIDATE_FUZZ", "1")))
SECONDS: Final = 10  # of processor time, of which one case takes a few milliseconds: what never ends is stopped
_SHOWN: Final = 2_000  # characters of a case that failed


@dataclass(frozen=True, slots=True)
class Way:
    """One way in: `make` a case, `enter` with it. Nothing but `errors` may be raised, each in one printable line.

    `check` is given the case and what came of it (None where an error did), and asserts what must hold. `terse` is
    False where errors are not shown to people as they are.
    """

    name: str
    cases: int
    make: Callable[[Mutator], Any]
    enter: Callable[[Any], Any]
    errors: tuple[type[Exception], ...] = ()
    check: Callable[[Any, Any], object] | None = None
    terse: bool = True


class TooLongError(Exception):
    """A case took more processor time than any should."""


def drive(way: Way) -> int:
    """All cases of one way in. Raises AssertionError with the first that fails; returns how many there were."""
    for number in range(way.cases * FACTOR):
        case = way.make(Mutator(f"{way.name} {number}"))
        try:
            with bounded():
                result = _entered(way, case)
                if way.check is not None:
                    way.check(case, result)
        except Exception as error:
            raise AssertionError(f"{way.name} {number}: {type(error).__name__}: {error}\n{case!r}"[:_SHOWN]) from error
    return way.cases * FACTOR


def _entered(way: Way, case: Any) -> Any:
    try:
        return way.enter(case)
    except way.errors as error:
        if way.terse:
            _check_words(str(error))
        return None


def _check_words(said: str) -> None:
    assert said.strip(), "an error that says nothing"
    assert not set("\n\x1b\x00") & set(said), "an error of more than one line, or that a terminal obeys"


@contextlib.contextmanager
def bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Stop what takes more processor time than that (this process's, so that a busy computer changes nothing)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TooLongError(f"more than {seconds} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
