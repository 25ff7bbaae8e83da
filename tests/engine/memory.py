"""A store in memory, and account-regions of a vector's trail in it: what the stages are tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater, digest_of
from cloudtrail_validate.core.model import Cause, Locator, ObjectInfo
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.signature import PublicKey, RegionKeys, index_keys
from cloudtrail_validate.simulate import Delivery
from cloudtrail_validate.stores.protocol import Children, Stored, outcome
from tests.scenarios import keys
from tests.scenarios.world import Buckets, World


class MemoryStore:
    """Objects in memory. `asked` are the keys that were read, `failing` those that cannot be, each with its error."""

    dated = True
    batch = 1
    workers: int | None = 4

    def __init__(self, buckets: Buckets, *, page: int = 3) -> None:
        self._buckets = {bucket: dict(sorted(objects.items())) for bucket, objects in buckets.items()}
        self._page = page
        self.asked: list[str] = []
        self.failing: dict[str, StoreError | AbsentError] = {}

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        self._fail(prefix)
        keys_ = [
            key
            for key in self._buckets.get(bucket, {})
            if key.startswith(prefix) and key >= after and (before is None or key < before)
        ]
        for start in range(0, len(keys_), self._page):
            yield [self._info(bucket, key) for key in keys_[start : start + self._page]]

    async def children(self, bucket: str, prefix: str) -> Children:
        self._fail(prefix)
        below = [key[len(prefix) :] for key in self._buckets.get(bucket, {}) if key.startswith(prefix)]
        folders = dict.fromkeys(rest.split("/")[0] for rest in below if "/" in rest)
        objects = [self._info(bucket, prefix + rest) for rest in below if "/" not in rest]
        return Children(tuple(folders), tuple(objects))

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        return self._info(bucket, key) if key in self._buckets.get(bucket, {}) else None

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        delivery = self._read(where)
        inflater = digest.inflater(len(delivery.body))
        inflater.feed(delivery.body)
        return inflater, delivery.metadata

    async def content(self, where: Locator, size: int | None, etag: str = "", make: MakeInflater = Inflater) -> Content:
        return digest_of(self._read(where).body, make=make)

    async def contents(
        self, places: Sequence[Locator], make: MakeInflater = Inflater
    ) -> Sequence[Content | AbsentError | StoreError]:
        return [await outcome(self.content(where, None, make=make)) for where in places]

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        delivery = self._read(where)
        inflater = make(len(delivery.body))
        inflater.feed(delivery.body)
        return Stored(inflater, delivery.metadata, delivery.delivered)

    async def close(self) -> None:
        """Nothing is held open."""

    def _fail(self, key: str) -> None:
        if key in self.failing:
            raise self.failing[key]

    def _read(self, where: Locator) -> Delivery:
        self.asked.append(where.key)
        self._fail(where.key)
        try:
            delivery = self._buckets[where.bucket][where.key]
        except KeyError:
            raise AbsentError("no such object") from None
        if delivery.unreadable:
            raise StoreError(Cause.ACCESS_DENIED, "it may not be read")
        return delivery

    def _info(self, bucket: str, key: str) -> ObjectInfo:
        delivery = self._buckets[bucket][key]
        return ObjectInfo(key, len(delivery.body), delivery.delivered)


class VectorKeys:
    """The keys that a vector publishes: CloudTrail's own answer, or a file's, as the vector says."""

    def __init__(self, world: World) -> None:
        self._keys = keys.listed(world.vector.keys, world.published, world.spec)
        self._issuer = world.vector.keys.source == "aws"

    def region(self, region: str) -> RegionKeys:
        source = "aws" if self._issuer else "file"
        own = [
            PublicKey(key.fingerprint, key.der, *key.valid, region, source)
            for key in self._keys
            if key.region == region
        ]
        return RegionKeys(index_keys(own), self._issuer)


def target_of(world: World) -> Target:
    """The whole bucket of a vector, whatever trail wrote it."""
    return Target(world.spec.bucket, world.spec.prefix or None)
