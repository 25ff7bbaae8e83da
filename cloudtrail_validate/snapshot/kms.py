"""Sign with a key of AWS KMS (`--sign-with kms:ARN`): the private key never leaves KMS, and may be another account's.

Signed are hashes, since KMS takes at most 4,096 bytes of a message. Ed25519 keys of KMS sign whole messages only, so they
cannot be used. Whoever runs the tool signs, never the role of `--role-arn`, which shall read and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloudtrail_validate.aws.errors import ANY_ERROR, brief, told
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.snapshot.manifest import SnapshotError
from cloudtrail_validate.snapshot.signing import PublicKey, digest_to_sign, parse_public, verifies_raw

PREFIX: Final = "kms:"
_KEY_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]{1,64}")
_ALGORITHMS: Final = {"secp256r1": "ECDSA_SHA_256", "secp384r1": "ECDSA_SHA_384", "secp521r1": "ECDSA_SHA_512"}
_SPECS: Final = "ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521 or RSA_2048 to RSA_4096"


def names_a_key(text: str) -> bool:
    """Whether `--sign-with` means a key of KMS, and no file."""
    return text.startswith((PREFIX, "arn:"))


class KmsSigner:
    """Signs with the key of an ARN. `public` is what KMS says of it; each signature is checked with it."""

    def __init__(self, arn: str, client: Any) -> None:
        self.place = arn
        self._client = client
        answer = _ask("kms:GetPublicKey", lambda: dict(client.get_public_key(KeyId=arn)))
        der = answer.get("PublicKey")
        key = parse_public(der) if isinstance(der, bytes) else None
        if key is None or isinstance(key, Ed25519PublicKey) or answer.get("KeyUsage") != "SIGN_VERIFY":
            spec = printable(f"{answer.get('KeySpec')}, {answer.get('KeyUsage')}"[:100])
            raise SnapshotError(f"--sign-with: expected a key for SIGN_VERIFY of {_SPECS}, {arn} is {spec}")
        self.public: PublicKey = key

    def sign(self, data: bytes) -> bytes:
        """Raw signature over `data`. Raises `SnapshotError`, also where KMS answers with what is none."""
        key = self.public
        algorithm = "RSASSA_PSS_SHA_256"
        if isinstance(key, EllipticCurvePublicKey):
            algorithm = _ALGORITHMS[key.curve.name]
        hashed = digest_to_sign(key, data)
        answer = _ask(
            "kms:Sign",
            lambda: dict(
                self._client.sign(KeyId=self.place, Message=hashed, MessageType="DIGEST", SigningAlgorithm=algorithm)
            ),
        )
        raw = answer.get("Signature")
        if not isinstance(raw, bytes) or not verifies_raw(key, data, raw):
            raise SnapshotError(f"--sign-with: what kms:Sign answered is no signature by {self.place}")
        return raw


def open_signer(text: str, profile: str | None) -> KmsSigner:
    """The signer of `kms:ARN`, asked as the profile's own identity. Raises `SnapshotError`."""
    arn = text.removeprefix(PREFIX)
    named = _KEY_ARN.fullmatch(arn)
    if named is None:
        expected = "kms:arn:aws:kms:REGION:ACCOUNT:key/ID"
        raise SnapshotError(f"--sign-with: expected a file, or {expected} (no alias: it may be another key tomorrow)")
    try:
        aws = Aws(profile=profile, like=arn)
        client = aws.client("kms", named["region"])
    except ConfigurationError as error:
        raise SnapshotError(f"--sign-with: {error}") from error
    return KmsSigner(arn, client)


def _ask(permission: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except ClientError as error:
        found = error.response.get("Error", {})
        code = str(found.get("Code", ""))
        need = f" (allow {permission} in the key's policy or in yours)" if "denied" in code.lower() else ""
        said = printable(brief(f"{permission}: {code}: {found.get('Message', '')}"))
        raise SnapshotError(f"--sign-with: {said}{need}") from error
    except ANY_ERROR as error:
        raise SnapshotError(f"--sign-with: {permission}: {printable(told(error))}") from error
