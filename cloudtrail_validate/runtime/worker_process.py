"""One process that makes calls, over pipes: this end of it, and (`main`) the other.

A worker is a fresh interpreter that reads calls from its standard input and writes answers to its standard output, so it
ends with its parent, however that ends.
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
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

from cloudtrail_validate.runtime.collector import collect_seldom

_WORD: Final = 8  # bytes each of a frame's length and of its number
_ROOT: Final = str(Path(__file__).parents[2])
# -P: a folder under investigation may be the current one, and nothing in it is to be imported
_COMMAND: Final = (
    "-P",
    "-c",
    f"import sys; sys.path.insert(0, {_ROOT!r}); from cloudtrail_validate.runtime.worker_process import main; main()",
)
_DROPPED: Final = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME")
_LAST_WORDS: Final = 1.0  # seconds that a process has to end by itself


class WorkerLostError(Exception):
    """The process that was to do this ended before it answered."""


class WorkerProcess:
    """One process, seen from its parent. It starts at once, imports `modules` and makes `at_once` calls at a time.

    `changed` is called after each answer and after the end, by a thread of this object's that holds no lock.
    """

    def __init__(self, at_once: int, modules: Sequence[str], changed: Callable[[], None]) -> None:
        self._command = [sys.executable, *_COMMAND, str(at_once), *modules]
        self._changed = changed
        self._lock = threading.Lock()
        self._calls: dict[int, Future[Any]] = {}
        self._number = 0
        self._outbox: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self.alive = True
        self._thread = threading.Thread(target=self._run, name="ctvalidate-worker", daemon=True)
        self._thread.start()

    @property
    def load(self) -> int:
        """Return the number of calls under way."""
        return len(self._calls)

    def take(self, future: Future[Any], call: bytes) -> None:
        """Have a call made. Raises `WorkerLostError` where the process has ended."""
        with self._lock:
            if not self.alive:
                raise WorkerLostError("it ended")
            self._number += 1
            self._calls[self._number] = future
            self._outbox.put((self._number, call))

    def end(self) -> None:
        """Let it end, now that there is nothing more to do."""
        self._outbox.put(None)

    def kill(self) -> None:
        """End it at once; whatever it was busy with fails. One that is not yet started is not started any more."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _run(self) -> None:
        try:
            process = self._start()
        except (OSError, WorkerLostError) as error:
            self._lose(str(error))
            return
        feeder = threading.Thread(target=self._feed, args=(process,), name="ctvalidate-feeder", daemon=True)
        feeder.start()
        why = "it ended"
        try:
            self._listen(process.stdout)
        except (OSError, EOFError, ValueError, TypeError, LookupError, pickle.UnpicklingError) as error:
            why = str(error)
        process.kill()
        self._lose(why)
        self.end()
        feeder.join()
        if process.stdout is not None:
            process.stdout.close()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        pipe = subprocess.PIPE
        with self._lock:
            if self._killed:
                raise WorkerLostError("the executor is closed")
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, env=environment)  # noqa: S603  # ours
            return self._process

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """Write calls, until there are no more; then see it end."""
        stream = process.stdin
        with suppress(OSError):  # it has ended, which is told by its answers' end
            while stream is not None and (item := self._outbox.get()) is not None:
                _write(stream, *item)
        with suppress(OSError):
            if stream is not None:
                stream.close()  # its cue to end
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_LAST_WORDS)
        process.kill()
        process.wait()

    def _listen(self, stream: IO[bytes] | None) -> None:
        while stream is not None and (frame := _read(stream)) is not None:
            number, answer = frame
            loaded: tuple[bool, Any] = pickle.loads(answer)  # noqa: S301  # our own process, over a pipe that nobody else has
            answered, value = loaded
            with self._lock:
                future = self._calls.pop(number)
            future.set_result(value) if answered else future.set_exception(value)
            self._changed()

    def _lose(self, why: str) -> None:
        with self._lock:
            self.alive = False
            lost, self._calls = self._calls, {}
        for future in lost.values():
            future.set_exception(WorkerLostError(why))
        self._changed()


def _write(stream: IO[bytes], number: int, content: bytes) -> None:
    stream.write(len(content).to_bytes(_WORD) + number.to_bytes(_WORD) + content)
    stream.flush()


def _read(stream: IO[bytes]) -> tuple[int, bytes] | None:
    """Return the next frame's number and content, or None at the end."""
    head = stream.read(2 * _WORD)
    if len(head) < 2 * _WORD:
        return None
    length, number = int.from_bytes(head[:_WORD]), int.from_bytes(head[_WORD:])
    content = stream.read(length)
    return (number, content) if len(content) == length else None


def main() -> None:
    """Make calls as they come, until standard input ends. What the parent's terminal sends (SIGINT) is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_seldom()
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)  # whatever prints must not stand among the answers
    at_once, *modules = sys.argv[1:]
    for module in modules:
        with suppress(Exception):  # the call that needs it says so
            import_module(module)
    waiting: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
    writing = threading.Lock()
    for _ in range(int(at_once)):
        threading.Thread(target=_make_calls, args=(waiting, answers, writing), daemon=True).start()
    while (frame := _read(calls)) is not None:
        waiting.put(frame)
    os._exit(0)  # the parent is gone, or done: whatever is still under way is for nobody


def _make_calls(waiting: queue.SimpleQueue[tuple[int, bytes]], answers: IO[bytes], writing: threading.Lock) -> None:
    while True:
        answer: tuple[bool, Any]
        number, call = waiting.get()
        try:
            fn, args, kwargs = pickle.loads(call)  # noqa: S301  # from the parent, over a pipe of its own
            answer = True, fn(*args, **kwargs)
        except Exception as error:
            answer = False, error
        try:
            content = pickle.dumps(answer)
        except Exception as error:
            content = pickle.dumps((False, RuntimeError(f"{type(answer[1]).__name__}: {error}")))
        with writing:
            _write(answers, number, content)
