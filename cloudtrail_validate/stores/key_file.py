"""Reads and writes files of public keys; `aws.public_keys` asks CloudTrail itself.

No source is trusted: a key counts only under the fingerprint that its own bytes hash to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec
from dateutil.parser import isoparse

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.model import isoformat, utc
from cloudtrail_validate.core.signature import PublicKey, RegionKeys, fingerprint_of, index_keys, load_key
from cloudtrail_validate.runtime.files import read_at_most

_MAX_FILE_BYTES: Final = 64 * 1024 * 1024


class KeySource(Protocol):
    """Answers with the keys of a region. Blocking; called on a thread, once a region."""

    def region(self, region: str) -> RegionKeys:
        """Return every key that may have signed a digest of the window in this region."""
        ...


class FileKeys:
    """Keys from a file. A key without a region serves every region."""

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self._keys = keys

    def region(self, region: str) -> RegionKeys:
        """Return the file's keys for a region."""
        return RegionKeys(index_keys(key for key in self._keys if key.region in (None, region)))


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
            data = read_at_most(file, _MAX_FILE_BYTES)
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
    sha256 = hashlib.sha256(data).hexdigest()
    return FileKeys([_checked(path, sha256, entry) for entry in entries])


def write_keys(keys: Iterable[PublicKey]) -> bytes:
    """Return the key file of these keys: JSON, sorted, one key once a region."""
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


def _checked(path: Path, sha256: str, entry: _Entry) -> PublicKey:
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
    return PublicKey(name, der, start, end, entry.region, "file", file=str(path), file_sha256=sha256)


def _moment(value: str | float) -> datetime:
    return utc(isoparse(value)) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
