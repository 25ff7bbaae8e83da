"""Reads one object or one version of it through botocore, in pieces, with every failure as an error of a store.

Versions are read one at a time and seldom, so this is not the hot path: botocore can address every key and every version.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import FlexibleChecksumError, IncompleteReadError, ParamValidationError

from cloudtrail_validate.aws.errors import ANY_ERROR, from_botocore
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.model import Cause, Locator

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

PIECE_BYTES: Final = 1024 * 1024  # what an object is read in, whatever its size
MOST_BYTES: Final = 512 * 1024 * 1024  # as stored, of one version; the largest logs are some tens of MB
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Body:
    """An open object: its bytes as stored, to be read once, its user metadata, and its size in bytes as announced.

    Reading raises `StoreError` where the transfer breaks off.
    """

    pieces: Iterator[bytes]
    metadata: Mapping[str, str]
    size: int


@contextlib.contextmanager
def opened(aws: Aws, where: Locator, version_id: str | None = None) -> Iterator[Body]:
    """Open an object, or one version of it. Needs s3:GetObject, or s3:GetObjectVersion.

    Raises `StoreError` where it cannot be read, `AbsentError` where there is none, `ConfigurationError` where botocore
    cannot even be asked.
    """
    version: Any = {} if version_id is None else {"VersionId": version_id}
    client = aws.s3_client(where.bucket)
    answer = asked(lambda: client.get_object(Bucket=where.bucket, Key=where.key, **version))
    stream = answer["Body"]
    try:
        yield Body(_pieces(stream), answer.get("Metadata", {}), answer.get("ContentLength", 0))
    finally:
        stream.close()


def asked(request: Callable[[], T]) -> T:
    """What botocore answers. Raises `StoreError` or `AbsentError` in place of its exceptions."""
    try:
        return request()
    except ANY_ERROR as error:
        raise _failure(error) from error


def twice(read: Callable[[], T]) -> T:
    """Do it again where the transfer broke off: botocore repeats requests, but not the reading of a body."""
    try:
        return read()
    except StoreError as error:
        if error.cause is not Cause.NETWORK:
            raise
        return read()


def _pieces(stream: Any) -> Iterator[bytes]:
    while piece := asked(lambda: stream.read(PIECE_BYTES)):
        yield piece


def _failure(error: Any) -> StoreError | AbsentError:
    """As every store sorts them, but for three that speak of the transfer or of the name."""
    if isinstance(error, (IncompleteReadError, FlexibleChecksumError)):
        return StoreError(Cause.NETWORK, "the transfer broke off or was damaged")
    if isinstance(error, ParamValidationError):
        return AbsentError("no bucket or key can have this name")
    return from_botocore(error)
