"""Checks of whoever validates: what it may not read, what it should not be able to write, and when it last did its work."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cloudtrail_validate.core.coverage import TAIL
from cloudtrail_validate.core.text import duration, plural
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Newest
from cloudtrail_validate.doctor.model import Answer, Axis, Check, Health, Subject, Unread, bad, ok, unknown, weak, worst

STALE: Final = timedelta(days=7)  # versions and events are still there a week later, and people still remember
POWERS: Final = (
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketPolicy",
    "s3:PutLifecycleConfiguration",
    "cloudtrail:StopLogging",
    "cloudtrail:DeleteTrail",
    "cloudtrail:UpdateTrail",
    "cloudtrail:PutEventSelectors",
)
"""What whoever validates must not be able to do: a stolen auditor's key should not be one more way in."""
FEW: Final = 6


def judge_permissions(facts: Facts) -> Answer:
    """Whether the caller may read all that was asked."""
    denied = list(dict.fromkeys(unread.action for unread in facts.denied))
    if not denied:
        return ok("nothing that was asked was denied")
    return Answer(Health.WEAK, f"denied: {', '.join(denied)}", tuple(denied))


def judge_writes(facts: Facts) -> Answer:
    """Whether the caller could do the harm that it looks for."""
    powers = facts.powers
    if isinstance(powers, Unread):
        return unknown(powers)
    if powers:
        return weak(f"the caller itself may {', '.join(powers)}: validate as somebody who cannot")
    return ok("the caller's own policies let it change neither trail nor logs")


def judge_lately(facts: Facts) -> Answer:
    """Whether the logs were proven lately, and whole."""
    last = facts.last
    if isinstance(last, Unread):
        return unknown(last)
    if last is None:
        return weak("no validation is known")
    age = facts.now - last.finished
    ago = f"the last validation, {duration(age.total_seconds())} ago ({last.source})"
    if last.exit_code == ExitCode.CHANGED:
        return bad(f"{ago}, found evidence of change")
    if last.exit_code != ExitCode.VALID:
        return weak(f"{ago}, did not prove everything (exit code {last.exit_code})")
    return weak(f"{ago}, is more than a week old") if age > STALE else ok(f"{ago}, proved everything")


def judge_coverage(facts: Facts) -> Answer:
    """Whether each region has a digest of the last two hours."""
    newest = facts.bucket.newest
    if not newest:
        return unknown("no region was looked into")
    late: dict[str, list[str]] = {}
    for (account, region), fact in sorted(newest.items()):
        if isinstance(fact, Newest) and (said := _late(facts, fact)):
            late.setdefault(said, []).append(f"{account}/{region}")
    unread = [fact for fact in newest.values() if isinstance(fact, Unread)]
    return worst(
        [
            *(bad(f"{said} in {_some(places)}") for said, places in late.items()),
            *([unknown(*unread)] if unread else []),
        ],
        f"a digest of the last two hours lies in {plural(len(newest), 'account-region')}",
    )


def _late(facts: Facts, fact: Newest) -> str:
    if fact.end is None:
        return "no digest of the last day"
    age = facts.now - fact.end
    return f"the newest digest is {duration(age.total_seconds())} old" if age > TAIL else ""


def _some(places: list[str]) -> str:
    more = len(places) - FEW
    return ", ".join(places[:FEW]) + (f" and {more:,} more" if more > 0 else "")


CHECKS: Final = (
    Check(
        id="self-permissions",
        subject=Subject.CALLER,
        axes=(Axis.NOTICE,),
        title="The caller may read what it needs",
        asks=(asks.GET_CALLER_IDENTITY,),
        finds="weak: a question was denied; the checks that needed it are unknown",
        why="What may not be read cannot be judged, and an unknown that nobody looks into looks like nothing at all.",
        remedy=("ctvalidate policy doctor --trail-arn {trail}",),
        judge=judge_permissions,
    ),
    Check(
        id="self-writes",
        subject=Subject.CALLER,
        axes=(Axis.PREVENT,),
        title="The caller cannot change what it validates",
        asks=(*asks.TRAIL, asks.GET_ROLE, asks.SIMULATE),
        finds="weak: the caller's policies allow it to write, delete, or stop the trail",
        why="Validation runs unattended, with credentials that lie around: they should open nothing but reading.",
        remedy=("ctvalidate policy --trail-arn {trail} --last 24h",),
        judge=judge_writes,
        also=("NIST 800-53 AU-9(4)",),
    ),
    Check(
        id="validated-lately",
        subject=Subject.CALLER,
        axes=(Axis.NOTICE,),
        title="The logs were proven within a week",
        asks=(),
        finds="bad: the last validation found evidence of change; weak: it is older than 7 days or proved not everything",
        why="Digests protect nothing that nobody checks, and old versions are kept for a while only.",
        remedy=("ctvalidate --trail-arn {trail} --last 7d --output report.json",),
        judge=judge_lately,
        also=("NIST 800-53 AU-6",),
    ),
    Check(
        id="coverage-now",
        subject=Subject.CALLER,
        axes=(Axis.NOTICE,),
        title="Every region has a digest of the last 2 hours",
        asks=(*asks.TRAIL, asks.LIST_OBJECTS, asks.LIST_REGIONS, asks.DESCRIBE_REGIONS),
        finds="bad: an account-region whose newest digest is older than 2 hours, or that has none of the last day",
        why="CloudTrail may say that it delivered; what counts is what lies in the bucket.",
        remedy=("ctvalidate --trail-arn {trail} --last 24h",),
        judge=judge_coverage,
    ),
)
