"""Runs functions in processes of its own, over pipes: an Executor that needs no shared memory and never forks.

`concurrent.futures.ProcessPoolExecutor` needs POSIX semaphores, which containers without /dev/shm (AWS Lambda among them)
do not have, gives no public way to end a process at once, and makes one call at a time in each.
"""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from cloudtrail_validate.runtime.worker_process import WorkerLostError, WorkerProcess

T = TypeVar("T")


class PipeExecutor(Executor):
    """Runs calls in `workers` processes, `at_once` of them in each. Functions and arguments are pickled.

    All are started at once, and import `modules` before they are called. One that ends takes only the calls with it that
    it was busy with (`WorkerLostError`); the next call gets a new one.
    """

    def __init__(self, workers: int, modules: Sequence[str] = (), at_once: int = 1) -> None:
        self.workers = workers
        self._modules = modules
        self._at_once = at_once
        self._waiting: deque[tuple[Future[Any], bytes]] = deque()
        self._lock = threading.RLock()
        self._closed = False
        self._processes: list[WorkerProcess] = []
        with self._lock:  # one may have ended before the next is made
            self._processes += [self._begin() for _ in range(workers)]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call made. Raises `RuntimeError` after `shutdown`."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            self._waiting.append((future, pickle.dumps((fn, args, kwargs))))
            self._deal()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # Executor's own
        """Take no more calls, and end the processes when all are answered."""
        with self._lock:
            self._closed = True
            while cancel_futures and self._waiting:
                self._waiting.popleft()[0].cancel()
            self._deal()
        if wait:
            for process in list(self._processes):
                process.join()

    def kill(self) -> None:
        """End all processes at once; whatever they were busy with fails."""
        self.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()

    def _begin(self) -> WorkerProcess:
        return WorkerProcess(self._at_once, self._modules, self._deal)

    def _deal(self) -> None:
        """Give what waits to the processes that have least to do."""
        with self._lock:
            while self._waiting:
                place = min(range(self.workers), key=lambda number: self._processes[number].load)
                process = self._processes[place]
                if process.load >= self._at_once:
                    break
                if not process.alive:
                    process = self._processes[place] = self._begin()
                future, call = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    try:
                        process.take(future, call)
                    except WorkerLostError as error:
                        future.set_exception(error)
            if self._closed and not self._waiting:
                for process in self._processes:
                    if not process.load:
                        process.end()
