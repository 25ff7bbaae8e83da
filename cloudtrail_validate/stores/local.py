"""A local copy of a bucket's tree: `DIR/KEY`, as `aws s3 sync` leaves it.

One folder stands for whatever bucket a digest names. Copy tools lose two things: the digests' signatures (S3 user metadata;
a sidecar `KEY.metadata.json` brings them back where there is one) and sometimes the gzip layer (Content-Encoding), so
inflated files are accepted. A file's mtime says nothing of its delivery.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater
from cloudtrail_validate.core.layout import DIGEST_KIND, folder_of
from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.stores.file_hash import Hashed, cause_of, failure, feed, hash_file, open_regular
from cloudtrail_validate.stores.hash_workers import HasherError, Hashers
from cloudtrail_validate.stores.protocol import Children, Stored

SIDECAR: Final = ".metadata.json"
_SIDECAR_BYTES: Final = 64 * 1024  # S3 itself allows 2 kB of user metadata
_PAGE: Final = 1000
_MANY: Final = 600  # logs from which on it pays to start processes: they take as long to start as these to hash
T = TypeVar("T")


class Local:
    """A folder, read on as many threads as there are cores, and where it holds many logs in as many processes."""

    dated = False
    batch = 64  # logs a hand-over: each costs the event loop ~50 µs, half of what a log of 60 kB does

    def __init__(self, root: Path, *, processes: bool = True) -> None:
        cores = os.cpu_count() or 1
        self.workers: int | None = 2 * cores
        self._root = str(root)
        self._threads = ThreadPoolExecutor(max_workers=cores, thread_name_prefix="ctvalidate-local")
        self._cores = cores if processes else 1
        self._hashed = 0
        self._starting: asyncio.Task[Hashers] | None = None

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
            status = Path(self._path(key)).lstat()
            return None if stat.S_ISDIR(status.st_mode) else _info(key, status)

        try:
            return await self._call(look)
        except AbsentError:
            return None

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """A digest, and what its sidecar says where it has one."""

        def read() -> tuple[Inflater, Mapping[str, str] | None]:
            path = self._path(where.key)
            inflater = Inflater(accept_plain=True, keep=True, limit=digest.MAX_DIGEST_BYTES)
            feed(path, inflater)
            return inflater, _sidecar(path)

        return await self._call(read)

    async def content(self, where: Locator, size: int | None, etag: str = "") -> Content:
        """A log, gzip or inflated."""
        (hashed,) = await self.contents([where])
        if not isinstance(hashed, Content):
            raise hashed
        return hashed

    async def contents(self, places: Sequence[Locator]) -> Sequence[Hashed]:
        """Several logs, one after the other in one process or on one thread."""
        paths = [self._path_or_error(where) for where in places]
        wanted = [path for path in paths if isinstance(path, str)]
        hashed = iter(await self._hash(wanted))
        return [path if isinstance(path, AbsentError) else next(hashed) for path in paths]

    async def _hash(self, paths: Sequence[str]) -> list[Hashed]:
        self._hashed += len(paths)
        if self._starting is None and self._hashed > _MANY and self._cores > 1:
            self._starting = asyncio.create_task(Hashers.start(self._cores))
        if self._starting is not None and self._starting.done():
            with suppress(HasherError):  # the threads do what a process that ended left undone
                return await self._starting.result().hash(paths)
        return await self._call(lambda: [hash_file(path) for path in paths])

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """A file as it lies there, with what its sidecar says where it has one."""

        def read() -> Stored:
            path = self._path(where.key)
            inflater = make(None)
            feed(path, inflater)
            return Stored(inflater, _sidecar(path), _info(where.key, Path(path).stat()).modified)

        return await self._call(read)

    async def close(self) -> None:
        """Stop the threads and processes."""
        if self._starting is not None:
            with suppress(HasherError):
                await (await self._starting).close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise failure(error) from error

    def _path_or_error(self, where: Locator) -> str | AbsentError:
        try:
            return self._path(where.key)
        except AbsentError as error:
            return error

    def _path(self, key: str) -> str:
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
        return "/".join((self._root, *parts))  # pathlib would take a tenth of the whole run

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
            raise StoreError(cause_of(error), f"cannot list {prefix[-200:]}: {error.strerror}") from error
        names = {name for name, _, _ in entries}
        place = folder_of("", prefix)
        bare = place is not None and place[1] != DIGEST_KIND  # logs have no signature to keep beside them
        out: list[tuple[str, ObjectInfo | None]] = []
        for name, is_folder, entry in sorted(entries, key=lambda item: os.fsencode(item[0] + "/" * item[1])):
            if is_folder:
                out.append((name, None))
            elif bare or not (name.endswith(SIDECAR) and name.removesuffix(SIDECAR) in names):
                try:
                    out.append((name, _info(prefix + name, entry.stat(follow_symlinks=False))))
                except FileNotFoundError:  # it has gone meanwhile, as a copy tool's temporary file does
                    continue
                except OSError as error:
                    raise StoreError(cause_of(error), f"cannot list {prefix[-200:]}: {error.strerror}") from error
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


def _sidecar(path: str) -> Mapping[str, str] | None:
    """The metadata that a sidecar holds, None without one; one that is no JSON object of strings holds nothing."""
    try:
        with open_regular(path + SIDECAR) as file:
            return msgspec.json.decode(file.read(_SIDECAR_BYTES), type=dict[str, str])
    except FileNotFoundError:
        return None
    except (AbsentError, msgspec.DecodeError, RecursionError):
        return {}
