"""Takes fingerprints of listings: what an account-region looks like, hour by hour, at one request per 1,000 objects."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import (
    DIGEST_KIND,
    LOG_KIND,
    Folder,
    day_path,
    folder_day,
    log_minute,
    parse_digest_key,
)
from cloudtrail_validate.core.model import Cause, Interval, ObjectInfo
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.log_folder import list_odd
from cloudtrail_validate.engine.outside import is_marker
from cloudtrail_validate.engine.stages import Place
from cloudtrail_validate.state.model import hour_of
from cloudtrail_validate.stores.columns import Columns, line_of
from cloudtrail_validate.stores.protocol import Lister

MOST_KINDS: Final = 16  # CloudTrail writes five; each costs a request an account-region and run
_HOUR_STAMP: Final = re.compile("_([0-9]{8}T[0-9]{2})")
_DIGEST_END: Final = "_20260101T000000Z.json.gz"
_ANY_FOLDER: Final = Folder("", "AWSLogs/", "000000000000", "any-region-1")
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


class HourListing(msgspec.Struct, frozen=True):
    """What lies in one hour: its fingerprint, and the numbers of digests and of other files."""

    fingerprint: bytes
    digests: int
    logs: int


NOTHING: Final = HourListing(hashlib.sha256(b"").digest(), 0, 0)


async def list_kinds(store: Lister, region: AccountRegion) -> frozenset[str]:
    """The kinds of CloudTrail's files in an account: digests, logs and, where there are any, Insights and others.

    Raises `StoreError`, also where somebody has made more of them than there can be.
    """
    kinds = {DIGEST_KIND, LOG_KIND}
    for folder in region.folders:
        try:
            found = await store.children(folder.bucket, f"{folder.base}{folder.account}/")
        except AbsentError:
            continue
        kinds |= {name for name in found.folders if name.startswith(LOG_KIND)}
    if len(kinds) > MOST_KINDS:
        raise StoreError(Cause.NETWORK, f"{len(kinds)} folders beside that of the logs")
    return frozenset(kinds)


async def list_hours(
    store: Lister, region: AccountRegion, kinds: Iterable[str], days: Interval, now: datetime
) -> dict[int, HourListing]:
    """Take the fingerprint of each hour of `days` in which anything lies. Raises `StoreError`.

    A digest belongs to the hour that its stamp ends, a log to that of the minute in its name, and what has neither to the
    first hour of its folder's day: wherever in a trail's folders something changes, some hour changes.
    """
    lines: dict[int, list[str]] = {}
    digests: dict[int, int] = {}
    async for place, page in _pages(store, region, kinds, days, now):
        for first, end, told in _digest_hours(page, place) if place.kind == DIGEST_KIND else _log_hours(page, place):
            hour = told
            if hour is None:
                if is_marker(page[first]):
                    continue
                day = folder_day(page[first].key, place.path)
                hour = hour_of(day.start if day else days.start)
            elif place.kind == DIGEST_KIND:
                digests[hour] = digests.get(hour, 0) + 1
            lines.setdefault(hour, []).extend(_lines(page, first, end))
    return {hour: _taken(held, digests.get(hour, 0)) for hour, held in lines.items()}


def _log_hours(page: Sequence[ObjectInfo], place: Place) -> Iterator[tuple[int, int, int | None]]:
    """Divide a page into runs of objects, from and up to, of one hour each; an object whose name tells none by itself.

    Names ascend, so all that lies between two that are the same up to the hour is the same up to there, and of that hour.
    """
    keys, beyond, first = _keys(page), len(place.path), 0
    while first < len(keys):
        found, end = _HOUR_STAMP.search(keys[first], beyond), first + 1
        hour = _hour_of_stamp(found[1]) if found else None
        if found is not None and hour is not None:
            shared = keys[first][: found.end()]
            end = bisect_left(keys, shared[:-1] + chr(ord(shared[-1]) + 1), end)
        yield first, end, hour
        first = end


def _digest_hours(page: Sequence[ObjectInfo], place: Place) -> Iterator[tuple[int, int, int | None]]:
    """The hour that each digest of a page ends; None of what bears no digest's name."""
    for number, key in enumerate(_keys(page)):
        name = key.rpartition("/")[2]
        head, end = name[: -len(_DIGEST_END)], name[-len(_DIGEST_END) :]
        hour = _hour_ended(end) if end.startswith("_") and _begins_digest(place.folder, head) else None
        if hour is None and (other := parse_digest_key(place.folder, key)) is not None:
            hour = hour_of(other.end - _SECOND)
        yield number, number + 1, hour


@lru_cache(maxsize=1 << 12)  # chains
def _begins_digest(folder: Folder, text: str) -> bool:
    """Whether text, with the time of a digest behind it, is a digest's name: all that differs within a chain is that."""
    return parse_digest_key(folder, f"{text}{_DIGEST_END}") is not None


@lru_cache(maxsize=1 << 17)  # hours: fifteen years, the same in all account-regions
def _hour_ended(end: str) -> int | None:
    name = parse_digest_key(_ANY_FOLDER, f"000000000000_CloudTrail-Digest_any-region-1_any-trail_any-region-1{end}")
    return hour_of(name.end - _SECOND) if name else None


def _keys(page: Sequence[ObjectInfo]) -> Sequence[str]:
    return page.keys if isinstance(page, Columns) else [info.key for info in page]


def _lines(page: Sequence[ObjectInfo], first: int, end: int) -> Iterable[str]:
    return page.lines[first:end] if isinstance(page, Columns) else map(line_of, page[first:end])


@lru_cache(maxsize=1 << 17)  # hours: fifteen years, the same in all account-regions
def _hour_of_stamp(stamp: str) -> int | None:
    minute = log_minute(f"000000000000_CloudTrail_any-region-1_{stamp}00Z_x.json.gz")
    return hour_of(minute) if minute is not None else None


async def _pages(
    store: Lister, region: AccountRegion, kinds: Iterable[str], days: Interval, now: datetime
) -> AsyncIterator[tuple[Place, Sequence[ObjectInfo]]]:
    """Everything below the folders of an account-region, as far as it is of these days or of no day at all."""
    for folder in region.folders:
        for kind in sorted(kinds):
            place = Place(folder, kind)
            first, last = day_path(days.start), day_path(days.end + _DAY)
            pages = store.scan(folder.bucket, place.path, after=place.path + first, before=place.path + last)
            for listing in (pages, list_odd(store, place, days, now)):
                try:
                    async for page in listing:
                        yield place, page
                except AbsentError:
                    continue


def _taken(lines: Sequence[str], digests: int) -> HourListing:
    data = "\n".join(sorted(lines)).encode()
    return HourListing(hashlib.sha256(data).digest(), digests, len(lines) - digests)


def hours_in(span: Iterable[Interval]) -> list[int]:
    """The whole hours that lie in some intervals."""
    out: list[int] = []
    for interval in span:
        first = hour_of(interval.start + timedelta(hours=1) - timedelta(microseconds=1))
        out += range(first, hour_of(interval.end))
    return out
