"""All stages of one account-region in one process: whole, up to a number of logs, in several windows, or cut off."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core.model import HOUR, Counts, Interval, Kind
from cloudtrail_validate.engine.region_audit import RegionAudit, join_results, named_in
from cloudtrail_validate.engine.stages import LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tools import Tools
from tests.engine.stages_kit import Region, clean, edited


def counted(result: RegionResult) -> tuple[Counts, Counts]:
    digests = logs = Counts()
    for chain in result.chains:
        if chain.chain.kind is Kind.STANDARD:
            digests, logs = digests + chain.digests, logs + chain.logs
    return digests, logs


def test_the_audit_is_its_stages() -> None:
    async def run() -> tuple[RegionResult, RegionResult]:
        one, other = Region(clean()), Region(clean())
        audit = RegionAudit(await one.region(), one.scope, one.tools)
        return await audit.run(), await other.settle()

    audited, staged = asyncio.run(run())
    assert audited == staged


@pytest.mark.parametrize(("limit", "whole"), [(None, True), (8, False), (9, True)])
def test_an_account_region_with_more_logs_than_the_limit_is_handed_back_proven(
    limit: int | None, *, whole: bool
) -> None:
    async def run() -> RegionResult | ProvenChains:
        region = Region(clean())
        return await RegionAudit(await region.region(), region.scope, region.tools).run_up_to(limit)

    result = asyncio.run(run())
    assert isinstance(result, RegionResult) is whole
    assert whole or (isinstance(result, ProvenChains) and named_in(result) == 9)


def test_windows_are_joined_to_what_one_window_would_have_said() -> None:
    async def run() -> tuple[RegionResult, RegionResult]:
        region, start = Region(clean()), clean().start
        site = await region.region()
        halves = (Interval(start, start + 2 * HOUR), Interval(start + 2 * HOUR, start + 4 * HOUR))
        whole = await RegionAudit(site, region.scope, region.tools).run()
        return whole, await RegionAudit(replace(site, windows=halves), region.scope, region.tools).run()

    whole, joined = asyncio.run(run())
    assert counted(joined) == counted(whole) == (Counts(valid=4), Counts(valid=8))
    covered = {chain.chain.kind: chain.covered for chain in joined.chains}
    assert covered[Kind.STANDARD] == ((clean().start, clean().end),)


def test_nothing_joined_is_nothing_found() -> None:
    async def run() -> RegionResult:
        return join_results(await Region(clean()).region(), [], (), Interval(clean().start, clean().end))

    result = asyncio.run(run())
    assert (result.chains, result.findings.kept, result.unfinished) == ((), (), False)


def test_there_is_nothing_partial_before_a_digest_is_proven_and_counts_after() -> None:
    async def run() -> tuple[RegionResult | None, RegionResult | None]:
        region = Region(edited({"do": "delete", "key": "{log 2.0}"}))
        audit = RegionAudit(await region.region(), region.scope, region.tools)
        before = audit.partial()
        await audit.run()
        return before, audit.partial()

    before, after = asyncio.run(run())
    assert before is None
    assert after is not None
    assert after.unfinished
    assert counted(after) == (Counts(valid=4), Counts(valid=7, missing=1))


def test_logs_go_to_those_who_take_them() -> None:
    class Others:
        """Take all logs, and say that there was nothing."""

        taken: ProvenChains | None = None

        def takes_logs(self, number: int) -> bool:
            return number == 9

        async def reconcile(self, proven: ProvenChains, scope: Scope, tools: Tools) -> list[LogResult]:
            self.taken = proven
            empty = Region(clean())
            proven = await empty.prove()
            assert scope == empty.scope
            assert tools is not empty.tools
            return [replace(part, counts=()) for part in await empty.reconcile(proven)]

    others = Others()

    async def run() -> RegionResult:
        region = Region(clean())
        return await RegionAudit(await region.region(), region.scope, region.tools, others).run()

    assert counted(asyncio.run(run())) == (Counts(valid=4), Counts())
    assert others.taken is not None
    assert named_in(others.taken) == 9
