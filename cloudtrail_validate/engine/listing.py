"""Find the digests of a site by listing, and whether its chains go on beyond the window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.coverage import TAIL
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import DIGEST_KIND, Folder, day_path, folder_day, parse_digest_key
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind, Locator, ObjectInfo
from cloudtrail_validate.stores.protocol import Lister

_DAY = timedelta(days=1)
_AFTER_WINDOW = 3 * HOUR  # the digests that reach into the window's last hour, and those that prove them


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
    """What one folder lists of digests: entries by chain in order of time, and objects that bear no digest's name.

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
            elif info.size or info.key.endswith(".gz"):  # not the zero-byte objects that stand for folders
                day = folder_day(info.key, path)
                if day is not None:
                    listing.strays.append((day, info))
    for entries in listing.chains.values():
        entries.sort()
    return listing


def entry_of(folder: Folder, info: ObjectInfo) -> Entry | None:
    """A listed object as a digest, or None where it bears no digest's name."""
    name = parse_digest_key(folder, info.key)
    if name is None:
        return None
    return Entry(name.end, Locator(folder.bucket, info.key), name.chain, info.size, info.modified, info.etag)


def _in_place(entry: Entry, path: str) -> bool:
    """Whether a digest lies in the date folder of its stamp, or next to it. Where CloudTrail puts backfills is not said."""
    if entry.where.key.startswith(day_path(entry.end), len(path)) or entry.chain.kind is Kind.BACKFILL:
        return True
    day = folder_day(entry.where.key, path)
    return day is None or day.start - _DAY <= entry.end <= day.end + _DAY


class Finder:
    """Lists the digests of one site: first around the window, further only where they do not reach its edges."""

    def __init__(
        self,
        store: Lister,
        folders: Sequence[Folder],
        nameless: ChainId,
        selects: Callable[[ChainId], bool],
        window: Interval,
        now: datetime,
    ) -> None:
        self._store = store
        self._folders = folders
        self._nameless = nameless
        self._selects = selects
        self._window = window
        self._now = now
        self._found = Found()

    async def find(self) -> Found:
        """Find them. Failures of the listing are part of the answer."""
        for folder in self._folders:
            try:
                # A digest of the last two hours tells that the next is still to come.
                start = min(self._window.start, self._now - TAIL)
                around = Interval(start, self._window.end + _AFTER_WINDOW)
                self._sort_in(await list_digests(self._store, folder, around))
            except AbsentError:
                continue
            except StoreError as error:
                self._found.failures.append((Locator(folder.bucket, folder.path(DIGEST_KIND)), error))
        if not self._found.failures:
            await self._look_beyond()
        if not self._found.failures and not self._nameless.trail:
            await self._look_around()
        return self._found

    def own(self, chain: ChainId) -> ChainId:
        """The chain under the site's own organization id, in whichever of its folders a digest lies."""
        return replace(chain, organization_id=self._nameless.organization_id)

    def _sort_in(self, listing: Listing) -> None:
        for found, entries in listing.chains.items():
            chain = self.own(found)
            held = self._found.selected if self._selects(chain) else self._found.others
            own = entries if chain == found else [replace(entry, chain=chain) for entry in entries]
            held[chain] = sorted([*held[chain], *own]) if chain in held else own
        for day, info in listing.strays:
            if day.overlaps(self._window):
                end = day.within(self._window).end
                where = Locator(self._folders[0].bucket, info.key)
                self._found.strays.append(Entry(end, where, self._nameless, info.size, info.modified, info.etag))

    async def _look_beyond(self) -> None:
        """Where listed digests do not reach the window's edges, see whether the chain goes on before or after it."""
        chains = {chain: held for chain, held in self._found.selected.items() if chain.kind is Kind.STANDARD}
        late = {chain for chain, held in chains.items() if held[0].end - HOUR > self._window.start}
        early = {chain for chain, held in chains.items() if held[-1].end < min(self._window.end, self._now - TAIL)}
        for folder in self._folders:
            path = folder.path(DIGEST_KIND)
            try:
                if late or not chains:
                    await self._before(folder, path, late)
                if early or not chains:
                    await self._after(folder, path, early)
            except AbsentError:
                continue
            except StoreError as error:
                self._found.failures.append((Locator(folder.bucket, path), error))

    async def _look_around(self) -> None:
        """Where no trail was named: take in chains that are there the day before and the day after, and not between."""
        for folder in self._folders:
            sides = []
            for moment in (self._window.start - _DAY, self._window.end + _AFTER_WINDOW + _DAY):
                try:
                    sides.append((await list_digests(self._store, folder, Interval(moment, moment))).chains)
                except AbsentError:
                    sides.append({})
                except StoreError as error:
                    self._found.failures.append((Locator(folder.bucket, folder.path(DIGEST_KIND)), error))
                    return
            before, after = sides
            for found in before.keys() & after.keys():
                chain = self.own(found)
                if chain.kind is Kind.STANDARD and chain not in self._found.selected:
                    entries = [replace(entry, chain=chain) for entry in (*before[found], *after[found])]
                    self._found.selected[chain] = entries

    async def _before(self, folder: Folder, path: str, wanted: set[ChainId]) -> None:
        """Note which chains have digests before the window; stop when all that are wanted have."""
        before = path + day_path(self._window.start + timedelta(days=1))
        async for batch in self._store.scan(folder.bucket, path, before=before):
            for entry in self._standard(folder, batch):
                if entry.end <= self._window.start and (not wanted or entry.chain in wanted):
                    self._found.earlier.add(entry.chain)
                    self._found.selected.setdefault(entry.chain, [])
            if wanted and wanted <= self._found.earlier:
                return

    async def _after(self, folder: Folder, path: str, wanted: set[ChainId]) -> None:
        """Take in the first digest after the listed days of each wanted chain: it says why hours are missing."""
        after = path + day_path(self._window.end + _AFTER_WINDOW + timedelta(days=1))
        seen: set[ChainId] = set()
        async for batch in self._store.scan(folder.bucket, path, after=after):
            for entry in self._standard(folder, batch):
                if entry.chain not in seen and (not wanted or entry.chain in wanted):
                    seen.add(entry.chain)
                    self._found.selected.setdefault(entry.chain, []).append(entry)
            if seen and wanted <= seen:
                return

    def _standard(self, folder: Folder, batch: Iterable[ObjectInfo]) -> Iterable[Entry]:
        for info in batch:
            entry = entry_of(folder, info)
            if entry is not None and entry.chain.kind is Kind.STANDARD and self._selects(self.own(entry.chain)):
                yield replace(entry, chain=self.own(entry.chain))
