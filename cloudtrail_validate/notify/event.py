"""From a report, and what was open before it, to the one value that every target is told.

A finding is *open* while its status is evidence of change, unverifiable or uncovered; notices are not told of. It has one
id for its rule, place and key (`report.references.identities`), the same in every run and in every format. It is *healed*
only where a later run looked at its hours again, proved them and no longer found it: a run that did not look, or could
not, leaves it open. Pure: no clock, no I/O.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Cause, Interval, Kind, Status
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import FindingRecord, Report, RequestEcho, Time, Verdict
from cloudtrail_validate.report.healing import TOLD, Proof, accused
from cloudtrail_validate.report.references import Severity, identities, severity

SCHEMA: Final = "ctvalidate.event/1"
MAX_VALUE: Final = 1_200  # characters of a value that is passed on: an S3 key has 1,024 bytes, a signature 512 digits


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it is told and remembered: the report's fields, printable and bounded, without explanations."""

    rule: str
    status: Status
    account: str | None
    region: str | None
    trail: str | None
    bucket: str | None
    key: str | None
    start: Time | None
    end: Time | None
    cause: str | None
    expected: str | None
    actual: str | None
    message: str


class OpenFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that nobody has seen healed: its stable id, when it was first and last found, and in how many runs."""

    id: str
    finding: Brief
    first_seen: Time
    last_seen: Time
    times: int = 1


class OpenFindings(msgspec.Struct, frozen=True):
    """Everything that was open after a run."""

    findings: tuple[OpenFinding, ...] = ()


class Memory(Protocol):
    """Remembers open findings from one run to the next."""

    def open_before(self) -> OpenFindings | None:
        """What the last run left open; None where there was no last run."""
        ...


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has to tell.

    `id` is the same for every run of one trail (or source); `state` changes whenever the verdict or what is open does.
    `opened` was not open before, `again` was and was found again, `healed` is proven now. `carried` is still open, because
    this run did not ask about it or could not prove it. Without memory (`remembers`) everything is `opened`.
    `problem` is why nothing was validated at all, of a run that has no report. `examined` is the doctor's verdict, of an
    examination of the set-up; its findings bear their own status in `cause`.
    """

    schema: Literal["ctvalidate.event/1"] = "ctvalidate.event/1"
    id: str
    state: str
    verdict: Verdict
    exit_code: int
    severity: Severity
    trail: str | None
    source: str
    account: str | None
    region: str | None
    start: Time
    end: Time
    finished: Time
    counts: Mapping[Status, int]
    counts_are_exact: bool
    opened: tuple[OpenFinding, ...]
    again: tuple[OpenFinding, ...]
    healed: tuple[OpenFinding, ...]
    carried: tuple[OpenFinding, ...]
    tool_version: str
    remembers: bool
    problem: str | None = None
    examined: str | None = None

    @property
    def found(self) -> tuple[OpenFinding, ...]:
        """All open findings of this run, new ones first."""
        return self.opened + self.again

    @property
    def place(self) -> str:
        """The trail's name, or where was read: what an alert is about, in a few characters."""
        arn = parse_trail_arn(self.trail or "")
        return arn.name if arn else printable(self.source)


def build_event(
    report: Report,
    previous: OpenFindings | None = None,
    *,
    numbers: Mapping[Status, int] | None = None,
    complete: bool = True,
    kept: Collection[str] | None = None,
) -> Event:
    """Make the event of a run.

    `kept` are the ids that a state keeps open after the run: it has asked about hours beyond the report's, so it decides
    what is healed, where there is one. `numbers` are the exact numbers of findings by status, where the report's own list
    was capped. Nothing is healed by a run that was not `complete`, nor by a report that left findings out.
    """
    before = {item.id: item for item in (previous or OpenFindings()).findings}
    found = {item.id: item for item in _found(report, before)}
    absent = [item for identity, item in before.items() if identity not in found]
    healed = _healed(report, absent, kept) if complete and not report.findings_truncated else ()
    gone = {item.id for item in healed}
    arn = parse_trail_arn(report.request.trail_arn or "")
    return Event(
        id=_digest("event", report.request.trail_arn or report.request.source),
        state=_digest(report.verdict, *sorted([*found, *(f"healed {identity}" for identity in gone)])),
        verdict=report.verdict,
        exit_code=report.exit_code,
        severity=_worst(found.values(), report.verdict),
        trail=report.request.trail_arn,
        source=printable(report.request.source),
        account=arn.account if arn else None,
        region=arn.region if arn else None,
        start=report.request.start,
        end=report.request.end,
        finished=report.run.finished,
        counts=numbers or _count(report),
        counts_are_exact=numbers is not None or not report.findings_truncated,
        opened=tuple(item for identity, item in found.items() if identity not in before),
        again=tuple(item for identity, item in found.items() if identity in before),
        healed=healed,
        carried=tuple(item for item in absent if item.id not in gone),
        tool_version=report.tool.version,
        remembers=previous is not None,
    )


