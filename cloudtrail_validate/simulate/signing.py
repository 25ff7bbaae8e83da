"""The simulator's own keys and signatures, standing in for those of AWS.

Source: AWS CloudTrail User Guide, "Custom implementations of CloudTrail log file integrity validation". Written apart
from the verifier on purpose: one error cannot agree with itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloudtrail_validate.core.model import HOUR, Interval, isoformat
from cloudtrail_validate.simulate.spec import KEY_LEAD, KEY_LIFETIME, MAX_ROTATION_HOURS, TrailSpec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

NewKey = Callable[[], "RSAPrivateKey"]
"""Where private keys come from. It must not give one key twice."""


def generate_key() -> RSAPrivateKey:
    """Return a new RSA key of 2048 bits, the size CloudTrail signs with."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A public key as ListPublicKeys tells of it; `der` is PKCS#1 or SubjectPublicKeyInfo."""

    region: str
    der: bytes
    valid: Interval

    @property
    def fingerprint(self) -> str:
        """Lower-case hex MD5 of the DER bytes, which is how CloudTrail names its keys."""
        return hashlib.md5(self.der, usedforsecurity=False).hexdigest()

    def as_dict(self) -> dict[str, str]:
        """The entry in `PublicKeyList`, with the region beside it."""
        return {
            "Value": base64.b64encode(self.der).decode(),
            "ValidityStartTime": isoformat(self.valid.start),
            "ValidityEndTime": isoformat(self.valid.end),
            "Fingerprint": self.fingerprint,
            "Region": self.region,
        }


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """All keys of a simulation that a validator may know, by region and time."""

    keys: tuple[PublishedKey, ...]

    def __iter__(self) -> Iterator[PublishedKey]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def as_json(self) -> str:
        """The text that `aws cloudtrail list-public-keys` prints, with each key's region added."""
        return json.dumps({"PublicKeyList": [key.as_dict() for key in self.keys]}, indent=4) + "\n"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and what is published of it."""

    private: RSAPrivateKey
    public: PublishedKey

    @property
    def fingerprint(self) -> str:
        """The fingerprint that digests signed with this key carry."""
        return self.public.fingerprint

    def sign(self, text: bytes) -> str:
        """RSA PKCS#1 v1.5 with SHA-256, in lower-case hex."""
        return self.private.sign(text, padding.PKCS1v15(), SHA256()).hex()


class KeyRing:
    """The signing keys of a trail, made when first needed: one series for each region with logs.

    The regions in which nothing happens share one series, published for each of them: making a key takes 0.1 s.
    """

    def __init__(self, spec: TrailSpec, new_key: NewKey = generate_key) -> None:
        self._spec = spec
        self._new_key = new_key
        self._use = HOUR * (spec.key_rotation_hours or MAX_ROTATION_HOURS)
        self._keys: dict[tuple[str, int], SigningKey] = {}
        self._shared: dict[int, RSAPrivateKey] = {}

    def at(self, region: str, moment: datetime) -> SigningKey:
        """The key that signs in a region at a moment (before the trail's start: its first one)."""
        index = max(0, (moment - self._spec.base) // self._use)
        key = self._keys.get((region, index))
        if key is None:
            every = self._spec.spki_every
            spki = every is not None and index % every == every - 1
            private = self._share(index) if region not in self._spec.regions else self._new_key()
            key = self._keys[region, index] = signing_key(
                private, region, self._spec.base + index * self._use, spki=spki
            )
        return key

    def unpublished(self, region: str, moment: datetime) -> SigningKey:
        """A key made now that no list of keys will name."""
        return signing_key(self._new_key(), region, moment)

    def published(self) -> PublishedKeys:
        """Every key that `at` has given out, by region and time."""
        return PublishedKeys(tuple(self._keys[place].public for place in sorted(self._keys)))

    def _share(self, index: int) -> RSAPrivateKey:
        """The private key of all quiet regions."""
        if index not in self._shared:
            self._shared[index] = self._new_key()
        return self._shared[index]


def signing_key(private: RSAPrivateKey, region: str, first_used: datetime, *, spki: bool = False) -> SigningKey:
    """A key, with what is published of it in a region: PKCS#1, or SubjectPublicKeyInfo with `spki`."""
    form = PublicFormat.SubjectPublicKeyInfo if spki else PublicFormat.PKCS1
    der = private.public_key().public_bytes(Encoding.DER, form)
    start = first_used - KEY_LEAD
    return SigningKey(private, PublishedKey(region, der, Interval(start, start + KEY_LIFETIME)))
