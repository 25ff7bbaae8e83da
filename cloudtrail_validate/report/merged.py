"""Kept reports made into one, or narrowed to a part: what is shown changes, and no verdict gets better by it. Pure.

Merging: each hour of a chain is told by the newest report that looked at it. Evidence of change stays, whichever report
has it; what was unproven or a notice goes where a later report looked at the same place and hours and found it no more.
Objects are counted by each report that looked at them.

Narrowing: findings and chains are chosen, the verdict stays that of the whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from cloudtrail_validate.core.coverage import Span, difference, intersection, seconds, union
from cloudtrail_validate.core.model import Interval, Kind, Status
from cloudtrail_validate.report import (
    ChainRecord,
    CountsRecord,
    Derived,
    ExitCode,
    FindingRecord,
    GapRecord,
    PublicKeyRecord,
    QueryRecord,
    Report,
    RequestEcho,
    Run,
    Summary,
    Tool,
    Verdict,
)
from cloudtrail_validate.report.due import due_of
from cloudtrail_validate.report.incidents import incidents
from cloudtrail_validate.report.kept import Kept
from cloudtrail_validate.report.references import CHANGE, OPEN, fact_of, hours

_ORDER = {status: place for place, status in enumerate(Status)}
_Chain = tuple[str, str, str, str, str, Kind]
SEVERAL = "several sources"


class Filter(msgspec.Struct, frozen=True):
    """What of a report is wanted; empty and None: everything.

    `since` takes away what ended before it, and keeps what nothing dates.
    """

    rules: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    since: datetime | None = None

    @property
    def narrows(self) -> bool:
        """Whether anything is left out."""
        return bool(self.rules or self.accounts or self.regions or self.since)

    def takes(self, finding: FindingRecord) -> bool:
        """Whether a finding is wanted."""
        when = hours(finding)
        return (
            (not self.rules or finding.rule in self.rules)
            and (not self.accounts or finding.account in self.accounts)
            and (not self.regions or finding.region in self.regions)
            and (self.since is None or when is None or when.end > self.since)
        )


def looked_at(report: Report, account: str | None, region: str | None) -> bool:
    """Whether a report's request includes a place; what names no place is included where nothing was narrowed."""
    request = report.request
    return (not request.accounts or account in request.accounts) and (not request.regions or region in request.regions)


def merge(reports: Sequence[Kept], tool: Tool) -> Report:
    """One report of one or more. A single one stays as it is; the same file twice counts once."""
    unique = {kept.sha256: kept for kept in reports}
    newest_first = sorted(unique.values(), key=lambda kept: (kept.report.run.finished, kept.sha256), reverse=True)
    if len(newest_first) == 1:
        return newest_first[0].report
    held = [kept.report for kept in newest_first]
    chains = _chains(held)
    findings = tuple(sorted(_findings(held), key=_order))
    request, run = _request(held), _run(held)
    window = Interval(request.start, request.end)
    to_come = due_of(chains, window, run.finished)
    verdict = _verdict(held, findings)
    merged = Report(
        verdict=verdict,
        exit_code=int(ExitCode[verdict.name]),
        tool=tool,
        run=run,
        request=request,
        summary=Summary(
            digests=total(
                [chain.digests for chain in chains] + [one.summary.digests for one in held if one.of_queries]
            ),
            logs=total([chain.logs for chain in chains] + [one.summary.logs for one in held if one.of_queries]),
            log_bytes_hashed=sum(report.summary.log_bytes_hashed for report in held),
            window_seconds=window.seconds,
            covered_seconds=_covered_everywhere(chains),
            due_seconds=Interval(window.start, to_come.end).seconds,
            newest_digest=to_come.newest or UNSET,
            next_due=to_come.next or UNSET,
        ),
        chains=chains,
        findings=findings,
        public_keys=_keys(held),
        findings_truncated=any(report.findings_truncated for report in held),
        relied_on=_relied_on(held) or UNSET,
        derived=Derived(reports=tuple(kept.source for kept in reversed(newest_first))),
        queries=_queries(held) if any(one.of_queries for one in held) else UNSET,
    )
    return replace(merged, incidents=incidents(merged) or UNSET)


