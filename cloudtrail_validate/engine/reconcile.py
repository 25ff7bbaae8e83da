"""Hand every log that proven digests name to the checker, in order of time, and keep what no digest names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from cloudtrail_validate.core.layout import LOG_KIND, Folder, folder_of
from cloudtrail_validate.core.model import EPOCH, HOUR, ChainReport, Interval, Kind
from cloudtrail_validate.engine.dedup import SeenLogs
from cloudtrail_validate.engine.digest_reader import DigestReader, ProvenDigest
from cloudtrail_validate.engine.log_checker import LogChecker
from cloudtrail_validate.engine.log_folder import MANY_A_DAY, LogFolder, Reference
from cloudtrail_validate.engine.prove import REFERENCES_AT_ONCE
from cloudtrail_validate.runtime.limits import Budget
from cloudtrail_validate.stores.protocol import Lister


class LogMatcher:
    """Matches the digests of one site with its log folders. `begin`, `run` and `close` once each.

    `places` then hold what nobody named.
    """

    def __init__(
        self,
        store: Lister,
        reader: DigestReader,
        checker: LogChecker,
        *,
        budget: Budget,
        window: Interval,
    ) -> None:
        self._store = store
        self._reader = reader
        self._checker = checker
        self._budget = budget
        self._window = window
        self._crowded = False
        self._home: Folder | None = None
        self._last: LogFolder | None = None  # consecutive references point into the same folder
        self.places: dict[tuple[Folder, str], LogFolder] = {}

    def begin(self, folders: Sequence[Folder], expected: int, *, listing: bool) -> None:
        """Prepare for folders whose digests are about to be read, and name about as many logs as `expected`.

        With `listing` their logs are listed from now on; else there is none, but in other folders there may be.
        """
        days = max(HOUR.total_seconds(), self._window.seconds) / 86_400
        self._crowded = expected / days > MANY_A_DAY
        self._home = folders[0] if folders else None
        for folder in folders if listing else ():
            self._place(folder, LOG_KIND).begin()

    async def close(self) -> None:
        """Stop what is still being listed."""
        await asyncio.gather(*(place.close() for place in self.places.values()))

    async def run(
        self, named: Iterable[ProvenDigest], repeats: SeenLogs, report_of: Callable[[ProvenDigest], ChainReport | None]
    ) -> None:
        """Match. `report_of` gives the record to count in, None for "not to be read"."""
        ordered = sorted(
            named, key=lambda item: (item.entry.chain.kind is Kind.STANDARD, item.interval.end, item.entry)
        )
        for batch in _batches(ordered):
            held = await self._budget.take(sum(item.number for item in batch))
            try:
                references: list[Reference] = []
                for item, logs in zip(batch, await asyncio.gather(*map(self._reader.named_by, batch)), strict=True):
                    report, written = report_of(item), item.written
                    references += [
                        Reference(log.where, log.hash_value, report, written)
                        for log in logs
                        if report is None or repeats.first(log)
                    ]
                await self._advance(_until(batch), references)
            finally:
                await self._budget.give(held)
        await self._advance(None, ())

    async def _advance(self, until: datetime | None, references: Iterable[Reference]) -> None:
        by_place: dict[LogFolder, list[Reference]] = {place: [] for place in self.places.values()}
        elsewhere: list[Reference] = []
        for reference in references:
            place = self._home_of(reference)
            if place is None:
                elsewhere.append(reference)
            else:
                by_place.setdefault(place, []).append(reference)
        await self._checker.put([job for reference in elsewhere for job in reference.jobs(None)])
        for place, own in by_place.items():
            async for jobs in place.advance(until, own):
                await self._checker.put(jobs)

    def _home_of(self, reference: Reference) -> LogFolder | None:
        """The log folder that a reference points into, if it is one of this site's account and region."""
        bucket, key = reference.where
        last, home = self._last, self._home
        if last is not None and key.startswith(last.path) and last.folder.bucket in ("", bucket):
            return last
        found = folder_of(bucket if home is None or home.bucket else "", key)
        if found is None or home is None or (found[0].account, found[0].region) != (home.account, home.region):
            return None
        self._last = self._place(*found)
        return self._last

    def _place(self, folder: Folder, kind: str) -> LogFolder:
        known = self.places.get((folder, kind))
        if known is None:
            known = LogFolder(self._store, folder, kind, self._window, crowded=self._crowded)
            self.places[folder, kind] = known
        return known


def _batches(ordered: Sequence[ProvenDigest]) -> Iterator[list[ProvenDigest]]:
    """Digests in order, as many at once as their references allow; backfill digests all come first."""
    batch: list[ProvenDigest] = []
    number = 0
    for item in ordered:
        if batch and (
            number + item.number > REFERENCES_AT_ONCE or batch[-1].entry.chain.kind is not item.entry.chain.kind
        ):
            yield batch
            batch, number = [], 0
        batch.append(item)
        number += item.number
    if batch:
        yield batch


def _until(batch: Sequence[ProvenDigest]) -> datetime:
    """How far the listing must have come for a batch: nowhere yet for backfill digests, whose logs are of any hour."""
    if batch[-1].entry.chain.kind is Kind.BACKFILL:
        return EPOCH
    return batch[-1].interval.end
