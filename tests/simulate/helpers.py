"""Reads a simulated folder back, by no other means than the standard library and `openssl`."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import stat
import subprocess
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudtrail_validate.simulate import FolderSink, Simulation, TrailSpec, generate_key, simulate

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SIDECAR = ".metadata.json"


@cache
def key_number(number: int) -> RSAPrivateKey:
    return generate_key()


def same_keys() -> Callable[[], RSAPrivateKey]:
    """A source that gives the same keys, in the same order, in every simulation of this test run."""
    numbers = itertools.count()
    return lambda: key_number(next(numbers))


def run(folder: Path, spec: TrailSpec, *tampers: str) -> Simulation:
    return simulate(spec, FolderSink(folder), tampers, new_key=same_keys())


def inflate(path: Path) -> tuple[bytes, bytes]:
    """The content of the first gzip member, and what comes after it."""
    member = zlib.decompressobj(wbits=31)
    return member.decompress(path.read_bytes()), member.unused_data


def read(path: Path) -> Any:
    return json.loads(inflate(path)[0])


def tree(folder: Path) -> dict[str, tuple[str, object]]:
    """Every file below the folder by its path: content and time; a symbolic link by its target."""
    found: dict[str, tuple[str, object]] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        name = path.relative_to(folder).as_posix()
        if stat.S_ISLNK(status.st_mode):
            found[name] = ("link", str(path.readlink()))
        elif not status.st_mode & 0o444:
            found[name] = ("locked", status.st_mtime)
        elif stat.S_ISREG(status.st_mode):
            found[name] = (hashlib.sha256(path.read_bytes()).hexdigest(), status.st_mtime)
    return found


def chain(folder: Path, region: str = "us-east-1", *, backfill: bool = False) -> list[Path]:
    """The digests of a region, oldest first."""
    paths = folder.rglob(f"*_CloudTrail-Digest_{region}_*Z{'_backfill' if backfill else ''}.json.gz")
    return sorted(paths, key=lambda path: path.name)


def intervals(folder: Path, region: str = "us-east-1") -> list[tuple[str, str]]:
    return [(d["digestStartTime"][11:], d["digestEndTime"][11:]) for d in map(read, chain(folder, region))]


def openssl_accepts(path: Path, simulation: Simulation, scratch: Path) -> bool:
    """Whether `openssl dgst` takes the signature beside a digest as one by the published key that it names."""
    content = gzip.decompress(path.read_bytes())
    digest = json.loads(content)
    named = [key for key in simulation.keys if key.fingerprint == digest["digestPublicKeyFingerprint"]]
    if not named:
        return False
    text = (
        digest["digestEndTime"]
        + "\n"
        + digest["digestS3Bucket"]
        + "/"
        + digest["digestS3Object"]
        + "\n"
        + hashlib.sha256(content).hexdigest()
        + "\n"
        + (digest["previousDigestSignature"] or "null")
    )
    metadata = json.loads(path.with_name(path.name + SIDECAR).read_text())
    (scratch / "signed").write_text(text)
    (scratch / "signature").write_bytes(bytes.fromhex(metadata["signature"]))
    (scratch / "key.der").write_bytes(named[0].der)
    is_spki = named[0].der[4:6] == b"\x30\x0d"  # SEQUENCE { SEQUENCE { algorithm … } … }; PKCS#1 begins with an INTEGER
    read_as = ["-pubin"] if is_spki else ["-RSAPublicKey_in"]
    to_pem = ["openssl", "rsa", *read_as, "-inform", "DER", "-in", "key.der", "-pubout", "-out", "key.pem"]
    subprocess.run(to_pem, cwd=scratch, check=True, capture_output=True)
    verify = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "signed"]
    return subprocess.run(verify, cwd=scratch, check=False, capture_output=True).returncode == 0
