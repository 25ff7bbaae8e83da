"""Every change of a snapshot is named, whoever made it and however consistently."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloudtrail_validate.aws import signing as user_keys
from cloudtrail_validate.snapshot import declaration, signing
from cloudtrail_validate.snapshot.manifest import SnapshotError, checksum, decode
from tests.snapshot.helpers import Said, in_folder, manifest, report, verify


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed snapshot of a whole trail, its keys beside it. Tests change copies."""
    folder = tmp_path_factory.mktemp("signed")
    key = Ed25519PrivateKey.generate()
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "pub.pem").write_bytes(user_keys.public_pem(key.public_key()))
    (folder / "other.pem").write_bytes(user_keys.public_pem(Ed25519PrivateKey.generate().public_key()))
    world = in_folder(folder)
    assert world.snapshot(folder / "snapshot", "--sign-with", str(folder / "key.pem")).code == 0
    assert world.snapshot(folder / "unsigned").code == 0
    return folder


@pytest.fixture
def snapshot(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed / "snapshot", tmp_path / "snapshot", symlinks=True))


@pytest.fixture
def unsigned(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed / "unsigned", tmp_path / "unsigned", symlinks=True))


def first(folder: Path, pattern: str) -> Path:
    return min(folder.rglob(pattern))


