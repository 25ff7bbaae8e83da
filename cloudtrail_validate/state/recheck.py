"""Chooses which remembered hours are read again although nothing about them has changed. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from cloudtrail_validate.core.recheck import Recheck
from cloudtrail_validate.state.model import RegionState, Stretch

Place = tuple[str, str, str]


def choose(recheck: Recheck | None, regions: Sequence[RegionState], hour: int, run: int) -> dict[Place, list[int]]:
    """Return the starts of the stretches to read again by account-region, in the order in which to read them.

    What is owed comes first, as earlier runs had no time for it, also where nothing else is to be read again; then what was
    not read for longest. `hour` is now, `run` counts runs.
    `N/T` moves on by one part a run, from part N at the first run of a state.
    """
    owed = {(region.place, start) for region in regions for start in region.owed}
    held = [(region.place, item) for region in regions for item in region.stretches]
    chosen = {(place, item.start) for place, item in _due(recheck, held, hour, run)} | owed
    order = sorted(
        ((place, item) for place, item in held if (place, item.start) in chosen),
        key=lambda pair: ((pair[0], pair[1].start) not in owed, pair[1].read, pair[0], pair[1].start),
    )
    out: dict[Place, list[int]] = {}
    for place, item in order:
        out.setdefault(place, []).append(item.start)
    return out


def _due(
    recheck: Recheck | None, held: Sequence[tuple[Place, Stretch]], hour: int, run: int
) -> Iterable[tuple[Place, Stretch]]:
    if recheck is None:
        return ()
    if recheck.days is not None:
        return [(place, item) for place, item in held if hour - item.read >= recheck.days * 24]
    if recheck.percent is not None:
        oldest = sorted(held, key=lambda pair: (pair[1].read, pair[0], pair[1].start))
        return oldest[: -(-len(held) * recheck.percent // 100)]
    if recheck.part is None or recheck.parts is None:
        return ()
    turn = (recheck.part - 1 + run) % recheck.parts
    return [(place, item) for place, item in held if _number(place, item.start) % recheck.parts == turn]


def _number(place: Place, start: int) -> int:
    name = "/".join((*place, str(start)))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


def oldest_read(stretches: Iterable[Stretch], hour: int) -> int | None:
    """In how many days, rounded up, everything that is remembered was read; None where nothing is."""
    ages = [hour - item.read for item in stretches]
    return -(-max(ages) // 24) if ages else None
