"""The user's own signature over a state: with an Ed25519 key in a file, or with a key that stays in KMS.

Signed is a text that names the schema, the file and the SHA-256 of its content, so that no file can take another's place.
Verification is done here, with the public key: KMS is asked for it, and to sign.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable

OPTION: Final = "--state-sign-with"
PASSPHRASE: Final = "CTVALIDATE_SIGNING_PASSPHRASE"  # noqa: S105  # the variable's name, not its value
ED25519: Final = "ED25519_SHA_512"
_HASHES: Final = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_PREFERRED: Final = (
    *("ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512", ED25519),
    *("RSASSA_PSS_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256"),
)
"""KMS' names of signing algorithms, of which the first that a key knows is taken."""
_KMS_KEY: Final = re.compile(
    r"(?:kms:)?(?P<key>arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(?:key|alias)/[A-Za-z0-9/_-]{1,256})"
)
_MAX_PEM_BYTES: Final = 64 * 1024
_LINE: Final = re.compile(rb"([A-Z0-9_]{3,40}) ([0-9a-f]{64}) ([A-Za-z0-9+/=]{4,4096})")

PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Signature(Protocol):
    """Who vouches for a state: checks what is loaded, and signs what is saved."""

    @property
    def verifier(self) -> Verifier:
        """Checks signatures."""
        ...

    def sign(self, text: bytes) -> bytes:
        """The line of a signature over `text`. Raises `ConfigurationError`."""
        ...


class Verifier:
    """Checks the lines of signatures with one public key."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key
        self.fingerprint = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()

    def verifies(self, line: bytes, text: bytes) -> bool:
        """Whether a line is a signature of this key over `text`. Total."""
        match = _LINE.fullmatch(line)
        if match is None or match[2].decode() != self.fingerprint:
            return False
        try:
            raw = base64.b64decode(match[3], validate=True)
            _verify(self._key, match[1].decode(), raw, text)
        except (binascii.Error, ValueError, KeyError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return base64.b64encode(raw) == match[3]  # base64 has several spellings of the same bytes


class FileSigner:
    """Signs with an Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(key.public_key())

    def sign(self, text: bytes) -> bytes:
        """The line of a signature."""
        return _line(ED25519, self.verifier, self._key.sign(text))


class KmsSigner:
    """Signs with a key of KMS (`kms:Sign`, `kms:GetPublicKey`)."""

    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._key = key
        answer = self._ask("get_public_key")
        known = set(answer.get("SigningAlgorithms", ()))
        algorithm = next((name for name in _PREFERRED if name in known), None)
        public = _parse(bytes(answer.get("PublicKey", b"")), load_der_public_key)
        if algorithm is None or public is None:
            raise ConfigurationError(f"{OPTION}: expected a key of KMS for signing, {printable(key)} is another sort")
        self._algorithm = algorithm
        self.verifier = Verifier(public)

    def sign(self, text: bytes) -> bytes:
        """The line of a signature. What KMS answers is checked before it is believed."""
        answer = self._ask("sign", Message=text, MessageType="RAW", SigningAlgorithm=self._algorithm)
        line = _line(self._algorithm, self.verifier, bytes(answer.get("Signature", b"")))
        if not self.verifier.verifies(line, text):
            raise ConfigurationError(f"{OPTION}: {printable(self._key)} answered with no signature of its own")
        return line

    def _ask(self, call: str, **more: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, call)(KeyId=self._key, **more)
        except (ClientError, BotoCoreError, OSError) as error:
            raise ConfigurationError(f"{OPTION}: {printable(self._key)}: {printable(str(error))}") from error
        return answer


def key_of(line: bytes) -> str | None:
    """The SHA-256 of the key that a line says it is the signature of; None for what is no such line."""
    match = _LINE.fullmatch(line)
    return match[2].decode() if match else None


def open_signer(named: str, kms: Callable[[str], Any]) -> FileSigner | KmsSigner:
    """Open what `--state-sign-with` names: a file with an Ed25519 key in PEM, or `kms:` and the ARN of a key.

    `kms` answers with a boto3 client for a region. Raises `ConfigurationError`.
    """
    match = _KMS_KEY.fullmatch(named)
    if match is not None:
        return KmsSigner(kms(match["region"]), match["key"])
    if named.startswith("kms:"):
        raise ConfigurationError(f"{OPTION}: expected kms:arn:aws:kms:REGION:ACCOUNT:key/ID, got {printable(named)!r}")
    return FileSigner(_load_private(Path(named)))


def load_verifier(path: Path, option: str = "--public-key") -> Verifier:
    """Read the public key, in PEM, that a state is to be signed with. Raises `ConfigurationError`."""
    key = _parse(_read(path, option), load_pem_public_key)
    if key is None:
        raise ConfigurationError(f"{option}: expected a public key in PEM, {printable(str(path))} holds none")
    return Verifier(key)


def _load_private(path: Path) -> Ed25519PrivateKey:
    passphrase = os.environ.get(PASSPHRASE)
    shown, data = printable(str(path)), _read(path, OPTION)
    try:
        key = load_pem_private_key(data, passphrase.encode() if passphrase and b"ENCRYPTED" in data else None)
    except TypeError as error:
        raise ConfigurationError(f"{OPTION}: {shown} is encrypted: expected its passphrase in {PASSPHRASE}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{OPTION}: {shown} holds no private key in PEM that can be read") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            f"{OPTION}: expected an Ed25519 key (openssl genpkey -algorithm ed25519), {shown} is another sort"
        )
    return key


def _parse(data: bytes, load: Callable[[bytes], object]) -> PublicKey | None:
    try:
        key = load(data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, PublicKey) else None


def _verify(key: PublicKey, algorithm: str, signature: bytes, text: bytes) -> None:
    if isinstance(key, Ed25519PublicKey):
        if algorithm != ED25519:
            raise InvalidSignature
        key.verify(signature, text)
        return
    kind, _, bits = algorithm.rpartition("_SHA_")
    digest = _HASHES[bits]
    if isinstance(key, ec.EllipticCurvePublicKey) and kind == "ECDSA":
        key.verify(signature, text, ec.ECDSA(digest))
    elif isinstance(key, rsa.RSAPublicKey) and kind == "RSASSA_PSS":
        key.verify(signature, text, padding.PSS(padding.MGF1(digest), padding.PSS.AUTO), digest)
    elif isinstance(key, rsa.RSAPublicKey) and kind == "RSASSA_PKCS1_V1_5":
        key.verify(signature, text, padding.PKCS1v15(), digest)
    else:
        raise InvalidSignature


def _line(algorithm: str, verifier: Verifier, signature: bytes) -> bytes:
    return f"{algorithm} {verifier.fingerprint} ".encode() + base64.b64encode(signature)


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_PEM_BYTES)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{option}: cannot read {printable(str(path))}: {error}") from error
