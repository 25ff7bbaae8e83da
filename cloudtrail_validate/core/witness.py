"""Compares the events that an independent source tells with those in proven logs. Pure.

A digest proves files; it cannot say that an event was never delivered, nor bring back what is gone. CloudTrail's event
history (LookupEvents) and the trail's CloudWatch Logs group are written by AWS, apart from the bucket. An event that they
know and no log holds has benign reasons as well, so it accuses nobody; one that differs from its log does.

Source: AWS CloudTrail User Guide, "Working with CloudTrail event history", "CloudTrail record contents", "Logging
management events". Events are hostile: whatever cannot be read is passed over and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.digest import parse_time
from cloudtrail_validate.core.layout import ACCOUNT, REGION, plausible
from cloudtrail_validate.core.model import Finding, Interval, Locator, isoformat

LATE: Final = timedelta(hours=1)  # an event is in a log within ~15 minutes, and its log may be of the next hour
KEPT: Final = timedelta(days=90)  # how long event history goes back (User Guide)
MAX_EVENT_BYTES: Final = 4 * 1024 * 1024  # CloudTrail's own limit is 1 MB
_LONGEST: Final = 300  # characters kept of anything an event says
_SECOND: Final = timedelta(seconds=1)

Difference = tuple[str, object, object]
"""A value's path, and the value as the source and as the log tells it."""


class Source(StrEnum):
    """Names the independent sources of events."""

    HISTORY = "event-history"
    GROUP = "log-group"


class Told(msgspec.Struct, frozen=True):
    """One event as a source tells it: id, when it happened, account and region that it names, and its JSON."""

    source: Source
    event_id: str
    time: datetime
    account: str
    region: str
    raw: bytes
    name: str = ""
    service: str = ""
    read_only: bool | None = None


class _Event(msgspec.Struct, frozen=True):
    """Holds the fields of an event that are read. Each may be absent or of another type."""

    event_id: Any = msgspec.field(name="eventID", default=None)
    time: Any = msgspec.field(name="eventTime", default=None)
    name: Any = msgspec.field(name="eventName", default=None)
    service: Any = msgspec.field(name="eventSource", default=None)
    region: Any = msgspec.field(name="awsRegion", default=None)
    account: Any = msgspec.field(name="recipientAccountId", default=None)
    read_only: Any = msgspec.field(name="readOnly", default=None)


class _Records(msgspec.Struct, frozen=True):
    records: tuple[msgspec.Raw, ...] = msgspec.field(name="Records", default=())


_EVENT: Final = msgspec.json.Decoder(_Event)
_RECORDS: Final = msgspec.json.Decoder(_Records)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


def read_told(raw: bytes, source: Source, account: str, region: str) -> Told | None:
    """Return one event of a source; `account` and `region` are where it was asked, for an event that names none.

    None: no event.
    """
    if len(raw) > MAX_EVENT_BYTES:
        return None
    try:
        event = _EVENT.decode(raw)
    except _UNREADABLE:
        return None
    time = plausible(parse_time(event.time)) if isinstance(event.time, str) else None
    if time is None or not isinstance(event.event_id, str) or not 0 < len(event.event_id) <= _LONGEST:
        return None
    own_account, own_region = _text(event.account), _text(event.region)
    return Told(
        source,
        event.event_id,
        time,
        own_account if ACCOUNT.fullmatch(own_account) else account,
        own_region if REGION.fullmatch(own_region) else region,
        raw,
        _text(event.name),
        _text(event.service),
        event.read_only if isinstance(event.read_only, bool) else None,
    )


