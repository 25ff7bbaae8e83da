"""`lake --to` takes a snapshot: whatever was found is found again in it without AWS, and what is changed in it is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.report import from_json
from cloudtrail_validate.simulate import LakeSpec
from cloudtrail_validate.snapshot.manifest import MANIFEST, checksum, decode
from tests.servers.tsa import serve_tsa

from .kit import BUCKET, SIGN, edit_sign, folder_of, found, keys_of, write
from .test_command import in_s3, tool
from .test_vectors import VECTORS, apply, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloudtrail_validate.report import Report
    from tests.servers.aws import AwsServer


def taken(kept: Path, *words: object) -> Report:
    """Take a snapshot, and see that it proves the same again, its findings one by one."""
    answer = tool("lake", *words, "--to", kept, "--format", "json")
    report = from_json(answer.stdout)
    assert report.exit_code == answer.return_value
    proven(kept, report)
    return report


def proven(kept: Path, report: Report) -> None:
    checked = tool("verify-snapshot", kept)
    assert checked.return_value == 0, checked.stdout
    assert f"verdict    {report.verdict} (exit code {report.exit_code}), as in its report" in checked.stdout
    assert found(from_json((kept / "report.json").read_text())) == found(report)


@pytest.mark.parametrize("name", VECTORS)
def test_every_vector_is_proven_again(tmp_path: Path, name: str) -> None:
    vector, root = read(name), tmp_path / "lake"
    simulation = write(root, spec=LakeSpec(**({"queries": 2} | vector.spec)))
    for edit in vector.edits:
        apply(folder_of(root, simulation), edit)
    report = taken(tmp_path / "kept", root, "--public-keys", keys_of(root))
    assert set(vector.expect.findings) <= set(found(report))


@pytest.mark.parametrize("rule", sorted(rule for rule in RULES if rule.startswith("lake-") and "unread" not in rule))
def test_what_s3_holds_is_proven_again(aws: AwsServer, tmp_path: Path, rule: str) -> None:
    in_s3(aws, rule, queries=3)
    assert rule in {one for one, _, _ in found(taken(tmp_path / "kept", f"s3://{BUCKET}/"))}


def test_a_folder_of_one_query_keeps_its_place(tmp_path: Path) -> None:
    """Where the folder lay says which query it is of, and on which day."""
    root = tmp_path / "lake"
    simulation = write(root, spec=LakeSpec(queries=1))
    report = taken(tmp_path / "kept", folder_of(root, simulation), "--public-keys", keys_of(root))
    assert report.saved_queries[0].query_id == folder_of(root, simulation).name


@pytest.mark.parametrize("denied", ["s3:GetObject", "cloudtrail:ListPublicKeys"])
def test_what_could_not_be_read_could_not_then(aws: AwsServer, tmp_path: Path, denied: str) -> None:
    in_s3(aws, queries=2)
    aws.denied = {denied}
    assert taken(tmp_path / "kept", f"s3://{BUCKET}/").exit_code == 3


def test_a_key_that_cloudtrail_does_not_list(aws: AwsServer, tmp_path: Path) -> None:
    in_s3(aws, "lake-key-unknown", queries=2)
    (finding,) = [one for one in taken(tmp_path / "kept", f"s3://{BUCKET}/").findings if one.rule == "lake-key-unknown"]
    assert finding.status == "altered"


def test_nothing_there_is_nothing_again(aws: AwsServer, tmp_path: Path) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    assert taken(tmp_path / "kept", f"s3://{BUCKET}/").exit_code == 4


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def _large(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 32)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("edit", [_fifo, _link], ids=["fifo", "link"])
@pytest.mark.parametrize("name", [SIGN, "result_1.csv.gz"])
def test_what_is_no_file_is_none_again(tmp_path: Path, edit: Callable[[Path], None], name: str) -> None:
    root = tmp_path / "lake"
    edit(folder_of(root, write(root)) / name)
    assert taken(tmp_path / "kept", root, "--public-keys", keys_of(root)).exit_code == 1


def test_a_sign_file_too_large_to_be_one_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    _large(folder_of(root, write(root)) / SIGN)
    kept = tmp_path / "kept"
    assert taken(kept, root, "--public-keys", keys_of(root)).exit_code == 1
    left = decode((kept / MANIFEST).read_bytes()).left_out
    assert any(one.key.endswith(SIGN) and one.size == 1 << 32 for one in left)


def test_more_files_than_are_looked_into_are_counted_again(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root))
    for number in range(1_001):
        (folder / f"planted-{number}").write_text("x")
    assert len(taken(tmp_path / "kept", root, "--public-keys", keys_of(root)).findings) == 1_001


def test_what_is_changed_is_named(tmp_path: Path) -> None:
    root, kept = tmp_path / "lake", tmp_path / "kept"
    write(root)
    key, public = tmp_path / "key.pem", tmp_path / "key.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    assert tool("lake", root, "--public-keys", keys_of(root), "--to", kept, "--sign-with", key).return_value == 0
    checked = tool("verify-snapshot", kept, "--public-key", public)
    assert (checked.return_value, "in-toto, signed" in checked.stdout) == (0, True)
    result = next(kept.rglob("result_1.csv.gz"))
    for path in (
        result,
        kept / "report.json",
        kept / "keys.json",
        kept / "DECLARATION.md",
        kept / "statement.dsse.json",
    ):
        was = path.read_bytes()
        path.write_bytes(was[:-3] + b"x" + was[-2:])
        checked = tool("verify-snapshot", kept, "--public-key", public)
        assert (checked.return_value, f"changed    {path.relative_to(kept)}" in checked.stdout) == (1, True), path
        path.write_bytes(was)
    planted = result.with_name("result_9.csv.gz")
    planted.write_bytes(b"x")
    assert "was added" in tool("verify-snapshot", kept).stdout
    planted.unlink()
    # The manifest as well, where nobody else signed it: then the sign file of AWS still tells.
    manifest = (kept / MANIFEST).read_text()
    (kept / MANIFEST).write_text(manifest.replace(f'"above": "{root.resolve().as_posix()}/"', '"above": "/elsewhere/"'))
    assert tool("verify-snapshot", kept, "--public-key", public).return_value == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    root, kept = tmp_path / "lake", tmp_path / "kept"
    simulation = write(root, spec=LakeSpec(queries=3))
    large = folder_of(root, simulation, 2) / "result_1.csv.gz"
    was = large.read_bytes()
    with large.open("r+b") as file:
        file.truncate(1 << 34)
    words = ["lake", root, "--public-keys", keys_of(root), "--to", kept]
    with subprocess.Popen([sys.executable, "-m", "cloudtrail_validate", *map(str, words), "-q"]) as process:
        while process.poll() is None and len(list(kept.rglob("result_*.csv.gz"))) < 3:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) in (130, 1)
    assert "unfinished snapshot" in str(tool("verify-snapshot", kept).exception)
    large.write_bytes(was)
    assert "in other words" in str(tool("lake", folder_of(root, simulation), *words[2:]).exception)
    answer = tool(*words, "--format", "json")
    assert answer.return_value == 0
    proven(kept, from_json(answer.stdout))


def test_options_that_have_nothing_to_do_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    write(root)
    assert "expected --to" in str(tool("lake", root, "--sign-with", "key.pem").exception)
    assert "key.pem" in str(tool("lake", root, "--to", tmp_path / "kept", "--sign-with", "key.pem").exception)
    assert not (tmp_path / "kept").exists()


def test_a_sign_file_edited_before_is_as_edited_after(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    edit_sign(folder_of(root, write(root)), region="eu-west-1")
    assert taken(tmp_path / "kept", root, "--public-keys", keys_of(root)).exit_code == 1


def test_a_time_stamp_is_kept_and_proven(tmp_path: Path) -> None:
    pytest.importorskip("rfc3161_client")
    root, kept = tmp_path / "lake", tmp_path / "kept"
    write(root)
    with serve_tsa(tmp_path / "tsa") as tsa:
        answer = tool("lake", root, "--public-keys", keys_of(root), "--to", kept, "--timestamp", tsa.url)
        assert answer.return_value == 0
        assert "time stamp" in answer.stderr
        checked = tool("verify-snapshot", kept, "--timestamp-ca", tsa.ca)
    assert checked.return_value == 0
    assert "by CN=Example Time Stamping" in checked.stdout
    assert "Time stamp (RFC 3161)" in (kept / "DECLARATION.md").read_text()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tool", "version"), "\x1b[2J\u202e"),
        (("source",), "file:///\x1b[31m"),
        (("queries", "uri"), "\x1b"),
        (("queries", "prefix"), "../../../"),
        (("queries", "above"), None),
        (("queries",), []),
        (("files", 0, "path"), "tree/../../../../etc/passwd"),
        (("files", 0, "path"), "trees/unnamed/../x"),
        (("files", 0, "object"), {"bucket": "x", "key": "\u202e", "modified": None}),
        (("target", "bucket"), 7),
        (("window", "asked"), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_manifest_that_was_edited_is_told_and_not_obeyed(
    tmp_path: Path, path: tuple[Any, ...], value: object
) -> None:
    root, kept = tmp_path / "lake", tmp_path / "kept"
    write(root)
    taken(kept, root, "--public-keys", keys_of(root))
    manifest = json.loads((kept / MANIFEST).read_text())
    holder = manifest
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    data = json.dumps(manifest).encode()
    (kept / MANIFEST).write_bytes(data)
    (kept / "manifest.sha256").write_bytes(checksum(data))
    answer = tool("verify-snapshot", kept)
    assert answer.return_value in (1, 3) or getattr(answer.exception, "exit_code", None) == 2, answer.stdout
    shown = answer.stdout + str(answer.exception)
    assert not {"\x1b", "\u202e"} & set(shown)
