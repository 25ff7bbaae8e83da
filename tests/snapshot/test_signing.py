"""Keys of the user's: what is taken, what is refused in one line, and that openssl agrees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cloudtrail_validate.snapshot import signing
from cloudtrail_validate.snapshot.manifest import SnapshotError

PASSPHRASE = "correct horse"


def openssl(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *args], cwd=cwd, text=True, capture_output=True, check=False)


def make_key(folder: Path, name: str, *args: str) -> Path:
    made = openssl("genpkey", "-algorithm", *args, "-out", name, cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder / name


def test_a_key_that_openssl_made_signs_what_openssl_verifies(tmp_path: Path) -> None:
    key = signing.load_private(make_key(tmp_path, "key.pem", "ed25519"))
    (tmp_path / "data").write_bytes(b"manifest")
    (tmp_path / "sig").write_bytes(signing.sign(key, b"manifest"))
    (tmp_path / "pub.pem").write_bytes(signing.public_pem(key.public_key()))
    assert openssl("base64", "-d", "-A", "-in", "sig", "-out", "raw", cwd=tmp_path).returncode == 0
    assert len((tmp_path / "raw").read_bytes()) == signing.SIGNATURE_BYTES
    check = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "pub.pem", "-sigfile", "raw", "-in", "data"]
    assert openssl(*check, cwd=tmp_path).returncode == 0
    (tmp_path / "data").write_bytes(b"Manifest")
    assert openssl(*check, cwd=tmp_path).returncode != 0


def test_every_changed_byte_of_a_signature_is_seen() -> None:
    key = Ed25519PrivateKey.generate()
    signature = signing.sign(key, b"manifest")
    assert signing.verifies(key.public_key(), b"manifest", signature)
    for at in range(len(signature)):
        for other in (signature[at] ^ 1, signature[at] ^ 0x20, 0x0A, 0x41):
            changed = signature[:at] + bytes([other]) + signature[at + 1 :]
            assert changed == signature or not signing.verifies(key.public_key(), b"manifest", changed), at
    for whole in (b"", signature[:-1], signature + b"\n", b"\xff" * 89):
        assert not signing.verifies(key.public_key(), b"manifest", whole)


def test_the_passphrase_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_key(tmp_path, "key.pem", "ed25519", "-aes256", "-pass", f"pass:{PASSPHRASE}")
    with pytest.raises(SnapshotError, match="is encrypted: expected its passphrase in CTVALIDATE_SIGNING_PASSPHRASE"):
        signing.load_private(path)
    monkeypatch.setenv(signing.PASSPHRASE, "wrong")
    with pytest.raises(SnapshotError, match="CTVALIDATE_SIGNING_PASSPHRASE is wrong"):
        signing.load_private(path)
    monkeypatch.setenv(signing.PASSPHRASE, PASSPHRASE)
    expected = load_pem_private_key(path.read_bytes(), PASSPHRASE.encode())
    assert isinstance(expected, Ed25519PrivateKey)
    assert signing.load_private(path).private_bytes_raw() == expected.private_bytes_raw()


def test_a_passphrase_that_no_key_needs_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_key(tmp_path, "key.pem", "ed25519")
    monkeypatch.setenv(signing.PASSPHRASE, PASSPHRASE)
    assert signing.load_private(path).sign(b"x")


@pytest.mark.parametrize("args", [("rsa", "-pkeyopt", "rsa_keygen_bits:2048"), ("ed448",), ("x25519",)])
def test_another_sort_of_key_is_refused(tmp_path: Path, args: tuple[str, ...]) -> None:
    path = make_key(tmp_path, "key.pem", *args)
    with pytest.raises(SnapshotError, match="expected an Ed25519 key"):
        signing.load_private(path)
    public = openssl("pkey", "-in", "key.pem", "-pubout", cwd=tmp_path).stdout
    (tmp_path / "pub.pem").write_text(public)
    with pytest.raises(SnapshotError, match="expected an Ed25519 public key"):
        signing.load_public(tmp_path / "pub.pem")


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\0"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "key.pem").write_text(text)
    with pytest.raises(SnapshotError, match="holds no private key in PEM"):
        signing.load_private(tmp_path / "key.pem")
    with pytest.raises(SnapshotError, match="expected an Ed25519 public key"):
        signing.load_public(tmp_path / "key.pem")
    with pytest.raises(SnapshotError, match="cannot read"):
        signing.load_private(tmp_path / "absent.pem")
