"""Two logs compared event by event: what somebody wanted gone, planted or changed.

`compare` takes two log files as stored (gzip or inflated) in pieces. Events are matched by `eventID`; their order and
their formatting do not count. Either side may be anything: what cannot be read is said, and raises nothing.

Bounds: a side inflates to at most `MAX_BYTES` (in a report `REPORTED_BYTES`) and has at most `MAX_EVENTS` events, beyond
which `TooLargeError` says so. Both sides are held inflated, so memory stays below three times that and ~0.5 kB an event;
events are parsed one at a time. Pure.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.gzip import Flaw, Inflater
from cloudtrail_validate.core.text import size
from cloudtrail_validate.core.versions import Change, Changed, Changes, Counts, Event
from cloudtrail_validate.evidence.events import (
    MAX_EVENT_BYTES,
    Difference,
    NotALogError,
    NotAnEventError,
    as_text,
    clipped,
    differences,
    parse,
    shown,
    split,
    syntax,
)

MAX_BYTES: Final = 256 * 1024 * 1024  # inflated, of one side; the largest real logs are some tens of MB
MAX_STORED: Final = MAX_BYTES + 1024 * 1024  # as stored: what does not inflate may be a little longer than its content
MAX_EVENTS: Final = 500_000  # of one side; at 600 bytes, as the shortest real events have, 256 MB hold 450,000
LISTED: Final = 10_000  # events of one sort listed; their number is exact all the same
CHANGES: Final = 200  # values of one event listed, likewise
REPORTED: Final = 20  # events of one sort, and values of one event, in a report
REPORTED_BYTES: Final = 32 * 1024 * 1024  # inflated, of one side that a report is to compare
SCHEMA: Literal["ctvalidate.diff/1"] = "ctvalidate.diff/1"
_VALUE: Final = 2_000  # characters of a value
_WORD: Final = 300  # characters of what an event is called by
_TOO_MUCH: Final = "which is more than can be compared"
_Span = tuple[int, int]


class TooLargeError(ValueError):
    """A side is beyond what can be compared: one line that names the bound."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One log: its name, and what it is. `sha256` and `size` (bytes) are of the inflated content.

    `flaw` is what is wrong with the gzip container, `problem` with the JSON. `readable` says whether events could be
    told apart nevertheless; where they could not on either side, none is compared.
    """

    name: str
    sha256: str
    size: int
    events: int
    readable: bool
    flaw: str | None
    problem: str | None


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """An event id that occurs more than once on a side, and how often on each."""

    event_id: str
    original: int
    altered: int


class LogDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs. `unknown`: the original is itself no whole log, so nothing can be said for certain.

    With `different` and no event listed, the altered side is no log, or bytes follow its content.
    """

    schema: Literal["ctvalidate.diff/1"] = SCHEMA
    verdict: Literal["same", "different", "unknown"]
    original: Side
    altered: Side
    counts: Counts
    removed: tuple[Event, ...]
    added: tuple[Event, ...]
    changed: tuple[Changed, ...]
    duplicates: tuple[Duplicate, ...]


def compare(
    original: Iterable[bytes],
    altered: Iterable[bytes],
    *,
    names: tuple[str, str] = ("original", "altered"),
    most: int | None = None,
) -> LogDiff:
    """Compare two logs, each as the bytes of its file in pieces.

    Raises `TooLargeError` where one of them inflates to more than `most` bytes (`MAX_BYTES`), and what the pieces raise.
    """
    most = MAX_BYTES if most is None else most
    one, other = _Log.read(original, names[0], most), _Log.read(altered, names[1], most)
    matching = _Matching(one, other)
    if one.readable and other.readable:
        matching.run()
    numbers = matching.numbers
    counts = Counts(
        unchanged=numbers["unchanged"],
        removed=numbers["removed"],
        added=numbers["added"],
        changed=numbers["changed"],
        duplicates=numbers["duplicates"],
    )
    return LogDiff(
        verdict=_verdict(one, other, counts),
        original=one.side(),
        altered=other.side(),
        counts=counts,
        removed=tuple(matching.removed),
        added=tuple(matching.added),
        changed=tuple(matching.changed),
        duplicates=tuple(matching.duplicates),
    )


