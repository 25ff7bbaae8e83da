"""Finds folders with query results and reads their files: listed level by level, hashed as they are stored, in pieces."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import AbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.gzip import Flaw, Inflater
from cloudtrail_validate.core.lake import (
    HEAD_BYTES,
    LAKE_FOLDER,
    MAX_SIGN_BYTES,
    SIGN_FILE,
    Seen,
    is_result_name,
)
from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.stores.protocol import Store

FILES_AT_ONCE: Final = 8  # of results, which may be gigabytes each; hashing them is what takes the time
MOST_UNLISTED: Final = 1_000  # files beside the listed ones that are read to see whether they are renamed ones
_ACCOUNT_FOLDER: Final = re.compile(r"(?:.*/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?[0-9]{12}/", re.DOTALL)
_ANY_SIZE: Final = 1 << 50


class Listing(msgspec.Struct, frozen=True):
    """What lies in one folder, by name; `prefix` is the folder's key with its closing slash, empty for the root."""

    prefix: str
    objects: Mapping[str, ObjectInfo]


class Taken(msgspec.Struct, frozen=True):
    """A sign file's bytes as they were read, at most one more than `MAX_SIGN_BYTES` of them, or why they were not."""

    data: bytes = b""
    seen: Seen = Seen()


class _Stop(Exception):  # noqa: N818 - no error: what was read is enough
    """More was fed than can be a sign file."""


class _Hashing(Inflater):
    """Hashes an object's bytes as they are stored, and keeps the first `keep` of them; inflates nothing.

    Raises `_Stop` behind `most` bytes.
    """

    __slots__ = ("_kept_most", "_most_stored", "_sha", "head", "special", "stored")

    def __init__(self, keep: int, most: int = _ANY_SIZE) -> None:
        super().__init__()
        self._sha = hashlib.sha256()
        self._kept_most = keep
        self._most_stored = most
        self.head = b""
        self.stored = 0
        self.special: str | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the object."""
        self._sha.update(data)
        self.stored += len(data)
        if len(self.head) < self._kept_most:
            self.head += data[: self._kept_most - len(self.head)]
        if self.stored > self._most_stored:
            raise _Stop

    def refuse(self, flaw: Flaw) -> None:
        """There is nothing to feed."""
        self.special = flaw.value

    def seen(self) -> Seen:
        """What was read."""
        if self.special is not None:
            return Seen(special=self.special)
        return Seen(self._sha.hexdigest(), self.stored, self.head)


async def folders(store: Store, bucket: str, prefix: str) -> AsyncIterator[Listing]:
    """Every folder at or below a prefix that holds a sign file or result files. Raises `StoreError` and `AbsentError`.

    Under `AWSLogs/ACCOUNT/` nothing but `CloudTrail-Lake/` is looked into: the logs beside it are many.
    """
    waiting = [prefix]
    while waiting:
        place = waiting.pop()
        if f"/{LAKE_FOLDER}/" in f"/{place}":
            async for listing in _below(store, bucket, place):
                yield listing
            continue
        level = await store.children(bucket, place)
        if any(info.key == place + SIGN_FILE for info in level.objects):
            async for listing in _below(store, bucket, place):
                yield listing
            continue
        found = _listing(place, level.objects)
        if found is not None:
            yield found
        of_account = _ACCOUNT_FOLDER.fullmatch(place) is not None
        waiting += [f"{place}{name}/" for name in reversed(level.folders) if not of_account or name == LAKE_FOLDER]


async def _below(store: Store, bucket: str, prefix: str) -> AsyncIterator[Listing]:
    """The folders of a flat listing. What lies deeper, beside no sign file of its own, belongs to the folder above."""
    held: dict[str, list[ObjectInfo]] = {}
    signed: set[str] = set()
    async for page in store.scan(bucket, prefix):
        for info in page:
            folder = _folder_of(info.key)
            held.setdefault(folder, []).append(info)
            if info.key == folder + SIGN_FILE:
                signed.add(folder)
    grouped: dict[str, list[ObjectInfo]] = {}
    for folder, objects in held.items():
        grouped.setdefault(_owner(folder, signed), []).extend(objects)
    for folder, objects in grouped.items():
        found = _listing(folder, objects)
        if found is not None:
            yield found


def _folder_of(key: str) -> str:
    folder, slash, _ = key.rpartition("/")
    return folder + slash


def _owner(folder: str, signed: Set[str]) -> str:
    """The nearest folder at or above this one that holds a sign file, or the folder itself."""
    above = folder
    while above not in signed:
        if not above:
            return folder
        above = _folder_of(above.removesuffix("/"))
    return above


def _listing(prefix: str, objects: Iterable[ObjectInfo]) -> Listing | None:
    named = {info.key[len(prefix) :]: info for info in objects if info.key != prefix or info.size}
    if any(name == SIGN_FILE or is_result_name(name) for name in named):
        return Listing(prefix, named)
    return None


class Files:
    """Reads files of a store. `all_of_them`: those as well that need not be read to judge a folder."""

    def __init__(self, store: Store, *, all_of_them: bool = False) -> None:
        self.dated = store.dated
        self.all_of_them = all_of_them
        self._store = store
        self._gate = asyncio.Semaphore(FILES_AT_ONCE)

    async def sign(self, where: Locator, info: ObjectInfo) -> Taken:
        """A sign file's bytes. One that claims to be larger than any can be is not read."""
        if info.size > MAX_SIGN_BYTES:
            return Taken(seen=Seen(special=f"it has {info.size:,} bytes"))
        seen = await self._read(where, info, MAX_SIGN_BYTES + 1, MAX_SIGN_BYTES)
        return Taken(seen.head, seen)

    async def results(self, bucket: str, listing: Listing, names: Sequence[str]) -> dict[str, Seen]:
        """The files of one folder by name, those that `names` gives; they are all in the listing."""

        async def one(name: str) -> Seen:
            async with self._gate:
                return await self._read(Locator(bucket, listing.prefix + name), listing.objects[name], HEAD_BYTES)

        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))

    async def _read(self, where: Locator, info: ObjectInfo, keep: int, most: int = _ANY_SIZE) -> Seen:
        used: list[_Hashing] = []

        def make(_: int | None) -> Inflater:
            used.append(_Hashing(keep, most))  # a new one each attempt
            return used[-1]

        try:
            await self._store.stored(where, make, info.size, info.etag)
        except _Stop:
            return used[-1].seen()
        except CustomerKeyError as error:
            return Seen(special=error.detail)
        except AbsentError:
            return Seen(absent=True)
        except StoreError as error:
            return Seen(cause=error.cause, detail=error.detail)
        return used[-1].seen()
