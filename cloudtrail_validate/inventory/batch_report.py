"""Reads the completion report of an S3 Batch Operations job that computed checksums. Pure, and hostile input.

Amazon S3 User Guide, "Examples: S3 Batch Operations completion reports": a `manifest.json` names CSV files and their columns
(`ReportSchema`: Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage). Keys are percent-encoded. The
ResultMessage of a task that computed a checksum is JSON: `checksum_base64` and `checksum_hex`, `checksumAlgorithm`,
`checksumType`, `etag`. The guide promises none of these names; reports that others read have the two codes in either order,
and were copied by spreadsheets and scripts. So names count without case and underscores, JSON in a string or with bare names
is read too, and so is a first line of headings: whatever is taken for a hash must be one, and be that which was proven.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
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
_NOTHING: Final = frozenset({"", "null", "-"})  # how an empty cell is written
_BARE_NAME: Final = re.compile(r"([{,]\s*)([A-Za-z][A-Za-z0-9_]*)\s*:")
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
        for number, cells in enumerate(csv.reader(io.StringIO(text.removeprefix("\ufeff")))):
            if not cells or (number == 0 and [cell.strip().lower() for cell in cells] == columns):
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
        said = " ".join(sorted(code for code in codes if code.lower() not in _NOTHING))
        return Row(bucket, key, None, f"S3 could not compute it: {said or 'no reason given'}", "NoSuchKey" in codes)
    return _computed(bucket, key, cells["resultmessage"])


def _computed(bucket: str, key: str, message: str) -> Row:
    told = _told(message)
    if told is None:
        return Row(bucket, key, None, "S3's answer holds no checksum")
    algorithm = str(told.get("checksumalgorithm", ""))
    if algorithm.replace("-", "").upper() != "SHA256":
        return Row(
            bucket, key, None, f"it was computed with {algorithm[:40] or 'nothing'}: only SHA256 proves anything"
        )
    if _plain(str(told.get("checksumtype", "FULL_OBJECT"))) != "fullobject":
        return Row(bucket, key, None, "it is a checksum of parts, not of the whole object")
    sha256 = _sha256(told)
    return Row(bucket, key, sha256, "" if sha256 else "S3's answer holds no SHA-256 that agrees with itself")


def _told(message: str) -> dict[str, object] | None:
    """What a ResultMessage says, by plain names; None for what is no JSON object however it was copied."""
    text = message.strip()
    for attempt in (text, text.replace('""', '"'), _BARE_NAME.sub(r'\1"\2":', text)):
        try:
            told = json.loads(attempt)
            if isinstance(told, str):
                told = json.loads(told)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            return {_plain(name): value for name, value in told.items()}
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()


def _sha256(told: dict[str, object]) -> str | None:
    """The hash; where it is told in both ways, both must agree."""
    found: set[str] = set()
    in_hex, in_base64 = told.get("checksumhex"), told.get("checksumbase64")
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
