"""From what a run found to the report that every format renders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from operator import itemgetter

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from cloudtrail_validate.core.activity import Activity
from cloudtrail_validate.core.coverage import seconds
from cloudtrail_validate.core.findings import Findings, FindingSet
from cloudtrail_validate.core.model import ChainReport, Counts, Finding, Interval, Locator, Status, isoformat
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.signature import PublicKey
from cloudtrail_validate.core.verdict import ExitCode, Verdict, decide
from cloudtrail_validate.core.versions import Versions
from cloudtrail_validate.report import (
    ChainRecord,
    CountsRecord,
    EventRecord,
    FindingRecord,
    GapRecord,
    ProgressRecord,
    PublicKeyRecord,
    Report,
    RequestEcho,
    Run,
    StateRecord,
    Summary,
    Tool,
    WitnessRecord,
)
from cloudtrail_validate.report.due import due_of
from cloudtrail_validate.report.incidents import incidents
from cloudtrail_validate.report.reliance import relied_on
from cloudtrail_validate.report.sentences import describe


class Evidence(msgspec.Struct, frozen=True):
    """What was found out about findings beyond themselves: explaining events, fitting lifecycle rules, older versions.

    `hints` are what to try where no digest was found.
    """

    events: Mapping[Finding, Sequence[Activity]] = msgspec.field(default_factory=dict)
    lifecycle: Mapping[Finding, str] = msgspec.field(default_factory=dict)
    versions: Mapping[Locator, Versions] = msgspec.field(default_factory=dict)
    hints: tuple[str, ...] = ()


def build(
    outcome: Outcome,
    request: RequestEcho,
    run: Run,
    tolerate: Iterable[str] = (),
    evidence: Evidence | None = None,
    state: StateRecord | UnsetType = UNSET,
) -> Report:
    """Write the report of a finished (or interrupted) run. `state` is the memory that it worked with, if any."""
    known = evidence or Evidence()
    findings = outcome.findings
    stopped, came = outcome.interrupted, outcome.reached
    verdict, code = decide(findings.tally, digests=outcome.digests, tolerated=tolerate, interrupted=stopped)
    digests = sum((chain.digests for chain in outcome.chains), Counts())
    logs = sum((chain.logs for chain in outcome.chains), Counts())
    found, expected = outcome.account_regions()
    records = tuple(_chain(chain) for chain in outcome.chains)
    to_come = due_of(records, Interval(request.start, request.end), run.started)
    report = Report(
        verdict=verdict,
        exit_code=int(code),
        tool=this_tool(),
        run=run,
        request=request,
        summary=Summary(
            digests=counted(digests),
            logs=counted(logs),
            log_bytes_hashed=outcome.bytes_hashed,
            window_seconds=outcome.window.seconds,
            covered_seconds=seconds(outcome.covered()),
            due_seconds=Interval(request.start, to_come.end).seconds,
            newest_digest=_second(to_come.newest) or UNSET,
            next_due=_second(to_come.next) or UNSET,
            account_regions_expected=expected,
            account_regions_found=found,
        ),
        chains=records,
        findings=tuple(record(finding, known) for finding in findings.kept),
        public_keys=public_keys(outcome.keys),
        findings_truncated=findings.truncated,
        interrupted=True if stopped else UNSET,
        progress=ProgressRecord(**asdict(came)) if came else UNSET,
        hints=known.hints or UNSET,
        state=state,
    )
    report = replace(report, relied_on=relied_on(report))
    grouped = incidents(report)
    return replace(report, incidents=grouped) if grouped else report


def amend(
    report: Report,
    outcome: Outcome,
    found: Findings,
    witness: WitnessRecord,
    tolerate: Iterable[str] = (),
    *,
    interrupted: bool = False,
) -> Report:
    """The report of a run with what independent sources made of it. A source that did not tell all makes no pass.

    `interrupted`: the run was done, and the asking was not.
    """
    findings = FindingSet([outcome.findings, found]).freeze()
    verdict, code = decide(findings.tally, digests=outcome.digests, tolerated=tolerate, interrupted=interrupted)
    if verdict is Verdict.VALID and not witness.whole:
        verdict, code = Verdict.UNPROVEN, ExitCode.UNPROVEN
    joined = sorted((*report.findings, *map(record, found.kept)), key=_as_reported)
    whole = replace(
        report,
        verdict=verdict,
        exit_code=int(code),
        findings=tuple(joined),
        findings_truncated=findings.truncated,
        witness=witness,
        interrupted=True if interrupted else UNSET,
        incidents=UNSET,
    )
    grouped = incidents(whole)
    return replace(whole, incidents=grouped) if grouped else whole


def _as_reported(finding: FindingRecord) -> int:
    return _STATUSES.index(finding.status)


_STATUSES = tuple(Status)


def public_keys(used: Iterable[PublicKey]) -> tuple[PublicKeyRecord, ...]:
    """The keys that proved signatures, each once, as it was first answered with."""
    known: dict[tuple[str, str, str], PublicKey] = {}
    for key in sorted(used, key=lambda key: (key.asked is not None, isoformat(key.asked) if key.asked else "")):
        known.setdefault((key.region or "", key.fingerprint, key.source), key)
    return tuple(
        PublicKeyRecord(
            fingerprint=fingerprint,
            region=region,
            source=source,
            sha256=hashlib.sha256(key.der).hexdigest(),
            not_before=key.not_before.replace(microsecond=0),
            not_after=key.not_after.replace(microsecond=0),
            asked_at=_second(key.asked) or UNSET,
            file=_utf8(key.file) or UNSET,
            file_sha256=key.file_sha256 or UNSET,
        )
        for (region, fingerprint, source), key in sorted(known.items(), key=itemgetter(0))
    )


def this_tool() -> Tool:
    """Who writes this."""
    return Tool(name="ctvalidate", version=version("ctvalidate"))


def record(finding: Finding, evidence: Evidence | None = None) -> FindingRecord:
    """One finding as published, with its sentence and what is known of it besides."""
    start, end = finding.interval or (None, None)
    known = evidence or Evidence()
    events = tuple(_event(activity) for activity in known.events.get(finding, ()))
    return FindingRecord(
        rule=finding.rule,
        status=finding.status,
        account=finding.account,
        region=_utf8(finding.region),
        trail=finding.trail,
        bucket=(finding.where.bucket or None) if finding.where else None,
        key=_utf8(finding.where.key) if finding.where else None,
        start=_second(start),
        end=_second(end),
        cause=finding.cause,
        expected=_utf8(finding.expected),
        actual=_utf8(finding.actual),
        message=describe(finding),
        events=events or UNSET,
        lifecycle=known.lifecycle.get(finding, UNSET),
        versions=known.versions.get(finding.where, UNSET) if finding.where else UNSET,
    )


def _event(activity: Activity) -> EventRecord:
    return EventRecord(
        time=activity.time,
        event_name=activity.event_name,
        event_source=activity.event_source,
        event_id=activity.event_id,
        region=activity.region,
        principal=activity.principal,
        source_ip=activity.source_ip,
        error_code=activity.error_code,
        object_key=activity.object_key,
        log=str(activity.log) if activity.log else None,
    )


def _chain(report: ChainReport) -> ChainRecord:
    chain = report.chain
    return ChainRecord(
        account=chain.account,
        region=_utf8(chain.region) or "",
        trail=chain.trail,
        home_region=chain.home_region,
        organization_id=chain.organization_id,
        kind=chain.kind,
        digests=counted(report.digests),
        logs=counted(report.logs),
        covered=tuple(
            (interval.start.replace(microsecond=0), interval.end.replace(microsecond=0)) for interval in report.covered
        ),
        gaps=tuple(
            GapRecord(
                rule=gap.rule,
                start=gap.interval.start.replace(microsecond=0),
                end=gap.interval.end.replace(microsecond=0),
                undigested_logs=gap.undigested_logs,
            )
            for gap in report.gaps
        ),
        unchanged=tuple((item.start, item.end) for item in report.unchanged) or UNSET,
        unchanged_digests=report.unchanged_digests or UNSET,
        unchanged_logs=report.unchanged_logs or UNSET,
        unfinished=True if report.unfinished else UNSET,
    )


def counted(counts: Counts) -> CountsRecord:
    """Return objects by outcome, as the report has them."""
    return CountsRecord(**asdict(counts))


def _utf8(text: str | None) -> str | None:
    r"""Text that every format can encode: a file name that is no UTF-8 keeps its odd bytes as `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8") if text is not None else None


def _second(moment: datetime | None) -> datetime | None:
    """Times are published to the second."""
    return moment.replace(microsecond=0) if moment else None