def narrow(report: Report, wanted: Filter, source: Kept | None = None) -> Report:
    """Only the findings and chains that are wanted. `source` is what the report was read from."""
    if not wanted.narrows:
        return report
    findings = tuple(finding for finding in report.findings if wanted.takes(finding))
    chains = tuple(
        chain
        for chain in report.chains
        if (not wanted.accounts or chain.account in wanted.accounts)
        and (not wanted.regions or chain.region in wanted.regions)
    )
    summary = report.summary
    if len(chains) < len(report.chains):
        window = Interval(report.request.start, report.request.end)
        to_come = due_of(chains, window, report.run.started)
        summary = replace(
            summary,
            digests=total(chain.digests for chain in chains),
            logs=total(chain.logs for chain in chains),
            covered_seconds=_covered_everywhere(chains),
            due_seconds=Interval(window.start, to_come.end).seconds,
            newest_digest=to_come.newest or UNSET,
            next_due=to_come.next or UNSET,
            account_regions_expected=UNSET,
            account_regions_found=UNSET,
        )
    before = (
        report.derived if isinstance(report.derived, Derived) else Derived(reports=(source.source,) if source else ())
    )
    derived = replace(
        before,
        rules=wanted.rules or before.rules,
        accounts=wanted.accounts or before.accounts,
        regions=wanted.regions or before.regions,
        since=wanted.since or before.since,
        findings_left_out=before.findings_left_out + len(report.findings) - len(findings),
    )
    part = replace(report, findings=findings, chains=chains, summary=summary, derived=derived)
    return replace(part, incidents=incidents(part) or UNSET)


def _queries(newest_first: Sequence[Report]) -> tuple[QueryRecord, ...]:
    """Saved queries, each as the newest report tells of it."""
    known: dict[tuple[str, str | None, str], QueryRecord] = {}
    for report in newest_first:
        for query in report.saved_queries:
            known.setdefault((report.request.source, query.bucket, query.key), query)
    return tuple(known[key] for key in sorted(known, key=lambda key: (key[0], key[1] or "", key[2])))


def total(counts: Iterable[CountsRecord]) -> CountsRecord:
    """The sum, outcome by outcome."""
    listed = list(counts)
    return CountsRecord(**{name: sum(getattr(one, name) for one in listed) for name in CountsRecord.__struct_fields__})


def _covered_everywhere(chains: Iterable[ChainRecord]) -> int:
    """Seconds that every chain covers."""
    spans = [union(Interval(*span) for span in chain.covered) for chain in chains if chain.kind is Kind.STANDARD]
    together: Span = spans[0] if spans else ()
    for span in spans[1:]:
        together = intersection(together, span)
    return seconds(together)


def _key(chain: ChainRecord) -> _Chain:
    return (
        chain.organization_id or "",
        chain.account,
        chain.region,
        chain.trail,
        chain.home_region,
        chain.kind,
    )


def _subject(report: Report) -> tuple[str | None, str, str | UnsetType]:
    """What a report is about. Only reports about the same can say anything of each other's hours."""
    return report.request.trail_arn, report.request.source, report.request.copy_of


def _chains(newest_first: Sequence[Report]) -> tuple[ChainRecord, ...]:
    records: defaultdict[_Chain, list[tuple[Report, ChainRecord]]] = defaultdict(list)
    for report in newest_first:
        for chain in report.chains:
            records[_key(chain)].append((report, chain))
    return tuple(_chain(records[key], newest_first) for key in sorted(records))


def _chain(told: Sequence[tuple[Report, ChainRecord]], newest_first: Sequence[Report]) -> ChainRecord:
    """One chain's record out of those that reports have of it: each hour by the newest that looked at it."""
    first = told[0][1]
    own = {id(report): chain for report, chain in told}
    subjects = {_subject(report) for report, _ in told}
    claimed: Span = ()
    covered: list[Interval] = []
    gaps: list[GapRecord] = []
    for report in newest_first:
        if _subject(report) not in subjects or not looked_at(report, first.account, first.region):
            continue
        if report.stopped and id(report) not in own:
            continue  # it may not have come so far
        window = Interval(report.request.start, report.request.end)
        free = difference((window,), claimed)
        chain = own.get(id(report))
        if chain is not None:
            covered += intersection(union(Interval(*span) for span in chain.covered), free)
            gaps += [part for gap in chain.gaps for part in _clipped(gap, free)]
        claimed = union((*claimed, window))
    return replace(
        first,
        digests=total(chain.digests for _, chain in told),
        logs=total(chain.logs for _, chain in told),
        covered=tuple((span.start, span.end) for span in union(covered)),
        gaps=tuple(sorted(gaps, key=lambda gap: (gap.start, gap.end, gap.rule))),
    )


def _clipped(gap: GapRecord, free: Span) -> Iterator[GapRecord]:
    """The parts of a gap that no newer report has told. Its logs are counted with the first of them."""
    logs = gap.undigested_logs
    for span in intersection(union((Interval(gap.start, gap.end),)), free):
        yield GapRecord(rule=gap.rule, start=span.start, end=span.end, undigested_logs=logs)
        logs = 0


