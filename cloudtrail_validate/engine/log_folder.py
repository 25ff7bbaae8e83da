"""Match the logs that digests name with the logs that are listed, in order of time and in bounded memory.

A log folder is listed once, forwards, beside the digests: what a digest names and the listing shows becomes a job at once;
what is listed and nobody names (yet) stays unclaimed; what is named and was passed over by the listing is read all the
same, since only a read can tell a missing object from a listing that lied.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.coverage import NAME_SLACK
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import Folder, day_path, log_bound
from cloudtrail_validate.core.model import ChainReport, Interval, Locator, ObjectInfo
from cloudtrail_validate.engine.log_checker import Job
from cloudtrail_validate.stores.protocol import Lister

MANY_A_DAY: Final = (
    10_000  # logs; below, whole days are listed (10 requests at most); above, the window's edges exactly
)
_YEAR: Final = re.compile(r"[0-9]{4}")
_TWO: Final = re.compile(r"[0-9]{2}")


class Reference(msgspec.Struct, frozen=True):
    """A log as a proven digest names it. `chain` is None where it is not to be read, only known to be referenced."""

    where: Locator
    sha256: str
    chain: ChainReport | None
    ended: datetime

    def jobs(self, info: ObjectInfo | None) -> list[Job]:
        """The work of checking it, if there is any."""
        if self.chain is None:
            return []
        size, modified, etag = (info.size, info.modified, info.etag) if info else (None, None, "")
        return [Job(self.where, self.sha256, self.chain, self.ended, size, modified, etag)]


def is_marker(info: ObjectInfo) -> bool:
    """A zero-byte object that stands for a folder (CreateTrail and UpdateTrail leave them): no log file."""
    return info.size == 0 and (info.key.endswith("/") or "." not in info.key.rpartition("/")[2])


class LogFolder:
    """One folder of log files of one kind."""

    def __init__(self, store: Lister, folder: Folder, kind: str, window: Interval, *, crowded: bool) -> None:
        self.folder = folder
        self.kind = kind
        self.path = folder.path(kind)
        self.unclaimed: dict[str, ObjectInfo] = {}
        self.failure: StoreError | None = None
        self._store = store
        self._window = window
        self._crowded = crowded
        self._waiting: dict[str, Reference] = {}
        # Named by this batch and the last: a key listed a second time is `KEY/`, which obstore lists as KEY.
        self._recent: tuple[set[str], set[str]] = (set(), set())
        self._pages = self._list()
        self._ahead: asyncio.Task[Sequence[ObjectInfo] | None] | None = None
        self._passed = ""

    def begin(self) -> None:
        """Ask for the next page, which `advance` will want."""
        self._ahead = asyncio.create_task(self._page())

    async def close(self) -> None:
        """Stop listing."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def advance(self, until: datetime | None, references: Iterable[Reference]) -> AsyncIterator[Sequence[Job]]:
        """Take references in and list up to `until` (None: to the end), yielding the logs to read as they are found."""
        yield self._claim(references)
        bound = None if until is None else log_bound(self.folder, self.kind, until + NAME_SLACK)
        while bound is None or self._passed < bound:
            page = await (self._ahead or self._page())
            self._ahead = None
            if page is None:
                bound = None
                break
            self.begin()
            if page:
                self._passed = max(self._passed, page[-1].key)
            yield self._match(page)
        passed = [key for key in self._waiting if bound is None or key <= self._passed]
        yield [job for key in passed for job in self._waiting.pop(key).jobs(None)]

    async def oddities(self) -> None:
        """Take up what lies outside the date folders: such a file is in no range, and has no business there."""
        try:
            await self._odd_level(self.path, (_YEAR, _TWO, _TWO))
        except AbsentError:
            return
        except StoreError as error:
            self.failure = error

    def _claim(self, references: Iterable[Reference]) -> list[Job]:
        """Turn references into jobs where the log was listed already."""
        jobs: list[Job] = []
        named: set[str] = set()
        self._recent = (self._recent[1], named)
        for reference in references:
            key = reference.where.key
            named.add(key)
            info = self.unclaimed.pop(key, None)
            if info is not None:
                jobs += reference.jobs(info)
            elif key not in self._waiting:
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
            elif info.key in self.unclaimed or info.key in self._recent[0] or info.key in self._recent[1]:
                if info.size:
                    self.unclaimed[f"{info.key}/"] = replace(info, key=f"{info.key}/")
            elif not is_marker(info):
                self.unclaimed[info.key] = info
        return jobs

    async def _page(self) -> Sequence[ObjectInfo] | None:
        return await anext(self._pages, None)

    async def _list(self) -> AsyncIterator[Sequence[ObjectInfo]]:
        """The pages of the window, in order. A listing that fails ends, and is noted."""
        for after, before in self._ranges():
            try:
                async for page in self._store.scan(self.folder.bucket, self.path, after=after, before=before):
                    yield page
            except AbsentError:
                return
            except StoreError as error:
                self.failure = error
                return

    def _ranges(self) -> list[tuple[str, str]]:
        """Key ranges to list: the days of the window; in a crowded folder only its minutes, and what lies beside names."""
        start, end = self._window.start - NAME_SLACK, self._window.end + NAME_SLACK
        first, last = (f"{self.path}{day_path(moment)}" for moment in (start, end))
        if not self._crowded:
            return [(f"{first}/", f"{last}0")]
        low, high = (log_bound(self.folder, self.kind, moment) for moment in (start, end))
        return [(f"{first}/", low[: -len("T0000")]), (low, high), (high[: -len("T0000")] + "U", f"{last}0")]

    async def _odd_level(self, path: str, names: tuple[re.Pattern[str], ...]) -> None:
        level = await self._store.children(self.folder.bucket, path)
        if names:
            for info in level.objects:
                if not is_marker(info):
                    self.unclaimed.setdefault(info.key, info)
        regular = [name for name in level.folders if names and names[0].fullmatch(name)]
        below = [f"{path}{name}/" for name in regular if len(names) > 1]
        await asyncio.gather(*(self._odd_level(inner, names[1:]) for inner in below if self._may_hold(inner)))
        for name in level.folders:  # one after the other: whoever plants folders decides how many there are
            if name not in regular:
                await self._take_all(f"{path}{name}/")

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
