"""The pool that reads logs loses none, however they are handed in, and one that goes wrong concerns itself alone."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import ChainId, Counts, Interval, Kind, Locator, Status
from cloudtrail_validate.engine import log_checker
from cloudtrail_validate.engine.listing import Entry
from cloudtrail_validate.engine.log_checker import Job, LogChecker
from cloudtrail_validate.engine.reconcile import Outcomes
from cloudtrail_validate.engine.stages import ProvenDigest
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.stores.local import Local

if TYPE_CHECKING:
    from pathlib import Path

    from cloudtrail_validate.core.gzip import Content

CHAIN = ChainId("111122223333", "us-east-1", "mgmt", "us-east-1", None, Kind.STANDARD)
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = ProvenDigest(Entry(WHEN, Locator("", "digest"), CHAIN), Interval(WHEN, WHEN), "", 0)


def jobs_of(folder: Path, number: int, owner: Outcomes) -> list[Job]:
    """As many logs, each third of them missing."""
    body, content = gzip.compress(b"{}"), hashlib.sha256(b"{}").hexdigest()
    for index in range(number):
        if index % 3:
            (folder / f"{index}.gz").write_bytes(body)
    owner.expect(number)
    logs = [LogReference("", f"{index}.gz", content, "SHA-256") for index in range(number)]
    return [Job(log, DIGEST, None, owner, log.where) for log in logs]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_log_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, workers: int) -> None:
    """Jobs come in ones and in crowds, at once and late, also when the last worker is about to end."""
    chance = random.Random(seed)
    monkeypatch.setattr(log_checker, "_QUEUED", 25)

    async def use() -> tuple[Outcomes, Watch]:
        store, watch = Local(tmp_path), Watch()
        store.workers, store.batch = workers, chance.choice([2, 64])
        checker, owner = LogChecker(store, watch, RateLimiter(4)), Outcomes(watch, dated=False)
        left = jobs_of(tmp_path, 90, owner)
        while left:
            number = chance.choice([1, 1, 2, 20])
            await asyncio.wait_for(checker.put(left[:number]), timeout=30)
            del left[:number]
            for _ in range(chance.choice([0, 0, 1, 2, 5, 40])):
                await asyncio.sleep(0)
            if not chance.randrange(10):
                await asyncio.sleep(0.002)
        await asyncio.wait_for(owner.all_taken(), timeout=30)
        await store.close()
        return owner, watch

    owner, watch = asyncio.run(use())
    assert owner.counts() == ((CHAIN, Counts(valid=60, missing=30)),)
    assert watch.progress.objects_done == watch.progress.objects_known == 90


@pytest.mark.parametrize("batch", [1, 8])
def test_what_a_worker_trips_over_is_about_that_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """An error of the tool's own must not pass for logs that were looked at, nor leave who hands them in waiting."""
    monkeypatch.setattr(log_checker, "_QUEUED", 5)

    async def broken(_self: Local, *_: object) -> Content:
        raise ZeroDivisionError("a bug")

    async def all_broken(_self: Local, *_: object) -> list[Content]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Local, "content", broken)
    monkeypatch.setattr(Local, "contents", all_broken)

    async def use() -> Outcomes:
        store, watch = Local(tmp_path), Watch()
        store.batch = batch
        checker, owner = LogChecker(store, watch, RateLimiter(4)), Outcomes(watch, dated=False)
        for job in jobs_of(tmp_path, 40, owner):
            await asyncio.wait_for(checker.put([job]), timeout=10)
        await asyncio.wait_for(owner.all_taken(), timeout=10)
        await store.close()
        return owner

    owner = asyncio.run(use())
    assert owner.counts() == ((CHAIN, Counts(unverifiable=40)),)
    found = owner.findings.freeze()
    assert found.numbers == ((rules.LOG_UNREADABLE, Status.UNVERIFIABLE, 40),)
    assert found.kept[0].detail == "internal error, please report it: ZeroDivisionError: a bug"
