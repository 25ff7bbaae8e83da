"""Notices a copy: every digest says that it lies elsewhere, all displaced alike, and is genuine for that place.

That is no tampering, but an option that was not given (`--copy-of`). `Watched` stands before a store and looks at the
digests that pass through. The first that lies where it says settles it: from then on nothing is looked at. On one that does
not, all that lie beside it are read, and if they agree and are genuine, nothing of it reaches whoever asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from cloudtrail_validate.core.chain import DigestState, Prover
from cloudtrail_validate.core.copies import Displacement, displacement, is_digest, rank
from cloudtrail_validate.core.digest import Fetched, claimed_place, observe
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.layout import DIGEST_KIND, folder_of, parse_digest_key
from cloudtrail_validate.core.model import ChainId, Locator
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.runtime.loop import in_daemon_thread
from cloudtrail_validate.stores.protocol import Children, Lister, Reader, Store
from cloudtrail_validate.stores.taking import PassingStore

_LISTINGS: Final = 64  # levels that are listed to find a digest: four times as many as a tree of CloudTrail's is deep
_FOLDERS: Final = 200  # of one level that are kept in mind
_BESIDE: Final = 48  # digests of one date folder that are read to see whether they agree: two trails' of a day
_ACCOUNTS: Final = 8  # other accounts of which digests are read before a tree is taken for a copy
_REGIONS: Final = 17  # the same of their regions: those that every account has


class DisplacedError(BaseException):
    """All digests say that they lie elsewhere, as `seen` tells: what was asked cannot have been meant.

    No `Exception`, so that it passes the boundaries at which an error concerns one object only.
    """

    def __init__(self, seen: Displacement) -> None:
        super().__init__(seen.place)
        self.seen = seen

    def __reduce__(self) -> tuple[object, ...]:
        return DisplacedError, (self.seen,)


class _Claim(msgspec.Struct, frozen=True):
    """A digest as it lies, and where it says it lies."""

    lies: Locator
    says: Locator
    inflater: Inflater
    metadata: Mapping[str, str] | None

    @property
    def in_place(self) -> bool:
        """Tell whether it lies where it says; a folder of this computer stands for any bucket."""
        return self.lies.key == self.says.key and self.lies.bucket in ("", self.says.bucket)


async def find_digests(store: Lister, bucket: str, prefix: str = "") -> list[Locator]:
    """Return digests of the newest date folder that is found below a prefix, wherever in CloudTrail's tree that begins.

    Asks for a bounded number of listings. What cannot be listed is passed over.
    """
    waiting = [prefix]
    for _ in range(_LISTINGS):
        if not waiting:
            break
        at = waiting.pop()
        try:
            level = await store.children(bucket, at)
        except (AbsentError, StoreError):
            continue
        found = [Locator(bucket, info.key) for info in level.objects if is_digest(info.key.rpartition("/")[2])]
        if found:
            return found
        names = sorted(sorted(level.folders, reverse=True), key=rank)[:_FOLDERS]
        waiting += [f"{at}{name}/" for name in reversed(names)]
    return []


async def displacements(store: Reader, places: Sequence[Locator]) -> list[Displacement]:
    """Return how digests are displaced, of those that can be read: what they say, unproven."""
    claims = [await _read(store, where) for where in places[:_BESIDE]]
    seen = [displacement(claim.lies, claim.says) for claim in claims if claim is not None]
    return [item for item in seen if item is not None]


class Watched(PassingStore):
    """A store whose digests are looked at until it is clear that they lie where they say.

    `keys` answers with a region's public keys, blocking. Raises `DisplacedError` from `digest` and `look`.
    """

    def __init__(self, source: Store, keys: Callable[[str], RegionKeys]) -> None:
        super().__init__(source)
        self._keys = keys
        self._settled = False
        self._looking = asyncio.Lock()
        # Logs are many: what is not looked at does not pass through a call of its own.
        self.content = source.content
        self.contents = source.contents
        self.stored = source.stored

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """Return a digest, unless all are displaced."""
        inflater, metadata = await self._source.digest(where, size, etag)
        if not self._settled:
            await self._consider(where, inflater, metadata)
        return inflater, metadata

    async def look(self, bucket: str, prefixes: Sequence[str]) -> None:
        """Read a few digests below some prefixes now, for those who let others read them."""
        for prefix in prefixes:
            for where in (await find_digests(self._source, bucket, prefix))[:1]:
                claim = None if self._settled else await _read(self._source, where)
                if claim is not None:
                    await self._consider(where, claim.inflater, claim.metadata)

    async def _consider(self, where: Locator, inflater: Inflater, metadata: Mapping[str, str] | None) -> None:
        says = claimed_place(inflater.kept())
        if says is None:
            return
        claim = _Claim(where, says, inflater, metadata)
        seen = displacement(where, says)
        if claim.in_place:
            self._settled = True
        if self._settled or seen is None:
            return
        async with self._looking:
            if not self._settled:
                await self._survey(claim, seen)

    async def _survey(self, first: _Claim, seen: Displacement) -> None:
        """Read what lies beside a displaced digest. Raises `DisplacedError` where all agree and one is proven."""
        beside = first.lies.key.rpartition("/")[0] + "/"
        try:
            level = await self._source.children(first.lies.bucket, beside)
        except (AbsentError, StoreError):
            level = Children((), ())
        keys = [info.key for info in level.objects if is_digest(info.key.rpartition("/")[2])]
        others = [Locator(first.lies.bucket, key) for key in keys[:_BESIDE] if key != first.lies.key]
        others += await self._far(first.lies)
        read = await asyncio.gather(*(_read(self._source, where) for where in others))
        claims = [first, *(claim for claim in read if claim is not None)]
        alike = all(displacement(claim.lies, claim.says) == seen for claim in claims)
        if alike and await self._genuine(claims):
            raise DisplacedError(seen)
        self._settled = True

    async def _far(self, where: Locator) -> list[Locator]:
        """Return a digest of each of the tree's other days, months and account-regions.

        A planted folder makes no copy of it.
        """
        placed = folder_of(*where)
        if placed is None:
            return []
        base, bucket = placed[0].base, where.bucket
        accounts = [f"{base}{name}/{DIGEST_KIND}/" for name in await self._folders(bucket, base)][:_ACCOUNTS]
        regions = await asyncio.gather(*(self._folders(bucket, path) for path in accounts))
        paths = [
            f"{account}{name}/" for account, names in zip(accounts, regions, strict=True) for name in names[:_REGIONS]
        ]
        day = where.key.rpartition("/")[0] + "/"
        month = day[:-1].rpartition("/")[0] + "/"
        year = month[:-1].rpartition("/")[0] + "/"
        paths += [f"{level}{name}/" for level in (month, year) for name in await self._folders(bucket, level)]
        others = [path for path in paths if not where.key.startswith(path)]
        found = await asyncio.gather(*(find_digests(self._source, bucket, path) for path in others))
        return [places[0] for places in found if places]

    async def _folders(self, bucket: str, prefix: str) -> Sequence[str]:
        """Return the names of the folders at a level; none where it cannot be listed."""
        try:
            return (await self._source.children(bucket, prefix)).folders
        except (AbsentError, StoreError):
            return ()

    async def _genuine(self, claims: Sequence[_Claim]) -> bool:
        """Tell whether CloudTrail signed one of them at least, or the successor of one, for the place that it names."""
        known: dict[str, RegionKeys] = {}
        provers: dict[ChainId, Prover] = {}
        there = sorted(filter(None, map(_as_there, claims)), key=lambda item: (item.end, item.where), reverse=True)
        for item in there:  # newest first, as proof runs
            region = item.chain.region
            if region not in known:
                known[region] = await in_daemon_thread(self._keys, region)
            prover = provers.setdefault(item.chain, Prover(known[region]))
            evidence, _ = observe(item, known[region])
            if prover.step(evidence)[0].state is DigestState.PROVEN:
                return True
        return False


def _as_there(claim: _Claim) -> Fetched | None:
    """Return a digest as if it lay where it says."""
    place = folder_of(*claim.says)
    name = parse_digest_key(place[0], claim.says.key) if place else None
    if name is None:
        return None
    content = claim.inflater.finish()
    return Fetched(
        claim.says, name.chain, name.end, claim.inflater.kept(), content.sha256, content.flaw, claim.metadata
    )


async def _read(store: Reader, where: Locator) -> _Claim | None:
    try:
        inflater, metadata = await store.digest(where)
    except (AbsentError, StoreError):
        return None
    says = claimed_place(inflater.kept())
    return _Claim(where, says, inflater, metadata) if says is not None else None
