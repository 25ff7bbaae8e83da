"""Check what lies beside a manifest: the signed statement, the declaration, the time stamp.

Whatever is wrong with statement or declaration is a change of the snapshot; what is wrong with a time stamp is told and
changes nothing. A time stamp that they speak of and that is not the same any more is a file that was changed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudtrail_validate.aws.signing import PublicKey, verifies_raw
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import Report
from cloudtrail_validate.snapshot import declaration, statement, timestamp
from cloudtrail_validate.snapshot.copying import pieces
from cloudtrail_validate.snapshot.manifest import DECLARATION, MANIFEST, STATEMENT, TIMESTAMP, Manifest

MOST_BYTES: Final = 4 * 1024 * 1024 * 1024  # of a manifest or report: 10 million files at ~300 bytes
_SMALL: Final = 1024 * 1024  # of a declaration, statement or time stamp; they take 3 to 10 kB


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """A file of the snapshot, by its path, and what is not as the manifest says."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a file beside the manifest is worth, in words, and what was changed of it."""

    told: str
    changes: tuple[Change, ...] = ()


def check_statement(root: Path, data: bytes, key: PublicKey | None, manifest: Manifest, report: Report) -> Told:
    """The envelope's signature by the manifest's key, and what it says of the snapshot. `data` is the manifest's bytes."""
    if manifest.signed_by is None and os.path.lexists(root / STATEMENT):
        return _changed(STATEMENT, "was added: the manifest says that it is not signed")
    if key is None:  # nothing is signed, or the manifest's own signature is named already
        return Told("")
    try:
        payload, signatures = statement.open_envelope(read_file(root / STATEMENT, _SMALL))
        stated = statement.read_statement(payload)
    except OSError as error:
        return _changed(STATEMENT, reason(error))
    except (ValueError, RecursionError) as error:
        return _changed(STATEMENT, f"is no signed statement: {printable(str(error)[:200])}")
    signed = statement.pre_authentication(statement.PAYLOAD_TYPE, payload)
    if len(signatures) != 1 or not verifies_raw(key, signed, signatures[0]):
        return _changed(STATEMENT, f"bears no signature by the key {manifest.signed_by}")
    changes = tuple(_compare_subjects(root, data, manifest, stated))
    if stated.predicate != statement.predicate(manifest, report):
        changes += (Change(STATEMENT, "says something else than the manifest and the report"),)
    return Told(f"in-toto, signed by the same key, about {len(stated.subject)} files", changes)


def check_declaration(root: Path, data: bytes, manifest: Manifest, report: Report) -> Told:
    """Whether the declaration says what the snapshot holds; what a person wrote into its fields is not looked at."""
    try:
        text = read_file(root / DECLARATION, _SMALL).decode("utf-8")
    except OSError as error:
        return _changed(DECLARATION, reason(error))
    except UnicodeDecodeError:
        return _changed(DECLARATION, "is no text in UTF-8")
    wrong = declaration.compare(text, manifest, report, hashlib.sha256(data).hexdigest())
    if wrong:
        return _changed(DECLARATION, wrong)
    if declaration.is_of_another_version(text):
        return Told("in words of another version, which are not compared")
    stamped = declaration.stamped_in(text)
    named = tuple(_compare_stamp(root, stamped.sha256)) if stamped else ()
    return Told("says what the snapshot holds; its fields are for a person", named)


def check_stamp(root: Path, data: bytes, authorities: Path | None) -> timestamp.Checked | None:
    """What the time stamp is worth; None where there is none, and no authorities to prove one by.

    Raises `SnapshotError` for authorities that are none.
    """
    try:
        answer = read_file(root / TIMESTAMP, _SMALL)
    except FileNotFoundError:
        if authorities is None:
            return None
        timestamp.load_authorities(authorities)
        return timestamp.Checked(told="there is none", proven=False, command=None)
    except OSError as error:
        return timestamp.Checked(told=reason(error), proven=False, command=None)
    return timestamp.check(answer, data, root, authorities)


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """A file's bytes; a link in its place is not followed. Raises OSError, also for one that is too large."""
    data = bytearray()
    for piece in pieces(path):
        data += piece
        if len(data) > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return bytes(data)


def _compare_subjects(root: Path, data: bytes, manifest: Manifest, stated: statement.Statement) -> list[Change]:
    """What the statement says of files that are not so. Files that the manifest names are compared with it alone."""
    listed = {file.path: file.sha256 for file in manifest.files} | {MANIFEST: hashlib.sha256(data).hexdigest()}
    changes = []
    for subject in stated.subject:
        if subject.name == TIMESTAMP:
            changes += _compare_stamp(root, subject.digest.sha256)
        elif listed.get(subject.name) != subject.digest.sha256:
            changes.append(Change(STATEMENT, f"is about another {printable(subject.name[:200])}"))
    if MANIFEST not in {subject.name for subject in stated.subject}:
        changes.append(Change(STATEMENT, f"is not about {MANIFEST}"))
    return changes


def _compare_stamp(root: Path, sha256: str) -> list[Change]:
    try:
        found = hashlib.sha256(read_file(root / TIMESTAMP, _SMALL)).hexdigest()
    except OSError as error:
        return [Change(TIMESTAMP, reason(error))]
    return [] if found == sha256 else [Change(TIMESTAMP, f"was changed: its SHA-256 is {found}")]


def _changed(path: str, what: str) -> Told:
    return Told("not as it was written", (Change(path, what),))


def reason(error: OSError) -> str:
    """Say why a file of the snapshot could not be read."""
    return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
