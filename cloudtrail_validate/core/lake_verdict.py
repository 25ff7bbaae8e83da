"""Judges one folder of query results: the sign file, what is not signed, each file against its hash. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.lake import SIGN_FILE, SKEW, Place, Seen, SignFile, signature_of, signed_sha256
from cloudtrail_validate.core.model import Counts, Finding, Interval, Locator, Status, isoformat
from cloudtrail_validate.core.signature import ALGORITHM, HASH_ALGORITHM, PublicKey, RegionKeys, load_key, verify

_WRITTEN_BEFORE: Final = timedelta(hours=1)  # S3's clock and CloudTrail's differ by seconds
_SECOND: Final = timedelta(seconds=1)


class Signed(StrEnum):
    """Names the results of checking the signature of a sign file."""

    VALID = "valid"
    INVALID = "invalid"
    NO_KEY = "no-key"
    UNSUPPORTED = "unsupported"
    UNUSABLE = "unusable"  # there is no sign file, or it could not be read or parsed


class Folder(msgspec.Struct, frozen=True):
    """Locates one query's results: bucket, key prefix with its closing slash (may be empty), and what its path says."""

    bucket: str
    prefix: str
    place: Place | None = None

    def where(self, name: str) -> Locator:
        """Return the place of one of its files."""
        return Locator(self.bucket, self.prefix + name)


class FoundKey(msgspec.Struct, frozen=True):
    """The key of a fingerprint and the region that has it, and what was answered for the region that the sign file names."""

    key: PublicKey | None
    region: str
    answer: RegionKeys


class Judge(msgspec.Struct, frozen=True):
    """Writes findings about one folder: they all name its account, region and the second at which the query completed."""

    folder: Folder
    sign: SignFile | None = None

    def finding(
        self, rule: str, name: str, *, expected: str | None = None, actual: str | None = None, detail: str | None = None
    ) -> Finding:
        """Make a finding about a file of the folder, with its rule's own status."""
        return Finding(
            rule=rule,
            status=rules.RULES[rule].status,
            account=self.folder.place.account if self.folder.place else None,
            region=self.sign.region if self.sign else None,
            where=self.folder.where(name),
            interval=Interval(self.sign.completed, self.sign.completed + _SECOND) if self.sign else None,
            expected=expected,
            actual=actual,
            detail=detail,
        )

    def unreadable(self, rule: str, name: str, seen: Seen) -> Finding:
        """Return the record of a file that is there and could not be read."""
        return msgspec.structs.replace(self.finding(rule, name, detail=seen.detail), cause=seen.cause)


def judge_signature(judge: Judge, sign: SignFile, found: FoundKey) -> tuple[Signed, Finding | None]:
    """Make checks 2 to 4. The first that fails is the finding."""
    for wanted, got in ((HASH_ALGORITHM, sign.hash_algorithm), (ALGORITHM, sign.signature_algorithm)):
        if got != wanted:
            rule = rules.LAKE_ALGORITHM_UNSUPPORTED
            return Signed.UNSUPPORTED, judge.finding(rule, SIGN_FILE, expected=wanted, actual=got)
    if found.key is None:
        return Signed.NO_KEY, _without_key(judge, sign, found)
    key, signature = load_key(found.key.der), signature_of(sign)
    if key is None or signature is None or not verify(key, signature, signed_sha256(sign)):
        detail = "hashSignature is no signature in hex" if signature is None else None
        return Signed.INVALID, judge.finding(rules.LAKE_SIGNATURE_INVALID, SIGN_FILE, detail=detail)
    return Signed.VALID, None


def _without_key(judge: Judge, sign: SignFile, found: FoundKey) -> Finding:
    finding = judge.finding(rules.LAKE_KEY_UNKNOWN, SIGN_FILE, actual=sign.fingerprint, detail=found.answer.detail)
    if found.answer.issuer and found.answer.valid_at(sign.completed):
        return finding
    return msgspec.structs.replace(finding, status=Status.UNVERIFIABLE, cause=found.answer.cause)


