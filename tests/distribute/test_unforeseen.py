"""Several trails in one bucket, one of which has no digest of the window in a region: parts say no more than is known.

Trail `other` writes in both regions. Its digests in us-gov-east-1 show that, while in us-gov-west-1 there are only those of
`mgmt` in the window. Whether the chain of `other` begins later there, has ended long ago or never was is for a look at the
folder to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace as with_fields

from cloudtrail_validate import Report, Request, run
from cloudtrail_validate.core.errors import ConfigurationError, StoreError
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import Cause, Interval, ObjectInfo
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.shards import Shard
from cloudtrail_validate.distribute.parts import Part, ShardPlan, merge
from cloudtrail_validate.distribute.unforeseen import Beyond
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.engine.stages import Scope
from cloudtrail_validate.report.build import build
from cloudtrail_validate.report.json import render
from cloudtrail_validate.runtime.limits import RateLimiter
from tests.distribute.test_vectors_in_parts import merged, part_of
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.engine.test_folding import report_of, whole
from tests.scenarios import keys, vector, world
from tests.scenarios.stores import in_folder
from tests.scenarios.world import World

ACCOUNTS = ("111122223333", "444455556666")
EAST, WEST = "us-gov-east-1", "us-gov-west-1"
LATER = {"start": "2026-01-03T00:00:00Z", "hours": 2}
LONG_AGO = {"start": "2025-11-20T00:00:00Z", "hours": 2}  # six weeks: a look for any trail reaches back five
STRAY = {"do": "put", "key": "{digests}2026/01/01/notes.json.gz", "text": "{}"}
CASES: dict[str, tuple[dict[str, Any] | None, list[dict[str, Any]], str]] = {
    "later": (LATER, [], "gap-late-start"),
    "long-ago": (LONG_AGO, [], "gap-tail"),
    "never": (None, [], "chain-absent"),
    "later-and-a-stray": (LATER, [STRAY], "gap-late-start"),
}


def built(case: str, accounts: tuple[str, ...] = ACCOUNTS) -> World:
    """Two trails of an organization, of which one has no digest of the window in one region."""
    times, edits, _ = CASES[case]
    both = {"regions": [WEST, EAST], "organization_id": "o-exampleorg1", "accounts": list(accounts)}
    other = {**both, "trail_name": "other", "seed": 4}
    roles = ["digest 0", "digest 1", "digest 2", "digest 3", "log 1.0", "log 2.0", "log 3.0"]
    gone = [{"do": "delete", "key": f"{{{role}@{WEST}@{account}#other}}"} for account, role in product(accounts, roles)]
    beside = {"other": {**other, "hours": 3}}
    if times is not None:
        beside["elsewhen"] = {**other, **times, "seed": 5}
    return world.build(
        vector.of(trail={**both, "hours": 3, "trail_name": "mgmt"}, beside=beside, edits=[*gone, *edits])
    )


def window_of(made: World) -> Interval:
    return Interval(made.start, made.end)


def in_one(made: World, store: MemoryStore | None = None) -> Outcome:
    held = store or MemoryStore(made.buckets)
    return asyncio.run(whole(held, VectorKeys(made), made, window_of(made), made.now))


def in_parts(made: World, total: int, **how: Any) -> list[Part]:
    shards = [Shard(number, total) for number in range(1, total + 1)]
    return [asyncio.run(part_of(made, window_of(made), made.now, shard, **how)) for shard in shards]


def rules_of(outcome: Outcome) -> set[tuple[str, str | None, str | None]]:
    return {(finding.rule, finding.region, finding.trail) for finding in outcome.findings.kept}


@pytest.mark.parametrize("total", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_parts_that_hear_of_the_trail_look_for_it_as_one_process_does(case: str, total: int) -> None:
    """With two parts, each holds both regions of an account."""
    made = built(case)
    one = in_one(made)
    assert (CASES[case][2], WEST, "other") in rules_of(one)
    assert report_of(merged(in_parts(made, total))) == report_of(one)


def test_a_stray_is_told_once_however_many_trails_are_looked_for_beside_it() -> None:
    outcome = in_one(built("later-and-a-stray"))
    assert [finding.rule for finding in outcome.findings.kept].count("digest-malformed") == 1
    assert sum(report.digests.altered for report in outcome.chains) == 1


def test_a_trail_of_which_a_part_heard_nothing_and_that_begins_later_is_unproven_and_not_absent() -> None:
    """With as many parts as account-regions, those of us-gov-west-1 hear nothing of the trail."""
    made = built("later")
    outcome = merged(in_parts(made, 4))
    assert rules_of(outcome) == {("digest-unreadable", WEST, "other")}
    report = msgspec.json.decode(report_of(outcome))
    assert (report["verdict"], report["exit_code"]) == ("unproven", 3)
    assert len(report["findings"]) == len(ACCOUNTS)
    assert all("--trail-arn" in finding["message"] for finding in report["findings"])
    left = [chain for chain in report["chains"] if chain["region"] == WEST and chain["trail"] == "other"]
    assert [chain["unfinished"] for chain in left] == [True] * len(ACCOUNTS)


def test_a_trail_of_which_a_part_heard_nothing_and_that_has_no_later_digest_is_absent() -> None:
    made = built("never")
    assert report_of(merged(in_parts(made, 4))) == report_of(in_one(made))


def test_later_digests_that_cannot_be_listed_leave_it_unproven() -> None:
    made = built("never")

    class Failing(MemoryStore):
        """Answers each listing but those without an end, once, as a store in trouble does."""

        async def scan(
            self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
        ) -> AsyncIterator[Sequence[ObjectInfo]]:
            if before is None and after.startswith(f"{prefix}2026/01/01"):
                raise StoreError(Cause.THROTTLED, "slow down")
            async for page in super().scan(bucket, prefix, after=after, before=before):
                yield page

    parts = [
        asyncio.run(part_of(made, window_of(made), made.now, Shard(number, 4), Failing(made.buckets)))
        for number in (1, 2, 3, 4)
    ]
    assert rules_of(merged(parts)) == {("digest-unreadable", WEST, "other")}


@pytest.mark.parametrize("case", CASES)
def test_a_part_that_has_not_looked_is_read_and_accuses_nobody(case: str) -> None:
    made = built(case)
    found = rules_of(merged(in_parts(made, 2, looks=False)))
    assert {item for item in found if item[2] == "other"} == {("digest-unreadable", WEST, "other")}


def test_what_a_part_has_found_is_left_out_where_all_parts_know_better() -> None:
    """Alone, a part of one region does not see that the trail goes on in a region of another part."""
    made = built("later")
    parts = in_parts(made, 2)
    assert all(part.beyond is not None and part.beyond.results for part in parts)
    clean = world.build(with_fields(made.vector, edits=()))  # every digest in its place
    others = in_parts(clean, 2)
    swapped = [with_fields(part, beyond=more.beyond) for part, more in zip(others, parts, strict=True)]
    assert report_of(merged(swapped)) == report_of(in_one(clean))


def test_a_part_whose_look_beyond_was_of_no_folder_is_refused() -> None:
    (part,) = in_parts(built("later"), 1)
    assert part.beyond is not None
    (first, *_) = part.beyond.results
    nowhere = with_fields(first, region=with_fields(first.region, folders=()))
    with pytest.raises(ConfigurationError, match="has no folder"):
        merged([with_fields(part, beyond=with_fields(part.beyond, results=(nowhere,)))])


def test_a_part_that_is_stopped_while_it_looks_has_not_looked() -> None:
    made = built("later")

    class Hanging(MemoryStore):
        """Never answers a listing."""

        async def scan(
            self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
        ) -> AsyncIterator[Sequence[ObjectInfo]]:
            await asyncio.Event().wait()
            async for page in super().scan(bucket, prefix, after=after, before=before):
                yield page

    async def stopped() -> Beyond | None:
        keys_, limiter, plan = VectorKeys(made), RateLimiter(8), ShardPlan(Shard(1, 2), None)
        engine = Engine(MemoryStore(made.buckets), keys_, Watch(), limiter)
        await engine.run(target_of(made), window_of(made), made.now, plan, whole=False)
        engine.stop()
        scope = Scope(window_of(made), made.now)
        return await plan.look_beyond(engine, target_of(made), scope, Hanging(made.buckets), limiter, keys_)

    assert asyncio.run(stopped()) is None


def test_an_interrupted_part_calls_nothing_absent() -> None:
    made = built("never")
    one, two = in_parts(made, 2)
    broken = with_fields(two, interrupted=True, results=(), beyond=None)
    found = rules_of(merged([one, broken]))
    assert not any("chain-absent" in item for item in found)
    assert ("digest-unreadable", None, None) in found


@pytest.mark.parametrize("total", [1, 2])
def test_an_account_whose_folders_could_not_be_listed_is_looked_into_before_anything_is_called_absent(
    total: int,
) -> None:
    """The listing of an account's regions failed for a moment: what lies there is found by looking for each region."""
    made = world.build(
        vector.of(
            trail={
                "regions": [WEST, EAST],
                "organization_id": "o-exampleorg1",
                "accounts": list(ACCOUNTS),
                "hours": 3,
                "logs_per_hour": {EAST: 1, WEST: 0},
            }
        )
    )

    def failing() -> MemoryStore:
        store = MemoryStore(made.buckets)
        folder = f"AWSLogs/o-exampleorg1/{ACCOUNTS[0]}/CloudTrail-Digest/"
        store.failing[folder] = StoreError(Cause.THROTTLED, "slow down")
        return store

    one = in_one(made, failing())
    assert not any("chain-absent" in found for found in rules_of(one))
    parts = [
        asyncio.run(part_of(made, window_of(made), made.now, Shard(number, total), failing()))
        for number in range(1, total + 1)
    ]
    assert report_of(merged(parts)) == report_of(one)


def test_the_parts_of_a_bucket_with_two_trails_say_what_one_run_says(tmp_path: Path) -> None:
    made = built("later")
    in_folder(made, tmp_path / "trail", sidecars=True)
    listed = keys.listed(made.vector.keys, made.published, made.spec)
    (tmp_path / "keys.json").write_text(listed.as_json())
    asked = Request(made.start, made.end, source=tmp_path / "trail", public_keys=tmp_path / "keys.json")
    alone = run(asked, now=made.now).report
    ran = [run(replace(asked, shard=f"{number}/2"), now=made.now) for number in (1, 2)]
    assert all(("other", WEST) not in {(chain.trail, chain.region) for chain in one.report.chains} for one in ran)
    outcome, first = merge([(str(part.shard), part) for part in (one.part for one in ran) if part is not None])
    assert without_times(build(outcome, first.request, first.run)) == without_times(alone)


def without_times(report: Report) -> dict[str, Any]:
    document = msgspec.json.decode(render(report))
    for varying in ("run", "relied_on"):
        document.pop(varying, None)
    assert isinstance(document, dict)
    return document
