"""Reads `--shard I/N`, and deals account-regions out to shards. Pure.

S3 limits requests by key prefix, so the account-regions of one account go to different shards: in order of region, then of
account, one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import RequestError

MOST_SHARDS: Final = 10_000  # children of one AWS Batch array job
_SHARD: Final = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
Place = tuple[str, str, str]
"""Organization id (empty where there is none), account, region."""


class Shard(msgspec.Struct, frozen=True):
    """One of `total` parts of a run, counted from 1."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def parse_shard(text: str) -> Shard:
    """Read `I/N`. Raises `RequestError`."""
    match = _SHARD.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST_SHARDS:
        raise RequestError(f"--shard: expected I/N with 1 <= I <= N <= {MOST_SHARDS:,}, got {text!r}")
    return Shard(int(match[1]), int(match[2]))


def check_total(total: int) -> int:
    """Check a number of shards. Raises `RequestError`."""
    if not 1 <= total <= MOST_SHARDS:
        raise RequestError(f"--shards: expected 1 to {MOST_SHARDS:,}, got {total}")
    return total


def deal(places: Iterable[Place], total: int) -> dict[Place, int]:
    """Return the shard, from 1, of each account-region."""
    ordered = sorted(places, key=lambda place: (place[2], place[1], place[0]))
    return {place: index % total + 1 for index, place in enumerate(ordered)}