def refused_event(
    request: RequestEcho, previous: OpenFindings | None, *, exit_code: int, problem: str, now: datetime, version: str
) -> Event:
    """Make the event of a run that could validate nothing: no permission, no such bucket. What was open stays open."""
    arn = parse_trail_arn(request.trail_arn or "")
    return Event(
        id=_digest("event", request.trail_arn or request.source),
        state=_digest("refused", problem),
        verdict=Verdict.UNPROVEN,
        exit_code=exit_code,
        severity=Severity.MEDIUM,
        trail=request.trail_arn,
        source=printable(request.source),
        account=arn.account if arn else None,
        region=arn.region if arn else None,
        start=request.start,
        end=request.end,
        finished=now.replace(microsecond=0),
        counts=dict.fromkeys(Status, 0),
        counts_are_exact=True,
        opened=(),
        again=(),
        healed=(),
        carried=(previous or OpenFindings()).findings,
        tool_version=version,
        remembers=previous is not None,
        problem=_value(problem),
    )


def still_open(event: Event) -> OpenFindings:
    """What to remember after a run: everything found, and everything that nobody has seen healed."""
    return OpenFindings(event.opened + event.again + event.carried)


def _found(report: Report, before: Mapping[str, OpenFinding]) -> Iterator[OpenFinding]:
    now = report.run.finished
    for finding, identity in zip(report.findings, identities(report.findings), strict=True):
        if finding.status not in TOLD:
            continue
        known = before.get(identity)
        if known is not None:
            yield replace(known, finding=brief(finding), last_seen=now, times=known.times + 1)
        else:
            yield OpenFinding(id=identity, finding=brief(finding), first_seen=now, last_seen=now)


def brief(finding: FindingRecord) -> Brief:
    """Cut a finding down to what is told and remembered."""
    return Brief(
        rule=finding.rule,
        status=finding.status,
        account=_value(finding.account),
        region=_value(finding.region),
        trail=_value(finding.trail),
        bucket=_value(finding.bucket),
        key=finding.key,
        start=finding.start,
        end=finding.end,
        cause=finding.cause.value if finding.cause else None,
        expected=_value(finding.expected),
        actual=_value(finding.actual),
        message=_value(finding.message) or "",
    )


def as_record(finding: Brief) -> FindingRecord:
    """The finding as a report has it."""
    fields = {name: getattr(finding, name) for name in finding.__struct_fields__}
    cause = Cause(finding.cause) if finding.cause in set(Cause) else None
    return FindingRecord(**fields | {"cause": cause})


def _healed(report: Report, absent: Iterable[OpenFinding], kept: Collection[str] | None) -> tuple[OpenFinding, ...]:
    """Those of the findings that were not found again that are healed."""
    if kept is not None:
        return tuple(item for item in absent if item.id not in kept)
    proof = _proof(report)
    return tuple(item for item in absent if proof.heals(as_record(item.finding)))


def _proof(report: Report) -> Proof:
    chains = [chain for chain in report.chains if chain.kind is Kind.STANDARD]
    covered = ((one.account, one.region, one.trail, [Interval(*span) for span in one.covered]) for one in chains)
    return Proof(covered, accused(report.findings))


def _worst(found: Iterable[OpenFinding], verdict: Verdict) -> Severity:
    """Rank an event by its worst finding, as far as the verdict bears it out: a tolerated one is no alarm."""
    ranks = list(Severity)
    if verdict is Verdict.VALID:
        return Severity.INFORMATIONAL
    worst = max((ranks.index(severity(item.finding.status)) for item in found), default=0)
    return ranks[max(worst, ranks.index(Severity.MEDIUM))]


def _count(report: Report) -> dict[Status, int]:
    numbers = Counter(finding.status for finding in report.findings)
    return {status: numbers[status] for status in Status}


def _value(text: str | None) -> str | None:
    if text is None:
        return None
    text = printable(text)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _digest(*facts: str) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
