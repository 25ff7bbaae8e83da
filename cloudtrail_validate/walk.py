"""Walk the digests of one folder from the newest to the oldest: find them by listing and by following links, prove them.

Listing alone would miss a chain that came from another bucket or prefix; walking alone would stop at the first lost link.
So everything listed is read, and every predecessor that a proven digest names and no listing showed is asked for.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cloudtrail_validate import digest
from cloudtrail_validate.chain import Link, Prover, State
from cloudtrail_validate.digest import Evidence, Fetched, LogReference, Own
from cloudtrail_validate.layout import DIGEST_KIND, Folder, day_path, folder_of, parse_digest_key
from cloudtrail_validate.ledger import Ledger
from cloudtrail_validate.model import HOUR, ChainId, Interval, Locator, Status
from cloudtrail_validate.signature import RegionKeys
from cloudtrail_validate.stores import AbsentError, ObjectInfo, Store, StoreError

BATCH_BYTES: Final = 1_500_000  # compressed digests read at once, ~70 bytes a log: about 20,000 references in memory
BATCH_DIGESTS: Final = 1_000
BYTES_PER_REFERENCE: Final = 70  # compressed: 32 random bytes of hash, 12 of name, little else


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A digest to read: end time from its key, place, chain, compressed size in bytes (0 where it was not listed)."""

    end: datetime
    where: Locator
    chain: ChainId = field(compare=False)
    size: int = field(compare=False, default=0)
    modified: datetime | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Proved:
    """A digest that has been read: its link, its chain, and the logs it names (none unless it is proven)."""

    chain: ChainId
    link: Link
    logs: tuple[LogReference, ...]


@dataclass(slots=True)
class Listing:
    """What one folder lists of digests: entries by chain in order of time, and objects that bear no digest name."""

    chains: dict[ChainId, list[Entry]] = field(default_factory=dict)
    strays: list[ObjectInfo] = field(default_factory=list)


async def list_digests(store: Store, folder: Folder, days: Interval | None) -> Listing:
    """List a folder's digests whose date folder lies in `days`, or all of them."""
    path = folder.path(DIGEST_KIND)
    after = path + day_path(days.start) if days else ""
    before = path + day_path(days.end + timedelta(days=1)) if days else None
    listing = Listing()
    async for batch in store.scan(folder.bucket, path, after=after, before=before):
        for info in batch:
            name = parse_digest_key(folder, info.key)
            if name is not None:
                entry = Entry(name.end, Locator(folder.bucket, info.key), name.chain, info.size, info.modified)
                listing.chains.setdefault(name.chain, []).append(entry)
            elif info.size or not _is_marker(info.key):
                listing.strays.append(info)
    for entries in listing.chains.values():
        entries.sort()
    return listing


def _is_marker(key: str) -> bool:
    """CreateTrail and UpdateTrail leave zero-byte objects in the place of folders."""
    return not key.endswith(".gz")


