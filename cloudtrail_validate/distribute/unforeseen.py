"""Judges account-regions that no plan holds and proven digests expect (`core.expectation.further`), in a run of parts.

A run in one process looks there once all else is proven, and may learn that the chain begins after the window. Of several
parts none sees what the others prove, and `merge` does not see the bucket. Therefore a part looks beyond its plan
(`look_beyond`), and `merge` (`judge`) says of a trail that is expected in some account-region:

1. what the part found that holds this account-region, or was the only one that could: its own digests show the trail, so it
   looked there as one process does;
2. `chain-absent`, where listings show no digest of the trail: none in the window, none after it, and none before it as far
   back as a run looks that was asked for no trail by name (`engine.listing`);
3. else that it is unproven: there are digests after the window, or they could not be listed, and nobody has read them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.chain import absent
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.expectation import further
from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.layout import DIGEST_KIND, day_path
from cloudtrail_validate.core.model import ChainId, ChainReport, Interval, Kind
from cloudtrail_validate.core.plan import AccountRegion, Plan, Target
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.listing import entry_of
from cloudtrail_validate.engine.region_audit import RegionAudit
from cloudtrail_validate.engine.run import REGIONS_AT_ONCE
from cloudtrail_validate.engine.settle import unproven
from cloudtrail_validate.engine.stages import RegionResult, Scope
from cloudtrail_validate.engine.tools import make_tools
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.runtime.loop import in_daemon_thread, together
from cloudtrail_validate.stores.key_file import KeySource
from cloudtrail_validate.stores.protocol import Lister, Store

_UNSEEN: Final = (
    "digests of other account-regions show that this trail writes here, and no part has read what there may be of it:"
    " validate this account and region with --trail-arn"
)
_Place = tuple[str, str]  # account, region


class Beyond(msgspec.Struct, frozen=True):
    """What a part saw beyond its plan.

    `results` are those of account-regions that its own digests show to be expected, `later` the chains of its
    account-regions that have digests after the window and were not judged; `unlisted` are account-regions of which the
    latter could not be listed.
    """

    results: tuple[RegionResult, ...] = ()
    later: tuple[ChainId, ...] = ()
    unlisted: tuple[_Place, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """What a part, or all of them, have listed and proven.

    `sites` are the account-regions validated, `results` what they came to, `unlisted` accounts whose folders could not be
    listed.
    """

    sites: tuple[AccountRegion, ...]
    results: tuple[RegionResult, ...]
    unlisted: frozenset[str | None]

    def expected(self, target: Target, sites: Sequence[AccountRegion] = ()) -> tuple[AccountRegion, ...]:
        """Return the account-regions that are expected beyond those judged; `sites` are those of the whole run."""
        proven = {chain for result in self.results for chain in result.trails}
        reports = [report for result in self.results for report in result.chains]
        continuations = dict.fromkeys(item for result in self.results for item in result.continuations)
        return further(target, sites or self.sites, proven, reports, continuations)

    def open(self) -> Mapping[_Place, AccountRegion]:
        """Return the account-regions of which not all times were listed for every trail that may be expected.

        All were where one trail was asked for by name, and where nothing was found to judge.
        """
        judged = {_place(result.region) for result in self.results if result.chains}
        return {_place(site): site for site in self.sites if not site.trail and _place(site) in judged}


async def look_beyond(
    target: Target,
    plan: Plan,
    seen: Seen,
    scope: Scope,
    *,
    store: Store,
    limiter: RateLimiter,
    keys: KeySource,
    stopped: Awaitable[None],
) -> Beyond | None:
    """Look for trails that a part has not judged in its account-regions, and tell nobody yet. None where it was stopped.

    `plan` is that of the whole run. Raises as the stages do.
    """
    asked: dict[str, asyncio.Task[RegionKeys]] = {}

    async def keys_of(region: str) -> RegionKeys:
        if region not in asked:
            asked[region] = asyncio.create_task(in_daemon_thread(keys.region, region))
        return await asyncio.shield(asked[region])

    tools = make_tools(store, limiter, keys_of)
    gate = asyncio.Semaphore(REGIONS_AT_ONCE)

    async def validated(region: AccountRegion) -> RegionResult:
        async with gate:
            return await RegionAudit(region, scope, tools).run()

    async def listed(site: AccountRegion) -> set[ChainId] | None:
        async with gate:
            return await _after(site, scope.window, store)

    async def look() -> Beyond:
        results = await together(validated(region) for region in _to_look_at(target, plan, seen))
        alone = len(seen.sites) == len(plan.sites)  # then no other part can show a trail that this one has not heard of
        sites = [] if alone else [*seen.open().values()]
        chains = await together(listed(site) for site in sites)
        judged = {report.chain for result in seen.results for report in result.chains}
        return Beyond(
            tuple(replace(result, digests=()) for result in results),
            tuple(sorted(set().union(*(found or () for found in chains)) - judged, key=ChainId.sort_key)),
            tuple(_place(site) for site, found in zip(sites, chains, strict=True) if found is None),
        )

    work, stopping = asyncio.create_task(look()), asyncio.ensure_future(stopped)
    try:
        await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in (work, stopping, *asked.values()):
            task.cancel()
        await asyncio.gather(work, stopping, return_exceptions=True)
        await tools.checker.cancel()


def _to_look_at(target: Target, plan: Plan, seen: Seen) -> list[AccountRegion]:
    """Return where a part looks for a trail that its own digests show: not where another part's account-region lies."""
    own, planned = seen.open(), {_place(site) for site in plan.sites}
    return [
        region
        for region in seen.expected(target, plan.sites)
        if _place(region) in own or (region.account in seen.unlisted and _place(region) not in planned)
    ]


