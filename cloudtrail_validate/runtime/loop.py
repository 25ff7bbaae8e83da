"""The event loop: uvloop where it exists, blocking calls beside it, and room for its connections."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, TypeVar, cast

if sys.platform != "win32":
    import resource
_runner: ModuleType
try:
    import uvloop as _runner
except ImportError:  # Windows has none, and some systems have no wheel of it: slower, and the same
    _runner = asyncio

_OTHER_FILES: Final = 128  # open at once besides connections for objects: AWS's other services, reports, a snapshot

_LOOP_FILES: Final = 10  # that a loop opens for itself, and the first file read; libuv aborts the process without

_SELECTED: Final = 512  # sockets that CPython's select.select takes on Windows (FD_SETSIZE); a few are the poller's own

T = TypeVar("T")


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop of the fastest kind there is."""
    loop: asyncio.AbstractEventLoop = _runner.new_event_loop()
    return loop


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it exists.

    Where a loop is running in this thread already, as in a notebook or an async service, the work has a loop of its own
    in a thread of its own, and this thread waits: so does that loop. `asyncio.to_thread` spares it the wait.

    Raises `OSError` where the process may not open the files that a loop needs.
    """
    try:
        _try_descriptors(_LOOP_FILES)
    except OSError:
        work.close()
        raise
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        answer: T = _runner.run(work)
        return answer
    return _run_beside(work)


def _run_beside(work: Coroutine[Any, Any, T]) -> T:
    """Run on a thread and wait. An interruption of the wait (Ctrl-C in a notebook) ends the work as well."""
    answer: Future[T] = Future()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def tracked() -> T:
        task = asyncio.current_task()
        if task is not None:
            started.set_result((asyncio.get_running_loop(), task))
        return await work

    def run() -> None:
        try:
            answer.set_result(_runner.run(tracked()))
        except BaseException as error:  # whatever it is, it belongs to who waits for the answer
            answer.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="ctvalidate-loop", daemon=True).start()
    try:
        return answer.result()
    except BaseException:
        if not answer.done():
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
        raise


def _try_descriptors(number: int) -> None:
    """Open so many, and close them again."""
    opened: list[int] = []
    try:
        for _ in range(number):
            opened.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401  # those opened before a failure are closed
    finally:
        for descriptor in opened:
            os.close(descriptor)


def fit_descriptor_limit(connections: int) -> int:
    """Return how many of so many connections this process may have open.

    The system's soft limit is raised where that helps.

    macOS starts a shell with 256 descriptors, Linux with 1,024; what is over the limit would fail as a network error.
    """
    if sys.platform == "win32":
        return min(connections, _SELECTED - 8)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # macOS has a further limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(1, min(connections, soft - _OTHER_FILES))
    return connections


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines side by side; where one raises, cancel the others and raise the same."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def in_daemon_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Return the result of a blocking call, made on a thread of its own.

    Nothing waits for that thread, neither the loop nor the interpreter at its end: a call that hangs until its timeout
    must not hold up who was told to stop.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not answer.done():
            answer.set_exception(error) if error is not None else answer.set_result(cast("T", result))

    def run() -> None:
        result, error = None, None
        try:
            result = work(*arguments)
        except BaseException as raised:  # whatever it is, it belongs to who waits for the answer
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="ctvalidate-aside", daemon=True).start()
    return await answer
