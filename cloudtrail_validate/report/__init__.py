"""The report: one typed value that every format renders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from cloudtrail_validate.core.model import Cause, Kind, Status
from cloudtrail_validate.core.verdict import ExitCode, Tally, Verdict, decide
from cloudtrail_validate.core.versions import Versions

__all__ = [
    "SCHEMA",
    "ChainRecord",
    "CountsRecord",
    "EventRecord",
    "ExitCode",
    "FindingRecord",
    "GapRecord",
    "NotificationRecord",
    "PublicKeyRecord",
    "Report",
    "RequestEcho",
    "Run",
    "Summary",
    "Tally",
    "Tool",
    "Verdict",
    "decide",
    "from_json",
]

SCHEMA: Literal["ctvalidate.report/1"] = "ctvalidate.report/1"

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset: the schema calls it a date-time, and one without an offset is refused."""


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who wrote the report."""

    name: str
    version: str


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When it ran and as whom; `caller_arn` is null where STS did not say."""

    started: Time
    finished: Time
    caller_arn: str | None


class RequestEcho(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked, as understood. `source` is `s3://bucket/prefix` or `file:///…`; empty lists mean "all"."""

    trail_arn: str | None
    start: Time
    end: Time
    source: str
    regions: tuple[str, ...]
    accounts: tuple[str, ...]


class CountsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Objects by outcome."""

    valid: int = 0
    altered: int = 0
    missing: int = 0
    extra: int = 0
    unverifiable: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Totals over all chains.

    `window_seconds` is the length of the window; `covered_seconds` the part of it that proven digests cover in every
    account and region that was expected to have them. `account_regions_expected` are those that were, named by the trail's
    settings, by proven digests, by log files or by the user; of these `account_regions_found` have a digest of each trail.
    """

    digests: CountsRecord
    logs: CountsRecord
    log_bytes_hashed: int
    window_seconds: int
    covered_seconds: int
    account_regions_expected: int | msgspec.UnsetType = msgspec.UNSET
    account_regions_found: int | msgspec.UnsetType = msgspec.UNSET


class GapRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours that nobody can vouch for, and how many log files lie in them."""

    rule: str
    start: Time
    end: Time
    undigested_logs: int


class ChainRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One chain: account x region x trail x kind."""

    account: str
    region: str
    trail: str
    home_region: str
    organization_id: str | None
    kind: Kind
    digests: CountsRecord
    logs: CountsRecord
    covered: tuple[tuple[Time, Time], ...]
    gaps: tuple[GapRecord, ...]


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that may explain a finding. `log` is the proven log that holds it, null where LookupEvents told it."""

    time: Time
    event_name: str
    event_source: str
    event_id: str
    region: str
    principal: str
    source_ip: str
    error_code: str | None
    object_key: str | None
    log: str | None


class FindingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finding. `key` is null for a gap; `start`/`end` are the hours it concerns, where it concerns hours.

    The last fields are there only where something was found out: `events` that may explain it, the `lifecycle` rule of
    the bucket that would have removed the object, and (`--versions`) what the object's `versions` say.
    """

    rule: str
    status: Status
    account: str | None
    region: str | None
    trail: str | None
    bucket: str | None
    key: str | None
    start: Time | None
    end: Time | None
    cause: Cause | None
    expected: str | None
    actual: str | None
    message: str
    events: tuple[EventRecord, ...] | msgspec.UnsetType = msgspec.UNSET
    lifecycle: str | msgspec.UnsetType = msgspec.UNSET
    versions: Versions | msgspec.UnsetType = msgspec.UNSET

    @property
    def explanations(self) -> tuple[EventRecord, ...]:
        """The events, none where nothing was found out."""
        return () if self.events is msgspec.UNSET else self.events


class PublicKeyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that proved a signature; `source` is `aws` (ListPublicKeys) or `file`."""

    fingerprint: str
    region: str
    source: str


class NotificationRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one `--notify` or `--metrics` target: no word of it counts in verdict and exit code.

    `target` is without secrets: of a webhook's URL only the host. `detail` says what failed or was left out.
    """

    target: str
    outcome: Literal["sent", "not-due", "failed"]
    detail: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole answer, as published (`ctvalidate schema`).

    `notifications` is there only where somebody was to be told.
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


def from_json(data: bytes | str) -> Report:
    """Read a report back. Raises `msgspec.ValidationError` (a ValueError) where it is not one."""
    return msgspec.json.decode(data, type=Report)
