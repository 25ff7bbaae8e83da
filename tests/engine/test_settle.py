"""The judgement of one account-region: hours, what no digest names, and what could not be listed."""

from __future__ import annotations

import asyncio
from typing import Any

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import HOUR, Cause, ChainReport, Counts, Kind, Status
from cloudtrail_validate.engine.settle import settle, unfinished
from cloudtrail_validate.engine.stages import RegionResult
from tests.engine.stages_kit import Region, clean, edited, key_of, told
from tests.scenarios.world import World


def settled(of: World, failing: dict[str, Any] | None = None, *, late: float = 0) -> RegionResult:
    async def run() -> RegionResult:
        region = Region(of)
        region.scope = type(region.scope)(region.scope.window, of.now + late * HOUR)
        region.store.failing.update(failing or {})
        return await region.settle()

    return asyncio.run(run())


def standard(result: RegionResult) -> ChainReport:
    (report,) = (item for item in result.chains if item.chain.kind is Kind.STANDARD)
    return report


def gaps(result: RegionResult, of: World) -> list[tuple[str, float, float]]:
    return [
        (gap.rule, (gap.interval.start - of.start) / HOUR, (gap.interval.end - of.start) / HOUR)
        for gap in standard(result).gaps
    ]


def test_a_whole_trail_covers_its_window() -> None:
    of = clean()
    result = settled(of)
    report = standard(result)
    assert report.covered == ((of.start, of.end),)
    assert (report.digests, report.logs, report.gaps) == (Counts(valid=4), Counts(valid=8), ())
    assert result.findings.kept == ()
    assert {chain.trail for chain in result.trails} == {of.spec.trail_name}


def test_the_hour_of_a_lost_digest_is_a_gap_in_which_its_logs_lie() -> None:
    of = edited({"do": "delete", "key": "{digest 2}"})
    result = settled(of)
    assert gaps(result, of) == [(rules.GAP_BROKEN, 1, 2)]
    assert standard(result).gaps[0].undigested_logs == 2
    assert standard(result).digests == Counts(valid=3, missing=1)
    found = [rule for rule, _ in told(result.findings)]
    assert sorted(found) == sorted([rules.DIGEST_MISSING, rules.GAP_BROKEN, rules.LOG_UNDIGESTED, rules.LOG_UNDIGESTED])


def test_the_newest_digest_is_pending_until_it_is_due() -> None:
    of = edited({"do": "delete", "key": "{digest 4}"})
    assert gaps(settled(of), of) == []
    assert gaps(settled(of, late=3), of) == [(rules.GAP_TAIL, 3, 4)]


def test_a_planted_log_is_accused_where_all_hours_are_proven() -> None:
    planted = key_of(clean(), "{log 2.0}").replace("_CloudTrail_us-east-1_", "_CloudTrail_us-east-1_", 1)
    planted = planted[: -len("0123456789abcdef.json.gz")] + "AAAAAAAAAAAAAAAA.json.gz"
    result = settled(edited({"do": "copy", "source": "{log 2.0}", "key": planted}))
    assert told(result.findings) == [(rules.LOG_EXTRA, planted)]
    assert standard(result).logs == Counts(valid=8, extra=1)


def test_the_same_log_beside_a_gap_is_nobodys() -> None:
    planted = key_of(clean(), "{log 2.0}")[: -len("0123456789abcdef.json.gz")] + "AAAAAAAAAAAAAAAA.json.gz"
    result = settled(
        edited({"do": "copy", "source": "{log 2.0}", "key": planted}, {"do": "delete", "key": "{digest 2}"})
    )
    assert (rules.LOG_UNDIGESTED, planted) in told(result.findings)
    assert rules.LOG_EXTRA not in [rule for rule, _ in told(result.findings)]


def test_a_folder_that_cannot_be_listed_is_said_once() -> None:
    of = clean()
    path = f"AWSLogs/{of.spec.accounts[0]}/CloudTrail/us-east-1/"
    result = settled(of, {path: StoreError(Cause.ACCESS_DENIED, "no")})
    (finding,) = (item for item in result.findings.kept if item.rule == rules.LOG_UNREADABLE)
    assert (finding.status, finding.cause) == (Status.UNVERIFIABLE, Cause.ACCESS_DENIED)
    assert standard(result).logs == Counts(valid=8)


def test_counts_add_up_to_what_was_looked_at() -> None:
    of = edited(
        {"do": "delete", "key": "{log 1.0}"},
        {"do": "put", "key": "{log 1.1}", "text": "{}"},
        {"do": "unreadable", "key": "{log 2.0}"},
    )
    logs = standard(settled(of)).logs
    assert logs == Counts(valid=5, altered=1, missing=1, unverifiable=1)
    assert logs.total == 8


def test_a_run_that_ended_early_counts_and_judges_nothing() -> None:
    of = edited({"do": "delete", "key": "{digest 2}"})

    async def run() -> tuple[RegionResult, RegionResult]:
        region = Region(of)
        proven = await region.prove()
        results = await region.reconcile(proven)
        return unfinished(proven, results), await settle(proven, results, region.scope, region.tools, region.reader)

    early, whole = asyncio.run(run())
    assert early.unfinished
    assert all(report.unfinished and not report.gaps and not report.covered for report in early.chains)
    assert standard(early).digests == standard(whole).digests
    assert rules.GAP_BROKEN not in [rule for rule, _ in told(early.findings)]
