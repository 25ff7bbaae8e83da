"""A local copy of a bucket's tree: `DIR/KEY`, as `aws s3 sync` leaves it.

One folder stands for whatever bucket a digest names. Copy tools lose two things: the digests' signatures (S3 user metadata;
a sidecar `KEY.metadata.json` brings them back where there is one) and sometimes the gzip layer (Content-Encoding), so
inflated files are accepted. A file's mtime says nothing of its delivery.

Whoever may write to the folder may put anything there. A link that leads out of it or nowhere is no file, though it is
listed as what lies there; a pipe, socket or device holds no content; neither is ever followed, opened or waited for.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater
from cloudtrail_validate.core.layout import DIGEST_KIND, folder_of, parse_digest_key
from cloudtrail_validate.core.model import EPOCH, Locator, ObjectInfo
from cloudtrail_validate.core.portable import is_foreign
from cloudtrail_validate.core.sidecar import MAX_BYTES, SIDECAR, read_sidecar
from cloudtrail_validate.runtime.files import SpecialFileError
from cloudtrail_validate.runtime.limits import cores
from cloudtrail_validate.runtime.tree import Entry, Tree
from cloudtrail_validate.stores.file_hash import Hashed, cause_of, failure, feed, hash_in
from cloudtrail_validate.stores.hash_workers import HasherError, Hashers
from cloudtrail_validate.stores.protocol import Children, Stored

_PAGE: Final = 1000
_LONGEST: Final = 4096  # bytes of a key that is looked into, four times S3's longest; what is deeper is named, not read
_MANY: Final = 600  # logs from which on it pays to start processes: they take as long to start as these to hash
_WINDOWS: Final = os.name == "nt"
T = TypeVar("T")


class Local:
    """A folder, read on as many threads as there are cores, and where it holds many logs in as many processes."""

    dated = False
    batch = 64  # logs a hand-over: each costs the event loop ~50 µs, half of what a log of 60 kB does

    def __init__(self, root: Path, *, follow_links: bool = False, processes: bool = True) -> None:
        number = cores()
        self.workers: int | None = 2 * number
        self._tree = Tree(str(root), follow_links=follow_links)
        self._threads = ThreadPoolExecutor(max_workers=number, thread_name_prefix="ctvalidate-local")
        self._cores = number if processes else 1
        self._hashed = 0
        self._starting: asyncio.Task[Hashers] | None = None

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Yield files under a prefix in the order in which S3 would list them."""
        walk = self._walk(prefix, after, before)
        while batch := await self._call(lambda: list(islice(walk, _PAGE))):
            yield batch

    async def children(self, bucket: str, prefix: str) -> Children:
        """Return one level of the tree."""

        def look() -> Children:
            entries = self._entries(prefix) if self._is_there(prefix) else []
            folders = tuple(name for name, info in entries if info is None)
            return Children(folders, tuple(info for _, info in entries if info is not None))

        return await self._call(look)

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return the file of exactly this key."""

        def look() -> ObjectInfo | None:
            status = self._tree.status(_path(key))
            self._found_as_said(_path(key))
            return None if stat.S_ISDIR(status.st_mode) else _info(key, status)

        try:
            return await self._call(look)
        except AbsentError:
            return None

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """Return a digest, and what its sidecar says where it has one."""

        def read() -> tuple[Inflater, Mapping[str, str] | None]:
            path = _path(where.key)
            inflater = Inflater(accept_plain=True, keep=True, limit=digest.MAX_DIGEST_BYTES)
            feed(lambda: self._tree.open(path), inflater)
            if size is None:
                self._found_as_said(path)
            return inflater, self._sidecar(path)

        return await self._call(read)

    async def content(self, where: Locator, size: int | None, etag: str = "", make: MakeInflater = Inflater) -> Content:
        """Return a log, gzip or inflated."""
        (hashed,) = await self.contents([where], make)
        if not isinstance(hashed, Content):
            raise hashed
        if size is None:
            await self._call(lambda: self._found_as_said(_path(where.key)))
        return hashed

    async def contents(self, places: Sequence[Locator], make: MakeInflater = Inflater) -> Sequence[Hashed]:
        """Return several logs, one after the other in one process or on one thread."""
        paths = [_path_or_error(where) for where in places]
        wanted = [path for path in paths if isinstance(path, str)]
        hashed = iter(await self._hash(wanted, make))
        return [path if isinstance(path, AbsentError) else next(hashed) for path in paths]

    async def _hash(self, paths: Sequence[str], make: MakeInflater) -> list[Hashed]:
        if make is not Inflater:  # what it looks at stays in this process
            return await self._call(lambda: [hash_in(self._tree, path, make) for path in paths])
        self._hashed += len(paths)
        if self._starting is None and self._hashed > _MANY and self._cores > 1:
            self._starting = asyncio.create_task(Hashers.start(self._cores, self._tree))
        if self._starting is not None and self._starting.done():
            with suppress(HasherError):  # the threads do what a process that ended left undone
                return await self._starting.result().hash(paths)
        return await self._call(lambda: [hash_in(self._tree, path) for path in paths])

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """Return a file as it lies there, with what its sidecar says where it has one."""

        def read() -> Stored:
            path = _path(where.key)
            inflater = make(None)
            feed(lambda: self._tree.open(path), inflater)
            return Stored(inflater, self._sidecar(path), _moment(self._tree.status(path).st_mtime))

        return await self._call(read)

    async def close(self) -> None:
        """Stop the threads and processes."""
        if self._starting is not None:
            with suppress(HasherError):
                await (await self._starting).close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _found_as_said(self, path: str) -> None:
        """Raise `AbsentError` for what no listing has shown and lies there under names of other case."""
        if not self._tree.is_exact(path):
            raise AbsentError("only a name of other case is there")

    def _is_there(self, prefix: str) -> bool:
        """Tell whether a folder bears the very names of a prefix, where it is there at all."""
        try:
            return not prefix or self._tree.is_exact(_path(prefix))
        except OSError:
            return True  # listing it says why

    def _entries(self, prefix: str) -> list[tuple[str, ObjectInfo | None]]:
        """Return names in one folder in S3's order; None stands for a folder. Links are named, not followed."""
        try:
            entries = self._tree.entries(_path(prefix) if prefix else "")
        except (FileNotFoundError, NotADirectoryError):
            if not prefix:
                raise BucketAbsentError(f"no such folder: {self._tree.root}") from None
            return []
        except OSError as error:
            if isinstance(failure(error), AbsentError):  # no folder can have this name
                return []
            # Whatever hinders, the folder is there: a listing that passed over it would hide what lies in it.
            raise StoreError(cause_of(error), f"cannot list {prefix[-200:]}: {error.strerror}") from error
        names = {entry.name for entry in entries}
        out: list[tuple[str, ObjectInfo | None]] = []
        for name, entry in sorted((_sorted_as(entry), entry) for entry in entries):
            if not entry.is_folder:
                if not (entry.name.endswith(SIDECAR) and _is_sidecar(prefix, entry.name, names)):
                    out.append((entry.name, _info(prefix + entry.name, entry.status)))
            elif len(name) + len(os.fsencode(prefix)) > _LONGEST:
                out.append((entry.name, _info(prefix + entry.name, entry.status)))
            else:
                out.append((entry.name, None))
        return out

    def _sidecar(self, path: str) -> Mapping[str, str] | None:
        """Return the metadata that a sidecar holds, None without one; what lies in its place and is none holds nothing."""
        try:
            with self._tree.open(path + SIDECAR) as file:
                return read_sidecar(file.read(MAX_BYTES))
        except (SpecialFileError, IsADirectoryError):
            return {}
        except OSError as error:
            if isinstance(failure(error), AbsentError):
                return None
            raise

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise failure(error) from error

    def _walk(self, prefix: str, after: str, before: str | None) -> Iterator[ObjectInfo]:
        """Yield files in the order of their keys. A stack, not recursion: a hostile tree may be deeper than Python's."""
        if not self._is_there(prefix):
            return
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


