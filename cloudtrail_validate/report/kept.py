"""Reports that were kept: read back with every doubt that a file deserves, which nobody knows who wrote last. Pure.

A report decides an exit code, and exit code 1 means evidence of change. So one that contradicts itself is refused: a
verdict without the findings that make it, an exit code that is not the verdict's. Times are bounded, so that nothing that
adds to them overflows, and must be UTC, as reports are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from cloudtrail_validate.core.model import Interval, Status
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.times import is_sound, is_window
from cloudtrail_validate.report import SCHEMA, ExitCode, Report, SourceReport, Verdict, from_json
from cloudtrail_validate.report.references import CHANGE

_CODES: Final = {
    Verdict.VALID: ExitCode.VALID,
    Verdict.CHANGED: ExitCode.CHANGED,
    Verdict.UNPROVEN: ExitCode.UNPROVEN,
    Verdict.EMPTY: ExitCode.EMPTY,
}


class KeptError(ValueError):
    """Not a report, or one that cannot be what a run wrote: one line on why, safe to show."""


class Kept(msgspec.Struct, frozen=True):
    """A report and the SHA-256 (hex) of the file that it was read from."""

    report: Report
    sha256: str

    @property
    def source(self) -> SourceReport:
        """As reports that are made of this one name it."""
        report = self.report
        return SourceReport(
            sha256=self.sha256,
            tool=report.tool,
            run=report.run,
            request=report.request,
            verdict=report.verdict,
            exit_code=report.exit_code,
        )


class _Head(msgspec.Struct, frozen=True):
    """As much of any report as says who wrote it."""

    schema: str = ""
    tool: dict[str, object] = {}


def read(data: bytes, own_version: str) -> Kept:
    """Read a report. Raises `KeptError`, whatever the bytes are.

    `own_version` is what this program is, to be compared with what wrote a report that it does not understand.
    """
    try:
        report = from_json(data)
        _check(report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise KeptError(_why(data, own_version, str(error))) from error
    return Kept(report, hashlib.sha256(data).hexdigest())


def _why(data: bytes, own_version: str, error: str) -> str:
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"expected a report as --format json writes it: {_brief(error)}"
    if head.schema != SCHEMA:
        return f"expected a report with the schema {SCHEMA}, got {_brief(head.schema) or 'none'}"
    version = str(head.tool.get("version", ""))
    by = f" (written by version {_brief(version)}, this is {own_version})" if version != own_version else ""
    return f"not a report that can be read{by}: {_brief(error)}"


def _brief(text: str) -> str:
    return printable(" ".join(text[:200].split()))


def _check(report: Report) -> None:
    """Refuse what no run can have written."""
    for moment in _times(report):
        if not is_sound(moment):
            raise KeptError(f"expected times in UTC, of the years 1970 to 8999, got {moment.isoformat()}")
    if not is_window(Interval(report.request.start, report.request.end)):
        raise KeptError("its window is empty, or longer than 50 years")
    stopped = report.stopped and report.verdict is not Verdict.CHANGED
    if report.exit_code != (ExitCode.INTERRUPTED if stopped else _CODES[report.verdict]):
        raise KeptError(f"it contradicts itself: verdict {report.verdict}, exit code {report.exit_code}")
    changed = any(finding.status in CHANGE for finding in report.findings)
    summary = report.summary
    counted = any(counts.altered or counts.missing or counts.extra for counts in (summary.digests, summary.logs))
    if report.verdict is Verdict.CHANGED and not changed and not report.findings_truncated:
        raise KeptError("it contradicts itself: its verdict is changed, and no finding says what was")
    if report.verdict is not Verdict.CHANGED and (changed or counted):
        raise KeptError(f"it contradicts itself: its verdict is {report.verdict}, and it holds evidence of change")
    unproven = any(finding.status in (Status.UNVERIFIABLE, Status.UNCOVERED) for finding in report.findings)
    elsewhere = report.stopped or isinstance(report.derived, msgspec.Struct)  # what was not looked at is no finding
    if report.verdict is Verdict.UNPROVEN and not (unproven or elsewhere or report.findings_truncated):
        raise KeptError("it contradicts itself: its verdict is unproven, and no finding says why")


def _times(report: Report) -> Iterator[datetime]:
    """Every time that anything is worked out with."""
    yield from (report.request.start, report.request.end, report.run.started, report.run.finished)
    summary = report.summary
    yield from (time for time in (summary.newest_digest, summary.next_due) if isinstance(time, datetime))
    for chain in report.chains:
        yield from (time for span in chain.covered for time in span)
        yield from (time for gap in chain.gaps for time in (gap.start, gap.end))
    for finding in report.findings:
        yield from (time for time in (finding.start, finding.end) if time is not None)
        yield from (event.time for event in finding.explanations)
    for key in report.public_keys:
        yield from (time for time in (key.not_before, key.not_after, key.asked_at) if isinstance(time, datetime))
    if isinstance(report.derived, msgspec.Struct):
        for source in report.derived.reports:
            yield from (source.run.started, source.run.finished, source.request.start, source.request.end)
