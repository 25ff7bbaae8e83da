"""Any trail of the vectors in three parts, each as bytes and made by tools of its own: merged, they are the whole run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.shards import Shard
from cloudtrail_validate.distribute.parts import Part, ShardPlan, decode, encode, merge
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.engine.stages import Scope
from cloudtrail_validate.report import RequestEcho, Run
from cloudtrail_validate.runtime.limits import RateLimiter
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.engine.test_folding import VECTORS, report_of, whole
from tests.scenarios import vector, world
from tests.scenarios.world import World

PARTS = 3


async def part_of(
    made: World, window: Interval, now: datetime, shard: Shard, store: MemoryStore | None = None, *, looks: bool = True
) -> Part:
    """Run one shard. Without `looks` it does not look beyond its plan."""
    held, keys, limiter = store or MemoryStore(made.buckets), VectorKeys(made), RateLimiter(8)
    engine = Engine(held, keys, Watch(), limiter)
    plan = ShardPlan(shard, None)
    await engine.run(target_of(made), window, now, plan, whole=False)
    beyond = None
    if looks:
        beyond = await plan.look_beyond(engine, target_of(made), Scope(window, now), held, limiter, keys)
        assert beyond is not None
    return Part(
        version="0",
        shard=shard,
        plan=plan.fingerprint,
        request=RequestEcho(
            trail_arn=None, start=window.start, end=window.end, source="s3://b/", regions=(), accounts=()
        ),
        run=Run(started=window.start, finished=window.start, caller_arn=None),
        window=window,
        target=target_of(made),
        tolerate=(),
        sites=plan.sites,
        results=tuple(replace(result, digests=()) for result in engine.results),
        findings=engine.of_the_plan(),
        beyond=beyond,
    )


def merged(parts: Iterable[Part]) -> Outcome:
    """Merge parts that went through bytes."""
    outcome, _ = merge([(str(part.shard), decode(encode(part), "x")) for part in parts])
    return outcome


@pytest.mark.parametrize("name", VECTORS)
def test_any_vector_is_the_same_whole_and_merged(name: str) -> None:
    made = world.build(vector.load(VECTORS[name]))
    asked = made.vector.run
    window = Interval(*(time.replace(microsecond=0) for time in (asked.start or made.start, asked.end or made.end)))
    now = asked.now or made.now
    one = asyncio.run(whole(MemoryStore(made.buckets), VectorKeys(made), made, window, now))
    parts = [asyncio.run(part_of(made, window, now, Shard(number, PARTS))) for number in range(PARTS, 0, -1)]
    assert report_of(merged(parts)) == report_of(one)
