"""Opens a regular file and nothing else; writes a file whole or not at all.

A file in the making has no name where the system can do that (Linux: O_TMPFILE, given its name by linkat): a run that is
killed at any moment leaves nothing behind. Elsewhere its name is `.ctvalidate-` and 16 hexadecimal digits and `.tmp`, it
is locked while it is written, and `sweep` removes what earlier runs left.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol, Self

if sys.platform != "win32":
    import fcntl

TEMPORARY: Final = re.compile(r"\.ctvalidate-[0-9a-f]{16}\.tmp")
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
_PIECE: Final = 1 << 20  # bytes read at a time
_READER: Final = 5.0  # seconds in which the reader of a pipe has to come
_DESCRIPTORS: Final = "/proc/self/fd"  # linkat names a file by its descriptor through it
# Links and exclusive locks that a file system does not know: FAT, some network file systems.
_CANNOT_LINK: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})


class Readable(Protocol):
    """Reads bytes: a file, or the body of an answer."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


class SpecialFileError(OSError):
    """Tells that neither a regular file nor a folder nor a link lies there: a pipe, a socket, a device."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "not a regular file")

    def __reduce__(self) -> tuple[object, ...]:  # OSError's own calls it with number and text
        return SpecialFileError, ()


def open_regular(path: str | Path, *, follow: bool = False, dir_fd: int | None = None) -> BinaryIO:
    """Open a regular file for reading, unbuffered. What is none is not opened, and a pipe is not waited for.

    A symbolic link is taken for the file it leads to only with `follow`. Raises `SpecialFileError`, IsADirectoryError, or
    OSError with ELOOP for a link; all are OSError, as is whatever else hinders.
    """
    mode = os.stat(path, dir_fd=dir_fd, follow_symlinks=follow).st_mode  # a device may act on being opened
    _demand_regular(mode)
    descriptor = os.open(path, _READ if follow else _READ | _NO_FOLLOW, dir_fd=dir_fd)
    try:
        _demand_regular(os.fstat(descriptor).st_mode)  # it may have been exchanged since
        return open(descriptor, "rb", buffering=0)  # noqa: PTH123  # a descriptor, not a path
    except BaseException:
        os.close(descriptor)
        raise


def read_at_most(file: Readable, most: int) -> bytes:
    """Read a file to its end, or to `most` bytes and one more, by which the caller tells that it is too long.

    Takes memory by what comes: `file.read(most)` takes all of `most` at once, a gigabyte for a part of three lines.
    """
    pieces: list[bytes] = []
    left = most + 1
    while left > 0 and (piece := file.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _demand_regular(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "a symbolic link")
    raise SpecialFileError


class Draft:
    """A file in the making, on the file system of `folder`. A context manager: on leaving, what has no place is gone.

    Write to `file`, then `finish`, then `place`. `named_in` is where it has its temporary name, if it must have one: a
    folder that nobody validates. All methods raise OSError.
    """

    file: BinaryIO

    def __init__(self, folder: Path, *, named_in: Path | None = None) -> None:
        self._names = _same_device(named_in, folder)
        self._name: Path | None = None
        descriptor = _nameless(folder)
        if descriptor is None:
            self._name = self._new_name()
            descriptor = os.open(self._name, _CREATE, 0o666)
            _lock(descriptor)
        self.file = os.fdopen(descriptor, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def finish(self, modified: datetime | None = None, *, sync: bool = True) -> None:
        """Bring what was written to the disk, so that no crash leaves half of it under its name."""
        self.file.flush()
        if sync:
            os.fsync(self.file.fileno())
        if modified is not None:
            stamp = modified.timestamp()
            os.utime(self.file.fileno() if os.utime in os.supports_fd else self._named(), (stamp, stamp))

    def place(self, path: Path, *, replace: bool) -> None:
        """Give the file its name. Raises FileExistsError where one lies there, unless that is to be replaced."""
        try:
            self._place(path, replace=replace)
        finally:
            self.discard()

    def discard(self) -> None:
        """Let go of it, and of its temporary name. Harmless when done twice."""
        with suppress(OSError):  # what is still buffered belongs to a file that nobody will see
            self.file.close()
        if self._name is not None:
            with suppress(OSError):
                self._name.unlink(missing_ok=True)

    def _place(self, path: Path, *, replace: bool) -> None:
        if self._name is None:
            try:
                self._link(path)
            except FileExistsError:
                if not replace:
                    raise
                self._name = self._new_name()
                self._link(self._name)
            else:
                return
        elif sys.platform == "win32":
            self.file.close()  # an open file cannot be renamed there
        if replace:
            self._named().replace(path)
        else:
            _name_once(self._named(), path)

    def _link(self, path: Path) -> None:
        """Name a nameless file: atomic, and never over another."""
        folder = os.open(path.parent, os.O_RDONLY)
        try:  # os.link leaves the link in /proc unfollowed unless it is given a folder's descriptor
            source = f"{_DESCRIPTORS}/{self.file.fileno()}"
            os.link(source, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)

    def _new_name(self) -> Path:
        return self._names / f".ctvalidate-{secrets.token_hex(8)}.tmp"

    def _named(self) -> Path:
        if self._name is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._name


def write_whole(path: Path, data: str | bytes, *, drafts: Path | None = None, sync: bool = True) -> None:
    """Write a file: whoever reads it finds the old content or the new, never half. Raises OSError.

    `drafts` is where it is made, if not beside the file. What is no file but takes bytes (`/dev/stdout`, a pipe) is
    written to as it is.
    """
    write_pieces(
        path, [data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data], drafts=drafts, sync=sync
    )


def write_pieces(path: Path, pieces: Iterable[bytes], *, drafts: Path | None = None, sync: bool = True) -> None:
    """Write a file as `write_whole` does, without holding its content. Raises OSError, and what `pieces` raises."""
    if takes_bytes(path):
        with _open_stream(path) as stream:
            stream.writelines(pieces)
        return
    with Draft(drafts or path.parent) as draft:
        draft.file.writelines(pieces)
        draft.finish(sync=sync)
        draft.place(path, replace=True)
    if sync:
        _sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Remove files in the making that earlier runs left right in `folder`; those that another run still writes stay."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_unlocked(entry.path)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system opens folders: Windows does not, some file systems refuse."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _nameless(folder: Path) -> int | None:
    """Return the descriptor of a new file without a name, or None where the system has none."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not os.path.isdir(_DESCRIPTORS):  # noqa: PTH112  # a Path here costs as much as the question
        return None
    try:
        return os.open(folder, flag | os.O_RDWR, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOSYS, errno.EINVAL):
            return None
        raise


