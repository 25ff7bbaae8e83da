"""Processes that hash local files, one a core.

Inflating and hashing release the GIL, but a log of 60 kB takes 0.1 ms: threads that hand the GIL over so often get half as
much done as processes (benchmarks.local).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

import msgspec

from cloudtrail_validate.runtime.tree import Tree
from cloudtrail_validate.stores import file_hash as hashing
from cloudtrail_validate.stores.file_hash import FOLLOW, HEAD_BYTES, OUTCOMES, Hashed, Outcome, unpacked

# What lets a process run other code than this one's: modules, start-up files, a debugger.
_NOT_INHERITED: Final = frozenset({"PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONBREAKPOINT"})
_NEUTRAL: Final = os.path.abspath(os.sep)  # noqa: PTH100  # the root of the file system, which is always there


class HasherError(Exception):
    """A process ended or could not be started: what it had to do is to be done elsewhere."""


class _Process:
    """One process, and the frames that it has not answered yet."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: deque[asyncio.Future[list[Outcome]]] = deque()
        self._listening = asyncio.create_task(self._listen())

    @property
    def load(self) -> int:
        """Count the frames under way."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Tell whether it still answers."""
        return not self._listening.done()

    async def ask(self, paths: Sequence[bytes]) -> list[Outcome]:
        """Have some files hashed."""
        if self._process.stdin is None or not self.alive:
            raise HasherError
        answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        frame = msgspec.msgpack.encode(paths)
        with suppress(OSError):  # what is lost with a process is told by the end of its output
            self._process.stdin.write(len(frame).to_bytes(HEAD_BYTES) + frame)
        return await answer

    async def close(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        reader = self._process.stdout
        try:
            while reader is not None:
                length = int.from_bytes(await reader.readexactly(HEAD_BYTES))
                outcomes = OUTCOMES.decode(await reader.readexactly(length))
                answer = self._waiting.popleft()
                if not answer.done():
                    answer.set_result(outcomes)
        except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError, IndexError):
            pass
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(HasherError())


class Hashers:
    """Processes that hash files. `start` makes them; `hash` may be called by many at once."""

    def __init__(self, processes: Sequence[_Process]) -> None:
        self._processes = processes

    @classmethod
    async def start(cls, number: int, tree: Tree) -> Self:
        """Start so many for the files of a folder. Raises `HasherError` where the system does not let it."""
        started: list[_Process] = []
        # The current folder may be the one under investigation, or be gone, and PYTHONPATH may name it: nothing in it is
        # to be imported. A package that is found by PYTHONPATH alone leaves the work to the threads.
        command = [sys.executable, "-P", "-m", hashing.__name__, tree.root]
        command += [FOLLOW] if tree.follow_links else []
        settings = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            for _ in range(number):
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=pipe, stdout=pipe, stderr=none, env=settings, cwd=_NEUTRAL
                )
                started.append(_Process(process))
        except (OSError, ValueError) as error:
            await asyncio.gather(*(process.close() for process in started))
            raise HasherError(str(error)) from error
        return cls(started)

    async def hash(self, paths: Sequence[str]) -> list[Hashed]:
        """Hash files, by their paths in the folder; contents come in their order. Raises `HasherError`."""
        alive = [process for process in self._processes if process.alive]
        if not alive:
            raise HasherError
        outcomes = await min(alive, key=lambda process: process.load).ask([os.fsencode(path) for path in paths])
        if len(outcomes) != len(paths):
            raise HasherError
        return [unpacked(outcome) for outcome in outcomes]

    async def close(self) -> None:
        """End them."""
        await asyncio.gather(*(process.close() for process in self._processes))
