"""One account's files of one region, from listing to judgement.

A site is usually one folder. Where a trail became an organization trail it has two (with and without the organization id),
and a chain that moved brings further ones as its links are followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloudtrail_validate import rules
from cloudtrail_validate.chain import Judgement, Link, Question, State, absent, judge, tail_is_cut
from cloudtrail_validate.coverage import TAIL, Placed, Zones, difference, judge_unreferenced, place, union
from cloudtrail_validate.layout import (
    DIGEST_KIND,
    LOG_KIND,
    Folder,
    day_path,
    folder_day,
    folder_of,
    log_minute,
    next_digest_key,
    parse_digest_key,
)
from cloudtrail_validate.ledger import Ledger
from cloudtrail_validate.logs import LogChecker
from cloudtrail_validate.model import (
    HOUR,
    ChainId,
    ChainReport,
    Finding,
    Gap,
    Interval,
    Kind,
    Locator,
    Status,
)
from cloudtrail_validate.places import MANY_A_DAY, LogPlace, Reference
from cloudtrail_validate.signature import RegionKeys
from cloudtrail_validate.stores import AbsentError, ObjectInfo, Store, StoreError
from cloudtrail_validate.walk import BYTES_PER_REFERENCE, DigestWalk, Entry, Listing, Proved, list_digests

BACKFILL_REACH: Final = timedelta(days=35)  # CloudTrail retries a misconfigured bucket for up to 30 days
_CONTEXT: Final = 2  # digests read beyond the window: one may reach into it, the next proves that one


@dataclass(frozen=True, slots=True)
class Site:
    """What to validate: `folders` newest location first. `expected` is true where a trail must have digests here.

    `delivered` is GetTrailStatus.LatestDigestDeliveryTime where it is known; `strays` are objects that lie beside the
    region folders; `has_logs` is false where there is no folder of logs to list; `excused` is true where a trail without validation writes to the same folder.
    """

    account: str
    region: str
    folders: tuple[Folder, ...]
    expected: bool = False
    delivered: datetime | None = None
    strays: tuple[ObjectInfo, ...] = ()
    has_logs: bool = True
    excused: bool = False
    trail: str = ""
    home_region: str = ""

    @property
    def organization_id(self) -> str | None:
        """The organization whose folder the site's first folder is in."""
        return self.folders[0].organization_id


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked of every site: window, time of asking, and which trails (None: every trail that is found)."""

    window: Interval
    now: datetime
    selects: Callable[[ChainId], bool]


@dataclass(slots=True)
class Tools:
    """What every site works with."""

    store: Store
    ledger: Ledger
    checker: LogChecker
    slots: asyncio.Semaphore
    keys: Callable[[str], Awaitable[RegionKeys]]


class SiteAudit:
    """Validates one site. `run` once; the chains' records are the result, findings go to the ledger."""

    def __init__(self, site: Site, scope: Scope, tools: Tools) -> None:
        self._site = site
        self._scope = scope
        self._tools = tools
        self._reports: dict[ChainId, ChainReport] = {}
        self._entries: dict[ChainId, list[Entry]] = {}
        self._others: dict[ChainId, list[Entry]] = {}
        self._strays: list[Entry] = []
        self._lost: list[Link] = []
        self._earlier: set[ChainId] = set()
        self._places: dict[tuple[Folder, str], LogPlace] = {}
        self._crowded = False

    async def run(self) -> list[ChainReport]:
        """Validate the site."""
        await self._list()
        await self._look_beyond()
        walk = await self._walk()
        leftovers = await self._leftovers()
        self._settle(leftovers, walk, self._judge(walk))
        return [self._reports[chain] for chain in sorted(self._reports, key=ChainId.sort_key)]

    def partial(self) -> list[ChainReport]:
        """What was counted before the site was given up."""
        return list(self._reports.values())

    # -- finding digests -------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """List the digests around the window in each folder."""
        window = self._scope.window
        days = Interval(window.start, window.end + 3 * HOUR)
        for folder in self._site.folders:
            try:
                self._sort_in(await list_digests(self._tools.store, folder, days))
            except AbsentError:
                continue
            except StoreError as error:
                self._cannot_list(folder, error)

    def _sort_in(self, listing: Listing) -> None:
        for found, entries in listing.chains.items():
            chain = self._own(found)
            held = self._entries if self._scope.selects(chain) else self._others
            known = {entry.where for entry in held.get(chain, ())}
            merged = held.setdefault(chain, [])
            merged += [
                Entry(entry.end, entry.where, chain, entry.size, entry.modified)
                for entry in entries
                if entry.where not in known
            ]
            merged.sort()
        for info in listing.strays:
            day = folder_day(info.key)
            if day is not None and day.overlaps(self._scope.window):
                end = day.within(self._scope.window).end
                where = Locator(self._site.folders[0].bucket, info.key)
                self._strays.append(Entry(end, where, self._nameless(), info.size, info.modified))

    def _own(self, chain: ChainId) -> ChainId:
        """The chain under the site's own organization id, in whichever of its folders a digest lies."""
        return ChainId(
            chain.account, chain.region, chain.trail, chain.home_region, self._site.organization_id, chain.kind
        )

    def _nameless(self) -> ChainId:
        site = self._site
        return ChainId(site.account, site.region, site.trail, site.home_region, site.organization_id, Kind.STANDARD)

    def _cannot_list(self, folder: Folder, error: StoreError) -> None:
        """A digest folder that cannot be listed: nobody can vouch for any of its hours."""
        where = Locator(folder.bucket, folder.path(DIGEST_KIND))
        self._lost.append(Link(where, self._scope.window, State.UNREADABLE, status=Status.UNVERIFIABLE))
        self._tools.ledger.add(
            Finding(
                rules.DIGEST_UNREADABLE,
                Status.UNVERIFIABLE,
                self._site.account,
                self._site.region,
                self._site.trail or None,
                where,
                self._scope.window,
                error.cause,
                detail=error.detail,
            )
        )

    async def _look_beyond(self) -> None:
        """Where listed digests do not reach the window's edges, see whether the chain goes on before or after it."""
        window, now = self._scope.window, self._scope.now
        expected_end = min(window.end, now - TAIL)
        chains = [chain for chain in self._entries if chain.kind is Kind.STANDARD]
        late = {c for c in chains if self._entries[c][0].end - HOUR > window.start}
        early = {c for c in chains if self._entries[c][-1].end < expected_end}
        if self._lost or (chains and not late and not early):
            return
        for folder in self._site.folders:
            if late or not chains:
                await self._scan_beyond(folder, None, window.start, late)
            if early or not chains:
                await self._scan_beyond(folder, window.end + 3 * HOUR, None, early)

    async def _scan_beyond(
        self, folder: Folder, since: datetime | None, until: datetime | None, wanted: set[ChainId]
    ) -> None:
        """Look for the wanted chains (any selected one, if none are named) before or after the listed days."""
        path = folder.path(DIGEST_KIND)
        after = path + day_path(since + timedelta(days=1)) if since else ""
        before = path + day_path(until + timedelta(days=1)) if until else None
        missing = set(wanted)
        try:
            async for batch in self._tools.store.scan(folder.bucket, path, after=after, before=before):
                for entry in _entries_of(folder, batch):
                    chain = self._own(entry.chain)
                    if chain.kind is not Kind.STANDARD or not self._scope.selects(chain):
                        continue
                    if until is not None and entry.end <= until:
                        self._earlier.add(chain)
                        self._entries.setdefault(chain, [])
                        missing.discard(chain)
                    elif since is not None and (chain in missing or not wanted):
                        self._entries.setdefault(chain, []).append(
                            Entry(entry.end, entry.where, chain, entry.size, entry.modified)
                        )
                        missing.discard(chain)
                        wanted = wanted or {chain}
                if wanted and not missing:
                    return
        except AbsentError:
            return
        except StoreError as error:
            self._cannot_list(folder, error)

    # -- walking them ----------------------------------------------------------------------------------------------

    async def _walk(self) -> DigestWalk:
        """Read every digest of the window, newest first, and hand the logs of the proven ones to the checker."""
        tools, scope = self._tools, self._scope
        keys = await tools.keys(self._site.region)
        walk = self._new_walk(keys, scope.window)
        size = 0
        for held, quiet in ((self._entries, False), (self._others, True)):
            for chain, entries in held.items():
                for folder in self._site.folders:
                    walk.knows(folder, chain)
                chosen = self._choose(entries)
                size += sum(entry.size for entry in chosen)
                walk.add(chosen, quiet=quiet)
        walk.add(self._strays)
        hours = max(1.0, scope.window.seconds / 3600)
        self._crowded = size / BYTES_PER_REFERENCE / hours * 24 > MANY_A_DAY
        if self._site.has_logs:
            for folder in self._site.folders:
                self._place(folder, LOG_KIND)
        async for batch in walk.batches():
            await self._advance(batch)
        await self._advance(None)
        return walk

    def _new_walk(self, keys: RegionKeys, window: Interval) -> DigestWalk:
        tools, bucket = self._tools, self._site.folders[0].bucket
        return DigestWalk(tools.store, keys, tools.ledger, bucket=bucket, slots=tools.slots, window=window)

    def _choose(self, entries: Sequence[Entry]) -> list[Entry]:
        """Digests that may overlap the window, and the next ones, which prove them."""
        window = self._scope.window
        inside = [entry for entry in entries if window.start < entry.end <= window.end]
        return inside + [entry for entry in entries if entry.end > window.end][:_CONTEXT]

    def _place(self, folder: Folder, kind: str) -> LogPlace:
        known = self._places.get((folder, kind))
        if known is None:
            window = self._scope.window
            known = LogPlace(self._tools.store, folder, kind, window, crowded=self._crowded)
            self._places[folder, kind] = known
        return known

    async def _advance(self, batch: list[Proved] | None) -> None:
        """Match one batch of proven digests with the listing; None: finish the listing."""
        by_place: dict[LogPlace, list[Reference]] = {known: [] for known in self._places.values()}
        elsewhere: list[Reference] = []
        for proved in batch or ():
            report = self._report(proved.chain) if self._reports_on(proved) else None
            for log in proved.logs:
                reference = Reference(log.where, log.hash_value, report, proved.link.interval.end)
                found = folder_of(self._site.folders[0].bucket and log.s3_bucket, log.s3_object)
                if found is None or (found[0].account, found[0].region) != (self._site.account, self._site.region):
                    elsewhere.append(reference)
                else:
                    by_place.setdefault(self._place(*found), []).append(reference)
        since = min(proved.link.interval.start for proved in batch) if batch else None
        await self._tools.checker.put([job for reference in elsewhere for job in reference.jobs(None)])
        for known, references in by_place.items():
            async for jobs in known.advance(since, references):
                await self._tools.checker.put(jobs)

    def _reports_on(self, proved: Proved) -> bool:
        """Whether a digest's logs are part of the question: its chain is selected and it overlaps the window."""
        return proved.chain in self._entries and proved.link.concerns(self._scope.window)

    def _report(self, chain: ChainId) -> ChainReport:
        return self._reports.setdefault(chain, ChainReport(chain))

    # -- what nobody named -----------------------------------------------------------------------------------------

    async def _leftovers(self) -> dict[Locator, Placed]:
        """Log files of the window that no digest read so far names, each with its possible times."""
        for known in self._places.values():
            await known.oddities()
            if known.failure is not None:
                self._cannot_list_logs(known, known.failure)
        left = self._unclaimed()
        if not left:
            return {}
        for reference in await self._late_references():
            left.pop(reference, None)
        return await self._as_named(left)

    def _unclaimed(self) -> dict[Locator, Placed]:
        out: dict[Locator, Placed] = {}
        bucket = self._site.folders[0].bucket
        listed = [(known.folder.bucket, info) for known in self._places.values() for info in known.unclaimed.values()]
        for where, info in listed + [(bucket, info) for info in self._site.strays]:
            placed = self._when(info)
            if placed.belongs(self._scope.window):
                out[Locator(where, info.key)] = placed
        return out

    def _when(self, info: ObjectInfo) -> Placed:
        modified = info.modified if self._tools.store.dated else None
        return place(log_minute(info.key), modified, folder_day(info.key))

    def _cannot_list_logs(self, known: LogPlace, error: StoreError) -> None:
        where = Locator(known.folder.bucket, known.path)
        self._tools.ledger.add(
            Finding(
                rules.LOG_UNREADABLE,
                Status.UNVERIFIABLE,
                self._site.account,
                self._site.region,
                self._site.trail or None,
                where,
                self._scope.window,
                error.cause,
                detail=error.detail,
            )
        )

    async def _late_references(self) -> set[Locator]:
        """Logs named by digests outside the window: later backfill digests, and the hours next to it, of any trail."""
        window, tools = self._scope.window, self._tools
        around = Interval(window.start - HOUR, window.end + BACKFILL_REACH)
        keys = await tools.keys(self._site.region)
        walk = self._new_walk(keys, Interval(around.end, around.end))
        for folder in self._site.folders:
            try:
                listing = await list_digests(tools.store, folder, around)
            except (AbsentError, StoreError):
                continue
            for chain, entries in listing.chains.items():
                near = Interval(window.start - 2 * HOUR, window.end + 2 * HOUR)
                wanted = around if chain.kind is Kind.BACKFILL else near
                walk.add([entry for entry in entries if wanted.contains(entry.end)], quiet=True)
        return {log.where async for batch in walk.batches() for proved in batch for log in proved.logs}

    async def _as_named(self, left: dict[Locator, Placed]) -> dict[Locator, Placed]:
        """The same under their exact keys: a fast listing drops slashes at a key's end."""
        out: dict[Locator, Placed] = {}
        for where, placed in left.items():
            if log_minute(where.key) is None and self._tools.store.dated:
                exact = await self._exact(where)
                if exact is not None:
                    out[exact] = placed
            else:
                out[where] = placed
        return out

    async def _exact(self, where: Locator) -> Locator | None:
        """The object's own key, or None for a zero-byte marker."""
        try:
            if await self._tools.store.exact(*where) is not None:
                return where
            info = await self._tools.store.exact(where.bucket, where.key + "/")
        except StoreError:
            return where
        if info is None:
            return where
        return Locator(where.bucket, info.key) if info.size else None

    # -- judgement -------------------------------------------------------------------------------------------------

    def _judge(self, walk: DigestWalk) -> dict[ChainId, Judgement]:
        """Judge each selected chain, and say where one should be and is not."""
        out: dict[ChainId, Judgement] = {}
        chains = dict.fromkeys([*self._entries, *(entry.chain for entry in self._strays)])
        if self._lost and not any(chain.kind is Kind.STANDARD for chain in chains):
            chains[self._nameless()] = None
        for chain in chains:
            links = list(walk.links.get(chain, ()))
            if chain.kind is Kind.STANDARD:
                links += self._lost
                links += self._cut_tail(chain, links)
            question = Question(self._scope.window, self._scope.now, chain in self._earlier)
            if links or chain in self._earlier:
                out[chain] = judge(chain, links, question)
        return out

    def _cut_tail(self, chain: ChainId, links: Sequence[Link]) -> list[Link]:
        """The digest that CloudTrail says it delivered after the newest one there is."""
        entries = self._entries.get(chain)
        if self._site.delivered is None or not entries or not links:
            return []
        newest = entries[-1]
        if newest.end >= self._scope.window.end:
            return []
        written = max(
            (entry.modified for held in self._entries.values() for entry in held if entry.modified), default=None
        )
        if not tail_is_cut(newest.end, written if self._tools.store.dated else None, self._site.delivered):
            return []
        end = newest.end + HOUR
        where = Locator(newest.where.bucket, next_digest_key(self._site.folders[0], chain, end))
        return [Link(where, Interval(newest.end, end), State.MISSING)]

    def _settle(self, left: dict[Locator, Placed], walk: DigestWalk, judgements: dict[ChainId, Judgement]) -> None:
        """Write each chain's record, and judge what no digest names by the hours in which it lies."""
        standard = {chain: item for chain, item in judgements.items() if chain.kind is Kind.STANDARD}
        if not standard and (self._site.expected or left):
            standard[self._nameless()] = judgements[self._nameless()] = absent(self._nameless(), self._scope.window)
        for chain, judgement in judgements.items():
            report = self._report(chain)
            report.digests, report.covered, report.gaps = judgement.counts, judgement.covered, judgement.gaps
            for finding in judgement.findings:
                self._tools.ledger.add(finding)
        if standard:
            zones = self._zones(walk, standard)
            undigested: dict[ChainId, list[Placed]] = {chain: [] for chain in standard}
            for where, placed in sorted(left.items()):
                rule = judge_unreferenced(
                    placed.clipped(self._scope.window),
                    zones,
                    named=log_minute(where.key) is not None,
                    excused=self._site.excused,
                )
                self._note(rule, where, next(iter(standard)))
                if rule == rules.LOG_UNDIGESTED:
                    for chain in standard:
                        undigested[chain].append(placed)
            for chain, lying in undigested.items():
                report = self._report(chain)
                report.gaps = tuple(_with_logs(gap, lying) for gap in report.gaps)

    def _zones(self, walk: DigestWalk, standard: dict[ChainId, Judgement]) -> Zones:
        """Hours in which every log must be named: proven, and no chain of the folder has lost its digest of them."""
        proven = union(
            link.interval for chain in standard for link in walk.links.get(chain, ()) if link.state is State.PROVEN
        )
        unreadable = [
            link.interval for links in walk.links.values() for link in links if link.state is State.UNREADABLE
        ]
        lost = [interval for judgement in standard.values() for interval in judgement.lost]
        gaps = union(gap.interval for judgement in standard.values() for gap in judgement.gaps)
        newest = max((item.newest for item in standard.values() if item.newest is not None), default=None)
        return Zones(difference(proven, union([*lost, *unreadable])), gaps, newest)

    def _note(self, rule: str, where: Locator, chain: ChainId) -> None:
        status = rules.RULES[rule].status
        if status is not Status.NOTICE:
            self._report(chain).logs.add(status)
        trail = chain.trail or None
        finding = Finding(rule, status, self._site.account, self._site.region, trail, where)
        self._tools.ledger.add(finding)
        self._tools.ledger.checked(where, status, digest=False)


def _with_logs(gap: Gap, lying: Sequence[Placed]) -> Gap:
    """The gap with the number of undigested logs in it."""
    number = sum(placed.belongs(gap.interval) for placed in lying)
    return Gap(gap.rule, gap.interval, number)


def _entries_of(folder: Folder, batch: Iterable[ObjectInfo]) -> Iterable[Entry]:
    for info in batch:
        name = parse_digest_key(folder, info.key)
        if name is not None:
            yield Entry(name.end, Locator(folder.bucket, info.key), name.chain, info.size, info.modified)
