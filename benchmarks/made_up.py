"""Objects made up from their keys: a million logs that lie nowhere, and signed digests that name each of them.

A log is one gzip member: a deflated part that all logs of its size share, then one stored block that holds what only
this log has. So its SHA-256 and CRC go on from those of the shared part, and making a log costs a few microseconds.
Digests are signed once, when the responder starts; of each only hash, signature and size are kept, its content is
written again when it is asked for.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from gzip import decompress
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from isal import igzip

from benchmarks.plan import BUCKET, HOUR, OWNER, START, TRAIL, Plan
from benchmarks.stored import Entry, Key, Stored
from cloudtrail_validate.simulate import TrailSpec, generate_key
from cloudtrail_validate.simulate.events import generator, make_log

_NUMBER: Final = re.compile(r"_([0-9]{6})([0-9]{10})\.json\.gz")  # what follows the minute in a log's name
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_DIGEST_AFTER: Final = 28 * 60  # seconds from a digest's end to its delivery
_LOG_AFTER: Final = 60  # seconds from the minute in a log's name to its delivery
_HOURS_KEPT: Final = 64  # listings of an hour, and digests, held at once
_SECOND: Final = int(START.timestamp())


@dataclass(frozen=True, slots=True)
class _Shared:
    """What logs of one size have in common. `sha256` is a hash object to copy and go on from."""

    deflated: bytes
    length: int
    crc: int
    sha256: Any


@dataclass(slots=True)
class _Chain:
    """One account and region. Of each digest: its SHA-256, its signature, and its compressed size in bytes."""

    account: str
    region: str
    base: str
    first: bool
    logs_per_hour: int
    hashes: list[bytes] = field(default_factory=list)
    signatures: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def digest_key(self, number: int) -> str:
        """Key of a digest: 0 is the starting one, N the one that ends after N hours."""
        end = START + number * HOUR
        name = f"{self.account}_CloudTrail-Digest_{self.region}_{TRAIL}_us-east-1_{end:%Y%m%dT%H%M%SZ}.json.gz"
        return f"{self.base}{self.account}/CloudTrail-Digest/{self.region}/{end:%Y/%m/%d}/{name}"

    def log_keys(self, hour: int) -> Iterator[tuple[str, int]]:
        """Keys and times of writing of an hour's logs, in order: a twelfth of them every five minutes."""
        folder = f"{self.base}{self.account}/CloudTrail/{self.region}/"
        known = -1
        stem, modified = "", 0
        for number in range(self.logs_per_hour):
            part = 12 * number // self.logs_per_hour
            if part != known:
                known = part
                minute = START + hour * HOUR + timedelta(minutes=5 * part)
                stem = f"{folder}{minute:%Y/%m/%d}/{self.account}_CloudTrail_{self.region}_{minute:%Y%m%dT%H%MZ}"
                modified = _SECOND + hour * 3600 + part * 300 + _LOG_AFTER
            yield f"{stem}_{hour:06d}{number:010d}.json.gz", modified

    def tail(self, hour: int, number: int, *, altered: bool = False) -> bytes:
        """What only this log holds: its last event."""
        name = f"{self.account}-{self.region}-{hour:06d}-{number:010d}-{int(altered)}"
        return f'{{"eventVersion":"1.11","eventID":"{name}"}}]}}'.encode()


