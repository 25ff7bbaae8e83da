"""A run from a target to an outcome: all account-regions, what is missing of them, and the end before the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import Cause, Interval, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import ExpectedPlace, Target
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.runtime.limits import RateLimiter
from tests.engine.memory import MemoryStore, VectorKeys
from tests.engine.stages_kit import TRAIL, clean, edited
from tests.scenarios import vector, world
from tests.scenarios.world import World


class Stopping:
    """Stop the run when so many objects have been looked at."""

    def __init__(self, after: int) -> None:
        self.engine: Engine | None = None
        self._left = after

    def finding(self, _: object) -> None:
        """Nothing."""

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:  # the protocol's
        self._left -= 1
        if not self._left and self.engine is not None:
            self.engine.stop()


def run(
    of: World, target: Target | None = None, *, stop_after: int = 0, **failing: StoreError
) -> tuple[Outcome, Watch]:
    async def go() -> tuple[Outcome, Watch]:
        store, stopping = MemoryStore(of.buckets), Stopping(stop_after)
        store.failing.update(failing)
        watch = Watch(None, stopping)
        engine = stopping.engine = Engine(store, VectorKeys(of), watch, RateLimiter(8))
        asked = target or Target(of.spec.bucket, None)
        return await engine.run(asked, Interval(of.start, of.end), of.now), watch

    return asyncio.run(go())


def rules_of(outcome: Outcome) -> set[str]:
    return {rule for rule, _, _ in outcome.findings.numbers}


ORGANIZATION = {**TRAIL, "accounts": ["111122223333", "444455556666"], "organization_id": "o-exampleorgid"}


def test_every_account_region_is_validated_and_progress_comes_to_its_end() -> None:
    of = world.build(vector.of(trail=ORGANIZATION))
    outcome, watch = run(of)
    assert {(chain.chain.account, chain.chain.region) for chain in outcome.chains} == {
        ("111122223333", "us-east-1"),
        ("444455556666", "us-east-1"),
    }
    assert rules_of(outcome) == set()
    progress = watch.progress
    assert (progress.phase, progress.regions_done, progress.regions_known) == ("done", 2, 2)
    assert progress.objects_done == progress.objects_known
    assert progress.listing_done


def test_a_region_that_proven_digests_show_to_be_missing_is_absent() -> None:
    """A digest away from its home region was written by a trail that writes in every region."""
    trail = {"hours": 1, "regions": ["us-east-1", "eu-west-1"], "multi_region": True, "logs_per_hour": 0}
    of = world.build(vector.of(trail=trail))
    kept = {key: item for key, item in of.buckets[of.spec.bucket].items() if "/sa-east-1/" not in key}
    assert len(kept) < len(of.buckets[of.spec.bucket])
    assert rules_of(run(of)[0]) == set()
    outcome, watch = run(replace(of, buckets={of.spec.bucket: kept}))
    absent = [finding.region for finding in outcome.findings.kept if finding.rule == rules.CHAIN_ABSENT]
    assert absent == ["sa-east-1"]
    assert watch.progress.regions_done == watch.progress.regions_known


def test_what_is_expected_and_is_not_there_is_said() -> None:
    target = Target(
        clean().spec.bucket, None, expect=(ExpectedPlace("444455556666"), ExpectedPlace("111122223333", "eu-west-1"))
    )
    outcome, _ = run(clean(), target)
    absent = {(item.account, item.region) for item in outcome.findings.kept if item.rule == rules.CHAIN_ABSENT}
    assert {account for account, _ in absent} == {"444455556666", "111122223333"}
    assert ("111122223333", "eu-west-1") in absent


def test_where_nothing_can_be_listed_the_run_fails() -> None:
    failing: dict[str, Any] = {"AWSLogs/": StoreError(Cause.ACCESS_DENIED, "no")}
    with pytest.raises(StoreError, match="access-denied"):
        run(clean(), **failing)


def test_where_a_part_cannot_be_listed_that_is_a_finding_and_the_rest_is_validated() -> None:
    of = world.build(vector.of(trail=ORGANIZATION))
    failing: dict[str, Any] = {
        "AWSLogs/o-exampleorgid/444455556666/CloudTrail-Digest/us-east-1/": StoreError(Cause.ACCESS_DENIED, "no")
    }
    outcome, _ = run(of, **failing)
    assert [(item.account, item.cause) for item in outcome.findings.kept if item.rule == rules.DIGEST_UNREADABLE] == [
        ("444455556666", Cause.ACCESS_DENIED)
    ]
    covered = {chain.chain.account for chain in outcome.chains if chain.covered}
    assert covered == {"111122223333"}


def test_a_run_that_is_stopped_tells_what_it_found_and_judges_nothing() -> None:
    of = edited({"do": "delete", "key": "{log 1.0}"})
    outcome, _ = run(of, stop_after=6)  # all digests of the chain, and a first log
    assert outcome.interrupted
    assert not rules_of(outcome) & {rules.GAP_BROKEN, rules.GAP_TAIL, rules.CHAIN_ABSENT}
    assert all(chain.unfinished or not chain.gaps for chain in outcome.chains)


def test_one_part_of_a_run_does_not_say_what_the_others_lack() -> None:
    target = Target(clean().spec.bucket, None, expect=(ExpectedPlace("444455556666"),))

    async def go(*, whole: bool) -> Outcome:
        engine = Engine(MemoryStore(clean().buckets), VectorKeys(clean()), Watch(), RateLimiter(8))
        return await engine.run(target, Interval(clean().start, clean().end), clean().now, whole=whole)

    assert rules.CHAIN_ABSENT in rules_of(asyncio.run(go(whole=True)))
    assert asyncio.run(go(whole=False)).empty == ()
