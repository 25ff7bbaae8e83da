"""The user's own signature over a state: with a key in a file, or with one that stays in KMS (`aws.signing`).

Signed is a text that names the schema, the file and the SHA-256 of its content, so that no file can take another's place.
Verification is done here, with the public key: KMS is asked for it, and to sign.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cloudtrail_validate.aws.signing import (
    PublicKey,
    Signer,
    algorithm_of,
    fingerprint,
    load_public,
    load_signer,
    verifies_raw,
)
from cloudtrail_validate.aws.signing_kms import PREFIX, open_kms

OPTION: Final = "--state-sign-with"
_LINE: Final = re.compile(rb"([A-Z0-9_]{3,40}) ([0-9a-f]{64}) ([A-Za-z0-9+/=]{4,4096})")


class Verifier:
    """Checks the lines of signatures with one public key."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key
        self.fingerprint = fingerprint(key)

    def verifies(self, line: bytes, text: bytes) -> bool:
        """Whether a line is a signature of this key over `text`. Total."""
        match = _LINE.fullmatch(line)
        if match is None or (match[1].decode(), match[2].decode()) != (algorithm_of(self._key), self.fingerprint):
            return False
        try:
            raw = base64.b64decode(match[3], validate=True)
        except ValueError:
            return False
        # base64 has several spellings of the same bytes
        return base64.b64encode(raw) == match[3] and verifies_raw(self._key, text, raw)


class Signature:
    """Vouches for a state: checks what is loaded, and signs what is saved."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.verifier = Verifier(signer.public)

    def sign(self, text: bytes) -> bytes:
        """The line of a signature over `text`: algorithm, SHA-256 of the public key, base64. Raises `ConfigurationError`."""
        head = f"{algorithm_of(self._signer.public)} {self.verifier.fingerprint} "
        return head.encode() + base64.b64encode(self._signer.sign(text))


def key_of(line: bytes) -> str | None:
    """The SHA-256 of the key that a line says it is the signature of; None for what is no such line."""
    match = _LINE.fullmatch(line)
    return match[2].decode() if match else None


def open_signer(named: str, kms: Callable[[str], Any]) -> Signature:
    """Open what `--state-sign-with` names: a file with a key in PEM, or `kms:` and the ARN of a key or alias.

    An alias that leads to another key tomorrow makes the state one that is not signed with this key. `kms` answers with a
    boto3 client for a region. Raises `ConfigurationError`.
    """
    if named.startswith((PREFIX, "arn:")):
        return Signature(open_kms(named, lambda _, region: kms(region), OPTION, short=True, alias=True))
    return Signature(load_signer(Path(named), OPTION))


def load_verifier(path: Path) -> Verifier:
    """Read the public key, in PEM, that a state is to be signed with. Raises `ConfigurationError`."""
    return Verifier(load_public(path, "--public-key"))
