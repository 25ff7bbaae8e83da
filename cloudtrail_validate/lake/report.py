"""From what came of folders with query results to the report that every format renders. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import UNSET
from msgspec.structs import asdict, replace

from cloudtrail_validate.core.findings import Findings
from cloudtrail_validate.core.model import Counts
from cloudtrail_validate.core.outcome import Reached
from cloudtrail_validate.core.text import without_secrets
from cloudtrail_validate.core.verdict import decide
from cloudtrail_validate.lake.outcome import Outcome, signs
from cloudtrail_validate.lake.question import LakeQuestion
from cloudtrail_validate.report import ProgressRecord, QueryRecord, Report, RequestEcho, Run, Summary
from cloudtrail_validate.report.build import counted, public_keys, record, this_tool
from cloudtrail_validate.report.incidents import incidents
from cloudtrail_validate.report.references import encodable
from cloudtrail_validate.report.reliance import relied_on

_SECOND: Final = timedelta(seconds=1)


def build(
    outcomes: Sequence[Outcome],
    findings: Findings,
    now: datetime,
    run: Run,
    echo: RequestEcho,
    *,
    tolerated: frozenset[str] = frozenset(),
    reached: Reached | None = None,
) -> Report:
    """The report; `echo` is what was asked, `reached` how far an interrupted run had come.

    Its window is from the first completion of a query to the last, or `now` where there is none.
    """
    times = sorted(outcome.sign.completed for outcome in outcomes if outcome.sign) or [now]
    files = sum((outcome.files for outcome in outcomes), Counts())
    stopped = reached is not None
    verdict, code = decide(findings.tally, digests=len(outcomes), tolerated=tolerated, interrupted=stopped)
    report = Report(
        verdict=verdict,
        exit_code=int(code),
        tool=this_tool(),
        run=run,
        request=_of_window(echo, times[0], times[-1] + _SECOND),  # a window is half open
        summary=Summary(
            digests=counted(signs(outcomes)),
            logs=counted(files),
            log_bytes_hashed=sum(outcome.size for outcome in outcomes),
            window_seconds=0,
            covered_seconds=0,
        ),
        chains=(),
        findings=tuple(map(record, findings.kept)),
        public_keys=public_keys(outcome.key for outcome in outcomes if outcome.key),
        findings_truncated=findings.truncated,
        interrupted=True if stopped else UNSET,
        progress=ProgressRecord(**asdict(reached)) if reached is not None else UNSET,
        queries=tuple(map(_query, _in_order(outcomes))),
    )
    report = replace(report, relied_on=relied_on(report))
    return replace(report, incidents=incidents(report) or UNSET)


def _in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: (outcome.folder.bucket, outcome.folder.prefix))


def _query(outcome: Outcome) -> QueryRecord:
    folder, sign = outcome.folder, outcome.sign
    return QueryRecord(
        account=folder.place.account if folder.place else None,
        region=sign.region if sign else None,
        query_id=encodable(folder.place.query_id) if folder.place else None,
        bucket=folder.bucket or None,
        key=encodable(folder.prefix),
        completed=sign.completed.replace(microsecond=0) if sign else None,
        signature=outcome.signed.value,
        fingerprint=sign.fingerprint if sign else None,
        results=counted(outcome.files),
        result_bytes=outcome.size,
        statement=encodable(outcome.statement) if outcome.statement is not None else None,
        statement_covered=outcome.covered,
    )


def echo_of(question: LakeQuestion, now: datetime) -> RequestEcho:
    """What was asked; its window is for `build` to say."""
    return RequestEcho(
        trail_arn=None,
        start=now,
        end=now,
        source=question.place.uri,
        regions=(),
        accounts=(),
        profile=question.profile or UNSET,
        endpoint_url=without_secrets(question.endpoint_url) if question.endpoint_url else UNSET,
        role_arn=question.role_arn or UNSET,
    )


def _of_window(echo: RequestEcho, start: datetime, end: datetime) -> RequestEcho:
    return replace(echo, start=start.replace(microsecond=0), end=end.replace(microsecond=0))
