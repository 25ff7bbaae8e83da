"""Check a snapshot: that it is what was taken, and that it still proves what its report says.

1. the manifest against its checksum        4. the validation again, from the snapshot's own files and keys
2. the manifest's signature                 5. signed statement and declaration against all of these
3. every file against the manifest,         6. the time stamp, which changes no result
   and nothing beside them
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from cloudtrail_validate.aws.signing import PublicKey, fingerprint, parse_public
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report import FindingRecord, Report, from_json
from cloudtrail_validate.runtime.limits import cores
from cloudtrail_validate.snapshot import beside, signing
from cloudtrail_validate.snapshot.beside import Change, read_file
from cloudtrail_validate.snapshot.bundle import JOURNAL
from cloudtrail_validate.snapshot.copying import pieces
from cloudtrail_validate.snapshot.manifest import (
    CHECKSUM,
    KEYS,
    MANIFEST,
    PUBLIC_KEY,
    REPORT,
    SIGNATURE,
    UNLISTED,
    File,
    Manifest,
    NotASnapshotError,
    checksum,
    decode,
)
from cloudtrail_validate.snapshot.replay import replay
from cloudtrail_validate.stores.key_file import FileKeys, read_key_file, write_keys

if TYPE_CHECKING:
    from cloudtrail_validate.snapshot.timestamp import Checked

_CHECKSUM_LINE: Final = re.compile(rb"[0-9a-f]{64}  manifest\.json\n")
_EVIDENCE: Final = frozenset({Status.ALTERED, Status.MISSING, Status.EXTRA})
_Fact = tuple[object, ...]


@dataclass(slots=True)
class Verification:
    """What came of it. `stored` is the snapshot's report, `again` that of the validation done now, where it could be.

    `differences` are findings that only one of the two reports has, a line each; `evidence` is true where one of them
    is of an alteration. `signature`, `statement` and `declaration` say in words what they are worth; `stamp` is what the
    time stamp is worth, None where there is none.
    """

    manifest: Manifest | None = None
    changes: list[Change] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    evidence: bool = False
    signature: str = "not checked"
    statement: str = ""
    declaration: str = ""
    stamp: Checked | None = None
    stored: Report | None = None
    again: Report | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0 as proven, 1 something changed, 3 not provable again."""
        if self.changes or self.evidence:
            return ExitCode.CHANGED
        return ExitCode.UNPROVEN if self.differences or self.again is None else ExitCode.VALID


def verify(root: Path, demanded: PublicKey | None = None, authorities: Path | None = None) -> Verification:
    """Check the snapshot in `root`; with `demanded`, only that key's signature counts.

    `authorities` is a PEM file of certificates that a time stamp is to lead to. Raises `NotASnapshotError` for a folder
    that holds none, or none of ours, and `SnapshotError` for authorities that are none. Whatever else is wrong is in the
    answer.
    """
    out = Verification()
    data = _manifest_bytes(root)
    # 1. the manifest itself
    summed = _own(root, CHECKSUM, out)
    if summed is not None and summed != checksum(data):
        whole = _CHECKSUM_LINE.fullmatch(summed) is not None
        out.changes.append(Change(MANIFEST if whole else CHECKSUM, f"{MANIFEST} and {CHECKSUM} do not agree"))
    try:
        manifest = out.manifest = decode(data)
    except NotASnapshotError:
        if summed is None or not out.changes:
            raise
        out.changes.append(Change(MANIFEST, "cannot be read as a manifest"))
        return out
    # 2. its signature
    key = _check_signature(root, data, manifest, demanded, out)
    # 3. the files
    out.changes += _compare_files(root, manifest)
    # 4. the validation
    _prove_again(root, manifest, out)
    # 5. what is said of them beside the manifest
    _check_beside(root, data, key, out)
    # 6. the time stamp
    out.stamp = beside.check_stamp(root, data, authorities)
    out.changes = sorted(set(out.changes))
    return out


def _manifest_bytes(root: Path) -> bytes:
    if not root.is_dir():
        raise NotASnapshotError(f"{root} is no folder")
    if (root / JOURNAL).exists() and not (root / MANIFEST).exists():
        raise NotASnapshotError(f"{root} holds an unfinished snapshot: run the same command again")
    try:
        return read_file(root / MANIFEST)
    except FileNotFoundError:
        raise NotASnapshotError(f"{root} is no snapshot: it holds no {MANIFEST}") from None
    except OSError as error:
        raise NotASnapshotError(f"{root}: cannot read {MANIFEST}: {error.strerror}") from error


def _own(root: Path, name: str, out: Verification) -> bytes | None:
    """A file beside the manifest, or a change where it cannot be read."""
    try:
        return read_file(root / name)
    except OSError as error:
        out.changes.append(Change(name, beside.reason(error)))
    return None


