"""Defines the protocol that every store keeps, and what can go wrong in one.

A store answers with values or raises one of the errors below; nothing else gets out of it. One conformance test runs on all
of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater
from cloudtrail_validate.core.model import Locator, ObjectInfo


class Children(msgspec.Struct, frozen=True):
    """One level of a listing: names of the folders under a prefix, and the objects that lie right in it."""

    folders: tuple[str, ...]
    objects: tuple[ObjectInfo, ...]


class Stored(msgspec.Struct, frozen=True):
    """An object as it is stored: the inflater that took its bytes, its metadata, and when it was last written.

    `metadata` and `modified` are None where the store cannot know them.
    """

    inflater: Inflater
    metadata: Mapping[str, str] | None
    modified: datetime | None


class Lister(Protocol):
    """Lists keys in ascending order of their UTF-8 bytes."""

    def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Return every object under `prefix` (which ends in a slash) with `after <= key < before`, in batches."""
        ...

    async def children(self, bucket: str, prefix: str) -> Children:
        """Return the folders and objects right under `prefix`."""
        ...

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return the object with exactly this key, slashes at its end included."""
        ...


class Reader(Protocol):
    """Reads objects, whole, without ever holding more of one than a bounded piece beyond what the inflater keeps.

    `size` (bytes) and `etag` are what the listing said of the object, None and empty where it was not listed. A store that
    reads over a network takes nothing for the object's content that differs from them: it asks again, the listing too.

    Besides `AbsentError` and `StoreError` all of them raise `CustomerKeyError`, which is a `StoreError` and means an edit.
    """

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """Return a digest's content in the inflater that took it, and its metadata (None: this store cannot know it)."""
        ...

    async def content(self, where: Locator, size: int | None, etag: str = "", make: MakeInflater = Inflater) -> Content:
        """Return a log's content, as the inflater that `make` makes tells it."""
        ...

    async def contents(
        self, places: Sequence[Locator], make: MakeInflater = Inflater
    ) -> Sequence[Content | AbsentError | StoreError]:
        """Return several logs' contents, or why they could not be read, in their order."""
        ...

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """Return an object of any sort, its bytes exactly as stored fed to what `make` makes of its size in bytes.

        `make` is called again for each attempt; `feed` runs on a thread. What it raises comes through as it is, unless
        it is an OSError or ValueError, which would pass for the store's own.
        """
        ...


class Store(Lister, Reader, Protocol):
    """A place that holds CloudTrail's files.

    `dated` is true where an object's time of last write is evidence of its delivery (S3; not a local copy). `batch` is the
    number of logs that are best asked for at once, `workers` how many such questions at a time (None: as the pace allows).
    """

    dated: bool
    batch: int
    workers: int | None

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


async def outcome(reading: Awaitable[Content]) -> Content | AbsentError | StoreError:
    """Return the errors of a store as values."""
    try:
        return await reading
    except (AbsentError, StoreError) as error:
        return error
