"""The report as JSON Lines: a line a fact, so that a reader may begin before the run has ended.

    {"type": "run", "schema": "ctvalidate.report/1", "tool": {…}, "started": T, "request": {…}}   first
    {"type": "finding", …}      each as `findings[]` of the JSON report: in a stream as found, in a document worst first
    {"type": "chain", …}        each as `chains[]`
    {"type": "summary", "verdict", "exit_code", "run", "summary", "public_keys", "findings_truncated", …}   last

A stream without its summary is a run that was cut off, and proves nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from cloudtrail_validate.report import SCHEMA, ChainRecord, FindingRecord, Report, RequestEcho, Tool
from cloudtrail_validate.report.references import to_json


def render(report: Report) -> str:
    """The whole report, every line closed with a newline."""
    lines = [header_line(report.tool, report.run.started, report.request)]
    lines += [finding_line(finding) for finding in report.findings]
    return "".join(lines) + footer_lines(report)


def header_line(tool: Tool, started: datetime, request: RequestEcho) -> str:
    """The first line: all that is known before anything was read."""
    return _line("run", {"schema": SCHEMA, "tool": tool, "started": started, "request": request})


def finding_line(finding: FindingRecord) -> str:
    """One finding's line."""
    return _line("finding", msgspec.structs.asdict(finding))


def chain_line(chain: ChainRecord) -> str:
    """One chain's line."""
    return _line("chain", msgspec.structs.asdict(chain))


def footer_lines(report: Report, *, truncated: bool | None = None) -> str:
    """The chains and the summary. A stream that left no finding out says so: `truncated=False`.

    Incidents point at findings by their place in the report, which a stream does not keep: there they are left out.
    """
    told = msgspec.structs.asdict(report)
    for name in ("schema", "tool", "request", "chains", "findings"):
        del told[name]
    if truncated is not None:
        told["findings_truncated"] = truncated
        told.pop("incidents", None)
    return "".join(map(chain_line, report.chains)) + _line("summary", told)


def _line(kind: str, fields: dict[str, Any]) -> str:
    there = {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    return to_json({"type": kind} | there) + "\n"
