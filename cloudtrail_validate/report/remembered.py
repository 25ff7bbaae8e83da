"""What a report says of the memory that its run worked with (`--state`): hours proven by earlier runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.report import Report, StateRecord


def unchanged(report: Report) -> tuple[int, int]:
    """The numbers of digests and logs that were not read now: they are unchanged since an earlier run proved them."""
    digests = [chain.unchanged_digests for chain in report.chains]
    logs = [chain.unchanged_logs for chain in report.chains]
    return sum(item for item in digests if isinstance(item, int)), sum(item for item in logs if isinstance(item, int))


def memory_of(report: Report) -> str:
    """One line about the memory; empty where there is none."""
    state = report.state
    return "; ".join(_parts(report, state)) if isinstance(state, StateRecord) else ""


def _parts(report: Report, state: StateRecord) -> Iterator[str]:
    if state.created:
        yield f"begun now in {state.target}"
    else:
        since = f" {isoformat(state.saved)}" if isinstance(state.saved, datetime) else ""
        digests, logs = unchanged(report)
        yield f"of{since}, {state.target}"
        yield f"in this window {plural(digests, 'digest')} and {plural(logs, 'log')} are unchanged since they were proven"
    if state.listed_since is not None:
        yield f"listed back to {isoformat(state.listed_since)}"
    yield f"{plural(state.hours, 'hour')} of account-regions proven"
    if state.read_within_days is not None:
        yield f"every log of them read within {plural(max(1, state.read_within_days), 'day')}"
    if isinstance(state.owed_hours, int) and state.owed_hours:
        yield f"no time to read {plural(state.owed_hours, 'hour')} again, which come first next time"
    yield f"{plural(state.open_findings, 'finding')} open"
    if isinstance(state.unsaved, str):
        yield "not saved: the next run begins where the last one began"
