"""Each tampering with a digest or log changes what it says it changes."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.simulate import (
    Expected,
    FolderSink,
    simulate,
)
from tests.simulate.helpers import SIDECAR, chain, inflate, openssl_accepts, read, run
from tests.simulate.tampered import SPEC, plant, planted, successor


def signed_hash(folder: Path, key: str | None) -> str:
    """The hash that the digest naming that log gives for it."""
    assert key is not None
    digests = (read(path) for path in folder.rglob("*_CloudTrail-Digest_*.gz"))
    (found,) = (log["hashValue"] for digest in digests for log in digest["logFiles"] if log["s3Object"] == key)
    return str(found)


def content_hash(path: Path) -> str:
    """The hash that a digest should give for an object."""
    return hashlib.sha256(inflate(path)[0]).hexdigest()


def test_digest_missing(tmp_path: Path) -> None:
    found, path = plant(tmp_path, "digest-missing")
    assert not path.exists()
    lost = successor(tmp_path, found.key)
    assert lost["previousDigestS3Object"] == found.key


def test_digest_malformed(tmp_path: Path) -> None:
    _, path = plant(tmp_path, "digest-malformed")
    with pytest.raises(zlib.error):
        inflate(path)


def test_digest_signature_invalid(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-signature-invalid")
    _, path = planted(simulation, tmp_path / "trail")
    assert len(read(path)["logFiles"]) == 1
    assert not openssl_accepts(path, simulation, tmp_path)


def test_digest_signature_missing(tmp_path: Path) -> None:
    found, path = plant(tmp_path, "digest-signature-missing")
    assert json.loads(path.with_name(path.name + SIDECAR).read_text()) == {}
    assert found.status is Status.ALTERED
    assert_successor_proves(tmp_path, path, found)


def assert_successor_proves(folder: Path, path: Path, found: Expected) -> None:
    assert successor(folder, found.key)["previousDigestHashValue"] == content_hash(path)


def test_digest_key_unknown(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-key-unknown")
    found, path = planted(simulation, tmp_path / "trail")
    published = {key.fingerprint for key in simulation.keys}
    unknown = [d for d in map(read, chain(tmp_path / "trail", found.region)) if is_unknown(d, published)]
    assert unknown == [read(path)]
    assert_successor_proves(tmp_path / "trail", path, found)
    assert found.status is Status.UNVERIFIABLE
    api = simulate(SPEC, FolderSink(tmp_path / "api"), ["digest-key-unknown"], key_unknown=Status.ALTERED)
    assert [finding.status for finding in api.manifest.expected()] == [Status.ALTERED]


def is_unknown(digest: Any, published: set[str]) -> bool:
    return digest["digestPublicKeyFingerprint"] not in published


def test_digest_algorithm_unsupported(tmp_path: Path) -> None:
    _, path = plant(tmp_path, "digest-algorithm-unsupported")
    assert json.loads(path.with_name(path.name + SIDECAR).read_text())["signature-algorithm"] == "SHA512withRSA"


def test_digest_moved(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-moved")
    _, path = planted(simulation, tmp_path / "trail")
    assert not (tmp_path / "trail" / read(path)["digestS3Object"]).exists()
    assert path.name.endswith("1703Z.json.gz")
    assert openssl_accepts(path, simulation, tmp_path), "it is genuine, in the wrong place"


def test_digest_trailing_data(tmp_path: Path) -> None:
    found, path = plant(tmp_path, "digest-trailing-data")
    assert inflate(path)[1] == b"trailing"
    assert_successor_proves(tmp_path, path, found)


def test_digest_link_broken(tmp_path: Path, clean: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-link-broken")
    found, path = planted(simulation, tmp_path / "trail")
    assert openssl_accepts(path, simulation, tmp_path)
    assert read(path)["logFiles"] == read(clean / (found.key or ""))["logFiles"]
    view = successor(tmp_path / "trail", found.key)["previousDigestHashValue"]
    assert view != content_hash(path)


def test_digest_unlinked(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-unlinked")
    found, path = planted(simulation, tmp_path / "trail")
    orphan = read(path)
    assert openssl_accepts(path, simulation, tmp_path)
    assert orphan["digestS3Object"] == found.key
    assert orphan["digestEndTime"].endswith(":30:00Z")
    (log,) = orphan["logFiles"]
    assert content_hash(tmp_path / "trail" / log["s3Object"]) == log["hashValue"]
    digests = map(read, chain(tmp_path / "trail", found.region))
    same = [d for d in digests if d["previousDigestS3Object"] == orphan["previousDigestS3Object"]]
    assert len(same) == 2, "the orphan and its neighbour have one predecessor"


@pytest.mark.parametrize("rule", ["digest-unreadable", "log-unreadable"])
def test_unreadable(tmp_path: Path, rule: str) -> None:
    _, path = plant(tmp_path, rule)
    with pytest.raises(PermissionError):
        path.read_bytes()


def test_log_altered(tmp_path: Path, clean: Path) -> None:
    found, path = plant(tmp_path, "log-altered")
    now, then = read(path)["Records"], read(clean / (found.key or ""))["Records"]
    assert [new == old for new, old in zip(now, then, strict=True)] == [False] + [True] * 9
    assert signed_hash(tmp_path, found.key) != content_hash(path)


def test_log_malformed(tmp_path: Path) -> None:
    _, path = plant(tmp_path, "log-malformed")
    with pytest.raises(EOFError):
        gzip.decompress(path.read_bytes())


def test_log_trailing_data(tmp_path: Path) -> None:
    found, path = plant(tmp_path, "log-trailing-data")
    assert signed_hash(tmp_path, found.key) == content_hash(path)
    assert gzip.decompress(inflate(path)[1])


def test_log_missing(tmp_path: Path) -> None:
    found, path = plant(tmp_path, "log-missing")
    assert not path.exists()
    assert signed_hash(tmp_path, found.key)


@pytest.mark.parametrize("rule", ["log-extra", "log-pending", "log-undigested"])
def test_logs_that_no_digest_names(tmp_path: Path, rule: str) -> None:
    found, path = plant(tmp_path, rule)
    assert read(path)["Records"]
    digests = [read(digest) for digest in tmp_path.rglob("*_CloudTrail-Digest_*.gz")]
    assert found.key not in {log["s3Object"] for digest in digests for log in digest["logFiles"]}
    mine = [d for d in digests if f"/{found.region}/" in d["digestS3Object"]]
    arrived = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    covering = [d for d in mine if d["digestStartTime"] <= f"{arrived:%Y-%m-%dT%H:%M:%SZ}" < d["digestEndTime"]]
    following = [d for d in covering if d["previousDigestSignature"] is not None]
    assert len(following) == (1 if rule == "log-extra" else 0), "about its own hour a starting digest proves nothing"


def test_log_rewritten(tmp_path: Path, clean: Path) -> None:
    found, path = plant(tmp_path, "log-rewritten")
    assert path.read_bytes() == (clean / (found.key or "")).read_bytes()
    assert path.stat().st_mtime - (clean / (found.key or "")).stat().st_mtime > 5 * 3600
