"""Keys of the user's: what is taken, what is refused in one line, and that openssl agrees."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cloudtrail_validate.aws import signing as user_keys
from cloudtrail_validate.snapshot import signing
from cloudtrail_validate.snapshot.manifest import SnapshotError

PASSPHRASE = "correct horse"


def openssl(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *args], cwd=cwd, text=True, capture_output=True, check=False)


def make_key(folder: Path, name: str, *args: str) -> Path:
    made = openssl("genpkey", "-algorithm", *args, "-out", name, cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder / name


SORTS = {
    "Ed25519": ("ed25519",),
    "ECDSA secp256r1 with SHA-256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "ECDSA secp384r1 with SHA-384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "ECDSA secp521r1 with SHA-512": ("EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "RSA-PSS 2048 with SHA-256": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
}


@pytest.mark.parametrize("sort", SORTS)
def test_a_key_that_openssl_made_signs_what_openssl_verifies(tmp_path: Path, sort: str) -> None:
    signer = signing.load_signer(make_key(tmp_path, "key.pem", *SORTS[sort]))
    assert signing.sort_of(signer.public) == sort
    (tmp_path / "data").write_bytes(b"manifest")
    (tmp_path / "sig").write_bytes(signing.armoured(signer.sign(b"manifest")))
    (tmp_path / "pub.pem").write_bytes(user_keys.public_pem(signer.public))
    assert openssl("base64", "-d", "-A", "-in", "sig", "-out", "raw", cwd=tmp_path).returncode == 0
    assert signing.verifies(signer.public, b"manifest", (tmp_path / "sig").read_bytes())
    assert not signing.verifies(signer.public, b"Manifest", (tmp_path / "sig").read_bytes())
    check = shlex.split(signing.openssl_line(signer.public, "pub.pem", "raw", "data"))[1:]
    assert openssl(*check, cwd=tmp_path).returncode == 0
    (tmp_path / "data").write_bytes(b"Manifest")
    assert openssl(*check, cwd=tmp_path).returncode != 0


def test_the_fingerprint_is_what_openssl_and_sha256sum_say(tmp_path: Path) -> None:
    signer = signing.load_signer(make_key(tmp_path, "key.pem", "ed25519"))
    assert openssl("pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "der", cwd=tmp_path).returncode == 0
    assert hashlib.sha256((tmp_path / "der").read_bytes()).hexdigest() == user_keys.fingerprint(signer.public)


def test_every_changed_byte_of_a_signature_is_seen() -> None:
    signer = user_keys.FileSigner(Ed25519PrivateKey.generate())
    signature = signing.armoured(signer.sign(b"manifest"))
    assert signing.verifies(signer.public, b"manifest", signature)
    for at in range(len(signature)):
        for other in (signature[at] ^ 1, signature[at] ^ 0x20, 0x0A, 0x41):
            changed = signature[:at] + bytes([other]) + signature[at + 1 :]
            assert changed == signature or not signing.verifies(signer.public, b"manifest", changed), at
    for whole in (b"", signature[:-1], signature + b"\n", b"\xff" * 89):
        assert not signing.verifies(signer.public, b"manifest", whole)


def test_the_passphrase_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_key(tmp_path, "key.pem", "ed25519", "-aes256", "-pass", f"pass:{PASSPHRASE}")
    with pytest.raises(SnapshotError, match="is encrypted: expected its passphrase in CTVALIDATE_SIGNING_PASSPHRASE"):
        signing.load_signer(path)
    monkeypatch.setenv(user_keys.PASSPHRASE, "wrong")
    with pytest.raises(SnapshotError, match="CTVALIDATE_SIGNING_PASSPHRASE is wrong"):
        signing.load_signer(path)
    monkeypatch.setenv(user_keys.PASSPHRASE, PASSPHRASE)
    expected = load_pem_private_key(path.read_bytes(), PASSPHRASE.encode())
    assert isinstance(expected, Ed25519PrivateKey)
    assert signing.load_signer(path).sign(b"x") == expected.sign(b"x")


def test_a_passphrase_that_no_key_needs_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_key(tmp_path, "key.pem", "ed25519")
    monkeypatch.setenv(user_keys.PASSPHRASE, PASSPHRASE)
    assert signing.load_signer(path).sign(b"x")


@pytest.mark.parametrize(
    "args",
    [
        ("rsa", "-pkeyopt", "rsa_keygen_bits:1024"),
        ("EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
        ("ed448",),
        ("x25519",),
    ],
)
def test_another_sort_of_key_is_refused(tmp_path: Path, args: tuple[str, ...]) -> None:
    path = make_key(tmp_path, "key.pem", *args)
    with pytest.raises(SnapshotError, match="expected a key of Ed25519, P-256"):
        signing.load_signer(path)
    public = openssl("pkey", "-in", "key.pem", "-pubout", cwd=tmp_path).stdout
    (tmp_path / "pub.pem").write_text(public)
    with pytest.raises(SnapshotError, match="expected a public key in PEM"):
        signing.load_public(tmp_path / "pub.pem")


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\0"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "key.pem").write_text(text)
    with pytest.raises(SnapshotError, match="holds no private key in PEM"):
        signing.load_signer(tmp_path / "key.pem")
    with pytest.raises(SnapshotError, match="expected a public key in PEM"):
        signing.load_public(tmp_path / "key.pem")
    with pytest.raises(SnapshotError, match="cannot read"):
        signing.load_signer(tmp_path / "absent.pem")
