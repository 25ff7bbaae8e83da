"""Findings grouped by cause: a story a lost digest, not a line for each log that it leaves unproven. Pure.

In three steps, each linear but for sorting:

1. In one chain, a digest that is lost, the gap it leaves and the logs without a digest there are one *cluster*: their
   hours overlap. Its cause is the digest; without one, the gap; without either, the logs themselves.
2. A finding about a log is a cluster by itself, and so is a notice.
3. Clusters of one cause whose hours follow each other within `SLACK` are one *incident*, in whatever account and region
   they lie. What a permission or an archive keeps from being read is one incident a reason, whenever.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval, Status
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.report import FindingRecord, IncidentRecord, PlaceRecord, Report
from cloudtrail_validate.report.references import hours
from cloudtrail_validate.report.steps import Advisor

SLACK: Final = timedelta(hours=6)  # an intruder's night is one incident, hours of the next night are another
NEAR: Final = timedelta(minutes=10)  # a log is named up to 5 minutes off its hour (core.coverage.NAME_SLACK), both ways
MOST_PLACES: Final = 50  # accounts and regions listed of one incident; their number is exact
MOST_SAMPLES: Final = 12  # findings pointed at in the record of one incident
_SAME_DEED: Final = {rules.LOG_MALFORMED: rules.LOG_ALTERED, rules.LOG_TRAILING_DATA: rules.LOG_ALTERED}
_STATUS_ORDER: Final = {status: place for place, status in enumerate(Status)}
_RULE_ORDER: Final = {rule: place for place, rule in enumerate(RULES)}
_Lead = tuple[str, str]


class Incident(msgspec.Struct, frozen=True):
    """One incident: the finding that leads it, when it happened, and all its findings by their place in the report.

    `members` come in the order in which to tell of them: the cause first, one account and region after the other.
    `places` are the accounts and regions with their numbers of findings, most first. `when` is None where nothing tells.
    """

    lead: int
    status: Status
    when: Interval | None
    members: tuple[int, ...]
    places: tuple[tuple[tuple[str | None, str | None], int], ...]


class _Cluster(msgspec.Struct):
    """Findings that belong together, with the hours that they reach over."""

    lead: _Lead
    members: list[int]
    start: datetime | None
    end: datetime | None


def group(report: Report) -> tuple[Incident, ...]:
    """All incidents of a report, worst first, then as they happened. Every finding is in exactly one."""
    findings = report.findings
    times = [hours(finding) for finding in findings]
    by_lead: defaultdict[_Lead, list[_Cluster]] = defaultdict(list)
    for cluster in _clusters(findings, times):
        by_lead[cluster.lead].append(cluster)
    found = [_incident(one, findings) for clusters in by_lead.values() for one in _swept(clusters)]
    return tuple(sorted(found, key=lambda one: _order(one, findings)))


def incidents(report: Report) -> tuple[IncidentRecord, ...]:
    """The incidents as the report publishes them."""
    advisor = Advisor(report)
    return tuple(_record(one, report, advisor) for one in group(report))


def _record(incident: Incident, report: Report, advisor: Advisor) -> IncidentRecord:
    findings = report.findings
    numbers = Counter(findings[number].rule for number in incident.members)
    return IncidentRecord(
        rule=findings[incident.lead].rule,
        status=incident.status,
        start=incident.when.start.replace(microsecond=0) if incident.when else None,
        end=incident.when.end.replace(microsecond=0) if incident.when else None,
        findings=len(incident.members),
        rules={rule: numbers[rule] for rule in sorted(numbers, key=lambda rule: _RULE_ORDER.get(rule, 99))},
        places=tuple(
            PlaceRecord(account=account, region=region, findings=number)
            for (account, region), number in incident.places[:MOST_PLACES]
        ),
        places_total=len(incident.places),
        samples=incident.members[:MOST_SAMPLES],
        next_steps=advisor.steps(findings[incident.lead], incident.when, places=len(incident.places)),
    )


def _clusters(findings: Sequence[FindingRecord], times: Sequence[Interval | None]) -> Iterator[_Cluster]:
    """Steps 1 and 2."""
    by_chain: defaultdict[tuple[str | None, ...], list[tuple[Interval, int]]] = defaultdict(list)
    for number, finding in enumerate(findings):
        when = times[number]
        if when is not None and _costs_hours(finding):
            by_chain[finding.account, finding.region, finding.trail].append((when, number))
        else:
            yield _Cluster(_lead(finding), [number], *(when or (None, None)))
    for spans in by_chain.values():
        yield from _of_chain(spans, findings)


def _costs_hours(finding: FindingRecord) -> bool:
    """Whether a finding may be part of what happened to some hours of a chain."""
    if finding.rule in rules.GAPS or finding.rule == rules.LOG_UNDIGESTED:
        return True
    return finding.rule.startswith("digest-") and finding.status is not Status.NOTICE


def _of_chain(spans: Sequence[tuple[Interval, int]], findings: Sequence[FindingRecord]) -> Iterator[_Cluster]:
    """The clusters of one chain's lost digests, gaps and undigested logs: whatever overlaps is one."""
    open_now: list[tuple[Interval, int]] = []
    end = spans[0][0].start
    for when, number in sorted(spans):
        slack = NEAR if findings[number].rule == rules.LOG_UNDIGESTED else timedelta()
        if open_now and when.start >= end + slack:
            yield _cluster(open_now, findings)
            open_now = []
        end = max(end, when.end) if open_now else when.end
        open_now.append((when, number))
    yield _cluster(open_now, findings)


