"""A local copy of a bucket's tree: `DIR/KEY`, as `aws s3 sync` leaves it.

One folder stands for whatever bucket a digest names. Copy tools lose two things: the digests' signatures (S3 user metadata;
a sidecar `KEY.metadata.json` brings them back where there is one) and sometimes the gzip layer (Content-Encoding), so
inflated files are accepted. A file's mtime says nothing of its delivery.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from cloudtrail_validate import digest
from cloudtrail_validate.content import Content, Inflater
from cloudtrail_validate.model import Cause, Locator
from cloudtrail_validate.stores import AbsentError, BucketAbsentError, Children, ObjectInfo, Stored, StoreError

SIDECAR: Final = ".metadata.json"
_SIDECAR_BYTES: Final = 64 * 1024  # S3 itself allows 2 kB of user metadata
_PIECE_BYTES: Final = 1024 * 1024
_PAGE: Final = 1000
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP})
T = TypeVar("T")


class Local:
    """A folder, read on as many threads as there are cores: inflating and hashing release the GIL."""

    dated = False
    batch = 64  # logs a hand-over to a thread: each costs the event loop ~50 µs, half of what a log of 60 kB does

    def __init__(self, root: Path) -> None:
        cores = os.cpu_count() or 1
        self.workers: int | None = 2 * cores
        self._root = root
        self._threads = ThreadPoolExecutor(max_workers=cores, thread_name_prefix="ctvalidate-local")

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Files under a prefix in the order in which S3 would list them."""
        walk = self._walk(prefix, after, before)
        while batch := await self._call(lambda: list(islice(walk, _PAGE))):
            yield batch

    async def children(self, bucket: str, prefix: str) -> Children:
        """One level of the tree."""

        def look() -> Children:
            entries = self._entries(prefix)
            folders = tuple(name for name, info in entries if info is None)
            return Children(folders, tuple(info for _, info in entries if info is not None))

        return await self._call(look)

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """The file of exactly this key."""

        def look() -> ObjectInfo | None:
            status = self._path(key).lstat()
            return None if stat.S_ISDIR(status.st_mode) else _info(key, status)

        try:
            return await self._call(look)
        except AbsentError:
            return None

    async def digest(self, where: Locator) -> tuple[Inflater, Mapping[str, str] | None]:
        """A digest, and what its sidecar says where it has one."""

        def read() -> tuple[Inflater, Mapping[str, str] | None]:
            path = self._path(where.key)
            inflater = Inflater(accept_plain=True, keep=True, limit=digest.MAX_DIGEST_BYTES)
            _feed(path, inflater)
            return inflater, _sidecar(path)

        return await self._call(read)

    async def content(self, where: Locator, size: int | None) -> Content:
        """A log, gzip or inflated."""
        return await self._call(lambda: self._hash(where))

    async def contents(self, places: Sequence[Locator]) -> Sequence[Content | AbsentError | StoreError]:
        """Several logs, one after the other on one thread."""

        def read(where: Locator) -> Content | AbsentError | StoreError:
            try:
                return self._hash(where)
            except (AbsentError, StoreError) as error:
                return error
            except OSError as error:
                return _failure(error)

        return await self._call(lambda: [read(where) for where in places])

    async def stored(self, where: Locator, make: Callable[[int | None], Inflater]) -> Stored:
        """A file as it lies there, with what its sidecar says where it has one."""

        def read() -> Stored:
            path = self._path(where.key)
            inflater = make(None)
            _feed(path, inflater)
            return Stored(inflater, _sidecar(path), _info(where.key, path.stat()).modified)

        return await self._call(read)

    async def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise _failure(error) from error

    def _hash(self, where: Locator) -> Content:
        inflater = Inflater(accept_plain=True)
        _feed(self._path(where.key), inflater)
        return inflater.finish()

    def _path(self, key: str) -> Path:
        """The file of a key. Keys that a file system cannot hold, or that would leave the folder, are of no file.

        Empty segments (a prefix that ends in a slash makes one) are left out, as file systems and copy tools do.
        """
        parts = [part for part in key.split("/") if part]
        if "\0" in key or any(part in (".", "..") for part in parts):
            raise AbsentError(f"no file can have the key {key!r}")
        try:
            os.fsencode(key)
        except UnicodeEncodeError:
            raise AbsentError(f"no file can have the key {key!r}") from None
        return self._root.joinpath(*parts)

    def _entries(self, prefix: str) -> list[tuple[str, ObjectInfo | None]]:
        """Names in one folder in S3's order; None stands for a folder. Symbolic links to folders are not followed."""
        folder = self._root if not prefix else self._path(prefix.rstrip("/"))
        try:
            with os.scandir(folder) as listing:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False), entry) for entry in listing]
        except (FileNotFoundError, NotADirectoryError):
            if not prefix:
                raise BucketAbsentError(f"no such folder: {folder}") from None
            return []
        except OSError as error:
            # Whatever hinders, the folder is there: a listing that passed over it would hide what lies in it.
            raise StoreError(_cause(error), f"cannot list {prefix[-200:]}: {error.strerror}") from error
        names = {name for name, _, _ in entries}
        out: list[tuple[str, ObjectInfo | None]] = []
        for name, is_folder, entry in sorted(entries, key=lambda item: os.fsencode(item[0] + "/" * item[1])):
            if is_folder:
                out.append((name, None))
            elif not (name.endswith(SIDECAR) and name.removesuffix(SIDECAR) in names):
                out.append((name, _info(prefix + name, entry.stat(follow_symlinks=False))))
        return out

    def _walk(self, prefix: str, after: str, before: str | None) -> Iterator[ObjectInfo]:
        """Files in the order of their keys. A stack, not recursion: a hostile tree may be deeper than Python's."""
        stack = [(prefix, iter(self._entries(prefix)))]
        while stack:
            folder, entries = stack[-1]
            name, info = next(entries, ("", None))
            if not name:
                stack.pop()
                continue
            key = folder + name + ("/" if info is None else "")
            if before is not None and key >= before:
                return
            if info is not None:
                if key >= after:
                    yield info
            elif key >= after or after.startswith(key):
                stack.append((key, iter(self._entries(key))))


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _feed(path: Path, inflater: Inflater) -> None:
    """Read a regular file piece by piece."""
    with _open(path) as file:
        while piece := file.read(_PIECE_BYTES):
            inflater.feed(piece)


def _open(path: Path) -> BinaryIO:
    """A regular file, opened. A folder in its place is no object; a pipe or device there is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb", buffering=0)  # noqa: PTH123  # a descriptor, not a path
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise AbsentError("a folder lies in its place")
    raise StoreError(Cause.ACCESS_DENIED, "is not a regular file")


def _sidecar(path: Path) -> Mapping[str, str] | None:
    """The metadata that a sidecar holds, None without one; one that is no JSON object of strings holds nothing."""
    try:
        with _open(path.with_name(path.name + SIDECAR)) as file:
            return msgspec.json.decode(file.read(_SIDECAR_BYTES), type=dict[str, str])
    except FileNotFoundError:
        return None
    except (AbsentError, msgspec.DecodeError, RecursionError):
        return {}


def _failure(error: OSError) -> StoreError | AbsentError:
    text = f"{os.strerror(error.errno)}" if error.errno else str(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL):
        return AbsentError(text)
    return StoreError(_cause(error), text)


def _cause(error: OSError) -> Cause:
    return Cause.ACCESS_DENIED if error.errno in _REFUSED else Cause.NETWORK
