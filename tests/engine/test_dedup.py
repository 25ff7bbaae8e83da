"""Which logs are named more than once: the answer is that of remembering them all."""

from __future__ import annotations

import random

import pytest

from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.engine import dedup as repeats
from cloudtrail_validate.engine.dedup import SeenLogs


def named(number: int, sha256: int = 0) -> LogReference:
    return LogReference("amzn-s3-demo-bucket", f"AWSLogs/{number}.json.gz", f"{sha256:064x}", "SHA-256")


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("bits", [2, 16])
def test_each_is_first_once_however_full_the_filter(monkeypatch: pytest.MonkeyPatch, seed: int, bits: int) -> None:
    """With 2 bits a name a filter takes a third of all names for repeats; the answer stays exact."""
    monkeypatch.setattr(repeats, "_BITS", bits)
    monkeypatch.setattr(repeats, "_LEAST", 16)
    chance = random.Random(seed)
    digests = [
        [named(chance.randrange(600), chance.randrange(2)) for _ in range(chance.randrange(40))] for _ in range(40)
    ]
    kept = SeenLogs(chance.choice([0, 50, 5000]))
    for logs in reversed(digests):
        kept.note(logs)
    seen: set[LogReference] = set()
    for logs in digests:
        for log in logs:
            assert kept.first(log) is (log not in seen)
            seen.add(log)


def test_one_place_in_two_buckets_is_two_logs() -> None:
    here = named(1)
    there = LogReference("amzn-s3-demo-bucket1", here.s3_object, here.hash_value, here.hash_algorithm)
    kept = SeenLogs()
    kept.note([here, there])
    assert [kept.first(log) for log in (here, there, here, there)] == [True, True, False, False]


def test_what_is_not_repeated_is_not_remembered() -> None:
    """All but the few that a filter cannot tell apart: that is what keeps a long window in bounded memory."""
    kept = SeenLogs(20_000)
    logs = [named(number) for number in range(20_000)]
    kept.note(logs)
    assert all(map(kept.first, logs))
    assert len(kept._asked) < 400
