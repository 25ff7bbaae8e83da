"""The examination for those who tell and remember findings (`--notify`, `--state`): what is not well, with a stable id."""

from __future__ import annotations

import msgspec

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.report import DoctorReport, Result
from cloudtrail_validate.report.references import Severity


class DoctorFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A check that is not well, with the fields of a report's finding; everything is printable.

    `id` is the same in every run for one check and resource: a second run updates, and a check that is well again heals.
    """

    id: str
    rule: str
    status: Health
    account: str | None
    region: str | None
    trail: str | None
    bucket: str | None
    key: None = None
    start: None = None
    end: None = None
    cause: None = None
    expected: str
    actual: str
    message: str


def findings(report: DoctorReport) -> tuple[DoctorFinding, ...]:
    """Return what is bad, weak or unknown, in the report's order."""
    return tuple(_finding(report, result) for result in report.results if result.status is not Health.OK)


def severity(health: Health) -> Severity:
    """Rank a status in the words that ASFF and OCSF share. Bad is no evidence of change, so it is never critical."""
    return {
        Health.BAD: Severity.HIGH,
        Health.WEAK: Severity.MEDIUM,
        Health.UNKNOWN: Severity.MEDIUM,
        Health.OK: Severity.INFORMATIONAL,
    }[health]


def message(result: Result) -> str:
    """What a check found, in one printable sentence."""
    if result.status is Health.OK:
        return printable(f"{result.title}: {result.evidence}")
    return printable(f"{result.status}: {result.evidence} (wanted: {result.title})")


def _finding(report: DoctorReport, result: Result) -> DoctorFinding:
    return DoctorFinding(
        id=result.id,
        rule=result.check,
        status=result.status,
        account=result.account,
        region=result.region,
        trail=printable(report.trail_arn) if report.trail_arn else None,
        bucket=printable(report.bucket) if report.bucket else None,
        expected=result.title,
        actual=printable(result.evidence),
        message=message(result),
    )
