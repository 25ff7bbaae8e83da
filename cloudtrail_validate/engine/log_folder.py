"""Lists log folders: the key ranges of a window, and whatever lies outside of all date folders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from cloudtrail_validate.core.model import Interval, ObjectInfo
from cloudtrail_validate.engine.outside import list_outside
from cloudtrail_validate.engine.stages import LogBatch, Place
from cloudtrail_validate.stores.protocol import Lister


async def list_batch(store: Lister, batch: LogBatch) -> AsyncIterator[Sequence[ObjectInfo]]:
    """Yield the listed objects of a batch's ranges, in order. Raises as the store does."""
    if batch.place is None:
        return
    for after, before in batch.listed:
        async for page in store.scan(batch.place.folder.bucket, batch.place.path, after=after, before=before):
            yield page


def list_odd(store: Lister, place: Place, window: Interval, now: datetime) -> AsyncIterator[Sequence[ObjectInfo]]:
    """Yield what lies in a log folder outside of the date folders (see `list_outside`)."""
    return list_outside(store, place.folder.bucket, place.path, window, now)
