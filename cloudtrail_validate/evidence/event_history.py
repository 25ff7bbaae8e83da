"""What AWS itself still knows of a gap: LookupEvents, where it is asked for, and the bucket's lifecycle rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from cloudtrail_validate.aws.errors import ANY_ERROR
from cloudtrail_validate.aws.event_history import HISTORY_RATE, Pace, history_pages
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core.activity import Activity, near, read_event
from cloudtrail_validate.core.errors import ConfigurationError, StoreError
from cloudtrail_validate.core.layout import log_minute
from cloudtrail_validate.core.model import Finding
from cloudtrail_validate.evidence.explain import EVENTS, Hours

_SOURCES: Final = ("cloudtrail.amazonaws.com", "s3.amazonaws.com", "kms.amazonaws.com")
_PAGES: Final = 10  # of 50 events; LookupEvents answers twice a second
_KEPT: Final = timedelta(days=90)  # how long CloudTrail's event history goes back


def look_up(
    hours: Sequence[Hours], aws: Aws, home_region: str, bucket: str, now: datetime
) -> Mapping[Finding, tuple[Activity, ...]]:
    """Explaining events of the last 90 days out of CloudTrail's event history, which no bucket can lose. Blocking.

    It holds management events only. A refusal is no finding: the answer is empty.
    """
    out: dict[Finding, tuple[Activity, ...]] = {}
    paces: defaultdict[str, Pace] = defaultdict(lambda: Pace(HISTORY_RATE))
    for item in hours:
        if item.reach.end < now - _KEPT:
            continue
        regions = {home_region, item.finding.region or home_region} - {""}
        found: dict[str, Activity] = {}
        for region in sorted(regions):
            for source in _SOURCES:
                for activity in _events(aws, region, source, item, bucket, paces[region]):
                    found[activity.event_id] = activity
        events = near(list(found.values()), item.hours, item.reach, most=EVENTS)
        if events:
            out[item.finding] = events
    return out


def _events(aws: Aws, region: str, source: str, item: Hours, bucket: str, pace: Pace) -> Iterable[Activity]:
    wanted = [{"AttributeKey": "EventSource", "AttributeValue": source}]
    told: list[str] = []
    try:
        pages = history_pages(aws.client("cloudtrail", region), *item.reach, pace, wanted)
        for page in islice(pages, _PAGES):
            told += page
    except (ConfigurationError, StoreError):
        return []
    return [activity for text in told if (activity := read_event(text.encode("utf-8", "replace"), None, bucket))]


def lifecycle_rules(aws: Aws, bucket: str) -> Sequence[Mapping[str, Any]]:
    """The bucket's lifecycle rules, or none where they may not be read. Blocking."""
    try:
        answer = aws.s3_client(bucket).get_bucket_lifecycle_configuration(Bucket=bucket)
    except (*ANY_ERROR, ConfigurationError, StoreError):
        return ()
    rules: Sequence[Mapping[str, Any]] = answer.get("Rules", ())
    return rules


def removed_by(finding: Finding, rules: Iterable[Mapping[str, Any]], now: datetime) -> str | None:
    """The lifecycle rule that explains a missing object, by its key and the age that its key tells. Pure."""
    if finding.where is None:
        return None
    written = log_minute(finding.where.key) or (finding.interval.end if finding.interval else None)
    return expiring_rule(rules, finding.where.key, now - written) if written else None


def expiring_rule(rules: Iterable[Mapping[str, Any]], key: str, age: timedelta) -> str | None:
    """The lifecycle rule that would have removed an object of this key and age by now, in a few words, or None. Pure."""
    for rule in rules:
        if rule.get("Status") != "Enabled" or not key.startswith(_prefix(rule)):
            continue
        days = rule.get("Expiration", {}).get("Days")
        if isinstance(days, int) and age >= timedelta(days=days):
            return f"{rule.get('ID') or 'unnamed'}: expires objects under {_prefix(rule)!r} after {days} days"
    return None


def _prefix(rule: Mapping[str, Any]) -> str:
    condition = rule.get("Filter") or {}
    return str(condition.get("Prefix") or condition.get("And", {}).get("Prefix") or rule.get("Prefix") or "")
