"""Reads the completion report of an S3 Batch Operations job that computed checksums. Pure, and hostile input.

Amazon S3 User Guide, "Examples: S3 Batch Operations completion reports": a `manifest.json` names CSV files and their columns
(`ReportSchema`: Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage). Keys are percent-encoded. The
ResultMessage of a task that computed a checksum is JSON: `checksum_base64` and `checksum_hex`, `checksumAlgorithm`,
`checksumType`, `etag`.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import unquote_plus

import msgspec

from cloudtrail_validate.core.errors import ConfigurationError

FORMAT: Final = "Report_CSV_20180820"
MOST_FILES: Final = 100_000
MOST_BYTES: Final = 4 * 1024**3  # of one CSV file
MOST_MANIFEST: Final = 64 * 1024 * 1024
_SHA256_BYTES: Final = 32
_NEEDED: Final = ("bucket", "key", "taskstatus", "errorcode", "httpstatuscode", "resultmessage")


class Result(msgspec.Struct, frozen=True):
    """A CSV file of a report: where it lies, and its MD5 in hex."""

    bucket: str = msgspec.field(name="Bucket")
    key: str = msgspec.field(name="Key")
    md5: str = msgspec.field(name="MD5Checksum", default="")
    status: str = msgspec.field(name="TaskExecutionStatus", default="")


class Manifest(msgspec.Struct, frozen=True):
    """The `manifest.json` of a report."""

    format: str = msgspec.field(name="Format")
    created: str = msgspec.field(name="ReportCreationDate", default="")
    results: Annotated[tuple[Result, ...], msgspec.Meta(max_length=MOST_FILES)] = msgspec.field(
        name="Results", default=()
    )
    columns: str = msgspec.field(name="ReportSchema", default="")


class Row(msgspec.Struct, frozen=True):
    """What S3 says of one object: the SHA-256 of its stored bytes in hex, or None and why there is none.

    `absent`: S3 answered that there is no such object.
    """

    bucket: str
    key: str
    sha256: str | None
    problem: str = ""
    absent: bool = False


def read_manifest(data: bytes) -> Manifest:
    """Read a manifest. Raises `ConfigurationError`."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors, so is what is no UTF-8
        raise ConfigurationError(f"--checksum-report: no manifest.json of S3 Batch Operations: {error}") from error
    if manifest.format != FORMAT:
        raise ConfigurationError(f"--checksum-report: expected the format {FORMAT}, got {manifest.format[:100]!r}")
    missing = [name for name in _NEEDED if name not in _columns(manifest)]
    if missing:
        raise ConfigurationError(f"--checksum-report: its files lack the columns {', '.join(missing)}")
    return manifest


def read_rows(manifest: Manifest, text: str) -> Iterator[Row]:
    """Read the rows of one CSV file. Raises `ConfigurationError` for what is no row."""
    columns = _columns(manifest)
    try:
        for cells in csv.reader(io.StringIO(text)):
            if not cells:
                continue
            if len(cells) != len(columns):
                raise ConfigurationError(f"--checksum-report: expected {len(columns)} columns, a row has {len(cells)}")
            yield _row(dict(zip(columns, cells, strict=True)))
    except csv.Error as error:
        raise ConfigurationError(f"--checksum-report: no CSV: {error}") from error


def _columns(manifest: Manifest) -> list[str]:
    return [name.strip().lower() for name in manifest.columns.split(",")]


def _row(cells: dict[str, str]) -> Row:
    bucket, key = cells["bucket"].strip(), unquote_plus(cells["key"].strip(), errors="surrogateescape")
    if cells["taskstatus"].strip().lower() != "succeeded":
        codes = {cells["errorcode"].strip(), cells["httpstatuscode"].strip()}
        said = " ".join(sorted(codes - {""}))
        return Row(bucket, key, None, f"S3 could not compute it: {said or 'no reason given'}", "NoSuchKey" in codes)
    return _computed(bucket, key, cells["resultmessage"])


def _computed(bucket: str, key: str, message: str) -> Row:
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return Row(bucket, key, None, "S3's answer holds no checksum")
    algorithm = str(told.get("checksumAlgorithm", ""))
    if algorithm.replace("-", "").upper() != "SHA256":
        return Row(
            bucket, key, None, f"it was computed with {algorithm[:40] or 'nothing'}: only SHA256 proves anything"
        )
    if str(told.get("checksumType", "FULL_OBJECT")).upper() != "FULL_OBJECT":
        return Row(bucket, key, None, "it is a checksum of parts, not of the whole object")
    sha256 = _sha256(told)
    return Row(bucket, key, sha256, "" if sha256 else "S3's answer holds no SHA-256 that agrees with itself")


def _sha256(told: dict[str, object]) -> str | None:
    """The hash; where it is told in both ways, both must agree."""
    found: set[str] = set()
    in_hex, in_base64 = told.get("checksum_hex"), told.get("checksum_base64")
    try:
        if isinstance(in_hex, str) and in_hex:
            found.add(bytes.fromhex(in_hex).hex())
        if isinstance(in_base64, str) and in_base64:
            found.add(base64.b64decode(in_base64, validate=True).hex())
    except ValueError:
        return None
    if len(found) != 1:
        return None
    (value,) = found
    return value if len(value) == 2 * _SHA256_BYTES else None
