"""Find the digests of a site by listing, and whether its chains go on beyond the window."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.coverage import TAIL
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import DIGEST_KIND, SINCE, Folder, day_path, folder_day, parse_digest_key
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind, Locator, ObjectInfo
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.outside import list_outside
from cloudtrail_validate.stores.protocol import Lister

_DAY: Final = timedelta(days=1)
_AFTER_WINDOW: Final = 3 * HOUR  # the digests that reach into the window's last hour, and those that prove them
_LOOK_BACK: Final = timedelta(days=35)  # 840 digests: one page of a listing
_YEAR: Final = re.compile(r"[0-9]{4}")


class Entry(msgspec.Struct, frozen=True):
    """A digest to read: end time from its key, place, chain, compressed size in bytes, time of the last write and ETag.

    Where it was not listed, the last three are 0, None and empty. Sorts by time.
    """

    end: datetime
    where: Locator
    chain: ChainId
    size: int = 0
    modified: datetime | None = None
    etag: str = ""

    def __lt__(self, other: Entry) -> bool:
        return (self.end, self.where) < (other.end, other.where)


@dataclass(slots=True)
class Listing:
    """Holds one folder's listing: digests by chain in order of time, and objects that bear no digest's name.

    Of the latter each comes with the day of its folder.
    """

    chains: dict[ChainId, list[Entry]] = field(default_factory=dict)
    strays: list[tuple[Interval, ObjectInfo]] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """The digests of a site.

    `selected` are the chains that were asked for, `others` those of other trails in the same folders. `earlier` are
    chains that have digests before the window; `failures` the folders whose listing failed.
    """

    selected: dict[ChainId, list[Entry]] = field(default_factory=dict)
    others: dict[ChainId, list[Entry]] = field(default_factory=dict)
    strays: list[Entry] = field(default_factory=list)
    earlier: set[ChainId] = field(default_factory=set)
    failures: list[tuple[Locator, StoreError]] = field(default_factory=list)

    def take_in(self, more: Mapping[ChainId, Sequence[Entry]]) -> None:
        """Add digests of chains that were asked for; what is there already stays once."""
        for chain, entries in more.items():
            self.selected[chain] = sorted({*self.selected.get(chain, ()), *entries})

    def rename(self, own: Callable[[ChainId], ChainId]) -> None:
        """Take the digests of chains that have one name for those of one chain."""
        self.selected = _renamed(self.selected, own)
        self.others = _renamed(self.others, own)
        self.earlier = {own(chain) for chain in self.earlier}


def _renamed(chains: Mapping[ChainId, list[Entry]], own: Callable[[ChainId], ChainId]) -> dict[ChainId, list[Entry]]:
    out: dict[ChainId, list[Entry]] = {}
    for chain, entries in chains.items():
        _file(entries, chain, own(chain), out)
    return out


def _file(entries: list[Entry], found: ChainId, chain: ChainId, held: dict[ChainId, list[Entry]]) -> None:
    """Put digests that were `found` under one chain's name under the name by which that chain is known."""
    own = entries if chain == found else [replace(entry, chain=chain) for entry in entries]
    held[chain] = sorted([*held[chain], *own]) if chain in held else own


async def list_digests(store: Lister, folder: Folder, days: Interval) -> Listing:
    """List a folder's digests whose date folder lies in `days`."""
    path = folder.path(DIGEST_KIND)
    before = path + day_path(days.end + timedelta(days=1))
    listing = Listing()
    async for batch in store.scan(folder.bucket, path, after=path + day_path(days.start), before=before):
        for info in batch:
            entry = entry_of(folder, info)
            if entry is not None and _in_place(entry, path):
                listing.chains.setdefault(entry.chain, []).append(entry)
            elif _is_file(info):
                day = folder_day(info.key, path)
                if day is not None:
                    listing.strays.append((day, info))
    for entries in listing.chains.values():
        entries.sort()
    return listing


