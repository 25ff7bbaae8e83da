"""Finds the events in whatever a log holds: whole logs at once, large or broken ones piece by piece.

A log is `{"Records": [EVENT, …]}`. Of a broken, renamed or doubled one, every object that is an element of an array in a
top-level object counts as an event, so that damage hides nothing that can still be read. Nothing recurses; memory is one
piece and one event. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024  # CloudTrail's own limit is 1 MB (User Guide, "Quotas"); bounds what is held
MOST_BRACKETS: Final = (
    5_000_000  # of one log, ~1 µs each; CloudTrail's largest have a million, a bomb has thousands of millions
)
_NAME: Final = b'"Records"'
_AROUND: Final = len(b'{"Records":[]}')
_SKIPPED: Final = re.compile(
    rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL
)  # up to a bracket or an open string
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+"', re.DOTALL)
_DEPTH: Final = 2  # brackets around an event: the log's object, and its array


class _Log(msgspec.Struct, frozen=True):
    records: list[msgspec.Raw] = msgspec.field(name="Records")


_LOG: Final = msgspec.json.Decoder(_Log)


def whole(content: bytes) -> list[bytes] | None:
    """Return the events of a log that every reader understands alike, None of any other content."""
    try:
        records = list(map(bytes, _LOG.decode(content).records))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    separators = max(0, len(records) - 1)
    if sum(map(len, records)) + separators + _AROUND == len(content):  # as CloudTrail writes: no room for anything else
        return records
    return records if content.count(_NAME) == 1 else None


class Splitter:
    """Splits content that comes in pieces into events.

    `events` counts those that were found, `too_large` those beyond `MAX_EVENT_BYTES`, which are passed over. After
    `MOST_BRACKETS` nothing more is looked at, and what is left counts as one that was too large.
    """

    def __init__(self) -> None:
        self.events = self.too_large = 0
        self._rest = b""  # of an event that has begun, or of a string that has not ended
        self._depth = 0
        self._begin = -1  # of the event in `_rest`, -1 outside of events
        self._at = 0  # up to where `_rest` has been looked at
        self._in_string = False
        self._brackets = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece; yields the events that end in it. Must be run to its end."""
        if self._brackets > MOST_BRACKETS:
            return
        data = self._rest + piece if self._rest else piece
        end = len(data)
        at = self._at
        while at < end:
            if self._in_string:
                string = _IN_STRING.match(data, at)
                if string is None:
                    at = _unescaped_end(data, at)
                    break
                at, self._in_string = string.end(), False
                continue
            skipped = _SKIPPED.match(data, at)
            at = skipped.end() if skipped else at
            if at == end:
                break
            at += 1
            self._brackets += 1
            if self._brackets > MOST_BRACKETS:
                self._rest = b""
                self.too_large += 1
                return
            if self._mark(data[at - 1], at):
                if at - self._begin <= MAX_EVENT_BYTES:
                    self.events += 1
                    yield data[self._begin : at]
                else:
                    self.too_large += 1
                self._begin = -1
        self._keep(data, at)

    def _mark(self, mark: int, at: int) -> bool:
        """Take a bracket or the quote of an open string, which ends before `at`. True where it ends an event."""
        if mark == 0x22:
            self._in_string = True
        elif mark in (0x5B, 0x7B):
            if self._depth == _DEPTH and mark == 0x7B:
                self._begin = at - 1
            self._depth += 1
        else:
            self._depth = max(0, self._depth - 1)
            return self._depth == _DEPTH and self._begin >= 0
        return False

    def _keep(self, data: bytes, at: int) -> None:
        """Hold on to what the next piece may complete: an open event, unless it is too large, or an open string."""
        if self._begin >= 0 and len(data) - self._begin > MAX_EVENT_BYTES:
            self._begin = -1  # and so it has no end that is looked for
            self.too_large += 1
        keep = self._begin if self._begin >= 0 else at
        self._rest, self._at = data[keep:], at - keep
        self._begin = 0 if self._begin >= 0 else -1


def _unescaped_end(data: bytes, at: int) -> int:
    """How far an open string may be passed over: to its end as known, but for a backslash whose letter has not come."""
    end = len(data)
    slashes = 0
    while end - slashes > at and data[end - slashes - 1] == 0x5C:
        slashes += 1
    return end - slashes % 2
