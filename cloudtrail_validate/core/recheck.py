"""Reads what `--recheck` says: what is read again although nothing about it has changed. Pure.

1/30   a thirtieth of all hours, by a hash of each: after 30 runs, each was read again
5%     the twentieth that was not read for longest: after 20 runs, each was read again
30d    what was not read for thirty days
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import RequestError

_PART: Final = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")
_PERCENT: Final = re.compile(r"([0-9]{1,3})%")
_DAYS: Final = re.compile(r"([0-9]{1,5})d")


class Recheck(msgspec.Struct, frozen=True):
    """Selects what is read again: `part` of `parts`, `percent`, or all that is older than `days`; one of them is set."""

    part: int | None = None
    parts: int | None = None
    percent: int | None = None
    days: int | None = None


def parse_recheck(text: str) -> Recheck:
    """Read `N/T`, `P%` or `Nd`. Raises `RequestError`."""
    if (match := _PART.fullmatch(text)) and 1 <= int(match[1]) <= int(match[2]):
        return Recheck(part=int(match[1]), parts=int(match[2]))
    if (match := _PERCENT.fullmatch(text)) and 1 <= int(match[1]) <= 100:
        return Recheck(percent=int(match[1]))
    if (match := _DAYS.fullmatch(text)) and int(match[1]) >= 1:
        return Recheck(days=int(match[1]))
    raise RequestError(f"--recheck: expected N/T such as 1/30, a share such as 5%, or an age such as 30d, got {text!r}")
