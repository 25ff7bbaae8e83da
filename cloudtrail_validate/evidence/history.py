"""What an object's versions say, once they are listed and read: which is the original, and what happened to it.

Pure: `subjects` picks the objects from the findings, `merge` orders a listing, `assemble` draws the conclusion. Nothing
raises on what a bucket holds: what could not be decided is said in `note`.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.layout import DigestName, folder_of, parse_digest_key
from cloudtrail_validate.core.model import Cause, Finding, Locator, Status
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.core.versions import Original, Version, Versions
from cloudtrail_validate.evidence.restore import read_again, restore_command

ENDS: Final = 50  # versions kept at either end of a long history: an original is the oldest or nearly so
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{512,2048}")
_WORST: Final = (Status.ALTERED, Status.MISSING, Status.EXTRA)
_ALSO: Final = frozenset(  # what cannot be read or checked may have been written over something that can
    {rules.LOG_REWRITTEN, rules.LOG_UNREADABLE, rules.DIGEST_UNREADABLE, rules.DIGEST_KEY_UNKNOWN}
)
_CLAIMED: Final = frozenset({rules.DIGEST_LINK_BROKEN, rules.DIGEST_MISSING})  # `expected` is the successor's word


@dataclass(frozen=True, slots=True)
class Subject:
    """One object to look into, and what a proven digest says of it.

    `hashes` are SHA-256 (lower-case hex) of the inflated original, `signatures` (hex) what a successor recorded of a
    digest. `name` is a digest's parsed key, None for a log and for a digest's finding whose key is no digest's.
    """

    where: Locator
    rules: frozenset[str]
    hashes: frozenset[str] = frozenset()
    signatures: frozenset[str] = frozenset()
    name: DigestName | None = None

    @property
    def digest(self) -> bool:
        """Whether the findings speak of a digest."""
        return any(rule.startswith("digest-") for rule in self.rules)

    @property
    def provable(self) -> bool:
        """Whether anything could prove a version of it."""
        return self.name is not None if self.digest else bool(self.hashes)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of ListObjectVersions: a version, or a delete marker (`size` None)."""

    version_id: str
    modified: datetime
    size: int | None
    latest: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The versions of one key, newest first.

    `skipped` entries were left out behind the first `ENDS`; `endless` is set where still older ones were not listed.
    """

    entries: tuple[Entry, ...] = ()
    skipped: int = 0
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a version showed. `detail` is one line on why it could not be decided."""

    proven: bool | None
    sha256: str = ""
    cause: Cause | None = None
    detail: str | None = None


def subjects(findings: Iterable[Finding]) -> dict[Locator, Subject]:
    """The objects worth looking into, each once, in the order of their first findings."""
    out: dict[Locator, Subject] = {}
    for finding in findings:
        where = finding.where
        if where is None or not where.key or where.key.endswith("/"):
            continue
        if finding.status not in _WORST and finding.rule not in _ALSO:
            continue
        place = folder_of(*where)
        name = parse_digest_key(place[0], where.key) if place and finding.rule.startswith("digest-") else None
        if finding.rule == rules.DIGEST_UNREADABLE and name is None:
            continue  # a folder that could not be listed
        known = out.get(where) or Subject(where, frozenset())
        tells = finding.rule.startswith("log-") or finding.rule in _CLAIMED
        said = (finding.expected or "").lower() if tells else ""
        out[where] = Subject(
            where,
            known.rules | {finding.rule},
            known.hashes | ({said} if _SHA256.fullmatch(said) else set()),
            known.signatures | ({said} if _SIGNATURE.fullmatch(said) else set()),
            known.name or name,
        )
    return out


def merge(versions: Iterable[Entry], markers: Iterable[Entry]) -> list[Entry]:
    """One page's versions and delete markers in one order, newest first.

    S3 lists each sort in the order in which it was stored, which LastModified need not follow (a multipart upload bears
    the time of its begin), and the two sorts apart: so each keeps its order, and between them time decides, to the
    second that S3 tells.
    """
    return list(heapq.merge(versions, markers, key=lambda entry: (not entry.latest, -entry.modified.timestamp())))


