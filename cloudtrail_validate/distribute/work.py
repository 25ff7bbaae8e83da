"""What a worker is sent, what it does, and what it sends back. All of it is bytes on the way.

A worker keeps what it opened (connections, credentials) from one call to the next, as long as the same run asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cloudtrail_validate.core.copies import Displacement
from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.stages import LogResult, ProvenChains, RegionResult, Scope
from cloudtrail_validate.engine.tasks import Task, perform
from cloudtrail_validate.engine.tools import Tools, make_tools
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts
from cloudtrail_validate.runtime.loop import fit_descriptor_limit, in_daemon_thread, new_loop, together
from cloudtrail_validate.session import reopen_store
from cloudtrail_validate.stores.protocol import Store
from cloudtrail_validate.stores.transfer import Way

T = TypeVar("T")


class Credentials(msgspec.Struct, frozen=True):
    """Who asks S3. Sent with the work, since a worker cannot renew what its parent got from SSO, MFA or a role."""

    access_key: str
    secret_key: str
    token: str | None


class Context(msgspec.Struct, frozen=True):
    """What every call of one run shares: where to read, who asks, and this worker's part of the run's limits.

    `source` is the folder of a local copy, None for S3; `follow_links` is of that. `copy` is how
    what is read there is displaced. With `every_object` each object that is looked at is told of. `ways` are those that are
    open on the same machine. The other fields are as in `Request`.
    """

    scope: Scope
    target: Target
    concurrency: int
    max_rate: float | None
    connect: float
    read: float
    retries: int
    give_up: float
    source: str | None = None
    follow_links: bool = False
    copy: Displacement | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    trail_arn: str | None = None
    credentials: Credentials | None = None
    every_object: bool = False
    ways: tuple[Way, ...] = ()

    @property
    def timeouts(self) -> Timeouts:
        """How long requests may take."""
        return Timeouts(self.connect, self.read, self.retries, self.give_up)


class Call(msgspec.Struct, frozen=True):
    """Some units of work for one worker, and the keys of their regions."""

    context: Context
    keys: dict[str, RegionKeys]
    tasks: tuple[Task, ...]


class Checked(msgspec.Struct, frozen=True, array_like=True):
    """An object that was looked at, as `Listener.checked` is told of it."""

    where: Locator
    status: Status | None
    digest: bool


class Reply(msgspec.Struct, frozen=True):
    """The answer to each unit, in order; objects and bytes read; and each object, where that was asked for."""

    answers: tuple[ProvenChains | LogResult | RegionResult, ...]
    objects: int
    bytes: int
    checked: tuple[Checked, ...] = ()


class _Heard:
    """Keeps what a listener would hear of objects. Findings come with the results."""

    def __init__(self) -> None:
        self.objects: list[Checked] = []

    def finding(self, finding: Finding) -> None:
        """Findings are in the results."""

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Keep one object."""
        self.objects.append(Checked(where, status, digest))


def work(call: bytes) -> bytes:
    """Do what a call asks. Runs in the worker."""
    return msgspec.msgpack.encode(_worker().run(_answer(msgspec.msgpack.decode(call, type=Call))))


@dataclass
class _Opened:
    """A store, its limits, and how many calls read from it."""

    store: Store
    limiter: RateLimiter
    readers: int = 0


class _Worker:
    """An event loop on a thread of its own, and the stores that calls have opened."""

    def __init__(self) -> None:
        self._loop = new_loop()
        self._stores: dict[bytes, _Opened] = {}
        self._latest = b""
        self._opening = asyncio.Lock()
        threading.Thread(target=self._loop.run_forever, name="ctvalidate-loop", daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the loop, and wait."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    @asynccontextmanager
    async def store(self, context: Context) -> AsyncIterator[_Opened]:
        """The store of a run, opened once and shared by the calls that are made at the same time.

        That of an earlier run, or of credentials that were renewed, is closed when no call reads from it any more.
        """
        name = msgspec.msgpack.encode(msgspec.structs.replace(context, ways=()))
        async with self._opening:
            opened = self._stores.get(name)
            if opened is None:
                limiter = RateLimiter(fit_descriptor_limit(context.concurrency), rate=context.max_rate)
                opened = self._stores[name] = _Opened(await in_daemon_thread(_open, context, limiter), limiter)
            opened.readers += 1
            self._latest = name
            await self._close_others()
        try:
            yield opened
        finally:
            opened.readers -= 1
            await self._close_others()

    async def _close_others(self) -> None:
        done = [name for name, opened in self._stores.items() if name != self._latest and not opened.readers]
        for opened in [self._stores.pop(name) for name in done]:
            await opened.store.close()


_held: list[_Worker] = []
_making = threading.Lock()


def _worker() -> _Worker:
    with _making:
        if not _held:
            _held.append(_Worker())
        return _held[0]


def _open(context: Context, limiter: RateLimiter) -> Store:
    secret = context.credentials
    return reopen_store(
        Path(context.source) if context.source is not None else None,
        context.target,
        limiter,
        context.timeouts,
        follow_links=context.follow_links,
        copy=context.copy,
        credentials=(secret.access_key, secret.secret_key, secret.token) if secret else None,
        profile=context.profile,
        endpoint_url=context.endpoint_url,
        region=context.region,
        trail_arn=context.trail_arn,
        ways=context.ways,
    )


async def _answer(call: Call) -> Reply:
    async def keys(region: str) -> RegionKeys:
        return call.keys[region]

    heard = _Heard() if call.context.every_object else None
    async with _worker().store(call.context) as opened:
        tools: Tools = make_tools(opened.store, opened.limiter, keys, Watch(listener=heard))
        answers = await together(perform(task, call.context.scope, tools) for task in call.tasks)
    progress = tools.watch.progress
    objects = tuple(heard.objects) if heard is not None else ()
    return Reply(tuple(answers), progress.objects_done, progress.bytes_done, objects)
