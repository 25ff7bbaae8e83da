"""What lies in the log folders and no digest names: which of it is extra, which is waiting, which nobody can vouch for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, Judgement, Link
from cloudtrail_validate.core.coverage import (
    TAIL,
    Placed,
    Span,
    Zones,
    covers,
    difference,
    judge_unreferenced,
    place,
    union,
)
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import DIGEST_KIND, Folder, folder_day, log_minute
from cloudtrail_validate.core.model import HOUR, ChainId, Finding, Interval, Kind, Locator, ObjectInfo
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.listing import list_digests
from cloudtrail_validate.engine.log_folder import LogFolder
from cloudtrail_validate.engine.prove import DigestProver
from cloudtrail_validate.stores.protocol import Store

BACKFILL_REACH: Final = timedelta(days=35)  # CloudTrail retries a misconfigured bucket for up to 30 days
_BESIDE: Final = 2 * HOUR  # digests next to the window may name logs that were delivered on its edge


class Leftovers:
    """The unreferenced files of one site. `find`, then `judge`.

    `failures` are folders that could not be listed, each with the rule that says so; `unheard` the findings about digests
    that could not be read for a passing reason, and might have named what is left.
    """

    def __init__(
        self,
        store: Store,
        window: Interval,
        now: datetime,
        folders: Sequence[Folder],
        places: Iterable[LogFolder],
        strays: Sequence[ObjectInfo],
        *,
        unheard: Iterable[Finding],
    ) -> None:
        self._store = store
        self._window = window
        self._now = now
        self._places = tuple(places)
        self._folders = tuple(dict.fromkeys([*folders, *(known.folder for known in self._places)]))
        self._strays = strays
        self.failures: list[tuple[str, Locator, StoreError]] = []
        self.unheard = list(unheard)

    async def find(self, late: DigestProver, reader: DigestReader) -> dict[Locator, Placed]:
        """Log files of the window that no digest names, each with its possible times.

        `late` is an unused walk: digests outside the window are read through it only if there is something left to name.
        `reader` reads the references again that it could not keep.
        """
        await asyncio.gather(*(known.oddities() for known in self._places))
        for known in self._places:
            if known.failure is not None:
                self.failures.append((rules.LOG_UNREADABLE, Locator(known.folder.bucket, known.path), known.failure))
        left = self._unclaimed()
        if left:
            await self._read_outside(late, left)
            for named in late.named:
                for log in await reader.named_by(named):
                    left.pop(log.where if self._folders[0].bucket else Locator("", log.s3_object), None)
        return await self._as_named(left)

    def judge(
        self,
        left: Mapping[Locator, Placed],
        links: Mapping[ChainId, Sequence[Link]],
        standard: Mapping[ChainId, Judgement],
        *,
        excused: bool,
    ) -> Iterator[tuple[Locator, str]]:
        """The rule for each file, in order of place. What has a log's name may be in a digest that was not heard."""
        zones = _zones(links, standard, self._now)
        deaf = bool(self.unheard) or any(rule == rules.DIGEST_UNREADABLE for rule, _, _ in self.failures)
        for where, placed in sorted(left.items()):
            named = log_minute(where.key) is not None
            pardoned = excused or (deaf and named)
            yield where, judge_unreferenced(placed.clipped(self._window), zones, named=named, excused=pardoned)

    def _unclaimed(self) -> dict[Locator, Placed]:
        out: dict[Locator, Placed] = {}
        for known in self._places:
            for info in known.unclaimed.values():
                self._place(out, known.folder.bucket, info, known.path)
        for info in self._strays:
            self._place(out, self._folders[0].bucket, info, None)
        return out

    def _place(self, out: dict[Locator, Placed], bucket: str, info: ObjectInfo, path: str | None) -> None:
        """Take a file in if it may belong to the window: one that nothing places in time may belong to any."""
        modified = info.modified if self._store.dated else None
        placed = place(log_minute(info.key), modified, folder_day(info.key, path))
        if not placed.spans:
            placed = Placed((), (self._window,))
        if placed.belongs(self._window):
            out[Locator(bucket, info.key)] = placed

    async def _read_outside(self, late: DigestProver, left: Mapping[Locator, Placed]) -> None:
        """Later backfill digests, those next to the window and to when a file was written, of any trail in the folders.

        Before there were backfill digests a late log was named by the digest of the hour in which it came.
        """
        around = Interval(self._window.start - _BESIDE, self._window.end + BACKFILL_REACH)
        near = [Interval(around.start, self._window.end + _BESIDE)]
        near += {Interval(when, when + _BESIDE) for when in (placed.written for placed in left.values()) if when}
        hours = union(near) if self._store.dated else (around,)
        for folder in self._folders:
            try:
                listing = await list_digests(self._store, folder, around)
            except AbsentError:
                continue
            except StoreError as error:
                where = Locator(folder.bucket, folder.path(DIGEST_KIND))
                self.failures.append((rules.DIGEST_UNREADABLE, where, error))
                continue
            for chain, entries in listing.chains.items():
                wanted = (around,) if chain.kind is Kind.BACKFILL else hours
                late.add([entry for entry in entries if covers(wanted, Interval(entry.end, entry.end))], quiet=True)
        await late.run()
        self.unheard += late.unheard

    async def _as_named(self, left: dict[Locator, Placed]) -> dict[Locator, Placed]:
        """The same under their exact keys: a fast listing drops slashes at a key's end."""
        out: dict[Locator, Placed] = {}
        for where, placed in left.items():
            if log_minute(where.key) is None and self._store.dated:
                exact = await self._exact(where)
                if exact is not None:
                    out[exact] = placed
            else:
                out[where] = placed
        return out

    async def _exact(self, where: Locator) -> Locator | None:
        """The object's own key, or None for a zero-byte marker."""
        try:
            if await self._store.exact(*where) is not None:
                return where
            info = await self._store.exact(where.bucket, where.key + "/")
        except StoreError:
            return where
        if info is None:
            return where
        return Locator(where.bucket, info.key) if info.size else None


def _zones(links: Mapping[ChainId, Sequence[Link]], standard: Mapping[ChainId, Judgement], now: datetime) -> Zones:
    """Hours in which every log must be named: proven, and no chain of the folder has lost its digest of them.

    Nor is one still to come: where trails share a folder, a log waits for the digest of whichever is the last.
    Only a chain of which something is proven can have lost anything, and only hours that it does not prove otherwise: an
    object planted under a digest's name, readable or not, excuses nothing.
    """
    proven = {chain: _hours(held, DigestState.PROVEN) for chain, held in links.items()}
    lost: list[Interval] = []
    for chain, own in proven.items():
        if own:
            judged = standard.get(chain)
            missed = (
                union([*judged.lost, *judged.unreadable]) if judged else _hours(links[chain], DigestState.UNREADABLE)
            )
            lost += difference(missed, own)
    gaps = union(gap.interval for judgement in standard.values() for gap in judgement.gaps)
    ends = [own[-1].end for chain, own in proven.items() if own and chain.kind is Kind.STANDARD]
    due = min((end for end in ends if now - end <= TAIL), default=None)
    covered = union(interval for chain in standard for interval in proven.get(chain, ()))
    if due is not None:
        lost.append(Interval(due, max(due, now)))
    newest = max((item.newest for item in standard.values() if item.newest is not None), default=None)
    return Zones(difference(covered, union(lost)), gaps, due or newest)


def _hours(links: Sequence[Link], state: DigestState) -> Span:
    return union(link.interval for link in links if link.state is state)
