"""Settles one account-region: judges its hours, and every file that no digest names. The only step that looks around."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, JudgeInput, Judgement, Link, Tail, absent, judge, judge_tail
from cloudtrail_validate.core.continuation import identity
from cloudtrail_validate.core.coverage import TAIL, union
from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.layout import DIGEST_KIND, Folder, log_minute, next_digest_key
from cloudtrail_validate.core.model import (
    HOUR,
    ChainId,
    ChainReport,
    Counts,
    Finding,
    Gap,
    Interval,
    Kind,
    Locator,
    Status,
)
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.core.unreferenced import UnreferencedFile, Writer
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.stages import (
    ChainLinks,
    Failure,
    LogResult,
    ProvenChains,
    RegionResult,
    Scope,
    Unnamed,
)
from cloudtrail_validate.engine.tools import Tools
from cloudtrail_validate.engine.unreferenced import Inquiry, Judged, Surroundings, files_of


async def settle(
    proven: ProvenChains, results: Sequence[LogResult], scope: Scope, tools: Tools, reader: DigestReader
) -> RegionResult:
    """Judge one account-region, once all of its logs are reconciled. Findings are in the result, and told at once."""
    settler = Settler(proven, results, scope, tools)
    return settler.settle(await _inquire(proven, results, scope, tools, reader))


def unproven(region: AccountRegion, window: Interval, detail: str) -> RegionResult:
    """Return the result of an account-region of which nothing is known, and why."""
    found = FindingSet()
    chain = region.nameless
    found.add(
        Finding(
            rules.DIGEST_UNREADABLE,
            Status.UNVERIFIABLE,
            chain.account,
            chain.region,
            region.trail or None,
            interval=window,
            detail=detail,
        )
    )
    return RegionResult(region, (ChainReport(chain, unfinished=True),), found.freeze(), unfinished=True)


def unfinished(proven: ProvenChains, results: Sequence[LogResult]) -> RegionResult:
    """Return the result of an account-region whose run ended early: what was counted, and nothing judged."""
    counts = _log_counts(results)
    chains = tuple(
        ChainReport(
            item.chain,
            Counts.of(_status(link) for link in item.links),
            counts.get(item.chain, Counts()),
            unfinished=True,
        )
        for item in proven.chains
        if item.selected
    )
    findings = FindingSet([proven.findings, *(result.findings for result in results)])
    hashed = sum(result.bytes_hashed for result in results)
    return RegionResult(
        proven.region, chains, findings.freeze(), keys=proven.keys, bytes_hashed=hashed, unfinished=True
    )


async def _inquire(
    proven: ProvenChains, results: Sequence[LogResult], scope: Scope, tools: Tools, reader: DigestReader
) -> Judged:
    """Read whoever could name the files that nobody names so far, and judge them."""
    region, dated = proven.region, tools.store.dated and not proven.copied
    bucket = region.folders[0].bucket
    unnamed = [file for result in results for file in result.unnamed]
    unnamed += [Unnamed(bucket, None, info) for info in region.strays]
    ends = (link.interval.end for item in proven.chains for link in item.links if link.state is DigestState.PROVEN)
    files = files_of(unnamed, scope.window, max((scope.now, *ends)), dated=dated)
    if not files:
        return Judged()
    folders = proven.folders
    around = Surroundings(
        folders,
        {item.chain: item.links for item in proven.chains},
        proven.claiming,
        _silent_writers(proven, folders, scope.now),
        union(finding.interval for finding in proven.unread if finding.interval),
        identity(region, proven.continuations),
    )
    keys = await tools.keys(region.region)
    return await Inquiry(around, files, reader, keys, tools.store, tools.keys).run(scope.now)


def _silent_writers(proven: ProvenChains, folders: tuple[Folder, ...], now: datetime) -> tuple[Writer, ...]:
    """Return trails that are known to write here and of which no digest tells.

    They have no validation, or are expected and absent. One whose newest digest lies before the window is none of them
    while the next is still to come: the inquiry reads that digest.
    """
    out = [Writer(folders, validated=False)] if proven.region.excused else []
    selected = [item for item in proven.chains if item.selected and item.chain.kind is Kind.STANDARD]
    if (proven.region.expected or proven.failures) and not any(
        _any_proven(item.links) or (item.before is not None and now - item.before <= TAIL) for item in selected
    ):
        out.append(Writer(folders))
    return tuple(out)


class Settler:
    """Judges one account-region from values alone."""

    def __init__(self, proven: ProvenChains, results: Sequence[LogResult], scope: Scope, tools: Tools) -> None:
        self._proven = proven
        self._region = proven.region
        self._results = results
        self._scope = scope
        self._window = scope.window
        self._watch = tools.watch
        self._dated = tools.store.dated
        self._findings = FindingSet([proven.findings, *(result.findings for result in results)])

    def settle(self, judged: Judged) -> RegionResult:
        """Judge every chain and every hour, and report every file that is left."""
        listings = (*self._proven.failures, *(item for result in self._results for item in result.failures))
        for failure in dict.fromkeys((*listings, *judged.failures)):
            self._add(self._cannot_list(failure))
        for finding in (*self._proven.unread, *judged.unread) if judged.rules else ():
            if finding.interval is None or not finding.interval.overlaps(self._window):  # else it is reported already
                self._add(finding)
        judgements = self._judge()
        unnamed = any(rule != rules.LOG_PENDING for _, rule in judged.rules)  # else another trail is about to name them
        if unnamed and not any(chain.kind is Kind.STANDARD for chain in judgements):
            nameless = self._region.nameless
            judgements[nameless] = absent(nameless, self._window, self._vanished())
        chains = self._chains(judgements, judged)
        return RegionResult(
            self._region,
            tuple(chains[chain] for chain in sorted(chains, key=ChainId.sort_key)),
            self._findings.freeze(),
            self._proven.digests,
            self._proven.keys,
            sum(result.bytes_hashed for result in self._results),
            tuple(item.chain for item in self._proven.chains if _any_proven(item.links)),
            edges=self._proven.edges,
            continuations=self._proven.continuations,
        )

    def _add(self, finding: Finding) -> None:
        self._findings.add(finding)
        self._watch.found(finding)

    def _cannot_list(self, failure: Failure) -> Finding:
        """Report a folder that cannot be listed: nobody can vouch for any of its hours."""
        region = self._region
        return Finding(
            failure.rule,
            Status.UNVERIFIABLE,
            region.account,
            region.region,
            region.trail or None,
            failure.where,
            self._window,
            failure.cause,
            detail=failure.detail,
        )

    def _judge(self) -> dict[ChainId, Judgement]:
        """Judge each selected chain, and say where one should be and is not."""
        region, window, proven = self._region, self._window, self._proven
        lost = [
            Link(failure.where, window, DigestState.UNREADABLE, status=Status.UNVERIFIABLE)
            for failure in proven.failures
        ]
        selected = [item for item in proven.chains if item.selected]
        if lost and not any(item.chain.kind is Kind.STANDARD for item in selected):
            selected.append(ChainLinks(region.nameless, (), selected=True))
        out: dict[ChainId, Judgement] = {}
        for item in selected:
            held, tail = [*item.links], Tail.WHOLE
            if item.chain.kind is Kind.STANDARD:
                held += lost
                tail = self._tail(item)
                held += self._cut_off(item) if tail is Tail.CUT else []
            if held or item.earlier:
                doubtful = tail is Tail.DOUBTFUL
                question = JudgeInput(window, self._scope.now, item.earlier, item.before, doubtful)
                out[item.chain] = judge(item.chain, held, question)
        if not any(chain.kind is Kind.STANDARD for chain in out) and (region.expected or proven.strays):
            out[region.nameless] = absent(region.nameless, window, self._vanished(), region.expected)
        return out

    def _vanished(self) -> Link | None:
        """Return a digest of the window that CloudTrail says it delivered to a folder where there is none at all."""
        delivered, folder = self._region.delivered, self._region.folders[0]
        if delivered is None:
            return None
        where = Locator(folder.bucket, folder.path(DIGEST_KIND))  # its own stamp is not known
        link = Link(where, Interval(delivered - TAIL, delivered), DigestState.MISSING)
        return link if link.concerns(self._window) else None

    def _newest(self, item: ChainLinks) -> datetime:
        """Return the end of a chain's newest digest; one without any in the listing has only earlier ones."""
        return item.newest.end if item.newest else self._window.start

    def _tail(self, item: ChainLinks) -> Tail:
        """Judge the hours after a chain's newest digest by the time of CloudTrail's last delivery."""
        newest, delivered = self._newest(item), self._region.delivered
        if delivered is None or newest >= self._window.end:
            return Tail.WHOLE
        if sum(other.selected and other.chain.kind is Kind.STANDARD for other in self._proven.chains) > 1:
            return Tail.WHOLE  # of which trail of that name it tells is not known
        return judge_tail(newest, self._proven.written if self._dated else None, delivered)

    def _cut_off(self, item: ChainLinks) -> list[Link]:
        """Return a digest of the window that CloudTrail says it delivered after the newest one there is."""
        region, window, newest = self._region, self._window, self._newest(item)
        end = newest + HOUR
        if item.newest and end > window.start:
            where = Locator(item.newest.where.bucket, next_digest_key(region.folders[0], item.chain, end))
            return [Link(where, Interval(newest, end), DigestState.MISSING)]
        vanished = self._vanished()
        return [vanished] if vanished else []

    def _chains(self, judgements: Mapping[ChainId, Judgement], judged: Judged) -> dict[ChainId, ChainReport]:
        """Return the record of each chain, and the rule for each file that no digest names by the hours in which it lies."""
        logs = _log_counts(self._results)
        chains = {chain: ChainReport(chain, logs=counts) for chain, counts in logs.items()}
        for chain, judgement in judgements.items():
            counted = logs.get(chain, Counts())
            chains[chain] = ChainReport(chain, judgement.counts, counted, judgement.covered, judgement.gaps)
            for finding in judgement.findings:
                self._add(finding)
        standard = {chain: item for chain, item in judgements.items() if chain.kind is Kind.STANDARD}
        if standard:
            self._judge_files(chains, standard, judged)
        if self._proven.strays:
            first = min(
                chains, key=ChainId.sort_key
            )  # what is no digest belongs to no chain and takes no hour from any
            counts = Counts.of(link.status for link in self._proven.strays)
            chains[first] = replace(chains[first], digests=chains[first].digests + counts)
        return chains

    def _judge_files(
        self, chains: dict[ChainId, ChainReport], standard: Mapping[ChainId, Judgement], judged: Judged
    ) -> None:
        """Report the files that no digest names: they are counted in the first chain's record."""
        first = next(iter(standard))
        undigested = [file for file, rule in judged.rules if rule == rules.LOG_UNDIGESTED]
        statuses: list[Status | None] = []
        for file, rule in judged.rules:
            status = rules.RULES[rule].status
            if status is not Status.NOTICE:
                statuses.append(status)
            region, hours = self._region, _hour_of(file.where.key)
            self._add(Finding(rule, status, region.account, region.region, first.trail or None, file.where, hours))
            self._watch.checked(file.where, status, digest=False)
        chains[first] = replace(chains[first], logs=chains[first].logs + Counts.of(statuses))
        for chain in standard:
            gaps = tuple(_with_logs(gap, undigested) for gap in chains[chain].gaps)
            chains[chain] = replace(chains[chain], gaps=gaps)


def _log_counts(results: Iterable[LogResult]) -> dict[ChainId, Counts]:
    out: dict[ChainId, Counts] = {}
    for result in results:
        for chain, counts in result.counts:
            out[chain] = out.get(chain, Counts()) + counts
    return out


def _status(link: Link) -> Status | None:
    return Status.MISSING if link.state is DigestState.MISSING else link.status


def _any_proven(links: Iterable[Link]) -> bool:
    return any(link.state is DigestState.PROVEN for link in links)


def _hour_of(key: str) -> Interval | None:
    """Return the hour of the minute in a log's name."""
    minute = log_minute(key)
    if minute is None:
        return None
    start = minute - timedelta(minutes=minute.minute)
    return Interval(start, start + HOUR)


def _with_logs(gap: Gap, lying: Sequence[UnreferencedFile]) -> Gap:
    """Return the gap with the number of undigested logs in it."""
    return Gap(gap.rule, gap.interval, sum(file.belongs(gap.interval) for file in lying))
