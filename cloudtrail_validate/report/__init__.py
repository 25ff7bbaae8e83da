"""The report: one typed value that every format renders."""

from __future__ import annotations

from typing import Literal

import msgspec

from cloudtrail_validate.core.verdict import ExitCode, Tally, Verdict, decide
from cloudtrail_validate.report.records import (
    ChainRecord,
    CountsRecord,
    Derived,
    EventRecord,
    FindingRecord,
    GapRecord,
    IncidentRecord,
    NotificationRecord,
    PlaceRecord,
    ProgressRecord,
    PublicKeyRecord,
    QueryRecord,
    RequestEcho,
    Run,
    SourceReport,
    StateRecord,
    StepRecord,
    Summary,
    Time,
    Tool,
    WitnessRecord,
    WitnessSourceRecord,
)

__all__ = [
    "SCHEMA",
    "ChainRecord",
    "CountsRecord",
    "Derived",
    "EventRecord",
    "ExitCode",
    "FindingRecord",
    "GapRecord",
    "IncidentRecord",
    "NotificationRecord",
    "PlaceRecord",
    "ProgressRecord",
    "PublicKeyRecord",
    "QueryRecord",
    "Report",
    "RequestEcho",
    "Run",
    "SourceReport",
    "StateRecord",
    "StepRecord",
    "Summary",
    "Tally",
    "Time",
    "Tool",
    "Verdict",
    "WitnessRecord",
    "WitnessSourceRecord",
    "decide",
    "from_json",
]

SCHEMA: Literal["ctvalidate.report/1"] = "ctvalidate.report/1"


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole answer, as published (`ctvalidate schema`).

    `interrupted` is there, and true, where the run was stopped before its end, and `progress` with it.
    `notifications` is there only where somebody was to be told.
    `relied_on` says in sentences what the proofs stand on besides the files themselves. `incidents` are the findings
    grouped by cause. `derived` is there where the report was made out of others: merged, or narrowed. `hints` say what to
    try where no digest was found, a sentence each without its full stop. `queries` is there where the report is about
    results of CloudTrail Lake queries: then `summary.digests` counts sign files, `summary.logs` result files, and
    `request.start` is when the first of the queries completed, `request.end` the second after the last. `witness` is
    there where independent sources were asked as well.
    """

    schema: Literal["ctvalidate.report/1"] = SCHEMA
    verdict: Verdict
    exit_code: int
    tool: Tool
    run: Run
    request: RequestEcho
    summary: Summary
    chains: tuple[ChainRecord, ...]
    findings: tuple[FindingRecord, ...]
    public_keys: tuple[PublicKeyRecord, ...]
    findings_truncated: bool
    notifications: tuple[NotificationRecord, ...] | msgspec.UnsetType = msgspec.UNSET
    relied_on: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    incidents: tuple[IncidentRecord, ...] | msgspec.UnsetType = msgspec.UNSET
    derived: Derived | msgspec.UnsetType = msgspec.UNSET
    state: StateRecord | msgspec.UnsetType = msgspec.UNSET
    interrupted: bool | msgspec.UnsetType = msgspec.UNSET
    progress: ProgressRecord | msgspec.UnsetType = msgspec.UNSET
    hints: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    queries: tuple[QueryRecord, ...] | msgspec.UnsetType = msgspec.UNSET
    witness: WitnessRecord | msgspec.UnsetType = msgspec.UNSET

    @property
    def of_queries(self) -> bool:
        """Whether it is about results of CloudTrail Lake queries, and not about trails."""
        return self.queries is not msgspec.UNSET

    @property
    def saved_queries(self) -> tuple[QueryRecord, ...]:
        """The queries, none in a report about trails."""
        return () if self.queries is msgspec.UNSET else self.queries

    @property
    def stopped(self) -> bool:
        """Whether the run was stopped before its end."""
        return self.interrupted is True

    @property
    def suggestions(self) -> tuple[str, ...]:
        """The hints, none where something was found."""
        return () if self.hints is msgspec.UNSET else self.hints


def from_json(data: bytes | str) -> Report:
    """Read a report back. Raises `msgspec.ValidationError` (a ValueError) where it is not one."""
    return msgspec.json.decode(data, type=Report)
