"""The cut of the log phase: every key of an account-region belongs to one batch, however often digests name it."""

from __future__ import annotations

import asyncio
import random

import pytest

from cloudtrail_validate.core.coverage import NAME_SLACK
from cloudtrail_validate.core.layout import log_bound
from cloudtrail_validate.core.model import HOUR, Interval
from cloudtrail_validate.engine import cut as cut_module
from cloudtrail_validate.engine.cut import cut, listed_ranges
from cloudtrail_validate.engine.routing import Router
from cloudtrail_validate.engine.stages import LogBatch, ProvenChains
from tests.engine.stages_kit import Region, clean, edited, key_of
from tests.scenarios.world import World


def batches_of(of: World) -> tuple[tuple[LogBatch, ...], Region, ProvenChains]:
    async def run() -> tuple[tuple[LogBatch, ...], Region, ProvenChains]:
        region = Region(of)
        proven = await region.prove()
        return cut(proven, region.scope.window), region, proven

    return asyncio.run(run())


@pytest.mark.parametrize("references", [1, 2, 3, 6_000])
def test_each_key_has_one_owner(monkeypatch: pytest.MonkeyPatch, references: int) -> None:
    monkeypatch.setattr(cut_module, "REFERENCES_AT_ONCE", references)
    batches, region, proven = batches_of(clean())
    router, chance = Router(proven.region, region.scope.now), random.Random(references)
    keys = [key_of(clean(), f"{{log {hour}.{number}}}") for hour in range(1, 5) for number in range(2)]
    keys += [region.place.path + "".join(chance.choices("/0129Taz_", k=20)) for _ in range(300)]
    for key in keys:
        odd = router.is_odd(region.place.path, key)
        assert sum(batch.owns(region.place, key, odd=odd) for batch in batches) == 1, key


def test_a_digest_is_in_every_batch_in_which_it_names_logs_and_in_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut_module, "REFERENCES_AT_ONCE", 2)
    batches, region, proven = batches_of(clean())
    ranges = [batch for batch in batches if not batch.odd and batch.place is not None]
    assert len(ranges) == 4  # hours of two logs each
    for digest in proven.digests:
        for reach in digest.reaches:
            held = [batch for batch in ranges if digest in batch.digests]
            assert held
            assert held[0].after <= reach.first
            assert held[-1].before is None or reach.last < held[-1].before
    assert ranges[0].after == region.place.path
    assert [batch.after for batch in ranges[1:]] == [batch.before for batch in ranges[:-1]]


def test_what_lies_in_no_date_folder_is_a_batch_of_its_own() -> None:
    batches, region, _ = batches_of(clean())
    (odd,) = (batch for batch in batches if batch.odd)
    assert (odd.place, odd.listed, odd.number) == (region.place, (), 0)


def test_keys_outside_of_the_folders_are_a_batch_without_a_place() -> None:
    named = {"do": "name", "key": "{digest 4}", "logs": ["AWSLogs/elsewhere.json.gz"]}
    put = {"do": "put", "key": "AWSLogs/elsewhere.json.gz", "text": "{}"}
    batches, _, _ = batches_of(edited(put, named))
    (elsewhere,) = (batch for batch in batches if batch.place is None)
    assert elsewhere.number == 1
    assert elsewhere.owns(None, "AWSLogs/elsewhere.json.gz", odd=False)


def test_a_folder_without_proven_digests_is_listed_all_the_same() -> None:
    """Else what lies there, and nobody names, would be seen by nobody."""
    of = edited(*({"do": "delete", "key": f"{{digest {number}}}"} for number in range(5)))
    batches, _, proven = batches_of(of)
    assert [item for item in proven.digests if item.counted and item.entry.chain.kind == "standard"] == []
    assert any(batch.listed for batch in batches)


@pytest.mark.parametrize("exact", [True, False])
def test_every_minute_of_the_window_is_listed(exact: bool) -> None:  # a parameter of the test
    _, region, _ = batches_of(clean())
    start = region.scope.window.start + 23 * HOUR  # over midnight
    window = Interval(start, start + 3 * HOUR)
    ranges = listed_ranges(region.place, window, exact=exact)
    moment = window.start - NAME_SLACK
    while moment < window.end + NAME_SLACK:
        key = f"{log_bound(region.folder, region.place.kind, moment)}Z_x.json.gz"
        assert any(low <= key < high for low, high in ranges), moment
        moment += HOUR / 12
    assert all(low <= high for low, high in ranges)
