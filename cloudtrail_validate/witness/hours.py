"""Which hours sources are asked about: those of a window, or those that a validation lost. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import union
from cloudtrail_validate.core.layout import ACCOUNT, REGION
from cloudtrail_validate.core.model import ChainReport, Finding, Interval, Kind
from cloudtrail_validate.core.witness import Coverage
from cloudtrail_validate.report import Report

Place = tuple[str, str]
"""An account and a region."""

_EARLIER: Final = timedelta(minutes=15)  # by which an event may be older than the hour of the log that holds it
LOST_LOGS: Final = frozenset(
    {rules.LOG_ALTERED, rules.LOG_MALFORMED, rules.LOG_TRAILING_DATA, rules.LOG_MISSING, rules.LOG_UNREADABLE}
)


def coverage_of(chains: Iterable[ChainReport], findings: Iterable[Finding]) -> Mapping[Place, Coverage]:
    """What is known of each account-region's hours."""
    covered: defaultdict[Place, list[Interval]] = defaultdict(list)
    for chain in chains:
        if chain.chain.kind is Kind.STANDARD:
            covered[chain.chain.account, chain.chain.region] += chain.covered
    lost: defaultdict[Place, list[Interval]] = defaultdict(list)
    for finding in findings:
        if finding.rule in LOST_LOGS and finding.interval and finding.account and finding.region:
            lost[finding.account, finding.region].append(_widened(finding.interval))
    return {place: Coverage(union(covered[place]), union(lost[place])) for place in {*covered, *lost}}


def lost_hours(report: Report) -> Mapping[Place, tuple[Interval, ...]]:
    """The hours of gaps, lost digests and lost logs of each account-region that a report names."""
    out: defaultdict[Place, list[Interval]] = defaultdict(list)
    window = Interval(report.request.start, report.request.end)
    for finding in report.findings:
        place = finding.account or "", finding.region or ""
        if not (ACCOUNT.fullmatch(place[0]) and REGION.fullmatch(place[1])) or finding.start is None or not finding.end:
            continue
        hours = Interval(finding.start, finding.end)
        if finding.rule in LOST_LOGS:
            out[place].append(_widened(hours))
        elif finding.rule in rules.GAPS:
            out[place].append(hours.within(window))
    return {place: union(hours) for place, hours in sorted(out.items())}


def _widened(hours: Interval) -> Interval:
    return Interval(hours.start - _EARLIER, hours.end)
