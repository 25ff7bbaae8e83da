"""Processes that make calls: answers, errors, losses, ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudtrail_validate.runtime.processes import PipeExecutor
from cloudtrail_validate.runtime.worker_process import WorkerLostError, WorkerProcess


@pytest.fixture
def pool() -> Iterator[PipeExecutor]:
    executor = PipeExecutor(2)
    yield executor
    executor.kill()
    executor.shutdown()


def test_calls_are_answered_in_any_number_of_processes(pool: PipeExecutor) -> None:
    futures = [pool.submit(pow, 2, number) for number in range(50)]
    assert [future.result(timeout=60) for future in futures] == [2**number for number in range(50)]
    assert os.getpid() not in {pool.submit(os.getpid).result(timeout=60) for _ in range(4)}


def test_what_a_call_raises_comes_back(pool: PipeExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(timeout=60)
    assert pool.submit(abs, -1).result(timeout=60) == 1


def test_a_killed_process_takes_only_its_own_call_with_it(pool: PipeExecutor) -> None:
    busy = pool.submit(_pid_after, 3)
    idle = pool.submit(os.getpid).result(timeout=60)
    os.kill(idle, signal.SIGKILL)
    answers = [pool.submit(abs, -number) for number in range(5)]
    lost = [future for future in answers if isinstance(future.exception(timeout=60), WorkerLostError)]
    assert len(lost) <= 1  # the first call may be written to the process that has ended
    assert {future.result() for future in answers if future not in lost} >= {1, 2, 3, 4}
    assert busy.result(timeout=60) != idle


def test_printing_does_not_stand_among_the_answers(pool: PipeExecutor) -> None:
    assert pool.submit(print, "hello").result(timeout=60) is None
    assert pool.submit(os.write, 1, b"x" * 100).result(timeout=60) == 100


def test_all_end_at_once_and_take_nothing_more() -> None:
    executor = PipeExecutor(2)
    futures = [executor.submit(time.sleep, 60) for _ in range(6)]
    executor.submit(abs, 1)
    executor.kill()
    for future in futures:
        assert future.cancelled() or isinstance(future.exception(timeout=30), WorkerLostError)
    executor.shutdown()
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)


@pytest.mark.parametrize("busy", [False, True], ids=["at the beginning", "with a call"])
def test_a_process_that_is_not_yet_started_is_not_started_any_more(busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, killed = threading.Event(), threading.Event()
    start, started = WorkerProcess._start, iter((False, True) if busy else (True,))

    def late(self: WorkerProcess) -> subprocess.Popen[bytes]:
        if not next(started):
            raise OSError("not this time")
        begun.set()
        assert killed.wait(timeout=30)
        return start(self)

    monkeypatch.setattr(WorkerProcess, "_start", late)
    executor = PipeExecutor(1)
    if busy:
        executor._processes[0].join()
    future = executor.submit(time.sleep, 60)
    assert begun.wait(timeout=30)
    executor.kill()
    killed.set()
    executor.shutdown()
    assert isinstance(future.exception(timeout=30), WorkerLostError)
    assert [process._process for process in executor._processes] == [None]


def test_modules_are_there_when_the_first_call_comes_and_none_that_fails_is_in_the_way() -> None:
    executor = PipeExecutor(1, ["colorsys", "no.such.module"])
    assert executor.submit(_is_imported, "colorsys").result(timeout=60)
    assert not executor.submit(_is_imported, "imaplib").result(timeout=60)
    executor.shutdown()


def test_pythonpath_and_the_current_folder_import_nothing(
    pool: PipeExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted.py").write_text("raise SystemExit(1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleNotFoundError):
        pool.submit(__import__, "planted").result(timeout=60)


def test_a_process_makes_several_calls_at_a_time() -> None:
    """Each of the two waits for the other."""
    executor = PipeExecutor(1, at_once=2)
    futures = [executor.submit(_meet) for _ in range(2)]
    assert len({future.result(timeout=60) for future in futures}) == 1
    executor.shutdown()


def test_calls_go_to_those_who_have_least_to_do() -> None:
    executor = PipeExecutor(2, at_once=2)
    busy = [executor.submit(_pid_after, 1) for _ in range(2)]
    assert len({future.result(timeout=60) for future in busy}) == 2
    executor.shutdown()


_meeting = threading.Barrier(2)


def _meet() -> int:
    _meeting.wait(timeout=30)
    return os.getpid()


def _is_imported(name: str) -> bool:
    return name in sys.modules


def _pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


PARENT = """
import os, sys, time
from cloudtrail_validate.runtime.processes import PipeExecutor
pool = PipeExecutor(2)
print(pool.submit(os.getpid).result(), flush=True)
pool.submit(time.sleep, 60)
pool.submit(time.sleep, 60)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_workers_end_with_a_parent_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    for _ in range(300):
        if not _runs(worker):
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its parent")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_works_where_there_is_no_shared_memory(tmp_path: Path) -> None:
    """As in containers without /dev/shm: whatever needs a semaphore would fail to be made."""
    code = (
        "import _multiprocessing\n"
        "def refuse(*_): raise OSError(38, 'Function not implemented')\n"
        "_multiprocessing.SemLock = refuse\n"
        "from cloudtrail_validate.runtime.processes import PipeExecutor\n"
        "pool = PipeExecutor(1)\n"
        "print(pool.submit(abs, -3).result(timeout=60)); pool.shutdown()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout == "3\n"
