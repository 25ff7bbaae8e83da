"""Lists what lies below a region's folder and in no folder of a date: nothing of it was delivered by CloudTrail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cloudtrail_validate.core.layout import day_path, deliverable
from cloudtrail_validate.core.model import Interval, ObjectInfo
from cloudtrail_validate.stores.protocol import Lister

_DAY: Final = timedelta(days=1)
_STAMP: Final = re.compile(r"[0-9]{4}/(?:[0-9]{2}/){0,2}")


def is_marker(info: ObjectInfo) -> bool:
    """Tell a zero-byte object that stands for a folder (CreateTrail and UpdateTrail leave them) from a file."""
    return info.size == 0 and (info.key.endswith("/") or "." not in info.key.rpartition("/")[2])


async def list_outside(
    store: Lister, bucket: str, path: str, window: Interval, now: datetime
) -> AsyncIterator[Sequence[ObjectInfo]]:
    """Yield what lies below `path` outside of the date folders: such a file is in no range, and has no business there.

    Folders that are no years since 2013, no months or no days, or lie in the future, are taken whole; of the others, only
    those that may hold days of the window are looked into. Raises as the store does.
    """
    levels = [(path, 0)]
    while levels:
        found = await asyncio.gather(*(store.children(bucket, inner) for inner, _ in levels))
        below: list[tuple[str, int]] = []
        for (outer, depth), level in zip(levels, found, strict=True):
            if level.objects:
                yield level.objects
            for name in level.folders:  # one after the other: whoever plants folders decides how many there are
                inner = f"{outer}{name}/"
                if not _is_date(inner[len(path) :], now):
                    async for page in store.scan(bucket, inner):
                        yield page
                elif depth < 2 and _may_hold(inner[len(path) : -1], window):
                    below.append((inner, depth + 1))
        levels = below


def _is_date(stamp: str, now: datetime) -> bool:
    """Tell whether `YYYY/`, `YYYY/MM/` or `YYYY/MM/DD/` is a time that CloudTrail can have written to: none to come.

    An empty segment (`2026//`) is no date, nor are digits of other scripts, signs and blanks, all of which `int` takes.
    """
    if _STAMP.fullmatch(stamp) is None:
        return False
    year, month, day = (*stamp.removesuffix("/").split("/"), "01", "01")[:3]
    try:
        return deliverable(datetime(int(year), int(month), int(day), tzinfo=UTC), now)
    except ValueError:
        return False


def _may_hold(stamp: str, window: Interval) -> bool:
    """Tell whether a year's or month's folder may hold days of the window."""
    start, end = day_path(window.start - _DAY), day_path(window.end + _DAY)
    return start[: len(stamp)] <= stamp <= end[: len(stamp)]