def entry_of(folder: Folder, info: ObjectInfo) -> Entry | None:
    """Return a listed object as a digest, or None where it bears no digest's name."""
    name = parse_digest_key(folder, info.key)
    if name is None:
        return None
    return Entry(name.end, Locator(folder.bucket, info.key), name.chain, info.size, info.modified, info.etag)


def _is_file(info: ObjectInfo) -> bool:
    """Tell whether an object is more than one of the zero-byte ones that stand for folders."""
    return bool(info.size) or info.key.endswith(".gz")


def _in_place(entry: Entry, path: str) -> bool:
    """Tell whether a digest lies in the date folder of its stamp, or next to it.

    Where CloudTrail puts backfills is not said.
    """
    if entry.where.key.startswith(day_path(entry.end), len(path)) or entry.chain.kind is Kind.BACKFILL:
        return True
    day = folder_day(entry.where.key, path)
    return day is None or day.start - _DAY <= entry.end <= day.end + _DAY


class Finder:
    """Lists the digests of one site: first around the window, further only where they do not reach its edges."""

    def __init__(self, store: Lister, region: AccountRegion, window: Interval, now: datetime) -> None:
        self._store = store
        self._region = region
        self._folders = region.folders
        self._nameless = region.nameless
        self._selects = region.selects
        self._window = window
        self._now = now
        self._found = Found()
        # Of what is no digest here: where the logs are elsewhere's, who looked into the folder before has told of it.
        self._tells = not region.logs_elsewhere

    async def find(self) -> Found:
        """Find them. Failures of the listing are part of the answer."""
        more = [look for look, wanted in ((self._aside, self._tells), (self._back, not self._nameless.trail)) if wanted]
        await self._each(self._around, *more)
        if not self._found.failures:
            chains = {chain: held for chain, held in self._found.selected.items() if chain.kind is Kind.STANDARD}
            await self._each(lambda folder: self._beyond(folder, self._in(folder, chains)))
        return self._found

    async def _each(self, *looks: Callable[[Folder], Awaitable[None]]) -> None:
        """Look into every folder, in the given ways side by side. What cannot be listed is noted once a folder."""
        for folder in self._folders:
            for error in await asyncio.gather(*(look(folder) for look in looks), return_exceptions=True):
                if isinstance(error, StoreError):
                    self._fail(folder, error)
                elif error is not None and not isinstance(error, AbsentError):
                    raise error

    def _fail(self, folder: Folder, error: StoreError) -> None:
        where = Locator(folder.bucket, folder.path(DIGEST_KIND))
        if all(known != where for known, _ in self._found.failures):
            self._found.failures.append((where, error))

    @property
    def _days(self) -> Interval:
        """Return the days that are listed first. A digest of the last two hours tells that the next is still to come."""
        return Interval(min(self._window.start, self._now - TAIL), self._window.end + _AFTER_WINDOW)

    async def _around(self, folder: Folder) -> None:
        self._sort_in(await list_digests(self._store, folder, self._days))

    def _in(self, folder: Folder, chains: Mapping[ChainId, Sequence[Entry]]) -> Mapping[ChainId, Sequence[Entry]]:
        """Return the chains that a folder may hold digests of: all of the one trail, else its own."""
        if self._region.one_trail:
            return chains
        return {chain: held for chain, held in chains.items() if chain.organization_id == folder.organization_id}

    def _sort_in(self, listing: Listing) -> None:
        for found, entries in listing.chains.items():
            chain = self._region.own(found)
            _file(entries, found, chain, self._found.selected if self._selects(chain) else self._found.others)
        for day, info in listing.strays if self._tells else ():
            if day.overlaps(self._window):
                end = day.within(self._window).end
                where = Locator(self._folders[0].bucket, info.key)
                self._found.strays.append(Entry(end, where, self._nameless, info.size, info.modified, info.etag))

    async def _aside(self, folder: Folder) -> None:
        """Take up what lies outside of the date folders. What bears a digest's name belongs to the window of its stamp."""
        path = folder.path(DIGEST_KIND)
        async for page in list_outside(self._store, folder.bucket, path, self._window, self._now):
            for info in page:
                entry = entry_of(folder, info)
                end = entry.end if entry else self._window.end
                if _is_file(info) and self._window.start < end <= self._window.end:
                    where = Locator(folder.bucket, info.key)
                    self._found.strays.append(Entry(end, where, self._nameless, info.size, info.modified, info.etag))

    async def _back(self, folder: Folder) -> None:
        """Where no trail was named: take in the newest digest of each chain that has some before the window.

        A chain that ended is missed as much beside others as alone. The days of five weeks are looked through; of the time
        before that, days at doubling distances, which show every chain that was there as long as it has been gone.
        """
        path, until = folder.path(DIGEST_KIND), self._days.start
        newest: dict[ChainId, Entry] = {}
        after, before = path + day_path(until - _LOOK_BACK), path + day_path(until)
        async for batch in self._store.scan(folder.bucket, path, after=after, before=before):
            newest.update((entry.chain, entry) for entry in self._standard(folder, batch))
        years = (await self._store.children(folder.bucket, path)).folders
        oldest = max(SINCE, min((int(year) for year in years if _YEAR.fullmatch(year)), default=until.year + 1))
        distance = 2 * _LOOK_BACK
        while (until - distance).year >= oldest:
            moment = until - distance
            for chain, entries in (await list_digests(self._store, folder, Interval(moment, moment))).chains.items():
                own = self._region.own(chain)
                if chain.kind is Kind.STANDARD and self._selects(own):
                    newest.setdefault(own, replace(entries[-1], chain=own))
            distance *= 2
        self._found.take_in({chain: [entry] for chain, entry in newest.items()})

    async def _beyond(self, folder: Folder, chains: Mapping[ChainId, Sequence[Entry]]) -> None:
        """Where listed digests do not reach the window's edges, see whether the chain goes on before or after it."""
        late = {chain for chain, held in chains.items() if held[0].end - HOUR > self._window.start}
        early = {chain for chain, held in chains.items() if held[-1].end < min(self._window.end, self._now - TAIL)}
        path = folder.path(DIGEST_KIND)
        if late or not chains:
            await self._before(folder, path, late)
        if early or not chains:
            await self._after(folder, path, early)

    async def _before(self, folder: Folder, path: str, wanted: set[ChainId]) -> None:
        """Note which chains have digests before the window; stop when all that are wanted have. Of others, the newest."""
        before = path + day_path(self._window.start + _DAY)
        newest: dict[ChainId, Entry] = {}
        async for batch in self._store.scan(folder.bucket, path, before=before):
            for entry in self._standard(folder, batch):
                if entry.end <= self._window.start and (not wanted or entry.chain in wanted):
                    self._found.earlier.add(entry.chain)
                    newest[entry.chain] = max(entry, newest.get(entry.chain, entry))
            if wanted and wanted <= self._found.earlier:
                return
        self._found.take_in({chain: [entry] for chain, entry in newest.items() if chain not in wanted})

    async def _after(self, folder: Folder, path: str, wanted: set[ChainId]) -> None:
        """Take in digests after the listed days of each wanted chain: the first proven one says why hours are missing."""
        after = path + day_path(self._window.end + _AFTER_WINDOW + timedelta(days=1))
        seen: set[ChainId] = set()
        async for batch in self._store.scan(folder.bucket, path, after=after):
            for entry in self._standard(folder, batch):
                if not wanted or entry.chain in wanted:
                    seen.add(entry.chain)
                    self._found.selected.setdefault(entry.chain, []).append(entry)
            if seen and wanted <= seen:
                return

    def _standard(self, folder: Folder, batch: Iterable[ObjectInfo]) -> Iterable[Entry]:
        for info in batch:
            entry = entry_of(folder, info)
            if entry is not None and entry.chain.kind is Kind.STANDARD and self._selects(self._region.own(entry.chain)):
                yield replace(entry, chain=self._region.own(entry.chain))
