"""Finds trails that are known to write into a folder though no digest of theirs lies there: others' digests show them.

Asked only where a log would be called extra. A trail that writes in every region, or in every account of an organization,
writes into this folder as well; where its digests of the file's hours are proven elsewhere and none is here, the file may be
its own: its chain here was erased, or never came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from cloudtrail_validate.core.chain import DigestState, Prover
from cloudtrail_validate.core.coverage import Span, touches, union
from cloudtrail_validate.core.errors import AbsentError
from cloudtrail_validate.core.layout import ACCOUNT, DIGEST_KIND, REGION, Folder
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.core.unreferenced import Writer
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.listing import Entry, list_digests
from cloudtrail_validate.stores.protocol import Lister

KeysOf = Callable[[str], Awaitable[RegionKeys]]
TrailId = tuple[str, str, str | None]  # name, home region, organization: what `core.unreferenced.writers` counts as one
_ACCOUNTS: Final = 8  # of an organization; its trails are in all of them, so a few that are left show each
_AT_ONCE: Final = 32  # digests read side by side: what each names is held until all of them are there
_SUCCESSORS: Final = 3 * HOUR  # digests read after the hours asked for: they prove one whose own signature is lost


async def known_writers(
    folder: Folder, hours: Span, here: Container[TrailId], store: Lister, reader: DigestReader, keys: KeysOf
) -> tuple[Writer, ...]:
    """Return the trails that must write into `folder` and are not `here`; `shown` are their hours, as proven elsewhere.

    `hours` are those of the files. Raises `StoreError` where a neighbouring folder cannot be listed.
    """
    shown: dict[TrailId, Span] = {}
    for near in await _neighbours(folder, store):
        for chain, entries in (await _chains(near, hours, store)).items():
            trail = (chain.trail, chain.home_region, chain.organization_id)
            everywhere = chain.region != chain.home_region
            if trail in here or trail in shown or not (everywhere or near.region == folder.region):
                continue
            proven = await _proven(entries, hours, reader, await keys(near.region))
            if proven:
                shown[trail] = proven
    return tuple(Writer((folder,), shown=hours) for _, hours in sorted(shown.items(), key=str))


async def _neighbours(folder: Folder, store: Lister) -> tuple[Folder, ...]:
    """The other regions of the account; for an organization's folder some of its other accounts, in the same region."""
    account = f"{folder.base}{folder.account}/{DIGEST_KIND}/"
    regions = (name for name in await _names(store, folder.bucket, account) if REGION.fullmatch(name))
    out = [replace(folder, region=region) for region in regions if region != folder.region]
    if folder.organization_id is not None:
        names = await _names(store, folder.bucket, folder.base)
        others = (name for name in names if ACCOUNT.fullmatch(name) and name != folder.account)
        out += [replace(folder, account=other) for other in islice(others, _ACCOUNTS)]
    return tuple(out)


async def _names(store: Lister, bucket: str, prefix: str) -> Sequence[str]:
    try:
        return (await store.children(bucket, prefix)).folders
    except AbsentError:
        return ()


async def _chains(folder: Folder, hours: Span, store: Lister) -> dict[ChainId, list[Entry]]:
    """The standard chains of a folder, with their digests of those hours and of a few after each."""
    wanted = union(Interval(span.start, span.end + HOUR + _SUCCESSORS) for span in hours)
    if not wanted:
        return {}
    try:
        listing = await list_digests(store, folder, Interval(wanted[0].start, wanted[-1].end))
    except AbsentError:
        return {}
    out = {
        chain: [entry for entry in entries if touches(wanted, Interval(entry.end, entry.end))]
        for chain, entries in listing.chains.items()
        if chain.kind is Kind.STANDARD
    }
    return {chain: entries for chain, entries in out.items() if entries}


async def _proven(entries: Sequence[Entry], hours: Span, reader: DigestReader, keys: RegionKeys) -> Span:
    """The hours, out of those asked for and whole digests long, that proven digests of one chain cover."""
    prover = Prover(keys)
    out: list[Interval] = []
    newest_first = sorted(entries, reverse=True)
    for start in range(0, len(newest_first), _AT_ONCE):
        part = newest_first[start : start + _AT_ONCE]
        for evidence, _ in await asyncio.gather(*(reader.observe(entry, keys) for entry in part)):
            link = prover.step(evidence)[0] if evidence is not None else None
            if link is not None and link.state is DigestState.PROVEN and touches(hours, link.covers):
                out.append(link.covers)
    return union(out)
