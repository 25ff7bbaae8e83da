"""Reports of some hours, as their files hold them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.report import FindingRecord, Report, Tool
from cloudtrail_validate.report.json import render as render_json
from cloudtrail_validate.report.kept import Kept, read
from tests.report.samples import at, chain, finding, log_key, report

TOOL = Tool(name="ctvalidate", version="0.1.0")


def kept(sample: Report) -> Kept:
    """The report as its file holds it."""
    return read(render_json(sample).encode(), "0.1.0")


def of_window(start: float, end: float, chains: Any, findings: Any = (), **fields: Any) -> Report:
    """A report of the hours `start` to `end`, run when they had passed."""
    whole = report(chains, findings, hours=end, **fields)
    request = replace(whole.request, start=at(start))
    run = replace(whole.run, started=at(end), finished=at(end) + timedelta(seconds=60))
    return replace(
        whole, request=request, run=run, summary=replace(whole.summary, window_seconds=int((end - start) * 3600))
    )


TAIL = finding(rules.GAP_TAIL, hours=(20, 24))


def ending_early(*more: FindingRecord) -> Report:
    """The report of a day whose last four hours are not proven yet."""
    return of_window(0, 24, [chain(gaps=[(rules.GAP_TAIL, 20, 24)])], [TAIL, *more])


MISSING = finding(rules.LOG_MISSING, log_key(5), hours=(5, 6))
