"""Checks of what CloudTrail itself says of its deliveries."""

from __future__ import annotations

from collections.abc import Mapping
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
    known = _known(facts)
    errors = {region: status.delivery_error for region, status in known.items()}
    home = known.get(trail.home_region)
    age = _age(facts, home.delivered) if home else ""
    return worst(
        [
            *(bad(f"CloudTrail cannot deliver log files in {said}") for said in _by_error(errors)),
            *([weak(f"CloudTrail delivered log files {age} in {trail.home_region}")] if age else []),
            *_unread(facts),
        ],
        f"log files arrive in {plural(len(known), 'region')}",
    )


@on_trail
def judge_digest_delivery(facts: Facts, trail: Trail) -> Answer:
    """Whether digests arrive, in every region: they come each hour, whether or not anything happened."""
    if not trail.validation:
        return bad("log file validation is off: no digests are written")
    known = _known(facts)
    errors = {region: status.digest_error for region, status in known.items()}
    late: dict[str, list[str]] = {}
    for region, status in known.items():
        if age := _age(facts, status.digest_delivered):
            late.setdefault(age, []).append(region)
    return worst(
        [
            *(bad(f"CloudTrail cannot deliver digests in {said}") for said in _by_error(errors)),
            *(bad(f"CloudTrail delivered digests {age} in {', '.join(regions)}") for age, regions in late.items()),
            *_unread(facts),
        ],
        f"digests arrive in {plural(len(known), 'region')}",
    )


def _known(facts: Facts) -> dict[str, TrailStatus]:
    """Regions where the trail is on. Where it is off trail-logging says so, and nothing is due."""
    return {
        region: status
        for region, status in sorted(facts.statuses.items())
        if isinstance(status, TrailStatus) and status.logging
    }


def _unread(facts: Facts) -> list[Answer]:
    return [unknown(status) for status in facts.statuses.values() if isinstance(status, Unread)]


def _by_error(errors: Mapping[str, str]) -> list[str]:
    """Regions with the error that CloudTrail met there, those of one error together."""
    regions: dict[str, list[str]] = {}
    for region, error in errors.items():
        if error:
            regions.setdefault(error, []).append(region)
    return [f"{', '.join(places)}: {error}" for error, places in regions.items()]


def _age(facts: Facts, moment: datetime | None) -> str:
    """How long ago a delivery was that is overdue; empty where it is not."""
    if moment is None:
        return "never"
    age = facts.now - moment
    return f"last {duration(age.total_seconds())} ago" if age > LATE else ""


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
