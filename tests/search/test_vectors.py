"""On the trail of every vector a search changes nothing about the validation, reads nothing twice, and agrees with it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.search.event import Event
from cloudtrail_validate.search.hits import Hit
from cloudtrail_validate.search.query import Query
from cloudtrail_validate.search.search import Searcher
from cloudtrail_validate.session import Session
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.engine.test_folding import VECTORS, report_of
from tests.scenarios import vector, world
from tests.scenarios.world import World

OF_LOGS = {rules.LOG_ALTERED, rules.LOG_MALFORMED, rules.LOG_TRAILING_DATA}
UNNAMED = {rules.LOG_EXTRA, rules.LOG_UNDIGESTED, rules.LOG_PENDING}


class Hits(list[Hit]):
    """All of them."""

    def add(self, hit: Hit, _: Event) -> None:
        self.append(hit)


async def run(made: World, searcher: Searcher | None) -> tuple[Outcome, MemoryStore]:
    store, keys, limiter = MemoryStore(made.buckets), VectorKeys(made), RateLimiter(8)
    asked = made.vector.run
    watch = Watch(None, searcher, searcher)
    if searcher is not None:
        searcher.adapt(Session(store, keys, target_of(made), limiter))
    window = Interval(asked.start or made.start, asked.end or made.end)
    outcome = await Engine(store, keys, watch, limiter).run(target_of(made), window, asked.now or made.now)
    before = list(store.asked)
    if searcher is not None:
        await searcher.conclude(outcome)
        searcher.finish()
        store.asked = before
    return outcome, store


@pytest.mark.parametrize("name", VECTORS)
def test_a_search_agrees_with_the_validation(name: str) -> None:
    made = world.build(vector.load(VECTORS[name]))
    hits = Hits()
    alone, read_alone = asyncio.run(run(made, None))
    outcome, read = asyncio.run(run(made, Searcher(Query(), hits)))
    assert report_of(outcome) == report_of(alone)
    assert Counter(read.asked) == Counter(read_alone.asked)
    found: dict[str, set[str]] = {}
    for finding in outcome.findings.kept:
        if finding.where is not None:
            found.setdefault(finding.where.key, set()).add(finding.rule)
    for hit in hits:
        own = found.get(hit.proof.log, set())
        if hit.proof.proven:
            assert "/CloudTrail-Digest/" in hit.proof.digest
            assert not own & UNNAMED
        else:
            assert hit.proof.rule in own
    wrong = {key for key, own in found.items() if own & OF_LOGS}
    named_twice = {hit.proof.log for hit in hits if hit.proof.proven} & wrong
    assert all(len({hit.proof.status for hit in hits if hit.proof.log == key}) == 2 for key in named_twice)
    proven = [(hit.proof.log, hit.event.id) for hit in hits if hit.proof.proven]
    valid = sum(one.logs.valid for one in outcome.chains)
    assert (len({log for log, _ in proven}), len(set(proven))) == (valid, len(proven))
