"""Calls the command in this process, or as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.cli import main

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """How a call ended and what it wrote."""

    code: int | str | None
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on standard error."""
        (line,) = self.err.splitlines()
        return line


def call(capsys: pytest.CaptureFixture[str], *args: str) -> Answer:
    """`ctvalidate ARGS` in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(list(args))
    captured = capsys.readouterr()
    return Answer(end.value.code, captured.out, captured.err)


def start(*args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> subprocess.Popen[str]:
    """`python -m cloudtrail_validate ARGS` on its way."""
    return subprocess.Popen(
        [sys.executable, "-m", "cloudtrail_validate", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=cwd,
    )


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Answer:
    """Wait for it, but not for ever."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Answer(process.returncode, out, err)


def spawn(*args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Answer:
    """`python -m cloudtrail_validate ARGS`, to its end."""
    return finish(start(*args, env=env, cwd=cwd))
