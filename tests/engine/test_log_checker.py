"""The pipeline that reads logs loses none, however they are handed in."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.findings import Ledger, Progress
from cloudtrail_validate.core.model import ChainId, ChainReport, Kind, Locator
from cloudtrail_validate.engine import log_checker as logs
from cloudtrail_validate.engine.log_checker import Job, LogChecker
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.stores.local import Local

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = ChainId("111122223333", "us-east-1", "mgmt", "us-east-1", None, Kind.STANDARD)
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def jobs_of(folder: Path, number: int, record: ChainReport) -> list[Job]:
    """As many logs, each third of them missing."""
    body, content = gzip.compress(b"{}"), hashlib.sha256(b"{}").hexdigest()
    for index in range(number):
        if index % 3:
            (folder / f"{index}.gz").write_bytes(body)
    return [Job(Locator("", f"{index}.gz"), content, record, WHEN, None, None) for index in range(number)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_log_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, workers: int) -> None:
    """Jobs come in ones and in crowds, at once and late, also when the last worker is about to end."""
    chance = random.Random(seed)
    record = ChainReport(CHAIN)
    monkeypatch.setattr(logs, "_QUEUED", 25)

    async def use() -> Ledger:
        store, ledger = Local(tmp_path), Ledger(Progress())
        store.workers, store.batch = workers, chance.choice([2, 64])
        checker = LogChecker(store, ledger, RateLimiter(4))
        left = jobs_of(tmp_path, 90, record)
        while left:
            number = chance.choice([1, 1, 2, 20])
            await asyncio.wait_for(checker.put(left[:number]), timeout=30)
            del left[:number]
            for _ in range(chance.choice([0, 0, 1, 2, 5, 40])):
                await asyncio.sleep(0)
            if not chance.randrange(10):
                await asyncio.sleep(0.002)
        await asyncio.wait_for(checker.finish(), timeout=30)
        await store.close()
        return ledger

    ledger = asyncio.run(use())
    assert (record.logs.valid, record.logs.missing) == (60, 30)
    assert ledger.progress.objects_done == ledger.progress.objects_known == 90


def test_what_a_worker_trips_over_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the tool's own must not pass for logs that were looked at, nor leave who hands them in waiting."""
    monkeypatch.setattr(logs, "_QUEUED", 5)
    monkeypatch.setattr(logs, "judge_content", lambda *_: 1 / 0)

    async def use() -> None:
        store = Local(tmp_path)
        checker = LogChecker(store, Ledger(Progress()), RateLimiter(4))
        jobs = jobs_of(tmp_path, 40, ChainReport(CHAIN))
        try:
            for job in jobs:
                await asyncio.wait_for(checker.put([job]), timeout=10)
            with pytest.raises(ZeroDivisionError):
                await checker.finish()
        finally:
            await store.close()

    asyncio.run(use())
