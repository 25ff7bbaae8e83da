"""Goes along with a run and notes the SHA-256 of the stored bytes of every digest and log that it proves.

A store that stands before the run's own hashes bytes as they pass, so nothing is fetched twice. What of an earlier inventory
this run does not prove anew is kept as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.findings import Listener
from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.inventory.files import Item, read, write
from cloudtrail_validate.session import Session
from cloudtrail_validate.stores.protocol import Store, Stored
from cloudtrail_validate.stores.taking import TakingStore

MOST_ITEMS: Final = 50_000_000  # objects, ~0.3 kB each in memory


class Hashing(Inflater):
    """Inflates as its base does, and hashes the bytes as they are stored."""

    __slots__ = ("_stored", "stored_size")

    def __init__(
        self, *, plain: bool, keep: bool, limit: int | None = None, most: Callable[[int], int] | None = None
    ) -> None:
        super().__init__(accept_plain=plain, keep=keep, limit=limit, most=most)
        self._stored = hashlib.sha256()
        self.stored_size = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._stored.update(data)
        self.stored_size += len(data)
        super().feed(data)

    @property
    def stored_sha256(self) -> str:
        """SHA-256 of what was fed, hex."""
        return self._stored.hexdigest()


class HashingStore(TakingStore):
    """Hashes what is read from another store. `seen` are size, SHA-256 and ETag of each object that came whole."""

    def __init__(self, source: Store, *, local: bool) -> None:
        super().__init__(source)
        self.seen: dict[Locator, tuple[int, str, str]] = {}
        self._local = local

    def _hashing(self, *, digests: bool) -> Hashing:
        if not digests:
            return Hashing(plain=self._local, keep=False)
        if self._local:
            return Hashing(plain=True, keep=True, limit=digest.MAX_DIGEST_BYTES)
        return Hashing(plain=False, keep=True, most=digest.most_bytes)

    async def _take(self, where: Locator, size: int | None, etag: str, *, digests: bool) -> Stored:
        attempts: list[Hashing] = []

        def begin(_size: int | None) -> Inflater:
            attempts.append(self._hashing(digests=digests))
            return attempts[-1]

        stored = await self._source.stored(where, begin, size, etag)
        self.seen[where] = (attempts[-1].stored_size, attempts[-1].stored_sha256, etag)
        return stored


class Collector:
    """Goes along with a run (`api.Companion`) and writes the inventory when it has ended.

    `beside` is who else listens; `unwritten` says why the inventory could not be written, empty where it was.
    """

    every_object = True

    def __init__(self, path: Path, now: datetime, beside: Listener | None = None) -> None:
        self._path = path
        self._now = now.replace(microsecond=0)
        self._items = {item.name: item for item in read(path)} if path.exists() else {}
        self._store: HashingStore | None = None
        self._bucket = ""
        self.beside = beside
        self.added = 0
        self.unwritten = ""

    def adapt(self, session: Session) -> Session:
        """Stand before the run's store."""
        if self.beside is not None and hasattr(self.beside, "adapt"):
            session = self.beside.adapt(session)
        self._store = HashingStore(session.store, local=session.aws is None)
        self._bucket = session.target.bucket
        return msgspec.structs.replace(session, store=self._store)

    def finding(self, finding: Finding) -> None:
        """Pass it on."""
        if self.beside is not None:
            self.beside.finding(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Take in what is proven."""
        if self.beside is not None:
            self.beside.checked(where, status, digest=digest)
        seen = self._store.seen if self._store is not None else {}
        found = seen.pop(where, None) or seen.pop(Locator("", where.key), None)  # a local copy's folder is any bucket
        if found is None or status not in (None, Status.NOTICE):
            return
        size, sha256, etag = found
        item = Item(
            bucket=where.bucket or self._bucket,
            key=where.key,
            size=size,
            sha256=sha256,
            etag=etag,
            sort="digest" if digest else "log",
            proven=self._now,
        )
        if item.name not in self._items and len(self._items) >= MOST_ITEMS:
            raise ConfigurationError(f"--inventory: more than {MOST_ITEMS:,} objects")
        self._items[item.name] = item
        self.added += 1

    async def conclude(self, outcome: Outcome) -> None:
        """Write the inventory, whole or not at all. What was found is worth more, so a full disk raises nothing."""
        if self.beside is not None and hasattr(self.beside, "conclude"):
            await self.beside.conclude(outcome)
        items = [self._items[name] for name in sorted(self._items)]
        try:
            await asyncio.to_thread(write, self._path, items)
        except ConfigurationError as error:
            self.unwritten = str(error)