def _path(key: str) -> str:
    """Return the path of a key's file.

    Raises `AbsentError` for keys that no file can have, or that would leave the folder.

    Empty segments (a prefix that ends in a slash makes one) are left out, as file systems and copy tools do.
    """
    parts = [part for part in key.split("/") if part]
    foreign = "\0" in key or (_WINDOWS and is_foreign(key, windows=True))
    if foreign or any(part in (".", "..") for part in parts) or not parts:
        raise AbsentError(f"no file can have the key {key!r}")
    try:
        os.fsencode(key)
    except UnicodeEncodeError:
        raise AbsentError(f"no file can have the key {key!r}") from None
    return "/".join(parts)  # pathlib would take a tenth of the whole run


def _path_or_error(where: Locator) -> str | AbsentError:
    try:
        return _path(where.key)
    except AbsentError as error:
        return error


def _is_sidecar(prefix: str, name: str, names: Set[str]) -> bool:
    """Tell whether a file was written beside a digest, and is no object of the bucket. Logs have no signature to keep.

    The digest itself may not be there: `recover` writes the signature first, and may be stopped between the two.
    """
    place, beside = folder_of("", prefix), name.removesuffix(SIDECAR)
    if place is not None and place[1] != DIGEST_KIND:
        return False
    return beside in names or (place is not None and parse_digest_key(place[0], prefix + beside) is not None)


def _sorted_as(entry: Entry) -> bytes:
    """Return the text that S3 sorts by: a folder's name stands before a slash in the keys of what lies in it."""
    return os.fsencode(entry.name + "/" * entry.is_folder)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    """Return a line of a listing. What is no regular file has no size of its own, and is no marker of a folder."""
    size = status.st_size if stat.S_ISREG(status.st_mode) else max(1, status.st_size)
    return ObjectInfo(key, size, _moment(status.st_mtime) or EPOCH)


def _moment(stamp: float) -> datetime | None:
    """Return a file's time, None for one that no calendar has: whoever may write the file sets it, to any 64 bits."""
    try:
        return datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
