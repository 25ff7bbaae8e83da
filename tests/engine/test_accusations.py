"""Nobody is accused wrongly, and nothing planted is passed over: whole runs over histories drawn from a seed.

Every log of these histories is CloudTrail's, whatever became of it: trails that share the folder, restarts, lost digests,
late logs, and objects that were written again. So no finding may call one extra. In every second history a file is planted.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import HOUR, Finding, Interval
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.simulate import Delivery, Role
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.scenarios import vector, world
from tests.scenarios.world import World

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SEEDS = range(80)
TOLD = {rules.LOG_EXTRA, rules.LOG_UNDIGESTED, rules.LOG_PENDING}


@dataclass(frozen=True, slots=True)
class History:
    """A world, what is asked of it, and the key that was planted, if one was."""

    made: World
    window: Interval
    now: datetime
    dated: bool
    named: bool
    planted: str | None


def draw(seed: int) -> History:
    rng = random.Random(seed)
    hours = rng.choice([8, 14, 30])
    made = world.build(vector.of(trail=main_trail(rng, hours), beside=second_trail(rng, hours)))
    objects = made.buckets[made.spec.bucket]
    standard = [key for key, item in objects.items() if item.role is Role.DIGEST and "_backfill" not in key]
    for key in rng.sample(standard, rng.choice([0, 0, 1, 2])):
        del objects[key]
    write_again(rng, objects, START + rng.randrange(hours * 60) * MINUTE)
    first = rng.randrange(-2, hours - 1)
    last = first + rng.randrange(1, hours - first + 2)
    window = Interval(START + first * HOUR + rng.choice([0, 0, 17]) * MINUTE, START + last * HOUR)
    now = max(window.end, made.spec.end + rng.choice([40 * MINUTE, HOUR, 3 * HOUR, timedelta(days=40)]))
    planted = plant(rng, objects, window, now) if rng.random() < 0.5 else None
    return History(made, window, now, rng.random() < 0.7, rng.random() < 0.5, planted)


def main_trail(rng: random.Random, hours: int) -> dict[str, Any]:
    trail: dict[str, Any] = {"trail_name": "mgmt", "hours": hours, "logs_per_hour": rng.choice([1, 2])}
    if rng.random() < 0.5:
        trail["late_logs"] = rng.choice([2, 3, 5])
    if hours > 8 and rng.random() < 0.4:
        trail["restarts"] = [[rng.randrange(2, hours - 5), rng.choice([0, 1, 2])]]
    return trail | ({"pending": 2} if rng.random() < 0.3 else {})


def second_trail(rng: random.Random, hours: int) -> dict[str, dict[str, Any]]:
    """In the same folder: it may begin and end at another time, at other minutes, and restart."""
    if rng.random() < 0.3:
        return {}
    trail: dict[str, Any] = {"trail_name": "other", "seed": 7, "hours": rng.choice([3, 6, hours])}
    trail["offset_seconds"] = rng.choice([0, 0, 60, 1620, 3000])
    if rng.random() < 0.4:
        trail["start"] = START + rng.randrange(hours) * HOUR
    if rng.random() < 0.4:
        trail["late_logs"] = 2
    if trail["hours"] > 7 and rng.random() < 0.4:
        trail["restarts"] = [[rng.randrange(2, trail["hours"] - 4), rng.choice([0, 1, 2])]]
    return {"other": trail}


def write_again(rng: random.Random, objects: dict[str, Delivery], moment: datetime) -> None:
    """Some objects, all of them, or half of the logs get a new LastModified, as replication or encryption gives them."""
    which = rng.choice(["none", "some", "all", "logs"])
    for key, item in list(objects.items()):
        chance = {"none": 0.0, "some": 0.3, "all": 1.0, "logs": 0.5 * (item.role is Role.LOG)}[which]
        if rng.random() < chance:
            objects[key] = replace(item, delivered=max(item.delivered, moment))


def plant(rng: random.Random, objects: dict[str, Delivery], window: Interval, now: datetime) -> str:
    minute = window.start + rng.randrange(int((window.end - window.start) / MINUTE)) * MINUTE
    name = f"111122223333_CloudTrail_us-east-1_{minute:%Y%m%dT%H%MZ}_PLANTEDPLANTED00.json.gz"
    key = f"AWSLogs/111122223333/CloudTrail/us-east-1/{minute:%Y/%m/%d}/{name}"
    some = next(item for item in objects.values() if item.role is Role.LOG)
    objects[key] = replace(some, key=key, delivered=rng.choice([minute, minute + MINUTE, now]))
    return key


def findings(history: History) -> tuple[Finding, ...]:
    store = MemoryStore(history.made.buckets)
    store.dated = history.dated
    target = target_of(history.made)
    if history.named:
        target = msgspec.structs.replace(target, trail="mgmt", home_region="us-east-1", owner="111122223333")
    engine = Engine(store, VectorKeys(history.made), Watch(), RateLimiter(8))
    return tuple(asyncio.run(engine.run(target, history.window, history.now)).findings.kept)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_log_of_cloudtrails_is_called_extra_and_nothing_planted_is_passed_over(seed: int) -> None:
    history = draw(seed)
    found = findings(history)
    accused = {item.where.key for item in found if item.rule == rules.LOG_EXTRA and item.where}
    assert accused <= {history.planted}
    if history.planted is not None:
        (told,) = (item.rule for item in found if item.where and item.where.key == history.planted)
        assert told in TOLD


def test_the_histories_bring_about_all_that_may_be_said_of_a_planted_file() -> None:
    """Else the test above would hold of things that never happen."""
    said = set()
    for history in map(draw, SEEDS):
        if history.planted:
            said |= {item.rule for item in findings(history) if item.where and item.where.key == history.planted}
    assert said == TOLD