def events_in(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the events of a log's content: id and JSON.

    Nothing where it is no log; elements without an id are passed over.
    """
    try:
        records = _RECORDS.decode(content).records
    except _UNREADABLE:
        return
    for record in records:
        raw = bytes(record)
        try:
            event_id = _EVENT.decode(raw).event_id
        except _UNREADABLE:
            continue
        if isinstance(event_id, str):
            yield event_id, raw


class Held(msgspec.Struct, frozen=True):
    """An event as a log holds it. `proven`: the log is what its digest says."""

    log: Locator
    proven: bool
    raw: bytes


def differing(
    told: Told,
    held: Held,
    parse: Callable[[bytes], Mapping[str, object]],
    differences: Callable[[object, object], Iterable[Difference]],
) -> tuple[Difference, ...] | None:
    """Return the values that a source and a log tell differently, of the fields that both have.

    None where one cannot be read.

    A field that only one of them has is no difference: sources may leave out what logs have. Nor is an event that
    CloudTrail completed later (`addendum`, User Guide, "CloudTrail record contents"). `parse` and `differences`
    are those of `evidence.events`.
    """
    if told.raw == held.raw:
        return ()
    try:
        one, other = parse(told.raw), parse(held.raw)
    except ValueError:
        return None
    if "addendum" in one or "addendum" in other:  # CloudTrail tells an event again with what it learnt later
        return ()
    shared = [name for name in one if name in other]
    found = differences({name: one[name] for name in shared}, {name: other[name] for name in shared})
    return tuple(found)


class Selection(msgspec.Struct, frozen=True):
    """Describes the management events that a trail records, as GetEventSelectors says now. None: not known.

    `writes` and `reads`: whether these are recorded; `excluded` sources are not. `vague`: selectors were there that this
    does not understand.
    """

    reads: bool = True
    writes: bool = True
    excluded: frozenset[str] = frozenset()
    vague: bool = False

    def leaves_out(self, told: Told) -> bool:
        """Tell whether an event is one that the trail does not record."""
        if told.service in self.excluded:
            return True
        if told.read_only is None:
            return not (self.reads or self.writes)
        return not (self.reads if told.read_only else self.writes)


def selection_of(answer: Mapping[str, Any]) -> Selection:
    """GetEventSelectors' answer. Several selectors together record what any of them records."""
    found = [_simple(one) for one in answer.get("EventSelectors") or ()]
    found += [one for one in map(_advanced, answer.get("AdvancedEventSelectors") or ()) if one is not None]
    if not found:
        return Selection(reads=False, writes=False)
    excluded = found[0].excluded
    for one in found[1:]:
        excluded &= one.excluded
    return Selection(
        any(one.reads for one in found), any(one.writes for one in found), excluded, any(one.vague for one in found)
    )


def _simple(selector: Mapping[str, Any]) -> Selection:
    if not selector.get("IncludeManagementEvents", True):
        return Selection(reads=False, writes=False)
    kind = selector.get("ReadWriteType", "All")
    excluded = frozenset(map(str, selector.get("ExcludeManagementEventSources") or ()))
    return Selection(kind != "WriteOnly", kind != "ReadOnly", excluded)


def _advanced(selector: Mapping[str, Any]) -> Selection | None:
    """Return an advanced selector of management events; None for one of other events."""
    fields = {str(one.get("Field")): one for one in selector.get("FieldSelectors") or ()}
    if "Management" not in ((fields.pop("eventCategory", None) or {}).get("Equals") or ()):
        return None
    reads = writes = True
    if (read_only := fields.pop("readOnly", None)) is not None:
        wanted = {str(value).lower() for value in read_only.get("Equals") or ()}
        reads, writes = "true" in wanted, "false" in wanted
    excluded: frozenset[str] = frozenset()
    vague = False
    if (source := fields.pop("eventSource", None)) is not None:
        excluded = frozenset(map(str, source.get("NotEquals") or ()))
        vague = any(source.get(word) for word in ("Equals", "StartsWith", "EndsWith", "NotStartsWith", "NotEndsWith"))
    return Selection(reads, writes, excluded, vague or bool(fields))


class Coverage(msgspec.Struct, frozen=True):
    """Holds one account-region's hours: those that proven digests cover, and those whose logs are lost."""

    covered: tuple[Interval, ...]
    lost: tuple[Interval, ...] = ()

    def due(self, moment: datetime) -> bool:
        """Tell whether an event of that moment must be in a proven log.

        The hour from then on is covered, and nothing is lost.
        """
        needed = Interval(moment, moment + LATE)
        left = needed.seconds - sum(item.within(needed).seconds for item in self.covered)
        return left <= 0 and not any(item.overlaps(needed) for item in self.lost)


def absent(told: Told, selection: Selection | None, *, some_regions: bool = False) -> Finding:
    """Report an event that no log holds, though proven digests cover its hours and all their logs were read.

    `some_regions`: logs of other regions, in which events of global services may lie, were not asked for.
    """
    what = f"{told.name or 'an event'} of {told.service or 'an unknown source'} at {isoformat(told.time)}"
    known = "as far as the trail's event selectors are known it should be"
    if selection is None:
        known = "the trail's event selectors are not known"
    elif selection.vague:
        known = "the trail has event selectors that may leave it out"
    known += "; logs of other regions than those asked for may hold it" if some_regions else ""
    return _finding(told, rules.WITNESS_EVENT_ABSENT, detail=f"{what}, told by the {_NAMES[told.source]}; {known}")


def differs(told: Told, held: Held, found: Sequence[Difference], text: Callable[[object, int], str | None]) -> Finding:
    """Report an event that a log tells otherwise than the source.

    `text` writes a value, at most so long; None for one that only the other side has, such as a field of an object that
    both have. It is `evidence.events.shown`.
    """
    path, told_value, held_value = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    proof = "a proven log" if held.proven else "a log that is not proven"
    detail = f"{path}{more} in {proof}, {told.name or 'an event'} at {isoformat(told.time)}, id {told.event_id}"
    return msgspec.structs.replace(
        _finding(told, rules.WITNESS_EVENT_DIFFERS, detail=f"{detail}, told by the {_NAMES[told.source]}"),
        where=held.log,
        expected=text(told_value, _LONGEST),
        actual=text(held_value, _LONGEST),
    )


_NAMES: Final = {Source.HISTORY: "event history", Source.GROUP: "CloudWatch Logs group"}


def _finding(told: Told, rule: str, *, detail: str) -> Finding:
    return Finding(
        rule=rule,
        status=rules.RULES[rule].status,
        account=told.account or None,
        region=told.region or None,
        interval=Interval(told.time, told.time + _SECOND),
        actual=told.event_id,
        detail=detail,
    )


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def slots(hours: Iterable[Interval]) -> list[Interval]:
    """Hours cut at midnights, UTC, sorted and without overlap: what is asked for, kept and gone on with, one by one."""
    out: list[Interval] = []
    for item in sorted(hours):
        start = max(item.start, out[-1].end) if out else item.start
        while start < item.end:
            midnight = start.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            out.append(Interval(start, min(midnight, item.end)))
            start = out[-1].end
    return out
