"""RSA keys and signatures of digests.

`ListPublicKeys` answers with DER: PKCS#1 by the User Guide, though one of the guide's own samples is SubjectPublicKeyInfo;
both load here. A key's fingerprint is the lower-case hex MD5 of its DER bytes (4 of 4 genuine keys), so any key, wherever
it came from, is checked against its own fingerprint before it is trusted with anything.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from cloudtrail_validate.core.model import Cause

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHM: Final = "SHA256withRSA"
HASH_ALGORITHM: Final = "SHA-256"


class PublicKey(msgspec.Struct, frozen=True):
    """One key that CloudTrail signs with in one region, and when it is valid. `source` is `aws` or `file`.

    `asked` is when AWS answered with it; `file` names the file that it came from, `file_sha256` (hex) what that held.
    """

    fingerprint: str
    der: bytes
    not_before: datetime
    not_after: datetime
    region: str | None
    source: str
    asked: datetime | None = None
    file: str | None = None
    file_sha256: str | None = None


def fingerprint_of(der: bytes) -> str:
    """Return the MD5 of the DER bytes, lower-case hex: an identifier, not a proof."""
    return hashlib.md5(der, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=1024)
def load_key(der: bytes) -> RSAPublicKey | None:
    """Return the RSA key in these DER bytes (PKCS#1 or SubjectPublicKeyInfo), or None where they are none."""
    from cloudtrail_validate.core import rsa  # noqa: PLC0415  # see there

    return rsa.load(der)


def parse_signature(text: str) -> bytes | None:
    """Return the bytes of a hex signature, or None where the text is no hex."""
    try:
        return binascii.unhexlify(text)
    except (ValueError, binascii.Error):
        return None


def verify(key: RSAPublicKey, signature: bytes, sha256: bytes) -> bool:
    """Check RSA PKCS#1 v1.5 over a string whose SHA-256 is given. Total: any signature is simply right or wrong."""
    from cloudtrail_validate.core import rsa  # noqa: PLC0415  # see there

    return rsa.verify(key, signature, sha256)


class RegionKeys(msgspec.Struct, frozen=True):
    """Holds the answer of a key source for one region.

    `issuer` is true where CloudTrail itself answered: only then does the absence of a fingerprint say something.
    `cause` and `detail` tell why there was no answer.
    """

    keys: Mapping[str, PublicKey] = msgspec.field(default_factory=dict)
    issuer: bool = False
    cause: Cause | None = None
    detail: str | None = None

    def valid_at(self, moment: datetime) -> bool:
        """Tell whether any key is valid at that moment."""
        return any(key.not_before <= moment <= key.not_after for key in self.keys.values())


def index_keys(keys: Iterable[PublicKey]) -> dict[str, PublicKey]:
    """Return keys by fingerprint, leaving out what does not hash to its own name or is no RSA key."""
    return {
        key.fingerprint: key
        for key in keys
        if fingerprint_of(key.der) == key.fingerprint and load_key(key.der) is not None
    }
