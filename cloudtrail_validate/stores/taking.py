"""Stores that stand before another, and list what that lists.

`TakingStore` takes each object as it is stored: for what looks at stored bytes while others read content.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater
from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.stores.protocol import Children, Store, Stored, outcome


class PassingStore:
    """Passes listings on, and the errors of its source. Closing it closes `source`. How objects are read is a subclass's."""

    def __init__(self, source: Store) -> None:
        self.dated = source.dated
        self.batch = source.batch
        self.workers = source.workers
        self._source = source

    def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """List what the source lists."""
        return self._source.scan(bucket, prefix, after=after, before=before)

    async def children(self, bucket: str, prefix: str) -> Children:
        """Return one level of the source."""
        return await self._source.children(bucket, prefix)

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return the object of exactly this key."""
        return await self._source.exact(bucket, key)

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()


class TakingStore(PassingStore, ABC):
    """Keeps the protocol of a store. A subclass says in `_take` how an object is read, for digests and logs alike."""

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """Take a digest, and return it with its metadata."""
        stored = await self._take(where, size, etag, digests=True)
        return stored.inflater, stored.metadata

    async def content(
        self,
        where: Locator,
        size: int | None,
        etag: str = "",
        make: MakeInflater = Inflater,  # noqa: ARG002  # the protocol's: what takes objects makes its own
    ) -> Content:
        """Take a log, and return its content."""
        return (await self._take(where, size, etag, digests=False)).inflater.finish()

    async def contents(
        self, places: Sequence[Locator], make: MakeInflater = Inflater
    ) -> Sequence[Content | AbsentError | StoreError]:
        """Take several logs."""
        return await asyncio.gather(*(outcome(self.content(where, None, make=make)) for where in places))

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """Return an object as stored, which is not taken."""
        return await self._source.stored(where, make, size, etag)

    @abstractmethod
    async def _take(self, where: Locator, size: int | None, etag: str, *, digests: bool) -> Stored:
        """Read an object of the source, a digest or a log, and take what of it is wanted."""
