"""What several formats say in the same words."""

from __future__ import annotations

from typing import Final, assert_never

from cloudtrail_validate.core.text import plural
from cloudtrail_validate.doctor.model import Axis, Health
from cloudtrail_validate.doctor.report import DoctorReport

QUESTIONS: Final = {
    Axis.NOTICE: "Would tampering be noticed?",
    Axis.UNDO: "Could it be undone?",
    Axis.PREVENT: "Is it prevented?",
}
"""The three questions that the checks answer together."""

LIMITS: Final = (
    "The doctor reads settings as they are now. It does not read policies of identities in the trail's or the bucket's"
    " account, and says nothing of what happened before: that is what ctvalidate validate proves."
)
"""What a good answer does not mean."""


def verdict(report: DoctorReport) -> str:
    """Return the verdict in one sentence without a full stop."""
    told = counts(report)
    match report.verdict:
        case Health.OK:
            return f"All {plural(report.summary.ok, 'check')} are well"
        case Health.BAD:
            return f"Tampering could pass unseen or could not be undone: {told}"
        case Health.WEAK:
            return f"Weak in places: {told}"
        case Health.UNKNOWN:
            return f"Nothing is known to be wrong, but not everything could be read: {told}"
        case _:
            assert_never(report.verdict)


def counts(report: DoctorReport) -> str:
    """Return the numbers of checks by status, worst first."""
    numbers = [(health, getattr(report.summary, health)) for health in Health]
    return ", ".join(f"{number} {health}" for health, number in numbers if number) or "no check"
