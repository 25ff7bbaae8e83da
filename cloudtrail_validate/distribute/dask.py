"""Connects to a Dask cluster. Everything else of this program knows only the Executor that it answers with.

The extra `ctvalidate[dask]` brings `distributed`. Workers need ctvalidate of the same version, and reach S3 by themselves.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable

_PATIENCE: Final = "10s"  # until a scheduler answers, at first and when its connection is lost
_LOOK: Final = 0.5  # seconds between two looks whether the scheduler is still there
_GONE: Final = frozenset({"closed", "closing"})  # what a client of Dask calls itself when it has given up
T = TypeVar("T")


class SchedulerLostError(Exception):
    """The scheduler has ended, or cannot be reached any more."""


class Guarded(Executor):
    """Fails the calls that are under way when the scheduler is gone: Dask cancels some of them, and forgets the others.

    `status` is what the client calls itself at present.
    """

    def __init__(self, inner: Executor, status: Callable[[], str]) -> None:
        self._inner = inner
        self._status = status
        self._pending: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="ctvalidate-dask", daemon=True).start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call made. Raises `SchedulerLostError`."""
        answer: Future[T] = Future()
        with self._lock:
            if self._status() in _GONE:
                raise SchedulerLostError
            asked = self._inner.submit(fn, *args, **kwargs)
            self._pending.add(answer)
        asked.add_done_callback(partial(self._take, answer))
        answer.add_done_callback(lambda done: asked.cancel() if done.cancelled() else None)
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # Executor's own
        """Take no more calls; with `cancel_futures`, or without `wait`, give up those under way."""
        self._closed.set()
        with suppress(Exception):  # of any kind where the scheduler is gone, or goes now: there is nothing left to end
            self._inner.shutdown(wait=wait and not cancel_futures)  # Dask's own knows no `cancel_futures`

    def _take(self, answer: Future[Any], asked: Future[Any]) -> None:
        """Pass an answer on. What was cancelled there, and not here, is lost."""
        error = SchedulerLostError("given up there") if asked.cancelled() else asked.exception()
        self._settle(answer, lambda: answer.set_exception(error) if error else answer.set_result(asked.result()))

    def _settle(self, answer: Future[Any], settle: Callable[[], None]) -> None:
        with self._lock:
            mine = answer in self._pending
            self._pending.discard(answer)
        if mine:
            with suppress(InvalidStateError):  # given up here meanwhile
                settle()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK):
            if self._status() in _GONE:
                for answer in tuple(self._pending):
                    self._settle(answer, partial(answer.set_exception, SchedulerLostError("the scheduler is gone")))


class DaskExecutor:
    """A Dask cluster as an executor; `kill` gives up what is under way, and leaves the cluster to its owner."""

    def __init__(self, client: Any, workers: int) -> None:
        self.workers = workers
        # pure=False: equal calls are asked for again on purpose, and must be done again. retries are ours.
        self.executor: Executor = Guarded(client.get_executor(pure=False, retries=0), lambda: str(client.status))
        self._client = client

    def kill(self) -> None:
        """Give up what is under way."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.close()

    def close(self) -> None:
        """Leave the cluster."""
        self.executor.shutdown(wait=False)
        self._client.close(timeout=2)


def connect(address: str) -> DaskExecutor:
    """Connect to a scheduler by its address, or by its file (`.json`).

    Raises `ConfigurationError` in one line: the extra is missing, nobody answers, no worker is there, versions differ.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigurationError("--executor: dask needs the extra: pip install 'ctvalidate[dask]'") from error
    for name in tuple(logging.root.manager.loggerDict):  # they print tracebacks where a connection is lost
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    make: Any = distributed.Client
    try:
        where = _address_in(Path(address)) if address.endswith(".json") else address
        client = make(where, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        said = printable(str(error).split("\n")[0]) or type(error).__name__
        raise ConfigurationError(f"--executor: no Dask scheduler answers at {address!r}: {said}") from error
    try:
        _check(client)
    except ConfigurationError:
        client.close(timeout=2)
        raise
    return DaskExecutor(client, sum(client.nthreads().values()))


class _SchedulerFile(msgspec.Struct):
    """What a scheduler writes into its file, as far as a client needs it."""

    address: str


def _address_in(path: Path) -> str:
    """Return the address in a scheduler's file. Raises `ConfigurationError` where there is none."""
    if not path.is_file():
        raise ConfigurationError(f"--executor: there is no scheduler file {str(path)!r}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=_SchedulerFile).address
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = printable(str(error))
        raise ConfigurationError(f"--executor: {str(path)!r} is no scheduler file of Dask: {said}") from error


def _check(client: Any) -> None:
    """Raise `ConfigurationError` where there are no workers, or some have another ctvalidate than this one."""
    own = version("ctvalidate")
    theirs = client.run(_version)
    if not theirs:
        raise ConfigurationError("--executor: the Dask cluster has no workers")
    other = {worker: found for worker, found in theirs.items() if found != own}
    if other:
        worker, found = next(iter(other.items()))
        has = f"has version {found}" if found else "does not have ctvalidate"
        raise ConfigurationError(f"--executor: the Dask worker {worker} {has}, expected {own} as here")


def _version() -> str | None:
    """The version of ctvalidate on a worker."""
    try:
        return version("ctvalidate")
    except PackageNotFoundError:
        return None
