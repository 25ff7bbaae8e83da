"""axe-core, the accessibility engine, out of npm: looked for, else installed once into the tests' own cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

VERSION: Final = "4.14.1"
PLACE: Final = "CTVALIDATE_AXE"  # a file: taken instead
_TIMEOUT: Final = 300  # seconds for npm, which downloads 3 MB


class NoAxeError(Exception):
    """There is no axe-core here, and none to be had: why."""


def source(cache: Path) -> str:
    """The engine's script. Raises `NoAxeError`."""
    given = os.environ.get(PLACE)
    if given:
        return Path(given).read_text(encoding="utf-8")
    script = cache / f"axe-{VERSION}" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        _install(script.parents[2])
    return script.read_text(encoding="utf-8")


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NoAxeError("no npm to install axe-core with (apt-get install npm)")
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command = [npm, "install", *options, "--prefix", str(folder), f"axe-core@{VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoAxeError("npm does not answer") from error
    if done.returncode != 0:
        raise NoAxeError(f"npm install axe-core@{VERSION}: {done.stderr.strip()[-500:]}")
