"""The way to each bucket: where boto3 leads, with what requests are signed, and who signs them."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from cloudtrail_validate.core.errors import AbsentError
from cloudtrail_validate.stores.transfer import Route, Signature, Way

if TYPE_CHECKING:
    from cloudtrail_validate.aws.s3_request import SignedRequest
    from cloudtrail_validate.aws.session import Aws

_FRESH: Final = 60.0  # seconds that credentials are used without asking boto3, which refreshes minutes ahead
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._~-]+")  # libcurl puts any other character of it into the header as %XX
_DOTS: Final = re.compile(r"(?:^|/)\.\.?(?:/|$)")  # libcurl squashes such segments before it signs
_PLAIN: Final = re.compile(r"[A-Za-z0-9/_.~-]*")  # what a path holds as it is, and a query but for the slash
# Of boto3's headers those that libcurl sets itself.
_OURS: Final = frozenset({"host", "user-agent", "connection", "accept-encoding", "content-length"})
_QUERY: Final = {
    "Prefix": "prefix",
    "StartAfter": "start-after",
    "ContinuationToken": "continuation-token",
    "Delimiter": "delimiter",
    "MaxKeys": "max-keys",
}
T = TypeVar("T")


class Ways:
    """The ways to all buckets of one identity. `threads` run what blocks.

    `identity` returns always the same, and may block when it is called first. `known` are ways that another process has
    opened for the same identity: they are taken as they are until S3 refuses their credentials.
    """

    def __init__(self, identity: Callable[[], Aws], threads: ThreadPoolExecutor, known: Iterable[Way] = ()) -> None:
        self._identity = identity
        self._threads = threads
        self._known = {way.bucket: msgspec.structs.replace(way, since=math.inf) for way in known}
        self._opening: dict[str, asyncio.Task[Way]] = {}

    def held(self) -> tuple[Way, ...]:
        """Return the ways that are open now."""
        return tuple(self._known.values())

    def known(self, bucket: str) -> Way | None:
        """Return a way that is open, with credentials that are fresh."""
        way = self._known.get(bucket)
        return way if way is not None and time.monotonic() - way.since < _FRESH else None

    async def to(self, bucket: str) -> Way:
        """Return the way to a bucket. Raises `StoreError`, `ConfigurationError`."""
        known = self.known(bucket)
        if known is not None:
            return known
        if bucket not in self._opening:  # else all who wait share what comes of it, be it a refusal
            task = self._opening[bucket] = asyncio.create_task(self._found(bucket))
            task.add_done_callback(lambda done: self._opened(bucket, done))
        return await asyncio.shield(self._opening[bucket])

    def _opened(self, bucket: str, done: asyncio.Task[Way]) -> None:
        self._opening.pop(bucket, None)
        if not done.cancelled():
            done.exception()  # seen, should nobody wait any more

    async def _found(self, bucket: str) -> Way:
        make = self._refresh if bucket in self._known else self._open
        way = self._known[bucket] = await self._call(lambda: make(bucket))
        return way

    async def elsewhere(self, way: Way, region: str) -> Way:
        """Return the way to a bucket that S3 says lies in another region than it was asked in."""
        if self._known.get(way.bucket) is way:
            self._identity().found_in(way.bucket, region)
            del self._known[way.bucket]
        return await self.to(way.bucket)

    async def renewed(self, way: Way) -> Way:
        """Return the way with other credentials than those, which have expired, where there are others."""
        signature = way.route.signature
        if signature is not None:
            await self._call(lambda: self._identity().renew(signature.access_key))
        self._known.pop(way.bucket, None)
        return await self.to(way.bucket)

    async def to_object(self, way: Way, key: str) -> tuple[Route, str]:
        """Return the route and URL of an object. Raises `AbsentError` for a key that no object can have."""
        if not key:
            raise AbsentError("an empty key")
        if way.own and not (("/." in key or key[0] == ".") and _DOTS.search(key)):
            try:
                path = key if _PLAIN.fullmatch(key) else quote(key, safe="/~")
            except UnicodeEncodeError as error:
                raise AbsentError("a key that is no Unicode") from error
            return way.route, f"{way.url}/{path}"
        return self._sent_for(way, await self._call(lambda: self._identity().signed_get(way.bucket, key)))

    async def to_page(self, way: Way, options: Mapping[str, Any]) -> tuple[Route, str]:
        """Return the route and URL of a page of a listing. `options` are those of ListObjectsV2."""
        if way.own:
            asked = {_QUERY[name]: str(value) for name, value in options.items()}
            asked |= {"list-type": "2", "encoding-type": "url"}
            query = "&".join([f"{name}={_quoted(value)}" for name, value in sorted(asked.items())])
            return way.route, f"{way.root}?{query}"
        return self._sent_for(way, await self._call(lambda: self._identity().signed_list(way.bucket, options)))

    def _sent_for(self, way: Way, request: SignedRequest) -> tuple[Route, str]:
        """Return a request that boto3 has signed, to be sent as it is."""
        headers = tuple(f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in _OURS)
        return msgspec.structs.replace(way.route, headers=headers, signature=None, verbatim=True), request.url

    def _open(self, bucket: str) -> Way:
        aws = self._identity()
        access = aws.bucket(bucket)
        looked = aws.signed_get(bucket, "key")
        signature, token = (None, None) if looked.unsigned else self._signature(access.region)
        own = signature is None or (looked.plain and _KEY_ID.fullmatch(signature.access_key) is not None)
        headers = [f"x-amz-expected-bucket-owner: {access.owner}"] if access.owner else []
        headers += [f"X-Amz-Security-Token: {token}"] if token else []
        signed = signature if own else None
        route = Route(access.ca_file, access.proxy or "", aws.user_agent, tuple(headers), signed)
        root = f"{access.url}/" if access.virtual_hosted else access.url
        return Way(bucket, access.url, root, route, own, time.monotonic())

    def _refresh(self, bucket: str) -> Way:
        """Return the same way. With the same route, too, where the credentials are the same: it bears libcurl's set-up."""
        old, new = self._known[bucket], self._open(bucket)
        return msgspec.structs.replace(new, route=old.route) if new.route == old.route else new

    def _signature(self, region: str) -> tuple[Signature, str | None]:
        access_key, secret_key, token = self._identity().frozen_credentials()
        return Signature(region, access_key, secret_key), token

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _quoted(value: str) -> str:
    """Return a value in a query, as it is signed.

    `urllib` looks at each character where one of them is a slash: 30 times as long.
    """
    return value.replace("/", "%2F") if _PLAIN.fullmatch(value) else quote(value, safe="~")
