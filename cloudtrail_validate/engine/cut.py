"""Cuts the log phase of one account-region into batches: key ranges of its log folders. Pure.

A range ends where a digest's hour ends, so most digests name logs of one range or of two; what is named in two is routed by
its key, and each key belongs to one batch. Whether a folder is listed by whole days or to the minute follows from how many
logs proven digests name there, and from nothing that anybody else can put into the bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final

from cloudtrail_validate.core.coverage import NAME_SLACK
from cloudtrail_validate.core.layout import LOG_KIND, day_path, log_bound
from cloudtrail_validate.core.model import Interval, Kind
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.stages import LogBatch, Place, ProvenChains, ProvenDigest

MANY_A_DAY: Final = (
    10_000  # logs; below, whole days are listed (10 requests at most); above, the window's edges exactly
)
REFERENCES_AT_ONCE: Final = 6_000  # of one batch, ~0.5 kB each in memory
_DAY: Final = timedelta(days=1)


def cut(proven: ProvenChains, window: Interval, few: int | None = None) -> tuple[LogBatch, ...]:
    """Return the batches of one account-region, oldest keys of each place first.

    Each names `few` logs at most, and never more than one process may hold at once, if one digest names no more.
    """
    most = REFERENCES_AT_ONCE if few is None else min(few, REFERENCES_AT_ONCE)
    region = proven.region
    if region.logs_elsewhere:
        return ()
    own = region.folders if region.has_logs else ()
    elsewhere_too = (folder for folder in proven.folders if folder not in region.folders)
    places = dict.fromkeys(Place(folder, LOG_KIND) for folder in (*own, *elsewhere_too))
    ordered = sorted(proven.digests, key=_order)
    named: dict[Place | None, list[ProvenDigest]] = {}
    for digest in ordered:
        for reach in digest.reaches:
            named.setdefault(reach.place, []).append(digest)
    out: list[LogBatch] = []
    for place in dict.fromkeys((*places, *(place for place in named if place))):
        held = named.get(place, [])
        out += _ranges(region, place, held, window, most)
        odd = tuple(digest for digest in held if any(reach.odd for reach in digest.reaches if reach.place == place))
        out.append(LogBatch(region, place, "", None, (), odd, _number(odd, place), odd=True))
    elsewhere = named.get(None, [])
    out += [LogBatch(region, None, "", None, (), part, _number(part, None)) for part in _parts(elsewhere, None, most)]
    return tuple(out)


def _ranges(
    region: AccountRegion, place: Place, held: Sequence[ProvenDigest], window: Interval, most: int
) -> list[LogBatch]:
    """Return the batches of one place: consecutive key ranges that together hold every key under its path."""
    path = place.path
    bounds = [path, *_bounds(place, held, most), f"{path[:-1]}0"]  # `0` follows `/`: the first key behind the folder's
    total = sum(reach.number for digest in held for reach in digest.reaches if reach.place == place)
    days = max(3600, window.seconds) / 86_400
    lists = listed_ranges(place, window, exact=total / days > MANY_A_DAY)
    batches: list[LogBatch] = []
    for after, before in pairwise(bounds):
        mine = tuple(digest for digest in held if _names_between(digest, place, after, before))
        ranges = tuple(
            (max(after, low), min(before, high)) for low, high in lists if max(after, low) < min(before, high)
        )
        if mine or ranges:
            batches.append(LogBatch(region, place, after, before, ranges, mine, _number(mine, place)))
    return batches


def listed_ranges(place: Place, window: Interval, *, exact: bool) -> list[tuple[str, str]]:
    """Return the key ranges to list for a window: its days or, if `exact`, its minutes and what sorts beside all minutes."""
    start, end = window.start - NAME_SLACK, window.end + NAME_SLACK
    first, last = (f"{place.path}{day_path(moment)}" for moment in (start, end))
    if not exact:
        return [(f"{first}/", f"{last}0")]
    low, high = (log_bound(place.folder, place.kind, moment) for moment in (start, end))
    midnight, beyond = f"{low[:-4]}0000", f"{high[:-4]}24"  # of the days' first minute, and behind their last
    return [(f"{first}/", midnight), (low, high), (beyond, f"{last}0")]


def _bounds(place: Place, held: Sequence[ProvenDigest], most: int) -> list[str]:
    """Return keys at which one batch ends and the next begins: ends of standard digests, as often as references allow."""
    out: list[str] = []
    number = 0
    for digest in held:
        if digest.entry.chain.kind is not Kind.STANDARD:
            continue
        named = sum(reach.number for reach in digest.reaches if reach.place == place)
        if number and number + named > most:
            bound = log_bound(place.folder, place.kind, digest.interval.start)
            if not out or bound > out[-1]:
                out.append(bound)
            number = 0
        number += named
    return out


def _parts(held: Sequence[ProvenDigest], place: Place | None, most: int) -> Iterator[tuple[ProvenDigest, ...]]:
    """Yield digests in order, as many at once as their references allow."""
    part: list[ProvenDigest] = []
    number = 0
    for digest in held:
        named = _number((digest,), place)
        if part and number + named > most:
            yield tuple(part)
            part, number = [], 0
        part.append(digest)
        number += named
    if part:
        yield tuple(part)


def _names_between(digest: ProvenDigest, place: Place, after: str, before: str) -> bool:
    return any(
        reach.place == place and reach.first and reach.first < before and reach.last >= after
        for reach in digest.reaches
    )


def _number(digests: Sequence[ProvenDigest], place: Place | None) -> int:
    return sum(reach.number for digest in digests for reach in digest.reaches if reach.place == place)


def _order(digest: ProvenDigest) -> tuple[object, ...]:
    """Order backfill digests first: of the digests that name a log, the first counts it."""
    return (digest.entry.chain.kind is Kind.STANDARD, digest.interval.end, digest.entry.where)
