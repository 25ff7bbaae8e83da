"""One digest file on its own: parse it, rebuild what CloudTrail signed, and check everything that needs no neighbour.

`observe` turns what was fetched into an `Evidence` (a small record that a chain is made of) and the log references. The
checks are numbered as they are done:

1. container: one gzip member, nothing behind it        4. algorithms: SHA256withRSA and SHA-256 throughout
2. content: JSON with the fields of the User Guide      5. signature: present, and made with a key of that fingerprint
3. location: it lies where it says it lies              6. RSA PKCS#1 v1.5 over the string to sign

Source: AWS CloudTrail User Guide, "CloudTrail digest file structure" and "Custom implementations of CloudTrail log file
integrity validation". Pure and total: hostile content becomes a finding, never an exception.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Final, Literal

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.gzip import Flaw, Inflater
from cloudtrail_validate.core.model import HOUR, Cause, ChainId, Finding, Interval, Locator, Status
from cloudtrail_validate.core.signature import ALGORITHM, HASH_ALGORITHM, RegionKeys, load_key, parse_signature, verify

MAX_DIGEST_BYTES: Final = 64 * 1024 * 1024  # inflated; ~100,000 logs an hour at ~600 bytes a reference

_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class LogReference(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A log file as a digest names it: where it lies and the SHA-256 (hex) of its inflated content."""

    s3_bucket: _Text
    s3_object: _Text
    hash_value: _Text
    hash_algorithm: _Text

    @property
    def where(self) -> Locator:
        """Return bucket and key."""
        return Locator(self.s3_bucket, self.s3_object)


class _Document(msgspec.Struct, frozen=True, gc=False):
    """The digest's JSON. Fields no check depends on (event times) may be absent; unknown ones are passed over."""

    aws_account_id: _Text = msgspec.field(name="awsAccountId")
    start: _Text = msgspec.field(name="digestStartTime")
    end: _Text = msgspec.field(name="digestEndTime")
    bucket: _Text = msgspec.field(name="digestS3Bucket")
    key: _Text = msgspec.field(name="digestS3Object")
    fingerprint: _Text = msgspec.field(name="digestPublicKeyFingerprint")
    algorithm: _Text = msgspec.field(name="digestSignatureAlgorithm")
    previous_bucket: _Text | None = msgspec.field(name="previousDigestS3Bucket")
    previous_key: _Text | None = msgspec.field(name="previousDigestS3Object")
    previous_hash: _Text | None = msgspec.field(name="previousDigestHashValue")
    previous_hash_algorithm: _Text | None = msgspec.field(name="previousDigestHashAlgorithm")
    previous_signature: _Text | None = msgspec.field(name="previousDigestSignature")
    logs: msgspec.Raw = msgspec.field(name="logFiles")


class _Claimed(msgspec.Struct, frozen=True, gc=False):
    """Holds the bucket and key that a digest claims for itself."""

    bucket: _Text = msgspec.field(name="digestS3Bucket")
    key: _Text = msgspec.field(name="digestS3Object")


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_CLAIMED: Final = msgspec.json.Decoder(_Claimed)
_REFERENCES: Final = msgspec.json.Decoder(tuple[LogReference, ...])
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z")


class SignatureStatus(Enum):
    """Names the results of checking a digest's own signature, before any neighbour is asked."""

    VALID = "valid"
    INVALID = "invalid"
    ABSENT = "lost"  # no signature with it, and its key is known: a successor may bring the signature
    NO_KEY = "no key"
    UNSUPPORTED = "unsupported"
    UNUSABLE = "unusable"  # not readable, not parsable, or not in its place: nothing can prove it


class Claim(msgspec.Struct, frozen=True):
    """Identifies a digest's predecessor as the digest names it: place, SHA-256 of its content and signature (both hex)."""

    where: Locator
    sha256: str
    signature: str


class Evidence(msgspec.Struct, frozen=True):
    """Holds all that one digest says for itself: the element that chains are made of.

    `interval` is the hour before the stamp in the key. `says` are the hours that the content names (None where it could
    not be parsed): they count only once the content is proven, or an edit of the times could move its own finding out
    of the window. `signature` is hex as found beside the object. `previous` is None in a starting digest and in a digest
    that could not be parsed (`own` is UNUSABLE then). `logs` is the number of logs that it names.
    """

    where: Locator
    chain: ChainId
    interval: Interval
    own: SignatureStatus
    says: Interval | None = None
    sha256: str = ""
    signature: str | None = None
    fingerprint: str = ""
    end_text: str = ""
    previous: Claim | None = None
    findings: tuple[Finding, ...] = ()
    logs: int = 0

    @property
    def starting(self) -> bool:
        """Tell whether it is the first digest of a chain."""
        return self.previous is None and self.own is not SignatureStatus.UNUSABLE


class Fetched(msgspec.Struct, frozen=True):
    """A digest as it came from a store.

    `metadata` is None where the store cannot know it (a local copy without sidecar), which is no alteration; the bucket in
    `where` is empty where it cannot know that.
    """

    where: Locator
    chain: ChainId
    end: datetime
    content: bytes = b""
    sha256: str = ""
    flaw: Flaw | None = None
    metadata: Mapping[str, str] | None = None


