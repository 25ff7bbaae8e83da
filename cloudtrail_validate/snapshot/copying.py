"""Copy what is validated while it is read: a store that stands before another and keeps what passes through.

Nothing is fetched twice. Objects are copied byte for byte as stored, whatever is wrong with them; what a validation
lists and does not read (extra, pending and undigested logs) is fetched when all else is done.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Flaw, Inflater
from cloudtrail_validate.core.layout import DIGEST_KIND, folder_of, parse_digest_key
from cloudtrail_validate.core.model import Cause, ChainId, Locator, ObjectInfo
from cloudtrail_validate.core.sidecar import SIDECAR, read_sidecar, write_sidecar
from cloudtrail_validate.runtime.files import Draft, open_regular
from cloudtrail_validate.runtime.limits import cores
from cloudtrail_validate.snapshot.bundle import Bundle, UnholdableError, writing
from cloudtrail_validate.snapshot.index import Index
from cloudtrail_validate.snapshot.manifest import File, LeftOut, Object, SnapshotError, Sort, path_of
from cloudtrail_validate.stores.protocol import Children, Store, Stored
from cloudtrail_validate.stores.taking import TakingStore

_PIECE_BYTES: Final = 1024 * 1024
_TAKEN: Final = "the file of another object lies in its place"
_NO_FILE: Final = "a link that leads out of the copy or nowhere lies in its place"
T = TypeVar("T")


class Copy(Inflater):
    """Inflates as its base does, and meanwhile hashes the bytes as stored and writes them to a draft in `drafts`."""

    __slots__ = ("_closed", "_draft", "_drafts", "_root", "_stored_hash", "stored_size")

    def __init__(self, root: Path, drafts: Path | None, *, plain: bool, limit: int | None) -> None:
        super().__init__(accept_plain=plain, keep=limit is not None, limit=limit)
        self._root = root
        self._drafts = drafts
        self._draft: Draft | None = None
        self._closed = False
        self._stored_hash = hashlib.sha256()
        self.stored_size = 0

    @property
    def stored_sha256(self) -> str:
        """Hash of the bytes as stored, hex."""
        return self._stored_hash.hexdigest()

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `SnapshotError` where they cannot be written."""
        self.write(data)
        super().feed(data)

    def write(self, data: bytes) -> None:
        """Copy the next bytes. Raises `SnapshotError` where they cannot be written."""
        self._stored_hash.update(data)
        self.stored_size += len(data)
        if self._drafts is not None and not self._closed:
            with writing(self._root, self._drafts):
                self._open(self._drafts).file.write(data)

    def close(self, modified: datetime | None) -> Draft | None:
        """The file is whole: give it the object's time, and return it."""
        if self._drafts is not None and not self._closed:
            with writing(self._root, self._drafts):
                self._open(self._drafts).finish(modified, sync=False)
        self._closed = True
        return self._draft

    def discard(self) -> None:
        """This attempt came to nothing, or its file is in its place by now."""
        self._closed = True
        if self._draft is not None:
            self._draft.discard()

    def _open(self, drafts: Path) -> Draft:
        if self._draft is None:
            self._draft = Draft(drafts)
        return self._draft