def judge_place(judge: Judge, sign: SignFile, found: FoundKey, written: datetime | None) -> Iterator[Finding]:
    """Check 5: what is not signed. `written` is when S3 stored the sign file, None where that is not known."""
    moved = partial(judge.finding, rules.LAKE_MOVED, SIGN_FILE)
    completed, place = isoformat(sign.completed), judge.folder.place
    if place is not None and not -SKEW <= sign.completed - place.day < 2 * SKEW:
        detail = "the folder is that of another day than the query completed on"
        yield moved(expected=f"{place.day:%Y-%m-%d}", actual=completed, detail=detail)
    if written is not None and written < sign.completed - _WRITTEN_BEFORE:
        detail = "it was written before the query completed"
        yield moved(expected=f"written after {completed}", actual=isoformat(written), detail=detail)
    key = found.key
    if key is None:
        return
    if found.region != sign.region:
        detail = "the key that signed it is of another region"
        yield moved(expected=found.region, actual=sign.region, detail=detail)
    if not key.not_before - SKEW <= sign.completed <= key.not_after + SKEW:
        detail = "the key that signed it was not valid when it says that the query completed"
        span = f"{isoformat(key.not_before)} to {isoformat(key.not_after)}"
        yield moved(expected=span, actual=completed, detail=detail)


def judge_files(judge: Judge, sign: SignFile, signed: Signed, seen: Mapping[str, Seen]) -> tuple[list[Finding], Counts]:
    """Check 6: each file of the folder, the sign file apart, by what lies there (`seen`, by name).

    An unlisted file that was not read is extra whatever it holds. Files that agree count as valid under a valid signature
    only, else as unverifiable. Under another hash algorithm nothing is compared.
    """
    if sign.hash_algorithm != HASH_ALGORITHM:
        return [], Counts(unverifiable=len(sign.files))
    listed = sign.listed()
    names_of: dict[str, list[str]] = {}
    for name, sha256 in listed.items():
        names_of.setdefault(sha256, []).append(name)
    there = {one.sha256 for one in seen.values() if one.sha256}
    findings: list[Finding] = []
    outcomes: list[Status | None] = []
    agreed = None if signed is Signed.VALID else Status.UNVERIFIABLE
    for name, sha256 in listed.items():
        found = list(_listed_file(judge, name, sha256, seen.get(name), names_of, there))
        findings += found
        gone = seen.get(name) is None or seen[name].absent
        outcomes.append(found[0].status if found else Status.ALTERED if gone else agreed)
    for name in sorted(seen.keys() - listed.keys()):
        if seen[name].absent:
            continue
        extra = _unlisted_file(judge, name, seen[name], names_of, seen)
        findings.append(extra)
        outcomes += [extra.status] if extra.rule == rules.LAKE_RESULT_EXTRA else []
    return findings, Counts.of(outcomes)


def _listed_file(
    judge: Judge, name: str, sha256: str, seen: Seen | None, names_of: Mapping[str, list[str]], there: set[str]
) -> Iterator[Finding]:
    """Yield what is wrong with a listed file.

    Nothing is said of one that is gone and whose content lies there by another name.
    """
    if seen is None or seen.absent:
        if sha256 not in there:
            yield judge.finding(rules.LAKE_RESULT_MISSING, name, expected=sha256)
    elif seen.cause is not None:
        yield judge.unreadable(rules.LAKE_RESULT_UNREADABLE, name, seen)
    elif seen.special is not None:
        yield judge.finding(rules.LAKE_RESULT_ALTERED, name, expected=sha256, detail=seen.special)
    elif seen.sha256 != sha256:
        other = names_of.get(seen.sha256)
        if other is None:
            plain = None if seen.head.startswith(b"\x1f\x8b") else "it is no gzip file"
            yield judge.finding(rules.LAKE_RESULT_ALTERED, name, expected=sha256, actual=seen.sha256, detail=plain)
            return
        detail = f"its content is listed as {other[0]}"
        yield judge.finding(rules.LAKE_RESULT_RENAMED, name, expected=sha256, actual=seen.sha256, detail=detail)
        if sha256 not in there:
            detail = f"under its name lies the content of {other[0]}"
            yield judge.finding(rules.LAKE_RESULT_MISSING, name, expected=sha256, detail=detail)


def _unlisted_file(
    judge: Judge, name: str, seen: Seen, names_of: Mapping[str, list[str]], all_seen: Mapping[str, Seen]
) -> Finding:
    """Judge a file that the sign file does not name: renamed where it holds what a listed name lacks, else extra."""
    for other in names_of.get(seen.sha256, ()):
        beside = all_seen.get(other)
        if beside is None or beside.sha256 != seen.sha256:
            detail = f"its content is listed as {other}"
            return judge.finding(rules.LAKE_RESULT_RENAMED, name, actual=seen.sha256, detail=detail)
    same = names_of.get(seen.sha256)
    copy = f"a copy of {same[0]}" if same else None
    return judge.finding(rules.LAKE_RESULT_EXTRA, name, actual=seen.sha256 or None, detail=copy)
