"""What the conformance tests run on: a store, and a way of putting objects into it behind its back."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from moto.s3.models import s3_backends

from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core.copies import Displacement
from cloudtrail_validate.core.gzip import Content, Inflater
from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.core.sidecar import SIDECAR
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts
from cloudtrail_validate.stores.copy_of import CopyStore
from cloudtrail_validate.stores.local import Local
from cloudtrail_validate.stores.protocol import Children, Store, Stored
from cloudtrail_validate.stores.s3 import S3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.servers.aws import AwsServer
    from tests.servers.rclone import RcloneServer
    from tests.servers.swift import SwiftServer

BUCKET = "amzn-s3-demo-bucket"
QUICK = Timeouts(connect=5.0, read=5.0, retries=1, give_up=10.0)
Put = Callable[[str, bytes, Mapping[str, str] | None], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """One store, made anew in each event loop, and how objects get there."""

    name: str
    bucket: str
    put: Put
    plant: Callable[[str, bytes], object]
    open: Callable[[], Store]

    def fill(self, keys: Sequence[str]) -> None:
        """Plant one small object under each key, without the detour of a request for each."""
        for key in keys:
            self.plant(key, content_of(key))

    def run(self, ask: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """Ask the store something in an event loop of its own."""

        async def asking() -> T:
            store = self.open()
            try:
                return await asyncio.wait_for(ask(store), timeout=30)
            finally:
                await store.close()

        return asyncio.run(asking())

    def pages(self, prefix: str, after: str = "", before: str | None = None) -> list[list[ObjectInfo]]:
        """What `scan` yields."""

        async def scan(store: Store) -> list[list[ObjectInfo]]:
            return [list(page) async for page in store.scan(self.bucket, prefix, after=after, before=before)]

        return self.run(scan)

    def keys(self, prefix: str, after: str = "", before: str | None = None) -> list[str]:
        """The keys that `scan` yields."""
        return [info.key for page in self.pages(prefix, after, before) for info in page]

    def children(self, prefix: str) -> Children:
        return self.run(lambda store: store.children(self.bucket, prefix))

    def exact(self, key: str) -> ObjectInfo | None:
        return self.run(lambda store: store.exact(self.bucket, key))

    def content(self, key: str, size: int | None = None) -> Content:
        return self.run(lambda store: store.content(Locator(self.bucket, key), size))

    def digest(self, key: str) -> tuple[bytes, Content, Mapping[str, str] | None]:
        """A digest's inflated bytes, what became of its container, and its metadata."""

        async def read(store: Store) -> tuple[bytes, Content, Mapping[str, str] | None]:
            inflater, metadata = await store.digest(Locator(self.bucket, key))
            return inflater.kept(), inflater.finish(), metadata

        return self.run(read)

    def stored(self, key: str) -> tuple[Content, Stored]:
        """An object as it is stored, and what its bytes are."""

        async def read(store: Store) -> tuple[Content, Stored]:
            found = await store.stored(Locator(self.bucket, key), lambda _size: Inflater())
            return found.inflater.finish(), found

        return self.run(read)


def local_place(root: Path) -> Place:
    """A folder."""

    def put(key: str, body: bytes, metadata: Mapping[str, str] | None) -> None:
        _write(root / key, body)
        if metadata is not None:
            _write(root / (key + SIDECAR), json.dumps(dict(metadata)).encode())

    root.mkdir(exist_ok=True)
    return Place("local", "", put, lambda key, body: _write(root / key, body), lambda: Local(root))


def copied_place(root: Path) -> Place:
    """A folder of a folder, as the top of the bucket that it is a copy of."""
    folder = local_place(root)
    known = Displacement("", "kept/here/", BUCKET, "")

    def put(key: str, body: bytes, metadata: Mapping[str, str] | None) -> None:
        folder.put(f"{known.here}{key}", body, metadata)

    (root / known.here).mkdir(parents=True)
    return Place(
        "copy",
        BUCKET,
        put,
        lambda key, body: folder.plant(f"{known.here}{key}", body),
        lambda: CopyStore(Local(root), known),
    )


def moto_place(aws: AwsServer) -> Place:
    """A bucket that takes every key there is. The environment leads to its server."""
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    backend = s3_backends["123456789012"]["aws"]
    return Place(
        "moto", BUCKET, _putter(client, BUCKET), lambda key, body: backend.put_object(BUCKET, key, body), s3_opener()
    )


def rclone_place(server: RcloneServer, number: int) -> Place:
    """A bucket on a server that checks signatures. The environment leads to it."""
    client, bucket = server.client(), f"{BUCKET}-{number}"
    client.create_bucket(Bucket=bucket)
    folder = server.root / bucket
    return Place("rclone", bucket, _putter(client, bucket), lambda key, body: _write(folder / key, body), s3_opener())


def swift_place(server: SwiftServer, number: int) -> Place:
    """A bucket of Swift, which checks signatures as well, and takes empty segments. The environment leads to it."""
    client, bucket = server.client(), f"{BUCKET}-of-stores-{number}"  # other tests number theirs on the same server
    client.create_bucket(Bucket=bucket)
    return Place(
        "swift",
        bucket,
        _putter(client, bucket),
        lambda key, body: client.put_object(Bucket=bucket, Key=key, Body=body),
        s3_opener(),
    )


def s3_opener() -> Callable[[], Store]:
    """Opens S3 as the environment says, each time with the same identity: to make one takes a quarter of a second."""
    identity = cache(partial(Aws, connect=QUICK.connect, read=QUICK.read, attempts=1))
    return lambda: S3(identity, limiter=RateLimiter(16), timeouts=QUICK)


def content_of(key: str) -> bytes:
    """What `Place.fill` puts under a key."""
    return b"content of " + key.encode()


def _putter(client: S3Client, bucket: str) -> Put:
    def put(key: str, body: bytes, metadata: Mapping[str, str] | None) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=dict(metadata or {}))

    return put


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def gz(data: bytes) -> bytes:
    """One gzip member, the same every time."""
    return gzip.compress(data, mtime=0)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
