"""Ways in through what lies beside a snapshot's manifest: statement, declaration, time stamp, keys, KMS's answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from cloudtrail_validate.aws import signing as user_keys
from cloudtrail_validate.aws.signing_kms import KmsSigner
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.snapshot import declaration, manifest, statement, timestamp
from cloudtrail_validate.snapshot.manifest import SnapshotError
from tests.core.test_report_json import sample
from tests.fuzz.drive import Way
from tests.fuzz.mutate import Mutator
from tests.servers.tsa import Tsa, make_authority
from tests.snapshot.test_manifest import GOOD

_DATA: Final = b"a manifest"
_ARN: Final = "arn:aws:kms:us-east-1:111122223333:key/1"
_PAYLOAD: Final = {
    "_type": statement.STATEMENT_TYPE,
    "subject": [{"name": "manifest.json", "digest": {"sha256": "0" * 64}}],
    "predicateType": statement.PREDICATE_TYPE,
    "predicate": {
        **{
            "verifier": {"name": "ctvalidate", "version": "0"},
            "timeCreated": "2026-01-01T00:00:00Z",
            "source": "s3://b",
        },
        **{"trailArn": None, "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}},
        **{"verdict": "valid", "exitCode": 0, "files": 1, "leftOut": 0, "signer": None},
        "summary": {
            **{"digests": {}, "logs": {}, "log_bytes_hashed": 0, "window_seconds": 86400, "covered_seconds": 0},
        },
    },
}


@cache
def _signer() -> user_keys.FileSigner:
    return user_keys.FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))


@cache
def _token() -> tuple[bytes, bytes]:
    """A time stamp by OpenSSL's authority, and the authority's certificate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ca = make_authority(folder)
        query = TimestampRequestBuilder(data=_DATA, hash_algorithm=HashAlgorithm.SHA256).build().as_bytes()
        return Tsa("", ca, folder).reply(query), ca.read_bytes()


def an_envelope(mutator: Mutator) -> bytes:
    payload = json.dumps(_PAYLOAD).encode()
    if mutator.maybe(0.6):
        payload = mutator.json(payload)
    signature = _signer().sign(statement.pre_authentication(statement.PAYLOAD_TYPE, payload))
    whole = statement.envelop(payload, signature, "key")
    return whole if mutator.maybe(0.4) else mutator.json(whole)


def open_envelope(data: bytes) -> tuple[bytes, tuple[bytes, ...], statement.Statement]:
    payload, signatures = statement.open_envelope(data)
    return payload, signatures, statement.read_statement(payload)


def check_envelope(_: bytes, found: tuple[bytes, tuple[bytes, ...], statement.Statement] | None) -> None:
    """What is signed is the payload, whatever stands around it."""
    if found is None:
        return
    payload, signatures, _stated = found
    signed = statement.pre_authentication(statement.PAYLOAD_TYPE, payload)
    genuine = _signer().sign(signed)
    for signature in signatures:
        assert user_keys.verifies_raw(_signer().public, signed, signature) == (signature == genuine)


@cache
def _declared() -> tuple[manifest.Manifest, Any, str]:
    from cloudtrail_validate.report import from_json

    return manifest.decode(json.dumps(GOOD).encode()), from_json(json.dumps(sample()).encode()), "0" * 64


def a_declaration(mutator: Mutator) -> str:
    held = _declared()
    text = declaration.declare(*held, declaration.Stamped("1" * 64, "http://tsa.example.com"))
    at = text.index("- Name:")
    if mutator.maybe(0.3):
        return text[:at] + mutator.text(text[at:])
    return mutator.text(text) if mutator.maybe(0.5) else mutator.data(text.encode()).decode("utf-8", "replace")


def compare(text: str) -> str:
    return declaration.compare(text, *_declared())


