"""Files that the command writes: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click


def check_writable(option: str, path: Path) -> None:
    """Refuse a file that could not be written, before any work is done."""
    parent = path.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise click.UsageError(f"{option}: expected a file in a folder that can be written to, got {str(path)!r}")
    if path.is_dir():
        raise click.UsageError(f"{option}: expected a file, got the folder {str(path)!r}")


def write_whole(path: Path, text: str | bytes) -> None:
    """Write beside the file, then rename: whoever reads it finds the old content or the new, never half."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
