"""Where a simulated trail is written: a local folder or an S3 bucket."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from cloudtrail_validate.core.portable import is_foreign

if TYPE_CHECKING:
    from types import TracebackType

    from mypy_boto3_s3 import S3Client

SIDECAR = ".metadata.json"


class Role(StrEnum):
    """What a delivered object is."""

    LOG = "log"
    DIGEST = "digest"
    MARKER = "marker"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One object as it reaches the bucket.

    `metadata` is S3 user metadata: None for none by nature (a log), empty where it was taken away. `unreadable` asks
    the sink to store the object so that it is listed and cannot be read.
    """

    key: str
    body: bytes
    delivered: datetime
    role: Role
    metadata: Mapping[str, str] | None = None
    unreadable: bool = False


class Sink(Protocol):
    """Takes deliveries in any order. A context manager: on leaving, everything is written or an error is raised."""

    @property
    def keeps_times(self) -> bool:
        """Whether what is written bears the time of its delivery, not the time of writing."""
        ...

    @property
    def keeps_metadata(self) -> bool:
        """Whether S3 user metadata is written, in some form."""
        ...

    def put(self, delivery: Delivery) -> None:
        """Write one object, now or until the sink is left."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class FolderSink:
    """Writes the bucket's tree below a directory, as a copy tool would.

    File times are the times of delivery. S3 user metadata goes to a sidecar, `<file>.metadata.json`, unless `sidecars`
    is False. Empty segments of a key vanish, as `/a//b` is `/a/b` to a file system. A key that would leave the
    directory raises ValueError. What cannot be read is a file of mode 0, which does not stop root: ValueError again.
    """

    keeps_times = True

    def __init__(self, directory: str | Path, *, sidecars: bool = True) -> None:
        self.directory = Path(directory)
        self.keeps_metadata = sidecars
        self._made: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Everything is written already."""

    def put(self, delivery: Delivery) -> None:
        """Write one file, and its sidecar. Raises ValueError for an unsafe key, OSError where writing fails."""
        path = self._path(delivery.key)
        if delivery.role is Role.MARKER:
            self._make(path)
            return
        self._make(os.path.dirname(path))  # noqa: PTH120 - a Path for each file would halve the speed
        _write(path, delivery.body, delivery.delivered)
        if delivery.unreadable:
            _lock_up(Path(path))
        if delivery.metadata is not None and self.keeps_metadata:
            _write(path + SIDECAR, json.dumps(dict(delivery.metadata)).encode(), delivery.delivered)

    def _path(self, key: str) -> str:
        segments = key.split("/")
        if key.startswith("/") or {".", ".."} & set(segments) or is_foreign(key, windows=os.name == "nt"):
            raise ValueError(f"expected a key that stays in its folder, not {key!r}")
        return os.path.join(self.directory, *filter(None, segments))  # noqa: PTH118 - as above

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._made.add(folder)


def _lock_up(path: Path) -> None:
    """Take away everybody's right to read. Raises ValueError where that does not keep this user from reading."""
    path.chmod(0)
    with suppress(PermissionError), path.open("rb"):
        path.unlink()
        raise ValueError("expected another user than root, or s3://bucket as DEST: who may read every file, can")


def _write(path: str, body: bytes, when: datetime) -> None:
    """Write a file and set its times; a symbolic link in its place is replaced and never followed."""
    place = Path(path)
    if place.is_symlink() or (place.exists() and not place.stat().st_mode & 0o200):
        place.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        file.write(body)
    stamp = when.timestamp()
    os.utime(path, (stamp, stamp))


class S3Sink:
    """Uploads to a bucket with a botocore client, `threads` at a time and a few more waiting.

    Every object is written now: its LastModified says nothing of the delivery simulated. What cannot be read is of
    storage class GLACIER. Give the client a pool of at least `threads` connections.
    """

    keeps_times = False
    keeps_metadata = True

    def __init__(self, bucket: str, client: S3Client, *, threads: int = 16) -> None:
        self.bucket = bucket
        self._client = client
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._running: set[Future[Any]] = set()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="simulate")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for all uploads. Raises the first that failed, unless another error is on its way."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=error is not None)
        running, self._running, self._pool = self._running, set(), None
        if error is None:
            for upload in running:
                upload.result()

    def put(self, delivery: Delivery) -> None:
        """Queue one upload. Raises what an earlier one raised (botocore errors); RuntimeError outside `with`."""
        if self._pool is None:
            raise RuntimeError("expected the sink to be entered with `with`")
        if len(self._running) >= 4 * self._threads:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for upload in done:
                upload.result()
        self._running.add(self._pool.submit(self._upload, delivery))

    def _upload(self, delivery: Delivery) -> None:
        if delivery.role is Role.MARKER:
            self._client.put_object(Bucket=self.bucket, Key=delivery.key, Body=b"")
            return
        self._client.put_object(
            Bucket=self.bucket,
            Key=delivery.key,
            Body=delivery.body,
            Metadata=dict(delivery.metadata or {}),
            ContentEncoding="gzip",
            ContentType="application/json",
            StorageClass="GLACIER" if delivery.unreadable else "STANDARD",
        )
