"""S3 without a network: the real store (`stores.s3`) asks, and answers come out of memory, spoilt on their way as asked.

Servers play S3 everywhere else in the tests (tests/faults fails each request of a run on one); here thousands of runs
shall fit into seconds. What stands between store and bucket are `Wire` in libcurl's place and `Roads` in boto3's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts
from cloudtrail_validate.simulate import Delivery
from cloudtrail_validate.stores import retries, s3
from cloudtrail_validate.stores.s3 import S3
from cloudtrail_validate.stores.s3_ways import Ways
from cloudtrail_validate.stores.transfer import Answer, Broken, Route, TransferError, Way
from tests.fuzz.material import etag, page_xml, refusal_xml
from tests.scenarios.world import Buckets

ROUTE: Final = Route("")
HASTY: Final = Timeouts(retries=2, give_up=5.0)
PAGE: Final = 1000
Spoil = Callable[[str, Answer], "Answer | TransferError"]
"""Given the URL and S3's answer: what arrives."""


class Roads(Ways):
    """Ways to buckets whose keys lie below a URL; nobody signs."""

    def __init__(self, *_: object) -> None:
        self._ways: dict[str, Way] = {}

    def known(self, bucket: str) -> Way | None:
        url = f"http://s3.test/{bucket}"
        return self._ways.setdefault(bucket, Way(bucket, url, url, ROUTE, True, 0.0))

    async def to(self, bucket: str) -> Way:
        way = self.known(bucket)
        assert way is not None
        return way

    async def elsewhere(self, way: Way, region: str) -> Way:  # it is where it was
        return way

    async def renewed(self, way: Way) -> Way:
        return way


class Wire:
    """Buckets in memory, as S3 answers for them."""

    def __init__(self, buckets: Buckets, spoil: Spoil) -> None:
        self._buckets = {bucket: dict(sorted(objects.items())) for bucket, objects in buckets.items()}
        self._spoil = spoil
        self.asked = 0

    async def get(self, route: Route, url: str, limit: int) -> Answer:  # libcurl's arguments
        self.asked += 1
        await asyncio.sleep(0)
        arrived = self._spoil(url, self._answer(url))
        if isinstance(arrived, TransferError):
            raise arrived
        if arrived.size > limit:
            raise TransferError("too much", Broken.TOO_LONG)
        return arrived

    async def stream(self, route: Route, url: str, limit: int, take: Callable[[bytes], Awaitable[object]]) -> Answer:
        answer = await self.get(route, url, limit)
        if answer.status != 200:
            return answer
        for start in range(0, answer.size, 1000):
            await take(answer.body[start : start + 1000])
        return Answer(200, answer.lines, b"", answer.size)

    async def close(self) -> None:
        """Nothing is open."""

    def _answer(self, url: str) -> Answer:
        parts = urlsplit(url)
        bucket, _, key = parts.path.removeprefix("/").partition("/")
        objects = self._buckets.get(bucket)
        if objects is None:
            return _refusal(404, "NoSuchBucket")
        if parts.query:
            asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            return _plain(self._page(bucket, objects, asked))
        delivery = objects.get(unquote(key))
        if delivery is None:
            return _refusal(404, "NoSuchKey")
        if delivery.unreadable:
            return _refusal(403, "AccessDenied")
        meta = [f"x-amz-meta-{name}: {value}".encode() for name, value in (delivery.metadata or {}).items()]
        lines = (b'ETag: "%b"' % etag(delivery.body).encode(), b"Content-Type: application/json", *meta)
        return Answer(200, lines, delivery.body, len(delivery.body))

    def _page(self, bucket: str, objects: dict[str, Delivery], asked: dict[str, str]) -> bytes:
        prefix, after = asked["prefix"], asked.get("start-after", "")
        names = (name for name in objects if name.startswith(prefix) and name > after)
        if "delimiter" not in asked:
            listed = [(name, objects[name]) for name in islice(names, min(PAGE, int(asked["max-keys"])))]
            return page_xml(bucket, prefix, listed)
        below = [(name, name.find("/", len(prefix))) for name in names]
        folders = tuple(dict.fromkeys(name[: slash + 1] for name, slash in below if slash >= 0))
        return page_xml(bucket, prefix, [(name, objects[name]) for name, slash in below if slash < 0], folders)


def _plain(body: bytes) -> Answer:
    return Answer(200, (b"Content-Type: application/xml",), body, len(body))


def _refusal(status: int, code: str) -> Answer:
    body = refusal_xml(code, "no")
    return Answer(status, (b"Content-Type: application/xml",), body, len(body))


@contextmanager
def store(buckets: Buckets, spoil: Spoil) -> Iterator[S3]:
    """The S3 store over these buckets. To be opened, used and closed on one event loop; it does not wait between tries."""
    wire: Any = Wire(buckets, spoil)
    aws: Any = None  # which only `Ways` would ask
    with (
        mock.patch.object(s3, "Curl", return_value=wire),
        mock.patch.object(s3, "Ways", Roads),
        mock.patch.object(retries, "_FIRST_PAUSE", 0.0),
    ):
        yield S3(lambda: aws, limiter=RateLimiter(8), timeouts=HASTY)
