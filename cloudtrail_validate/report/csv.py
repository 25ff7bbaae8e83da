"""The findings as CSV (RFC 4180: comma, CRLF, quotes doubled), a row each under a header that keeps its order.

Spreadsheets run a cell that begins like a formula, and a key may say anything. So every cell is `printable`, and `'`
goes before a leading `=`, `+`, `-` or `@` (their full-width forms too), also behind a `;`: with some locales
spreadsheets cut there, quotes or not. Source: OWASP, "CSV Injection". Where a key must be exact, read the JSON report.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import FindingRecord, Report
from cloudtrail_validate.report.references import hours
from cloudtrail_validate.report.wording import event_lines, sentence, version_lines

HEADER: Final = (
    "rule",
    "status",
    "account",
    "region",
    "trail",
    "bucket",
    "key",
    "start",
    "end",
    "cause",
    "expected",
    "actual",
    "message",
    "events",
    "lifecycle",
    "versions",
)
_FORMULA: Final = re.compile(r"(^|;)(?=[\s\"']*[=+\-@＝＋－＠])")


def render(report: Report) -> str:
    """One row a finding, by time; those without one come last. What a finding does not have is empty.

    Times are `2026-01-01T00:00:00Z`. Above them, where the run was interrupted, is a row without a rule that says so:
    else few findings would look like all.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADER)
    if report.stopped:
        writer.writerow([sentence(report) if name == "message" else "" for name in HEADER])
    writer.writerows(_row(finding) for finding in sorted(report.findings, key=_time))
    return out.getvalue()


def _time(finding: FindingRecord) -> tuple[bool, float]:
    when = hours(finding)
    return when is None, when.start.timestamp() if when else 0.0


def cell(text: str) -> str:
    """`text` as a spreadsheet shows it and does not run it."""
    return _FORMULA.sub(r"\1'", printable(text))


def _row(finding: FindingRecord) -> list[str]:
    start, end = (isoformat(moment) if moment else "" for moment in (finding.start, finding.end))
    before = (finding.rule, finding.status, finding.account, finding.region, finding.trail, finding.bucket, finding.key)
    after = (finding.cause, finding.expected, finding.actual, finding.message)
    lifecycle = finding.lifecycle if isinstance(finding.lifecycle, str) else None
    events, versions = " | ".join(event_lines(finding)), " | ".join(version_lines(finding))
    return [cell(text or "") for text in (*before, start, end, *after, events, lifecycle, versions)]
