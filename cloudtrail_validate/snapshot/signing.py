"""The user's own signature over a snapshot, by a key file or a key of AWS KMS (`aws.signing` has the sorts)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from cloudtrail_validate.aws import signing
from cloudtrail_validate.aws.signing import PublicKey, hash_of, verifies_raw
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.snapshot.manifest import SnapshotError

OPTION: Final = "--sign-with"
P = ParamSpec("P")
T = TypeVar("T")


def as_of_snapshot(call: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """Return what a call returns. Raises `SnapshotError` where it raises `ConfigurationError`."""
    try:
        return call(*args, **more)
    except ConfigurationError as error:
        raise SnapshotError(str(error)) from error


def load_signer(path: Path) -> signing.FileSigner:
    """Read the signing key. The passphrase of an encrypted one is in the environment. Raises `SnapshotError`."""
    return as_of_snapshot(signing.load_signer, path, OPTION)


def load_public(path: Path) -> PublicKey:
    """Read the key that a manifest is to be signed with. Raises `SnapshotError`."""
    return as_of_snapshot(signing.load_public, path, "--public-key")


def read_pem(path: Path, option: str, most: int) -> bytes:
    """Read a PEM file of at most so many bytes. Raises `SnapshotError`."""
    return as_of_snapshot(signing.read_pem, path, option, most)


def sort_of(key: PublicKey) -> str:
    """What kind of signature a key checks, for people."""
    if isinstance(key, EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name} with {hash_of(key).upper().replace('SHA', 'SHA-')}"
    return f"RSA-PSS {key.key_size} with SHA-256" if isinstance(key, RSAPublicKey) else "Ed25519"


def openssl_line(key: PublicKey, public: str, signature: str, data: str) -> str:
    """The command that checks a raw signature, with the names of three files."""
    if isinstance(key, Ed25519PublicKey):
        return f"openssl pkeyutl -verify -rawin -pubin -inkey {public} -sigfile {signature} -in {data}"
    if isinstance(key, EllipticCurvePublicKey):
        return f"openssl dgst -{hash_of(key)} -verify {public} -signature {signature} {data}"
    pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"
    return f"openssl dgst -sha256 {pss} -verify {public} -signature {signature} {data}"


def armoured(signature: bytes) -> bytes:
    """What `manifest.sig` holds: the signature in base64, one line."""
    return base64.b64encode(signature) + b"\n"


def verifies(key: PublicKey, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is, to the byte, a `manifest.sig` by this key over `data`. Total."""
    try:
        raw = base64.b64decode(signature, validate=False)
    except (binascii.Error, ValueError):
        return False
    # base64 has several spellings of the same bytes
    return signature == armoured(raw) and verifies_raw(key, data, raw)