def _findings(newest_first: Sequence[Report]) -> Iterator[FindingRecord]:
    seen: set[tuple[object, ...]] = set()
    newer: list[Report] = []
    for report in newest_first:
        for finding in report.findings:
            fact = (finding.status, *fact_of(finding))
            if fact in seen or (finding.status not in CHANGE and _answered(finding, report, newer)):
                continue
            seen.add(fact)
            yield finding
        newer.append(report)


def _answered(finding: FindingRecord, report: Report, newer: Iterable[Report]) -> bool:
    """Whether a later report looked at just this: it would say so if it were still so."""
    when = hours(finding) or Interval(report.request.start, report.request.end)
    return any(
        _subject(later) == _subject(report)
        and not later.stopped
        and not later.findings_truncated
        and looked_at(later, finding.account, finding.region)
        and later.request.start <= when.start
        and when.end <= later.request.end
        for later in newer
    )


def _superseded(report: Report, others: Iterable[Report]) -> bool:
    """Whether a later report looked at all that this one did."""
    request = report.request
    return any(
        later.run.finished > report.run.finished
        and _subject(later) == _subject(report)
        and not later.stopped
        and later.request.start <= request.start
        and request.end <= later.request.end
        and (
            not later.request.accounts or (bool(request.accounts) and {*request.accounts} <= {*later.request.accounts})
        )
        and (not later.request.regions or (bool(request.regions) and {*request.regions} <= {*later.request.regions}))
        for later in others
    )


def _verdict(held: Sequence[Report], findings: Sequence[FindingRecord]) -> Verdict:
    """The worst that still stands."""
    if any(report.verdict is Verdict.CHANGED for report in held):
        return Verdict.CHANGED
    standing = [report for report in held if not _superseded(report, held)]
    if all(report.verdict is Verdict.EMPTY for report in standing):
        return Verdict.EMPTY
    if any(report.verdict is Verdict.EMPTY or report.stopped for report in standing):
        return Verdict.UNPROVEN
    left = {(finding.status, *fact_of(finding)) for finding in findings if finding.status in OPEN}
    for report in standing:
        facts = {(finding.status, *fact_of(finding)) for finding in report.findings}
        if report.verdict is Verdict.UNPROVEN and (report.findings_truncated or not facts.isdisjoint(left)):
            return Verdict.UNPROVEN
    return Verdict.VALID


def _order(finding: FindingRecord) -> tuple[object, ...]:
    when = finding.start.isoformat() if finding.start else ""
    place = (finding.account or "", finding.region or "", finding.trail or "")
    return (_ORDER[finding.status], finding.rule, *place, when, finding.bucket or "", finding.key or "")


def _request(held: Sequence[Report]) -> RequestEcho:
    """What was asked altogether."""
    requests = [report.request for report in held]
    trails = {request.trail_arn for request in requests}
    sources = {request.source for request in requests}
    accounts = () if any(not request.accounts for request in requests) else _all(r.accounts for r in requests)
    regions = () if any(not request.regions for request in requests) else _all(r.regions for r in requests)
    first = requests[0]
    return RequestEcho(
        trail_arn=first.trail_arn if len(trails) == 1 else None,
        start=min(request.start for request in requests),
        end=max(request.end for request in requests),
        source=first.source if len(sources) == 1 else SEVERAL,
        regions=regions,
        accounts=accounts,
        copy_of=first.copy_of if len({request.copy_of for request in requests}) == 1 else UNSET,
        profile=first.profile if len({request.profile for request in requests}) == 1 else UNSET,
        endpoint_url=first.endpoint_url if len({request.endpoint_url for request in requests}) == 1 else UNSET,
        role_arn=first.role_arn if len({request.role_arn for request in requests}) == 1 else UNSET,
    )


def _all(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for names in lists for name in names}))


def _run(held: Sequence[Report]) -> Run:
    callers = {report.run.caller_arn for report in held}
    return Run(
        started=min(report.run.started for report in held),
        finished=max(report.run.finished for report in held),
        caller_arn=callers.pop() if len(callers) == 1 else None,
    )


def _keys(held: Sequence[Report]) -> tuple[PublicKeyRecord, ...]:
    known: dict[tuple[str, str, str], PublicKeyRecord] = {}
    for report in reversed(held):
        for key in report.public_keys:
            known.setdefault((key.region, key.fingerprint, key.source), key)
    return tuple(known[name] for name in sorted(known))


def _relied_on(held: Sequence[Report]) -> tuple[str, ...]:
    said = (line for report in reversed(held) if isinstance(report.relied_on, tuple) for line in report.relied_on)
    return tuple(dict.fromkeys(said))
