"""What the conformance tests run on: a store, and a way of putting objects into it behind its back."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cloudtrail_validate.aws import Aws
from cloudtrail_validate.content import Content
from cloudtrail_validate.model import Locator
from cloudtrail_validate.pace import Pace
from cloudtrail_validate.stores import Children, ObjectInfo, Store
from cloudtrail_validate.stores.local import SIDECAR, Local
from cloudtrail_validate.stores.s3 import S3, Patience

if TYPE_CHECKING:
    import pytest
    from mypy_boto3_s3 import S3Client

    from tests.servers.aws import AwsServer
    from tests.servers.rclone import RcloneServer

BUCKET = "amzn-s3-demo-bucket"
QUICK = Patience(connect=2.0, read=0.5, retries=2, give_up=2.0)
Put = Callable[[str, bytes, Mapping[str, str] | None], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """One store, made anew in each event loop, and how objects get there."""

    name: str
    bucket: str
    put: Put
    open: Callable[[], Store]

    def fill(self, keys: Sequence[str]) -> None:
        """Put one small object under each key."""
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(self.put, key, b"content of " + key.encode(), None) for key in keys]:
                done.result()

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


def local_place(root: Path) -> Place:
    """A folder."""

    def put(key: str, body: bytes, metadata: Mapping[str, str] | None) -> None:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if metadata is not None:
            path.with_name(path.name + SIDECAR).write_text(json.dumps(dict(metadata)))

    root.mkdir(exist_ok=True)
    return Place("local", "", put, lambda: Local(root))


def s3_place(name: str, client: S3Client, open_store: Callable[[], Store] | None = None) -> Place:
    """A bucket, new and empty. The environment leads to its server."""

    def put(key: str, body: bytes, metadata: Mapping[str, str] | None) -> None:
        client.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=dict(metadata or {}))

    client.create_bucket(Bucket=BUCKET)
    return Place(name, BUCKET, put, open_store or (lambda: S3(Aws(), pace=Pace(16), patience=QUICK)))


@contextmanager
def place_of(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The place of that name, on the servers of the fixtures."""
    if name == "local":
        tmp_path: Path = request.getfixturevalue("tmp_path")
        yield local_place(tmp_path / "tree")
    elif name == "moto":
        aws: AwsServer = request.getfixturevalue("aws")
        yield s3_place(name, aws.client("s3"))
    else:
        rclone: RcloneServer = request.getfixturevalue("rclone")
        for variable, value in rclone.env.items():
            monkeypatch.setenv(variable, value)
        yield s3_place(name, rclone.client())


def gz(data: bytes) -> bytes:
    """One gzip member, the same every time."""
    return gzip.compress(data, mtime=0)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