def inflater(size: int | None = None) -> Inflater:
    """Return the inflater for a digest: keeps as much content as one of the bytes that were read can have.

    `size` is what a listing claimed, and bounds nothing: it is whoever listed that says so.
    """
    del size
    return Inflater(keep=True, most=most_bytes)


def most_bytes(size: int | None = None) -> int:
    """Return how many bytes a digest of `size` compressed bytes can inflate to.

    Half of a digest's bytes are random hex, so it shrinks 4 to 9 times; one that inflates 32 times is none.
    """
    return MAX_DIGEST_BYTES if size is None else min(MAX_DIGEST_BYTES, 16 * 1024 + 32 * size)


def string_to_sign(end_text: str, where: Locator, sha256: str, previous: Claim | None) -> bytes:
    """Return the bytes CloudTrail signed for a digest.

    User Guide, "Custom implementations…": end time LF bucket "/" key LF hex(SHA-256(content)) LF previous signature, the
    last being the four letters `null` where there is no predecessor. All strings as read, never normalised.
    """
    text = f"{end_text}\n{where.bucket}/{where.key}\n{sha256}\n{previous.signature if previous else 'null'}"
    return text.encode("utf-8", "surrogatepass")


def unreadable(
    where: Locator, chain: ChainId, end: datetime, cause: Cause | None, detail: str | None = None
) -> Evidence:
    """Return evidence for a digest that is there and cannot be read."""
    interval = Interval(end - HOUR, end)
    finding = _finding(rules.DIGEST_UNREADABLE, chain, where, interval, Status.UNVERIFIABLE, cause=cause, detail=detail)
    return Evidence(where, chain, interval, SignatureStatus.UNUSABLE, findings=(finding,))


def malformed(where: Locator, chain: ChainId, end: datetime, detail: str) -> Evidence:
    """Return evidence for a digest that an edit of the bucket made unreadable, before any byte of it could be checked."""
    interval = Interval(end - HOUR, end)
    finding = _finding(rules.DIGEST_MALFORMED, chain, where, interval, detail=detail)
    return Evidence(where, chain, interval, SignatureStatus.UNUSABLE, findings=(finding,))


def claimed_place(content: bytes) -> Locator | None:
    """Return where a digest with this content says it lies, None where the content is no digest's.

    Nothing is proven by it.
    """
    try:
        claimed = _CLAIMED.decode(content)
    except _UNDECODABLE:
        return None
    return Locator(claimed.bucket, claimed.key)


def observe(fetched: Fetched, keys: RegionKeys) -> tuple[Evidence, tuple[LogReference, ...]]:
    """Check one digest by itself. Returns its evidence, and the logs it names whether or not it turns out proven."""
    where, chain, end = fetched.where, fetched.chain, fetched.end
    # 1. container
    if fetched.flaw is not None and fetched.flaw is not Flaw.TRAILING:
        return malformed(where, chain, end, fetched.flaw.value), ()
    # 2. content
    document = _parse(fetched.content)
    if isinstance(document, str):
        return malformed(where, chain, end, document), ()
    says, previous = _interval(document), _previous(document)
    if says is None or previous is False:
        return malformed(where, chain, end, "times or previous* fields are not what a digest holds"), ()
    # 3. location
    claimed = Locator(document.bucket, document.key)
    if not where.bucket:  # a local copy, which stands for whatever bucket the digest names
        where = Locator(claimed.bucket, where.key)
    stamped = Interval(end - HOUR, end)
    if claimed != where:
        moved = _finding(rules.DIGEST_MOVED, chain, where, stamped, expected=str(claimed), actual=str(where))
        return Evidence(where, chain, stamped, SignatureStatus.UNUSABLE, findings=(moved,)), ()
    # 2. again: whatever the signature will say, a successor may yet prove the content, and then its logs count
    try:
        references = _REFERENCES.decode(document.logs)
    except _UNDECODABLE as error:
        return malformed(where, chain, end, f"logFiles: {error}"), ()

    evidence = Evidence(
        where,
        chain,
        stamped,
        SignatureStatus.UNUSABLE,
        says=says,
        sha256=fetched.sha256,
        signature=_metadata(fetched.metadata, "signature"),
        fingerprint=document.fingerprint,
        end_text=document.end,
        previous=previous,
        logs=len(references),
    )
    own, finding = _signature(evidence, document, fetched.metadata, keys)
    trailing = _finding(rules.DIGEST_TRAILING_DATA, chain, where, stamped) if fetched.flaw is Flaw.TRAILING else None
    findings = (trailing, finding or _other_hash_algorithm(evidence, references))
    return replace(evidence, own=own, findings=tuple(item for item in findings if item is not None)), references


def references_in(content: bytes) -> tuple[LogReference, ...]:
    """Return the logs named by content whose hash is known to be proven; none where it is no digest."""
    try:
        return _REFERENCES.decode(_DOCUMENT.decode(content).logs)
    except _UNDECODABLE:
        return ()


