"""Two reports side by side: what appeared, what healed, what stayed, and what the newer one did not look at. Pure.

The exit code is that of getting worse: 0 where nothing did, 1 only where evidence of change appeared, 3 where something
unproven appeared, or hours are no longer proven that were. What stayed was told of before and counts no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, Literal

import msgspec

from cloudtrail_validate.core.coverage import Span, difference, intersection, seconds, union
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Interval, Kind
from cloudtrail_validate.report import ExitCode, FindingRecord, Report, SourceReport, Verdict
from cloudtrail_validate.report.due import due_seconds
from cloudtrail_validate.report.kept import Kept
from cloudtrail_validate.report.merged import looked_at
from cloudtrail_validate.report.references import CHANGE, OPEN, fact_of, hours

SCHEMA: Literal["ctvalidate.compare/1"] = "ctvalidate.compare/1"
_Fact = tuple[str | None, ...]


class Answer(StrEnum):
    """How the newer report stands to the older one, in one word."""

    SAME = "same"
    BETTER = "better"
    CHANGED = "changed"
    UNPROVEN = "unproven"


class StayedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of both reports as the newer has it; `grown_seconds` is by how much its hours reach further now."""

    finding: FindingRecord
    grown_seconds: int


class CoverageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds covered everywhere, of those that were due, in both reports; and seconds of chains proven only then.

    `lost_seconds` adds up over chains: hours that the older report proved, that the newer looked at and proves no more.
    """

    old_covered: int
    old_due: int
    new_covered: int
    new_due: int
    lost_seconds: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `unlooked` are findings of the older report of which the newer can say nothing."""

    schema: Literal["ctvalidate.compare/1"] = SCHEMA
    answer: Answer
    exit_code: int
    old: SourceReport
    new: SourceReport
    appeared: tuple[FindingRecord, ...]
    healed: tuple[FindingRecord, ...]
    stayed: tuple[StayedRecord, ...]
    unlooked: tuple[FindingRecord, ...]
    coverage: CoverageRecord
    notes: tuple[str, ...]


class UnlikeError(ValueError):
    """Two reports about different things: one line on which."""


def compare(old: Kept, new: Kept) -> Comparison:
    """Compare two reports. Raises `UnlikeError` where they are about different trails."""
    trails = (old.report.request.trail_arn, new.report.request.trail_arn)
    if all(trails) and trails[0] != trails[1]:
        raise UnlikeError(f"the reports are about different trails: {trails[0]} and {trails[1]}")
    before, after = old.report, new.report
    # A copy's files bear no bucket's name where no digest names them: then a key has to do.
    bucketless = any(report.request.source.startswith("file:") for report in (before, after))
    known, now = _facts(before, bucketless), _facts(after, bucketless)
    appeared = tuple(finding for fact, finding in now.items() if _worse(finding, known.get(fact)))
    stayed = tuple(
        StayedRecord(finding=finding, grown_seconds=_grown(known[fact], finding, before))
        for fact, finding in now.items()
        if fact in known and not _worse(finding, known[fact])
    )
    gone = [finding for fact, finding in known.items() if fact not in now]
    healed = tuple(finding for finding in gone if _answers(after, finding, before))
    unlooked = tuple(finding for finding in gone if not _answers(after, finding, before))
    coverage = CoverageRecord(
        old_covered=before.summary.covered_seconds,
        old_due=due_seconds(before),
        new_covered=after.summary.covered_seconds,
        new_due=due_seconds(after),
        lost_seconds=_lost(before, after),
    )
    answer = _answer(before, after, appeared, stayed, healed, coverage.lost_seconds)
    return Comparison(
        answer=answer,
        exit_code=int(_CODES[answer]),
        old=old.source,
        new=new.source,
        appeared=appeared,
        healed=healed,
        stayed=stayed,
        unlooked=unlooked,
        coverage=coverage,
        notes=tuple(_notes(before, after)),
    )


_CODES: Final = {
    Answer.SAME: ExitCode.VALID,
    Answer.BETTER: ExitCode.VALID,
    Answer.CHANGED: ExitCode.CHANGED,
    Answer.UNPROVEN: ExitCode.UNPROVEN,
}


