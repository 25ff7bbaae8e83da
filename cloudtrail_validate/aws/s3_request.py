"""The requests to S3 that boto3 would send: where they go and how they are signed, read off requests that are not sent.

boto3 resolves partitions, regions, endpoints, addressing styles, access points, FIPS, dual-stack and what users configured.
Its event `before-send` shows each request when it is ready to go; what listens there stops it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SCOPE: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/,]+(?:/[^/,]+)*?/[0-9]{8}/([^/,]+)/([^/,]+)/aws4_request")
_looking = threading.local()


class Request(msgspec.Struct, frozen=True):
    """A request as boto3 would send it: URL with its query, and headers (names as boto3 spells them)."""

    url: str
    headers: Mapping[str, str]

    @property
    def signed(self) -> bool:
        """Whether it is signed at all: it is not where the configuration says UNSIGNED."""
        return any(name.lower() == "authorization" for name in self.headers) or "X-Amz-Signature=" in self.url

    @property
    def region(self) -> str | None:
        """The region that it is signed for, where that is Signature Version 4 in S3's own name; else None."""
        for name, value in self.headers.items():
            if name.lower() == "authorization" and (scope := _SCOPE.match(value)):
                return scope[1] if scope[2] == "s3" else None
        return None


class _StoppedError(Exception):
    """Carries a request out of boto3, which would have sent it."""

    def __init__(self, request: Request) -> None:
        super().__init__("not to be sent")
        self.request = request


def get_object(client: S3Client, bucket: str, key: str) -> Request:
    """What boto3 would ask to get an object. Raises what boto3 raises where it cannot make a request of it."""
    return _stopped(client, "GetObject", lambda: client.get_object(Bucket=bucket, Key=key))


def list_objects(client: S3Client, bucket: str) -> Request:
    """What boto3 would ask to list a bucket."""
    return _stopped(client, "ListObjectsV2", lambda: client.list_objects_v2(Bucket=bucket))


def _stopped(client: S3Client, operation: str, call: Callable[[], object]) -> Request:
    # Only this operation: what boto3 must ask before it can sign, such as a session of a directory bucket, goes out.
    client.meta.events.register_last(f"before-send.s3.{operation}", _stop, unique_id=f"ctvalidate-{operation}")
    _looking.now = True
    try:
        call()
    except _StoppedError as stopped:
        return stopped.request
    finally:
        _looking.now = False
    raise RuntimeError("boto3 sent a request that was only to be looked at")


def _stop(request: Any, **_: object) -> None:
    """Stop a request of a thread that is looking; those of other threads go out."""
    if getattr(_looking, "now", False):
        raise _StoppedError(
            Request(str(request.url), {_text(name): _text(value) for name, value in request.headers.items()})
        )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
