"""Checks of what CloudTrail itself says of its deliveries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from cloudtrail_validate.core.text import duration, plural
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Trail, TrailStatus
from cloudtrail_validate.doctor.model import (
    Answer,
    Axis,
    Check,
    Subject,
    Unread,
    bad,
    ok,
    on_trail,
    unknown,
    weak,
    worst,
)

LATE: Final = timedelta(hours=2)
"""Digests are hourly and come about half an hour after their hour; logs come about every five minutes."""


@on_trail
def judge_delivery(facts: Facts, trail: Trail) -> Answer:
    """Whether log files arrive. Only the home region is sure to have events within two hours."""
    status = facts.statuses.get(trail.home_region)
    return worst(
        [
            *(_of(region, known, known.delivery_error, "log files") for region, known in _known(facts)),
            *([_recent(facts, status.delivered, "a log file", weak)] if isinstance(status, TrailStatus) else []),
            *_unread(facts),
        ],
        f"log files arrive in {plural(len(_known(facts)), 'region')}",
    )


@on_trail
def judge_digest_delivery(facts: Facts, trail: Trail) -> Answer:
    """Whether digests arrive, in every region: they come each hour, whether or not anything happened."""
    if not trail.validation:
        return bad("log file validation is off: no digests are written")
    return worst(
        [
            *(_of(region, known, known.digest_error, "digests") for region, known in _known(facts)),
            *(_recent(facts, known.digest_delivered, f"a digest in {region}", bad) for region, known in _known(facts)),
            *_unread(facts),
        ],
        f"digests arrive in {plural(len(_known(facts)), 'region')}",
    )


def _known(facts: Facts) -> list[tuple[str, TrailStatus]]:
    """Regions where the trail is on. Where it is off trail-logging says so, and nothing is due."""
    return [
        (region, status)
        for region, status in sorted(facts.statuses.items())
        if isinstance(status, TrailStatus) and status.logging
    ]


def _unread(facts: Facts) -> list[Answer]:
    return [unknown(status) for status in facts.statuses.values() if isinstance(status, Unread)]


def _of(region: str, status: TrailStatus, error: str, what: str) -> Answer:
    return bad(f"CloudTrail cannot deliver {what} in {region}: {error}") if error and status.logging else ok("")


def _recent(facts: Facts, moment: datetime | None, what: str, verdict: Callable[[str], Answer]) -> Answer:
    if moment is None:
        return verdict(f"CloudTrail has never delivered {what}")
    age = facts.now - moment
    return verdict(f"CloudTrail delivered {what} last {duration(age.total_seconds())} ago") if age > LATE else ok("")


DELIVERY: Final = (
    Check(
        id="trail-delivery",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="CloudTrail delivers log files",
        asks=(*asks.TRAIL, asks.GET_TRAIL_STATUS, asks.LIST_REGIONS, asks.DESCRIBE_REGIONS),
        finds="bad: LatestDeliveryError; weak: no log file in the home region for 2 hours",
        why="A changed bucket policy or KMS key stops a trail as surely as StopLogging, and leaves no event of that name.",
        remedy=(
            "aws cloudtrail get-trail-status --region {home} --name {trail}",
            "# The error is S3's: mend the bucket policy (bucket-policy-accounts) or the key policy (kms-policy).",
        ),
        judge=judge_delivery,
        also=("NIST 800-53 AU-5",),
    ),
    Check(
        id="trail-digest-delivery",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="CloudTrail delivers digests",
        asks=(*asks.TRAIL, asks.GET_TRAIL_STATUS, asks.LIST_REGIONS, asks.DESCRIBE_REGIONS),
        finds="bad: LatestDigestDeliveryError, or no digest for 2 hours in a region where the trail is on",
        why="Hours without a digest can never be proven, and logs that are planted in them look like any other.",
        remedy=(
            "aws cloudtrail get-trail-status --region {home} --name {trail}",
            "# The error is S3's: mend the bucket policy (bucket-policy-accounts) or the key policy (kms-policy).",
        ),
        judge=judge_digest_delivery,
        also=("NIST 800-53 AU-5",),
    ),
)
