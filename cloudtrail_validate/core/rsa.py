"""RSA as CloudTrail uses it: public keys of DER bytes, PKCS#1 v1.5 over a SHA-256.

A module of its own so that `cryptography`, 9 ms of a start, is imported once there is a key, and not before AWS is asked.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

_PADDING: Final = PKCS1v15()
_HASH: Final = Prehashed(SHA256())


def load(der: bytes) -> RSAPublicKey | None:
    """Return the RSA key in these DER bytes (PKCS#1 or SubjectPublicKeyInfo), or None where they are none."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def verify(key: RSAPublicKey, signature: bytes, sha256: bytes) -> bool:
    """Check a signature of whatever has this SHA-256. Total: any signature is simply right or wrong."""
    try:
        key.verify(signature, sha256, _PADDING, _HASH)
    except (InvalidSignature, ValueError):
        return False
    return True