async def _after(site: AccountRegion, window: Interval, store: Lister) -> set[ChainId] | None:
    """Return the chains that have digests after a window; None where they cannot be listed."""
    found: set[ChainId] = set()
    for folder in site.folders:
        path = folder.path(DIGEST_KIND)
        try:
            async for batch in store.scan(folder.bucket, path, after=path + day_path(window.end)):
                entries = (entry_of(folder, info) for info in batch)
                found.update(entry.chain for entry in entries if entry and entry.chain.kind is Kind.STANDARD)
        except AbsentError:
            continue
        except StoreError:
            return None
    return found


def judge(target: Target, seen: Seen, parts: Sequence[Beyond | None], window: Interval) -> list[RegionResult]:
    """Return what is to be said of each account-region that all parts together show to be expected.

    `seen` is what all of them saw. `parts` are what each saw beyond its plan, None for one that did not look.
    """
    blind = None in parts
    looked = [part for part in parts if part is not None]
    answers = {result.region.nameless: result for part in looked for result in part.results}
    later = {chain for part in looked for chain in part.later}
    doubtful = {place for part in looked for place in part.unlisted}
    not_all_listed, listed = seen.open(), {_place(site) for site in seen.sites}
    out: list[RegionResult] = []
    for region in seen.expected(target):
        place, name = _place(region), region.nameless
        if name in answers:
            out.append(answers[name])
        elif (place in not_all_listed and (blind or name in later or place in doubtful)) or (
            place not in listed and region.account in seen.unlisted
        ):
            out.append(unproven(region, window, _UNSEEN))
        else:
            out.append(_absent(region, window))
    return out


def _place(region: AccountRegion) -> _Place:
    return region.account, region.region


def _absent(region: AccountRegion, window: Interval) -> RegionResult:
    """Return the result of an account-region without any digest of its trail."""
    judgement = absent(region.nameless, window, reason=region.expected)
    found = FindingSet()
    for finding in judgement.findings:
        found.add(finding)
    report = ChainReport(region.nameless, judgement.counts, covered=judgement.covered, gaps=judgement.gaps)
    return RegionResult(region, (report,), found.freeze())
