"""Put the question of a snapshot's validation again, to the snapshot itself: no AWS, no other folder.

The listing comes from the manifest, so objects have the buckets and times they had; what was left out answers as it did
then, or says that it was left out. What is read is read from the files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.gzip import Content, Flaw, Inflater, MakeInflater
from cloudtrail_validate.core.model import Cause, Interval, Locator, ObjectInfo
from cloudtrail_validate.core.sidecar import SIDECAR, read_sidecar
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.lake import Place, verify_again
from cloudtrail_validate.report import Report, Run
from cloudtrail_validate.report.build import build
from cloudtrail_validate.runtime.clock import now_utc
from cloudtrail_validate.runtime.limits import RateLimiter, cores
from cloudtrail_validate.runtime.loop import run_loop
from cloudtrail_validate.snapshot.copying import feed
from cloudtrail_validate.snapshot.index import Index
from cloudtrail_validate.snapshot.manifest import Manifest, Sort
from cloudtrail_validate.stores.key_file import FileKeys
from cloudtrail_validate.stores.protocol import Children, Stored, outcome

_AT_ONCE: Final = 16


class ReplayStore:
    """A snapshot as the store that it was taken from."""

    batch = 1
    workers: int | None = None

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self._local = manifest.source.startswith("file:")
        self.dated = not self._local and not isinstance(manifest.request.copy_of, str)
        self._root = root
        self._main = manifest.bucket
        self._files = {(f.object.bucket, f.object.key): f for f in manifest.files if f.object}
        self._paths = {file.path for file in manifest.files}
        self._left_out = {(left.bucket, left.key): left for left in manifest.left_out}
        undated = manifest.window.end
        copied = [
            (file.object.bucket, ObjectInfo(file.object.key, file.size, file.object.modified or undated))
            for file in manifest.files
            if file.object
        ]
        missed = [
            (left.bucket, ObjectInfo(left.key, 1 if left.size is None else left.size, left.modified or undated))
            for left in manifest.left_out
        ]
        self._index = Index(missed + copied)
        self._threads = ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="ctvalidate-replay")

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """What the snapshot holds and what it left out, in order."""
        yield self._index.scan(self._bucket(bucket), prefix, after, before)

    async def children(self, bucket: str, prefix: str) -> Children:
        """One level."""
        return self._index.children(self._bucket(bucket), prefix)

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """The object of exactly this key."""
        return self._index.exact(Locator(self._bucket(bucket), key))

    async def digest(
        self,
        where: Locator,
        size: int | None = None,  # noqa: ARG002  # the protocol's arguments
        etag: str = "",  # noqa: ARG002  # the protocol's arguments
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """A digest and the metadata that were kept with it."""

        def make(size: int | None) -> Inflater:
            limit = digest.most_bytes(size if not self._local else None)
            return Inflater(accept_plain=self._local, keep=True, limit=limit)

        stored = await self.stored(where, make)
        return stored.inflater, stored.metadata

    async def content(
        self,
        where: Locator,
        size: int | None,  # noqa: ARG002  # the protocol's arguments
        etag: str = "",  # noqa: ARG002  # the protocol's arguments
        make: MakeInflater = Inflater,
    ) -> Content:
        """A log's content."""
        return (await self.stored(where, lambda _: make(accept_plain=self._local))).inflater.finish()

    async def contents(
        self, places: Sequence[Locator], make: MakeInflater = Inflater
    ) -> Sequence[Content | AbsentError | StoreError]:
        """Several logs."""
        return [await outcome(self.content(where, None, make=make)) for where in places]

    async def stored(
        self,
        where: Locator,
        make: Callable[[int | None], Inflater],
        size: int | None = None,  # noqa: ARG002  # the protocol's arguments
        etag: str = "",  # noqa: ARG002  # the protocol's arguments
    ) -> Stored:
        """A file of the snapshot. What was left out raises what hindered it then."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, where, make)

    async def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _bucket(self, bucket: str) -> str:
        return self._main if self._local else bucket

    def _read(self, where: Locator, make: Callable[[int | None], Inflater]) -> Stored:
        name = (self._bucket(where.bucket), where.key)
        file, left = self._files.get(name), self._left_out.get(name)
        if file is None:
            if left is None:
                raise AbsentError("the snapshot has no such object")
            if left.sort is Sort.LINK:
                raise AbsentError(left.reason)
            if left.sort is Sort.SPECIAL:
                nothing = make(None)
                nothing.refuse(Flaw.SPECIAL)
                return Stored(nothing, None, left.modified)
            detail = left.reason if left.cause else f"left out of the snapshot: {left.reason}"
            raise StoreError(left.cause or Cause.NETWORK, detail)
        try:
            inflater = make(file.size)
            feed(self._root / file.path, inflater)
            metadata = self._metadata(file.path + SIDECAR)
        except FileNotFoundError as error:
            raise AbsentError("its file is gone") from error
        except OSError as error:
            raise StoreError(Cause.ACCESS_DENIED, error.strerror or str(error)) from error
        return Stored(inflater, metadata, file.object.modified if file.object else None)

    def _metadata(self, path: str) -> Mapping[str, str] | None:
        if path not in self._paths:
            return None
        text = Inflater(accept_plain=True, keep=True, limit=1024 * 1024)
        feed(self._root / path, text)
        return read_sidecar(text.kept())


class ReplayKeys:
    """The keys of a snapshot, answered for as they were: by CloudTrail itself, by a file, or by nobody."""

    def __init__(self, keys: FileKeys, manifest: Manifest) -> None:
        self._keys = keys
        self._answers = {answer.region: answer for answer in manifest.keys}

    def region(self, region: str) -> RegionKeys:
        """The keys of a region."""
        answer = self._answers.get(region)
        if answer is None:
            return RegionKeys(self._keys.region(region).keys)
        return RegionKeys(self._keys.region(region).keys, answer.issuer, answer.cause, answer.detail)


def replay(root: Path, manifest: Manifest, keys: FileKeys) -> Report:
    """Validate a snapshot from its own files and keys. Whatever those hold is in the report and raises nothing."""
    return run_loop(_replay(root, manifest, keys))


async def _replay(root: Path, manifest: Manifest, keys: FileKeys) -> Report:
    begun, window = now_utc(), Interval(manifest.window.start, manifest.window.end)
    store = ReplayStore(root, manifest)
    if manifest.queries is not msgspec.UNSET:
        return await _replay_queries(store, manifest, manifest.queries, keys)
    engine = Engine(store, ReplayKeys(keys, manifest), Watch(), RateLimiter(_AT_ONCE))
    try:
        found = await engine.run(manifest.target, window, manifest.window.asked)
    finally:
        await store.close()
    ran = Run(started=begun.replace(microsecond=0), finished=now_utc().replace(microsecond=0), caller_arn=None)
    return build(found, manifest.request, ran, manifest.tolerate)


async def _replay_queries(store: ReplayStore, manifest: Manifest, place: Place, keys: FileKeys) -> Report:
    source, tolerated = ReplayKeys(keys, manifest), frozenset(manifest.tolerate)
    try:
        return await verify_again(place, store, source, manifest.window.asked, manifest.request, tolerated)
    finally:
        await store.close()
