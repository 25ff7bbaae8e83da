"""Files that no digest names: reads what further digests could name them, and judges what is left.

One place answers for `validate`, `file` and `snapshot` alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

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
from cloudtrail_validate.core.model import HOUR, ChainId, Finding, Interval, Kind, Locator
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.listing import list_digests
from cloudtrail_validate.engine.prove import DigestProver
from cloudtrail_validate.engine.stages import Failure, Unnamed
from cloudtrail_validate.stores.protocol import Lister

BACKFILL_REACH: Final = timedelta(days=35)  # CloudTrail retries a misconfigured bucket for up to 30 days
_BESIDE: Final = 2 * HOUR  # digests next to the window may name logs that were delivered on its edge
Left = Mapping[Locator, Placed]


class Looked(msgspec.Struct, frozen=True):
    """What is left unnamed after looking around, folders that could not be listed, and digests that could not be read."""

    left: Left
    failures: tuple[Failure, ...] = ()
    unread: tuple[Finding, ...] = ()


def place_all(unnamed: Iterable[Unnamed], window: Interval, *, dated: bool) -> dict[Locator, Placed]:
    """Place files in time, and take those that may belong to the window: one that nothing places may belong to any."""
    out: dict[Locator, Placed] = {}
    for file in unnamed:
        info = file.info
        placed = place(log_minute(info.key), info.modified if dated else None, folder_day(info.key, file.path))
        if not placed.spans:
            placed = Placed((), (window,))
        if placed.belongs(window):
            out[Locator(file.bucket, info.key)] = placed
    return out


async def look_around(
    left: Left, folders: Sequence[Folder], prover: DigestProver, reader: DigestReader, store: Lister, *, dated: bool
) -> Looked:
    """Read the digests outside of the window that could name a file, and return what is left after them.

    These are later backfill digests, those next to the window and to when a file was written, of any trail in the
    folders: before there were backfill digests a late log was named by the digest of the hour in which it came.
    """
    window = prover.window
    around = Interval(window.start - _BESIDE, window.end + BACKFILL_REACH)
    near = [Interval(around.start, window.end + _BESIDE)]
    near += {Interval(when, when + _BESIDE) for when in (placed.written for placed in left.values()) if when}
    hours = union(near) if dated else (around,)
    failures: list[Failure] = []
    for folder in folders:
        try:
            listing = await list_digests(store, folder, around)
        except AbsentError:
            continue
        except StoreError as error:
            where = Locator(folder.bucket, folder.path(DIGEST_KIND))
            failures.append(Failure(rules.DIGEST_UNREADABLE, where, error.cause, error.detail))
            continue
        for chain, entries in listing.chains.items():
            wanted = (around,) if chain.kind is Kind.BACKFILL else hours
            prover.add([entry for entry in entries if covers(wanted, Interval(entry.end, entry.end))], quiet=True)
    await prover.run(follow=False)
    named: set[Locator] = set()
    for digest in prover.digests:
        logs = await reader.references(digest) or ()
        named |= {log.where if folders[0].bucket else Locator("", log.s3_object) for log in logs}
    remaining = {where: placed for where, placed in left.items() if where not in named}
    return Looked(remaining, tuple(failures), tuple(prover.unread))


def judge_left(
    looked: Looked,
    links: Mapping[ChainId, Sequence[Link]],
    standard: Mapping[ChainId, Judgement],
    window: Interval,
    now: datetime,
    *,
    excused: bool,
) -> Iterator[tuple[Locator, str]]:
    """Yield the rule for each file, in order of place. What has a log's name may be in a digest that was not read."""
    zones = _zones(links, standard, now)
    deaf = bool(looked.unread) or any(failure.rule == rules.DIGEST_UNREADABLE for failure in looked.failures)
    for where, placed in sorted(looked.left.items()):
        named = log_minute(where.key) is not None
        pardoned = excused or (deaf and named)
        yield where, judge_unreferenced(placed.clipped(window), zones, named=named, excused=pardoned)


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
