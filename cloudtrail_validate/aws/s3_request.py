"""Requests to S3 as boto3 would send them, signed, for someone else to send.

boto3's event `before-send` shows each request when it is ready to go (botocore's guide, "Event system"); what listens there
keeps it. Needed where nobody but boto3 can sign: paths with dot segments, Outposts, multi-region access points, directory
buckets, Signature Version 2.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from cloudtrail_validate.aws.errors import ANY_ERROR, from_botocore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SCOPE: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]+/[0-9]{8}/[^/,]+/s3/aws4_request")
_keeping = threading.local()  # `now`: whether the request that this thread is about to send is to be kept


class SignedRequest(msgspec.Struct, frozen=True):
    """A request as boto3 would send it: URL with its query, and headers (names as boto3 spells them)."""

    url: str
    headers: Mapping[str, str]

    @property
    def unsigned(self) -> bool:
        """Tell whether the configuration asks for no signature at all (UNSIGNED)."""
        return not self._authorization() and "X-Amz-Signature=" not in self.url

    @property
    def plain(self) -> bool:
        """Tell whether it bears Signature Version 4 for the service `s3`, which others can make as well."""
        return _SCOPE.match(self._authorization()) is not None

    def _authorization(self) -> str:
        return next((value for name, value in self.headers.items() if name.lower() == "authorization"), "")


class _KeptError(Exception):
    """Carries a request out of boto3."""

    def __init__(self, request: SignedRequest) -> None:
        super().__init__("kept from being sent")
        self.request = request


def sign_get(client: S3Client, bucket: str, key: str) -> SignedRequest:
    """Return the request for an object. Blocking, where credentials must be fetched. Raises `StoreError`, `AbsentError`."""
    return _kept(client, "GetObject", lambda: client.get_object(Bucket=bucket, Key=key))


def sign_list(client: S3Client, bucket: str, options: Mapping[str, Any]) -> SignedRequest:
    """Return the request for a page of a listing (`options` of ListObjectsV2). Blocking, and raises as `sign_get`."""
    return _kept(client, "ListObjectsV2", lambda: client.list_objects_v2(Bucket=bucket, **options))


def _kept(client: S3Client, operation: str, call: Callable[[], object]) -> SignedRequest:
    # Only this operation: what boto3 must ask before it can sign, such as a session of a directory bucket, goes out.
    client.meta.events.register_last(f"before-send.s3.{operation}", _keep, unique_id=f"ctvalidate-keep-{operation}")
    _keeping.now = True
    try:
        call()
    except _KeptError as kept:
        return kept.request
    except ANY_ERROR as error:
        raise from_botocore(error) from error
    finally:
        _keeping.now = False
    raise RuntimeError("boto3 sent a request that was to be kept")


def _keep(request: Any, **_: object) -> None:
    """Stop a request of a thread that keeps it; those of other threads go out."""
    if getattr(_keeping, "now", False):
        headers = {_text(name): _text(value) for name, value in request.headers.items()}
        raise _KeptError(SignedRequest(str(request.url), headers))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
