"""The values everything else is made of.

Times are timezone-aware `datetime` in UTC; intervals are half-open, `[start, end)`. Sizes are bytes. Nothing here does
I/O, reads a clock or raises on content that came from a bucket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Status(StrEnum):
    """Names what a finding says about its object or its hours (CONTRACT: report schema, `findings[].status`)."""

    ALTERED = "altered"
    MISSING = "missing"
    EXTRA = "extra"
    UNVERIFIABLE = "unverifiable"
    UNCOVERED = "uncovered"
    NOTICE = "notice"


class Cause(StrEnum):
    """Names the reasons for which an object that is there cannot be read."""

    ACCESS_DENIED = "access-denied"
    KMS_DENIED = "kms-denied"
    ARCHIVED = "archived"
    THROTTLED = "throttled"
    NETWORK = "network"


PASSING = frozenset({Cause.NETWORK, Cause.THROTTLED})
"""Causes that pass, and that nobody brings about by editing a bucket."""


class Kind(StrEnum):
    """The two sorts of digest chain. Backfill digests (since February 2026) form a chain of their own."""

    STANDARD = "standard"
    BACKFILL = "backfill"


class Interval(NamedTuple):
    """Half-open span of time, `start <= t < end`, UTC."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> int:
        """Return the length in whole seconds; 0 for an interval that is empty or runs backwards."""
        return max(0, int((self.end - self.start).total_seconds()))

    def overlaps(self, other: Interval) -> bool:
        """Tell whether the two share at least one instant."""
        return self.start < other.end and other.start < self.end

    def contains(self, moment: datetime) -> bool:
        """Tell whether `start <= moment < end`."""
        return self.start <= moment < self.end

    def within(self, other: Interval) -> Interval:
        """Return the part of this interval that lies in `other`; empty (`start == end`) where there is none."""
        start = min(max(self.start, other.start), other.end)
        return Interval(start, max(start, min(self.end, other.end)))


class Locator(NamedTuple):
    """Locates an S3 object. The bucket is empty for a file of a local copy, whose bucket nobody knows."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key


class ObjectInfo(msgspec.Struct, frozen=True, gc=False):
    """One line of a listing: key, size in bytes, time of the last write, ETag without its quotes (empty: none was given)."""

    key: str
    size: int
    modified: datetime
    etag: str = ""


class ChainId(msgspec.Struct, frozen=True, order=True):
    """Identifies the chain that a digest belongs to, by the parts of its key.

    `trail` and `home_region` are empty strings for an object in a digest folder whose name is no digest name.
    """

    account: str
    region: str
    trail: str
    home_region: str
    organization_id: str | None
    kind: Kind

    def sort_key(self) -> tuple[str, str, str, str, str, str]:
        """Return the chain's place in reports: a total order (an organization id may be None)."""
        return (
            self.organization_id or "",
            self.account,
            self.region,
            self.trail,
            self.home_region,
            self.kind.value,
        )


class Finding(msgspec.Struct, frozen=True):
    """One fact about one object or one span of hours.

    Data only: the sentence is written by `report.sentences`. `cause` is set for unreadable objects, `expected` and
    `actual` wherever two values were compared, `detail` for the one thing a reader needs that no other field holds.
    """

    rule: str
    status: Status
    account: str | None = None
    region: str | None = None
    trail: str | None = None
    where: Locator | None = None
    interval: Interval | None = None
    cause: Cause | None = None
    expected: str | None = None
    actual: str | None = None
    detail: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """Counts objects of one sort by outcome. The five numbers add up to the objects looked at."""

    valid: int = 0
    altered: int = 0
    missing: int = 0
    extra: int = 0
    unverifiable: int = 0

    @classmethod
    def of(cls, statuses: Iterable[Status | None]) -> Counts:
        """Count objects by status; None and notices count as valid."""
        numbers = Counter("valid" if status in (None, Status.NOTICE) else str(status) for status in statuses)
        return cls(**numbers)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.valid + other.valid,
            self.altered + other.altered,
            self.missing + other.missing,
            self.extra + other.extra,
            self.unverifiable + other.unverifiable,
        )

    @property
    def total(self) -> int:
        """Return the number of all objects counted."""
        return self.valid + self.altered + self.missing + self.extra + self.unverifiable


class Gap(msgspec.Struct, frozen=True):
    """Hours of the window that no proven digest of a chain covers."""

    rule: str
    interval: Interval
    undigested_logs: int = 0


class ChainReport(msgspec.Struct, frozen=True):
    """Holds the report's record of one chain.

    `unchanged` are hours that an earlier run proved and whose listing has not changed since; they are covered, and their
    objects are counted apart from those that were read now. `unfinished` is true where the run ended before the chain did.
    """

    chain: ChainId
    digests: Counts = Counts()
    logs: Counts = Counts()
    covered: tuple[Interval, ...] = ()
    gaps: tuple[Gap, ...] = ()
    unchanged: tuple[Interval, ...] = ()
    unchanged_digests: int = 0
    unchanged_logs: int = 0
    unfinished: bool = False


def utc(moment: datetime) -> datetime:
    """Return the same instant in UTC; a naive time is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def isoformat(moment: datetime) -> str:
    """Write a time as `2026-01-01T00:00:00Z`, the one way times are written (CONTRACT: T)."""
    return utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
