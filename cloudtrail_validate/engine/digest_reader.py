"""Reads digests: once to prove one, and once more for the logs it names, unless these were kept between.

Digests are proven newest first and their logs read oldest first: what is proven last is wanted first, and what there is no
room for is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.coverage import TAIL
from cloudtrail_validate.core.digest import Evidence, Fetched, LogReference
from cloudtrail_validate.core.errors import AbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater
from cloudtrail_validate.core.model import Kind, Locator, isoformat
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.listing import Entry
from cloudtrail_validate.engine.stages import ProvenDigest
from cloudtrail_validate.runtime.limits import RateLimiter, TryBudget
from cloudtrail_validate.stores.protocol import Store

_log = logging.getLogger("cloudtrail_validate")

Observed = tuple[Evidence | None, tuple[LogReference, ...]]


class DigestReader:
    """Fetches and checks single digests of one account-region, within the run's bounds.

    `budget` bounds the references that are kept from proof until they are asked for again.
    """

    def __init__(self, store: Store, limiter: RateLimiter, budget: TryBudget) -> None:
        self._store = store
        self._limiter = limiter
        self._budget = budget
        self._kept: dict[Locator, tuple[LogReference, ...]] = {}

    async def observe(self, entry: Entry, keys: RegionKeys) -> Observed:
        """Read one digest's evidence and the logs it names. None: it is not there.

        Whatever goes wrong with this one digest is a finding about it and about nothing else.
        """
        try:
            async with self._limiter:
                inflater, metadata = await self._fetch(entry)
            return _observe(entry, inflater, metadata, keys)
        except AbsentError:
            return None, ()
        except CustomerKeyError as error:
            return digest.malformed(entry.where, entry.chain, entry.end, error.detail), ()
        except StoreError as error:
            written = entry.modified if self._store.dated and entry.chain.kind is Kind.STANDARD else None
            late = written is not None and written > entry.end + TAIL
            detail = says_both(error.detail, written) if written and late else error.detail
            return digest.unreadable(entry.where, entry.chain, entry.end, error.cause, detail), ()
        except Exception as error:
            _log.exception("digest %s", entry.where)
            detail = f"internal error, please report it: {type(error).__name__}: {error}"
            return digest.unreadable(entry.where, entry.chain, entry.end, None, detail), ()

    async def references(self, proven: ProvenDigest) -> tuple[LogReference, ...] | None:
        """Return the logs that a proven digest names: as kept, or read again. None where these are not the proven bytes."""
        kept = self._kept.get(proven.entry.where)
        if kept is not None:
            return kept
        try:
            async with self._limiter:
                inflater, _ = await self._fetch(proven.entry)
        except (AbsentError, StoreError):
            return None
        content = inflater.finish()
        return digest.references_in(inflater.kept()) if content.sha256 == proven.sha256 else None

    async def _fetch(self, entry: Entry) -> tuple[Inflater, Mapping[str, str] | None]:
        listed = entry.size if entry.modified is not None else None
        return await self._store.digest(entry.where, listed, entry.etag)

    def keep(self, where: Locator, logs: tuple[LogReference, ...]) -> None:
        """Keep what a digest names, if there is room when what was kept first, and is wanted last, has gone."""
        while not self._budget.take(len(logs)):
            if not self._kept:
                return
            self.drop(next(iter(self._kept)))
        self._kept[where] = logs

    def drop(self, where: Locator) -> None:
        """Let go of what one digest names, if it is kept."""
        self._budget.give(len(self._kept.pop(where, ())))

    def forget(self) -> None:
        """Let go of all that is kept."""
        for where in list(self._kept):
            self.drop(where)


def says_both(detail: str, written: datetime) -> str:
    """Say of an object why it cannot be read, and that it was written again: both may be one person's doing."""
    return f"{detail}; and it was written at {isoformat(written)}, after CloudTrail had delivered it"


def _observe(entry: Entry, inflater: Inflater, metadata: Mapping[str, str] | None, keys: RegionKeys) -> Observed:
    content: Content = inflater.finish()
    fetched = Fetched(entry.where, entry.chain, entry.end, inflater.kept(), content.sha256, content.flaw, metadata)
    return digest.observe(fetched, keys)
