"""Runs functions in processes of its own, over pipes: an Executor that needs no shared memory and never forks.

`concurrent.futures.ProcessPoolExecutor` needs POSIX semaphores, which containers without /dev/shm (AWS Lambda among them)
do not have, and gives no public way to end a process at once. Here each worker is a fresh interpreter that reads calls
from its standard input and writes answers to its standard output, so it ends with its parent, however that ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from cloudtrail_validate.runtime.collector import collect_seldom

_HEAD: Final = 8  # bytes that say how long a frame is
_ROOT: Final = str(Path(__file__).parents[2])
# -P: a folder under investigation may be the current one, and nothing in it is to be imported
_COMMAND: Final = (
    "-P",
    "-c",
    f"import sys; sys.path.insert(0, {_ROOT!r}); from cloudtrail_validate.runtime.processes import main; main()",
)
_DROPPED: Final = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME")
T = TypeVar("T")


class WorkerLostError(Exception):
    """The process that was to do this ended before it answered."""


class PipeExecutor(Executor):
    """Runs calls in `workers` processes, one at a time in each. Functions and arguments are pickled.

    All are started at once, and import `modules` before they are called. One that ends takes only the call with it that
    it was busy with (`WorkerLostError`); the next call gets a new one.
    """

    def __init__(self, workers: int, modules: Sequence[str] = ()) -> None:
        self.workers = workers
        self._command = (sys.executable, *_COMMAND, *modules)
        self._calls: queue.SimpleQueue[tuple[Future[Any], bytes] | None] = queue.SimpleQueue()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._killed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"ctvalidate-worker-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call made. Raises `RuntimeError` after `shutdown`."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            self._calls.put((future, pickle.dumps((fn, args, kwargs))))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # Executor's own
        """Take no more calls, and end the processes when all are answered."""
        with self._lock:
            first, self._closed = not self._closed, True
        if cancel_futures:
            self._cancel_waiting()
        if first:
            for _ in self._threads:
                self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def kill(self) -> None:
        """End all processes at once; whatever they were busy with fails."""
        self.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._killed = True  # a thread that took its call before, and has no process yet, begins none
            for process in self._processes:
                process.kill()

    def _cancel_waiting(self) -> None:
        with suppress(queue.Empty):
            while True:
                call = self._calls.get_nowait()
                if call is not None:
                    call[0].cancel()

    def _serve(self) -> None:
        """Make calls in one process after the other, each as long as it lives."""
        process: subprocess.Popen[bytes] | None = None
        with suppress(OSError, WorkerLostError):  # the first call tries again, and says so
            process = self._start()
        while (call := self._calls.get()) is not None:
            future, frame = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                process = process or self._start()
                answered, value = _ask(process, frame)
            except (OSError, EOFError, WorkerLostError, pickle.UnpicklingError) as error:
                self._end(process)
                process = None
                future.set_exception(WorkerLostError(str(error)))
            else:
                future.set_result(value) if answered else future.set_exception(value)
        self._end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        pipe = subprocess.PIPE
        with self._lock:
            if self._killed:
                raise WorkerLostError("the executor is closed")
            process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, env=environment)  # noqa: S603  # ours
            self._processes.add(process)
        return process

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is None:
            return
        with suppress(OSError):
            if process.stdin:
                process.stdin.close()  # its cue to end
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
        with self._lock:
            self._processes.discard(process)


def _ask(process: subprocess.Popen[bytes], frame: bytes) -> tuple[bool, Any]:
    if process.stdin is None or process.stdout is None:
        raise WorkerLostError("no pipes")
    _write(process.stdin, frame)
    answer = _read(process.stdout)
    if answer is None:
        raise WorkerLostError("it ended")
    loaded: tuple[bool, Any] = pickle.loads(answer)  # noqa: S301  # our own process, over a pipe that nobody else has
    return loaded


def _write(stream: IO[bytes], frame: bytes) -> None:
    stream.write(len(frame).to_bytes(_HEAD) + frame)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    """Return the next frame, or None at the end."""
    head = stream.read(_HEAD)
    if len(head) < _HEAD:
        return None
    length = int.from_bytes(head)
    frame = stream.read(length)
    return frame if len(frame) == length else None


def main() -> None:
    """Make calls as they come, until standard input ends. What the parent's terminal sends (SIGINT) is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_seldom()
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)  # whatever prints must not stand among the answers
    for module in sys.argv[1:]:
        with suppress(Exception):  # the call that needs it says so
            import_module(module)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_make_calls, args=(waiting, answers), daemon=True).start()
    while (frame := _read(calls)) is not None:
        waiting.put(frame)
    os._exit(0)  # the parent is gone, or done: whatever is still under way is for nobody


def _make_calls(waiting: queue.SimpleQueue[bytes], answers: IO[bytes]) -> None:
    while True:
        answer: tuple[bool, Any]
        try:
            fn, args, kwargs = pickle.loads(waiting.get())  # noqa: S301  # from the parent, over a pipe of its own
            answer = True, fn(*args, **kwargs)
        except Exception as error:
            answer = False, error
        try:
            frame = pickle.dumps(answer)
        except Exception as error:
            frame = pickle.dumps((False, RuntimeError(f"{type(answer[1]).__name__}: {error}")))
        _write(answers, frame)
