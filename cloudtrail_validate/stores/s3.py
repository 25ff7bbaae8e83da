"""S3: obstore (Rust) for the hot path, botocore for every key that obstore cannot address.

obstore refuses keys with empty, `.` or `..` segments and control characters, and its listing raises on the page that holds
one. Such a listing or key is done again through botocore, so that a planted object can slow the run but not hide from it.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater, digest_of
from cloudtrail_validate.core.model import Cause, Locator, ObjectInfo
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts
from cloudtrail_validate.stores.failures import UnaddressableError, from_obstore
from cloudtrail_validate.stores.protocol import Children, Stored, outcome
from cloudtrail_validate.stores.s3_exact import ExactS3

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

    from cloudtrail_validate.aws.session import Aws

PAGE: Final = 1000  # keys a listing request, S3's own maximum
_INLINE_BYTES: Final = (
    64 * 1024
)  # compressed; smaller ones inflate on the event loop in ~0.1 ms, larger ones in a thread
_WHOLE_BYTES: Final = 4 * 1024 * 1024  # compressed; larger ones are streamed
_PIECE_BYTES: Final = 1024 * 1024  # what a streamed object is read in
_WITH_HEAD_BYTES: Final = 8 * 1024  # a body that fits the first flight of a connection, 10 segments
_SPARED: Final = 0.0001  # seconds that taking a body at once spares, and may take: half do in 0.02 ms
_HELD_UP: Final = 0.25  # seconds beyond, in all, after which no body is waited for on the loop any more
_UNADDRESSABLE: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f]")
_OBSTORE_ERRORS: Final = (BaseError, ValueError, OSError)
_FIRST_PAUSE: Final = 0.1  # seconds
_LONGEST_PAUSE: Final = 3.0  # seconds
_TRANSIENT: Final = frozenset({Cause.NETWORK, Cause.THROTTLED})
T = TypeVar("T")


class S3:
    """All buckets that one set of credentials reaches."""

    dated = True
    batch = 1
    workers: int | None = None

    def __init__(self, aws: Aws, *, limiter: RateLimiter, timeouts: Timeouts | None = None) -> None:
        self._aws = aws
        self._limiter = limiter
        self._timeouts = timeouts or Timeouts()
        self._stores: dict[str, S3Store] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._held_up = 0.0  # seconds
        self._exact: dict[str, ExactS3] = {}
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="ctvalidate-s3")
        self._inflating = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="ctvalidate-inflate")

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Keys under a prefix, by obstore; from the page that obstore cannot read on, by botocore.

        A listing whose transfer broke off goes on behind the last whole page.
        """
        start, tries = _just_before(after), _Tries(self._timeouts, self._limiter)
        fast = not _UNADDRESSABLE.search(prefix[:-1]) and not (start and _UNADDRESSABLE.search(start))
        while True:
            exact = None if fast else await self._exact_bucket(bucket)
            try:
                async for page in exact.scan(prefix, start) if exact else self._pages(bucket, prefix, start):
                    # obstore drops a slash at a key's end: such a key may be `after` itself
                    yield [item for item in page if f"{item.key}/" >= after and (before is None or item.key < before)]
                    if before is not None and page and page[-1].key >= before:
                        return
                    start = page[-1].key if page else start
                    tries.reset()
            except UnaddressableError:
                fast = False
            except StoreError as error:
                await tries.again_after(error)
            else:
                return

    async def _pages(self, bucket: str, prefix: str, start: str) -> AsyncIterator[Sequence[ObjectInfo]]:
        store = await self._store(bucket)
        try:
            async for batch in obstore.list(store, prefix[:-1], offset=start or None, chunk_size=PAGE):
                yield [ObjectInfo(item["path"], item["size"], item["last_modified"]) for item in batch]
        except _OBSTORE_ERRORS as error:
            raise from_obstore(error) from error

    async def children(self, bucket: str, prefix: str) -> Children:
        """One level, by obstore, or by botocore where a name in it is out of obstore's reach."""
        return await self._insist(lambda: self._children(bucket, prefix))

    async def _children(self, bucket: str, prefix: str) -> Children:
        if not _UNADDRESSABLE.search(prefix[:-1]) or not prefix:
            store = await self._store(bucket)
            try:
                level = await obstore.list_with_delimiter_async(store, prefix[:-1] or None)
            except _OBSTORE_ERRORS as error:
                failure = from_obstore(error)
                if not isinstance(failure, UnaddressableError):
                    raise failure from error
            else:
                return Children(
                    tuple(folder.rpartition("/")[2] for folder in level["common_prefixes"]),
                    tuple(
                        ObjectInfo(item["path"], item["size"], item["last_modified"])
                        for item in level["objects"]
                        if item["path"] != prefix[:-1]
                    ),
                )
        exact = await self._exact_bucket(bucket)
        return await exact.children(prefix)

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """What botocore lists under exactly this key."""
        return await (await self._exact_bucket(bucket)).info(key)

    async def digest(
        self,
        where: Locator,
        size: int | None = None,  # noqa: ARG002
        etag: str = "",  # noqa: ARG002
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """A digest and its user metadata."""
        return await self._insist(lambda: self._digest(where))

    async def content(self, where: Locator, size: int | None, etag: str = "") -> Content:  # noqa: ARG002
        """A log's content: small ones whole, large ones as a stream, inflated where it does not hold up the loop."""
        return await self._insist(lambda: self._content(where, size))

    async def contents(self, places: Sequence[Locator]) -> Sequence[Content | AbsentError | StoreError]:
        """Several logs at once."""
        return await asyncio.gather(*(outcome(self.content(where, None)) for where in places))

    async def stored(
        self,
        where: Locator,
        make: Callable[[int | None], Inflater],
        size: int | None = None,  # noqa: ARG002
        etag: str = "",  # noqa: ARG002
    ) -> Stored:
        """An object as it is stored, streamed."""
        return await self._insist(lambda: self._stored(where, make))

    async def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._inflating.shutdown(wait=False, cancel_futures=True)

    async def _content(self, where: Locator, size: int | None) -> Content:
        store = self._stores.get(where.bucket) or await self._store(where.bucket)
        try:
            data = await self._as_listed(store, where.key, size) if size and size <= _WHOLE_BYTES else None
            if data is None:
                answer = await obstore.get_async(store, where.key)
                if answer.meta["size"] > _WHOLE_BYTES:
                    return (await self._stream(answer, Inflater())).finish()
                data = bytes(await answer.bytes_async())
        except _OBSTORE_ERRORS as error:
            failure = from_obstore(error)
            if not isinstance(failure, UnaddressableError):
                raise failure from error
            exact = await self._exact_bucket(where.bucket)
            return (await exact.get(where, Inflater))[0].finish()
        if len(data) <= _INLINE_BYTES:
            return digest_of(data)
        return await asyncio.get_running_loop().run_in_executor(self._inflating, digest_of, data)

    async def _as_listed(self, store: S3Store, key: str, size: int) -> bytes | None:
        """An object that still has its listed size, in one call of obstore instead of two (CPU 0.75x, benchmarks.trail).

        One byte more than listed is asked for, so that an object that has grown since shows. None where anything is
        unusual: then it is read without a range, and that answer counts.
        """
        try:
            data = bytes(await obstore.get_range_async(store, key, start=0, length=size + 1))
        except _OBSTORE_ERRORS as error:
            failure = from_obstore(error)
            if isinstance(failure, StoreError) and failure.cause is not Cause.NETWORK:
                raise failure from error
            return None
        return data if len(data) == size else None

    async def _digest(self, where: Locator) -> tuple[Inflater, Mapping[str, str] | None]:
        store = self._stores.get(where.bucket) or await self._store(where.bucket)
        try:
            answer = await obstore.get_async(store, where.key)
            inflater = digest.inflater(answer.meta["size"])
            if answer.meta["size"] <= _INLINE_BYTES:
                inflater.feed(await self._body(answer))
            else:
                await self._stream(answer, inflater)
        except _OBSTORE_ERRORS as error:
            failure = from_obstore(error)
            if not isinstance(failure, UnaddressableError):
                raise failure from error
            exact = await self._exact_bucket(where.bucket)
            return await exact.get(where, digest.inflater)
        return inflater, {str(name): str(value) for name, value in answer.attributes.items()}

    async def _body(self, answer: obstore.GetResult) -> bytes:
        """A body held in memory. A small one has nearly always come with its head, and is taken at once.

        That spares a second way through obstore's threads (CPU of a quiet organization's object 0.89 times), but whoever
        blocks here holds up all: when waits have added up to `_HELD_UP`, they become asynchronous for good.
        """
        if answer.meta["size"] > _WITH_HEAD_BYTES or self._held_up > _HELD_UP:
            return bytes(await answer.bytes_async())
        begun = time.perf_counter()
        try:
            return bytes(answer.bytes())
        finally:
            self._held_up = max(0.0, self._held_up + time.perf_counter() - begun - _SPARED)

    async def _stored(self, where: Locator, make: Callable[[int | None], Inflater]) -> Stored:
        store = self._stores.get(where.bucket) or await self._store(where.bucket)
        try:
            answer = await obstore.get_async(store, where.key)
            inflater = await self._stream(answer, make(answer.meta["size"]))
        except _OBSTORE_ERRORS as error:
            failure = from_obstore(error)
            if not isinstance(failure, UnaddressableError):
                raise failure from error
            exact = await self._exact_bucket(where.bucket)
            info = await exact.info(where.key)
            return Stored(*await exact.get(where, lambda: make(None)), info.modified if info else None)
        metadata = {str(name): str(value) for name, value in answer.attributes.items()}
        return Stored(inflater, metadata, answer.meta["last_modified"])

    async def _stream(self, answer: obstore.GetResult, inflater: Inflater) -> Inflater:
        loop = asyncio.get_running_loop()
        async for piece in answer.stream(min_chunk_size=_PIECE_BYTES):
            await loop.run_in_executor(self._inflating, inflater.feed, bytes(piece))
        return inflater

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try a whole request again where it failed for a passing reason."""
        try:
            return await attempt()
        except StoreError as error:
            tries = _Tries(self._timeouts, self._limiter)
            await tries.again_after(error)
        while True:
            try:
                return await attempt()
            except StoreError as error:
                await tries.again_after(error)

    async def _store(self, bucket: str) -> S3Store:
        """The obstore client of a bucket, opened once, in the bucket's own region."""
        async with self._opening.setdefault(bucket, asyncio.Lock()):
            if bucket not in self._stores:
                loop = asyncio.get_running_loop()
                self._stores[bucket] = await loop.run_in_executor(self._threads, self._open, bucket)
        return self._stores[bucket]

    def _open(self, bucket: str) -> S3Store:
        access = self._aws.bucket(bucket)
        timeouts = self._timeouts
        options: ClientConfig = {
            "allow_http": True,
            "connect_timeout": timedelta(seconds=timeouts.connect),
            "read_timeout": timedelta(seconds=timeouts.read),
            "timeout": timedelta(hours=1),  # a large log on a slow line; `read_timeout` catches what has stalled
            "pool_max_idle_per_host": str(self._limiter.ceiling),
            "user_agent": self._aws.user_agent,
        }
        if access.ca_bundle:
            options["root_certificate"] = access.ca_bundle
        retry: RetryConfig = {"max_retries": 0}
        return S3Store(
            bucket,
            region=access.region,
            endpoint=access.endpoint,
            virtual_hosted_style_request=access.virtual_hosted,
            credential_provider=self._aws.credentials,
            client_options=options,
            retry_config=retry,
        )

    async def _exact_bucket(self, bucket: str) -> ExactS3:
        if bucket not in self._exact:
            loop = asyncio.get_running_loop()
            client = await loop.run_in_executor(self._threads, self._aws.s3_client, bucket)
            self._exact.setdefault(bucket, ExactS3(bucket, client, self._threads))
        return self._exact[bucket]


def _just_before(after: str) -> str:
    """A key that sorts shortly before `after`: S3 lists from behind the key it is given, and `after` is wanted too."""
    if not after or after.endswith("/"):
        return after.rstrip("/")
    return after[:-1] + chr(max(1, ord(after[-1]) - 1)) + "~"


class _Tries:
    """Decides whether a failed request is tried again, and waits: exponential backoff with jitter."""

    def __init__(self, timeouts: Timeouts, limiter: RateLimiter) -> None:
        self._timeouts = timeouts
        self._limiter = limiter
        self._failures = 0
        self._begun = 0.0

    def reset(self) -> None:
        """Something succeeded: what follows is another request."""
        self._failures = 0

    async def again_after(self, error: StoreError) -> None:
        """Wait before the next try, or raise the error where another try cannot help."""
        if error.cause not in _TRANSIENT:
            raise error
        now = asyncio.get_running_loop().time()
        if not self._failures:
            self._begun = now
        self._failures += 1
        if error.cause is Cause.THROTTLED:
            self._limiter.slow_down()
        if self._failures > self._timeouts.retries or now - self._begun > self._timeouts.give_up:
            raise error
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._failures - 1))
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
