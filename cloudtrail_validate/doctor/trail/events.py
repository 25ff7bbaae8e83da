"""Checks of what the trail records: event selectors, older and advanced ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import AdvancedSelector, BasicSelector, Facts, FieldSelector, Selectors, Trail
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

ESSENTIAL: Final = ("cloudtrail", "iam", "organizations", "s3", "sts")
"""Services whose events no trail may leave out: what an intruder does to get in, to stay and to hide."""
NOISY: Final = ("kms", "rdsdata")
"""Services that CloudTrail lets a trail leave out, as they are many (API reference, ExcludeManagementEventSources)."""
WRITES: Final = ("PutObject", "DeleteObject")
"""Events of S3 without which nobody knows who changed or deleted a log."""

Event = Mapping[str, str]
"""An event as advanced selectors see it: field to value."""


def recorded(selectors: Selectors, event: Event) -> bool | None:
    """Whether an event is recorded; None where that depends on fields that the event here does not have."""
    found: list[bool | None] = [_basic(selector, event) for selector in selectors.basic]
    found += [_advanced(selector, event) for selector in selectors.advanced]
    return True if True in found else None if None in found else False


def _basic(selector: BasicSelector, event: Event) -> bool:
    read = event["readOnly"] == "true"
    if selector.read_write not in ("All", "ReadOnly" if read else "WriteOnly"):
        return False
    if event["eventCategory"] == "Management":
        return selector.management and event["eventSource"] not in selector.excluded
    return any(
        sort == event["resources.type"] and event["resources.ARN"].startswith(prefix)
        for sort, prefix in selector.resources
    )


def _advanced(selector: AdvancedSelector, event: Event) -> bool | None:
    found = [_field(field, event.get(field.field)) for field in selector.fields]
    return False if False in found else None if None in found else True


def _field(field: FieldSelector, value: str | None) -> bool | None:
    if value is None:
        return None
    negated = field.operator.startswith("Not")
    match field.operator.removeprefix("Not"):
        case "Equals":
            found = value in field.values
        case "StartsWith":
            found = value.startswith(field.values)
        case "EndsWith":
            found = value.endswith(field.values)
        case _:
            return None
    return found is not negated


def _management(source: str, *, read: bool) -> Event:
    return {
        "eventCategory": "Management",
        "readOnly": "true" if read else "false",
        "eventSource": f"{source}.amazonaws.com",
    }


@on_trail
def judge_selectors(facts: Facts, trail: Trail) -> Answer:
    """Whether all management events are recorded."""
    selectors = facts.selectors.get(trail.arn)
    if selectors is None or isinstance(selectors, Unread):
        return unknown(selectors or "the event selectors were not read")
    writes = {name: recorded(selectors, _management(name, read=False)) for name in (*ESSENTIAL, *NOISY)}
    reads = {name: recorded(selectors, _management(name, read=True)) for name in (*ESSENTIAL, *NOISY)}
    essential = [name for name in ESSENTIAL if not writes[name]]
    if essential:
        if not any(writes.values()) and None not in writes.values():
            return bad("management events that change something are not recorded")
        only = [name for name in essential if writes[name] is False]
        left_out = f"management events of {', '.join(only)} are not recorded" if only else ""
        narrowed = f"recorded only where {_narrowing(selectors)}" if len(only) < len(essential) else ""
        return bad("; ".join(part for part in (left_out, narrowed) if part))
    noisy = [name for name in NOISY if not writes[name]]
    unread = [name for name in ESSENTIAL if not reads[name]]
    return worst(
        [
            *([weak(f"management events of {', '.join(noisy)} are left out")] if noisy else []),
            *([weak("management events that only read are not all recorded")] if unread else []),
        ],
        "all management events are recorded",
    )


def _narrowing(selectors: Selectors) -> str:
    """The conditions that leave out events in a way that depends on the event."""
    known = {"eventCategory", "readOnly", "eventSource"}
    fields = [field for selector in selectors.advanced for field in selector.fields if field.field not in known]
    shown = [f"{field.field} {field.operator} {', '.join(field.values[:3])}" for field in fields]
    return " and ".join(dict.fromkeys(shown)) or "a selector says so"


def recorders(facts: Facts) -> tuple[list[str], list[Unread]]:
    """ARNs of trails that record who writes to and deletes from the log bucket, and what could not be read of others."""
    found, unread = [], []
    for arn, selectors in facts.selectors.items():
        if isinstance(selectors, Unread):
            unread.append(selectors)
        elif all(recorded(selectors, _data(facts, name)) for name in WRITES):
            found.append(arn)
    return found, unread


@on_trail
def judge_bucket_events(facts: Facts, trail: Trail) -> Answer:
    """Whether it is recorded who writes to and deletes from the log bucket, and in another place than there."""
    found, unread = recorders(facts)
    elsewhere = [arn for arn in found if _bucket_of(facts, arn) != trail.bucket]
    if elsewhere:
        return ok(f"{elsewhere[0]} records writes to {trail.bucket} and delivers elsewhere")
    if found:
        return weak(f"{found[0]} records writes to {trail.bucket} into that same bucket: each delivery makes the next")
    said = f"nobody records who writes to {trail.bucket} or deletes from it"
    return unknown(said, *unread) if unread else weak(said)


def _data(facts: Facts, name: str) -> Event:
    return {
        "eventCategory": "Data",
        "readOnly": "false",
        "eventName": name,
        "eventSource": "s3.amazonaws.com",
        "resources.type": "AWS::S3::Object",
        "resources.ARN": f"{facts.bucket_arn}/{facts.base}",
    }


def _bucket_of(facts: Facts, arn: str) -> str:
    others: Iterable[Trail] = () if isinstance(facts.others, Unread) else facts.others
    mine = (facts.trail,) if isinstance(facts.trail, Trail) else ()
    return next((trail.bucket for trail in (*mine, *others) if trail.arn == arn), "")


EVENTS: Final = (
    Check(
        id="trail-selectors",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="All management events are recorded",
        asks=(*asks.TRAIL, asks.GET_EVENT_SELECTORS),
        finds="bad: events that change something are left out, by service, identity or ARN; weak: reads, KMS or the RDS"
        " Data API are left out",
        why="PutEventSelectors blinds a running trail: its digests stay perfect, and the events are simply not there.",
        remedy=(
            (
                "aws cloudtrail put-event-selectors --region {home} --trail-name {trail} --advanced-event-selectors"
                " {management_selectors}"
            ),
        ),
        judge=judge_selectors,
        also=(
            "CIS 5.0 3.1",
            "Security Hub CloudTrail.1",
            "Prowler cloudtrail_multi_region_enabled_logging_management_events",
            "NIST 800-53 AU-12",
        ),
    ),
    Check(
        id="trail-bucket-events",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="Writes to the log bucket are recorded",
        asks=(*asks.TRAIL, asks.GET_EVENT_SELECTORS),
        finds="weak: no trail records S3 data events (PutObject, DeleteObject) of the log bucket, or only into that bucket",
        why="Digests show that a log was changed or deleted. Who did it is known from data events alone.",
        remedy=(
            "# In a trail that delivers to another bucket: its own deliveries would be recorded without end.",
            (
                "aws cloudtrail put-event-selectors --region {home} --trail-name OTHER_TRAIL_ARN --advanced-event-selectors"
                " {bucket_selectors}"
            ),
        ),
        judge=judge_bucket_events,
        also=("CIS 5.0 3.8", "Security Hub S3.22", "Prowler cloudtrail_s3_dataevents_write_enabled"),
    ),
)
