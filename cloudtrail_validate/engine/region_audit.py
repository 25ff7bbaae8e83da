"""One account's files of one region, from listing to judgement: digests first, then the logs they name, then the rest.

A site is usually one folder. Where a trail became an organization trail it has two (with and without the organization id),
and a chain that moved brings further ones as its links are followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, JudgeInput, Judgement, Link, absent, judge, tail_is_cut
from cloudtrail_validate.core.coverage import TAIL, Placed
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.findings import Ledger
from cloudtrail_validate.core.layout import DIGEST_KIND, next_digest_key
from cloudtrail_validate.core.model import (
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
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.digest_reader import DigestReader, ProvenChains, ProvenDigest
from cloudtrail_validate.engine.listing import Entry, Finder, Found
from cloudtrail_validate.engine.log_checker import LogChecker
from cloudtrail_validate.engine.prove import DigestProver
from cloudtrail_validate.engine.reconcile import LogMatcher
from cloudtrail_validate.engine.unreferenced import Leftovers
from cloudtrail_validate.runtime.limits import Budget, RateLimiter, TryBudget
from cloudtrail_validate.stores.protocol import Store

Links = Mapping[ChainId, Sequence[Link]]
_CONTEXT: Final = 2  # digests read beyond the window: one may reach into it, the next proves that one


class Scope(msgspec.Struct, frozen=True):
    """What is asked of every site: window, time of asking, and which trails (None: every trail that is found)."""

    window: Interval
    now: datetime
    selects: Callable[[ChainId], bool]


class Tools(msgspec.Struct, frozen=True):
    """What every site works with. `references` bounds the log references held at once, `kept` those kept for later."""

    store: Store
    ledger: Ledger
    checker: LogChecker
    limiter: RateLimiter
    references: Budget
    kept: TryBudget
    keys: Callable[[str], Awaitable[RegionKeys]]


class RegionAudit:
    """Validates one site. `run` once; the chains' records are the result, findings go to the ledger.

    `proof` is what it proved, for those who want to read more of it.
    """

    def __init__(self, site: AccountRegion, scope: Scope, tools: Tools) -> None:
        self._site = site
        self._scope = scope
        self._tools = tools
        self._reports: dict[ChainId, ChainReport] = {}
        self._lost: list[Link] = []
        self.proof: ProvenChains | None = None

    async def run(self) -> list[ChainReport]:
        """Validate the site."""
        site, scope, tools = self._site, self._scope, self._tools
        nameless = site.nameless
        finder = Finder(tools.store, site.folders, nameless, scope.selects, scope.window, scope.now)
        found, keys = await asyncio.gather(finder.find(), tools.keys(site.region))
        for where, error in found.failures:
            self._cannot_list(rules.DIGEST_UNREADABLE, where, error)
            self._lost.append(Link(where, scope.window, DigestState.UNREADABLE, status=Status.UNVERIFIABLE))
        reader = DigestReader(tools.store, tools.limiter, keys, tools.ledger, tools.kept)
        walk = self._new_walk(reader, keys, scope.window)
        self._plan(walk, found)
        matcher = LogMatcher(tools.store, reader, tools.checker, budget=tools.references, window=scope.window)
        try:
            matcher.begin(site.folders, walk.expects(), listing=site.has_logs)
            await walk.run()
            await matcher.run(walk.named, walk.repeats, self._report_of(found))
        finally:
            await matcher.close()
            reader.forget()
        self.proof = ProvenChains(site.account, site.region, reader, tuple(walk.named))
        late = self._new_walk(reader, keys, Interval(scope.window.end, scope.window.end))
        late.passes_over(walk)
        places = matcher.places.values()
        leftovers = Leftovers(
            tools.store, scope.window, scope.now, site.folders, places, site.strays, unheard=walk.unheard
        )
        try:
            left = await leftovers.find(late, reader)
        finally:
            reader.forget()
        for rule, where, error in leftovers.failures:
            self._cannot_list(rule, where, error)
        for finding in leftovers.unheard if left else ():
            if finding.interval is None or not finding.interval.overlaps(scope.window):  # else it is reported already
                tools.ledger.add(finding)
        links = _links(walk, found)
        self._settle(leftovers, left, links, self._judge(links, found))
        self._count_strays(walk, found)
        return [self._reports[chain] for chain in sorted(self._reports, key=ChainId.sort_key)]

    def partial(self) -> list[ChainReport]:
        """What was counted before the site was given up."""
        return list(self._reports.values())

    def _plan(self, walk: DigestProver, found: Found) -> None:
        """Have every digest of the window read, newest first."""
        for held, quiet in ((found.selected, False), (found.others, True)):
            for chain, entries in held.items():
                for folder in self._site.folders:
                    walk.knows(folder, chain)
                walk.add(self._choose(entries), quiet=quiet)
        walk.add(found.strays)

    def _choose(self, entries: Sequence[Entry]) -> list[Entry]:
        """Digests that may overlap the window, and the next ones, which prove them."""
        window = self._scope.window
        inside = [entry for entry in entries if window.start < entry.end <= window.end]
        return inside + [entry for entry in entries if entry.end > window.end][:_CONTEXT]

    def _new_walk(self, reader: DigestReader, keys: RegionKeys, window: Interval) -> DigestProver:
        tools, bucketless = self._tools, not self._site.folders[0].bucket
        return DigestProver(
            tools.store,
            reader,
            keys,
            tools.ledger,
            budget=tools.references,
            window=window,
            bucketless=bucketless,
        )

    def _report_of(self, found: Found) -> Callable[[ProvenDigest], ChainReport | None]:
        """Where a digest's logs are counted: in its chain's record, if it is selected and overlaps the window."""

        def report_of(named: ProvenDigest) -> ChainReport | None:
            chain = named.entry.chain
            counted = chain in found.selected and named.interval.overlaps(self._scope.window)
            return self._report(chain) if counted else None

        return report_of

    def _report(self, chain: ChainId) -> ChainReport:
        return self._reports.setdefault(chain, ChainReport(chain))

    def _cannot_list(self, rule: str, where: Locator, error: StoreError) -> None:
        """A folder that cannot be listed: nobody can vouch for any of its hours."""
        site = self._site
        self._tools.ledger.add(
            Finding(
                rule,
                Status.UNVERIFIABLE,
                site.account,
                site.region,
                site.trail or None,
                where,
                self._scope.window,
                error.cause,
                detail=error.detail,
            )
        )

    def _judge(self, links: Links, found: Found) -> dict[ChainId, Judgement]:
        """Judge each selected chain, and say where one should be and is not."""
        site, window = self._site, self._scope.window
        out: dict[ChainId, Judgement] = {}
        chains = dict.fromkeys(found.selected)
        if self._lost and not any(chain.kind is Kind.STANDARD for chain in chains):
            chains[site.nameless] = None
        for chain in chains:
            held = list(links.get(chain, ()))
            if chain.kind is Kind.STANDARD:
                held += self._lost
                held += self._cut_tail(found, chain)
            entries = found.selected.get(chain)
            earlier = chain in found.earlier or bool(entries and entries[0].end <= window.start)
            before = max((entry.end for entry in entries or () if entry.end <= window.start), default=None)
            question = JudgeInput(window, self._scope.now, earlier, before)
            if held or earlier:
                out[chain] = judge(chain, held, question)
        if not any(chain.kind is Kind.STANDARD for chain in out) and (site.expected or found.strays):
            out[site.nameless] = absent(site.nameless, window, self._vanished())
        return out

    def _vanished(self) -> Link | None:
        """A digest of the window that CloudTrail says it delivered to a folder where there is none at all."""
        delivered, folder = self._site.delivered, self._site.folders[0]
        if delivered is None:
            return None
        where = Locator(folder.bucket, folder.path(DIGEST_KIND))  # its own stamp is not known
        link = Link(where, Interval(delivered - TAIL, delivered), DigestState.MISSING)
        return link if link.concerns(self._scope.window) else None

    def _cut_tail(self, found: Found, chain: ChainId) -> list[Link]:
        """A digest of the window that CloudTrail says it delivered after the newest one there is."""
        site, window = self._site, self._scope.window
        entries = found.selected.get(chain, [])
        newest = entries[-1].end if entries else window.start  # a chain without entries has only earlier digests
        if site.delivered is None or newest >= window.end:
            return []
        written = max(
            (entry.modified for held in found.selected.values() for entry in held if entry.modified), default=None
        )
        if not tail_is_cut(newest, written if self._tools.store.dated else None, site.delivered):
            return []
        end = newest + HOUR
        if entries and end > window.start:
            where = Locator(entries[-1].where.bucket, next_digest_key(site.folders[0], chain, end))
            return [Link(where, Interval(newest, end), DigestState.MISSING)]
        vanished = self._vanished()
        return [vanished] if vanished else []

    def _settle(
        self, leftovers: Leftovers, left: dict[Locator, Placed], links: Links, judgements: dict[ChainId, Judgement]
    ) -> None:
        """Write each chain's record, and judge what no digest names by the hours in which it lies."""
        standard = {chain: item for chain, item in judgements.items() if chain.kind is Kind.STANDARD}
        if not standard and left:
            nameless = self._site.nameless
            standard[nameless] = judgements[nameless] = absent(nameless, self._scope.window, self._vanished())
        for chain, judgement in judgements.items():
            report = self._report(chain)
            report.digests, report.covered, report.gaps = judgement.counts, judgement.covered, judgement.gaps
            for finding in judgement.findings:
                self._tools.ledger.add(finding)
        if not standard:
            return
        undigested: list[Placed] = []
        first = self._report(next(iter(standard)))
        for where, rule in leftovers.judge(left, links, standard, excused=self._site.excused or bool(self._lost)):
            self._note(rule, where, first)
            if rule == rules.LOG_UNDIGESTED:
                undigested.append(left[where])
        for chain in standard:
            report = self._report(chain)
            report.gaps = tuple(_with_logs(gap, undigested) for gap in report.gaps)

    def _count_strays(self, walk: DigestProver, found: Found) -> None:
        """Count what lies among the digests without being one. It belongs to no chain and takes no hour from any."""
        strays = {entry.where.key for entry in found.strays}
        lying = [link for held in walk.links.values() for link in held if link.where.key in strays]
        if lying:
            report = min(self._reports.values(), key=lambda report: report.chain.sort_key())
            for link in lying:
                report.digests.add(link.status)

    def _note(self, rule: str, where: Locator, report: ChainReport) -> None:
        status = rules.RULES[rule].status
        if status is not Status.NOTICE:
            report.logs.add(status)
        trail = report.chain.trail or None
        self._tools.ledger.add(Finding(rule, status, self._site.account, self._site.region, trail, where))
        self._tools.ledger.checked(where, status, digest=False)


def _links(walk: DigestProver, found: Found) -> Links:
    """The digests of each chain, without what bears no digest's name."""
    strays = {entry.where.key for entry in found.strays}
    return {chain: [link for link in held if link.where.key not in strays] for chain, held in walk.links.items()}


def _with_logs(gap: Gap, lying: Sequence[Placed]) -> Gap:
    """The gap with the number of undigested logs in it."""
    return Gap(gap.rule, gap.interval, sum(placed.belongs(gap.interval) for placed in lying))
