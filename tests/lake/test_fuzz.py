"""Random edits of a query's folder: never an error, and never a pass for what a plain reading of the rules refuses."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from .kit import SIGN, ask, folder_of, keys_of, write

if TYPE_CHECKING:
    from pathlib import Path

CASES = int(os.environ.get("CTVALIDATE_FUZZ", "1")) * 150
ODD: tuple[Any, ...] = (
    *(None, True, -1, 1e300, 2**70, "", "x" * 5_000, "\x00\x1b[2J\ud800", [], [None], {}, {"a": [{}]}),
    *("2026-13-45T99:00:00Z", "2026-05-10T22:06:30Z", "us-east-1", "eu-west-1", "result_2.csv.gz", "result_1.csv.gz"),
)


def spoilt_json(value: Any, rng: random.Random) -> Any:
    """One value somewhere in a document is another, gone, or there once more."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        return {**value, name: spoilt_json(value[name], rng)} if rng.random() < 0.8 else without(value, name)
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        changed = [*value[:at], spoilt_json(value[at], rng), *value[at + 1 :]]
        return rng.choice((value[:at] + value[at + 1 :], [*value, value[at]], value[::-1], changed))
    if isinstance(value, str) and value and rng.random() < 0.5:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice("0aZ .\n/") + value[at + 1 :]
    return rng.choice(ODD)


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {other: item for other, item in value.items() if other != name}


def spoil(folder: Path, rng: random.Random) -> None:
    names = [path.name for path in folder.iterdir()]
    how, name = rng.randrange(6), rng.choice(names)
    path = folder / name
    if how < 3:
        with suppress(OSError, ValueError):  # which an edit before this one has made of it
            sign = spoilt_json(json.loads((folder / SIGN).read_bytes()), rng)
            (folder / SIGN).write_text(json.dumps(sign))
    elif how == 3:
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        path.write_bytes(data)
    elif how == 4:
        path.replace(folder / rng.choice([*names, "result_3.csv.gz", "other"]))
    else:
        path.unlink()


def proven(folder: Path, keys: Path) -> bool:
    """Whether the signature fits and each listed file is there under its name and with its hash, and nothing else is."""
    try:
        sign = json.loads((folder / SIGN).read_bytes())
        key = {one["Fingerprint"]: one["Value"] for one in json.loads(keys.read_bytes())["PublicKeyList"]}
        public: Any = load_der_public_key(base64.b64decode(key[sign["publicKeyFingerprint"].lower()]))
        text = " ".join(file["fileHashValue"] for file in sign["files"])
        public.verify(bytes.fromhex(sign["hashSignature"]), text.encode(), PKCS1v15(), SHA256())
        listed = {file["fileName"]: file["fileHashValue"] for file in sign["files"]}
        there = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.name != SIGN
        }
        algorithms = sign["hashAlgorithm"], sign["signatureAlgorithm"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, InvalidSignature):
        return False
    return there == listed and algorithms == ("SHA-256", "SHA256withRSA") and len(sign["files"]) == len(listed)


@pytest.mark.parametrize("seed", range(3))
def test_random_edits(tmp_path: Path, seed: int) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root))
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    rng = random.Random(seed)
    codes = set()
    for case in range(CASES // 3):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        for _ in range(rng.randint(1, 3)):
            if any(folder.iterdir()):
                spoil(folder, rng)
        report = ask(root)
        codes.add(report.exit_code)
        if report.exit_code == 0:
            assert proven(folder, keys_of(root)), (seed, case)
        elif report.exit_code == 3:
            assert {one.rule for one in report.findings} == {"lake-key-unknown"}, (seed, case)
        else:
            assert report.exit_code == (1 if any(folder.iterdir()) and report.saved_queries else 4), (seed, case)
            if proven(folder, keys_of(root)):  # what is not signed was edited: a time, a region, a version
                assert {one.rule for one in report.findings} <= {"lake-moved", "lake-sign-malformed"}, (seed, case)
    assert 1 in codes
    assert 0 in codes or CASES < 300  # few edits leave everything as it was