def _check_signature(
    root: Path, data: bytes, manifest: Manifest, demanded: PublicKey | None, out: Verification
) -> PublicKey | None:
    """Check 2. An unsigned manifest says so itself, so that taking a signature away does not go unseen.

    Returns the key by which it is signed, None where it is not, or not as it says.
    """
    there = os.path.lexists(root / SIGNATURE)
    if manifest.signed_by is None and not there:
        out.signature = "not signed: whoever can write here can replace manifest and keys together"
        if demanded is not None:
            out.changes.append(Change(SIGNATURE, "is missing: the manifest is to be signed with the key given"))
        return None
    if manifest.signed_by is None:
        out.changes.append(Change(SIGNATURE, "was added: the manifest says that it is not signed"))
        return None
    signature = _own(root, SIGNATURE, out)
    try:
        own = parse_public(read_file(root / PUBLIC_KEY))
    except OSError:
        own = None  # check 3 names it
    key = demanded or own
    if signature is None or key is None:
        return None
    if fingerprint(key) != manifest.signed_by:
        by = f"is by the key {manifest.signed_by}, not by {fingerprint(key)}"
        out.changes.append(Change(SIGNATURE if demanded else PUBLIC_KEY, by))
    elif not signing.verifies(key, data, signature):
        out.changes.append(Change(SIGNATURE, f"is no signature of {MANIFEST} by the key {manifest.signed_by}"))
    else:
        _settle_by_signature(out)
        whose = "the key given" if demanded else f"the snapshot's own {PUBLIC_KEY}: compare its fingerprint"
        out.signature = f"{signing.sort_of(key)}, valid, by {whose} ({manifest.signed_by})"
        return key
    return None


def _check_beside(root: Path, data: bytes, key: PublicKey | None, out: Verification) -> None:
    """Check 5. What a report that was changed would have said is not asked: check 3 has named it."""
    manifest, report = out.manifest, out.stored
    if manifest is None or report is None or REPORT in {change.path for change in out.changes}:
        return
    stated = beside.check_statement(root, data, key, manifest, report)
    declared = beside.check_declaration(root, data, manifest, report)
    out.statement, out.declaration = stated.told, declared.told
    out.changes += [*stated.changes, *declared.changes]


def _settle_by_signature(out: Verification) -> None:
    """The manifest is what was signed: where it and its checksum do not agree, it is the checksum that changed."""
    out.changes = [Change(CHECKSUM, change.what) if change.path == MANIFEST else change for change in out.changes]


def _compare_files(root: Path, manifest: Manifest) -> Iterator[Change]:
    """Check 3: every file that is there or should be."""
    expected = {file.path: file for file in manifest.files}
    folders = {parent.as_posix() for path in expected for parent in PurePosixPath(path).parents}
    modes = dict(_walk(root))
    for path, mode in modes.items():
        known = path in folders if stat.S_ISDIR(mode) else path in expected or path in UNLISTED
        if not known and path not in expected:
            yield Change(path, "was added")
        elif not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            yield Change(path, "is a symbolic link" if stat.S_ISLNK(mode) else "is no regular file")
    whole = [file for file in manifest.files if stat.S_ISREG(modes.get(file.path, 0))]
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for file, what in zip(whole, pool.map(lambda file: _compare(root, file), whole), strict=True):
            if what:
                yield Change(file.path, what)
    for path in expected:
        if path not in modes or stat.S_ISDIR(modes[path]):
            yield Change(path, "is missing")


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Everything below the folder, with its mode; no link is followed."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue  # its files are then missing
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            mode = entry.stat(follow_symlinks=False).st_mode
            yield path, mode
            if stat.S_ISDIR(mode):
                waiting.append(path)


def _compare(root: Path, file: File) -> str:
    """What is not as the manifest says of a regular file, or an empty string."""
    sha256, length = hashlib.sha256(), 0
    try:
        for piece in pieces(root / file.path):
            sha256.update(piece)
            length += len(piece)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if length != file.size:
        return f"was changed: {length} bytes instead of {file.size}"
    return "" if sha256.hexdigest() == file.sha256 else f"was changed: its SHA-256 is {sha256.hexdigest()}"


def _prove_again(root: Path, manifest: Manifest, out: Verification) -> None:
    """Check 4. A file that is changed already need not be readable; one that is as the manifest says must be ours."""
    changed = {change.path for change in out.changes}
    try:
        out.stored = from_json(read_file(root / REPORT))
        keys = _keys(root / KEYS)
    except (OSError, ValueError, RecursionError, ConfigurationError) as error:
        if not changed & {REPORT, KEYS}:
            raise NotASnapshotError(f"{root}: {REPORT} or {KEYS} is not what a snapshot holds: {error}") from error
        return
    out.again = replay(root, manifest, keys)
    _compare_reports(out, out.stored, out.again)


def _keys(path: Path) -> FileKeys:
    """The snapshot's keys, which may be none at all where no region answered."""
    return FileKeys(()) if read_file(path) == write_keys(()) else read_key_file(path)


def _compare_reports(out: Verification, stored: Report, again: Report) -> None:
    one, other = Counter(map(_fact, stored.findings)), Counter(map(_fact, again.findings))
    if stored.findings_truncated or again.findings_truncated:
        one = other = Counter()  # what was kept of too many is another part each time; the counts are exact
    for title, facts in (("no longer found", one - other), ("found now, not in the report", other - one)):
        for fact in sorted(facts.elements(), key=str):
            out.evidence = out.evidence or fact[1] in _EVIDENCE
            out.differences.append(f"{title}: {' '.join(str(part) for part in fact if part is not None)}")
    for name in ("verdict", "exit_code", "summary", "chains", "queries"):
        before, now = getattr(stored, name), getattr(again, name)
        if before != now and not out.differences:
            out.evidence = True  # the same findings never make another report
            out.differences.append(f"{REPORT} does not follow from the files: {name}")


def _fact(finding: FindingRecord) -> _Fact:
    return (
        finding.rule,
        finding.status,
        finding.account,
        finding.region,
        finding.bucket,
        finding.key,
        finding.start.isoformat() if finding.start else None,
        finding.end.isoformat() if finding.end else None,
        finding.cause,
        finding.expected,
        finding.actual,
    )