class Tap(Copy):
    """Copies the bytes as stored, and passes them on to another inflater instead of inflating them."""

    __slots__ = ("_other",)

    def __init__(self, root: Path, drafts: Path | None, other: Inflater) -> None:
        super().__init__(root, drafts, plain=True, limit=None)
        self._other = other

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `SnapshotError` where they cannot be written, and what the other raises."""
        self.write(data)
        self._other.feed(data)

    def refuse(self, flaw: Flaw) -> None:
        """There is nothing to feed."""
        super().refuse(flaw)
        self._other.refuse(flaw)


MakeCopy = Callable[[Path | None, int | None], Copy]
"""Makes what copies one object: into drafts of a folder, None for no draft, and the size that the object is to have."""


class Tee(TakingStore):
    """A store that copies all it reads into a snapshot.

    `main` is the bucket of DIR/tree. With `single` one folder stands for every bucket (a snapshot of a local copy).
    `left_out` is what belongs in the snapshot and could not be put there; `failure` the error that ended the copying.
    """

    def __init__(self, source: Store, bundle: Bundle, main: str, *, single: bool) -> None:
        super().__init__(source)
        self.left_out: dict[Locator, LeftOut] = {}
        self.failure: SnapshotError | None = None
        self.earlier: dict[ChainId, Locator] = {}
        self._bundle = bundle
        self._main = main
        self._single = single
        self._index = Index(
            (file.object.bucket, ObjectInfo(file.object.key, file.size, file.object.modified or bundle.window.end))
            for file in bundle.held.values()
            if file.object
        )
        self._threads = ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="ctvalidate-copy")

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """What the source lists, and what an earlier run has copied of what it listed then."""
        held = deque(self._index.scan(self._bucket(bucket), prefix, after, before))
        async for page in self._source.scan(bucket, prefix, after=after, before=before):
            merged = _merge(held, page) if held else page
            self._note_earlier(bucket, merged)
            yield merged
        if held:
            yield list(held)

    async def children(self, bucket: str, prefix: str) -> Children:
        """One level, with what an earlier run has copied."""
        level, held = await self._source.children(bucket, prefix), self._index.children(self._bucket(bucket), prefix)
        objects = {info.key: info for info in (*level.objects, *held.objects)}
        folders = sorted({*level.folders, *held.folders}, key=lambda name: f"{name}/")
        return Children(tuple(folders), tuple(objects[key] for key in sorted(objects)))

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """The object of exactly this key."""
        found = await self._source.exact(bucket, key)
        return found if found is not None else self._index.exact(Locator(self._bucket(bucket), key))

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """An object as stored: from the snapshot where it is there, else from the source, and not kept then."""
        held = self._bundle.held.get(self._path(self._named(where))[0])
        if held is None or not _is_of(held, self._named(where)):
            return await self._source.stored(where, make, size, etag)
        inflater = make(held.size)
        try:
            await self._call(lambda: feed(self._bundle.root / held.path, inflater))
        except OSError:
            return await self._source.stored(where, make, size, etag)
        return Stored(inflater, None, held.object.modified if held.object else None)

    async def close(self) -> None:
        """Close the source."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await super().close()

    async def keep(self, where: Locator, *, digests: bool) -> None:
        """Copy an object that nothing has read. One that is gone by now, or cannot be read, is no error."""
        try:
            await self._take(where, None, "", digests=digests)
        except (AbsentError, StoreError):
            if self._named(where) not in self.left_out:
                return
        left = self.left_out.get(self._named(where))
        if left is not None and left.modified is None:
            await self._date(where, left)

    def _bucket(self, bucket: str) -> str:
        return self._main if self._single else bucket

    def _named(self, where: Locator) -> Locator:
        return Locator(self._bucket(where.bucket), where.key)

    async def _take(
        self, where: Locator, size: int | None, etag: str, *, digests: bool, copy: MakeCopy | None = None
    ) -> Stored:
        """An object from the snapshot, where an intact copy of it is there, or else from the source into it.

        `copy` makes what copies it, None for what inflates logs or, with `digests`, digests.
        """
        copy = copy or self._copy_of(digests=digests)
        if self.failure is not None:
            raise StoreError(Cause.NETWORK, str(self.failure))
        named = self._named(where)
        path, reason = self._path(named)
        held = self._bundle.held.get(path)
        if held is not None and not _is_of(held, named):
            path, reason, held = "", _TAKEN, None
        try:
            if held is not None:
                stored = await self._call(lambda: self._reread(held, copy, digests=digests))
                if stored is not None:
                    return stored
            return await self._fetch(where, size, etag, path, reason, copy, digests=digests)
        except SnapshotError as error:
            self._fail(error)
            raise StoreError(Cause.NETWORK, str(error)) from error

    def _path(self, named: Locator) -> tuple[str, str]:
        """The path of an object's file, and why there is none (either is empty)."""
        return path_of(named, self._main)

    def _fail(self, error: SnapshotError) -> None:
        """Nothing more is copied; the first error is the one that is told."""
        self.failure = self.failure or error

    def _copy_of(self, *, digests: bool) -> MakeCopy:
        """What copies logs, or digests, and inflates them."""

        def make(drafts: Path | None, size: int | None) -> Copy:
            limit = digest.most_bytes(None if self._single else size) if digests else None
            return Copy(self._bundle.root, drafts, plain=self._single, limit=limit)

        return make

    async def _fetch(
        self, where: Locator, size: int | None, etag: str, path: str, reason: str, make_copy: MakeCopy, *, digests: bool
    ) -> Stored:
        named = self._named(where)
        attempts: list[Copy] = []

        def make(size: int | None) -> Inflater:
            attempts.append(make_copy(self._bundle.drafts if path else None, size))
            return attempts[-1]

        try:
            stored = await self._source.stored(where, make, size, etag)
            copy = attempts[-1]
            special = copy.finish().flaw is Flaw.SPECIAL
            if path and not special:
                reason = await self._call(lambda: self._settle(copy, stored, path, named, digests=digests))
        except StoreError as error:
            self._leave_out(named, error.detail, error.cause, None, None)
            raise
        except AbsentError:
            if self._single:
                await self._note_link(where)
            raise
        finally:
            for attempt in attempts:
                attempt.discard()
        if special:
            self._leave_out(named, Flaw.SPECIAL.value, None, 1, stored.modified, Sort.SPECIAL)
        elif reason:
            self._leave_out(named, reason, None, copy.stored_size, stored.modified)
        else:
            self.left_out.pop(named, None)
        return stored

    def _settle(self, copy: Copy, stored: Stored, path: str, named: Locator, *, digests: bool) -> str:
        """Put a whole copy in its place, its metadata before it. Returns why not, or an empty string."""
        draft = copy.close(stored.modified)
        origin = Object(bucket=named.bucket, key=named.key, modified=stored.modified)
        file = File(path=path, sha256=copy.stored_sha256, size=copy.stored_size, object=origin)
        try:
            with self._bundle.lock:
                if not _is_of(self._bundle.held.get(path, file), named) or self._bundle.clashes(path):
                    return _TAKEN
                if digests and stored.metadata is not None:
                    self._bundle.write(path + SIDECAR, write_sidecar(stored.metadata))
                if draft is not None:
                    self._bundle.take(draft, file)
        except UnholdableError as error:
            return str(error)
        return ""

    def _reread(self, held: File, make_copy: MakeCopy, *, digests: bool) -> Stored | None:
        """A copy that lies there, if it is what was fetched; None where it is damaged, or lacks its metadata."""
        beside = self._bundle.held.get(held.path + SIDECAR) if digests else None
        copy = make_copy(None, held.size)
        metadata: dict[str, str] | None = None
        try:
            feed(self._bundle.root / held.path, copy)
            if beside is not None:
                text = Copy(self._bundle.root, None, plain=True, limit=beside.size)
                feed(self._bundle.root / beside.path, text)
                if text.stored_sha256 != beside.sha256:
                    return None
                metadata = read_sidecar(text.kept())
        except OSError:
            return None
        if (copy.stored_sha256, copy.stored_size) != (held.sha256, held.size):
            return None
        return Stored(copy, metadata, held.object.modified if held.object else None)

    async def _note_link(self, where: Locator) -> None:
        """Where something is listed that is no file, the listing is part of what the snapshot has to show."""
        info = await self._source.exact(*where)
        if info is not None:
            self._leave_out(self._named(where), _NO_FILE, None, info.size, info.modified, Sort.LINK)

    def _leave_out(
        self,
        where: Locator,
        reason: str,
        cause: Cause | None,
        size: int | None,
        modified: datetime | None,
        sort: Sort | None = None,
    ) -> None:
        key = where.key.encode("utf-8", "backslashreplace").decode()  # a local file name may be no UTF-8
        self.left_out[where] = LeftOut(
            bucket=where.bucket, key=key, reason=reason, cause=cause, size=size, modified=modified, sort=sort
        )

    async def _date(self, where: Locator, left: LeftOut) -> None:
        """Size and time of what could not be read, from a listing: where it stands in time depends on them."""
        try:
            info = await self._source.exact(*where)
        except StoreError:
            return
        if info is not None:
            self._leave_out(self._named(where), left.reason, left.cause, info.size, info.modified, left.sort)

    def _note_earlier(self, bucket: str, page: Iterable[ObjectInfo]) -> None:
        """Remember, a chain, the newest digest that ended before the window: it is proof that the chain was there."""
        for info in page:
            if f"/{DIGEST_KIND}/" not in info.key:
                return  # a listing is of one folder
            place = folder_of(bucket, info.key)
            name = parse_digest_key(place[0], info.key) if place else None
            if name is not None and name.end <= self._bundle.window.start:
                known = self.earlier.get(name.chain)
                if known is None or known.key < info.key:
                    self.earlier[name.chain] = Locator(bucket, info.key)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def pieces(path: Path) -> Iterator[bytes]:
    """A file's bytes; a link in its place is not followed, a pipe there not waited for. Raises OSError."""
    with open_regular(path) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def feed(path: Path, inflater: Inflater) -> None:
    """Read a file into an inflater. Raises OSError."""
    for piece in pieces(path):
        inflater.feed(piece)


def _is_of(file: File, named: Locator) -> bool:
    return file.object is not None and (file.object.bucket, file.object.key) == named


def _merge(held: deque[ObjectInfo], page: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """A page with those held objects in it that sort before its end; what was held before is what counts."""
    out: list[ObjectInfo] = []
    for info in page:
        while held and held[0].key < info.key:
            out.append(held.popleft())
        out.append(held.popleft() if held and held[0].key == info.key else info)
    return out
