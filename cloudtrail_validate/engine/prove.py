"""Proves the digests of one account-region: all that are listed, and every predecessor that a proven one leads to.

Listing alone would miss a chain that came from another bucket or prefix; walking alone would stop at the first lost link.
So everything listed is read, newest first, and every predecessor that a proven digest names and no listing showed is asked
for. Proof runs along a chain from the newest digest to the oldest, so this phase is never cut by time.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, Link, Prover
from cloudtrail_validate.core.continuation import identity
from cloudtrail_validate.core.digest import Evidence, LogReference, SignatureStatus
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.layout import Folder, folder_of, parse_digest_key
from cloudtrail_validate.core.model import HOUR, PASSING, ChainId, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.core.plan import AccountRegion, Edge
from cloudtrail_validate.core.signature import PublicKey, RegionKeys
from cloudtrail_validate.core.unreferenced import ListedDigest, is_copy
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.listing import Entry, Finder, Found, list_digests
from cloudtrail_validate.engine.routing import Router
from cloudtrail_validate.engine.seams import Seams
from cloudtrail_validate.engine.stages import ChainLinks, Failure, ProvenChains, ProvenDigest, Scope
from cloudtrail_validate.engine.tools import Tools

BYTES_PER_REFERENCE: Final = 70  # compressed: 32 random bytes of hash, 12 of name, little else
REFERENCES_AT_ONCE: Final = 6_000  # read in one batch, ~0.5 kB each in memory
_DIGESTS_AT_ONCE: Final = 512  # as many as may be in flight by default
_CONTEXT: Final = 2  # digests read at once beyond the window: one may reach into it, the next proves that one


async def prove(region: AccountRegion, scope: Scope, tools: Tools, reader: DigestReader) -> ProvenChains:
    """List, read and prove the digests of one account-region. What cannot be listed is in the result."""
    finder = Finder(tools.store, region, scope.window, scope.now)
    found, keys = await asyncio.gather(finder.find(), tools.keys(region.region))
    seams = Seams(region, found.selected, scope.window, tools.store, reader, keys)
    continuations = await seams.find()
    found.take_in(seams.beyond)
    found.rename(identity(region, continuations))
    prover = DigestProver(region, scope, tools, reader, keys)
    for held, quiet in ((found.selected, False), (found.others, True)):
        for chain, entries in held.items():
            for folder in region.folders:
                prover.knows(folder, replace(chain, organization_id=folder.organization_id))
            prover.add([entry for entry in entries if scope.window.start < entry.end <= scope.window.end], quiet=quiet)
            prover.add(await prover.context([entry for entry in entries if entry.end > scope.window.end]), quiet=quiet)
    prover.add(found.strays)
    await prover.run(follow=True)
    return replace(_proven(region, found, prover), continuations=continuations)


def references_in(size: int) -> int:
    """Estimate the number of logs that a digest of this compressed size names."""
    return max(0, size - 300) // BYTES_PER_REFERENCE


class DigestProver:
    """Reads digests newest first and carries proof along each chain.

    `links`, `digests`, `claiming`, `findings`, `unread` and `keys` are what it came to (see `ProvenChains`).
    """

    def __init__(
        self, region: AccountRegion, scope: Scope, tools: Tools, reader: DigestReader, keys: RegionKeys
    ) -> None:
        self.window = scope.window
        self._tools = tools
        self._reader = reader
        self._keys = keys
        self._router = Router(region, scope.now)
        self._bucketless = not region.folders[0].bucket
        self._queue: list[Entry] = []
        self._seen: set[Locator] = set()
        self._read: dict[Locator, tuple[Evidence, tuple[LogReference, ...]]] = {}
        self._listed: set[tuple[Folder, ChainId]] = set()
        self._provers: dict[ChainId, Prover] = {}
        self._quiet: set[ChainId] = set()
        self._follows = False
        self.links: dict[ChainId, list[Link]] = {}
        self.digests: list[ProvenDigest] = []
        self.claiming: list[ProvenDigest] = []
        self.proven: list[ListedDigest] = []
        self.edges: dict[ChainId, Edge] = {}
        self.known_again: list[Edge] = []
        self._remembered = {edge.where.key for edge in region.edges}
        self.findings = FindingSet()
        self.unread: list[Finding] = []
        self.keys: set[PublicKey] = set()

    def add(self, entries: Iterable[Entry], *, quiet: bool = False) -> None:
        """Put digests into the walk. `quiet` chains are read for what they reference and report nothing."""
        for entry in entries:
            self._offer(entry)
            if quiet:
                self._quiet.add(entry.chain)

    async def context(self, later: Sequence[Entry]) -> Sequence[Entry]:
        """Read digests behind the window, until one of them bears a signature of its own; return all that were read.

        A fixed number of neighbours is no context: decoys may lie before the digest that proves the window's last.
        """
        for start in range(0, len(later), _CONTEXT):
            some = later[start : start + _CONTEXT]
            answers = await asyncio.gather(*(self._reader.observe(entry, self._keys) for entry in some))
            valid = {
                entry.where: (evidence, logs)
                for entry, (evidence, logs) in zip(some, answers, strict=True)
                if evidence is not None and evidence.own is SignatureStatus.VALID
            }
            self._read.update(valid)  # whatever else lies there is read again: what it names takes memory meanwhile
            if valid:
                return later[: start + _CONTEXT]
        return later

    def passes_over(self, places: Iterable[Locator]) -> None:
        """Do not read digests again that were read before."""
        self._seen |= {self._place(where) for where in places}

    def knows(self, folder: Folder, chain: ChainId) -> None:
        """Note that a chain's digests in a folder have been listed."""
        self._listed.add((folder, chain))

    async def run(self, *, follow: bool) -> None:
        """Read all that were added and, with `follow`, predecessors that no listing showed."""
        self._follows = follow
        while self._queue:
            batch, expected = self._take()
            held = await self._tools.references.take(expected)
            try:
                await self._prove_all(batch)
            finally:
                await self._tools.references.give(held)

    async def _prove_all(self, batch: list[Entry]) -> None:
        """Read a batch at once and prove it one by one; what a link brings that is newer than the rest comes first."""
        answers = await asyncio.gather(*map(self._observe, batch))
        for entry, (evidence, logs) in zip(batch, answers, strict=True):
            while self._queue and entry < self._queue[-1]:
                await self._prove_all([self._queue.pop()])
            link = self._prove(entry, evidence, logs)
            self._tools.watch.progress.objects_done += 1
            if link.previous is not None and link.state is DigestState.PROVEN:
                await self._follow(link, link.previous, entry.chain)

    async def _observe(self, entry: Entry) -> tuple[Evidence | None, tuple[LogReference, ...]]:
        known = self._read.pop(entry.where, None)
        return await self._reader.observe(entry, self._keys) if known is None else known

    def _take(self) -> tuple[list[Entry], int]:
        """Return the newest digests that may be read at once, and how many references they may bring."""
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
            self._tools.watch.progress.objects_known += 1

    def _place(self, where: Locator) -> Locator:
        """Return where an object lies for this store: in a local copy one folder stands for every bucket."""
        return Locator("", where.key) if self._bucketless else where

    def _prove(self, entry: Entry, evidence: Evidence | None, logs: tuple[LogReference, ...]) -> Link:
        prover = self._provers.setdefault(entry.chain, Prover(self._keys))
        findings: tuple[Finding, ...] = ()
        if evidence is None:
            link = prover.missing(entry.where, Interval(entry.end - HOUR, entry.end))
        else:
            link, findings = prover.step(evidence)
            if evidence.fingerprint in prover.fingerprints:
                self.keys.add(self._keys.keys[evidence.fingerprint])
            if logs and link.state is DigestState.PROVEN:
                self._name(entry, link, evidence.sha256, logs)
            elif logs and link.state is DigestState.UNREADABLE:
                self.claiming.append(ProvenDigest(entry, link.interval, evidence.sha256, len(logs), counted=False))
            if link.state is DigestState.PROVEN:
                self._remember(evidence, link)
                self.proven.append(ListedDigest(entry.end, entry.where, entry.modified))
        self.links.setdefault(entry.chain, []).append(link)
        self._tell(entry, link, findings)
        return link

    def _remember(self, evidence: Evidence, link: Link) -> None:
        """Keep what a later run needs to know a digest again: the newest of each chain, and those asked for."""
        edge = Edge(evidence.chain, evidence.where, evidence.sha256, evidence.signature or "", link.interval.end)
        known = self.edges.get(edge.chain)
        if known is None or known.end < edge.end:
            self.edges[edge.chain] = edge
        if evidence.where.key in self._remembered:
            self.known_again.append(edge)

    def _tell(self, entry: Entry, link: Link, findings: Sequence[Finding]) -> None:
        """Report what was found about a digest of the window; keep what others may have to know."""
        inside = link.concerns(self.window)
        if entry.chain.kind is Kind.BACKFILL or not inside:
            self.unread += [finding for finding in findings if finding.cause in PASSING]
        if inside and entry.chain not in self._quiet:
            for finding in findings:
                self.findings.add(finding)
                self._tools.watch.found(finding)
            status = Status.MISSING if link.state is DigestState.MISSING else link.status
            self._tools.watch.checked(link.where, status, digest=True)

    def _name(self, entry: Entry, link: Link, sha256: str, logs: tuple[LogReference, ...]) -> None:
        counted = entry.chain not in self._quiet and link.interval.overlaps(self.window)
        reaches = self._router.reaches_of(logs)
        self.digests.append(ProvenDigest(entry, link.interval, sha256, len(logs), reaches, counted))
        self._reader.keep(entry.where, logs)

    async def _follow(self, link: Link, previous: Locator, chain: ChainId) -> None:
        """Put a predecessor that no listing showed into the walk: from another folder, all of the chain there."""
        if not self._follows or self._place(previous) in self._seen or link.interval.start <= self.window.start:
            return
        place = folder_of(*self._place(previous))
        name = parse_digest_key(place[0], previous.key) if place else None
        end = name.end if name else link.interval.start
        if end <= self.window.start:
            return
        if place and name and (place[0], name.chain) not in self._listed:
            self._listed.add((place[0], name.chain))
            await self._list_elsewhere(place[0], chain, name.chain)
        self._offer(Entry(min(end, link.interval.end), self._place(previous), chain))

    async def _list_elsewhere(self, folder: Folder, chain: ChainId, named: ChainId) -> None:
        """A chain that came from another bucket or prefix: its digests there, as far as they may be listed."""
        try:
            listing = await list_digests(self._tools.store, folder, self.window)
        except (AbsentError, StoreError):
            return  # the predecessor itself is read next, and says what is wrong
        for entry in listing.chains.get(named, ()):
            if self.window.start < entry.end <= self.window.end:
                self._offer(replace(entry, chain=chain))


