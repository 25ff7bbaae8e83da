"""The inflater of a search: hashes a log as validation does, and looks at what passes through.

A log up to `WHOLE_BYTES` is looked at when it is whole, a larger one while it is inflated; either way hits are found once,
before anybody knows what the log's hash is worth. Whatever lies in a log's place is looked at: content that is no gzip, what
could be inflated of a damaged member, and what follows the member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Final

import msgspec

from cloudtrail_validate.core.gzip import Content, Flaw, Inflater
from cloudtrail_validate.search.event import Event, read_event
from cloudtrail_validate.search.hits import Found
from cloudtrail_validate.search.query import GivenUpError, Matcher
from cloudtrail_validate.search.records import Splitter, whole
from cloudtrail_validate.search.spool import Spool

WHOLE_BYTES: Final = 8 * 1024 * 1024  # inflated; the bytes of a log that are held, and of its hits
MOST_FOUND: Final = 200_000  # events of one log; CloudTrail's have some 50,000 at most, a bomb has millions
_MOST_MEMBERS: Final = 100  # gzip members after a log's own that are inflated; a log has none


class Unsearched(msgspec.Struct, frozen=True, gc=False):
    """Events of one log that could not be searched, by reason."""

    unreadable: int = 0
    too_large: int = 0
    given_up: int = 0
    lost: int = 0

    def __bool__(self) -> bool:
        return bool(self.unreadable or self.too_large or self.given_up or self.lost)


class Searched(Content, frozen=True):
    """A log's content, and what was found in it. `found` may be iterated once."""

    found: Iterable[tuple[Found, Event]] = ()
    unsearched: Unsearched = Unsearched()


class FoundList:
    """What was found in one log: in memory, or on disk where it is more than `WHOLE_BYTES`.

    `lost` were beyond `MOST_FOUND`, or found no room in the temporary folder.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Found, Event]] = []
        self._bytes = 0
        self._spool: Spool | None = None
        self.lost = self._number = 0

    def add(self, found: Found, event: Event) -> None:
        """Take one in, and what was read of it."""
        self._number += 1
        if self._number > MOST_FOUND:
            self.lost += 1
            return
        self._held.append((found, event))
        self._bytes += 2 * len(found.raw) + 100  # what was read holds most of it once more
        if self._bytes > WHOLE_BYTES:
            try:
                self._spill()
            except OSError:  # no room in the temporary folder: a store would take it for its own error
                self.lost += len(self._held)
                self._held, self._bytes = [], 0

    def __bool__(self) -> bool:
        return bool(self._held or self._spool)

    def __iter__(self) -> Iterator[tuple[Found, Event]]:
        if self._spool is not None:
            with closing(self._spool) as spool:
                for data in spool:
                    found = msgspec.msgpack.decode(data, type=Found)
                    yield found, read_event(found.raw) or Event()
        yield from self._held

    def _spill(self) -> None:
        if self._spool is None:
            self._spool = Spool()  # closed once it was read, or with this object
        for found, _ in self._held:
            self._spool.add(msgspec.msgpack.encode(found))
        self._held, self._bytes = [], 0


class Scanner(Inflater):
    """Inflates and hashes as its base does; `finish` answers with `Searched`."""

    __slots__ = (
        "_behind",
        "_found",
        "_given_up",
        "_matcher",
        "_members",
        "_odd",
        "_passed",
        "_pieces",
        "_splitter",
        "_unreadable",
    )

    def __init__(self, matcher: Matcher, *, accept_plain: bool) -> None:
        super().__init__(accept_plain=accept_plain)
        self._matcher = matcher
        self._pieces: list[bytes] = []
        self._passed = self._members = 0
        self._splitter: Splitter | None = None
        self._behind: _Behind | None = None
        self._odd = False
        self._found: FoundList | None = None
        self._unreadable = self._given_up = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the object."""
        if self._odd:
            self._pass(data)
            return
        if self._behind is not None:
            self._feed_behind(data)
            return
        super().feed(data)
        if self._flaw is Flaw.TRAILING:
            self._behind = _Behind(self._pass)
            self._feed_behind(self._inflate.unused_data or data)

    def finish(self) -> Searched:
        """Say what the object was, and what was found in it."""
        content = super().finish()
        if self._behind is not None:
            self._behind.finish()
        if self._splitter is None:
            self._search(self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces))
            self._pieces = []
        too_large = self._splitter.too_large if self._splitter else 0
        unreadable = self._unreadable
        if self._splitter and not self._splitter.events and not too_large:
            unreadable += 1  # no event at all: the log itself cannot be read
        lost = 0 if self._found is None else self._found.lost
        unsearched = Unsearched(unreadable, too_large, self._given_up, lost)
        found = () if self._found is None else self._found
        return Searched(content.sha256, content.size, content.flaw, found, unsearched)

    def _begin(self, data: bytes) -> None:
        super()._begin(data)
        if self._flaw is Flaw.NOT_GZIP:  # whoever put it there left no gzip, and may have left events
            self._odd = True
            self._pass(data)

    def _take(self, piece: bytes) -> None:
        super()._take(piece)
        self._pass(piece)

    def _pass(self, piece: bytes) -> None:
        """Look at the next piece of content, or hold it until there is more."""
        if not piece:
            return
        if self._splitter is not None:
            self._look(self._splitter.feed(piece))
            return
        self._pieces.append(piece)
        self._passed += len(piece)
        if self._passed > WHOLE_BYTES:
            self._splitter = Splitter()
            for held in self._pieces:
                self._look(self._splitter.feed(held))
            self._pieces = []

    def _feed_behind(self, data: bytes) -> None:
        """Look at what follows the member, and at what follows that."""
        while data and self._behind is not None:
            self._behind.feed(data)
            data = self._behind.rest(data)
            if not data:
                return
            self._members += 1
            if self._members > _MOST_MEMBERS:
                self._odd = True
                self._pass(data)
                return
            self._behind = _Behind(self._pass)

    def _search(self, content: bytes) -> None:
        if not content or not self._matcher.prefilter.passes(content):
            return
        records = whole(content)
        if records is not None:
            self._match(self._matcher.prefilter.chosen(records, content))
            return
        self._splitter = Splitter()
        self._look(self._splitter.feed(content))

    def _look(self, events: Iterable[bytes]) -> None:
        self._match(filter(self._matcher.prefilter.passes, events))

    def _match(self, events: Iterable[bytes]) -> None:
        matcher = self._matcher
        for raw in events:
            event = read_event(raw)
            if event is None:
                self._unreadable += 1
                continue
            try:
                uses = matcher.matches(event, raw)
            except GivenUpError:
                self._given_up += 1
                continue
            if uses is not None:
                if self._found is None:
                    self._found = FoundList()
                self._found.add(Found(raw, uses), event)


class _Behind(Inflater):
    """What follows a log's member: the next member, or plain content."""

    __slots__ = ("_give",)

    def __init__(self, give: Callable[[bytes], None]) -> None:
        super().__init__(accept_plain=True)
        self._give = give

    def rest(self, data: bytes) -> bytes:
        """What in the last bytes fed is not this member's any more."""
        return (self._inflate.unused_data or data) if self._flaw is Flaw.TRAILING else b""

    def _take(self, piece: bytes) -> None:
        self._give(piece)
