"""A copy as the place that it was copied from: whoever asks names objects as they lay there, and is answered so.

Standing before the store that holds the copy, this translates both ways, so that nothing else has to know of it. The time at
which a copy was written places nothing in time (`dated` is false). What lies there and outside of what was copied is not
known here: that is no absence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from msgspec.structs import replace

from cloudtrail_validate.core.copies import Displacement
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater
from cloudtrail_validate.core.model import Cause, Locator, ObjectInfo
from cloudtrail_validate.stores.protocol import Children, Store, Stored


class CopyStore:
    """The place that `source` holds a copy of, as `known` says. Closing it closes `source`."""

    dated = False

    def __init__(self, source: Store, known: Displacement) -> None:
        self.batch = source.batch
        self.workers = source.workers
        self._source = source
        self._known = known

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Yield the copied objects under a prefix of the original, with the keys that they have there."""
        known = self._known
        if bucket != known.of_bucket:
            where = self._here(Locator(bucket, prefix))
            async for page in self._source.scan(*where, after=after, before=before):
                yield page
            return
        inside = known.copied(prefix)
        if inside is None and not known.there.startswith(prefix):
            raise self._beyond(prefix)
        low, high = self._bound(after), self._bound(before)
        if (after and low is None) or (high is not None and high <= known.here):
            return
        async for page in self._source.scan(known.bucket, inside or known.here, after=low or "", before=high):
            yield [self._as_there(info) for info in page]

    async def children(self, bucket: str, prefix: str) -> Children:
        """Return one level, with the one folder that leads on to what was copied where that lies further down."""
        known = self._known
        if bucket != known.of_bucket:
            return await self._source.children(*self._here(Locator(bucket, prefix)))
        inside = known.copied(prefix)
        if inside is not None:
            level = await self._source.children(known.bucket, inside)
            return Children(level.folders, tuple(self._as_there(info) for info in level.objects))
        if not known.there.startswith(prefix):
            raise self._beyond(prefix)
        return Children((known.there[len(prefix) :].partition("/")[0],), ())

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return the copy of the object of exactly this key."""
        try:
            where = self._here(Locator(bucket, key))
        except StoreError:
            return None
        info = await self._source.exact(*where)
        return replace(info, key=key) if info is not None else None

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """Return the copy of a digest."""
        return await self._source.digest(self._here(where), size, etag)

    async def content(self, where: Locator, size: int | None, etag: str = "", make: MakeInflater = Inflater) -> Content:
        """Return the content of the copy of a log."""
        return await self._source.content(self._here(where), size, etag, make)

    async def contents(
        self, places: Sequence[Locator], make: MakeInflater = Inflater
    ) -> Sequence[Content | AbsentError | StoreError]:
        """Return the contents of the copies of several logs."""
        found = [self._here_or_error(where) for where in places]
        answers = iter(await self._source.contents([where for where in found if isinstance(where, Locator)], make))
        return [next(answers) if isinstance(where, Locator) else where for where in found]

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """Return the copy of an object, as it is stored."""
        return await self._source.stored(self._here(where), make, size, etag)

    async def close(self) -> None:
        """Close the store that holds the copy."""
        await self._source.close()

    def _here(self, where: Locator) -> Locator:
        """Return where the copy of an object lies. Raises `StoreError` for one that was not copied."""
        known = self._known
        if where.bucket not in ("", known.of_bucket):
            if known.bucket:
                return where
            raise self._beyond(str(where))  # the folder is a copy of one bucket, and says nothing of others
        key = known.copied(where.key)
        if key is None:
            raise self._beyond(where.key)
        return Locator(known.bucket, key)

    def _here_or_error(self, where: Locator) -> Locator | StoreError:
        try:
            return self._here(where)
        except StoreError as error:
            return error

    def _bound(self, key: str | None) -> str | None:
        """Return a bound of a listing, as it is here: none where it lies behind all that was copied."""
        known = self._known
        if key is None:
            return None
        inside = known.copied(key)
        if inside is not None:
            return inside
        return known.here if key < known.there else None

    def _as_there(self, info: ObjectInfo) -> ObjectInfo:
        return replace(info, key=self._known.there + info.key[len(self._known.here) :])

    def _beyond(self, what: str) -> StoreError:
        place = self._known.place
        return StoreError(
            Cause.NETWORK, f"{what[-200:]} lies beyond {place}, of which this is a copy", code="BeyondCopy"
        )
