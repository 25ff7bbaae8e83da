"""What openssl and sha256sum say of simulated results, and ours says the same: nobody's code is shared."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from .kit import SIGN, ask, edit_sign, folder_of, keys_of, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this computer"),
]


def oracle(folder: Path, keys: Path, work: Path) -> bool:
    """Whether each listed file hashes to what is listed, and openssl takes the signature for one over these hashes."""
    sign = json.loads((folder / SIGN).read_bytes())
    for file in sign["files"]:
        path = folder / file["fileName"]
        if not path.is_file():
            return False
        told = subprocess.run(["openssl", "dgst", "-sha256", "-r", path], capture_output=True, text=True, check=True)
        if told.stdout.split()[0] != file["fileHashValue"]:
            return False
    listed = {key["Fingerprint"]: key["Value"] for key in json.loads(keys.read_text())["PublicKeyList"]}
    value = listed.get(sign["publicKeyFingerprint"])
    if value is None:
        return False
    work.mkdir()
    (work / "key.der").write_bytes(base64.b64decode(value))
    (work / "signed").write_text(" ".join(file["fileHashValue"] for file in sign["files"]))
    (work / "signature").write_bytes(bytes.fromhex(sign["hashSignature"]))
    key = [*("openssl", "rsa", "-RSAPublicKey_in", "-inform", "DER", "-in", "key.der", "-pubout", "-out", "key.pem")]
    subprocess.run(key, cwd=work, capture_output=True, check=True)
    check = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "signed"]
    return subprocess.run(check, cwd=work, capture_output=True, check=False).returncode == 0


def reverse(folder: Path) -> None:
    sign = json.loads((folder / SIGN).read_bytes())
    edit_sign(folder, files=sign["files"][::-1])


def drop(folder: Path) -> None:
    sign = json.loads((folder / SIGN).read_bytes())
    (folder / sign["files"][0]["fileName"]).unlink()
    edit_sign(folder, files=sign["files"][1:])


def append(folder: Path) -> None:
    with (folder / "result_1.csv.gz").open("ab") as file:
        file.write(b"\0")


def upper(folder: Path) -> None:
    sign = json.loads((folder / SIGN).read_bytes())
    edit_sign(folder, files=[file | {"fileHashValue": file["fileHashValue"].upper()} for file in sign["files"]])


@pytest.mark.parametrize(
    "spoil", [None, reverse, drop, append, upper], ids=lambda spoil: getattr(spoil, "__name__", "whole")
)
def test_both_say_the_same(tmp_path: Path, spoil: Callable[[Path], None] | None) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root))
    if spoil is not None:
        spoil(folder)
    valid = oracle(folder, keys_of(root), tmp_path / "work")
    assert valid is (spoil is None)
    assert (ask(root).exit_code == 0) is valid


@pytest.mark.parametrize(
    "rule",
    ["lake-result-altered", "lake-result-renamed", "lake-result-missing", "lake-signature-invalid", "lake-key-unknown"],
)
def test_what_the_simulator_spoils_is_spoilt(tmp_path: Path, rule: str) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root, rule))
    assert not oracle(folder, keys_of(root), tmp_path / "work")
