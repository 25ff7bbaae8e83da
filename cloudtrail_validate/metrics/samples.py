"""From a report to the numbers that monitoring keeps, the same for every system.

Every rule is there in every run, with 0 where nothing was found, so that "it is 0" and "nobody measured" stay apart. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import EPOCH, Interval, Kind, Status
from cloudtrail_validate.core.rules import TRAIL_RULES
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import Tally
from cloudtrail_validate.report import ChainRecord, CountsRecord, Report, Verdict
from cloudtrail_validate.report.references import CHANGE, OPEN

MAX_SERIES: Final = 2_000  # label sets of one metric; 200 accounts in 17 regions have 3,400 chains, and become 200


class Unit(StrEnum):
    """Units, in CloudWatch's words."""

    COUNT = "Count"
    SECONDS = "Seconds"
    NONE = "None"


class Sample(msgspec.Struct, frozen=True):
    """One number. `labels` are name and value pairs, none of them secret, all of them printable."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    unit: Unit = Unit.COUNT


class ChainLevel(msgspec.Struct, frozen=True):
    """How far the proof of one label set reaches: the end of its newest proven digest, and the share of hours covered.

    `newest` is 1970 where nothing is proven, so that an alarm on its age goes off. Where there are too many chains,
    `region` and `trail` are empty and the numbers are those of the account's worst chain.
    """

    account: str
    region: str
    trail: str
    newest: datetime
    covered_ratio: float


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is measured of a run. `scope` tells runs apart: the trail's name, else where was read."""

    scope: str
    finished: datetime
    duration: float
    verdict: Verdict
    exit_code: int
    changed: int
    unproven: int
    findings: Mapping[tuple[str, Status], int]
    objects: Mapping[tuple[str, str], int]
    bytes_hashed: int
    window_seconds: int
    covered_seconds: int
    chains: tuple[ChainLevel, ...]
    failed_notifications: int

    @property
    def oldest(self) -> datetime | None:
        """The end of the newest proven digest of the chain that is furthest behind; None without a chain."""
        return min((chain.newest for chain in self.chains), default=None)


def measure(report: Report, tally: Tally | None = None, *, most: int = MAX_SERIES) -> Measures:
    """Measure a report. `tally` has the exact numbers where its findings were capped; `most` bounds the chains' labels."""
    numbers = tally.numbers if tally else Counter((finding.rule, finding.status) for finding in report.findings)
    findings = {(rule.id, status): 0 for rule in TRAIL_RULES.values() for status in (rule.status, rule.also) if status}
    findings |= {key: number for key, number in numbers.items() if key[0] in TRAIL_RULES}
    told = report.notifications if isinstance(report.notifications, tuple) else ()
    arn = parse_trail_arn(report.request.trail_arn or "")
    return Measures(
        scope=arn.name if arn else printable(report.request.source),
        finished=report.run.finished,
        duration=(report.run.finished - report.run.started).total_seconds(),
        verdict=report.verdict,
        exit_code=report.exit_code,
        changed=sum(number for (_, status), number in numbers.items() if status in CHANGE),
        unproven=sum(number for (_, status), number in numbers.items() if status in OPEN),
        findings=findings,
        objects=_objects("digest", report.summary.digests) | _objects("log", report.summary.logs),
        bytes_hashed=report.summary.log_bytes_hashed,
        window_seconds=report.summary.window_seconds,
        covered_seconds=report.summary.covered_seconds,
        chains=_levels(report.chains, Interval(report.request.start, report.request.end), most),
        failed_notifications=sum(record.outcome == "failed" for record in told),
    )


def _objects(kind: str, counts: CountsRecord) -> dict[tuple[str, str], int]:
    return {(kind, state): getattr(counts, state) for state in counts.__struct_fields__}


def _levels(chains: Iterable[ChainRecord], window: Interval, most: int) -> tuple[ChainLevel, ...]:
    """Chains of the standard kind: a backfill chain is written when there is something late, and has no age to watch."""
    levels: dict[tuple[str, str, str], ChainLevel] = {}
    for chain in chains:
        if chain.kind is not Kind.STANDARD:
            continue
        newest = max((end for _, end in chain.covered), default=EPOCH)
        covered = sum(Interval(*span).seconds for span in chain.covered)
        ratio = min(1.0, covered / window.seconds) if window.seconds else 0.0
        level = ChainLevel(printable(chain.account), printable(chain.region), printable(chain.trail), newest, ratio)
        _keep_worst(levels, (level.account, level.region, level.trail), level)
    for cut in (_by_account, _by_nothing):
        if len(levels) <= most:
            break
        fewer: dict[tuple[str, str, str], ChainLevel] = {}
        for level in levels.values():
            _keep_worst(fewer, cut(level), level)
        levels = fewer
    return tuple(levels[key] for key in sorted(levels))


def _by_account(level: ChainLevel) -> tuple[str, str, str]:
    return level.account, "", ""


def _by_nothing(_: ChainLevel) -> tuple[str, str, str]:
    return "", "", ""


def _keep_worst(levels: dict[tuple[str, str, str], ChainLevel], key: tuple[str, str, str], level: ChainLevel) -> None:
    """Of several chains under one label set, the one that is furthest behind, and the smallest share of hours."""
    known = levels.get(key)
    newest = min(known.newest, level.newest) if known else level.newest
    ratio = min(known.covered_ratio, level.covered_ratio) if known else level.covered_ratio
    levels[key] = ChainLevel(*key, newest, ratio)


def cloudwatch_samples(measures: Measures) -> list[Sample]:
    """The samples for CloudWatch, in both of its ways: totals by trail, findings by rule, age by chain.

    Alarms want an age, since they know no clock. No dimension is empty, which CloudWatch refuses.
    """
    trail = (("Trail", measures.scope),)
    out = [
        Sample("ExitCode", trail, measures.exit_code, Unit.NONE),
        Sample("Changed", trail, measures.changed),
        Sample("Unproven", trail, measures.unproven),
        Sample("Duration", trail, measures.duration, Unit.SECONDS),
        Sample("UncoveredSeconds", trail, measures.window_seconds - measures.covered_seconds, Unit.SECONDS),
        Sample("FailedNotifications", trail, measures.failed_notifications),
    ]
    if measures.oldest is not None:
        out.append(Sample("OldestProvenAge", trail, _age(measures.oldest, measures), Unit.SECONDS))
    by_rule: Counter[str] = Counter()
    for (rule, _), number in measures.findings.items():
        by_rule[rule] += number
    out += [Sample("Findings", (*trail, ("Rule", rule)), number) for rule, number in by_rule.items()]
    for (kind, state), number in measures.objects.items():
        out.append(Sample("Objects", (*trail, ("Kind", kind), ("State", state)), number))
    for chain in measures.chains:
        named = (
            ("Account", chain.account or "all"),
            ("Region", chain.region or "all"),
            ("Chain", chain.trail or "all"),
        )
        out.append(Sample("NewestProvenAge", (*trail, *named), _age(chain.newest, measures), Unit.SECONDS))
    return out


def _age(moment: datetime, measures: Measures) -> float:
    return max(0.0, (measures.finished - moment).total_seconds())
