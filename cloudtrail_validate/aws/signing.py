"""Keys that users sign with, in PEM files: Ed25519, ECDSA or RSA-PSS. Those of AWS KMS are in `aws.signing_kms`.

| key | signature | checked with |
|---|---|---|
| Ed25519 (RFC 8032) | 64 bytes over the data | `openssl pkeyutl -verify -rawin` |
| P-256, P-384, P-521 | ECDSA in DER over SHA-256, SHA-384, SHA-512 of the data | `openssl dgst -sha256 -verify` |
| RSA, 2048 bits or more | PSS, SHA-256, MGF1 with SHA-256, salt of 32 bytes | the same, `-sigopt rsa_padding_mode:pss` |

These are what `kms:Sign` makes as well, so that nobody who checks need know where the key lies.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.runtime.files import read_at_most

PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

PASSPHRASE: Final = "CTVALIDATE_SIGNING_PASSPHRASE"  # noqa: S105  # the variable's name, not its value
MIN_RSA_BITS: Final = 2048  # NIST SP 800-131A: what is shorter proves nothing to a court today
_MAX_RSA_BITS: Final = 8192  # a hostile key of a megabit takes minutes to check with; KMS has 4096 at most
_HASHES: Final[dict[str, HashAlgorithm]] = {"secp256r1": SHA256(), "secp384r1": SHA384(), "secp521r1": SHA512()}
_PSS: Final = PSS(mgf=MGF1(SHA256()), salt_length=SHA256.digest_size)
_MAX_PEM_BYTES: Final = 64 * 1024
_SORTS: Final = "Ed25519, P-256, P-384, P-521 or RSA of 2048 bits or more"
_MAKE_ONE: Final = "openssl genpkey -algorithm ed25519"


class Signer(Protocol):
    """Whoever signs. `public` is the key that checks it, `place` the ARN of a key in KMS, None for a file."""

    @property
    def public(self) -> PublicKey:
        """The public key."""

    @property
    def place(self) -> str | None:
        """Where the private key lies, if that can be told."""

    def sign(self, data: bytes) -> bytes:
        """Raw signature over `data`. Raises `ConfigurationError`."""


class FileSigner:
    """Signs with a private key out of a PEM file."""

    place: str | None = None

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.public: PublicKey = key.public_key()

    def sign(self, data: bytes) -> bytes:
        """Raw signature over `data`."""
        key = self._key
        if isinstance(key, Ed25519PrivateKey):
            return key.sign(data)
        if isinstance(key, EllipticCurvePrivateKey):
            return key.sign(data, ECDSA(_HASHES[key.curve.name]))
        return key.sign(data, _PSS, SHA256())


def load_signer(path: Path, option: str) -> FileSigner:
    """Read a signing key. The passphrase of an encrypted one is in the environment.

    Raises `ConfigurationError`, which names the option.
    """
    passphrase, shown = os.environ.get(PASSPHRASE), printable(str(path))
    data = read_pem(path, option)
    try:
        key = load_pem_private_key(data, passphrase.encode() if passphrase and b"ENCRYPTED" in data else None)
    except TypeError as error:
        raise ConfigurationError(f"{option}: {shown} is encrypted: expected its passphrase in {PASSPHRASE}") from error
    except UnsupportedAlgorithm as error:
        raise ConfigurationError(
            f"{option}: expected a key of {_SORTS} ({_MAKE_ONE}), {shown} is another sort"
        ) from error
    except ValueError as error:
        wrong = f", or {PASSPHRASE} is wrong" if passphrase else ""
        raise ConfigurationError(f"{option}: {shown} holds no private key in PEM{wrong}") from error
    if isinstance(key, PrivateKey) and _usable(key.public_key()) is not None:
        return FileSigner(key)
    raise ConfigurationError(f"{option}: expected a key of {_SORTS} ({_MAKE_ONE}), {shown} is another sort")


def load_public(path: Path, option: str) -> PublicKey:
    """Read the key that something is to be signed with. Raises `ConfigurationError`, which names the option."""
    key = parse_public(read_pem(path, option))
    if key is None:
        shown = printable(str(path))
        raise ConfigurationError(f"{option}: expected a public key in PEM ({_SORTS}), {shown} holds none")
    return key


def parse_public(data: bytes) -> PublicKey | None:
    """The key in a PEM text, or in DER as KMS answers, or None where there is none of a sort that signs. Total."""
    try:
        key = load_pem_public_key(data) if data.lstrip().startswith(b"-----") else load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return _usable(key)


def _usable(key: object) -> PublicKey | None:
    """Return a public key if it is of a sort that signs, else None."""
    if isinstance(key, EllipticCurvePublicKey):
        return key if key.curve.name in _HASHES else None
    if isinstance(key, RSAPublicKey):
        return key if MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS else None
    return key if isinstance(key, Ed25519PublicKey) else None


def public_pem(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo in PEM, as openssl reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: PublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo in DER, lower-case hex: `openssl pkey -pubin -outform DER | sha256sum`."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def algorithm_of(key: PublicKey) -> str:
    """The algorithm in which a key signs, by KMS' name of it."""
    if isinstance(key, EllipticCurvePublicKey):
        return f"ECDSA_{_HASHES[key.curve.name].name.upper().replace('SHA', 'SHA_')}"
    return "RSASSA_PSS_SHA_256" if isinstance(key, RSAPublicKey) else "ED25519_SHA_512"


def hash_of(key: PublicKey) -> str:
    """The name of the hash, as openssl and hashlib have it, that ECDSA or PSS with this key is computed over."""
    return _HASHES[key.curve.name].name if isinstance(key, EllipticCurvePublicKey) else "sha256"


def verifies_raw(key: PublicKey, data: bytes, raw: bytes) -> bool:
    """Whether `raw` is a signature by this key over `data`. Total."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(raw, data)
        elif isinstance(key, EllipticCurvePublicKey):
            key.verify(raw, data, ECDSA(_HASHES[key.curve.name]))
        else:
            key.verify(raw, data, _PSS, SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True


def read_pem(path: Path, option: str, most: int = _MAX_PEM_BYTES) -> bytes:
    """Read a PEM file. Raises `ConfigurationError`, which names the option, also for one of more than `most` bytes."""
    try:
        with path.open("rb") as file:
            data = read_at_most(file, most)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{option}: cannot read {printable(str(path))}: {why}") from error
    if len(data) > most:
        raise ConfigurationError(f"{option}: {printable(str(path))} is larger than any such file ({most:,} bytes)")
    return data
