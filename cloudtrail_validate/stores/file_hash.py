"""Local files, read and hashed, in this process or as a process of its own (`hashers` starts those).

Such a process reads frames from its standard input and writes one for each to its standard output, in order: four bytes
of length, big-endian, then MessagePack; paths one way, outcomes the other. It imports little, to start in 50 ms.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
from typing import BinaryIO, Final

import msgspec

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Flaw, Inflater
from cloudtrail_validate.core.model import Cause

_PIECE_BYTES: Final = 1024 * 1024
HEAD_BYTES: Final = 4
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP})
_NO_SUCH: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL})
Hashed = Content | AbsentError | StoreError


def hash_file(path: str) -> Hashed:
    """What a log's content is, gzip or inflated, or why it could not be read."""
    inflater = Inflater(accept_plain=True)
    try:
        feed(path, inflater)
    except OSError as error:
        return failure(error)
    except (AbsentError, StoreError) as error:
        return error
    return inflater.finish()


def feed(path: str, inflater: Inflater) -> None:
    """Read a regular file piece by piece. Raises OSError, `AbsentError` or `StoreError`."""
    with open_regular(path) as file:
        while piece := file.read(_PIECE_BYTES):
            inflater.feed(piece)


def open_regular(path: str) -> BinaryIO:
    """A regular file, opened. A folder in its place is no object; a pipe or device there is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb", buffering=0)  # noqa: PTH123  # a descriptor, not a path
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise AbsentError("a folder lies in its place")
    raise StoreError(Cause.ACCESS_DENIED, "is not a regular file")


def failure(error: OSError) -> StoreError | AbsentError:
    """The system's error in the stores' terms."""
    text = f"{os.strerror(error.errno)}" if error.errno else str(error)
    return AbsentError(text) if error.errno in _NO_SUCH else StoreError(cause_of(error), text)


def cause_of(error: OSError) -> Cause:
    """Why a file or folder that is there could not be read."""
    return Cause.ACCESS_DENIED if error.errno in _REFUSED else Cause.NETWORK


class Outcome(msgspec.Struct, array_like=True):
    """`Hashed` on its way between processes: content, or `cause` (None: absent) and `detail`."""

    sha256: str = ""
    size: int = 0
    flaw: Flaw | None = None
    cause: Cause | None = None
    detail: str | None = None


_PATHS: Final = msgspec.msgpack.Decoder(list[bytes])
OUTCOMES: Final = msgspec.msgpack.Decoder(list[Outcome])


def _packed(hashed: Hashed) -> Outcome:
    if isinstance(hashed, Content):
        return Outcome(hashed.sha256, hashed.size, hashed.flaw)
    if isinstance(hashed, AbsentError):
        return Outcome(detail=str(hashed))
    return Outcome(cause=hashed.cause, detail=hashed.detail)


def unpacked(outcome: Outcome) -> Hashed:
    """What a process told."""
    if outcome.detail is None:
        return Content(outcome.sha256, outcome.size, outcome.flaw)
    return AbsentError(outcome.detail) if outcome.cause is None else StoreError(outcome.cause, outcome.detail)


def main() -> None:
    """Answer frames until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; whoever started this one ends it
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(HEAD_BYTES):
        paths = _PATHS.decode(source.read(int.from_bytes(head)))
        frame = msgspec.msgpack.encode([_packed(hash_file(os.fsdecode(path))) for path in paths])
        sink.write(len(frame).to_bytes(HEAD_BYTES) + frame)
        sink.flush()


if __name__ == "__main__":
    main()
