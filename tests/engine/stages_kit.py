"""One account-region of a small trail in memory, and each stage of the engine by itself."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Final

from cloudtrail_validate.core.findings import Findings, Watch
from cloudtrail_validate.core.layout import LOG_KIND, Folder
from cloudtrail_validate.core.model import Interval, Status
from cloudtrail_validate.core.plan import AccountRegion, Target
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.cut import cut
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.engine.prove import prove
from cloudtrail_validate.engine.reconcile import Reconciler
from cloudtrail_validate.engine.settle import settle
from cloudtrail_validate.engine.stages import LogResult, Place, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tools import Tools, make_tools
from cloudtrail_validate.runtime.limits import RateLimiter
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.scenarios import vector, world
from tests.scenarios.world import World

TRAIL: Final = {"hours": 4, "regions": ["us-east-1"], "multi_region": False, "late_logs": 1, "logs_per_hour": 2}
REGION: Final = "us-east-1"


@cache
def clean() -> World:
    """Four hours of two logs each, a late log that a backfill digest names, and a starting digest before them."""
    return world.build(vector.of(trail=TRAIL))


def edited(*edits: dict[str, Any], **trail: Any) -> World:
    """The same with edits of its objects, as vectors write them."""
    return world.build(vector.of(trail={**TRAIL, **trail}, edits=list(edits)))


class Region:
    """The stages over one world. Make it where an event loop runs, since tools belong to one."""

    def __init__(self, of: World, *, target: Target | None = None, **store: Any) -> None:
        self.world = of
        self.store = MemoryStore(of.buckets, **store)
        self.target = target or target_of(of)
        self.watch = Watch()
        self.tools: Tools = make_tools(self.store, RateLimiter(8), self._keys, self.watch)
        self.reader = DigestReader(self.store, self.tools.limiter, self.tools.kept)
        self.scope = Scope(Interval(of.start, of.end), of.now)
        self.folder = Folder(of.spec.bucket, "AWSLogs/", of.spec.accounts[0], REGION)
        self.place = Place(self.folder, LOG_KIND)

    async def _keys(self, region: str) -> RegionKeys:
        return VectorKeys(self.world).region(region)

    async def region(self) -> AccountRegion:
        (region,) = (await discover(self.store, self.target)).sites
        return region

    async def prove(self) -> ProvenChains:
        return await prove(await self.region(), self.scope, self.tools, self.reader)

    async def reconcile(self, proven: ProvenChains) -> list[LogResult]:
        """One batch after the other."""
        batches = cut(proven, self.scope.window)
        return [await Reconciler(batch, self.scope, self.tools, self.reader).run() for batch in batches]

    async def settle(self) -> RegionResult:
        proven = await self.prove()
        return await settle(proven, await self.reconcile(proven), self.scope, self.tools, self.reader)


def key_of(of: World, role: str) -> str:
    """The key that a role of a vector stands for, such as `{digest 2}`."""
    return of.key(role)


def told(findings: Findings) -> list[tuple[str, str | None]]:
    """Rules and keys of findings, without notices."""
    return [
        (finding.rule, finding.where.key if finding.where else None)
        for finding in findings.kept
        if finding.status is not Status.NOTICE
    ]


def hours(of: World, *intervals: tuple[datetime, datetime]) -> list[tuple[float, float]]:
    """Intervals in hours from the window's start."""
    return [((start - of.start).seconds / 3600, (end - of.start).total_seconds() / 3600) for start, end in intervals]
