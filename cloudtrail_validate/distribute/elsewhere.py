"""Decides whether a run's work is done in other processes, opens them when it is, and ends them with the run."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Final, Protocol

from msgspec.structs import replace

from cloudtrail_validate.core.executor import Auto, DaskCluster, LocalProcesses, Place
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.layout import DIGEST_KIND
from cloudtrail_validate.core.plan import AccountRegion, Target
from cloudtrail_validate.distribute import work
from cloudtrail_validate.distribute.dispatch import Dispatcher
from cloudtrail_validate.distribute.work import Context, Credentials
from cloudtrail_validate.engine.stages import LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tools import Tools
from cloudtrail_validate.request import DEFAULT_CONCURRENCY, Request
from cloudtrail_validate.runtime.limits import Timeouts, cores
from cloudtrail_validate.runtime.processes import PipeExecutor
from cloudtrail_validate.session import Session
from cloudtrail_validate.stores.transfer import Way

# From here on a second process (0.15 s of CPU to start) saves a third of a second and more (docs/performance.md).
WORTH_DIGESTS: Final = 10_000  # to expect
WORTH_LOGS: Final = 15_000  # named by the digests of one account-region
CALLS_AT_ONCE: Final = 2  # of a process: while one waits for its listing or its last answers, the other is busy
_LOOKED_AT: Final = 3  # account-regions of which a digest is read before others read them
Look = Callable[[str, Sequence[str]], Awaitable[None]]


class Cluster(Protocol):
    """An executor, how many workers it has, and how it is ended at once."""

    @property
    def executor(self) -> Executor:
        """Who makes the calls."""
        ...

    @property
    def workers(self) -> int:
        """How many calls it makes at a time."""
        ...

    def kill(self) -> None:
        """End what is under way at once."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LocalCluster:
    """Processes of this machine."""

    def __init__(self, workers: int, modules: Sequence[str] = ()) -> None:
        self.workers = workers
        self.executor = PipeExecutor(workers, modules, CALLS_AT_ONCE)

    def kill(self) -> None:
        """End the processes."""
        self.executor.kill()

    def close(self) -> None:
        """End the processes, which have nothing to do any more."""
        self.executor.shutdown(wait=False, cancel_futures=True)


class Elsewhere:
    """Where a run's work may be done besides this process. Opens processes or a cluster when work is worth it.

    `modules` are those that a worker's first call would have it import.
    """

    def __init__(
        self,
        place: Place,
        context: Callable[[Scope, int], Context],
        watch: Watch,
        look: Look | None = None,
        modules: Sequence[str] = (),
    ) -> None:
        self._place = place
        self._modules = modules
        self._look = look
        self._context = context
        self._watch = watch
        self._cluster: Cluster | None = _connect(place) if isinstance(place, DaskCluster) else None
        self._dispatcher: Dispatcher | None = None

    def takes_regions(self, regions: Sequence[AccountRegion], scope: Scope) -> bool:
        """Whether account-regions are validated elsewhere: as asked, or because there are many digests to expect."""
        if not isinstance(self._place, Auto):
            return True
        return cores() > 1 and len(regions) * scope.window.seconds / 3600 >= WORTH_DIGESTS

    def takes_logs(self, number: int) -> bool:
        """Whether so many logs of one account-region are read elsewhere."""
        return not isinstance(self._place, Auto) or (cores() > 1 and number >= WORTH_LOGS)

    async def audit(
        self, regions: Sequence[AccountRegion], scope: Scope, tools: Tools, take: Callable[[RegionResult], None]
    ) -> None:
        """Validate account-regions; `take` is given each result as it comes."""
        if self._look is not None:  # others read the digests: whether they lie where they say is looked at before
            folders = [region.folders[0] for region in regions[:_LOOKED_AT]]
            for folder in folders:
                await self._look(folder.bucket, [folder.path(DIGEST_KIND)])
        await self._opened().audit(regions, scope, tools, take)

    async def reconcile(self, proven: ProvenChains, scope: Scope, tools: Tools) -> list[LogResult]:
        """Read the logs of one account-region."""
        return await self._opened().reconcile(proven, scope, tools)

    def kill(self) -> None:
        """End what is under way at once."""
        if self._cluster is not None:
            self._cluster.kill()

    def close(self) -> None:
        """Let go of the processes or the cluster."""
        if self._cluster is not None:
            self._cluster.close()

    def _opened(self) -> Dispatcher:
        if self._dispatcher is None:
            wanted = self._place.number if isinstance(self._place, LocalProcesses) else None
            cluster = self._cluster or LocalCluster(wanted or cores(), self._modules)
            self._cluster = cluster
            self._dispatcher = Dispatcher(
                cluster.executor, cluster.workers, lambda scope: self._context(scope, cluster.workers), self._watch
            )
        return self._dispatcher


def elsewhere_of(
    place: Place,
    request: Request,
    session: Session,
    timeouts: Timeouts | None,
    watch: Watch,
    look: Look | None = None,
) -> Elsewhere | None:
    """Make what `--executor` asks for; None where everything is to be done in this process."""
    if isinstance(place, LocalProcesses) and place.number == 1:
        return None
    if isinstance(place, Auto) and cores() == 1:
        return None

    def context(scope: Scope, workers: int) -> Context:
        made = context_of(request, session, session.target, timeouts or Timeouts(), scope, workers)
        return replace(made, every_object=watch.every_object, ways=_passable(session.ways(), made.credentials, place))

    store = "local" if request.source is not None else "s3"
    modules = (work.__name__, f"cloudtrail_validate.stores.{store}")
    return Elsewhere(place, context, watch, look, modules)


def context_of(
    request: Request, session: Session, target: Target, timeouts: Timeouts, scope: Scope, workers: int
) -> Context:
    """What a worker needs to know, with its part of the run's limits and the present credentials."""
    aws = session.aws
    secret = aws.frozen_credentials() if aws is not None else None
    return Context(
        scope,
        target,
        max(1, request.concurrency // workers) if request.concurrency else DEFAULT_CONCURRENCY,
        request.max_rate / workers if request.max_rate else None,
        timeouts.connect,
        timeouts.read,
        timeouts.retries,
        timeouts.give_up,
        source=os.fspath(request.source) if request.source is not None else None,
        follow_links=request.follow_links,
        copy=session.copy,
        profile=request.profile,
        endpoint_url=request.endpoint_url,
        region=aws.region if aws is not None else None,
        trail_arn=request.trail_arn,
        credentials=Credentials(*secret) if secret else None,
    )


def _passable(ways: Sequence[Way], credentials: Credentials | None, place: Place) -> tuple[Way, ...]:
    """Return the ways that workers may go: on this machine, where their certificates lie, with the present credentials."""
    if isinstance(place, DaskCluster):
        return ()
    signing = credentials.access_key if credentials else None
    return tuple(way for way in ways if way.route.signature is None or way.route.signature.access_key == signing)


def _connect(place: DaskCluster) -> Cluster:
    from cloudtrail_validate.distribute.dask import connect

    return connect(place.address)