def _facts(report: Report, bucketless: bool) -> dict[_Fact, FindingRecord]:
    """The findings by what they are known by; equal ones are told apart by their order."""
    out: dict[_Fact, FindingRecord] = {}
    seen: dict[_Fact, int] = {}
    for finding in report.findings:
        fact: _Fact = tuple(fact_of(finding))
        if bucketless and finding.key is not None:
            fact = (finding.rule, finding.key)
        seen[fact] = number = seen.get(fact, 0) + 1
        out[(*fact, str(number))] = finding
    return out


def _worse(finding: FindingRecord, before: FindingRecord | None) -> bool:
    """Whether a finding is news: not there before, or evidence now of what was only unproven."""
    return before is None or (finding.status in CHANGE and before.status not in CHANGE)


def _grown(before: FindingRecord, now: FindingRecord, older: Report) -> int:
    """Seconds by which the hours of a finding reach further, not counting hours before the older report's window."""
    was, is_now = hours(before), hours(now)
    if now.key is not None or was is None or is_now is None or None in (before.end, now.end):
        return 0
    return sum(
        piece.within(Interval(older.request.start, max(piece.end, older.request.start))).seconds
        for piece in difference((is_now,), union((was,)))
    )


def _answers(report: Report, finding: FindingRecord, older: Report) -> bool:
    """Whether a report looked at the place and all the hours of a finding, and keeps whatever it found there."""
    if report.findings_truncated or report.stopped:
        return False
    when = hours(finding) or Interval(older.request.start, older.request.end)
    looked = looked_at(report, finding.account, finding.region) and _same_trail(report, finding.trail)
    return looked and report.request.start <= when.start and when.end <= report.request.end


def _same_trail(report: Report, trail: str | None, home_region: str | None = None) -> bool:
    """Whether a report asked about this trail, as far as either names one."""
    asked = parse_trail_arn(report.request.trail_arn or "")
    if asked is None or not trail:
        return True
    return asked.name == trail and home_region in (None, "", asked.region)


def _covered(report: Report) -> dict[tuple[str, ...], Span]:
    spans: dict[tuple[str, ...], Span] = {}
    for chain in report.chains:
        if chain.kind is Kind.STANDARD:
            key = (chain.organization_id or "", chain.account, chain.region, chain.trail, chain.home_region)
            spans[key] = union((*spans.get(key, ()), *(Interval(*span) for span in chain.covered)))
    return spans


def _lost(before: Report, after: Report) -> int:
    """Seconds of all chains that were proven, that the newer report looked at, and that it proves no more."""
    window, now = Interval(after.request.start, after.request.end), _covered(after)
    total = 0
    for key, span in _covered(before).items():
        if looked_at(after, key[1], key[2]) and _same_trail(after, key[3], key[4]):
            total += seconds(difference(intersection(span, (window,)), now.get(key, ())))
    return total


def _answer(
    before: Report,
    after: Report,
    appeared: Iterable[FindingRecord],
    stayed: Iterable[StayedRecord],
    healed: Sequence[FindingRecord],
    lost: int,
) -> Answer:
    statuses = {finding.status for finding in appeared}
    if not statuses.isdisjoint(CHANGE):
        return Answer.CHANGED
    nothing = after.verdict is Verdict.EMPTY and before.verdict is not Verdict.EMPTY
    cut_off = after.stopped and not before.stopped
    grown = any(item.grown_seconds and item.finding.status in OPEN for item in stayed)
    if not statuses.isdisjoint(OPEN) or grown or lost or nothing or cut_off:
        return Answer.UNPROVEN
    return Answer.BETTER if any(finding.status in CHANGE | OPEN for finding in healed) else Answer.SAME


def _notes(before: Report, after: Report) -> Iterator[str]:
    """What a reader must know to read the answer right."""
    if before.run.finished > after.run.finished:
        yield "the report given as OLD was made after the one given as NEW"
    if before.request.source != after.request.source:
        yield f"they read different places: {before.request.source} and {after.request.source}"
    if not (before.request.start < after.request.end and after.request.start < before.request.end):
        yield "their windows have no hour in common"
    for name, report in (("OLD", before), ("NEW", after)):
        if report.findings_truncated:
            yield f"{name} does not hold all findings of its run, so not all of them could be compared"
        if report.stopped:
            yield f"{name} was interrupted and holds what was found until then"
