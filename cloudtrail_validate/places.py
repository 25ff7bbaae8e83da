"""Match the logs that digests name with the logs that are listed, hour by hour backwards, in bounded memory.

A log folder is listed in ranges that follow the digest walk, newest first. What a digest names and its range lists becomes
a job at once; what a range lists and nobody names stays unclaimed; what is named and not listed waits for the next older
range (a name's minute may lie in the neighbouring hour) and is then read without having been listed, since only a read
can tell a missing object from a listing that lied.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloudtrail_validate.coverage import NAME_SLACK
from cloudtrail_validate.layout import Folder, day_path, log_bound
from cloudtrail_validate.logs import Job
from cloudtrail_validate.model import ChainReport, Interval, Locator
from cloudtrail_validate.stores import AbsentError, ObjectInfo, Store, StoreError

MANY_A_DAY: Final = (
    10_000  # logs; below, whole days are listed (10 requests at most); above, the window's edges exactly
)
_YEAR: Final = re.compile(r"[0-9]{4}")
_TWO: Final = re.compile(r"[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A log as a proven digest names it. `chain` is None where it is not to be read, only known to be referenced."""

    where: Locator
    sha256: str
    chain: ChainReport | None
    ended: datetime

    def jobs(self, info: ObjectInfo | None) -> list[Job]:
        """The work of checking it, if there is any."""
        if self.chain is None:
            return []
        size, modified = (info.size, info.modified) if info else (None, None)
        return [Job(self.where, self.sha256, self.chain, self.ended, size, modified)]


def is_marker(info: ObjectInfo) -> bool:
    """A zero-byte object that stands for a folder (CreateTrail and UpdateTrail leave them): no log file."""
    return info.size == 0 and (info.key.endswith("/") or "." not in info.key.rpartition("/")[2])


class LogPlace:
    """One folder of log files of one kind."""

    def __init__(self, store: Store, folder: Folder, kind: str, window: Interval, *, crowded: bool) -> None:
        self.folder = folder
        self.kind = kind
        self.path = folder.path(kind)
        self.unclaimed: dict[str, ObjectInfo] = {}
        self.failure: StoreError | None = None
        self._store = store
        self._window = window
        self._crowded = crowded
        self._waiting: dict[str, Reference] = {}
        self._recent: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self._high = self._top()

    async def advance(self, since: datetime | None, references: Iterable[Reference]) -> AsyncIterator[Sequence[Job]]:
        """List down to `since` (None: to the beginning of the window) and yield the logs to read as they are found."""
        yield self._claim(references)
        low = (
            self._bottom() if since is None else min(self._high, log_bound(self.folder, self.kind, since - NAME_SLACK))
        )
        for after, before in self._ranges(low, last=since is None):
            if self.failure is not None:
                break
            try:
                async for page in self._store.scan(self.folder.bucket, self.path, after=after, before=before):
                    yield self._match(page)
            except AbsentError:
                break
            except StoreError as error:
                self.failure = error
        self._high = low
        passed = [key for key in self._waiting if since is None or self.failure is not None or key >= low]
        yield [job for key in passed for job in self._waiting.pop(key).jobs(None)]

    async def oddities(self) -> None:
        """Take up what lies outside the date folders: such a file is in no range, and has no business there."""
        try:
            await self._odd_level(self.path, (_YEAR, _TWO, _TWO))
        except AbsentError:
            return
        except StoreError as error:
            self.failure = error

    def claim(self, keys: Iterable[str]) -> None:
        """Drop keys that a digest read later references."""
        for key in keys:
            self.unclaimed.pop(key, None)

    def _claim(self, references: Iterable[Reference]) -> list[Job]:
        """Turn references into jobs where the log was listed already; a log named twice is read once."""
        jobs: list[Job] = []
        older, newer = self._recent[1], dict[str, str]()
        self._recent = (older, newer)
        for reference in references:
            key = reference.where.key
            waiting = self._waiting.get(key)
            if reference.sha256 in (older.get(key), newer.get(key), waiting.sha256 if waiting else None):
                continue
            newer[key] = reference.sha256
            info = self.unclaimed.pop(key, None)
            if info is not None:
                jobs += reference.jobs(info)
            elif waiting is None:
                self._waiting[key] = reference
            else:
                jobs += reference.jobs(None)
        return jobs

    def _match(self, page: Sequence[ObjectInfo]) -> list[Job]:
        jobs: list[Job] = []
        for info in page:
            reference = self._waiting.pop(info.key, None)
            if reference is not None:
                jobs += reference.jobs(info)
            elif not is_marker(info) and info.key not in self._recent[0] and info.key not in self._recent[1]:
                self.unclaimed[info.key] = info
        return jobs

    def _top(self) -> str:
        end = self._window.end + NAME_SLACK
        return log_bound(self.folder, self.kind, end) if self._crowded else f"{self.path}{day_path(end)}0"

    def _bottom(self) -> str:
        start = self._window.start - NAME_SLACK
        return log_bound(self.folder, self.kind, start) if self._crowded else f"{self.path}{day_path(start)}/"

    def _ranges(self, low: str, *, last: bool) -> list[tuple[str, str]]:
        """The next range, and with the last one what lies beside the log names in the days at the window's edges."""
        ranges = [(low, self._high)] if low < self._high else []
        if last and self._crowded:
            start, end = self._window.start - NAME_SLACK, self._window.end + NAME_SLACK
            first_day, last_day = (f"{self.path}{day_path(moment)}" for moment in (start, end))
            after_names = log_bound(self.folder, self.kind, end)[: -len("T0000")] + "U"
            before_names = log_bound(self.folder, self.kind, start)[: -len("T0000")]
            ranges += [(f"{first_day}/", before_names), (after_names, f"{last_day}0")]
        return ranges

    async def _odd_level(self, path: str, names: tuple[re.Pattern[str], ...]) -> None:
        level = await self._store.children(self.folder.bucket, path)
        if names:
            for info in level.objects:
                if not is_marker(info):
                    self.unclaimed.setdefault(info.key, info)
        for name in level.folders:
            below = f"{path}{name}/"
            if not names or names[0].fullmatch(name) is None:
                await self._take_all(below)
            elif len(names) > 1 and self._may_hold(below):
                await self._odd_level(below, names[1:])

    def _may_hold(self, path: str) -> bool:
        """Whether a year's or month's folder lies in the window's time."""
        stamp = path[len(self.path) :].strip("/")
        start, end = self._window.start - timedelta(days=1), self._window.end + timedelta(days=1)
        return day_path(start)[: len(stamp)] <= stamp <= day_path(end)[: len(stamp)]

    async def _take_all(self, path: str) -> None:
        async for page in self._store.scan(self.folder.bucket, path):
            for info in page:
                if not is_marker(info):
                    self.unclaimed.setdefault(info.key, info)