def assemble(subject: Subject, listing: Listing, checked: Mapping[str, Checked], *, keeps: bool | None) -> Versions:
    """Put together what was seen. `checked` is by version id; `keeps`: whether the bucket keeps versions, if known."""
    entries = listing.entries
    results = [checked.get(entry.version_id, Checked(None)) for entry in entries]
    index = max((number for number, result in enumerate(results) if result.proven), default=None)
    notes = _notes(subject, listing, results, keeps=keeps)
    original = replaced = command = None
    if index is not None:
        entry = entries[index]
        original = Original(version_id=entry.version_id, last_modified=entry.modified, sha256=results[index].sha256)
        if index and not (listing.skipped and index == ENDS):
            replaced = entries[index - 1].modified
        if index and subject.rules != {rules.LOG_REWRITTEN}:
            command = restore_command(subject.where, entry.version_id, _only_marker(entries, index))
            if command is None:
                notes.append("no shell command can name its key: use ctvalidate recover")
    return Versions(
        versions=tuple(_version(entry, result) for entry, result in zip(entries, results, strict=True)),
        original=original,
        replaced_at=replaced,
        deleted_at=_deleted(entries),
        restore_command=command,
        note="; ".join(notes) or None,
    )


def _only_marker(entries: Sequence[Entry], index: int) -> str | None:
    """The delete marker that alone hides this entry; another one of the same second may do so as well."""
    hiding = [entry for entry in entries if entry.modified >= entries[index].modified and entry.size is None]
    return entries[0].version_id if index == 1 and hiding == [entries[0]] else None


def _version(entry: Entry, result: Checked) -> Version:
    return Version(
        version_id=entry.version_id,
        last_modified=entry.modified,
        size=entry.size,
        is_latest=entry.latest,
        delete_marker=entry.size is None,
        proven=result.proven,
        cause=result.cause,
    )


def _deleted(entries: Sequence[Entry]) -> datetime | None:
    """When the object that is gone was deleted: by the oldest of the markers that lie on top."""
    deleted = None
    for entry in entries:
        if entry.size is not None:
            break
        deleted = entry.modified
    return deleted


def _notes(subject: Subject, listing: Listing, results: Sequence[Checked], *, keeps: bool | None) -> list[str]:
    """What a reader must know beside the facts, most important first."""
    if not listing.entries:
        return [_NOTHING_LEFT[keeps]]
    notes: list[str] = []
    if keeps is False:
        notes.append("the bucket keeps no versions, so there is only what lies there now")
    if not subject.provable:
        notes.append(_unprovable(subject))
    found = any(result.proven for result in results)
    undecided = [(e, r) for e, r in zip(listing.entries, results, strict=True) if r.proven is None and r.detail]
    if undecided and not found:
        notes += dict.fromkeys(_undecided(subject, entry, result) for entry, result in undecided)
    elif subject.provable and not found and any(entry.size is not None for entry in listing.entries):
        notes.append("no version that is left is the one that AWS delivered")
    if listing.skipped:
        count = f"{listing.skipped:,} of {plural(listing.skipped + len(listing.entries), 'version')}"
        notes.append(f"{count}, those in the middle, were not looked at")
    if listing.endless:
        notes.append("there are still more versions, older than these, that were not listed")
    return notes


_NOTHING_LEFT: Final = {
    True: "no version is left: they were deleted for good, or expired",
    False: "the bucket keeps no versions, so nothing is left",
    None: "no version is left, or the bucket keeps none (allow s3:GetBucketVersioning to learn which)",
}


def _unprovable(subject: Subject) -> str:
    if subject.digest:
        return "CloudTrail gives no digest this name, so none of its versions can be proven"
    if rules.LOG_EXTRA in subject.rules:
        return "no digest names this log, so none of its versions can be proven"
    return "the hash that its digest holds is not known, so none of its versions can be proven"


def _undecided(subject: Subject, entry: Entry, result: Checked) -> str:
    """Why a version could not be judged, and what helps."""
    match result.cause:
        case Cause.ARCHIVED:
            command = read_again(subject.where, entry.version_id) or "aws s3api restore-object"
            return f"version {printable(entry.version_id)} is archived: {command}, then run again"
        case Cause.ACCESS_DENIED:
            return "versions could not be read: allow s3:GetObjectVersion on the object"
        case Cause.KMS_DENIED:
            return "versions could not be read: allow kms:Decrypt on the KMS key of the version"
        case _:
            return f"versions could not be judged: {printable(result.detail or str(result.cause))}"
