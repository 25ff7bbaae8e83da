"""Units of work: each comes through bytes as it was, and is told from the others."""

from __future__ import annotations

import asyncio
from types import ModuleType

import msgspec
import pytest

from cloudtrail_validate.engine.cut import cut
from cloudtrail_validate.engine.stages import LogResult, ProvenChains, RegionResult
from cloudtrail_validate.engine.tasks import Answer, Audit, Prove, Reconcile, Settle, Task, perform
from tests.engine.stages_kit import Region, clean


async def _tasks(region: Region) -> dict[str, tuple[Task, type]]:
    site, proven = await region.region(), await region.prove()
    parts = tuple(await region.reconcile(proven))
    return {
        "Audit": (Audit(site), RegionResult),
        "Audit of digests": (Audit(site, 1), ProvenChains),
        "Prove": (Prove(site), ProvenChains),
        "Reconcile": (Reconcile(cut(proven, region.scope.window)[0]), LogResult),
        "Settle": (Settle(proven, parts), RegionResult),
    }


@pytest.mark.parametrize("name", ["Audit", "Audit of digests", "Prove", "Reconcile", "Settle"])
@pytest.mark.parametrize("codec", [msgspec.msgpack, msgspec.json])
def test_a_task_and_its_answer_come_through_bytes(name: str, codec: ModuleType) -> None:
    encode, decode = codec.encode, codec.decode

    async def run() -> tuple[Task, Answer, type]:
        region = Region(clean())
        task, kind = (await _tasks(region))[name]
        again = decode(encode(task), type=Task)
        assert again == task
        assert type(again) is type(task)
        return task, await perform(again, region.scope, region.tools), kind

    _, answer, kind = asyncio.run(run())
    assert isinstance(answer, kind)
    assert decode(encode(answer), type=Answer) == answer
