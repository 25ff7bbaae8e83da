"""The user's own signature over a manifest: Ed25519 (RFC 8032), checkable with `openssl pkeyutl -verify -rawin`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cloudtrail_validate.snapshot.manifest import SnapshotError

PASSPHRASE: Final = "CTVALIDATE_SIGNING_PASSPHRASE"  # noqa: S105  # the variable's name, not its value
SIGNATURE_BYTES: Final = 64
_MAX_PEM_BYTES: Final = 64 * 1024
_MAKE_ONE: Final = "openssl genpkey -algorithm ed25519"


def load_private(path: Path) -> Ed25519PrivateKey:
    """Read the signing key. The passphrase of an encrypted one is in the environment. Raises `SnapshotError`."""
    passphrase = os.environ.get(PASSPHRASE)
    data = _read(path, "--sign-with")
    try:
        key = load_pem_private_key(data, passphrase.encode() if passphrase else None)
    except TypeError as error:
        if passphrase:  # one was given, and the key is not encrypted: it is of no use, and no harm
            return _ed25519(load_pem_private_key(data, None), path)
        raise SnapshotError(f"--sign-with: {path} is encrypted: expected its passphrase in {PASSPHRASE}") from error
    except UnsupportedAlgorithm as error:
        raise SnapshotError(f"--sign-with: expected an Ed25519 key ({_MAKE_ONE}), {path} is another sort") from error
    except ValueError as error:
        wrong = f", or {PASSPHRASE} is wrong" if passphrase else ""
        raise SnapshotError(f"--sign-with: {path} holds no private key in PEM{wrong}") from error
    return _ed25519(key, path)


def load_public(path: Path) -> Ed25519PublicKey:
    """Read the key that a manifest is to be signed with. Raises `SnapshotError`."""
    key = parse_public(_read(path, "--public-key"))
    if key is None:
        raise SnapshotError(f"--public-key: expected an Ed25519 public key in PEM, {path} holds none")
    return key


def parse_public(data: bytes) -> Ed25519PublicKey | None:
    """The Ed25519 key in a PEM text, or None where there is none."""
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def public_pem(key: Ed25519PublicKey) -> bytes:
    """SubjectPublicKeyInfo in PEM, as openssl reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's 32 bytes, lower-case hex."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def sign(key: Ed25519PrivateKey, data: bytes) -> bytes:
    """What `manifest.sig` holds: the 64 bytes of the signature in base64, one line."""
    return base64.b64encode(key.sign(data)) + b"\n"


def verifies(key: Ed25519PublicKey, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is, to the byte, a `manifest.sig` by this key over `data`. Total."""
    try:
        raw = base64.b64decode(signature, validate=False)
        key.verify(raw, data)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return signature == base64.b64encode(raw) + b"\n"  # base64 has several spellings of the same bytes


def _ed25519(key: object, path: Path) -> Ed25519PrivateKey:
    if not isinstance(key, Ed25519PrivateKey):
        raise SnapshotError(f"--sign-with: expected an Ed25519 key ({_MAKE_ONE}), {path} is another sort")
    return key


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise SnapshotError(f"{option}: cannot read {path}: {error.strerror}") from error
