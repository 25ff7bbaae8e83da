"""Hits come in order of time, however many of them memory holds."""

from __future__ import annotations

import random

import pytest

from cloudtrail_validate.search import hits
from cloudtrail_validate.search.hits import Hit, Proof, SortedHits
from tests.search.events import raw


@pytest.mark.parametrize("at_once", [1, 3, 200])
@pytest.mark.parametrize("in_memory", [0, 5_000, 10_000_000])
def test_they_are_sorted_in_memory_and_on_disk_alike(
    in_memory: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hits, "IN_MEMORY", in_memory)
    monkeypatch.setattr(hits, "_AT_ONCE", at_once)
    times = [f"2026-01-01T00:00:{second:02}Z" for second in range(60)]
    shuffled = random.Random(1).sample(times, len(times))
    found = SortedHits()
    for time in shuffled:
        found.add(Hit(raw(eventTime=time), Proof("log", "digest"), ("denied",)))
    assert [(hit.event.time, hit.proof.digest, hit.uses) for hit in found] == [
        (time, "digest", ("denied",)) for time in times
    ]
    found.close()
