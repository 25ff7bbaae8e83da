"""The published result of an examination, schema `ctvalidate.doctor/1`: one typed value that every format renders."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, assert_never

import msgspec

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.doctor.examine import Examined
from cloudtrail_validate.doctor.facts import Caller, Facts, Key, Scope, Trail
from cloudtrail_validate.doctor.model import RANK, Answer, Axis, Check, Health, Subject
from cloudtrail_validate.doctor.names import remedy
from cloudtrail_validate.report import Run, Tool
from cloudtrail_validate.report.build import this_tool

SCHEMA: Final = "ctvalidate.doctor/1"


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked; null and empty lists mean "whatever is found" and "all"."""

    trail_arn: str | None
    bucket: str | None
    prefix: str | None
    regions: tuple[str, ...]
    accounts: tuple[str, ...]
    retention_days: int


class Summary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many checks answered what."""

    ok: int = 0
    weak: int = 0
    bad: int = 0
    unknown: int = 0


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one check found.

    `id` (64 hex digits) is the same whenever the check is put to the same trail, or bucket where no trail is known.
    `evidence` quotes what AWS answered and is not made printable. `missing_actions` are IAM actions that would have told
    more; `remedy`, of what is bad or weak, are command lines for a POSIX shell and remarks (`#`); `also` are the ids of
    others who ask for part of the check.
    """

    id: str
    check: str
    status: Health
    axes: tuple[Axis, ...]
    subject: Subject
    title: str
    resource: str
    account: str | None
    region: str | None
    evidence: str
    missing_actions: tuple[str, ...]
    why: str
    remedy: tuple[str, ...]
    also: tuple[str, ...]


class Skipped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A check that was left out, and why."""

    check: str
    reason: str


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole answer. `verdict` is the worst status, `trail_arn` and `bucket` what was examined."""

    schema: Literal["ctvalidate.doctor/1"] = SCHEMA
    verdict: Health
    exit_code: int
    tool: Tool
    run: Run
    request: Asked
    trail_arn: str | None
    bucket: str | None
    summary: Summary
    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...]


def decide(statuses: Iterable[Health]) -> tuple[Health, int]:
    """Return the verdict and the exit code: the worst status counts, and nothing examined is no success."""
    verdict = min(statuses, key=lambda health: RANK[health], default=Health.UNKNOWN)
    match verdict:
        case Health.OK:
            return verdict, 0
        case Health.BAD:
            return verdict, 1
        case Health.WEAK | Health.UNKNOWN:
            return verdict, 3
        case _:
            assert_never(verdict)


def build(
    facts: Facts, examined: Examined, finished: datetime, skipped: Mapping[str, str] | None = None
) -> DoctorReport:
    """Make the report. `skipped` are checks that the user left out, with the reason; they come before the examination's."""
    results = tuple(_result(facts, check, answer) for check, answer in examined.answers)
    verdict, code = decide(result.status for result in results)
    numbers = Counter(result.status.value for result in results)
    left = {**(skipped or {}), **{check.id: reason for check, reason in examined.skipped}}
    return DoctorReport(
        verdict=verdict,
        exit_code=code,
        tool=this_tool(),
        run=Run(
            started=facts.now,
            finished=finished,
            caller_arn=facts.caller.arn if isinstance(facts.caller, Caller) else None,
        ),
        request=_asked(facts.scope),
        trail_arn=facts.trail.arn if isinstance(facts.trail, Trail) else facts.scope.trail_arn,
        bucket=facts.bucket.name or None,
        summary=Summary(**numbers),
        results=results,
        skipped=tuple(Skipped(check=name, reason=reason) for name, reason in left.items()),
    )


def _asked(scope: Scope) -> Asked:
    return Asked(
        trail_arn=scope.trail_arn,
        bucket=scope.bucket,
        prefix=scope.prefix,
        regions=scope.regions,
        accounts=scope.accounts,
        retention_days=scope.retention_days,
    )


def _result(facts: Facts, check: Check, answer: Answer) -> Result:
    account, region = _place(facts)
    return Result(
        id=hashlib.sha256(json.dumps([SCHEMA, check.id, _subject(facts)]).encode()).hexdigest(),
        check=check.id,
        status=answer.health,
        axes=check.axes,
        subject=check.subject,
        title=check.title,
        resource=_resource(facts, check),
        account=account,
        region=region,
        evidence=answer.evidence,
        missing_actions=answer.missing,
        why=check.why,
        remedy=remedy(check, facts) if answer.health in (Health.BAD, Health.WEAK) else (),
        also=check.also,
    )


def _subject(facts: Facts) -> str:
    """ARN of the trail that is examined, or of the bucket where no trail is known or asked for."""
    trail = facts.trail.arn if isinstance(facts.trail, Trail) else facts.scope.trail_arn
    return trail or (facts.bucket_arn if facts.bucket.name else "")


def _resource(facts: Facts, check: Check) -> str:
    """ARN of what a check looks at."""
    match check.subject:
        case Subject.BUCKET | Subject.POLICY if facts.bucket.name:
            return facts.bucket_arn
        case Subject.KEYS if check.id.startswith("kms-") and isinstance(facts.key, Key):
            return facts.key.arn
        case _:
            return _subject(facts)


def _place(facts: Facts) -> tuple[str | None, str | None]:
    """The account and home region of the trail, as far as its ARN tells."""
    arn = facts.trail.arn if isinstance(facts.trail, Trail) else facts.scope.trail_arn
    parsed = parse_trail_arn(arn or "")
    return (parsed.account, parsed.region) if parsed else (None, None)
