"""Signing keys of the scenarios: the same in every vector of a test run, because making one takes 0.1 s."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.simulate import PublishedKey, PublishedKeys, TrailSpec
from cloudtrail_validate.simulate.signing import NewKey, SigningKey
from tests.simulate.helpers import key_number

if TYPE_CHECKING:
    from tests.scenarios.vector import Keys
    from tests.servers.aws import AwsServer

A_TRAIL: Final = 8  # numbers set aside for each trail of a vector
_STRANGER: Final = 4 * A_TRAIL
_ENCODINGS: Final = (PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo)
_NEVER: Final = Interval(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC))


def source(trail: int) -> NewKey:
    """New keys for the trail of that index, in the same order every time."""
    numbers = itertools.count(trail * A_TRAIL)
    return lambda: key_number(next(numbers))


def signer(fingerprint: str) -> SigningKey:
    """The key of that fingerprint. Raises LookupError where no trail of a vector can have it."""
    for number in range(_STRANGER):
        key = key_number(number)
        for encoding in _ENCODINGS:
            der = key.public_key().public_bytes(Encoding.DER, encoding)
            found = SigningKey(key, PublishedKey("", der, _NEVER))
            if found.fingerprint == fingerprint:
                return found
    raise LookupError(fingerprint)


def listed(keys: Keys, published: Iterable[PublishedKey], spec: TrailSpec) -> PublishedKeys:
    """What the source of keys answers with."""
    if keys.listed == "signers":
        return PublishedKeys(tuple(published))
    if keys.listed == "nothing":
        return PublishedKeys(())
    start = spec.base - timedelta(days=1) if keys.listed == "strangers-then" else spec.end + timedelta(days=10)
    der = key_number(_STRANGER).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    valid = Interval(start, start + timedelta(days=30))
    return PublishedKeys(tuple(PublishedKey(region, der, valid) for region in spec.all_regions))


def publish(aws: AwsServer, keys: Iterable[PublishedKey]) -> None:
    """Let ListPublicKeys answer with these keys."""
    for key in keys:
        aws.public_keys.setdefault(key.region, []).append(
            {
                "Value": key.der,
                "ValidityStartTime": key.valid.start,
                "ValidityEndTime": key.valid.end,
                "Fingerprint": key.fingerprint,
            }
        )
