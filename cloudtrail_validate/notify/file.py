"""`--notify file:PATH`: the event as one line of JSON at the end of a file, for whatever ships log files.

The line is written with one system call on a file opened to append, so lines of two runs do not mix.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.event import Event
from cloudtrail_validate.notify.target import DeliveryError, Surroundings
from cloudtrail_validate.report.references import to_json

MODE: Final = 0o640  # less what the umask takes: alerts name accounts and keys, a shipper reads as the group


class FileTarget(msgspec.Struct, frozen=True):
    """A file that grows by a line a run."""

    path: str

    @property
    def name(self) -> str:
        """The file."""
        return f"file:{printable(self.path)}"

    def deliver(self, event: Event, _: Surroundings) -> str | None:
        """Append a line."""
        append_line(Path(self.path), to_json(event))
        return None


def append_line(path: Path, line: str) -> None:
    """Append one line, whole. Raises `DeliveryError`."""
    data = line.encode() + b"\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, MODE)
        try:
            if os.write(handle, data) != len(data):
                raise DeliveryError(f"{printable(str(path))}: the line was cut short, the disk may be full")
        finally:
            os.close(handle)
    except OSError as error:
        raise DeliveryError(f"{printable(str(path))}: {error.strerror}") from error


def parse(text: str) -> FileTarget:
    """Read what follows `file:`."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise RequestError(f"--notify file: expected a file in a folder that is there, got {printable(text)!r}")
    return FileTarget(text)