def _proven(region: AccountRegion, found: Found, prover: DigestProver) -> ProvenChains:
    """Return the values that the digest phase comes to."""
    stray_keys = {entry.where.key for entry in found.strays}
    strays = [link for held in prover.links.values() for link in held if link.where.key in stray_keys]
    links: Mapping[ChainId, list[Link]] = {
        chain: [link for link in held if link.where.key not in stray_keys] for chain, held in prover.links.items()
    }
    return ProvenChains(
        region,
        tuple(
            _chain_links(chain, links.get(chain, ()), found, prover.window)
            for chain in dict.fromkeys((*found.selected, *links))
        ),
        tuple(prover.digests),
        tuple(strays),
        prover.findings.freeze(),
        tuple(prover.unread),
        tuple(Failure(rules.DIGEST_UNREADABLE, where, error.cause, error.detail) for where, error in found.failures),
        tuple(sorted(prover.keys, key=lambda key: (key.region or "", key.fingerprint))),
        max(
            (moment for chain, held in found.selected.items() for moment in _written(held, links.get(chain, ()))),
            default=None,
        ),
        tuple(prover.claiming),
        is_copy(prover.proven),
        tuple(dict.fromkeys((*prover.edges.values(), *prover.known_again))),
    )


def _unrefuted(entries: Iterable[Entry], links: Iterable[Link]) -> Iterator[Entry]:
    """Return the digests of a chain without those that were read and refuted.

    What anybody may plant shows no delivery. What only cannot be verified, for want of its key or of access, lies there.
    """
    left = (DigestState.PROVEN, DigestState.UNREADABLE)
    refuted = {link.where.key for link in links if link.state not in left}
    return (entry for entry in entries if entry.where.key not in refuted)


def _written(entries: Iterable[Entry], links: Iterable[Link]) -> Iterator[datetime]:
    return (entry.modified for entry in _unrefuted(entries, links) if entry.modified is not None)


def _chain_links(chain: ChainId, links: Sequence[Link], found: Found, window: Interval) -> ChainLinks:
    """Return one chain's links, and what the listing says of its digests from before the window."""
    entries = found.selected.get(chain, [])
    older = [entry.end for entry in entries if entry.end <= window.start]
    earlier = chain in found.earlier or bool(older)
    newest = next(iter(_unrefuted(reversed(entries), links)), None)
    return ChainLinks(chain, tuple(links), chain in found.selected, earlier, max(older, default=None), newest)
