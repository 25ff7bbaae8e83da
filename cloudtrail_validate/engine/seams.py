"""Finds chains that go on in another folder of their account-region: see `core.continuation`.

Asked before digests are proven, since proof runs along a chain across its seam, and only where an account's folders lie
both with and without an organization's id. Whatever anybody may plant joins nothing: the digest at the seam must be proven.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from cloudtrail_validate.core.chain import DigestState, Prover
from cloudtrail_validate.core.continuation import Continuation
from cloudtrail_validate.core.digest import Evidence
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.layout import DIGEST_KIND, Folder, day_path, folder_of, parse_digest_key
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind, Locator
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.listing import Entry, entry_of
from cloudtrail_validate.stores.protocol import Lister

_TRIED: Final = 6  # places at which one of two chains follows the other; a trail is moved once or twice
_AT_ONCE: Final = 4  # digests read side by side
_REACH: Final = timedelta(days=35)  # between a chain's last digest in one folder and its first in another


class Seams:
    """Looks for the seams between chains of one account-region. `find` once.

    `chains` are its chains with their listed digests in order of time, `window` the hours whose digests are listed.
    """

    def __init__(
        self,
        region: AccountRegion,
        chains: Mapping[ChainId, Sequence[Entry]],
        window: Interval,
        store: Lister,
        reader: DigestReader,
        keys: RegionKeys,
    ) -> None:
        self._region = region
        self._chains = {chain: held for chain, held in chains.items() if chain.kind is Kind.STANDARD and held}
        self._window = window
        self._store = store
        self._reader = reader
        self._keys = keys
        self.beyond: dict[ChainId, list[Entry]] = {}

    async def find(self) -> tuple[Continuation, ...]:
        """Return what goes on where. `beyond` are first digests in new folders that no listing had shown.

        What cannot be listed joins nothing: `prove` has told of it, or reads what a link names and tells then.
        """
        if self._region.one_trail or len(self._region.folders) == 1:
            return ()
        out: list[Continuation] = []
        for older in self._chains:
            for folder in self._region.folders:
                newer = replace(older, organization_id=folder.organization_id)
                if newer == older:
                    continue
                try:
                    if await self._goes_on(older, newer, folder):
                        out.append(Continuation(older, newer))
                except (AbsentError, StoreError):
                    continue
        return tuple(out)

    async def _goes_on(self, older: ChainId, newer: ChainId, folder: Folder) -> bool:
        """Tell whether a proven digest of `newer`, in `folder`, names one of `older`."""
        held = self._chains.get(newer, ())
        for last, first in reversed(_turns(self._chains[older], held)[-_TRIED:]):
            if first is not None and first.end - last.end <= HOUR:
                following = [entry for entry in held if entry.end >= first.end]
            elif first is None and last.end >= self._window.end:
                continue  # it need not have gone on anywhere yet
            else:
                following = await self._listed_after(last, newer, folder)
            if following and await self._leads_to(following, older):
                if first is None:
                    self.beyond[newer] = following[:1]
                return True
        return False

    async def _listed_after(self, last: Entry, newer: ChainId, folder: Folder) -> list[Entry]:
        """Return the first digests of a chain in a folder after another's: one page of the listing that shows any."""
        path = folder.path(DIGEST_KIND)
        # Of a chain that ended long ago the listing's steps double, and its last digest may be as much younger again.
        reach = _REACH + max(timedelta(0), self._window.start - last.end) / 2
        after, before = path + day_path(last.end), path + day_path(last.end + reach + timedelta(days=1))
        async for batch in self._store.scan(folder.bucket, path, after=after, before=before):
            entries = (entry_of(folder, info) for info in batch)
            found = sorted(entry for entry in entries if entry and entry.chain == newer and entry.end > last.end)
            if found:
                return found
        return []

    async def _leads_to(self, following: Sequence[Entry], older: ChainId) -> bool:
        """Tell whether the first of some digests is proven, by itself or by its successors, and names one of `older`.

        Judged anew only when twice as many are read, so that the work does not grow with the square of their number.
        """
        read: list[Evidence] = []
        judged = 0
        for start in range(0, len(following), _AT_ONCE):
            some = following[start : start + _AT_ONCE]
            answers = await asyncio.gather(*(self._reader.observe(entry, self._keys) for entry in some))
            read += [evidence for evidence, _ in answers if evidence is not None]
            if answers[0][0] is None and not start:
                return False
            previous = read[0].previous if read else None
            if previous is None or self._chain_of(previous.where) != older:
                return False
            if len(read) < 2 * judged and start + _AT_ONCE < len(following):
                continue
            judged = len(read)
            prover = Prover(self._keys)
            links = [prover.step(evidence)[0] for evidence in reversed(read)]
            if links[-1].state is DigestState.PROVEN:
                return True
        return False

    def _chain_of(self, where: Locator) -> ChainId | None:
        """Return the chain that a digest's key in this account-region's folders names."""
        place = folder_of(self._region.folders[0].bucket and where.bucket, where.key)
        name = parse_digest_key(place[0], where.key) if place and place[0] in self._region.folders else None
        return name.chain if name else None


def _turns(older: Sequence[Entry], newer: Sequence[Entry]) -> list[tuple[Entry, Entry | None]]:
    """Return each digest of one chain after which comes one of the other, with that; the last one with None if none does."""
    merged = sorted([*((entry, False) for entry in older), *((entry, True) for entry in newer)], key=_by_time)
    out: list[tuple[Entry, Entry | None]] = []
    for (one, is_newer), (two, next_is_newer) in pairwise(merged):
        if not is_newer and next_is_newer:
            out.append((one, two))
    last, is_newer = merged[-1]
    return out if is_newer else [*out, (last, None)]


def _by_time(pair: tuple[Entry, bool]) -> tuple[object, ...]:
    return pair[0].end, pair[1], pair[0].where
