"""Keeps a state in a file, a folder or S3, and never overwrites what another run has saved meanwhile.

A folder (or an S3 prefix, ending in `/`) holds a file an account and an index that names them, so that an account's file
cannot be lost unseen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from cloudtrail_validate.aws.errors import ANY_ERROR
from cloudtrail_validate.aws.refusals import object_refused
from cloudtrail_validate.core.errors import AbsentError, ConfigurationError, StoreError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.runtime.files import read_at_most, write_whole
from cloudtrail_validate.state.codec import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

Tag = str | None
"""What tells one saved version of a file from another; None: there is none."""


class ConflictError(Exception):
    """Another run has saved meanwhile."""


class Storage(Protocol):
    """Holds files by name. `put` replaces a file only where it is still the one that `tag` tells of."""

    def get(self, name: str) -> tuple[bytes, Tag] | None:
        """A file and its tag, None where there is none. Raises `ConfigurationError`."""
        ...

    def put(self, name: str, data: bytes, tag: Tag) -> Tag:
        """Save a file whole; returns its new tag. Raises `ConflictError`, and `ConfigurationError` where it cannot be."""
        ...

    @property
    def sharded(self) -> bool:
        """Whether there is a file an account."""
        ...


class LocalStorage:
    """Files of one folder, or one file."""

    def __init__(self, path: Path, *, sharded: bool) -> None:
        self._path = path
        self.sharded = sharded

    def get(self, name: str) -> tuple[bytes, Tag] | None:
        """Read a file, without following a link out of what was named."""
        path = self._of(name)
        try:
            with path.open("rb") as file:
                data = read_at_most(file, MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"--state: cannot read {printable(str(path))}: {error.strerror}") from error
        if len(data) > MAX_BYTES:
            raise ConfigurationError(f"--state: {printable(str(path))} is too large to be a state")
        return data, hashlib.sha256(data).hexdigest()

    def put(self, name: str, data: bytes, tag: Tag) -> Tag:
        """Write beside, flush to disk, compare under a lock, and rename."""
        path = self._of(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.with_name(f".{path.name}.lock")):
                known = self.get(name)
                if (known[1] if known else None) != tag:
                    raise ConflictError(name)
                write_whole(path, data)
        except OSError as error:
            raise ConfigurationError(f"--state: cannot write {printable(str(path))}: {error.strerror}") from error
        return hashlib.sha256(data).hexdigest()

    def _of(self, name: str) -> Path:
        return self._path / name if self.sharded else self._path


class S3Storage:
    """Objects below a prefix, or one object. Saved by conditional writes (If-Match, If-None-Match)."""

    def __init__(self, client: Callable[[], Any], bucket: str, key: str, *, sharded: bool) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self.sharded = sharded

    def get(self, name: str) -> tuple[bytes, Tag] | None:
        """Read an object."""
        try:
            answer = self._client().get_object(Bucket=self._bucket, Key=self._of(name))
            data = read_at_most(answer["Body"], MAX_BYTES)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                return None
            raise self._refused("read", name, error) from error
        except (*ANY_ERROR, AbsentError, StoreError) as error:
            raise self._refused("read", name, error) from error
        if len(data) > MAX_BYTES:
            raise ConfigurationError(f"--state: {self._shown(name)} is too large to be a state")
        return data, str(answer["ETag"])

    def put(self, name: str, data: bytes, tag: Tag) -> Tag:
        """Write an object, if it is still the one that was read."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            answer = self._client().put_object(Bucket=self._bucket, Key=self._of(name), Body=data, **condition)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                raise ConflictError(name) from error
            raise self._refused("write", name, error) from error
        except (*ANY_ERROR, AbsentError, StoreError) as error:
            raise self._refused("write", name, error) from error
        return str(answer["ETag"])

    def _of(self, name: str) -> str:
        return f"{self._key}{name}" if self.sharded else self._key

    def _shown(self, name: str) -> str:
        return printable(f"s3://{self._bucket}/{self._of(name)}")

    def _refused(self, what: str, name: str, error: Exception) -> ConfigurationError:
        place = f"s3://{self._bucket}/{self._of(name)}"
        permission = "s3:PutObject" if what == "write" else "s3:GetObject"
        return ConfigurationError(str(object_refused(error, f"--state: cannot {what}", place, permission)))


def storage_of(target: str, client: Callable[[str], Any]) -> Storage:
    """Read what `--state` says: a file, a folder (there, or ending in a slash), `s3://bucket/key` or `s3://bucket/prefix/`.

    `client` answers with a boto3 S3 client for a bucket. Raises `ConfigurationError`.
    """
    if target.startswith("s3://"):
        bucket, _, key = target.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise ConfigurationError(f"--state: expected s3://BUCKET/KEY or s3://BUCKET/PREFIX/, got {target!r}")
        return S3Storage(lambda: client(bucket), bucket, key, sharded=key.endswith("/"))
    path = Path(target)
    return LocalStorage(path, sharded=target.endswith(("/", os.sep)) or path.is_dir())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends."""
    with path.open("ab") as file:
        try:
            import fcntl
        except ImportError:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]  # there on Windows alone
            yield
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
