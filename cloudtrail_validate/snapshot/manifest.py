"""The manifest: what a snapshot says of itself, and how its files are named. Pure: bytes in, values out.

A manifest that is read back is hostile input. Its paths are checked to stay in the snapshot before any is opened.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec

from cloudtrail_validate.core.model import Cause, Locator
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.portable import is_foreign
from cloudtrail_validate.core.sidecar import SIDECAR
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.lake import Place
from cloudtrail_validate.report import RequestEcho, Tool
from cloudtrail_validate.report.references import to_json

SCHEMA: Final = "ctvalidate.snapshot/1"
MANIFEST: Final = "manifest.json"
CHECKSUM: Final = "manifest.sha256"
SIGNATURE: Final = "manifest.sig"
STATEMENT: Final = "statement.dsse.json"
TIMESTAMP: Final = "manifest.tsr"
DECLARATION: Final = "DECLARATION.md"
PUBLIC_KEY: Final = "manifest.pub.pem"
REPORT: Final = "report.json"
KEYS: Final = "keys.json"
TREE: Final = "tree"
OTHER_TREES: Final = "trees"
UNLISTED: Final = frozenset({MANIFEST, CHECKSUM, SIGNATURE, STATEMENT, TIMESTAMP, DECLARATION})
"""Files of a snapshot that its manifest cannot name."""
MAX_SEGMENT: Final = 255  # bytes of one name: ext4, XFS, APFS and NTFS agree
_MAX_PATH: Final = 3000  # bytes; PATH_MAX is 4096 on Linux, and the snapshot itself lies somewhere
_HEX: Final = r"[0-9a-f]{64}"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # a local file name that is no UTF-8
_PREFIX: Final = re.compile(r"(?:[^/]*/)*?AWSLogs/")


_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class SnapshotError(Exception):
    """The snapshot cannot be made or read: one line for people."""


class NotASnapshotError(SnapshotError):
    """What lies there is no snapshot of ours."""


class Object(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The object that a file is the copy of. `bucket` is empty where nobody knows it (a snapshot of a local copy)."""

    bucket: str
    key: str
    modified: _Moment | None


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file of the snapshot: path below DIR with forward slashes, SHA-256 (hex) and size in bytes as it lies."""

    path: str
    sha256: str
    size: int
    object: Object | None = None


class Sort(StrEnum):
    """What lay in the place of a file in a local copy."""

    SPECIAL = "special"  # a pipe, socket or device
    LINK = "link"  # it led out of the copy, or nowhere


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object that belongs to the snapshot and is not in it, and why.

    `cause` is set where it could not be read, null where no file can bear its name; `sort` where it was no file at all.
    """

    bucket: str
    key: str
    reason: str
    cause: Cause | None
    size: int | None
    modified: _Moment | None
    sort: Sort | None = None


class KeyAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the keys of one region were come by: `issuer` where CloudTrail itself answered, `cause` where nobody did."""

    region: str
    issuer: bool
    cause: Cause | None
    detail: str | None


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The window as validated, half-open, UTC, to the microsecond, and when the question was asked."""

    start: _Moment
    end: _Moment
    asked: _Moment


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A snapshot's own account of itself.

    `target` is what the validation looked for, AWS's own answers about the trail included, so that the same question
    can be put again without AWS. `signed_by` is the SHA-256 of the signing key's SubjectPublicKeyInfo (hex), null where
    nobody signed; `signer` the ARN of that key where it lies in KMS. `queries` is there in a snapshot of results of
    CloudTrail Lake queries and says where they were looked for; it has no trail then.
    """

    schema: Literal["ctvalidate.snapshot/1"] = SCHEMA
    tool: Tool
    created: _Moment
    trail_arn: str | None
    source: str
    bucket: str
    request: RequestEcho
    window: Window
    tolerate: tuple[str, ...]
    target: Target
    queries: Place | msgspec.UnsetType = msgspec.UNSET
    keys: tuple[KeyAnswer, ...]
    signed_by: str | None
    signer: str | None = None
    files: tuple[File, ...]
    left_out: tuple[LeftOut, ...]


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON, indented, with a closing newline. Names that are no UTF-8 are in it as in the report."""
    try:
        data = msgspec.json.encode(manifest)
    except UnicodeEncodeError:
        data = to_json(manifest).encode("ascii")
    return msgspec.json.format(data, indent=1) + b"\n"


