"""Checks times in values that were read back from a file, which anybody may have written. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cloudtrail_validate.core.model import Interval, ObjectInfo

# A library may be asked from the epoch on; at the ends of datetime's range sums overflow.
YEARS: Final = range(1970, 9000)
LONGEST: Final = timedelta(days=366 * 50)  # of a window; CloudTrail is younger, and every format counts its hours


def times_in(value: object) -> Iterator[datetime]:
    """Yield every time in a tree of structs, tuples, lists and mappings, but for LastModified of listed objects.

    That one is whatever a local copy's files bear, and nobody reckons with it without asking whether it is plausible.
    """
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, datetime):
            yield item
        elif isinstance(item, msgspec.Struct):
            if not isinstance(item, ObjectInfo):
                stack += [getattr(item, name) for name in item.__struct_fields__]
        elif isinstance(item, (tuple, list)):
            stack += item
        elif isinstance(item, Mapping):
            stack += item.values()


def is_sound(moment: datetime) -> bool:
    """Tell whether a time is in UTC and lies in years in which no sum with the longest window overflows."""
    return moment.utcoffset() == timedelta(0) and moment.year in YEARS


def is_window(window: Interval) -> bool:
    """Tell whether two sound times are a window that a run can have had: neither empty nor longer than 50 years."""
    return timedelta(0) < window.end - window.start <= LONGEST
