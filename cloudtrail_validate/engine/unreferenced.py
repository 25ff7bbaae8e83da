"""Looks for whoever could name the files that no digest read so far names, and judges what is left.

The shell around `core.unreferenced`: it lists and reads the digests which that asks for. One place answers for `validate`,
`file` and `snapshot` alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, Link, Prover
from cloudtrail_validate.core.continuation import Identity
from cloudtrail_validate.core.coverage import Span, touches, union
from cloudtrail_validate.core.digest import Evidence, LogReference, SignatureStatus
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import DIGEST_KIND, Folder
from cloudtrail_validate.core.model import EPOCH, HOUR, PASSING, ChainId, Finding, Interval, Locator
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.core.unreferenced import (
    Knowledge,
    ListedDigest,
    Question,
    UnreferencedFile,
    Writer,
    judge,
    question,
    to_read,
    unreferenced,
    writers,
)
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.known_writers import KeysOf, TrailId, known_writers
from cloudtrail_validate.engine.listing import Entry, list_digests
from cloudtrail_validate.engine.stages import Failure, ProvenDigest, Unnamed
from cloudtrail_validate.stores.protocol import Lister

Files = Mapping[Locator, UnreferencedFile]


def _as_it_is(chain: ChainId) -> ChainId:
    return chain


class Surroundings(msgspec.Struct, frozen=True):
    """Holds the digests of some folders that are known before files are judged.

    `links` are those that the run has read, by chain; `claiming` the digests that could be read and neither proven nor
    refuted; `writers` further trails that are known to write here, though no digest shows them; `unread` the hours of
    digests that a passing trouble kept from being read; `own` names the chain of a digest, whichever folder it lies in.
    """

    folders: tuple[Folder, ...]
    links: Mapping[ChainId, Sequence[Link]]
    claiming: tuple[ProvenDigest, ...] = ()
    writers: tuple[Writer, ...] = ()
    unread: Span = ()
    own: Identity = _as_it_is


class Judged(msgspec.Struct, frozen=True):
    """The rule of each file that is left, in order of place; folders that could not be listed; digests not read."""

    rules: tuple[tuple[UnreferencedFile, str], ...] = ()
    failures: tuple[Failure, ...] = ()
    unread: tuple[Finding, ...] = ()


def files_of(
    unnamed: Iterable[Unnamed], window: Interval, latest: datetime, *, dated: bool
) -> dict[Locator, UnreferencedFile]:
    """Read the places of files, and take those that a run over the window reports. `latest` is as in `unreferenced`."""
    files = (
        unreferenced(
            Locator(file.bucket, file.info.key), file.info.modified, latest=latest, dated=dated, path=file.path
        )
        for file in unnamed
    )
    return {file.where: file for file in files if file.belongs(window)}


class Inquiry:
    """Reads the digests that could name some files, and judges the files that none of them names. `run` once."""

    def __init__(
        self,
        around: Surroundings,
        files: Files,
        reader: DigestReader,
        keys: RegionKeys,
        store: Lister,
        keys_of: KeysOf,
    ) -> None:
        self._around = around
        self._left = dict(files)
        self._reader = reader
        self._keys = keys
        self._store = store
        self._keys_of = keys_of
        self._bucketless = not around.folders[0].bucket
        self._entries: dict[ChainId, dict[Locator, Entry]] = {}
        self._evidence: dict[ChainId, dict[Locator, Evidence]] = {}
        self._names: dict[Locator, frozenset[Locator]] = {}  # by digest: which of the files it names
        self._links: dict[ChainId, tuple[Link, ...]] = {}
        self._failures: list[Failure] = []
        self._unread: list[Finding] = []

    async def run(self, now: datetime) -> Judged:
        """Read until nothing that could name a file is unread, and judge what is left."""
        if not self._left:
            return Judged()
        asked = question(self._left.values())
        await self._list(asked)
        while todo := self._todo(asked):
            await self._read(todo)
        claimed = await self._claimed()
        for link in (link for held in self._links.values() for link in held if link.state is DigestState.PROVEN):
            for where in self._names.get(link.where, ()):
                self._left.pop(where, None)
        known = self._knowledge(asked, claimed, now)
        ruled = tuple((file, judge(file, known)) for _, file in sorted(self._left.items()))
        if any(_accused(*pair) for pair in ruled):
            ruled = await self._reconsidered(ruled, known)
        return Judged(ruled, tuple(self._failures), tuple(self._unread))

    async def _list(self, asked: Question) -> None:
        """List the digests of all folders in the days asked for."""
        for folder in self._around.folders if asked.days else ():
            try:
                listing = await list_digests(self._store, folder, asked.days or _NEVER)
            except AbsentError:
                continue
            except StoreError as error:
                where = Locator(folder.bucket, folder.path(DIGEST_KIND))
                self._failures.append(Failure(rules.DIGEST_UNREADABLE, where, error.cause, error.detail))
                continue
            for chain, entries in listing.chains.items():
                held = self._entries.setdefault(self._around.own(chain), {})
                held.update({self._in_store(entry.where): entry for entry in entries})

    def _todo(self, asked: Question) -> list[tuple[ChainId, Entry]]:
        """Return the digests to read next."""
        out: list[tuple[ChainId, Entry]] = []
        for chain, entries in self._entries.items():
            states = self._states(chain)
            listed = [ListedDigest(entry.end, where, entry.modified) for where, entry in entries.items()]
            wanted = to_read(asked, chain.kind, listed, states)
            out += [(chain, entries[item.where]) for item in wanted]
            if not wanted:
                out += [(chain, entry) for entry in self._witnesses(chain, states)]
        return out

    def _witnesses(self, chain: ChainId, states: Mapping[Locator, DigestState]) -> list[Entry]:
        """Return proven digests of the run whose word on an unproven one read here has not been heard here yet."""
        own = self._evidence.get(chain, {})
        ordered = sorted(self._entries[chain].items(), key=lambda pair: pair[1])
        out: dict[Locator, Entry] = {}
        for index, (where, _) in enumerate(ordered):
            if where not in own or states[where] is DigestState.PROVEN:
                continue
            following = next((pair for pair in ordered[index + 1 :] if states.get(pair[0]) is DigestState.PROVEN), None)
            if following is not None and following[0] not in own:
                out[following[0]] = following[1]
        return list(out.values())

    async def _read(self, todo: Sequence[tuple[ChainId, Entry]]) -> None:
        """Read digests, and prove each chain anew with what they say."""
        answers = await asyncio.gather(*(self._reader.observe(entry, self._keys) for _, entry in todo))
        for (chain, entry), (evidence, logs) in zip(todo, answers, strict=True):
            where = self._in_store(entry.where)
            held = self._evidence.setdefault(chain, {})
            held[where] = evidence or Evidence(
                entry.where, chain, Interval(entry.end - HOUR, entry.end), SignatureStatus.UNUSABLE
            )
            self._names[held[where].where] = frozenset(
                place for log in logs if (place := self._in_store(log.where)) in self._left
            )
        for chain in {chain for chain, _ in todo}:
            self._prove(chain)

    def _prove(self, chain: ChainId) -> None:
        """Carry proof along what was read of a chain, from the newest to the oldest."""
        prover = Prover(self._keys)
        newest_first = sorted(self._evidence[chain].values(), key=_order, reverse=True)
        steps = [prover.step(evidence) for evidence in newest_first]
        self._links[chain] = tuple(link for link, _ in reversed(steps))
        told = (finding for _, findings in steps for finding in findings if finding.cause in PASSING)
        self._unread += [finding for finding in told if finding not in self._unread]

    def _states(self, chain: ChainId) -> dict[Locator, DigestState]:
        held = (*self._around.links.get(chain, ()), *self._links.get(chain, ()))
        return {self._in_store(link.where): link.state for link in held}

    async def _claimed(self) -> frozenset[Locator]:
        """Return files that a digest names which could be read and neither proven nor refuted."""
        out: set[Locator] = set()
        for digest in self._around.claiming:
            logs: Sequence[LogReference] = await self._reader.references(digest) or ()
            out |= {place for log in logs if (place := self._in_store(log.where)) in self._left}
        for held in self._links.values():
            for link in held:
                if link.state is DigestState.UNREADABLE:
                    out |= self._names.get(link.where, frozenset())
        return frozenset(out)

    def _knowledge(self, asked: Question, claimed: frozenset[Locator], now: datetime) -> Knowledge:
        """Return the knowledge of every trail that writes here, after all was read."""
        around = self._around
        links = {
            chain: (*around.links.get(chain, ()), *self._links.get(chain, ()))
            for chain in dict.fromkeys((*around.links, *self._links))
        }
        unread = [finding.interval for finding in self._unread if finding.interval]
        unread += [asked.days] if self._failures and asked.days else []
        return Knowledge((*writers(links), *around.writers), now, union((*around.unread, *unread)), claimed)

    async def _reconsidered(
        self, ruled: Sequence[tuple[UnreferencedFile, str]], known: Knowledge
    ) -> tuple[tuple[UnreferencedFile, str], ...]:
        """Judge once more, knowing of the trails that digests in other folders show to write into these."""
        out = list(ruled)
        shown = self._shown_here()
        for folder in self._around.folders:
            accused = [index for index, pair in enumerate(out) if _accused(*pair) and _is_in(pair[0], folder)]
            if not accused:
                continue
            hours = union(span for index in accused for span in out[index][0].spans)
            try:
                more = await known_writers(folder, hours, shown, self._store, self._reader, self._keys_of)
            except StoreError as error:
                where = Locator(folder.bucket, f"{folder.base}{folder.account}/{DIGEST_KIND}/")
                self._failures.append(Failure(rules.DIGEST_UNREADABLE, where, error.cause, error.detail))
                known = replace(known, unread=union((*known.unread, *hours)))
                more = ()
            for index in accused:
                file = out[index][0]
                concerned = [writer for writer in more if any(touches(writer.shown, span) for span in file.spans)]
                out[index] = file, judge(file, replace(known, writers=(*known.writers, *concerned)))
        return tuple(out)

    def _shown_here(self) -> frozenset[TrailId]:
        """The trails that have proven digests in these folders at the time of the files: their hours are known."""
        asked = question(self._left.values())
        held = ((chain, link) for chain, links in self._around.links.items() for link in links)
        read = ((chain, link) for chain, links in self._links.items() for link in links)
        own = self._around.own
        return frozenset(
            (chain.trail, chain.home_region, folder.organization_id)
            for folder in self._around.folders
            for chain, link in (*held, *read)
            if link.state is DigestState.PROVEN
            and own(replace(chain, organization_id=folder.organization_id)) == chain
            and any(touches(asked.context, Interval(moment, moment)) for moment in link.interval)
        )

    def _in_store(self, where: Locator) -> Locator:
        """Return where an object lies for this store: in a local copy one folder stands for every bucket."""
        return Locator("", where.key) if self._bucketless else where


def _accused(file: UnreferencedFile, rule: str) -> bool:
    """Whether a file that CloudTrail could have written is called extra."""
    return file.proper and rule == rules.LOG_EXTRA


def _is_in(file: UnreferencedFile, folder: Folder) -> bool:
    return file.folder is not None and (file.folder.base, file.folder.account, file.folder.region) == (
        folder.base,
        folder.account,
        folder.region,
    )


def _order(evidence: Evidence) -> tuple[datetime, Locator]:
    return evidence.interval.end, evidence.where


_NEVER: Final = Interval(EPOCH, EPOCH)