class MadeUp:
    """All objects of a plan, of which almost nothing is held."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._private = generate_key()
        der = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        fingerprint = hashlib.md5(der, usedforsecurity=False).hexdigest()
        self._key = Key(der, fingerprint, START - timedelta(days=1), START + timedelta(days=29))
        self._shared = [_share(seed, events) for seed, events in enumerate(plan.events)]
        self._hour = lru_cache(_HOURS_KEPT)(self._list_hour)
        self._body = lru_cache(_HOURS_KEPT)(self._make_digest)
        base = f"AWSLogs/{plan.organization}/" if plan.organization else "AWSLogs/"
        busy = set(plan.region_names[: plan.busy_regions])
        self._chains = [
            _Chain(
                account,
                region,
                base,
                (account, region) == (OWNER, plan.home_region),
                plan.logs_per_hour if region in busy else 0,
            )
            for account in plan.account_ids
            for region in plan.region_names
        ]
        for chain in self._chains:
            self._sign(chain)
        self._by_site = {(chain.account, chain.region): chain for chain in self._chains}
        self._digests = {
            chain.digest_key(number): (chain, number) for chain in self._chains for number in range(plan.hours + 1)
        }
        self._runs = self._all_runs()
        self._firsts = [first for first, _, _ in self._runs]

    def entries(self, start: str) -> Iterator[Entry]:
        """The objects from a key on."""
        for index in range(max(0, bisect_right(self._firsts, start) - 1), len(self._runs)):
            first, chain, hour = self._runs[index]
            if hour is None:
                if first >= start:
                    number = self._digests[first][1]
                    yield Entry(first, chain.sizes[number], _SECOND + number * 3600 + _DIGEST_AFTER)
            else:
                logs = self._hour(chain.account, chain.region, hour)
                yield from logs[bisect_left(logs, (start,)) :]

    def get(self, key: str) -> Stored | None:
        """Make one object."""
        known = self._digests.get(key)
        if known is not None:
            chain, number = known
            body = self._body(chain.account, chain.region, number)
            metadata = {"signature": chain.signatures[number].hex(), "signature-algorithm": "SHA256withRSA"}
            return Stored(body, _SECOND + number * 3600 + _DIGEST_AFTER, metadata)
        found = _NUMBER.search(key)
        site = key.rpartition("/")[2].split("_")
        if found is None or len(site) < 3:
            return None
        hour, number = int(found[1]), int(found[2])
        at = self._by_site.get((site[0], site[2]))
        if at is None or hour >= self._plan.hours or number >= at.logs_per_hour:
            return None
        entry = self._hour(at.account, at.region, hour)[number]
        return Stored(self._log(at, hour, number), entry.modified, {}) if entry.key == key else None

    def keys(self, region: str) -> list[Key]:  # noqa: ARG002  # one key signs everywhere
        """The one key."""
        return [self._key]

    def _all_runs(self) -> list[tuple[str, _Chain, int | None]]:
        """First key, chain and hour (None: a digest) of every run of neighbouring keys, in order."""
        runs: list[tuple[str, _Chain, int | None]] = [(key, chain, None) for key, (chain, _) in self._digests.items()]
        for chain in self._chains:
            if chain.logs_per_hour:
                runs += [(next(chain.log_keys(hour))[0], chain, hour) for hour in range(self._plan.hours)]
        return sorted(runs, key=lambda run: run[0])

    def _list_hour(self, account: str, region: str, hour: int) -> list[Entry]:
        chain = self._by_site[account, region]
        rest = len(_GZIP_HEAD) + 5 + len(chain.tail(hour, 0)) + 8
        sizes = [len(shared.deflated) + rest for shared in self._shared]
        return [
            Entry(key, sizes[number % len(sizes)], modified)
            for number, (key, modified) in enumerate(chain.log_keys(hour))
        ]

    def _log(self, chain: _Chain, hour: int, number: int) -> bytes:
        shared = self._shared[number % len(self._shared)]
        tail = chain.tail(hour, number, altered=chain.first and (hour, number) in self._plan.altered)
        length = len(tail)
        block = b"\x01" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little")
        crc = zlib.crc32(tail, shared.crc).to_bytes(4, "little")
        size = (shared.length + length & 0xFFFFFFFF).to_bytes(4, "little")
        return b"".join((_GZIP_HEAD, shared.deflated, block, tail, crc, size))

    def _sign(self, chain: _Chain) -> None:
        """Sign a chain from its beginning, keeping what its digests are known by."""
        for number in range(self._plan.hours + 1):
            content = self._content(chain, number)
            sha256 = hashlib.sha256(content)
            previous = chain.signatures[-1].hex() if number else "null"
            end = f"{START + number * HOUR:%Y-%m-%dT%H:%M:%SZ}"
            text = f"{end}\n{BUCKET}/{chain.digest_key(number)}\n{sha256.hexdigest()}\n{previous}"
            chain.hashes.append(sha256.digest())
            chain.signatures.append(self._private.sign(text.encode(), padding.PKCS1v15(), SHA256()))
            chain.sizes.append(len(igzip.compress(content, 2, mtime=0)))

    def _make_digest(self, account: str, region: str, number: int) -> bytes:
        return igzip.compress(self._content(self._by_site[account, region], number), 2, mtime=0)

    def _content(self, chain: _Chain, number: int) -> bytes:
        """A digest's JSON, as CloudTrail writes its fields."""
        end = START + number * HOUR
        times = f'"digestStartTime":"{end - HOUR:%Y-%m-%dT%H:%M:%SZ}","digestEndTime":"{end:%Y-%m-%dT%H:%M:%SZ}"'
        names = ("S3Bucket", "S3Object", "HashValue", "HashAlgorithm", "Signature")
        if number:
            known = chain.hashes[number - 1].hex(), "SHA-256", chain.signatures[number - 1].hex()
            values = (BUCKET, chain.digest_key(number - 1), *known)
            previous = ",".join(f'"previousDigest{name}":"{value}"' for name, value in zip(names, values, strict=True))
        else:
            previous = ",".join(f'"previousDigest{name}":null' for name in names)
        logs = ",".join(self._references(chain, number - 1)) if number else ""
        newest = f'"{end - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"' if logs else "null"
        return (
            f'{{"awsAccountId":"{chain.account}",{times},"digestS3Bucket":"{BUCKET}",'
            f'"digestS3Object":"{chain.digest_key(number)}","digestPublicKeyFingerprint":"{self._key.fingerprint}",'
            f'"digestSignatureAlgorithm":"SHA256withRSA","newestEventTime":{newest},"oldestEventTime":{newest},'
            f'{previous},"logFiles":[{logs}]}}'
        ).encode()

    def _references(self, chain: _Chain, hour: int) -> Iterator[str]:
        time = f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ}"
        for number, (key, _) in enumerate(chain.log_keys(hour)):
            sha256 = self._shared[number % len(self._shared)].sha256.copy()
            sha256.update(chain.tail(hour, number))
            yield (
                f'{{"s3Bucket":"{BUCKET}","s3Object":"{key}","hashValue":"{sha256.hexdigest()}",'
                f'"hashAlgorithm":"SHA-256","newestEventTime":"{time}","oldestEventTime":"{time}"}}'
            )


def _share(seed: int, events: int) -> _Shared:
    """The shared part of logs with that many events, in the simulator's words."""
    spec = TrailSpec(events_per_log=events, seed=seed)
    log = make_log(spec, spec.sites[0], generator(spec, "shared", seed), START)
    content = decompress(log.body).removesuffix(b"]}") + b","
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    deflated = deflate.compress(content) + deflate.flush(zlib.Z_SYNC_FLUSH)  # ends on a byte, without a final block
    return _Shared(deflated, len(content), zlib.crc32(content), hashlib.sha256(content))