def brief(diff: LogDiff) -> Changes:
    """The same for a report: exact numbers, the first events of each sort, the first values of each event."""
    problem = next((side.problem for side in (diff.original, diff.altered) if side.problem), None)
    return Changes(
        verdict=diff.verdict,
        counts=diff.counts,
        removed=diff.removed[:REPORTED],
        added=diff.added[:REPORTED],
        changed=tuple(replace(item, changes=item.changes[:REPORTED]) for item in diff.changed[:REPORTED]),
        problem=problem,
    )


def _verdict(one: _Log, other: _Log, counts: Counts) -> Literal["same", "different", "unknown"]:
    whole = one.flaw is None and other.flaw is None
    if whole and one.sha256 == other.sha256:
        return "same"
    if one.problem is not None:
        return "unknown"
    if other.problem is not None or counts.removed or counts.added or counts.changed or one.flaw is not other.flaw:
        return "different"
    return "same" if whole else "unknown"  # what follows the content of both was not compared


class _Named(msgspec.Struct):
    event_id: Any = msgspec.field(name="eventID", default=None)


_ID: Final = msgspec.json.Decoder(_Named)


@dataclass(slots=True)
class _Log:
    """One side, its events by id. Those without a usable one are under None."""

    name: str
    data: bytes
    sha256: str
    flaw: Flaw | None
    problem: str | None = None
    readable: bool = True
    number: int = 0
    events: dict[str | None, list[_Span]] = field(default_factory=dict)

    @classmethod
    def read(cls, pieces: Iterable[bytes], name: str, most: int) -> _Log:
        """Inflate a side and find its events."""
        inflater = Inflater(accept_plain=True, keep=True, limit=most)
        stored = 0
        for piece in pieces:
            stored += len(piece)
            if stored > MAX_STORED:
                raise TooLargeError(f"{name}: has more than {size(MAX_STORED)}, {_TOO_MUCH}")
            inflater.feed(piece)
        content = inflater.finish()
        if content.flaw is Flaw.TOO_LARGE:
            raise TooLargeError(f"{name}: inflates to more than {size(most)}, {_TOO_MUCH}")
        log = cls(name, inflater.kept(), content.sha256, content.flaw)
        damaged = content.flaw is not None and content.flaw is not Flaw.TRAILING
        log.problem = content.flaw.value if content.flaw and damaged else syntax(log.data)
        try:
            for span in split(log.data):
                log.number += 1
                if log.number > MAX_EVENTS:
                    raise TooLargeError(f"{name}: has more than {MAX_EVENTS:,} events, {_TOO_MUCH}")
                log.events.setdefault(_event_id(log.raw(span)), []).append(span)
        except NotALogError as error:
            log.problem, log.readable, log.number = log.problem or str(error), False, 0
        return log

    def raw(self, span: _Span) -> bytes:
        """One event as it is written."""
        return self.data[span[0] : span[1]]

    def side(self) -> Side:
        """What is told of this side."""
        return Side(
            name=clipped(self.name, _VALUE),
            sha256=self.sha256,
            size=len(self.data),
            events=self.number,
            flaw=self.flaw.value if self.flaw else None,
            readable=self.readable,
            problem=clipped(self.problem, _WORD) if self.problem else None,
        )


def _event_id(raw: bytes) -> str | None:
    """The id that an event is matched by. The fast decoder is strict, so what it refuses is tried again."""
    if len(raw) > MAX_EVENT_BYTES:
        return None
    try:
        found = _ID.decode(raw).event_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            found = parse(raw).get("eventID")
        except NotAnEventError:
            return None
    return found if type(found) is str else None