def _same_device(wanted: Path | None, folder: Path) -> Path:
    """Return `wanted` where a file can be renamed from there into `folder`, else `folder` itself."""
    if wanted is not None and wanted.stat().st_dev == folder.stat().st_dev:
        return wanted
    return folder


def _name_once(name: Path, path: Path) -> None:
    """Rename, unless something lies there. A hard link does both at once where there are any."""
    try:
        path.hardlink_to(name)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        name.rename(path)


def takes_bytes(path: Path) -> bool:
    """Tell whether a path is a stream or device, or one of the system's names for an open file."""
    if path.parts[1:2] in (("dev",), ("proc",)) and path.is_absolute() and path.is_symlink():
        return True  # /dev/stdout, /dev/fd/3: whatever is open there, the name is not ours to replace
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISBLK(mode)


def _open_stream(path: Path) -> BinaryIO:
    """Open a stream or device for writing. A pipe that nobody reads within `_READER` raises OSError, as one never may."""
    until = time.monotonic() + _READER
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            if sys.platform != "win32":
                os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "wb")


def _lock(descriptor: int) -> None:
    """Tell other runs that the file is still being written."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_unlocked(path: str) -> None:
    with suppress(OSError), open_regular(path) as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # on Windows an open file cannot be removed anyway
        os.unlink(path)  # noqa: PTH108  # scandir gives text
