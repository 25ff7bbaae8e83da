"""Digests as CloudTrail signs them, and the hourly walk along one chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cloudtrail_validate.core.model import Interval, isoformat
from cloudtrail_validate.simulate import naming
from cloudtrail_validate.simulate.events import LogFile, compress, generator, hourly_logs, late_log
from cloudtrail_validate.simulate.sinks import Delivery, Role

if TYPE_CHECKING:
    from cloudtrail_validate.simulate.signing import KeyRing, SigningKey
    from cloudtrail_validate.simulate.spec import AccountRegion, TrailSpec

SIGNATURE = "signature"
SIGNATURE_ALGORITHM = "signature-algorithm"
GENERATED = "backfill-generation-timestamp"
RSA_SHA256 = "SHA256withRSA"
_ARRIVES = (26 * 60, 31 * 60)  # seconds from a digest's end to its delivery (FORMAT: Digest content)


@dataclass(frozen=True, slots=True)
class SignedDigest:
    """A digest, signed. `content` is what is hashed, before gzip; `generated` is set for a backfill digest."""

    record: Mapping[str, Any]
    content: bytes
    signature: str
    interval: Interval
    delivered: datetime
    signer: SigningKey
    generated: datetime | None = None

    @property
    def key(self) -> str:
        """The S3 key that it says it has."""
        return str(self.record["digestS3Object"])

    @property
    def metadata(self) -> dict[str, str]:
        """The S3 user metadata that CloudTrail writes with it."""
        metadata = {SIGNATURE: self.signature, SIGNATURE_ALGORITHM: RSA_SHA256}
        return metadata if self.generated is None else metadata | {GENERATED: isoformat(self.generated)}


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a chain: a digest, the logs it names, and its predecessor.

    `hour` is None for a starting digest, and for the empty one that ends a chain whose successor has begun.
    """

    hour: int | None
    digest: SignedDigest
    logs: tuple[LogFile, ...]
    previous: SignedDigest | None


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of hours `first … end-1` (indexes) under one starting digest; `shift` moves all its times.

    `ends_empty`: an empty digest of hour `end` follows, because the next chain begins at once.
    """

    first: int
    end: int
    shift: timedelta = timedelta(0)
    ends_empty: bool = False

    def starting(self, spec: TrailSpec) -> Interval:
        """What its starting digest bears: the hour before logging began."""
        return spec.hour(self.first - 1, self.shift)

    def last_end(self, spec: TrailSpec) -> datetime:
        """Where its last digest ends."""
        return spec.hour(self.end if self.ends_empty else self.end - 1, self.shift).end


def signed(
    record: Mapping[str, Any], signer: SigningKey, like: SignedDigest | None = None, **times: Any
) -> SignedDigest:
    """Sign a record as CloudTrail would: the times of the result are those of `like`, or given.

    Signed are the end time, the place, the hash of the content and the predecessor's signature, one a line.
    """
    content = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    lines = (
        record["digestEndTime"],
        f"{record['digestS3Bucket']}/{record['digestS3Object']}",
        hashlib.sha256(content).hexdigest(),
        record["previousDigestSignature"] or "null",
    )
    if like is not None:
        times = {"interval": like.interval, "delivered": like.delivered, "generated": like.generated}
    return SignedDigest(record, content, signer.sign("\n".join(lines).encode()), signer=signer, **times)


def make_digest(
    spec: TrailSpec,
    site: AccountRegion,
    interval: Interval,
    logs: Iterable[LogFile],
    *,
    previous: SignedDigest | None,
    signer: SigningKey,
    generated: datetime | None = None,
) -> SignedDigest:
    """The digest of those logs for that time, linked to its predecessor (None begins a chain)."""
    named = tuple(logs)
    record = {
        "awsAccountId": site.account,
        "digestStartTime": isoformat(interval.start),
        "digestEndTime": isoformat(interval.end),
        "digestS3Bucket": spec.bucket,
        "digestS3Object": naming.digest_key(spec, site, interval.end, backfill=generated is not None),
        "digestPublicKeyFingerprint": signer.fingerprint,
        "digestSignatureAlgorithm": RSA_SHA256,
        "newestEventTime": isoformat(max(log.newest for log in named)) if named else None,
        "oldestEventTime": isoformat(min(log.oldest for log in named)) if named else None,
        **_link(spec, previous),
        "logFiles": [_reference(spec, log) for log in named],
    }
    arrives = generator(spec, "arrival", *site, interval.end).randint(*_ARRIVES)
    delivered = (generated or interval.end + timedelta(seconds=arrives)) + timedelta(seconds=1)
    return signed(record, signer, interval=interval, delivered=delivered, generated=generated)


def _link(spec: TrailSpec, previous: SignedDigest | None) -> dict[str, str | None]:
    return {
        "previousDigestS3Bucket": spec.bucket if previous else None,
        "previousDigestS3Object": previous.key if previous else None,
        "previousDigestHashValue": hashlib.sha256(previous.content).hexdigest() if previous else None,
        "previousDigestHashAlgorithm": "SHA-256" if previous else None,
        "previousDigestSignature": previous.signature if previous else None,
    }


def _reference(spec: TrailSpec, log: LogFile) -> dict[str, str]:
    return {
        "s3Bucket": spec.bucket,
        "s3Object": log.key,
        "hashValue": log.sha256,
        "hashAlgorithm": "SHA-256",
        "newestEventTime": isoformat(log.newest),
        "oldestEventTime": isoformat(log.oldest),
    }


def walk(
    spec: TrailSpec, site: AccountRegion, segments: Iterable[Segment], ring: KeyRing, unpublished: Container[int] = ()
) -> Iterator[Stage]:
    """Every digest of a site with its logs, oldest first; the hours in `unpublished` are signed with unknown keys."""
    segments = tuple(segments)
    for segment in segments:
        interval = segment.starting(spec)
        previous = make_digest(spec, site, interval, (), previous=None, signer=ring.at(site.region, interval.end))
        yield Stage(None, previous, (), None)
        for hour in range(segment.first, segment.end):
            interval = spec.hour(hour, segment.shift)
            give = ring.unpublished if hour in unpublished else ring.at
            stops = segment is not segments[-1] and hour == segment.end - 1
            starts = segment is not segments[0] and hour == segment.first
            logs = hourly_logs(spec, site, hour, interval, stops=stops, starts=starts)
            digest = make_digest(spec, site, interval, logs, previous=previous, signer=give(site.region, interval.end))
            yield Stage(hour, digest, logs, previous)
            previous = digest
        if segment.ends_empty:
            interval = spec.hour(segment.end, segment.shift)
            last = make_digest(spec, site, interval, (), previous=previous, signer=ring.at(site.region, interval.end))
            yield Stage(None, last, (), previous)


def walk_backfill(spec: TrailSpec, site: AccountRegion, segments: Iterable[Segment], ring: KeyRing) -> Iterator[Stage]:
    """The site's backfill chain, oldest first: a digest for each hour of which a log came late.

    Its digests carry the hour's times and the key that signs when they are made. AWS documents no starting digest for
    this chain, so the first one here names its log like the others and has no predecessor.
    """
    previous: SignedDigest | None = None
    for segment in segments:
        for hour in range(segment.first, segment.end):
            if not spec.has_late_log(site, hour):
                continue
            interval = spec.hour(hour, segment.shift)
            log = late_log(spec, site, hour, interval)
            generated = log.delivered + timedelta(seconds=_ARRIVES[0])
            signer = ring.at(site.region, generated)
            digest = make_digest(spec, site, interval, (log,), previous=previous, signer=signer, generated=generated)
            yield Stage(hour, digest, (log,), previous)
            previous = digest


def log_delivery(log: LogFile) -> Delivery:
    """A log as it reaches the bucket."""
    return Delivery(log.key, log.body, log.delivered, Role.LOG)


def digest_delivery(digest: SignedDigest) -> Delivery:
    """A digest as it reaches the bucket."""
    return Delivery(digest.key, compress(digest.content), digest.delivered, Role.DIGEST, metadata=digest.metadata)
