"""Slow cores: each process of a command may use a fraction of a core, so that the responder is not what limits them.

With two cores a responder on the same computer takes part of what is measured. Where every process has 0.4 of a core, it has
the rest. The kernel rations CPU time by cgroup (`cpu` of version 1, `cpu.max` of version 2), which takes root and Linux.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_PERIOD: Final = (
    100_000  # µs in which a share is given, as the kernel has it; in shorter ones caches are cold too often
)
_LOOK: Final = 0.005  # seconds between two looks for new processes


def controller() -> Path | None:
    """Where groups with a share of the CPU can be made; None where they cannot."""
    for place, mark in ((_ROOT / "cpu", "cpu.shares"), (_ROOT, "cgroup.controllers")):
        known = place / mark
        rationed = known.exists() and (mark == "cpu.shares" or "cpu" in known.read_text(encoding="ascii").split())
        if rationed and os.access(place, os.W_OK):
            return place
    return None


class Shares:
    """Groups with a share of a core each. This process is in the first; what its commands start gets one apiece."""

    def __init__(self, place: Path, share: float, most: int) -> None:
        self._home = place / "cgroup.procs"
        self._groups = [place / f"ctvalidate-benchmark-{os.getpid()}-{number}" for number in range(most)]
        for group in self._groups:
            group.mkdir()
            if (group / "cpu.cfs_quota_us").exists():
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD), encoding="ascii")
                (group / "cpu.cfs_quota_us").write_text(str(round(share * _PERIOD)), encoding="ascii")
            else:
                (group / "cpu.max").write_text(f"{round(share * _PERIOD)} {_PERIOD}", encoding="ascii")
        self._free = iter(self._groups)
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def enter(self) -> None:
        """Put this process into the first group, and from now on every further process into the next."""
        _put(os.getpid(), next(self._free))
        self._watcher.start()

    def leave(self) -> None:
        """Put this process back, and remove the groups."""
        self._over.set()
        self._watcher.join()
        _put(os.getpid(), self._home.parent)
        for group in self._groups:
            with contextlib.suppress(OSError):
                group.rmdir()

    def _watch(self) -> None:
        """A command inherits this process's group and stays there; a worker inherits the command's, and is moved."""
        first = self._groups[0] / "cgroup.procs"
        while not self._over.wait(_LOOK):
            for process in map(int, first.read_text(encoding="ascii").split()):
                if process != os.getpid() and _parent(process) != os.getpid():
                    with contextlib.suppress(OSError, StopIteration):  # ended meanwhile; more than were announced
                        _put(process, next(self._free))


@contextlib.contextmanager
def shares(share: float, most: int) -> Iterator[None]:
    """Let every process that is started within use `share` of a core, `most` of them.

    Raises RuntimeError where the kernel does not let this process ration.
    """
    place = controller()
    if place is None:
        raise RuntimeError("no CPU controller of cgroups that this process may write to")
    rationed = Shares(place, share, most)
    rationed.enter()
    try:
        yield
    finally:
        rationed.leave()


def _put(process: int, group: Path) -> None:
    (group / "cgroup.procs").write_text(str(process), encoding="ascii")


def _parent(process: int) -> int:
    """The parent of a process; our own id where it has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    return os.getpid()
