"""What cannot be read and was written again says both; neither of the two hides the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import HOUR, Cause, Finding, Interval
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.runtime.limits import RateLimiter
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.scenarios import vector, world


def findings(role: str, later: timedelta, *, dated: bool = True) -> list[Finding]:
    """The findings about one object that cannot be read, written so much later than CloudTrail wrote it."""
    made = world.build(vector.of(trail={}))
    objects, key = made.buckets[made.spec.bucket], made.key(role)
    objects[key] = replace(objects[key], delivered=objects[key].delivered + later)
    store = MemoryStore(made.buckets)
    store.dated = dated
    store.failing[key] = StoreError(Cause.ACCESS_DENIED, "it may not be read")
    engine = Engine(store, VectorKeys(made), Watch(), RateLimiter(8))
    outcome = asyncio.run(engine.run(target_of(made), Interval(made.start, made.end), made.now + 9 * HOUR))
    return [item for item in outcome.findings.kept if item.where is not None and item.where.key == key]


@pytest.mark.parametrize(
    ("role", "rule"), [("{log 3.0}", rules.LOG_UNREADABLE), ("{digest 3}", rules.DIGEST_UNREADABLE)]
)
def test_what_cannot_be_read_and_was_written_again_says_both(role: str, rule: str) -> None:
    (as_delivered,) = findings(role, timedelta(0))
    (again,) = findings(role, 5 * HOUR)
    (copied,) = findings(role, 5 * HOUR, dated=False)
    assert as_delivered.rule == again.rule == copied.rule == rule
    assert as_delivered.cause is again.cause is Cause.ACCESS_DENIED
    assert as_delivered.detail == copied.detail == "it may not be read"
    assert again.detail is not None
    assert again.detail.startswith("it may not be read; and it was written at 2026-01-01T")
