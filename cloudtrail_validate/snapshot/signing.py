"""The user's own signature over a snapshot: Ed25519, ECDSA or RSA-PSS, by a key file or a key of AWS KMS.

| key | signature | checked with |
|---|---|---|
| Ed25519 (RFC 8032) | 64 bytes over the data | `openssl pkeyutl -verify -rawin` |
| P-256, P-384, P-521 | ECDSA in DER over SHA-256, SHA-384, SHA-512 of the data | `openssl dgst -sha256 -verify` |
| RSA, 2048 bits or more | PSS, SHA-256, MGF1 with SHA-256, salt of 32 bytes | the same, `-sigopt rsa_padding_mode:pss` |

These are what `kms:Sign` makes as well (`snapshot.kms`), so that nobody who checks need know where the key lies.
"""

from __future__ import annotations

import base64
import binascii
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

from cloudtrail_validate.runtime.files import read_at_most
from cloudtrail_validate.snapshot.manifest import SnapshotError

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
    """Whoever signs a snapshot. `public` is the key that checks it, `place` the ARN of a key in KMS, None for a file."""

    @property
    def public(self) -> PublicKey:
        """The public key."""

    @property
    def place(self) -> str | None:
        """Where the private key lies, if that can be told."""

    def sign(self, data: bytes) -> bytes:
        """Raw signature over `data`. Raises `SnapshotError`."""


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


def load_signer(path: Path) -> FileSigner:
    """Read the signing key. The passphrase of an encrypted one is in the environment. Raises `SnapshotError`."""
    passphrase = os.environ.get(PASSPHRASE)
    data = read_pem(path, "--sign-with")
    try:
        key = load_pem_private_key(data, passphrase.encode() if passphrase else None)
    except TypeError as error:
        if passphrase:  # one was given, and the key is not encrypted: it is of no use, and no harm
            return FileSigner(_of_our_sort(load_pem_private_key(data, None), path))
        raise SnapshotError(f"--sign-with: {path} is encrypted: expected its passphrase in {PASSPHRASE}") from error
    except UnsupportedAlgorithm as error:
        raise SnapshotError(f"--sign-with: expected a key of {_SORTS} ({_MAKE_ONE}), {path} is another sort") from error
    except ValueError as error:
        wrong = f", or {PASSPHRASE} is wrong" if passphrase else ""
        raise SnapshotError(f"--sign-with: {path} holds no private key in PEM{wrong}") from error
    return FileSigner(_of_our_sort(key, path))


def load_public(path: Path) -> PublicKey:
    """Read the key that a manifest is to be signed with. Raises `SnapshotError`."""
    key = parse_public(read_pem(path, "--public-key"))
    if key is None:
        raise SnapshotError(f"--public-key: expected a public key in PEM ({_SORTS}), {path} holds none")
    return key


def parse_public(data: bytes) -> PublicKey | None:
    """The key in a PEM text, or in DER as KMS answers, or None where there is none of a sort that signs snapshots."""
    try:
        key = load_pem_public_key(data) if data.lstrip().startswith(b"-----") else load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
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


def sort_of(key: PublicKey) -> str:
    """What kind of signature a key checks, for people."""
    if isinstance(key, EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name} with {_HASHES[key.curve.name].name.upper().replace('SHA', 'SHA-')}"
    return f"RSA-PSS {key.key_size} with SHA-256" if isinstance(key, RSAPublicKey) else "Ed25519"


def openssl_line(key: PublicKey, public: str, signature: str, data: str) -> str:
    """The command that checks a raw signature, with the names of three files."""
    if isinstance(key, Ed25519PublicKey):
        return f"openssl pkeyutl -verify -rawin -pubin -inkey {public} -sigfile {signature} -in {data}"
    if isinstance(key, EllipticCurvePublicKey):
        return f"openssl dgst -{_HASHES[key.curve.name].name} -verify {public} -signature {signature} {data}"
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


def digest_to_sign(key: PublicKey, data: bytes) -> bytes:
    """The hash of `data` that ECDSA or PSS with this key is computed over, for a signer that takes no long data."""
    name = _HASHES[key.curve.name].name if isinstance(key, EllipticCurvePublicKey) else "sha256"
    return hashlib.new(name, data).digest()


def _of_our_sort(key: object, path: Path) -> PrivateKey:
    if isinstance(key, PrivateKey) and parse_public(public_pem(key.public_key())) is not None:
        return key
    raise SnapshotError(f"--sign-with: expected a key of {_SORTS} ({_MAKE_ONE}), {path} is another sort")


def read_pem(path: Path, option: str, most: int = _MAX_PEM_BYTES) -> bytes:
    """Read a PEM file. Raises `SnapshotError`, which names the option, also for one of more than `most` bytes."""
    try:
        with path.open("rb") as file:
            data = read_at_most(file, most)
    except OSError as error:
        raise SnapshotError(f"{option}: cannot read {path}: {error.strerror}") from error
    if len(data) > most:
        raise SnapshotError(f"{option}: {path} is larger than any such file ({most:,} bytes)")
    return data
