"""Digests made and fetched in memory: signed by the simulator, read back as the engine reads them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from cloudtrail_validate.core.chain import Link, Prover
from cloudtrail_validate.core.digest import Evidence, Fetched, LogReference, inflater, observe
from cloudtrail_validate.core.layout import Folder, parse_digest_key
from cloudtrail_validate.core.model import HOUR, ChainId, Finding, Interval, Kind, Locator
from cloudtrail_validate.core.signature import PublicKey, RegionKeys, index_keys
from cloudtrail_validate.simulate import PublishedKey, TrailSpec, generate_key
from cloudtrail_validate.simulate.digests import SignedDigest, make_digest
from cloudtrail_validate.simulate.events import LogFile
from cloudtrail_validate.simulate.signing import SigningKey
from cloudtrail_validate.simulate.spec import AccountRegion

BUCKET: Final = "amzn-s3-demo-bucket"
ACCOUNT: Final = "111122223333"
REGION: Final = "us-east-1"
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
SPEC: Final = TrailSpec(trail_name="mgmt", bucket=BUCKET, start=START)
SITE: Final = AccountRegion(ACCOUNT, REGION)
FOLDER: Final = Folder(BUCKET, "AWSLogs/", ACCOUNT, REGION)
CHAIN: Final = ChainId(ACCOUNT, REGION, "mgmt", REGION, None, Kind.STANDARD)
KEY_LIFE: Final = Interval(START - timedelta(days=5), START + timedelta(days=25))


def signer(number: int = 0) -> SigningKey:
    """The same key for the same number, throughout a test run."""
    return _signer(number)


@cache
def _signer(number: int) -> SigningKey:
    del number  # one key for each
    private = generate_key()
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return SigningKey(private, PublishedKey(REGION, der, KEY_LIFE))


def public(key: SigningKey, valid: Interval = KEY_LIFE, source: str = "file") -> PublicKey:
    return PublicKey(key.fingerprint, key.public.der, valid.start, valid.end, REGION, source)


def known(*keys: PublicKey, issuer: bool = False) -> RegionKeys:
    return RegionKeys(index_keys(keys or (public(signer()),)), issuer=issuer)


def log(name: str = "l1", sha256: str = "ab" * 32, at: datetime = START) -> LogFile:
    return LogFile(f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/05/{name}.json.gz", b"", sha256, at, at, at)


def make(
    end: datetime = START + HOUR,
    *,
    start: datetime | None = None,
    previous: SignedDigest | None = None,
    logs: Iterable[LogFile] = (),
    key: SigningKey | None = None,
) -> SignedDigest:
    interval = Interval(end - HOUR if start is None else start, end)
    return make_digest(SPEC, SITE, interval, logs, previous=previous, signer=key or signer())


def pair() -> tuple[SignedDigest, SignedDigest]:
    """A starting digest and its successor, which names one log."""
    first = make(START)
    return first, make(START + HOUR, previous=first, logs=[log()])


def where(digest: SignedDigest) -> Locator:
    return Locator(BUCKET, digest.key)


def edited(digest: SignedDigest, **fields: Any) -> bytes:
    """The digest's JSON with other values, by someone who cannot sign."""
    return json.dumps({**digest.record, **fields}).encode()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


def fetch(
    digest: SignedDigest,
    *,
    body: bytes | None = None,
    at: Locator | None = None,
    metadata: Mapping[str, str] | str | None = "own",
) -> Fetched:
    """The digest as a store gives it: `body` instead of its own bytes, lying `at` another place, other metadata."""
    return received(
        packed(digest.content) if body is None else body,
        at or where(digest),
        digest.metadata if isinstance(metadata, str) else metadata,
    )


def received(body: bytes, at: Locator, metadata: Mapping[str, str] | None) -> Fetched:
    name = parse_digest_key(FOLDER, at.key)
    reader = inflater()
    reader.feed(body)
    content = reader.finish()
    chain = name.chain if name else CHAIN
    end = name.end if name else START + HOUR
    return Fetched(at, chain, end, reader.kept(), content.sha256, content.flaw, metadata)


def look(fetched: Fetched, keys: RegionKeys | None = None) -> tuple[Evidence, tuple[LogReference, ...]]:
    return observe(fetched, known() if keys is None else keys)


def evidence_of(digest: SignedDigest, keys: RegionKeys | None = None) -> Evidence:
    return look(fetch(digest), keys)[0]


def prove(evidence: Iterable[Evidence], keys: RegionKeys) -> tuple[tuple[Link, ...], tuple[Finding, ...]]:
    """Links in order of time, with the findings about each digest: proof carried from the newest to the oldest."""
    ordered = sorted(evidence, key=lambda item: (item.interval.end, item.where))
    prover = Prover(keys)
    steps = [prover.step(item) for item in reversed(ordered)]
    return tuple(link for link, _ in reversed(steps)), tuple(item for _, found in steps for item in found)


def rules_of(findings: Iterable[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def unsigned(evidence: Evidence) -> Evidence:
    """The same evidence with none of its findings, for comparing what else it says."""
    return replace(evidence, findings=())
