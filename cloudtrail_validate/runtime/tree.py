"""Lists and opens what lies in one folder, and never leaves it through a link.

A path is walked name by name from the folder's own descriptor, no name of it being a link (as openat2 does with
RESOLVE_NO_SYMLINKS), so a path may be of any length and no link that is exchanged meanwhile leads elsewhere. Where a link
stands in the way, the path is resolved, and counts where that ends in the folder again, or with `follow_links` anywhere.
Where the system has no such descriptors (Windows), every path is resolved.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple, TypeVar

from cloudtrail_validate.runtime.files import open_regular

_KEPT: Final = 24  # descriptors of folders a thread, three times as many as a CloudTrail folder is deep
_TOO_MANY: Final = frozenset({errno.EMFILE, errno.ENFILE})
_NOWHERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
_LOOK: Final = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_BY_DESCRIPTOR: Final = {os.open, os.stat} <= os.supports_dir_fd and os.scandir in os.supports_fd
T = TypeVar("T")


class Entry(NamedTuple):
    """One name in a folder, and what lies there; a link is described itself, not what it leads to."""

    name: str
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder. A link to one is none."""
        return stat.S_ISDIR(self.status.st_mode)


class Tree:
    """One folder and all below it. Thread-safe.

    Paths are relative, their names joined by single slashes; an empty one is the folder itself. All methods raise OSError;
    FileNotFoundError is also for links that lead nowhere or, without `follow_links`, out of the folder.
    """

    def __init__(self, root: str, *, follow_links: bool = False, by_descriptor: bool = _BY_DESCRIPTOR) -> None:
        self.root = os.path.realpath(root)
        self.follow_links = follow_links
        self._by_descriptor = by_descriptor
        self._kept = threading.local()

    def open(self, path: str) -> BinaryIO:
        """Open a regular file. Raises also as `open_regular` does; a special file is never opened."""
        return self._at(path, lambda name, folder: open_regular(name, dir_fd=folder))

    def status(self, path: str) -> os.stat_result:
        """Return the status of what lies at a path; of a link at its end, that of the link itself."""
        folder, _, name = path.rpartition("/")
        if self._by_descriptor:
            with suppress(_LinkError):
                return self._in(folder, lambda at: os.stat(name or ".", dir_fd=at, follow_symlinks=False))
        return os.lstat(os.path.join(self._resolved(folder), name))  # noqa: PTH118  # text, not a Path

    def is_exact(self, path: str) -> bool:
        """Tell whether what is found at a path bears these very names.

        Windows and macOS find a name in whatever case it is said (as `core.portable` has it), S3 does not: there another
        object would have been asked for. Where a name in the other case leads to the same file, the folder's own list
        decides. Raises where nothing is found.
        """
        parts = path.split("/")
        for number, name in enumerate(parts):
            folder = "/".join(parts[:number])
            at = f"{folder}/" if folder else ""
            other = name.swapcase()
            if other == name or not self._is_same(at + name, at + other):
                continue
            if name not in {entry.name for entry in self.entries(folder)}:
                return False
        return True

    def _is_same(self, path: str, other: str) -> bool:
        try:
            return os.path.samestat(self.status(path), self.status(other))
        except FileNotFoundError:
            return False

    def entries(self, path: str) -> list[Entry]:
        """Return everything right in a folder, in no order. What is gone before it can be looked at is left out."""
        if self._by_descriptor:
            with suppress(_LinkError):
                return self._in(path, _entries_at)
        return _entries(self._resolved(path))

    def _at(self, path: str, work: Callable[[str, int | None], T]) -> T:
        """Do something to a file by its name in its folder, or where a link stands in the way by its resolved path."""
        if self._by_descriptor:
            folder, _, name = path.rpartition("/")
            try:
                return self._in(folder, lambda at: work(name, at))
            except _LinkError:
                pass
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
        return work(self._resolved(path), None)

    def _in(self, folder: str, work: Callable[[int], T]) -> T:
        """Do something in a folder, once more with none kept open where there are too many files open."""
        kept: _Folders | None = getattr(self._kept, "folders", None)
        if kept is None:
            kept = self._kept.folders = _Folders(self.root)
        try:
            return work(kept.get(folder))
        except OSError as error:
            if error.errno not in _TOO_MANY:
                raise
        kept.forget()
        return work(kept.get(folder))

    def _resolved(self, path: str) -> str:
        """Return where a path leads by way of its links. Raises FileNotFoundError where that is nowhere, or outside."""
        try:
            real = os.path.realpath(f"{self.root}/{path}", strict=True)
        except (RecursionError, ValueError):  # more links than Python follows
            raise _nowhere() from None
        except OSError as error:
            raise (_nowhere() if error.errno in _NOWHERE else error) from None
        inside = os.path.normcase(real) == os.path.normcase(self.root) or os.path.normcase(real).startswith(
            os.path.normcase(self.root.rstrip(os.sep) + os.sep)
        )
        if not inside and not self.follow_links:
            raise _nowhere()
        return real


class _LinkError(Exception):
    """A name on the way to a folder is a link."""


class _Folders:
    """Descriptors of the folders used last, of one thread. They are closed with it."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._open: OrderedDict[str, int] = OrderedDict()

    def __del__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Close them all."""
        while self._open:
            with suppress(OSError):
                os.close(self._open.popitem()[1])

    def get(self, path: str) -> int:
        """Return a folder's descriptor, good until the next call. Raises OSError, and `_LinkError` for a link on the way."""
        known = self._open.get(path)
        if known is not None:
            self._open.move_to_end(path)
            return known
        nearest = path
        while nearest and nearest not in self._open:
            nearest = nearest.rpartition("/")[0]
        if nearest not in self._open:
            self._keep("", os.open(self._root, _LOOK & ~getattr(os, "O_NOFOLLOW", 0)))
        folder = self._open[nearest]
        for name in path[len(nearest) :].strip("/").split("/") if path != nearest else ():
            nearest = f"{nearest}/{name}" if nearest else name
            folder = self._keep(nearest, _step(name, folder))
        return folder

    def _keep(self, path: str, folder: int) -> int:
        self._open[path] = folder
        if len(self._open) > _KEPT:
            os.close(self._open.popitem(last=False)[1])
        return folder


def _step(name: str, folder: int) -> int:
    """Open a folder that lies in an open one, links not followed."""
    try:
        return os.open(name, _LOOK, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise _LinkError from None
        raise


def _entries_at(folder: int) -> list[Entry]:
    at = os.open(".", os.O_RDONLY | getattr(os, "O_DIRECTORY", 0), dir_fd=folder)
    try:
        return _entries(at)
    finally:
        os.close(at)


def _entries(folder: int | str) -> list[Entry]:
    out: list[Entry] = []
    with os.scandir(folder) as listing:
        for entry in listing:
            with suppress(FileNotFoundError):  # gone meanwhile, as a copy tool's temporary file is
                out.append(Entry(entry.name, entry.stat(follow_symlinks=False)))
    return out


def _nowhere() -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
