"""Chooses which remembered hours are read again although nothing about them has changed. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cloudtrail_validate.core.recheck import Recheck
from cloudtrail_validate.state.model import Stretch

Named = tuple[tuple[str, str, str], Stretch]
"""An account-region, and a stretch of it."""


def choose(recheck: Recheck, stretches: Iterable[Named], hour: int, run: int) -> set[tuple[tuple[str, str, str], int]]:
    """Return the stretches to read again, each as its account-region and start. `hour` is now, `run` counts runs.

    `N/T` moves on by one part a run, from part N at the first run of a state.
    """
    held = list(stretches)
    if recheck.days is not None:
        return {(place, item.start) for place, item in held if hour - item.read >= recheck.days * 24}
    if recheck.percent is not None:
        oldest = sorted(held, key=lambda pair: (pair[1].read, pair[0], pair[1].start))
        return {(place, item.start) for place, item in oldest[: -(-len(held) * recheck.percent // 100)]}
    if recheck.part is None or recheck.parts is None:
        return set()
    turn = (recheck.part - 1 + run) % recheck.parts
    return {(place, item.start) for place, item in held if _number(place, item.start) % recheck.parts == turn}


def _number(place: tuple[str, str, str], start: int) -> int:
    name = "/".join((*place, str(start)))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


def oldest_read(stretches: Iterable[Stretch], hour: int) -> int | None:
    """In how many days, rounded up, everything that is remembered was read; None where nothing is."""
    ages = [hour - item.read for item in stretches]
    return -(-max(ages) // 24) if ages else None