class DigestWalk:
    """Reads digests newest first and carries proof along each chain."""

    def __init__(
        self,
        store: Store,
        keys: RegionKeys,
        ledger: Ledger,
        *,
        bucket: str,
        slots: asyncio.Semaphore,
        window: Interval,
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._keys = keys
        self._ledger = ledger
        self._slots = slots
        self._window = window
        self._queue: list[Entry] = []
        self._seen: set[Locator] = set()
        self._listed: set[tuple[Folder, ChainId]] = set()
        self._provers: dict[ChainId, Prover] = {}
        self._quiet: set[ChainId] = set()
        self.links: dict[ChainId, list[Link]] = {}

    def add(self, entries: list[Entry], *, quiet: bool = False) -> None:
        """Put digests into the walk. `quiet` chains are read for what they reference and report nothing."""
        for entry in entries:
            self._offer(entry)
            if quiet:
                self._quiet.add(entry.chain)

    def knows(self, folder: Folder, chain: ChainId) -> None:
        """Note that a chain's digests in a folder have been listed."""
        self._listed.add((folder, chain))

    async def batches(self) -> AsyncIterator[list[Proved]]:
        """Digests in batches, newest first, until none is left."""
        while self._queue:
            batch = self._take()
            fetched = await asyncio.gather(*(self._fetch(entry) for entry in batch))
            proved = []
            for entry, (evidence, logs) in zip(batch, fetched, strict=True):
                proved.append(self._prove(entry, evidence, logs))
            await self._follow(proved)
            yield proved

    def _place(self, where: Locator) -> Locator:
        """Where an object lies for this store: in a local copy one folder stands for every bucket."""
        return where if self._bucket else Locator("", where.key)

    def _take(self) -> list[Entry]:
        batch: list[Entry] = []
        size = 0
        while self._queue and len(batch) < BATCH_DIGESTS and (not batch or size + self._queue[-1].size <= BATCH_BYTES):
            entry = self._queue.pop()
            size += entry.size
            batch.append(entry)
        return batch

    def _offer(self, entry: Entry) -> None:
        if self._place(entry.where) not in self._seen:
            self._seen.add(self._place(entry.where))
            insort(self._queue, entry)
            self._ledger.progress.objects_known += 1

    async def _fetch(self, entry: Entry) -> tuple[Evidence | None, tuple[LogReference, ...]]:
        """Read one digest. None: it is not there."""
        async with self._slots:
            try:
                inflater, metadata = await self._store.digest(entry.where)
            except AbsentError:
                return None, ()
            except StoreError as error:
                return digest.unreadable(entry.where, entry.chain, entry.end, error.cause, error.detail), ()
            finally:
                self._ledger.progress.objects_done += 1
        content = inflater.finish()
        fetched = Fetched(entry.where, entry.chain, entry.end, inflater.kept(), content.sha256, content.flaw, metadata)
        evidence, logs = digest.observe(fetched, self._keys)
        if evidence.own is Own.VALID:
            self._ledger.keys_used.add(self._keys.keys[evidence.fingerprint])
        return evidence, logs

    def _prove(self, entry: Entry, evidence: Evidence | None, logs: tuple[LogReference, ...]) -> Proved:
        if evidence is None:
            link = Link(entry.where, Interval(entry.end - HOUR, entry.end), State.MISSING)
        else:
            prover = self._provers.setdefault(entry.chain, Prover(self._keys))
            link, findings = prover.step(evidence)
            if entry.chain not in self._quiet and link.concerns(self._window):
                for finding in findings:
                    self._ledger.add(finding)
        self.links.setdefault(entry.chain, []).append(link)
        if entry.chain not in self._quiet and link.concerns(self._window):
            status = Status.MISSING if link.state is State.MISSING else link.status
            self._ledger.checked(entry.where, status, digest=True)
        return Proved(entry.chain, link, logs if link.state is State.PROVEN else ())

    async def _follow(self, proved: list[Proved]) -> None:
        """Put predecessors that no listing showed into the walk: in another folder all of the chain, here just them."""
        for item in proved:
            previous, link = item.link.previous, item.link
            if previous is None or self._place(previous) in self._seen or link.state is not State.PROVEN:
                continue
            if link.interval.start <= self._window.start:
                continue
            place = folder_of(*self._place(previous))
            name = parse_digest_key(place[0], previous.key) if place else None
            end = name.end if name else link.interval.start
            if end <= self._window.start:
                continue
            if place and name and (place[0], name.chain) not in self._listed:
                await self._list_elsewhere(place[0], item.chain, name.chain)
            self._offer(Entry(min(end, link.interval.end), previous, item.chain))

    async def _list_elsewhere(self, folder: Folder, chain: ChainId, named: ChainId) -> None:
        """A chain that came from another bucket or prefix: its digests there, as far as they may be listed."""
        self._listed.add((folder, named))
        try:
            listing = await list_digests(self._store, folder, self._window)
        except (AbsentError, StoreError):
            return  # the predecessor itself is read next, and says what is wrong
        for entry in listing.chains.get(named, ()):
            if self._window.start < entry.end <= self._window.end:
                self._offer(Entry(entry.end, entry.where, chain, entry.size, entry.modified))
