"""Read the digests of one site from the newest to the oldest and prove them.

Listing alone would miss a chain that came from another bucket or prefix; walking alone would stop at the first lost link.
So everything listed is read, and every predecessor that a proven digest names and no listing showed is asked for.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate import digest, rules
from cloudtrail_validate.chain import Link, Prover, State
from cloudtrail_validate.digest import Evidence, Fetched, LogReference, Own
from cloudtrail_validate.finder import Entry, list_digests
from cloudtrail_validate.layout import Folder, folder_of, parse_digest_key
from cloudtrail_validate.ledger import Ledger
from cloudtrail_validate.model import HOUR, ChainId, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.pace import Budget, Pace
from cloudtrail_validate.repeats import Repeats
from cloudtrail_validate.signature import RegionKeys
from cloudtrail_validate.stores import AbsentError, Store, StoreError

BYTES_PER_REFERENCE: Final = 70  # compressed: 32 random bytes of hash, 12 of name, little else
REFERENCES_AT_ONCE: Final = 10_000  # read in one batch, ~0.5 kB each in memory
_DIGESTS_AT_ONCE: Final = 512  # as many as may be in flight by default


def references_in(size: int) -> int:
    """About how many logs a digest of this compressed size names."""
    return max(0, size - 300) // BYTES_PER_REFERENCE


class Named(msgspec.Struct, frozen=True):
    """A proven digest that names logs: where to read them again, or the references themselves."""

    entry: Entry
    interval: Interval
    sha256: str
    logs: tuple[LogReference, ...] | None
    number: int

    @property
    def written(self) -> datetime:
        """When its logs had been delivered at the latest: a backfill digest is written hours after the hour it is of."""
        if self.entry.chain.kind is Kind.BACKFILL and self.entry.modified is not None:
            return max(self.interval.end, self.entry.modified)
        return self.interval.end


class DigestReader:
    """Fetches and checks single digests, within the run's bounds."""

    def __init__(self, store: Store, pace: Pace, keys: RegionKeys, ledger: Ledger) -> None:
        self._store = store
        self._pace = pace
        self._keys = keys
        self._ledger = ledger

    async def read(self, entry: Entry) -> tuple[Evidence | None, tuple[LogReference, ...]]:
        """One digest's evidence and the logs it names. None: it is not there."""
        async with self._pace:
            try:
                inflater, metadata = await self._store.digest(entry.where)
            except AbsentError:
                return None, ()
            except StoreError as error:
                return digest.unreadable(entry.where, entry.chain, entry.end, error.cause, error.detail), ()
        content = inflater.finish()
        fetched = Fetched(entry.where, entry.chain, entry.end, inflater.kept(), content.sha256, content.flaw, metadata)
        evidence, logs = digest.observe(fetched, self._keys)
        if evidence.own is Own.VALID:
            self._ledger.keys_used.add(self._keys.keys[evidence.fingerprint])
        return evidence, logs

    async def again(self, proven: Named) -> tuple[LogReference, ...] | None:
        """The logs that a proven digest names: as kept, or read again. None where it is not the bytes that were proven."""
        if proven.logs is not None:
            return proven.logs
        evidence, logs = await self.read(proven.entry)
        return logs if evidence is not None and evidence.sha256 == proven.sha256 else None

    async def named_by(self, proven: Named) -> tuple[LogReference, ...]:
        """The same, with a finding and none where the digest has changed meanwhile."""
        logs = await self.again(proven)
        if logs is not None:
            return logs
        chain = proven.entry.chain
        self._ledger.add(
            Finding(
                rules.DIGEST_UNREADABLE,
                Status.UNVERIFIABLE,
                chain.account,
                chain.region,
                chain.trail,
                proven.entry.where,
                proven.interval,
                detail="it was read and proven, and is not the same any more: run again",
            )
        )
        return ()


class Proof(msgspec.Struct, frozen=True):
    """What a site proved: its digests that name logs, and the reader that reads them again."""

    account: str
    region: str
    reader: DigestReader
    named: tuple[Named, ...]


