"""Hits come in order of time, however many of them memory holds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.search import hits
from cloudtrail_validate.search.hits import Hit, Proof, SortedHits
from tests.search.events import raw
from tests.search.kit import make_trail

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_full_disk_bounds_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file may become larger, as on a full disk: what is held stays, and nothing more is taken."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(hits, "IN_MEMORY", 200_000)
    found, lost = SortedHits(), 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for number in range(3_000):
            if number == 1_000:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
            try:
                found.add(Hit(raw(eventID=f"{number:08}"), Proof("log", "digest")))
            except OSError:
                lost += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    kept = [hit.event.id for hit in found]
    assert lost + len(kept) == 3_000
    assert 1_000 < len(kept) < 1_500
    assert kept == [f"{number:08}" for number in range(len(kept))]
    found.close()


def test_what_found_no_room_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resource = pytest.importorskip("resource")
    trail = make_trail(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hits, "IN_MEMORY", 10_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
        try:
            answer = trail.search(capsys, "--format", "jsonl")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    every = sum(len(trail.events(path)) for path in trail.logs)
    kept = len(answer.out.splitlines())
    assert (answer.code, 0 < kept < every) == (3, True)
    assert f"{every - kept:,} × found, and no room to keep it: File too large" in answer.err
