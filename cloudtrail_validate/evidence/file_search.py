"""Searches for the digest that names one file, and for the signature that carries the proof.

The digest is looked for by the minute in the file's name: first among those of the hours around it, then among the backfill
digests of the 35 days that follow. Finding and proving is the work of the parts that validate a trail, so that both give the
same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec.structs import replace as replace_struct

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, Link
from cloudtrail_validate.core.continuation import Identity, identity
from cloudtrail_validate.core.coverage import union
from cloudtrail_validate.core.digest import Evidence, LogReference, SignatureStatus
from cloudtrail_validate.core.errors import (
    AbsentError,
    ConfigurationError,
    CustomerKeyError,
    RequestError,
    StoreError,
)
from cloudtrail_validate.core.findings import order_of
from cloudtrail_validate.core.gzip import Content
from cloudtrail_validate.core.layout import (
    DIGEST_KIND,
    LOG_KIND,
    ORGANIZATION,
    Folder,
    folder_of,
    log_minute,
    parse_trail_arn,
)
from cloudtrail_validate.core.model import HOUR, ChainId, Finding, Interval, Kind, Locator, ObjectInfo
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.core.signature import PublicKey, RegionKeys
from cloudtrail_validate.core.unreferenced import REACH, is_copy, unreferenced
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.listing import Entry, Found, list_digests
from cloudtrail_validate.engine.log_checker import judge_content
from cloudtrail_validate.engine.prove import DigestProver
from cloudtrail_validate.engine.seams import Seams
from cloudtrail_validate.engine.stages import ProvenDigest, Scope
from cloudtrail_validate.engine.tools import Tools, make_tools
from cloudtrail_validate.engine.unreferenced import Inquiry, Surroundings
from cloudtrail_validate.runtime.limits import TryBudget
from cloudtrail_validate.session import Session
from cloudtrail_validate.stores.key_file import KeySource
from cloudtrail_validate.stores.protocol import Store

_BEFORE: Final = 2 * HOUR  # a name's minute is off by minutes at most, and chains restart on any second of an hour
_AFTER: Final = 4 * HOUR  # the digest of the file's hour, and successors that may have to prove it
_REFERENCES: Final = 40_000  # kept at once, ~0.5 kB each


@dataclass(frozen=True, slots=True)
class FileProof:
    """What was found out about one file. Hashes are SHA-256 of inflated content, lower-case hex.

    `digest` is the digest that names the file for `interval`; `witness` the one whose own signature, by `key`, proves
    it: itself, or a successor. `rule` is what is wrong, None where the file is proven. `problems` are what was found
    about the digests on the way.
    """

    where: Locator
    exit_code: ExitCode
    rule: str | None = None
    sha256: str | None = None
    expected: str | None = None
    digest: Locator | None = None
    interval: Interval | None = None
    witness: Locator | None = None
    key: PublicKey | None = None
    detail: str | None = None
    problems: tuple[Finding, ...] = ()


def window_of(key: str) -> Interval:
    """The hours around a log file in which the digest that names it lies, late ones aside. Raises `RequestError`."""
    minute = log_minute(key)
    if minute is None:
        raise RequestError(f"expected the key of a CloudTrail log file, got {key!r}")
    return Interval(minute - _BEFORE, minute + _AFTER)


class FileSearch:
    """The search for the digest that names one file."""

    def __init__(self, where: Locator, window: Interval, now: datetime, trail_arn: str | None) -> None:
        found = folder_of(*where)
        if found is None or found[1] == DIGEST_KIND:
            raise RequestError(f"expected the key of a CloudTrail log file, got {where.key!r}")
        self.where = where
        self.window = window
        self.now = now
        self.folder: Folder = found[0]
        self.kind = found[1]
        self._folders: tuple[Folder, ...] = (self.folder,)
        self._trail = parse_trail_arn(trail_arn) if trail_arn else None
        self._findings: list[Finding] = []
        self._own: Identity = identity(self._region, ())

    @property
    def owner(self) -> str:
        """Whose trail it is, as far as that was said."""
        return self._trail.account if self._trail else ""

    async def run(self, session: Session, keys: RegionKeys, content: Content | AbsentError | StoreError) -> FileProof:
        """Find and prove. Raises `StoreError` where the digests cannot be listed."""
        self._folders = await self._siblings(session.store)
        chains = await self._chains(session.store)
        if not chains:
            return FileProof(self.where, ExitCode.EMPTY)
        tools = make_tools(session.store, session.limiter, _answering(keys, self.folder.region, session.keys))
        reader = DigestReader(session.store, session.limiter, TryBudget(_REFERENCES))
        chains = await self._joined(chains, session.store, reader, keys)
        near = await self._walk(tools, reader, keys, chains)
        named = await self._naming(near, reader, content)
        walk = near
        for kinds in (frozenset({Kind.BACKFILL}), frozenset(Kind)) if named is None else ():
            walk = await self._walk(tools, reader, keys, chains, late=kinds)
            named = await self._naming(walk, reader, content)
            if named is not None:
                break
        if named is None:
            proof = await self._unnamed(tools, reader, keys, near, walk, content)
        else:
            proof = await self._witnessed(self._judged(*named, content), named[0], walk.links, reader, keys)
        return replace(proof, problems=tuple(sorted(dict.fromkeys(self._findings), key=order_of)))

    async def _siblings(self, store: Store) -> tuple[Folder, ...]:
        """The file's folder, and those of the account's other trails: with and without an organization's id."""
        root = self.folder.base.removesuffix(f"{self.folder.organization_id}/")
        try:
            names = (await store.children(self.folder.bucket, root)).folders
        except (AbsentError, StoreError):
            names = ()
        bases = [root, *(f"{root}{name}/" for name in names if ORGANIZATION.fullmatch(name))]
        account, region = self.folder.account, self.folder.region
        others = (Folder(self.folder.bucket, base, account, region) for base in bases)
        return tuple(dict.fromkeys((self.folder, *others)))

    async def _chains(self, store: Store) -> dict[ChainId, list[Entry]]:
        """The digests of the file's hours and of the 35 days since, by chain."""
        out: dict[ChainId, list[Entry]] = {}
        for folder in self._folders:
            try:
                listing = await list_digests(store, folder, self._since)
            except AbsentError:
                continue
            out |= {chain: entries for chain, entries in listing.chains.items() if self._selects(chain)}
        return out

    async def _joined(
        self, chains: dict[ChainId, list[Entry]], store: Store, reader: DigestReader, keys: RegionKeys
    ) -> dict[ChainId, list[Entry]]:
        """The same, those of a chain that goes on in another of the folders as one."""
        seams = Seams(self._region, chains, self._since, store, reader, keys)
        self._own = identity(self._region, await seams.find())
        found = Found(selected=chains)
        found.rename(self._own)
        return found.selected

    @property
    def _since(self) -> Interval:
        """The hours around the file, and the days that follow in which a digest may name it late."""
        return Interval(self.window.start, self.window.end + REACH)

    @property
    def _region(self) -> AccountRegion:
        """The account-region, with all of its folders that were found by now."""
        name, home = (self._trail.name, self._trail.region) if self._trail else ("", "")
        return AccountRegion(self.folder.account, self.folder.region, self._folders, trail=name, home_region=home)

    def _selects(self, chain: ChainId) -> bool:
        trail = self._trail
        if trail is None:
            return True
        owned = chain.organization_id is not None or chain.account == trail.account
        return owned and (chain.trail, chain.home_region) == (trail.name, trail.region)

    async def _walk(
        self,
        tools: Tools,
        reader: DigestReader,
        keys: RegionKeys,
        chains: Mapping[ChainId, Sequence[Entry]],
        *,
        late: frozenset[Kind] = frozenset(),
    ) -> DigestProver:
        """Read and prove the digests of the hours around the file or, with `late`, all of these kinds since.

        Before there were backfill digests a late log was named by the digest of the hour in which it came.
        """
        window = self._since if late else self.window
        walk = DigestProver(self._region, Scope(window, self.now), tools, reader, keys)
        for chain, entries in chains.items():
            if not late or chain.kind in late:
                for folder in self._folders:
                    walk.knows(folder, replace_struct(chain, organization_id=folder.organization_id))
                walk.add([entry for entry in entries if window.start < entry.end <= window.end])
        await walk.run(follow=True)
        self._findings += walk.findings.freeze().kept
        return walk

    async def _naming(
        self, walk: DigestProver, reader: DigestReader, content: Content | AbsentError | StoreError
    ) -> tuple[ProvenDigest, LogReference] | None:
        """The proven digest that names the file. Of several trails' the one that fits it, if one does."""
        found: list[tuple[ProvenDigest, LogReference]] = []
        for named in walk.digests:
            found += [(named, log) for log in await reader.references(named) or () if self._is_it(log)]
        fitting = (pair for pair in found if isinstance(content, Content) and _fits(pair[1], content))
        return next(fitting, found[0] if found else None)

    def _is_it(self, log: LogReference) -> bool:
        return log.s3_object == self.where.key and self.where.bucket in ("", log.s3_bucket)

    def _judged(self, named: ProvenDigest, log: LogReference, content: Content | AbsentError | StoreError) -> FileProof:
        """What a file that a proven digest names is."""
        proof = FileProof(
            self.where,
            ExitCode.VALID,
            expected=log.hash_value,
            digest=named.entry.where,
            interval=named.interval,
        )
        if isinstance(content, CustomerKeyError):
            return replace(proof, exit_code=ExitCode.CHANGED, rule=rules.LOG_ALTERED, detail=content.detail)
        if isinstance(content, StoreError):
            return replace(proof, exit_code=ExitCode.UNPROVEN, rule=rules.LOG_UNREADABLE, detail=content.detail)
        if isinstance(content, AbsentError):
            return replace(proof, exit_code=ExitCode.CHANGED, rule=rules.LOG_MISSING)
        rule = judge_content(log.hash_value, content)
        return replace(
            proof,
            exit_code=ExitCode.VALID if rule is None else ExitCode.CHANGED,
            rule=rule,
            sha256=content.sha256,
            detail=content.flaw.value if content.flaw else None,
        )

    async def _unnamed(
        self,
        tools: Tools,
        reader: DigestReader,
        keys: RegionKeys,
        near: DigestProver,
        late: DigestProver,
        content: Content | AbsentError | StoreError,
    ) -> FileProof:
        """What a file that no digest names is, by the hours in which it lies."""
        if isinstance(content, AbsentError):
            raise ConfigurationError(f"there is no {self.where}, and no digest names it")
        around = Surroundings(
            self._folders,
            near.links,
            tuple(near.claiming),
            unread=union(finding.interval for finding in (*near.unread, *late.unread) if finding.interval),
            own=self._own,
        )
        info = await self._listed(tools)
        dated = tools.store.dated and not is_copy(near.proven)
        latest = max((self.now, *(digest.end for digest in (*near.proven, *late.proven))))
        file = unreferenced(self.where, info.modified if info else None, latest=latest, dated=dated)
        judged = await Inquiry(around, {self.where: file}, reader, keys, tools.store, tools.keys).run(self.now)
        if not judged.rules:
            return FileProof(self.where, ExitCode.UNPROVEN, rules.LOG_UNDIGESTED)
        ((_, rule),) = judged.rules
        self._findings += judged.unread
        if rule == rules.LOG_EXTRA and not self._is_digested((*near.digests, *late.digests)):
            rule = rules.LOG_UNDIGESTED
        code = ExitCode.CHANGED if rule == rules.LOG_EXTRA else ExitCode.UNPROVEN
        sha256 = content.sha256 if isinstance(content, Content) else None
        return FileProof(self.where, code, rule, sha256)

    def _is_digested(self, digests: Iterable[ProvenDigest]) -> bool:
        """Whether digests name files of this kind at all: of Insights events and the like nobody promises it."""
        return self.kind == LOG_KIND or any(
            reach.place is not None and reach.place.kind == self.kind for digest in digests for reach in digest.reaches
        )

    async def _listed(self, tools: Tools) -> ObjectInfo | None:
        """What a listing says of the file, None where it does not lie there: then its name alone places it."""
        try:
            return await tools.store.exact(*self.where)
        except (AbsentError, StoreError):
            return None

    async def _witnessed(
        self,
        proof: FileProof,
        named: ProvenDigest,
        links: Mapping[ChainId, Sequence[Link]],
        reader: DigestReader,
        keys: RegionKeys,
    ) -> FileProof:
        """Follow the proof from the digest to the signature that carries it: its own, or that of a later digest."""
        entry: Entry | None = named.entry
        chain = {link.previous: link for link in links.get(named.entry.chain, ()) if link.state is DigestState.PROVEN}
        while entry is not None:
            evidence, _ = await reader.observe(entry, keys)
            if evidence is None:
                break
            if entry is named.entry:
                proof = replace(proof, digest=evidence.where)
            if evidence.own is SignatureStatus.VALID:
                return replace(proof, witness=evidence.where, key=keys.keys[evidence.fingerprint])
            entry = self._successor(entry, evidence, chain)
        return proof

    def _successor(self, entry: Entry, evidence: Evidence, chain: dict[Locator | None, Link]) -> Entry | None:
        """The digest that names this one as its predecessor; each link serves once, so that no circle is run twice."""
        link = chain.pop(evidence.where, None)
        if link is None:
            return None
        where = link.where if self.folder.bucket else Locator("", link.where.key)
        return Entry(link.interval.end, where, entry.chain, entry.size, entry.modified, entry.etag)


def _answering(keys: RegionKeys, own: str, source: KeySource) -> Callable[[str], Awaitable[RegionKeys]]:
    """A source of keys that knows those of its own region already."""

    async def answer(region: str) -> RegionKeys:
        return keys if region == own else await asyncio.to_thread(source.region, region)

    return answer


def _fits(log: LogReference, content: Content) -> bool:
    return judge_content(log.hash_value, content) is None
