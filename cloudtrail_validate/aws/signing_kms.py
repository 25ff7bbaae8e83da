"""Keys of AWS KMS that users sign with (`kms:ARN`): the private key never leaves KMS, and may be another account's.

Signed are hashes, since KMS takes at most 4,096 bytes of a message. Ed25519 keys of KMS sign whole messages only, so they
are for what is never longer. Whoever runs the tool signs, never the role of `--role-arn`, which shall read and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloudtrail_validate.aws.errors import ANY_ERROR, told
from cloudtrail_validate.aws.signing import PublicKey, algorithm_of, hash_of, parse_public, verifies_raw
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import brief, printable

PREFIX: Final = "kms:"
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(?:key/[A-Za-z0-9-]{1,64}|(?P<alias>alias/[A-Za-z0-9/_-]{1,256}))"
)
_SPECS: Final = "ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521 or RSA_2048 to RSA_4096"
_MOST_BYTES: Final = 4096  # of a message that KMS signs whole


class KmsSigner:
    """Signs with the key of an ARN. `public` is what KMS says of it; each signature is checked with it.

    `option` is what messages name; `short`: nothing longer than KMS takes is ever signed. Raises `ConfigurationError`.
    """

    def __init__(self, arn: str, client: Any, option: str, *, short: bool = False) -> None:
        self.place: str | None = arn
        self._client = client
        self._option = option
        answer = self._ask("kms:GetPublicKey", lambda: dict(client.get_public_key(KeyId=arn)))
        der = answer.get("PublicKey")
        key = parse_public(der) if isinstance(der, bytes) else None
        usable = key is not None and (short or not isinstance(key, Ed25519PublicKey))
        if key is None or not usable or answer.get("KeyUsage") != "SIGN_VERIFY":
            spec = printable(f"{answer.get('KeySpec')}, {answer.get('KeyUsage')}"[:100])
            specs = f"{_SPECS} or ECC_NIST_EDWARDS25519" if short else _SPECS
            raise ConfigurationError(f"{option}: expected a key for SIGN_VERIFY of {specs}, {arn} is {spec}")
        self.public: PublicKey = key

    def sign(self, data: bytes) -> bytes:
        """Raw signature over `data`. Raises `ConfigurationError`, also where KMS answers with what is none."""
        key = self.public
        whole = isinstance(key, Ed25519PublicKey)
        if whole and len(data) > _MOST_BYTES:
            raise ConfigurationError(f"{self._option}: {self.place} signs no more than {_MOST_BYTES:,} bytes")
        message = {
            "Message": data if whole else hashlib.new(hash_of(key), data).digest(),
            "MessageType": "RAW" if whole else "DIGEST",
            "SigningAlgorithm": algorithm_of(key),
        }
        answer = self._ask("kms:Sign", lambda: dict(self._client.sign(KeyId=self.place, **message)))
        raw = answer.get("Signature")
        if not isinstance(raw, bytes) or not verifies_raw(key, data, raw):
            raise ConfigurationError(f"{self._option}: what kms:Sign answered is no signature by {self.place}")
        return raw

    def _ask(self, permission: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return ask()
        except ClientError as error:
            found = error.response.get("Error", {})
            code = str(found.get("Code", ""))
            need = f" (allow {permission} in the key's policy or in yours)" if "denied" in code.lower() else ""
            said = printable(brief(f"{permission}: {code}: {found.get('Message', '')}"))
            raise ConfigurationError(f"{self._option}: {said}{need}") from error
        except ANY_ERROR as error:
            raise ConfigurationError(f"{self._option}: {permission}: {printable(told(error))}") from error


def open_kms(
    text: str, client: Callable[[str, str], Any], option: str, *, short: bool = False, alias: bool = False
) -> KmsSigner:
    """The signer of `kms:ARN`. `client` answers with a boto3 client of KMS for an ARN and its region.

    `alias`: one is taken for a key, where it does no harm that it may be another's tomorrow. Raises `ConfigurationError`.
    """
    arn = text.removeprefix(PREFIX)
    named = _ARN.fullmatch(arn)
    if named is None or (named["alias"] and not alias):
        no = "" if alias else " (no alias: it may be another key tomorrow)"
        raise ConfigurationError(f"{option}: expected a file, or kms:arn:aws:kms:REGION:ACCOUNT:key/ID{no}")
    return KmsSigner(arn, client(arn, named["region"]), option, short=short)
