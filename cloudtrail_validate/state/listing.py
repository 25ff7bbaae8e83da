"""Takes fingerprints of listings: what an account-region looks like, hour by hour, at one request per 1,000 objects."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import DIGEST_KIND, LOG_KIND, day_path, folder_day, log_minute, parse_digest_key
from cloudtrail_validate.core.model import Cause, Interval, ObjectInfo
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.log_folder import list_odd
from cloudtrail_validate.engine.outside import is_marker
from cloudtrail_validate.engine.stages import Place
from cloudtrail_validate.state.model import hour_of
from cloudtrail_validate.stores.protocol import Lister

MOST_KINDS: Final = 16  # CloudTrail writes five; each costs a request an account-region and run
_STAMP: Final = len("20260101T0000Z")
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
    async for path, page in _pages(store, region, kinds, days, now):
        for info in page:
            hour = hour_in(info.key)
            if hour is None:
                if is_marker(info):
                    continue
                hour, is_digest = _hour(region, path, info, days)
                if is_digest:
                    digests[hour] = digests.get(hour, 0) + 1
            held = lines.get(hour)
            if held is None:
                held = lines[hour] = []
            held.append(_line(info))
    return {hour: _taken(held, digests.get(hour, 0)) for hour, held in lines.items()}


def hour_in(key: str) -> int | None:
    """Hours since 1970 of the hour in a log's name; None where it does not end as one: `_YYYYMMDDTHHmmZ_UNIQUE.json.gz`.

    Nearly all that is listed are logs, and parsing each name would double the time.
    """
    parts = key.rsplit("_", 2)
    return _hour_of_stamp(parts[1]) if len(parts) == 3 and len(parts[1]) == _STAMP else None


@lru_cache(maxsize=1 << 17)  # minutes: three months, the same in all account-regions
def _hour_of_stamp(stamp: str) -> int | None:
    minute = log_minute(f"000000000000_CloudTrail_any-region-1_{stamp}_x.json.gz")
    return hour_of(minute) if minute is not None else None


async def _pages(
    store: Lister, region: AccountRegion, kinds: Iterable[str], days: Interval, now: datetime
) -> AsyncIterator[tuple[str, Sequence[ObjectInfo]]]:
    """Everything below the folders of an account-region, as far as it is of these days or of no day at all."""
    for folder in region.folders:
        for kind in sorted(kinds):
            place = Place(folder, kind)
            first, last = day_path(days.start), day_path(days.end + _DAY)
            pages = store.scan(folder.bucket, place.path, after=place.path + first, before=place.path + last)
            for listing in (pages, list_odd(store, place, days, now)):
                try:
                    async for page in listing:
                        yield place.path, page
                except AbsentError:
                    continue


def _hour(region: AccountRegion, path: str, info: ObjectInfo, days: Interval) -> tuple[int, bool]:
    """The hour that what bears no log's name belongs to, and whether it is a digest."""
    name = parse_digest_key(region.folders[0], info.key)
    if name is not None:
        return hour_of(name.end - _SECOND), True
    day = folder_day(info.key, path)
    return hour_of(day.start if day else days.start), False


def _line(info: ObjectInfo) -> str:
    """One object of a fingerprint. The length keeps a key with line feeds in it from passing for several objects."""
    return f"{len(info.key)}\t{info.key}\t{info.etag}\t{info.size}\t{info.modified.isoformat()}"


def _taken(lines: Sequence[str], digests: int) -> HourListing:
    data = "\n".join(sorted(lines)).encode("utf-8", "surrogateescape")
    return HourListing(hashlib.sha256(data).digest(), digests, len(lines) - digests)


def hours_in(span: Iterable[Interval]) -> list[int]:
    """The whole hours that lie in some intervals."""
    out: list[int] = []
    for interval in span:
        first = hour_of(interval.start + timedelta(hours=1) - timedelta(microseconds=1))
        out += range(first, hour_of(interval.end))
    return out
