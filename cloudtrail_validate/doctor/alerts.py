"""An examination as the one value that every target of `--notify` is told."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from msgspec.structs import replace

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.render.sentences import counts
from cloudtrail_validate.doctor.report import DoctorReport
from cloudtrail_validate.doctor.results import DoctorFinding, findings
from cloudtrail_validate.notify.event import MAX_VALUE, Brief, Event, OpenFinding, OpenFindings
from cloudtrail_validate.report import Verdict
from cloudtrail_validate.report.references import Severity

STATUSES: Final = {
    Health.BAD: Status.UNCOVERED,
    Health.WEAK: Status.UNCOVERED,
    Health.UNKNOWN: Status.UNVERIFIABLE,
}
"""How the doctor's statuses rank among a validation's. None is evidence of change, so none is told as such."""


def event(report: DoctorReport, previous: OpenFindings | None = None) -> Event:
    """Make the event of an examination. What was open before and is well now is healed; what was not asked stays open."""
    before = {item.id: item for item in (previous or OpenFindings()).findings}
    found = {finding.id: _open(report, finding, before.get(finding.id)) for finding in findings(report)}
    well = {result.id for result in report.results if result.status is Health.OK}
    absent = [item for identity, item in before.items() if identity not in found]
    arn = parse_trail_arn(report.trail_arn or "")
    numbers = {Status.UNCOVERED: report.summary.bad + report.summary.weak, Status.UNVERIFIABLE: report.summary.unknown}
    return Event(
        id=_digest("doctor", report.trail_arn or report.bucket or ""),
        state=_digest(report.verdict, *sorted(found)),
        verdict=Verdict.VALID if report.verdict is Health.OK else Verdict.UNPROVEN,
        exit_code=0 if report.verdict is Health.OK else 3,  # 1 is evidence of change to whoever filters by it
        severity=Severity.INFORMATIONAL if report.verdict is Health.OK else Severity.MEDIUM,
        trail=report.trail_arn,
        source=f"s3://{printable(report.bucket)}" if report.bucket else "unknown",
        account=arn.account if arn else None,
        region=arn.region if arn else None,
        start=report.run.started.replace(microsecond=0),
        end=report.run.finished,
        finished=report.run.finished,
        counts=dict.fromkeys(Status, 0) | numbers,
        counts_are_exact=True,
        opened=tuple(item for identity, item in found.items() if identity not in before),
        again=tuple(item for identity, item in found.items() if identity in before),
        healed=tuple(item for item in absent if item.id in well),
        carried=tuple(item for item in absent if item.id not in well),
        tool_version=report.tool.version,
        remembers=previous is not None,
        examined=counts(report),
    )


def _open(report: DoctorReport, finding: DoctorFinding, known: OpenFinding | None) -> OpenFinding:
    now = report.run.finished
    brief = Brief(
        rule=finding.rule,
        status=STATUSES[finding.status],
        account=finding.account,
        region=finding.region,
        trail=finding.trail,
        bucket=finding.bucket,
        key=None,
        start=None,
        end=None,
        cause=str(finding.status),
        expected=finding.expected,
        actual=_cut(finding.actual),
        message=_cut(finding.message),
    )
    if known is None:
        return OpenFinding(id=finding.id, finding=brief, first_seen=now, last_seen=now)
    return replace(known, finding=brief, last_seen=now, times=known.times + 1)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _digest(*facts: str) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
