"""The parts of a report: what was asked, what was counted, chains, findings, keys, incidents and all that stands beside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from cloudtrail_validate.core.model import Cause, Kind, Status
from cloudtrail_validate.core.verdict import Verdict
from cloudtrail_validate.core.versions import Versions

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""How many or how much: what every reader of JSON can hold exactly."""

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
    """What was asked, as understood. `source` is `s3://bucket/prefix` or `file:///…`; empty lists mean "all".

    `copy_of` is the place that the source is a copy of, where that was said: findings name objects as they lay there.
    `profile`, `endpoint_url` and `role_arn` are there where they were given: the commands that lead on need them too.
    """

    trail_arn: str | None
    start: Time
    end: Time
    source: str
    regions: tuple[str, ...]
    accounts: tuple[str, ...]
    copy_of: str | msgspec.UnsetType = msgspec.UNSET
    profile: str | msgspec.UnsetType = msgspec.UNSET
    endpoint_url: str | msgspec.UnsetType = msgspec.UNSET
    role_arn: str | msgspec.UnsetType = msgspec.UNSET


class CountsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Objects by outcome."""

    valid: Number = 0
    altered: Number = 0
    missing: Number = 0
    extra: Number = 0
    unverifiable: Number = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Totals over all chains.

    `window_seconds` is the length of the window; `covered_seconds` the part of it that proven digests cover in every
    account and region that was expected to have them; `due_seconds` the part whose digests should have arrived.
    `newest_digest` ends the newest hour of the window that is proven anywhere; `next_due` is about when the next digest
    arrives, where the window reaches into hours whose digests are still to come. `account_regions_expected` are those that
    were expected, named by the trail's settings, by proven digests, by log files or by the user; of these
    `account_regions_found` have a digest of each trail.
    """

    digests: CountsRecord
    logs: CountsRecord
    log_bytes_hashed: Number
    window_seconds: Number
    covered_seconds: Number
    due_seconds: Number | msgspec.UnsetType = msgspec.UNSET
    newest_digest: Time | msgspec.UnsetType = msgspec.UNSET
    next_due: Time | msgspec.UnsetType = msgspec.UNSET
    account_regions_expected: Number | msgspec.UnsetType = msgspec.UNSET
    account_regions_found: Number | msgspec.UnsetType = msgspec.UNSET


class GapRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours that nobody can vouch for, and how many log files lie in them."""

    rule: str
    start: Time
    end: Time
    undigested_logs: Number


class ChainRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One chain: account x region x trail x kind.

    `unchanged` are hours that an earlier run proved and whose listing is the same since; `covered` holds them too. Their
    objects are counted beside, never among those that were read now. `unfinished` is there, and true, where a run was
    stopped before the chain was done: its numbers are of what was looked at until then, and its hours were not judged.
    """

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
    unchanged: tuple[tuple[Time, Time], ...] | msgspec.UnsetType = msgspec.UNSET
    unchanged_digests: Number | msgspec.UnsetType = msgspec.UNSET
    unchanged_logs: Number | msgspec.UnsetType = msgspec.UNSET
    unfinished: bool | msgspec.UnsetType = msgspec.UNSET


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
    """A key that proved a signature; `source` is `aws` (ListPublicKeys) or `file`.

    The rest says where a proof is rooted: `sha256` (hex) of the key's DER bytes, its validity, when AWS was asked for it,
    or which file it came from and that file's SHA-256.
    """

    fingerprint: str
    region: str
    source: str
    sha256: str | msgspec.UnsetType = msgspec.UNSET
    not_before: Time | msgspec.UnsetType = msgspec.UNSET
    not_after: Time | msgspec.UnsetType = msgspec.UNSET
    asked_at: Time | msgspec.UnsetType = msgspec.UNSET
    file: str | msgspec.UnsetType = msgspec.UNSET
    file_sha256: str | msgspec.UnsetType = msgspec.UNSET


class PlaceRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many findings of an incident lie in one account and region; null where a finding names none."""

    account: str | None
    region: str | None
    findings: Number


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to do next; `command` is a line for a POSIX shell, null where none can be given."""

    text: str
    command: str | None


class IncidentRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings of one cause: a lost digest with its gap and its undigested logs, or all logs altered in the same hours.

    `rule` is the cause's, `status` the worst of its findings, `rules` how many findings of which rule belong to it.
    `places` are the accounts and regions, most findings first, not more than a report needs; `places_total` counts all.
    `samples` are places of findings in `findings`, from different accounts and regions; `start`/`end` are null where
    nothing says when.
    """

    rule: str
    status: Status
    start: Time | None
    end: Time | None
    findings: Number
    rules: dict[str, Number]
    places: tuple[PlaceRecord, ...]
    places_total: Number
    samples: tuple[Number, ...]
    next_steps: tuple[StepRecord, ...] = ()


class SourceReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report that another was made of: who wrote it when, what it was about, and its SHA-256 (hex)."""

    sha256: str
    tool: Tool
    run: Run
    request: RequestEcho
    verdict: Verdict
    exit_code: int


class Derived(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a report was made of kept ones. The filters name what it was narrowed to (empty, null: not narrowed).

    `findings_left_out` counts the findings that filters took away; the verdict is that of the whole all the same.
    """

    reports: tuple[SourceReport, ...]
    rules: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    since: Time | None = None
    findings_left_out: Number = 0


class NotificationRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one `--notify` or `--metrics` target: no word of it counts in verdict and exit code.

    `target` is without secrets: of a webhook's URL only the host. `detail` says what failed or was left out.
    """

    target: str
    outcome: Literal["sent", "not-due", "failed"]
    detail: str | None = None


class StateRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The memory that the run worked with (`--state`).

    `created` is true where there was none before. `saved` is when it was last saved, `listed_since` how far back this run
    listed, `hours` how many hours of account-regions are proven in it now. `read_within_days`: all of these were read in
    full within so many days. `owed_hours` were to be read again and were not, for want of time: they come first next time.
    `signed` tells that the memory bears the user's signature, `unsaved` why this run's part could not be saved in it. `sees`
    says what comparing listings cannot tell.
    """

    target: str
    created: bool
    saved: Time | None
    listed_since: Time | None
    hours: Number
    read_within_days: Number | None
    open_findings: Number
    sees: str
    owed_hours: Number | msgspec.UnsetType = msgspec.UNSET
    signed: bool | msgspec.UnsetType = msgspec.UNSET
    unsaved: str | msgspec.UnsetType = msgspec.UNSET


class ProgressRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an interrupted run had come. `all_known` is false where there was more than it knew of yet."""

    objects_done: Number
    objects_known: Number
    all_known: bool


class QueryRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The saved results of one CloudTrail Lake query, as they lie in one folder.

    `account` and `query_id` are out of the folder's path, `region` and `completed` out of the sign file: none of them is
    signed. `key` is the folder, `signature` what the sign file's signature says of the hashes that it lists, `results`
    the files by outcome and `result_bytes` what was hashed of them. `statement` is the query's, out of the first line of
    its results, null where that holds none; `statement_covered`: that file's hash is among those that AWS signed.
    """

    account: str | None
    region: str | None
    query_id: str | None
    bucket: str | None
    key: str
    completed: Time | None
    signature: Literal["valid", "invalid", "no-key", "unsupported", "unusable"]
    fingerprint: str | None
    results: CountsRecord
    result_bytes: Number
    statement: str | None
    statement_covered: bool


class WitnessSourceRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source as it was asked in one account and region: how much of which hours, and what kept it from telling more.

    `slots` are the parts of the hours, of `seconds` together; `kept_slots` of them were kept from an earlier run. `problem`
    is null where the source told all of it.
    """

    source: Literal["event-history", "log-group"]
    account: str
    region: str
    seconds: Number
    slots: Number
    kept_slots: Number
    events: Number
    requests: Number
    problem: str | None


class WitnessRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What independent sources were asked, and how many of their events were held against the logs.

    `compared` events are `agreeing` with a log, `differing` from it, `absent` (in no log of covered hours), `left_out` by
    the trail's event selectors, `undue` (in no log, and of hours that no proven digest covers, whose logs are lost, or whose
    delivery is not over), or `unreadable`. Event history of `skipped_accounts` is readable in these accounts only.
    """

    only_lost: bool
    sources: tuple[WitnessSourceRecord, ...]
    compared: Number
    agreeing: Number
    differing: Number
    absent: Number
    left_out: Number
    undue: Number
    unreadable: Number
    skipped_accounts: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every source told all that it was asked, and somebody was asked about every account."""
        told = all(source.problem is None for source in self.sources)
        return told and (not self.skipped_accounts or any(source.source == "log-group" for source in self.sources))
