"""Tools out of npm: looked for, else installed once into the tests' own cache, without running any script of theirs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

_TIMEOUT: Final = 300  # seconds for npm, which downloads up to 10 MB


class NoToolError(Exception):
    """There is no such tool here, and none to be had: why."""


def installed(cache: Path, name: str, version: str) -> Path:
    """The folder of a package, in `node_modules`. Raises `NoToolError`."""
    folder = cache / f"{name.rpartition('/')[2]}-{version}"
    package = folder / "node_modules" / name
    if not (package / "package.json").exists():
        _install(folder, f"{name}@{version}")
    return package


def _install(folder: Path, package: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NoToolError(f"no npm to install {package} with (apt-get install npm)")
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command = [npm, "install", *options, "--prefix", str(folder), package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoToolError("npm does not answer") from error
    if done.returncode != 0:
        raise NoToolError(f"npm install {package}: {done.stderr.strip()[-500:]}")