def decode(data: bytes) -> Manifest:
    """Read a manifest. Raises `NotASnapshotError` for anything that this program would not have written."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotASnapshotError(f"{MANIFEST} is no manifest of a snapshot: {printable(str(error))}") from error
    paths = [file.path for file in manifest.files]
    if len(set(paths)) != len(paths):
        raise NotASnapshotError(f"{MANIFEST} names a file twice")
    for file in manifest.files:
        if not _stays_inside(file.path) or re.fullmatch(_HEX, file.sha256) is None or file.size < 0:
            raise NotASnapshotError(f"{MANIFEST} names a file that cannot be a snapshot's: {file.path[:200]!r}")
    if not {REPORT, KEYS} <= set(paths):
        raise NotASnapshotError(f"{MANIFEST} names no {REPORT} or no {KEYS}")
    if manifest.window.start >= manifest.window.end:
        raise NotASnapshotError(f"{MANIFEST} names a window that ends before it begins")
    return manifest


def checksum(data: bytes) -> bytes:
    """The line that `sha256sum manifest.json` writes."""
    return f"{hashlib.sha256(data).hexdigest()}  {MANIFEST}\n".encode("ascii")


def in_order(files: Iterable[File]) -> tuple[File, ...]:
    """Files as the manifest lists them: by their path's bytes."""
    return tuple(sorted(files, key=lambda file: file.path.encode()))


def path_of(where: Locator, main: str) -> tuple[str, str]:
    """The path of an object's file below DIR, and why there is none (either is empty).

    `main` is the bucket whose tree is DIR/tree. An empty segment before `AWSLogs/` is what a trail's prefix that ends
    in a slash makes, and vanishes as in every local copy; anywhere else nothing but a planted object has one.
    """
    key = where.key
    prefix = _PREFIX.match(key)
    start = prefix.end() if prefix else 0
    segments = [part for part in key[:start].split("/") if part] + key[start:].split("/")
    reason = _unholdable(key, segments)
    if reason:
        return "", reason
    folder = TREE if where.bucket == main else f"{OTHER_TREES}/{where.bucket}"
    path = "/".join([folder, *segments])
    if len(path.encode()) > _MAX_PATH or (where.bucket != main and not _is_name(where.bucket)):
        return "", "no file can have so long a path" if _is_name(
            where.bucket
        ) else "no folder can have its bucket's name"
    return path, ""


def _unholdable(key: str, segments: list[str]) -> str:
    """Why no file can bear this key, or an empty string."""
    if _SURROGATE.search(key) or is_foreign(key, windows=os.name == "nt"):
        return "its key has a character or a name that no file can have"
    if not all(segments):
        return "its key has an empty segment"
    if any(part in (".", "..") for part in segments):
        return "its key has a segment of dots"
    if any(len(part.encode()) > MAX_SEGMENT - len(SIDECAR) for part in segments):
        return "its key has a segment too long for a file name"
    return f"a name that ends in {SIDECAR} is kept for metadata" if segments[-1].endswith(SIDECAR) else ""


def _is_name(text: str) -> bool:
    return bool(text) and "/" not in text and "\0" not in text and text not in (".", "..") and len(text) <= MAX_SEGMENT


def _stays_inside(path: str) -> bool:
    """Whether a path is one that a snapshot's file can have."""
    if path in (REPORT, KEYS, PUBLIC_KEY):
        return True
    first, *rest = path.split("/")
    if first not in (TREE, OTHER_TREES) or len(rest) < (1 if first == TREE else 2):
        return False
    foreign = is_foreign(path, windows=os.name == "nt")
    return not foreign and all(part not in ("", ".", "..") for part in rest)
