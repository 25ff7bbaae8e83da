"""The first SIGINT or SIGTERM ends a run in order, a second one the process."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Protocol


class Stoppable(Protocol):
    """What ends early when it is told to, from a signal handler of its loop."""

    def stop(self) -> None:
        """End as soon as possible."""


def stop_on_signals(engine: Stoppable) -> None:
    """Let the first signal end the run in order; a second one ends the process."""
    import asyncio

    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        engine.stop()
        loop.remove_signal_handler(number)

    with contextlib.suppress(NotImplementedError, ValueError):  # Windows, or a loop beside the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)


@contextlib.contextmanager
def signals_given_back() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM, which a run's loop takes (`stop_on_signals`) and does not give back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(ValueError, TypeError):  # beside the main thread, or set by no Python
                signal.signal(number, handler)
