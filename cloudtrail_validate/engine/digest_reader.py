"""Read one digest, once to prove it and once more for the logs it names, or keep these between.

Digests are proven newest first and matched oldest first: what is proven last is wanted first, and what there is no room
for is read again.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from cloudtrail_validate.core import digest, rules
from cloudtrail_validate.core.digest import Evidence, Fetched, LogReference, SignatureStatus
from cloudtrail_validate.core.errors import AbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.findings import Ledger
from cloudtrail_validate.core.model import Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.listing import Entry
from cloudtrail_validate.runtime.limits import RateLimiter, TryBudget
from cloudtrail_validate.stores.protocol import Store


class ProvenDigest(msgspec.Struct, frozen=True):
    """A proven digest that names logs, and how many: what it takes to read them once more."""

    entry: Entry
    interval: Interval
    sha256: str
    number: int

    @property
    def written(self) -> datetime:
        """When its logs had been delivered at the latest: a backfill digest is written hours after the hour it is of."""
        if self.entry.chain.kind is Kind.BACKFILL and self.entry.modified is not None:
            return max(self.interval.end, self.entry.modified)
        return self.interval.end


class DigestReader:
    """Fetches and checks single digests, within the run's bounds.

    `allowance` bounds the references that are kept from proof until they are asked for again.
    """

    def __init__(
        self, store: Store, limiter: RateLimiter, keys: RegionKeys, ledger: Ledger, allowance: TryBudget
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._keys = keys
        self._ledger = ledger
        self._allowance = allowance
        self._kept: dict[Locator, tuple[LogReference, ...]] = {}

    async def read(self, entry: Entry) -> tuple[Evidence | None, tuple[LogReference, ...]]:
        """One digest's evidence and the logs it names. None: it is not there."""
        async with self._limiter:
            try:
                listed = entry.size if entry.modified is not None else None
                inflater, metadata = await self._store.digest(entry.where, listed, entry.etag)
            except AbsentError:
                return None, ()
            except CustomerKeyError as error:
                return digest.malformed(entry.where, entry.chain, entry.end, error.detail), ()
            except StoreError as error:
                return digest.unreadable(entry.where, entry.chain, entry.end, error.cause, error.detail), ()
        content = inflater.finish()
        fetched = Fetched(entry.where, entry.chain, entry.end, inflater.kept(), content.sha256, content.flaw, metadata)
        evidence, logs = digest.observe(fetched, self._keys)
        if evidence.own is SignatureStatus.VALID:
            self._ledger.keys_used.add(self._keys.keys[evidence.fingerprint])
        return evidence, logs

    def keep(self, where: Locator, logs: tuple[LogReference, ...]) -> None:
        """Keep what a digest names, if there is room when what was kept first, and is wanted last, has gone."""
        while not self._allowance.take(len(logs)):
            if not self._kept:
                return
            self._allowance.give(len(self._kept.pop(next(iter(self._kept)))))
        self._kept[where] = logs

    def forget(self) -> None:
        """Let go of what is kept."""
        self._allowance.give(sum(map(len, self._kept.values())))
        self._kept.clear()

    async def again(self, proven: ProvenDigest) -> tuple[LogReference, ...] | None:
        """The logs that a proven digest names: as kept, once, or read again. None where these are not the proven bytes."""
        kept = self._kept.pop(proven.entry.where, None)
        if kept is not None:
            self._allowance.give(len(kept))
            return kept
        evidence, logs = await self.read(proven.entry)
        return logs if evidence is not None and evidence.sha256 == proven.sha256 else None

    async def named_by(self, proven: ProvenDigest) -> tuple[LogReference, ...]:
        """The same, with a finding and none where the digest has changed meanwhile."""
        logs = await self.again(proven)
        if logs is not None:
            return logs
        chain = proven.entry.chain
        self._ledger.add(
            Finding(
                rules.DIGEST_UNREADABLE,
                Status.UNVERIFIABLE,
                chain.account,
                chain.region,
                chain.trail,
                proven.entry.where,
                proven.interval,
                detail="it was read and proven, and is not the same any more: run again",
            )
        )
        return ()


class ProvenChains(msgspec.Struct, frozen=True):
    """What a site proved: its digests that name logs, and the reader that reads them again."""

    account: str
    region: str
    reader: DigestReader
    named: tuple[ProvenDigest, ...]
