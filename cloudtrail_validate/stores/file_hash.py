"""Files of a local copy, read and hashed, in this process or in one of its own (`hash_workers` starts those).

Such a process reads frames from its standard input and writes one for each to its standard output, in order: four bytes
of length, big-endian, then MessagePack; paths one way, outcomes the other. It imports little, to start in 50 ms.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO, Final

import msgspec

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Flaw, Inflater, MakeInflater
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.runtime.files import SpecialFileError, open_regular
from cloudtrail_validate.runtime.tree import Tree

_PIECE_BYTES: Final = 1024 * 1024
HEAD_BYTES: Final = 4
FOLLOW: Final = "follow-links"  # an argument of the process
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
_NO_SUCH: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EILSEQ}
)
Hashed = Content | AbsentError | StoreError


def hash_file(path: str) -> Hashed:
    """Hash the log that the user names by its path, gzip or inflated; or return why it could not be read."""
    return _hashed(lambda: open_regular(path, follow=True))


def hash_in(tree: Tree, path: str, make: MakeInflater = Inflater) -> Hashed:
    """Hash a log of a local copy, gzip or inflated; or return why it could not be read."""
    return _hashed(lambda: tree.open(path), make)


def feed(opening: Callable[[], BinaryIO], inflater: Inflater) -> None:
    """Read a file piece by piece. A special file in its place is no content. Raises `AbsentError` or `StoreError`."""
    try:
        with opening() as file:
            while piece := file.read(_PIECE_BYTES):
                inflater.feed(piece)
    except SpecialFileError:
        inflater.refuse(Flaw.SPECIAL)
    except OSError as error:
        raise failure(error) from error


def failure(error: OSError) -> StoreError | AbsentError:
    """Return the system's error in the stores' terms."""
    text = f"{os.strerror(error.errno)}" if error.errno else str(error)
    return AbsentError(text) if error.errno in _NO_SUCH else StoreError(cause_of(error), text)


def cause_of(error: OSError) -> Cause:
    """Return the reason for which a file or folder that is there could not be read."""
    return Cause.ACCESS_DENIED if error.errno in _REFUSED else Cause.NETWORK


def _hashed(opening: Callable[[], BinaryIO], make: MakeInflater = Inflater) -> Hashed:
    inflater = make(accept_plain=True)
    try:
        feed(opening, inflater)
    except (AbsentError, StoreError) as error:
        return error
    return inflater.finish()


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
    """Read the answer of a hashing process."""
    if outcome.detail is None:
        return Content(outcome.sha256, outcome.size, outcome.flaw)
    return AbsentError(outcome.detail) if outcome.cause is None else StoreError(outcome.cause, outcome.detail)


def main() -> None:
    """Answer frames about files in the folder that the first argument names, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; whoever started this one ends it
    tree = Tree(sys.argv[1], follow_links=FOLLOW in sys.argv[2:])
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(HEAD_BYTES):
        paths = _PATHS.decode(source.read(int.from_bytes(head)))
        frame = msgspec.msgpack.encode([_packed(hash_in(tree, os.fsdecode(path))) for path in paths])
        sink.write(len(frame).to_bytes(HEAD_BYTES) + frame)
        sink.flush()


if __name__ == "__main__":
    main()
