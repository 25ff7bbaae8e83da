"""Read the digests of one site from the newest to the oldest and prove them.

Listing alone would miss a chain that came from another bucket or prefix; walking alone would stop at the first lost link.
So everything listed is read, and every predecessor that a proven digest names and no listing showed is asked for.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from typing import Final

from msgspec.structs import replace

from cloudtrail_validate.core.chain import DigestState, Link, Prover
from cloudtrail_validate.core.digest import Evidence, LogReference
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.findings import Ledger
from cloudtrail_validate.core.layout import Folder, folder_of, parse_digest_key
from cloudtrail_validate.core.model import HOUR, PASSING, ChainId, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.dedup import SeenLogs
from cloudtrail_validate.engine.digest_reader import DigestReader, ProvenDigest
from cloudtrail_validate.engine.listing import Entry, list_digests
from cloudtrail_validate.runtime.limits import Budget
from cloudtrail_validate.stores.protocol import Store

BYTES_PER_REFERENCE: Final = 70  # compressed: 32 random bytes of hash, 12 of name, little else
REFERENCES_AT_ONCE: Final = 6_000  # read or matched in one batch, ~0.5 kB each in memory
_DIGESTS_AT_ONCE: Final = 512  # as many as may be in flight by default


def references_in(size: int) -> int:
    """About how many logs a digest of this compressed size names."""
    return max(0, size - 300) // BYTES_PER_REFERENCE


class DigestProver:
    """Reads digests newest first and carries proof along each chain."""

    def __init__(
        self,
        store: Store,
        reader: DigestReader,
        keys: RegionKeys,
        ledger: Ledger,
        *,
        budget: Budget,
        window: Interval,
        bucketless: bool,
    ) -> None:
        self._store = store
        self._reader = reader
        self._keys = keys
        self._ledger = ledger
        self._budget = budget
        self._window = window
        self._bucketless = bucketless
        self._queue: list[Entry] = []
        self._seen: set[Locator] = set()
        self._listed: set[tuple[Folder, ChainId]] = set()
        self._provers: dict[ChainId, Prover] = {}
        self._quiet: set[ChainId] = set()
        self.links: dict[ChainId, list[Link]] = {}
        self.named: list[ProvenDigest] = []
        # About digests that a passing trouble kept from being read, and that may name logs of other hours than theirs.
        self.unheard: list[Finding] = []
        self.repeats = SeenLogs()

    def add(self, entries: list[Entry], *, quiet: bool = False) -> None:
        """Put digests into the walk. `quiet` chains are read for what they reference and report nothing."""
        for entry in entries:
            self._offer(entry)
            if quiet:
                self._quiet.add(entry.chain)

    def passes_over(self, other: DigestProver) -> None:
        """Do not read again what another walk has read."""
        self._seen |= other._seen

    def knows(self, folder: Folder, chain: ChainId) -> None:
        """Note that a chain's digests in a folder have been listed."""
        self._listed.add((folder, chain))

    def expects(self) -> int:
        """About how many logs the digests name that are still to be read."""
        return sum(references_in(entry.size) for entry in self._queue)

    async def run(self) -> None:
        """Read them all."""
        self.repeats = SeenLogs(self.expects())
        while self._queue:
            batch, expected = self._take()
            held = await self._budget.take(expected)
            try:
                await self._prove_all(batch)
            finally:
                await self._budget.give(held)

    async def _prove_all(self, batch: list[Entry]) -> None:
        """Read a batch at once and prove it one by one; what a link brings that is newer than the rest comes first."""
        answers = await asyncio.gather(*(self._reader.read(entry) for entry in batch))
        for entry, (evidence, logs) in zip(batch, answers, strict=True):
            while self._queue and entry < self._queue[-1]:
                await self._prove_all([self._queue.pop()])
            link = self._prove(entry, evidence, logs)
            self._ledger.progress.objects_done += 1
            if link.previous is not None and link.state is DigestState.PROVEN:
                await self._follow(link, link.previous, entry.chain)

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
            if entry.chain.kind is Kind.BACKFILL or not link.concerns(self._window):
                self.unheard += [finding for finding in findings if finding.cause in PASSING]
            if reported and link.concerns(self._window):
                for finding in findings:
                    self._ledger.add(finding)
            if logs and link.state is DigestState.PROVEN:
                self._name(entry, link, evidence.sha256, logs)
        self.links.setdefault(entry.chain, []).append(link)
        if reported and link.concerns(self._window):
            status = Status.MISSING if link.state is DigestState.MISSING else link.status
            self._ledger.checked(link.where, status, digest=True)
        return link

    def _name(self, entry: Entry, link: Link, sha256: str, logs: tuple[LogReference, ...]) -> None:
        self.repeats.note(logs)
        self.named.append(ProvenDigest(entry, link.interval, sha256, len(logs)))
        self._reader.keep(entry.where, logs)

    async def _follow(self, link: Link, previous: Locator, chain: ChainId) -> None:
        """Put a predecessor that no listing showed into the walk: from another folder, all of the chain there.

        A walk whose window is empty reads no more than it was given.
        """
        known = self._place(previous) in self._seen
        if known or not self._window.seconds or link.interval.start <= self._window.start:
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