def check_declaration(text: str, told: str | None) -> None:
    """Above the fields nothing else passes than what is so, line by line."""
    assert told is not None
    assert told.isprintable()
    if told or declaration.is_of_another_version(text):
        return
    held = _declared()
    expected = declaration.declare(*held, declaration.stamped_in(text)).split("\n")
    lines = text.replace("\r\n", "\n").split("\n")
    at = expected.index("- Name:")
    assert [line.rstrip() for line in lines[:at]] == [line.rstrip() for line in expected[:at]]


def check_token(answer: bytes, found: timestamp.Checked | None) -> None:
    """Nothing is proven by other bytes than the authority's, but for those that nobody signs."""
    assert found is not None
    assert found.told.isprintable()
    whole = _token()[0]
    assert not found.proven or len(answer) == len(whole)


def a_token(mutator: Mutator) -> bytes:
    return mutator.data(_token()[0])


def check_with(answer: bytes) -> timestamp.Checked:
    with tempfile.TemporaryDirectory() as name:
        ca = Path(name, "ca.pem")
        ca.write_bytes(_token()[1])
        return timestamp.check(answer, _DATA, Path(name), ca)


def some_authorities(mutator: Mutator) -> bytes:
    return mutator.data(_token()[1])


def read_authorities(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "ca.pem")
        path.write_bytes(data)
        try:
            return timestamp.load_authorities(path)
        except SnapshotError as error:
            raise SnapshotError(str(error).replace(name, "")) from error


def a_kms_answer(mutator: Mutator) -> dict[str, Any]:
    key = derive_private_key(7, SECP256R1())
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signature = mutator.data(key.sign(_DATA, ECDSA(SHA256())) if mutator.maybe(0.9) else b"")
    answer: dict[str, Any] = {
        "PublicKey": der,
        "KeyUsage": "SIGN_VERIFY",
        "KeySpec": "ECC_NIST_P256",
        "Signature": signature,
    }
    if mutator.maybe(0.3):
        answer["PublicKey"] = mutator.data(der)
    elif mutator.maybe(0.3):
        name = mutator.one(*answer)
        answer[name] = mutator.value(answer[name])
    return answer


class _Client:
    """What answers in KMS's place."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def get_public_key(self, **_: Any) -> dict[str, Any]:
        return self._answer

    sign = get_public_key


def sign_with(answer: dict[str, Any]) -> bytes:
    return KmsSigner(_ARN, _Client(answer), "--sign-with").sign(_DATA)


def check_signed(answer: dict[str, Any], signature: bytes | None) -> None:
    """What is taken for a signature is one by the key that came with it."""
    if signature is not None:
        public = user_keys.parse_public(answer["PublicKey"])
        assert public is not None
        assert user_keys.verifies_raw(public, _DATA, signature)


def a_stamp_answer(mutator: Mutator) -> bytes:
    return mutator.data(_token()[0])


def stamp(answer: bytes) -> timestamp.Answered:
    return timestamp.stamp(_DATA, lambda _: answer)


def check_stamped(_: bytes, found: timestamp.Answered | None) -> None:
    """An answer to another request is never kept as one that was read."""
    assert found is not None
    assert found.told.isprintable()
    assert not found.told.startswith("time stamp of")


def cases() -> Iterator[Way]:
    """The ways in."""
    yield Way(
        "signed statements", 1600, an_envelope, open_envelope, (ValueError, RecursionError), check_envelope, terse=False
    )
    yield Way(
        "declarations", 1200, a_declaration, lambda text: declaration.compare(text, *_declared()), (), check_declaration
    )
    yield Way("time stamps", 800, a_token, check_with, (), check_token)
    yield Way("answers of time stamping authorities", 800, a_stamp_answer, stamp, (), check_stamped)
    yield Way(
        "time stamping authorities", 800, lambda mutator: mutator.data(_token()[1]), read_authorities, (SnapshotError,)
    )
    yield Way("KMS's answers", 800, a_kms_answer, sign_with, (ConfigurationError,), check_signed)