def named(said: Said) -> set[str]:
    """The paths that were named as changed."""
    lines = [line for line in said.out.splitlines() if line.startswith("changed ")]
    return {line.removeprefix("changed").strip().rpartition(": ")[0].partition(": ")[0] for line in lines}


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest, its checksum and the declaration to match: what anyone who may write there can do."""
    document = manifest(folder)
    change(document)
    data = json.dumps(document).encode()
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sha256").write_bytes(checksum(data))
    # Of what is no manifest or report nothing is declared.
    with contextlib.suppress(SnapshotError, ValueError, OSError):
        text = declaration.declare(decode(data), report(folder), hashlib.sha256(data).hexdigest(), None)
        (folder / "DECLARATION.md").write_text(text)


def put(folder: Path, path: str, data: bytes) -> None:
    """Change a file and everything unsigned that speaks of it."""
    (folder / path).write_bytes(data)

    def change(document: dict[str, Any]) -> None:
        (file,) = (file for file in document["files"] if file["path"] == path)
        file.update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    rewrite(folder, change)


def test_a_whole_one_is_as_it_was_proven(signed: Path, snapshot: Path) -> None:
    for options in ((), ("--public-key", str(signed / "pub.pem"))):
        said = verify(snapshot, *options)
        assert said.code == 0
        assert "verdict    valid (exit code 0), as in its report" in said.out
        assert "Ed25519, valid" in said.out


def test_openssl_verifies_the_manifest(snapshot: Path) -> None:
    (snapshot.parent / "raw").write_bytes(base64.b64decode((snapshot / "manifest.sig").read_bytes()))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(snapshot / "manifest.pub.pem")]
    command += ["-sigfile", str(snapshot.parent / "raw"), "-in", str(snapshot / "manifest.json")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    sums = subprocess.run(["sha256sum", "-c", "manifest.sha256"], cwd=snapshot, check=False, capture_output=True)
    assert sums.returncode == 0


@pytest.mark.parametrize(
    "pattern",
    [
        "manifest.sha256",
        "manifest.sig",
        "manifest.pub.pem",
        "report.json",
        "keys.json",
        "*_CloudTrail_us-east-1_*.json.gz",
        "*_CloudTrail-Digest_us-east-1_*.json.gz",
        "*.metadata.json",
    ],
)
def test_one_changed_byte_is_named_wherever_it_is(snapshot: Path, pattern: str) -> None:
    path = first(snapshot, pattern)
    whole = path.read_bytes()
    rng = random.Random(pattern)
    for at in {0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(4))}:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        said = verify(snapshot)
        assert said.code == 1, (at, said.out)
        assert path.relative_to(snapshot).as_posix() in named(said), (at, said.out)
    path.write_bytes(whole)
    assert verify(snapshot).code == 0


@pytest.mark.parametrize("fixture", ["snapshot", "unsigned"])
def test_one_changed_byte_of_the_manifest_is_named(request: pytest.FixtureRequest, fixture: str) -> None:
    folder: Path = request.getfixturevalue(fixture)
    path = folder / "manifest.json"
    whole = path.read_bytes()
    rng = random.Random(7)
    for at in {0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(12))}:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        said = verify(folder)
        assert said.code == 1, (at, said.out)
        assert named(said) & {"manifest.json", "manifest.sig"}, (at, said.out)


class TestFiles:
    def test_that_were_added(self, snapshot: Path) -> None:
        (snapshot / "notes.txt").write_text("x")
        (snapshot / "journal.jsonl").write_text("x")
        (snapshot / "empty").mkdir()
        (first(snapshot, "*_CloudTrail_*.gz").parent / "x\x1b[2J").write_text("x")
        said = verify(snapshot)
        assert said.code == 1
        assert {"notes.txt", "journal.jsonl", "empty"} <= named(said)
        assert "x\\x1b[2J: was added" in said.out
        assert "\x1b" not in said.out

    def test_that_were_removed(self, snapshot: Path) -> None:
        gone = [first(snapshot, name) for name in ("*_CloudTrail_*.gz", "*.metadata.json", "keys.json")]
        for path in gone:
            path.unlink()
        said = verify(snapshot)
        assert said.code == 1
        assert {path.relative_to(snapshot).as_posix() for path in gone} <= named(said)

    def test_that_are_links_now(self, snapshot: Path) -> None:
        log = first(snapshot, "*_CloudTrail_*.gz")
        log.rename(snapshot.parent / "same.gz")
        log.symlink_to(snapshot.parent / "same.gz")
        (snapshot / "report.json").rename(snapshot.parent / "report.json")
        (snapshot / "report.json").symlink_to(snapshot.parent / "report.json")
        (snapshot / "loop").symlink_to(snapshot)
        said = verify(snapshot)
        assert said.code == 1
        assert {log.relative_to(snapshot).as_posix(), "report.json", "loop"} <= named(said)
        assert said.out.count("is a symbolic link") == 2

    def test_that_lie_behind_a_linked_folder(self, snapshot: Path) -> None:
        (snapshot / "tree").rename(snapshot.parent / "tree")
        (snapshot / "tree").symlink_to(snapshot.parent / "tree")
        said = verify(snapshot)
        assert said.code == 1
        assert "tree" in named(said)
        assert said.out.count("is missing") == len(manifest(snapshot)["files"]) - 3

    def test_that_were_half_copied(self, snapshot: Path, tmp_path: Path) -> None:
        half = tmp_path / "half"
        half.mkdir()
        for name in ("manifest.json", "manifest.sha256", "report.json", "keys.json"):
            shutil.copy(snapshot / name, half)
        said = verify(half)
        assert said.code == 1
        assert {file["path"] for file in manifest(snapshot)["files"]} - {"report.json", "keys.json"} <= named(said)


class TestConsistentChange:
    """Someone who may write there changed a file, the manifest and its checksum together."""

    def test_of_a_log_is_seen_by_the_digests(self, unsigned: Path) -> None:
        log = first(unsigned, "*_CloudTrail_*.gz")
        put(unsigned, log.relative_to(unsigned).as_posix(), gzip.compress(b'{"Records":[]}'))
        said = verify(unsigned)
        assert said.code == 1
        assert not named(said)
        assert "found now, not in the report: log-altered" in said.out
        assert "verdict    changed (exit code 1), not valid" in said.out

    def test_of_a_log_that_goes_is_seen_by_the_digests(self, unsigned: Path) -> None:
        path = first(unsigned, "*_CloudTrail_*.gz").relative_to(unsigned).as_posix()
        (unsigned / path).unlink()
        rewrite(unsigned, lambda m: m.update(files=[file for file in m["files"] if file["path"] != path]))
        said = verify(unsigned)
        assert (said.code, named(said)) == (1, set())
        assert "log-missing" in said.out

    def test_of_the_report_does_not_follow_from_the_files(self, unsigned: Path) -> None:
        told = json.loads((unsigned / "report.json").read_text())
        told["summary"]["logs"]["valid"] += 1
        put(unsigned, "report.json", json.dumps(told).encode())
        said = verify(unsigned)
        assert said.code == 1
        assert "does not follow from the files: summary" in said.out

    def test_of_the_keys_leaves_nothing_proven(self, unsigned: Path) -> None:
        put(unsigned, "keys.json", b'{\n "PublicKeyList": []\n}\n')
        said = verify(unsigned)
        assert said.code == 3, said.out
        assert "digest-key-unknown" in said.out
        put(unsigned, "keys.json", b"{}")
        assert verify(unsigned).code == 2

    def test_breaks_the_signature(self, snapshot: Path) -> None:
        log = first(snapshot, "*_CloudTrail_*.gz")
        put(snapshot, log.relative_to(snapshot).as_posix(), gzip.compress(b"{}"))
        assert "manifest.sig" in named(verify(snapshot))

    def test_of_the_signature_is_seen_by_who_knows_the_key(self, signed: Path, snapshot: Path) -> None:
        forged = Ed25519PrivateKey.generate()
        put(snapshot, "manifest.pub.pem", user_keys.public_pem(forged.public_key()))
        rewrite(snapshot, lambda m: m.update(signed_by=user_keys.fingerprint(forged.public_key())))
        (snapshot / "manifest.sig").write_bytes(
            signing.armoured(forged.sign((snapshot / "manifest.json").read_bytes()))
        )
        assert named(verify(snapshot)) == {"statement.dsse.json"}
        said = verify(snapshot, "--public-key", str(signed / "pub.pem"))
        assert (said.code, named(said)) == (1, {"manifest.sig"})


class TestSignature:
    def test_of_another_key_is_none(self, signed: Path, snapshot: Path) -> None:
        said = verify(snapshot, "--public-key", str(signed / "other.pem"))
        assert (said.code, named(said)) == (1, {"manifest.sig"})

    def test_that_was_taken_away_is_missed(self, snapshot: Path) -> None:
        (snapshot / "manifest.sig").unlink()
        assert named(verify(snapshot)) == {"manifest.sig"}

    def test_that_was_never_made_is_missed_where_a_key_is_demanded(self, signed: Path, unsigned: Path) -> None:
        assert "not signed" in verify(unsigned).out
        said = verify(unsigned, "--public-key", str(signed / "pub.pem"))
        assert (said.code, named(said)) == (1, {"manifest.sig"})

    def test_that_was_added_is_named(self, signed: Path, unsigned: Path) -> None:
        shutil.copy(signed / "snapshot" / "manifest.sig", unsigned)
        assert named(verify(unsigned)) == {"manifest.sig"}

    def test_settles_whether_manifest_or_checksum_was_changed(self, snapshot: Path) -> None:
        (snapshot / "manifest.sha256").write_text("0" * 64 + "  manifest.json\n")
        assert named(verify(snapshot)) == {"manifest.sha256"}

    def test_needs_a_key_that_is_one(self, snapshot: Path) -> None:
        said = verify(snapshot, "--public-key", str(snapshot / "manifest.json"))
        assert said.code == 2


class TestNoSnapshot:
    def test_nothing_and_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
        for name in ("absent", "file", "folder"):
            said = verify(tmp_path / name)
            assert said.code == 2
            assert len(said.err.splitlines()) == 1

    @pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "tree/../../x", "manifest.json"])
    def test_a_manifest_whose_paths_leave_the_folder(self, unsigned: Path, path: str) -> None:
        rewrite(unsigned, lambda m: m["files"].append({"path": path, "sha256": "0" * 64, "size": 1}))
        said = verify(unsigned)
        assert said.code == 2
        assert "cannot be a snapshot's" in said.err

    def test_a_manifest_of_another_program(self, tmp_path: Path) -> None:
        (tmp_path / "manifest.json").write_text('{"schema": "other"}')
        assert verify(tmp_path).code == 2
        (tmp_path / "manifest.sha256").write_bytes(checksum(b'{"schema": "other"}'))
        assert verify(tmp_path).code == 2

    @pytest.mark.parametrize("text", ["{}", "[]", "\xff", '{"schema": "ctvalidate.report/1"}'])
    def test_a_report_that_is_not_ours(self, unsigned: Path, text: str) -> None:
        put(unsigned, "report.json", text.encode("latin-1"))
        said = verify(unsigned)
        assert said.code == 2
        assert "report.json" in said.err

    def test_a_manifest_that_is_a_link(self, unsigned: Path) -> None:
        (unsigned / "manifest.json").rename(unsigned.parent / "m")
        (unsigned / "manifest.json").symlink_to(unsigned.parent / "m")
        assert verify(unsigned).code == 2

    @pytest.mark.parametrize(
        "target", [{"bucket": "../..", "prefix": "../../x"}, {"bucket": "", "prefix": None, "accounts": ["\x1b[2J"]}]
    )
    def test_a_manifest_with_a_hostile_question(self, unsigned: Path, target: dict[str, Any]) -> None:
        rewrite(unsigned, lambda m: m.update(target=target))
        said = verify(unsigned)
        assert said.code in (1, 3)
        assert "\x1b" not in said.out
