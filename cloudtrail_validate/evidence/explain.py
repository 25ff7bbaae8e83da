"""Why a gap is there: read the proven logs around it once more and keep the events that explain it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.activity import Activity, explaining_events, near
from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.model import Finding, Interval, Locator, Status
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.stages import ProvenDigest, RegionResult
from cloudtrail_validate.runtime.limits import RateLimiter, TryBudget
from cloudtrail_validate.stores.protocol import Store

REACH: Final = timedelta(hours=3)  # an event is in a log within ~15 minutes, and its log in a digest within the hour
_GAPS: Final = 50  # gaps looked into, the earliest first: after a trail was stopped in 17 regions all tell the same
_LOGS: Final = 2_000  # logs read again around each gap at the most
EVENTS: Final = 20  # told of each finding
_HOURS_RULES: Final = rules.GAPS | {rules.CHAIN_RESTART}


class Trail(msgspec.Struct, frozen=True):
    """Where a trail's own events are found: its owner and home region (empty: not known), and the bucket it writes to."""

    bucket: str
    owner: str
    home_region: str


class Hours(msgspec.Struct, frozen=True):
    """The hours that a finding concerns and those in which an explanation may lie."""

    finding: Finding
    hours: Interval
    reach: Interval


async def explain(
    findings: Iterable[Finding], results: Sequence[RegionResult], store: Store, limiter: RateLimiter, trail: Trail
) -> Mapping[Finding, tuple[Activity, ...]]:
    """The explaining events near each finding about hours, out of proven logs of its own place and of the trail's home.

    An UpdateTrail or StopLogging is an event of the trail's home region and owner; the deletion of a bucket's objects one
    of the bucket's. Logs are taken only from digests that were proven, and hashed again.
    """
    reader = DigestReader(store, limiter, TryBudget(0))
    known: dict[Locator, tuple[Activity, ...]] = {}
    out: dict[Finding, tuple[Activity, ...]] = {}
    for item in reaches(findings):
        account, region = item.finding.account, item.finding.region
        places = {(account, region), (trail.owner, trail.home_region), (account, trail.home_region)}
        logs: list[LogReference] = []
        for result in results:
            if (result.region.account, result.region.region) in places:
                logs += await _logs_in(result.digests, reader, item)
        fresh = [log for log in logs if log.where not in known]
        answers = await asyncio.gather(*(_read(log, store, limiter, trail.bucket) for log in fresh))
        known.update(zip((log.where for log in fresh), answers, strict=True))
        activities = [activity for log in logs for activity in known[log.where]]
        events = near(activities, item.hours, item.reach, most=EVENTS)
        if events:
            out[item.finding] = events
    return out


def reaches(findings: Iterable[Finding]) -> list[Hours]:
    """The findings that events may explain, each with its hours; not more than can be looked into."""
    return [hours for finding in findings if (hours := _hours(finding)) is not None][:_GAPS]


def _hours(finding: Finding) -> Hours | None:
    """The hours to look into for a finding, or None where events cannot explain it."""
    of_digest = finding.status in (Status.MISSING, Status.ALTERED) and finding.rule.startswith("digest-")
    if finding.interval is None or not (finding.rule in _HOURS_RULES or of_digest):
        return None
    return Hours(finding, finding.interval, Interval(finding.interval.start - REACH, finding.interval.end + REACH))


async def _logs_in(digests: Iterable[ProvenDigest], reader: DigestReader, item: Hours) -> list[LogReference]:
    """The logs of an account-region that may hold events of the hours around a finding, those next to its edges first."""
    edges = [Interval(edge - REACH, edge + REACH) for edge in item.hours]
    named = [digest for digest in digests if any(digest.interval.overlaps(edge) for edge in edges)]
    out: list[LogReference] = []
    for digest in sorted(named, key=lambda digest: _distance(digest.interval, item.hours)):
        if len(out) >= _LOGS:
            break
        out += await reader.references(digest) or ()
    return out[:_LOGS]


def _distance(interval: Interval, hours: Interval) -> timedelta:
    def apart(edge: datetime) -> timedelta:
        return max(interval.start - edge, edge - interval.end, timedelta())

    return min(apart(hours.start), apart(hours.end))


async def _read(log: LogReference, store: Store, limiter: RateLimiter, bucket: str) -> tuple[Activity, ...]:
    """The explaining events of one log, if its content is what the digest says."""
    try:
        async with limiter:
            inflater, _ = await store.digest(log.where)  # whole, as a digest is read, and bounded like one
    except (AbsentError, StoreError):
        return ()
    content = inflater.finish()
    if content.flaw is not None or content.sha256 != log.hash_value.lower():
        return ()
    return tuple(explaining_events(inflater.kept(), log.where, bucket))