def proves(evidence: Evidence, signature: str, keys: RegionKeys) -> bool:
    """Tell whether `signature` (hex), wherever it was found, is CloudTrail's own over this digest."""
    raw = parse_signature(signature)
    known = keys.keys.get(evidence.fingerprint)
    key = load_key(known.der) if known else None
    if raw is None or key is None:
        return False
    signed = string_to_sign(evidence.end_text, evidence.where, evidence.sha256, evidence.previous)
    return verify(key, raw, hashlib.sha256(signed).digest())


def _signature(
    evidence: Evidence, document: _Document, metadata: Mapping[str, str] | None, keys: RegionKeys
) -> tuple[SignatureStatus, Finding | None]:
    """Make checks 4 to 6, in order; the first that fails is the finding."""
    chain, where, interval = evidence.chain, evidence.where, evidence.interval
    # 4. algorithms
    named = _metadata(metadata, "signature-algorithm")
    algorithms = [(ALGORITHM, document.algorithm), (HASH_ALGORITHM, document.previous_hash_algorithm or HASH_ALGORITHM)]
    if named is not None:
        algorithms.append((ALGORITHM, named))
    for expected, actual in algorithms:
        if actual != expected:
            rule = rules.DIGEST_ALGORITHM_UNSUPPORTED
            return SignatureStatus.UNSUPPORTED, _finding(rule, chain, where, interval, expected=expected, actual=actual)
    # 5. signature and key
    if metadata is not None and (evidence.signature is None or named is None):
        own = (
            SignatureStatus.VALID
            if evidence.signature and proves(evidence, evidence.signature, keys)
            else SignatureStatus.ABSENT
        )
        lost = "signature" if evidence.signature is None else "signature-algorithm"
        return own, _finding(rules.DIGEST_SIGNATURE_MISSING, chain, where, interval, detail=lost)
    if evidence.fingerprint not in keys.keys:
        return SignatureStatus.NO_KEY, _unknown_key(evidence, keys)
    if evidence.signature is None:
        return SignatureStatus.ABSENT, None
    # 6. RSA
    if proves(evidence, evidence.signature, keys):
        return SignatureStatus.VALID, None
    return SignatureStatus.INVALID, _finding(rules.DIGEST_SIGNATURE_INVALID, chain, where, interval)


def _other_hash_algorithm(evidence: Evidence, references: Iterable[LogReference]) -> Finding | None:
    """Make check 4 of the logs that a digest names: the first whose hash is of another algorithm is the finding."""
    for log in references:
        if log.hash_algorithm != HASH_ALGORITHM:
            return _finding(
                rules.DIGEST_ALGORITHM_UNSUPPORTED,
                evidence.chain,
                evidence.where,
                evidence.interval,
                expected=HASH_ALGORITHM,
                actual=log.hash_algorithm,
            )
    return None


def _unknown_key(evidence: Evidence, keys: RegionKeys) -> Finding:
    """Return the finding on an unknown key: altered only where the issuer's own answer has other keys for that time."""
    contradicted = keys.issuer and keys.valid_at(evidence.interval.end)
    detail = keys.detail if keys.cause else ("other keys were valid then" if contradicted else None)
    return _finding(
        rules.DIGEST_KEY_UNKNOWN,
        evidence.chain,
        evidence.where,
        evidence.interval,
        Status.ALTERED if contradicted else Status.UNVERIFIABLE,
        cause=keys.cause,
        actual=evidence.fingerprint,
        detail=detail,
    )


def _parse(content: bytes) -> _Document | str:
    """Return the document, or what is wrong with it."""
    try:
        return _DOCUMENT.decode(content)
    except _UNDECODABLE as error:
        return str(error) or type(error).__name__


def _interval(document: _Document) -> Interval | None:
    start, end = parse_time(document.start), parse_time(document.end)
    return Interval(start, end) if start and end and start <= end else None


def _previous(document: _Document) -> Claim | Literal[False] | None:
    """Return the claim about the predecessor, None in a starting digest, False where the five fields are neither."""
    fields = (document.previous_bucket, document.previous_key, document.previous_hash, document.previous_signature)
    if all(field is None for field in fields):
        return None
    bucket, key, sha256, signature = fields
    if bucket is None or key is None or sha256 is None or signature is None:
        return False
    return Claim(Locator(bucket, key), sha256, signature)


def parse_time(text: str) -> datetime | None:
    """Read `2026-01-01T00:00:00Z` and nothing else; None for any other text."""
    if _TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _metadata(metadata: Mapping[str, str] | None, name: str) -> str | None:
    """Return a metadata value by name; some servers return the names in other case."""
    for key, value in (metadata or {}).items():
        if key.lower() == name:
            return value
    return None


def _finding(
    rule: str,
    chain: ChainId,
    where: Locator,
    interval: Interval,
    status: Status | None = None,
    *,
    cause: Cause | None = None,
    expected: str | None = None,
    actual: str | None = None,
    detail: str | None = None,
) -> Finding:
    return Finding(
        rule,
        status or Status.ALTERED,
        chain.account,
        chain.region,
        chain.trail or None,
        where,
        interval,
        cause,
        expected,
        actual,
        detail,
    )