class DigestWalk:
    """Reads digests newest first and carries proof along each chain.

    `keeping` bounds the references of proven digests that stay in memory until `forget`; digests for whose references
    there is no room are to be read again.
    """

    def __init__(
        self,
        store: Store,
        reader: DigestReader,
        keys: RegionKeys,
        ledger: Ledger,
        *,
        budget: Budget,
        keeping: Budget,
        window: Interval,
        bucketless: bool,
    ) -> None:
        self._store = store
        self._reader = reader
        self._keys = keys
        self._ledger = ledger
        self._budget = budget
        self._keeping = keeping
        self._window = window
        self._bucketless = bucketless
        self._queue: list[Entry] = []
        self._seen: set[Locator] = set()
        self._listed: set[tuple[Folder, ChainId]] = set()
        self._provers: dict[ChainId, Prover] = {}
        self._quiet: set[ChainId] = set()
        self._kept = 0
        self.links: dict[ChainId, list[Link]] = {}
        self.named: list[Named] = []
        self.repeats = Repeats()

    def add(self, entries: list[Entry], *, quiet: bool = False) -> None:
        """Put digests into the walk. `quiet` chains are read for what they reference and report nothing."""
        for entry in entries:
            self._offer(entry)
            if quiet:
                self._quiet.add(entry.chain)

    def knows(self, folder: Folder, chain: ChainId) -> None:
        """Note that a chain's digests in a folder have been listed."""
        self._listed.add((folder, chain))

    def expects(self) -> int:
        """About how many logs the digests name that are still to be read."""
        return sum(references_in(entry.size) for entry in self._queue)

    async def forget(self) -> None:
        """Let the kept references go, and give back what they took."""
        self.named = [replace(item, logs=None) for item in self.named]
        kept, self._kept = self._kept, 0
        await self._keeping.give(kept)

    async def run(self) -> None:
        """Read them all."""
        self.repeats = Repeats(self.expects())
        while self._queue:
            batch, expected = self._take()
            held = await self._budget.take(expected)
            try:
                for entry, (evidence, logs) in zip(
                    batch, await asyncio.gather(*(self._reader.read(entry) for entry in batch)), strict=True
                ):
                    link = self._prove(entry, evidence, logs)
                    self._ledger.progress.objects_done += 1
                    if link.previous is not None and link.state is State.PROVEN:
                        await self._follow(link, link.previous, entry.chain)
            finally:
                await self._budget.give(held)

    def _take(self) -> tuple[list[Entry], int]:
        """The newest digests that may be read at once, and how many references they may bring."""
        batch: list[Entry] = []
        expected = 0
        while self._queue and len(batch) < _DIGESTS_AT_ONCE:
            number = references_in(self._queue[-1].size)
            if batch and expected + number > REFERENCES_AT_ONCE:
                break
            expected += number
            batch.append(self._queue.pop())
        return batch, expected

    def _offer(self, entry: Entry) -> None:
        where = self._place(entry.where)
        if where not in self._seen:
            self._seen.add(where)
            insort(self._queue, entry)
            self._ledger.progress.objects_known += 1

    def _place(self, where: Locator) -> Locator:
        """Where an object lies for this store: in a local copy one folder stands for every bucket."""
        return Locator("", where.key) if self._bucketless else where

    def _prove(self, entry: Entry, evidence: Evidence | None, logs: tuple[LogReference, ...]) -> Link:
        reported = entry.chain not in self._quiet
        prover = self._provers.setdefault(entry.chain, Prover(self._keys))
        if evidence is None:
            link = prover.missing(entry.where, Interval(entry.end - HOUR, entry.end))
        else:
            link, findings = prover.step(evidence)
            if reported and link.concerns(self._window):
                for finding in findings:
                    self._ledger.add(finding)
            if logs and link.state is State.PROVEN:
                self._name(entry, link, evidence.sha256, logs)
        self.links.setdefault(entry.chain, []).append(link)
        if reported and link.concerns(self._window):
            status = Status.MISSING if link.state is State.MISSING else link.status
            self._ledger.checked(link.where, status, digest=True)
        return link

    def _name(self, entry: Entry, link: Link, sha256: str, logs: tuple[LogReference, ...]) -> None:
        self.repeats.note(logs)
        keep = self._keeping.spare(len(logs))
        self._kept += len(logs) if keep else 0
        self.named.append(Named(entry, link.interval, sha256, logs if keep else None, len(logs)))

    async def _follow(self, link: Link, previous: Locator, chain: ChainId) -> None:
        """Put a predecessor that no listing showed into the walk: from another folder, all of the chain there."""
        if self._place(previous) in self._seen or link.interval.start <= self._window.start:
            return
        place = folder_of(*self._place(previous))
        name = parse_digest_key(place[0], previous.key) if place else None
        end = name.end if name else link.interval.start
        if end <= self._window.start:
            return
        if place and name and (place[0], name.chain) not in self._listed:
            self._listed.add((place[0], name.chain))
            await self._list_elsewhere(place[0], chain, name.chain)
        self._offer(Entry(min(end, link.interval.end), self._place(previous), chain))

    async def _list_elsewhere(self, folder: Folder, chain: ChainId, named: ChainId) -> None:
        """A chain that came from another bucket or prefix: its digests there, as far as they may be listed."""
        try:
            listing = await list_digests(self._store, folder, self._window)
        except (AbsentError, StoreError):
            return  # the predecessor itself is read next, and says what is wrong
        for entry in listing.chains.get(named, ()):
            if self._window.start < entry.end <= self._window.end:
                self._offer(replace(entry, chain=chain))
