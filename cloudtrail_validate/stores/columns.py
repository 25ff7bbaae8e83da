"""The objects of a listing page as text: taken apart with a dozen calls a page, made into values when asked for.

A run that finds nothing new lists all that is retained and reads none of it. There each call a line of the listing costs as
much as the rest of the run, so a page's objects stay text, and what the memory of a trail hashes is that text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter, lt
from re import Match, Pattern
from typing import Final, overload

from cloudtrail_validate.core.model import ObjectInfo

_Fields = tuple[str, str, str, str]  # of an object: key, time to the second, ETag and size
_FIELDS: Final = (r"([ !-%'-;=?-~]+)", "([0-9-]+T[0-9:]+)", r"([ !#-%'-;=?-~]*)", "([0-9]{1,15})")
"""What means the same as text and as XML: printable ASCII without markup, the ETag between its quotes. S3 knows whole
seconds only, and sizes of 14 digits."""
_FRACTION: Final = ".000Z"  # of each LastModified of S3's
_SECONDS: Final = len("2026-01-01T00:00:00")
_PUNCTUATION: Final = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":"}


class Columns(Sequence[ObjectInfo]):
    """Objects in ascending order of their keys.

    `lines` are what `line_of` makes of each; `keys` the keys alone.
    """

    __slots__ = ("_items", "keys", "lines")

    def __init__(self, items: Sequence[_Fields], keys: Sequence[str], lines: Sequence[str]) -> None:
        self._items = items
        self.keys = keys
        self.lines = lines

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[ObjectInfo]:
        return map(_info, self._items)

    @overload
    def __getitem__(self, index: int) -> ObjectInfo: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ObjectInfo]: ...

    def __getitem__(self, index: int | slice) -> ObjectInfo | Sequence[ObjectInfo]:
        if isinstance(index, slice):
            return [_info(item) for item in self._items[index]]
        return _info(self._items[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(ObjectInfo.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # equal to a list of the same

    def has_signs(self, signs: str) -> bool:
        """Tell whether one of these characters is in a key."""
        joined = "\t".join(self.keys)
        return any(sign in joined for sign in signs)

    def between(self, after: str, before: str | None) -> Columns:
        """Return the objects with `after <= key < before`."""
        start = bisect_left(self.keys, after)
        end = len(self) if before is None else bisect_left(self.keys, before, start)
        if (start, end) == (0, len(self)):
            return self
        return Columns(self._items[start:end], self.keys[start:end], self.lines[start:end])


def _info(item: _Fields) -> ObjectInfo:
    key, modified, etag, size = item
    return ObjectInfo(key, int(size), datetime.fromisoformat(modified).replace(tzinfo=UTC), etag)


def line_of(info: ObjectInfo) -> str:
    """Return the one line of text that stands for an object: key, LastModified, ETag and size, between tabs.

    Control characters, which nothing in `Columns` has, are written as Python does, so that no object passes for several.
    """
    moment = info.modified.replace(tzinfo=None).isoformat()
    return f"{_shown(info.key)}\t{moment}\t{_shown(info.etag)}\t{info.size}"


def _shown(text: str) -> str:
    return text if text.isprintable() else f"\0{text!r}"


def ascending(keys: Sequence[str]) -> bool:
    """Tell whether each key sorts behind the one before it."""
    return all(map(lt, keys, keys[1:]))


def split_row(first: Match[str], end: int) -> Columns | None:
    """Read a row of objects in a listing, of which all are written as the first one is: same elements, same order.

    `first` is that object, its groups key, LastModified, ETag and size; `end` is where the row ends in its string. None
    where the row is anything else, fractions of a second included. Raises `ValueError` for a 30th of February.
    """
    text = first.string
    if not first[2].endswith(_FRACTION):
        return None
    between = [
        text[first.start() : first.start(1)],
        text[first.end(1) : first.start(2)],
        _FRACTION + text[first.end(2) : first.start(3)],
        text[first.end(3) : first.start(4)],
        text[first.end(4) : first.end()],
    ]
    items: list[_Fields] = _pattern(*between).findall(text, first.start(), end)
    lines = list(map("\t".join, items))
    tabs = len(_FIELDS) - 1
    whole = len(items) * (sum(map(len, between)) - tabs) + sum(map(len, lines))
    if whole != end - first.start() or not _are_times(list(map(_TIME, items))):
        return None  # something lies between two of them
    return Columns(items, list(map(_KEY, items)), lines)


_KEY: Final = itemgetter(0)
_TIME: Final = itemgetter(1)


@lru_cache(maxsize=64)  # ways to write an object: one for each storage class and checksum algorithm
def _pattern(*between: str) -> Pattern[str]:
    fields = (*_FIELDS, "")
    return re.compile("".join(re.escape(tags) + field for tags, field in zip(between, fields, strict=True)))


def _are_times(times: Sequence[str]) -> bool:
    joined, count = "".join(times), len(times)
    if any(joined[place::_SECONDS] != sign * count for place, sign in _PUNCTUATION.items()):
        return False
    for _ in map(datetime.fromisoformat, times):
        pass
    return len(joined) == count * _SECONDS
