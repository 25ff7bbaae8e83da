"""Pieces of bytes in a temporary file without a name: written one behind the other, and read in that order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Final

_HEAD: Final = 4  # bytes of length before each piece


class Spool:
    """A temporary file of pieces, which goes with `close` or with this object. Raises OSError where there is no room."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="ctvalidate-")  # noqa: SIM115  # `close` closes it

    def add(self, piece: bytes) -> None:
        """Write one more."""
        self._file.write(len(piece).to_bytes(_HEAD) + piece)

    def flush(self) -> None:
        """Bring all to the file: a disk that is full says so now. Raises OSError."""
        self._file.flush()

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while head := self._file.read(_HEAD):
            yield self._file.read(int.from_bytes(head))

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):  # what is still buffered on a full disk
            self._file.close()
