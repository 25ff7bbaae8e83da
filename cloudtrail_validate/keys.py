"""Where public keys come from: CloudTrail's ListPublicKeys, or a file that `ctvalidate keys export` wrote.

No source is trusted: a key counts only under the fingerprint that its own bytes hash to.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from botocore.exceptions import EndpointConnectionError
from botocore.parsers import ResponseParserError
from dateutil.parser import isoparse

from cloudtrail_validate.aws import AWS_ERRORS, MALFORMED, ConfigurationError
from cloudtrail_validate.model import EPOCH, Interval, isoformat, utc
from cloudtrail_validate.signature import PublicKey, RegionKeys, fingerprint_of, index_keys, load_key
from cloudtrail_validate.stores import StoreError
from cloudtrail_validate.stores.failures import from_botocore

if TYPE_CHECKING:
    from cloudtrail_validate.aws import Aws

WIDEN: Final = timedelta(days=35)  # each key is valid 30 days and keys overlap
_MAX_PAGES: Final = 1000  # an answer that never ends is no answer
_TRIES: Final = 3  # of a page that was cut short
_MAX_FILE_BYTES: Final = 64 * 1024 * 1024


class KeySource(Protocol):
    """Answers with the keys of a region. Blocking; called on a thread, once a region."""

    def region(self, region: str) -> RegionKeys:
        """Every key that may have signed a digest of the window in this region."""
        ...


class FileKeys:
    """Keys from a file. A key without a region serves every region."""

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self._keys = keys

    def region(self, region: str) -> RegionKeys:
        """The file's keys for a region."""
        return RegionKeys(index_keys(key for key in self._keys if key.region in (None, region)))


class AwsKeys:
    """Keys from ListPublicKeys, asked for once a region for the whole window, widened."""

    def __init__(self, aws: Aws, window: Interval, now: datetime) -> None:
        self._aws = aws
        self._start = window.start - WIDEN if window.start - EPOCH > WIDEN else EPOCH
        self._end = min(window.end + WIDEN, max(now, window.start))

    def region(self, region: str) -> RegionKeys:
        """CloudTrail's own answer for a region. One that the caller has not enabled answers with an error."""
        try:
            keys = list_public_keys(self._aws.client("cloudtrail", region), region, self._start, self._end)
        except AWS_ERRORS as error:
            failure = from_botocore(error)
            cause = failure.cause if isinstance(failure, StoreError) else None
            detail = f"cloudtrail:ListPublicKeys in {region}: {failure}"
            if isinstance(error, EndpointConnectionError):
                detail = f"cloudtrail:ListPublicKeys in {region}: cannot connect"
            return RegionKeys(cause=cause, detail=detail)
        return RegionKeys(index_keys(keys), issuer=True)


def list_public_keys(client: Any, region: str, start: datetime, end: datetime) -> list[PublicKey]:
    """All pages of ListPublicKeys. Raises botocore's exceptions."""
    keys: list[PublicKey] = []
    token: str | None = None
    seen: set[str] = set()
    for _ in range(_MAX_PAGES):
        ask = partial(client.list_public_keys, StartTime=start, EndTime=end, **({"NextToken": token} if token else {}))
        listed, token = _insist(ask, region)
        keys += listed
        if not token or token in seen:
            break
        seen.add(token)
    return keys


def _insist(ask: Callable[[], Any], region: str) -> tuple[list[PublicKey], str | None]:
    """One page. What is cut short is asked for again: botocore takes it for an answer, and a lost key for none."""
    for _ in range(_TRIES - 1):
        with suppress(*MALFORMED):
            return _page(ask(), region)
    try:
        return _page(ask(), region)
    except MALFORMED as error:
        raise ResponseParserError(f"this is no answer of CloudTrail: {error!r}") from error


def _page(page: Mapping[str, Any], region: str) -> tuple[list[PublicKey], str | None]:
    keys = [
        PublicKey(
            str(item["Fingerprint"]).lower(),
            bytes(item["Value"]),
            utc(item["ValidityStartTime"]),
            utc(item["ValidityEndTime"]),
            region,
            "aws",
        )
        for item in page["PublicKeyList"]
    ]
    return keys, page.get("NextToken")


class _Entry(msgspec.Struct, frozen=True):
    """One key as `aws cloudtrail list-public-keys` prints it, with the region that `keys export` adds."""

    value: str = msgspec.field(name="Value")
    fingerprint: str = msgspec.field(name="Fingerprint")
    start: str | float = msgspec.field(name="ValidityStartTime")
    end: str | float = msgspec.field(name="ValidityEndTime")
    region: str | None = msgspec.field(name="Region", default=None)


class _File(msgspec.Struct, frozen=True):
    keys: tuple[_Entry, ...] = msgspec.field(name="PublicKeyList")


def read_key_file(path: Path) -> FileKeys:
    """Read a key file and check it against itself. Raises `ConfigurationError` in one line."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES)
        entries = msgspec.json.decode(data, type=_File).keys
    except OSError as error:
        raise ConfigurationError(f"--public-keys: cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"--public-keys: {path}: expected what `ctvalidate keys export` or `aws cloudtrail list-public-keys` writes: "
            f"{error}"
        ) from error
    if not entries:
        raise ConfigurationError(f"--public-keys: {path}: holds no key")
    return FileKeys([_checked(path, entry) for entry in entries])


def write_keys(keys: Iterable[PublicKey]) -> bytes:
    """The key file of these keys: JSON, sorted, one key once a region."""
    entries = {
        (key.region or "", key.not_before, key.fingerprint): {
            "Value": base64.b64encode(key.der).decode("ascii"),
            "ValidityStartTime": isoformat(key.not_before),
            "ValidityEndTime": isoformat(key.not_after),
            "Fingerprint": key.fingerprint,
            **({"Region": key.region} if key.region else {}),
        }
        for key in keys
    }
    document = {"PublicKeyList": [entries[order] for order in sorted(entries)]}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _checked(path: Path, entry: _Entry) -> PublicKey:
    name = entry.fingerprint.lower()
    try:
        der = base64.b64decode(entry.value, validate=True)
        start, end = _moment(entry.start), _moment(entry.end)
    except (binascii.Error, ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(f"--public-keys: {path}: key {name[:64]!r}: {error}") from error
    if fingerprint_of(der) != name:
        raise ConfigurationError(
            f"--public-keys: {path}: a key that says its fingerprint is {name[:64]!r} has {fingerprint_of(der)}"
        )
    if load_key(der) is None:
        raise ConfigurationError(f"--public-keys: {path}: key {name} is no RSA key in DER")
    return PublicKey(name, der, start, end, entry.region, "file")


def _moment(value: str | float) -> datetime:
    return utc(isoparse(value)) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