class _Matching:
    """Pairs the events of two sides: equal bytes first, then those of one id in their order."""

    def __init__(self, one: _Log, other: _Log) -> None:
        self._one = one
        self._other = other
        self.numbers: defaultdict[str, int] = defaultdict(int)
        self.removed: list[Event] = []
        self.added: list[Event] = []
        self.changed: list[Changed] = []
        self.duplicates: list[Duplicate] = []

    def run(self) -> None:
        """Go through all ids, in the order of the original, then through those that only the other side has."""
        for name in dict.fromkeys((*self._one.events, *self._other.events)):
            ours, theirs = self._one.events.get(name, []), self._other.events.get(name, [])
            if name is not None and max(len(ours), len(theirs)) > 1:
                self._repeated(Duplicate(event_id=clipped(name, _WORD), original=len(ours), altered=len(theirs)))
            ours, theirs = self._without_equals(ours, theirs)
            pairs = 0 if name is None else min(len(ours), len(theirs))
            for mine, its in zip(ours[:pairs], theirs[:pairs], strict=True):
                self._pair(mine, its)
            for span in ours[pairs:]:
                self._alone("removed", self.removed, self._one.raw(span))
            for span in theirs[pairs:]:
                self._alone("added", self.added, self._other.raw(span))

    def _without_equals(self, ours: list[_Span], theirs: list[_Span]) -> tuple[list[_Span], list[_Span]]:
        """What is left of both sides once each event has met one of the same bytes."""
        waiting: defaultdict[bytes, list[_Span]] = defaultdict(list)
        for span in reversed(theirs):
            waiting[hashlib.sha256(self._other.raw(span)).digest()].append(span)
        left = []
        for span in ours:
            equals = waiting.get(hashlib.sha256(self._one.raw(span)).digest())
            if equals:
                equals.pop()
                self.numbers["unchanged"] += 1
            else:
                left.append(span)
        return left, sorted(span for spans in waiting.values() for span in spans)

    def _pair(self, mine: _Span, its: _Span) -> None:
        before, after = self._one.raw(mine), self._other.raw(its)
        listed: list[Change] = []
        total = 0
        for difference in _differences(before, after):
            total += 1
            if len(listed) < CHANGES and len(self.changed) < LISTED:
                listed.append(_change(difference))
        if not total:
            self.numbers["unchanged"] += 1
            return
        self.numbers["changed"] += 1
        if len(self.changed) < LISTED:
            self.changed.append(Changed(event=_describe(before), changes=tuple(listed), total=total))

    def _alone(self, sort: str, listed: list[Event], raw: bytes) -> None:
        self.numbers[sort] += 1
        if len(listed) < LISTED:
            listed.append(_describe(raw))

    def _repeated(self, duplicate: Duplicate) -> None:
        self.numbers["duplicates"] += 1
        if len(self.duplicates) < LISTED:
            self.duplicates.append(duplicate)


def _differences(before: bytes, after: bytes) -> Iterator[Difference]:
    """How two events of other bytes differ: as a whole, where one of them cannot be read."""
    try:
        return differences(parse(before), parse(after))
    except NotAnEventError:
        shown = [raw[: 4 * _VALUE].decode("utf-8", "backslashreplace") for raw in (before, after)]
        return iter((Difference("", *shown),))


def _change(difference: Difference) -> Change:
    before, after = (shown(value, _VALUE) for value in (difference.before, difference.after))
    return Change(path=clipped(difference.path, _WORD), before=before, after=after)


def _describe(raw: bytes) -> Event:
    """What an event is known by (User Guide, "CloudTrail record contents")."""
    try:
        event = parse(raw)
    except NotAnEventError as error:
        return Event(problem=clipped(str(error), _WORD))
    identity = event.get("userIdentity")
    arn = identity.get("arn") if isinstance(identity, dict) else identity
    return Event(
        event_id=_word(event.get("eventID")),
        time=_word(event.get("eventTime")),
        name=_word(event.get("eventName")),
        source=_word(event.get("eventSource")),
        region=_word(event.get("awsRegion")),
        actor=_word(arn),
        address=_word(event.get("sourceIPAddress")),
    )


def _word(value: object) -> str | None:
    """A string as it is, anything else as JSON."""
    if value is None:
        return None
    return clipped(value, _WORD) if type(value) is str else as_text(value, _WORD)
