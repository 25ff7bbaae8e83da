"""Where a chain goes on in another folder: a proven digest's link says so, and nothing that anybody may plant."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudtrail_validate.core.chain import Link, Prover
from cloudtrail_validate.core.digest import Evidence
from cloudtrail_validate.core.model import Finding, Interval
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.listing import Finder
from cloudtrail_validate.engine.seams import Seams
from tests.engine.memory import VectorKeys
from tests.engine.stages_kit import Region
from tests.scenarios import vector, world
from tests.scenarios.world import World

ORGANIZATION = "o-exampleorgid"
TRAIL: dict[str, Any] = {"hours": 8, "regions": ["us-east-1"], "multi_region": False}
MOVED = {**TRAIL, "moves": [{"hour": 4, "organization_id": ORGANIZATION}]}


def seams_of(made: World, first: int = 0, last: int = 8) -> list[tuple[str | None, str | None]]:
    """The organization ids of what goes on where, seen from a window of those hours."""

    async def find() -> list[tuple[str | None, str | None]]:
        kit = Region(made, target=Target(made.spec.bucket, None))
        region = await kit.region()
        hours = made.end - made.start
        window = Interval(made.start + hours * first / 8, made.start + hours * last / 8)
        found = await Finder(kit.store, region, window, made.now).find()
        keys = await kit.tools.keys(region.region)
        seams = Seams(region, found.selected, window, kit.store, kit.reader, keys)
        return [(item.older.organization_id, item.newer.organization_id) for item in await seams.find()]

    return asyncio.run(find())


def built(*edits: dict[str, Any], **trail: Any) -> World:
    return world.build(vector.of(trail={**MOVED, **trail}, edits=list(edits)))


@pytest.mark.parametrize(("first", "last"), [(0, 8), (3, 5), (6, 8), (4, 8), (0, 3)], ids=str)
def test_a_link_is_found_wherever_the_window_lies(first: int, last: int) -> None:
    assert seams_of(built(), first, last) == [(None, ORGANIZATION)]


def test_a_trail_that_was_turned_back_goes_on_twice() -> None:
    moves = [{"hour": 3, "organization_id": ORGANIZATION}, {"hour": 6, "organization_id": ""}]
    assert set(seams_of(built(moves=moves))) == {(None, ORGANIZATION), (ORGANIZATION, None)}


def test_a_lost_signature_at_the_seam_is_what_the_successor_quotes() -> None:
    lost = {"do": "metadata", "key": "{digest 5}", "set": {"signature": None}}
    assert seams_of(built(lost)) == [(None, ORGANIZATION)]


@pytest.mark.parametrize(
    "edit",
    [
        {"do": "delete", "key": "{digest 5}"},
        {"do": "truncate", "key": "{digest 5}", "bytes": 60},
        {"do": "copy", "key": "{digest 5}", "source": "{digest 7}"},
        {"do": "replace", "key": "{digest 5}", "old": '"logFiles"', "new": '"x":1,"logFiles"'},
    ],
    ids=lambda edit: str(edit["do"]),
)
def test_what_is_not_proven_joins_nothing(edit: dict[str, Any]) -> None:
    assert seams_of(built(edit)) == []


def test_what_no_key_proves_is_judged_in_proportion_to_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A year has 8,760 digests: judged anew with every four that were read, they took half a minute."""
    hours, steps = 100, 0
    step = Prover.step

    def counted(self: Prover, evidence: Evidence) -> tuple[Link, tuple[Finding, ...]]:
        nonlocal steps
        steps += 1
        return step(self, evidence)

    monkeypatch.setattr(Prover, "step", counted)
    monkeypatch.setattr(VectorKeys, "region", lambda *_: RegionKeys({}, issuer=True))
    assert seams_of(built(hours=hours)) == []
    assert hours / 2 < steps < 4 * hours


def test_trails_of_one_name_that_were_never_one() -> None:
    beside = {"own": {**TRAIL, "seed": 3}}
    made = world.build(vector.of(trail={**TRAIL, "organization_id": ORGANIZATION}, beside=beside))
    assert seams_of(made) == []
