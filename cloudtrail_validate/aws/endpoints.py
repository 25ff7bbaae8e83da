"""Reads off boto3 where it sends requests for a bucket: endpoint, addressing, signing, CA bundle, proxy."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from cloudtrail_validate.aws.errors import AWS_ERRORS, MALFORMED
from cloudtrail_validate.aws.identity import inner_of
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.layout import REGION
from cloudtrail_validate.core.text import printable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from cloudtrail_validate.aws.own_session import AnySession

_LOCATION: Final = re.compile(r"The ([a-z0-9-]{4,30}) location constraint")  # of buckets in opt-in regions
_CA_SETTINGS: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")  # in boto3's order
_peek = threading.local()  # `box`: where the request that this thread is about to make is put instead of being sent


class Access(msgspec.Struct, frozen=True):
    """Holds the endpoint, region, addressing and proxy of one bucket, as boto3 resolved them.

    `url` is where the bucket's keys begin (`https://bucket.s3.eu-west-1.amazonaws.com`, or `https://host/bucket` where it
    is addressed by path), without a closing slash; `endpoint` the same without a bucket that is part of the path.
    `region` and `service` are what requests are signed for. `ca_file` is the PEM file to trust, boto3's own where none is
    configured. `proxy` is the URL of the proxy for this host, None for none. `owner` is the account
    that the bucket must belong to (x-amz-expected-bucket-owner), where that is known.
    """

    region: str
    endpoint: str
    virtual_hosted: bool
    url: str
    ca_file: str
    service: str = "s3"
    proxy: str | None = None
    owner: str | None = None


class _Unsent:
    """Stands in botocore for the answer to a request that was not sent."""

    status_code = 200


def watch(client: S3Client) -> None:
    """Make a new client ready for `access_to`, and keep it from asking for ever where a bucket lies."""
    client.meta.events.register("before-call.s3", _intercept)  # type: ignore[arg-type]  # its answer is wanted
    client.meta.events.register("before-call.s3.HeadBucket", _stay)


def access_to(client: S3Client, bucket: str, trusted: CaBundle | None, owner: str | None) -> Access:
    """Return how a client would reach a bucket. Nothing is sent.

    A request is made and kept from leaving: that is the one public way to boto3's resolution of endpoint, addressing
    style and signing region. Raises `ConfigurationError` where boto3 knows no way to such a bucket.
    """
    call: dict[str, Any] = {}
    _peek.box = call
    try:
        client.list_objects_v2(Bucket=bucket)
    except (*AWS_ERRORS, *MALFORMED) as error:
        raise ConfigurationError(f"no way to the bucket {printable(bucket)!r}: {printable(str(error))}") from error
    finally:
        _peek.box = None
    parts = urlsplit(call["url"])
    base, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    by_path = unquote(path).rpartition("/")[2] == bucket
    signing = call["context"].get("signing") or {}
    return Access(
        region=str(signing.get("region") or client.meta.region_name),
        endpoint=base + (path.rpartition("/")[0] if by_path else path),
        virtual_hosted=not by_path,
        url=base + path,
        ca_file=trusted.path if trusted else str(get_cert_path(True)),
        service=str(signing.get("signing_name") or "s3"),
        proxy=get_environ_proxies(base).get(parts.scheme),
        owner=owner,
    )


def _intercept(params: dict[str, Any], **_: object) -> tuple[_Unsent, dict[str, Any]] | None:
    """Keep a request that is only to be looked at from being sent."""
    box = getattr(_peek, "box", None)
    if box is None:
        return None
    box.update(params)
    return _Unsent(), {"ResponseMetadata": {}}


def _stay(params: dict[str, Any], **_: object) -> None:
    """Keep botocore from following a redirect of HeadBucket.

    To learn where to, it asks HeadBucket: of an answer without a region it asks for ever (RecursionError).
    """
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def told_region(answer: Mapping[str, Any]) -> str | None:
    """Return the bucket's region as an answer or a refusal tells it, in any of the three places where S3 does."""
    error = answer.get("Error", {})
    told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region") or error.get("Region")
    if not told and (words := _LOCATION.search(str(error.get("Message", "")))) and words[1] != "unspecified":
        told = words[1]
    return str(told) if told and REGION.fullmatch(str(told)) else None


class CaBundle(msgspec.Struct, frozen=True):
    """Names the trusted certificate authorities: a PEM file, and the setting that names it."""

    setting: str
    path: str

    def text(self) -> str:
        """Read its certificates. Raises `ConfigurationError` where it holds none."""
        try:
            text = Path(self.path).read_bytes().decode("ascii", "ignore")  # bundles bear names in UTF-8 as comments
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (OSError, ValueError) as error:
            # an SSLError is an OSError, too, whose strerror is OpenSSL's whole sentence
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise ConfigurationError(
                f"{self.setting}: expected a readable PEM file, got {printable(self.path)!r}: {reason}"
            ) from error
        return text


def ca_bundle_of(session: AnySession) -> CaBundle | None:
    """Return the bundle that boto3 trusts, None for its own. Raises `ConfigurationError` for one that is none."""
    environ = {name: value for name in _CA_SETTINGS if (value := os.environ.get(name))}
    configured = inner_of(session).get_config_variable("ca_bundle")
    if configured and "AWS_CA_BUNDLE" not in environ:
        found = CaBundle(f"ca_bundle of the profile {printable(session.profile_name)}", str(configured))
    elif environ:
        found = CaBundle(*next(iter(environ.items())))
    else:
        return None
    found.text()
    return found
