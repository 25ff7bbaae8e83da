"""Whole equals folded: any trail of the vectors, run whole and cut into units of work that are done in any order elsewhere.

Each unit and each answer goes through bytes, and each unit is done by tools of its own, as another process would do it.
The naive walk (tests/core/naive.py) and the vectors themselves are the oracle of what the answer must be.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec
import pytest

from cloudtrail_validate.core.expectation import further
from cloudtrail_validate.core.findings import FindingSet, Watch
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.outcome import Outcome, chains_in_order
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine import cut as cut_module
from cloudtrail_validate.engine.cut import cut
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.engine.stages import LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tasks import Prove, Reconcile, Settle, Task, perform
from cloudtrail_validate.engine.tools import make_tools
from cloudtrail_validate.report import RequestEcho, Run
from cloudtrail_validate.report.build import build
from cloudtrail_validate.report.json import render
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.stores.key_file import KeySource
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.scenarios import vector, world
from tests.scenarios.world import World

VECTORS = {path.parent.relative_to(vector.FOLDER).as_posix(): path for path in vector.paths()}
T = TypeVar("T")


def report_of(outcome: Outcome) -> str:
    """The report as JSON; when it ran and where are the same in all of them."""
    start, end = (moment.replace(microsecond=0) for moment in outcome.window)
    echo = RequestEcho(trail_arn=None, start=start, end=end, source="s3://b/", regions=(), accounts=())
    return render(build(outcome, echo, Run(started=start, finished=start, caller_arn=None)))


async def whole(store: MemoryStore, keys: KeySource, made: World, window: Interval, now: datetime) -> Outcome:
    return await Engine(store, keys, Watch(), RateLimiter(8)).run(target_of(made), window, now)


class Elsewhere:
    """Does units of work as other processes would: everything that goes there or comes back is bytes."""

    def __init__(self, store: MemoryStore, keys: KeySource, scope: Scope) -> None:
        self._store = store
        self._keys = keys
        self._scope = msgspec.msgpack.encode(scope)

    async def do(self, task: Task, answer: type[T]) -> T:
        return msgspec.msgpack.decode(await self._work(msgspec.msgpack.encode(task)), type=answer)

    async def _work(self, task: bytes) -> bytes:
        async def keys(region: str) -> RegionKeys:
            return self._keys.region(region)

        tools = make_tools(self._store, RateLimiter(8), keys)
        scope = msgspec.msgpack.decode(self._scope, type=Scope)
        return msgspec.msgpack.encode(await perform(msgspec.msgpack.decode(task, type=Task), scope, tools))


async def folded(
    store: MemoryStore, keys: KeySource, made: World, window: Interval, now: datetime, chance: random.Random
) -> Outcome:
    """Plan here; prove, reconcile and settle elsewhere, in any order; fold here, in any order."""
    plan = await discover(store, target_of(made))
    elsewhere = Elsewhere(store, keys, Scope(window, now))
    assert not plan.unlisted
    sites = list(plan.sites)
    results = await parts_of(sites, elsewhere, window, chance)
    proven = {chain for result in results for chain in result.trails}
    reports = [report for result in results for report in result.chains]
    results += await parts_of(list(further(target_of(made), sites, proven, reports)), elsewhere, window, chance)
    chance.shuffle(results)
    return Outcome(
        chains_in_order(chain for result in results for chain in result.chains),
        FindingSet(result.findings for result in results).freeze(),
        window,
        keys=tuple({key for result in results for key in result.keys}),
        bytes_hashed=sum(result.bytes_hashed for result in results),
    )


async def parts_of(
    regions: list[AccountRegion], elsewhere: Elsewhere, window: Interval, chance: random.Random
) -> list[RegionResult]:
    """All stages of some account-regions, the units of each stage in any order."""

    async def shuffled(calls: list[Callable[[], Awaitable[T]]]) -> list[T]:
        order = list(range(len(calls)))
        chance.shuffle(order)
        answers = {index: await calls[index]() for index in order}
        return [answers[index] for index in range(len(calls))]

    proven = await shuffled([partial(elsewhere.do, Prove(region), ProvenChains) for region in regions])
    batches = [(index, batch) for index, item in enumerate(proven) for batch in cut(item, window)]
    parts = await shuffled([partial(elsewhere.do, Reconcile(batch), LogResult) for _, batch in batches])
    held: list[list[LogResult]] = [[] for _ in proven]
    for (index, _), part in zip(batches, parts, strict=True):
        held[index].append(part)
    return await shuffled(
        [partial(elsewhere.do, Settle(item, tuple(own)), RegionResult) for item, own in zip(proven, held, strict=True)]
    )


def both(made: World, window: Interval, now: datetime, seed: int) -> tuple[str, str]:
    keys, store = VectorKeys(made), MemoryStore(made.buckets)
    one = asyncio.run(whole(store, keys, made, window, now))
    other = asyncio.run(folded(store, keys, made, window, now, random.Random(seed)))
    return report_of(one), report_of(other)


@pytest.mark.parametrize("references", [1, 3, 6_000])
@pytest.mark.parametrize("name", VECTORS)
def test_any_vector_is_the_same_whole_and_folded(monkeypatch: pytest.MonkeyPatch, name: str, references: int) -> None:
    monkeypatch.setattr(cut_module, "REFERENCES_AT_ONCE", references)
    monkeypatch.setattr(cut_module, "MANY_A_DAY", 0 if references == 3 else 10_000)
    made = world.build(vector.load(VECTORS[name]))
    asked = made.vector.run
    window = Interval(asked.start or made.start, asked.end or made.end)
    one, other = both(made, window, asked.now or made.now, references)
    assert one == other


def test_two_days_cut_at_every_hour_count_each_log_and_each_gap_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut by time, digests and logs at the seams were counted twice, and a gap over a seam was told twice."""
    monkeypatch.setattr(cut_module, "REFERENCES_AT_ONCE", 2)
    lost = [{"do": "delete", "key": f"{{digest {hour}}}"} for hour in (11, 12, 13, 23, 24, 25)]
    trail = {"hours": 48, "logs_per_hour": 2, "late_logs": 3}
    made = world.build(vector.of(trail=trail, edits=lost))
    window = Interval(made.start, made.end)
    one, other = both(made, window, made.now, 1)
    assert one == other
    report = msgspec.json.decode(one)
    (standard,) = (chain for chain in report["chains"] if chain["kind"] == "standard" and chain["region"] == REGION)
    assert (standard["digests"]["valid"], standard["digests"]["missing"]) == (42, 2)  # one known to be lost a hole
    assert standard["logs"]["valid"] == 2 * 42
    assert [gap["rule"] for gap in standard["gaps"]] == ["gap-broken", "gap-broken"]


def test_a_key_missing_from_the_file_is_made_up_for_by_successors_however_the_logs_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key that was in use for twelve hours is not in the file: its digests are proven by their successors alone."""
    monkeypatch.setattr(cut_module, "REFERENCES_AT_ONCE", 2)
    trail = {"hours": 36, "logs_per_hour": 2, "key_rotation_hours": 12}
    made = world.build(
        vector.of(
            trail=trail,
        )
    )
    made = replace(made, published=tuple(key for key in made.published if key != made.published[1]))
    window = Interval(made.start + timedelta(hours=1), made.end)
    one, other = both(made, window, made.now, 2)
    assert one == other
    report = msgspec.json.decode(one)
    assert {finding["rule"] for finding in report["findings"]} == {"digest-key-unknown"}
    assert all(not chain["gaps"] for chain in report["chains"])


REGION = "us-east-1"