def _cluster(spans: Sequence[tuple[Interval, int]], findings: Sequence[FindingRecord]) -> _Cluster:
    """Name the cause: a digest before a gap, a gap before logs; among digests the worst.

    The hours are those of digests and gaps: a log without a digest may be named some minutes off them.
    """

    def rank(number: int) -> tuple[int, int, int]:
        finding = findings[number]
        sort = 0 if finding.rule.startswith("digest-") else 1 if finding.rule in rules.GAPS else 2
        return sort, _STATUS_ORDER[finding.status], _RULE_ORDER.get(finding.rule, 99)

    ordered = sorted((number for _, number in spans), key=lambda number: (rank(number), number))
    telling = [when for when, number in spans if findings[number].rule != rules.LOG_UNDIGESTED]
    known = telling or [when for when, _ in spans]
    start, end = min(when.start for when in known), max(when.end for when in known)
    return _Cluster(_lead(findings[ordered[0]]), ordered, start, end)


def _lead(finding: FindingRecord) -> _Lead:
    """What clusters of one incident have in common: the cause, or the reason for which something cannot be read."""
    if finding.cause is not None and finding.status is Status.UNVERIFIABLE:
        return "", str(finding.cause)
    return _SAME_DEED.get(finding.rule, finding.rule), str(finding.status)


def _swept(clusters: Iterable[_Cluster]) -> Iterator[_Cluster]:
    """Step 3, of clusters with one cause. Those without a time are one of their own."""
    timeless: _Cluster | None = None
    held: _Cluster | None = None
    known = [(one.start, one.end, one) for one in clusters if one.start is not None and one.end is not None]
    for one in (one for one in clusters if one.start is None):
        if timeless is None:
            timeless = _Cluster(one.lead, list(one.members), None, None)
        else:
            timeless.members += one.members
    until: datetime | None = None
    for start, end, one in sorted(known, key=lambda item: (item[0], item[1], item[2].members)):
        if held is not None and until is not None and (start <= until + SLACK or _whenever(one.lead)):
            held.members += one.members
            held.end = until = max(until, end)
            continue
        if held is not None:
            yield held
        held, until = _Cluster(one.lead, list(one.members), start, end), end
    yield from (one for one in (held, timeless) if one is not None)


def _whenever(lead: _Lead) -> bool:
    """Whether time makes no difference: one reason keeps all of it from being read, or nothing is wrong with it."""
    return not lead[0] or lead[1] == Status.NOTICE


def _incident(cluster: _Cluster, findings: Sequence[FindingRecord]) -> Incident:
    by_place: defaultdict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for number in cluster.members:
        by_place[findings[number].account, findings[number].region].append(number)
    places = sorted(by_place.items(), key=lambda item: (-len(item[1]), item[0][0] or "", item[0][1] or ""))
    # The cause of a cluster comes before what follows from it, then places take turns.
    turns: list[tuple[int, int, int, int]] = []
    for place, (_, held) in enumerate(places):
        seen: Counter[int] = Counter()
        for number in sorted(held):
            sort = _consequence(findings[number])
            turns.append((sort, seen[sort], place, number))
            seen[sort] += 1
    members = tuple(number for *_, number in sorted(turns))
    worst = min((findings[number].status for number in members), key=lambda status: _STATUS_ORDER[status])
    when = Interval(cluster.start, cluster.end) if cluster.start is not None and cluster.end is not None else None
    lead = next((n for n in members if _lead(findings[n]) == cluster.lead), members[0])
    return Incident(lead, worst, when, members, tuple((place, len(held)) for place, held in places))


def _consequence(finding: FindingRecord) -> int:
    """0 for what may be a cause, 1 for a gap, 2 for a log that lies in one."""
    return 2 if finding.rule == rules.LOG_UNDIGESTED else int(finding.rule in rules.GAPS)


def _order(incident: Incident, findings: Sequence[FindingRecord]) -> tuple[int, bool, str, int, int]:
    """Worst first, then as it happened; what nothing dates comes last."""
    when = incident.when.start.isoformat() if incident.when else ""
    lead = findings[incident.lead].rule
    return (_STATUS_ORDER[incident.status], not when, when, _RULE_ORDER.get(lead, 99), incident.lead)
