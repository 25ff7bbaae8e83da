"""Looks around a place in which no digest was found: what lies there instead, by a few delimiter listings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.hints import Around
from cloudtrail_validate.core.layout import (
    ACCOUNT,
    DIGEST_KIND,
    LOG_KIND,
    ORGANIZATION,
    Folder,
    base_of,
    parse_digest_key,
)
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.stores.protocol import Children, Store

_ROOT: Final = "AWSLogs"
_MOST: Final = 32  # folders at a level that are looked into, one listing each


async def look_around(store: Store, target: Target) -> Around:
    """Look at what lies in the target's bucket or folder. What cannot be listed is taken for empty; raises nothing."""
    look = _Look(store, target.bucket)
    base = base_of(target.prefix)
    accounts = await look.accounts(base)
    if not accounts:
        return Around(bases=await look.bases())
    wanted = target.accounts or ((target.owner,) if target.owner else ())
    chosen = [place for place in accounts if place[1] in wanted] or accounts
    names = tuple(sorted({account for _, account in accounts}))
    regions: dict[str, Folder] = {}
    logs = False
    for place, account in chosen[:_MOST]:
        digests, written = await asyncio.gather(
            look.folders(f"{place}{account}/{DIGEST_KIND}/"), look.folders(f"{place}{account}/{LOG_KIND}/")
        )
        regions |= {region: Folder(target.bucket, place, account, region) for region in digests}
        logs = logs or bool(written)
    if not regions:
        return Around(accounts=names, regions=(), logs=logs)
    folder = regions.get(target.home_region) or regions[min(regions)]
    days, trails = await look.days(folder)
    return Around(accounts=names, regions=tuple(sorted(regions)), days=days, trails=trails)


class _Look:
    """Lists single levels of one bucket."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    async def level(self, prefix: str) -> Children:
        """One level; empty where it cannot be listed."""
        try:
            return await self._store.children(self._bucket, prefix)
        except (AbsentError, StoreError):
            return Children((), ())

    async def folders(self, prefix: str) -> Sequence[str]:
        """The names of the folders at a level."""
        return (await self.level(prefix)).folders

    async def accounts(self, base: str) -> list[tuple[str, str]]:
        """Account folders below `AWSLogs/` and its organizations, each with its base."""
        top = await self.folders(base)
        out = [(base, name) for name in top if ACCOUNT.fullmatch(name)]
        for name in (name for name in top if ORGANIZATION.fullmatch(name)):
            out += [(f"{base}{name}/", account) for account in await self.folders(f"{base}{name}/")]
        return [place for place in out if ACCOUNT.fullmatch(place[1])]

    async def bases(self) -> tuple[str, ...]:
        """Prefixes below which `AWSLogs/` lies: the top itself, folders at the top, and only then folders within these."""
        top = await self.folders("")
        one = await self._within([name for name in top if name != _ROOT])
        found = (("",) if _ROOT in top else ()) + tuple(name for name, folders in one if _ROOT in folders)
        if found:
            return found
        two = await self._within([f"{name}/{inner}" for name, folders in one for inner in folders])
        return tuple(name for name, folders in two if _ROOT in folders)

    async def _within(self, places: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
        """The first of `places`, each with the folders in it."""
        chosen = places[:_MOST]
        return list(zip(chosen, await asyncio.gather(*(self.folders(f"{name}/") for name in chosen)), strict=True))

    async def days(self, folder: Folder) -> tuple[tuple[str, str] | None, tuple[str, ...]]:
        """The oldest and the newest day of a region's digests, and the trails that wrote on the newest."""
        path = folder.path(DIGEST_KIND)
        first, last = await asyncio.gather(self._day(path, newest=False), self._day(path, newest=True))
        if not first or not last:
            return None, ()
        names = [parse_digest_key(folder, item.key) for item in (await self.level(f"{path}{last}/")).objects]
        return (first, last), tuple(sorted({name.chain.trail for name in names if name is not None}))

    async def _day(self, path: str, *, newest: bool) -> str:
        """`YYYY/MM/DD` of the first or last date folder, empty where there is none."""
        parts: list[str] = []
        for _ in range(3):
            inner = [
                name for name in await self.folders(path + "".join(f"{part}/" for part in parts)) if name.isdecimal()
            ]
            if not inner:
                return ""
            parts.append(max(inner) if newest else min(inner))
        return "/".join(parts)
