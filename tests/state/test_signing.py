"""A state that must be signed is taken with the right signature alone: of a key in a file, or of one in KMS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cloudtrail_validate.aws.signing import PASSPHRASE
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.state.codec import INDEX, decode, encode, read
from cloudtrail_validate.state.signing import Signature, load_verifier, open_signer
from tests.servers.clients import make_client
from tests.state.test_model import state, stretch

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

WHOLE = state(*(stretch(hour) for hour in range(5)))


def no_kms(_region: str) -> Any:
    raise AssertionError("no KMS here")


def key_file(folder: Path, name: str = "key.pem", passphrase: bytes | None = None) -> Path:
    path = folder / name
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


@pytest.fixture(params=["file", "ECC_NIST_P256", "ECC_NIST_P384", "RSA_2048"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Signature:
    """Signs: with a key in a file, or one of a sort that KMS has."""
    if request.param == "file":
        return open_signer(str(key_file(tmp_path)), no_kms)
    aws: AwsServer = request.getfixturevalue("aws")
    kms = make_client("kms", aws.endpoint)
    made = kms.create_key(KeySpec=request.param, KeyUsage="SIGN_VERIFY")
    return open_signer(f"kms:{made['KeyMetadata']['Arn']}", lambda _: kms)


def test_what_is_signed_is_taken_with_its_key_alone(signer: Signature, tmp_path: Path) -> None:
    data = encode(WHOLE, INDEX, signer)
    assert decode(data, "x", INDEX, signer.verifier) == WHOLE
    other = open_signer(str(key_file(tmp_path, "other.pem")), no_kms)
    with pytest.raises(ConfigurationError, match="is not signed with this key"):
        decode(data, "x", INDEX, other.verifier)
    with pytest.raises(ConfigurationError, match="x is signed: expected --state-sign-with"):
        decode(data, "x")
    with pytest.raises(ConfigurationError, match="x is not signed"):
        decode(encode(WHOLE), "x", INDEX, signer.verifier)
    shown = read(data, "x")
    assert (shown.signed, shown.checked) == (signer.verifier.fingerprint, False)


def test_no_file_takes_the_place_of_another(signer: Signature) -> None:
    data = encode(WHOLE, "111122223333.state", signer)
    with pytest.raises(ConfigurationError, match="not as it was signed"):
        decode(data, "x", "444455556666.state", signer.verifier)


def test_each_flipped_byte_is_refused(tmp_path: Path) -> None:
    signer = open_signer(str(key_file(tmp_path)), no_kms)
    data = encode(WHOLE, INDEX, signer)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(ConfigurationError, match=r"\A--state: x [^\n]*\Z"):
            decode(bytes(broken), "x", INDEX, signer.verifier)


def test_openssl_checks_it(tmp_path: Path) -> None:
    """The signature is over the schema, the file's name and the hash, a line each."""
    import base64

    key = key_file(tmp_path)
    _, digest, line, _ = encode(WHOLE, INDEX, open_signer(str(key), no_kms)).split(b"\n", 3)
    (tmp_path / "text").write_bytes(b"ctvalidate.state/1\nindex.state\n" + digest + b"\n")
    (tmp_path / "sig").write_bytes(base64.b64decode(line.split()[2]))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key.with_suffix(".pub"))]
    done = subprocess.run(
        [*command, "-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "sig")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_public_key_of_a_file_checks(tmp_path: Path) -> None:
    key = key_file(tmp_path)
    data = encode(WHOLE, INDEX, open_signer(str(key), no_kms))
    assert read(data, "x", INDEX, load_verifier(key.with_suffix(".pub"))).checked


def test_an_encrypted_key_wants_its_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_file(tmp_path, passphrase=b"secret")
    with pytest.raises(ConfigurationError, match=PASSPHRASE):
        open_signer(str(key), no_kms)
    monkeypatch.setenv(PASSPHRASE, "secret")
    assert open_signer(str(key), no_kms).verifier.fingerprint
    assert open_signer(
        str(key_file(tmp_path, "open.pem")), no_kms
    ).verifier.fingerprint  # one that needs none takes no harm


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    for call in (lambda path: open_signer(str(path), no_kms), load_verifier):
        with pytest.raises(ConfigurationError, match=r"\A--[^\n]*key.pem[^\n]*\Z"):
            call(tmp_path / "key.pem")


@pytest.mark.parametrize("named", ["kms:", "kms:alias/x", "kms:arn:aws:s3:::bucket", "nowhere.pem"])
def test_a_key_that_cannot_be_meant(named: str) -> None:
    with pytest.raises(ConfigurationError, match="--state-sign-with"):
        open_signer(named, no_kms)


class Kms:
    """Answers as KMS would not."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return lambda **_: self._answers.get(name, {})


ARN = "kms:arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_a_signature_that_is_none_is_not_saved(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    asked = {"KeyUsage": "SIGN_VERIFY", "PublicKey": key}
    signer = open_signer(ARN, lambda _: Kms(get_public_key=asked, sign={"Signature": b"x" * 64}))
    with pytest.raises(ConfigurationError, match="is no signature by arn"):
        encode(WHOLE, INDEX, signer)


@pytest.mark.parametrize("asked", [{}, {"KeyUsage": "SIGN_VERIFY"}, {"PublicKey": b"junk"}, {"PublicKey": "text"}])
def test_a_key_of_kms_that_cannot_sign(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected a key for SIGN_VERIFY"):
        open_signer(ARN, lambda _: Kms(get_public_key=asked))
