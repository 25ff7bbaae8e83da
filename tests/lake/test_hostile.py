"""Whoever may write to the bucket may put anything there: each edit is named, none is believed, nothing is opened."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.core import lake
from cloudtrail_validate.simulate import LakeSpec

from .kit import NOW, SIGN, ask, edit_sign, folder_of, found, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloudtrail_validate.stores.local import Local

NOT_SIGNED = ("version", "queryCompleteTime", "region")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "lake", write(tmp_path / "lake"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def meaning(data: bytes) -> object:
    """What a sign file says that is signed, or can be checked, or None where it is none."""
    sign = lake.read_sign_file(data, NOW)
    if isinstance(sign, str):
        return None
    return (
        sign.files,
        sign.signature.lower(),
        sign.fingerprint,
        sign.hash_algorithm,
        sign.signature_algorithm,
        sign.region,
    )


@pytest.mark.parametrize("bit", [0, 5])
def test_no_flipped_bit_of_a_sign_file_passes(folder: Path, root: Path, bit: int) -> None:
    whole = (folder / SIGN).read_bytes()
    same = meaning(whole)
    passed = []
    for place in range(len(whole)):
        edited = bytearray(whole)
        edited[place] ^= 1 << bit
        (folder / SIGN).write_bytes(edited)
        report = ask(root)
        if report.exit_code != 1 and not (report.exit_code == 0 and meaning(bytes(edited)) == same):
            passed.append((place, report.exit_code, [finding.rule for finding in report.findings]))
    # With keys from a file, another fingerprint or region may be a genuine one that the file lacks.
    assert {tuple(rules) for _, _, rules in passed} <= {("lake-key-unknown",)}
    text = whole.decode()
    told = [text.index(json.loads(whole)["publicKeyFingerprint"])]
    assert all(told[0] <= place < told[0] + 32 for place, _, _ in passed)


def test_no_flipped_byte_of_a_result_passes(folder: Path, root: Path) -> None:
    path = folder / "result_1.csv.gz"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        assert found(ask(root)) == [("lake-result-altered", "altered", "result_1.csv.gz")]


@pytest.mark.parametrize(
    "field",
    [
        "region",
        "files",
        "hashAlgorithm",
        "signatureAlgorithm",
        "queryCompleteTime",
        "hashSignature",
        "publicKeyFingerprint",
    ],
)
@pytest.mark.parametrize(
    "value", [None, 7, "", [], {"a": 1}, "\x1b[31m", "x" * 100_000], ids=lambda value: str(value)[:8]
)
def test_a_field_that_lacks_or_is_nonsense(folder: Path, root: Path, field: str, value: object) -> None:
    edit_sign(folder, **{field: value})
    report = ask(root)
    assert report.exit_code == 1
    assert {finding.rule for finding in report.findings} <= {
        *("lake-sign-malformed", "lake-algorithm-unsupported", "lake-signature-invalid"),
    }
    assert all("\x1b" not in finding.message for finding in report.findings)


def test_a_version_may_lack_and_no_other_is_known(folder: Path, root: Path) -> None:
    edit_sign(folder, version=None)
    assert ask(root).exit_code == 0
    edit_sign(folder, version="2.0")
    assert found(ask(root)) == [("lake-sign-malformed", "altered", SIGN)]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../result_1.csv.gz",
            "/etc/passwd",
            "result_0.csv.gz",
            "result_01.csv.gz",
            "RESULT_1.csv.gz",
            "result_1.csv",
        ),
        *(
            "result_1.csv.gz/",
            "a/result_1.csv.gz",
            "result_1.csv.gz\0",
            "result_1.csv.gz\n",
            "",
            ".",
            "result_sign.json",
        ),
        *("\u202eresult_1.csv.gz", "result_\u0661.csv.gz", "C:\\result_1.csv.gz", "result_9999999999.csv.gz"),
    ],
)
def test_no_path_that_a_sign_file_names_is_opened(
    folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    opened: list[str] = []
    from cloudtrail_validate.stores.local import Local

    stored: Any = Local.stored

    async def noting(self: Local, where: Any, *rest: Any) -> Any:
        opened.append(where.key.rpartition("/")[2])
        return await stored(self, where, *rest)

    monkeypatch.setattr(Local, "stored", noting)
    sign = json.loads((folder / SIGN).read_bytes())
    edit_sign(folder, files=[sign["files"][0] | {"fileName": name}, *sign["files"][1:]])
    report = ask(root)
    assert opened == [SIGN]
    assert found(report) == [("lake-sign-malformed", "altered", SIGN)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 200_000,
        b'{"files":' + b'[{"a":' * 50_000,
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        gzip.compress(b"{}"),
        b'{"region": "us-east-1", "region": "eu-west-1"}',
    ],
    ids=["empty", "no-fields", "null", "deep-list", "deep-object", "utf-16", "bom", "gzip", "double"],
)
def test_what_is_no_sign_file(folder: Path, root: Path, content: bytes) -> None:
    (folder / SIGN).write_bytes(content)
    assert found(ask(root)) == [("lake-sign-malformed", "altered", SIGN)]


def test_a_field_that_is_there_twice(folder: Path, root: Path) -> None:
    text = (folder / SIGN).read_text()
    (folder / SIGN).write_text(text.replace('"version"', '"files": [], "version"', 1))
    report = ask(root)
    assert found(report) == [("lake-sign-malformed", "altered", SIGN)]
    assert "twice" in report.findings[0].message


def test_a_sign_file_that_claims_a_gigabyte_is_not_read(folder: Path, root: Path) -> None:
    with (folder / SIGN).open("r+b") as file:
        file.truncate(1 << 30)  # sparse: it takes no room
    report = ask(root)
    assert found(report) == [("lake-sign-malformed", "altered", SIGN)]
    assert "1,073,741,824 bytes" in report.findings[0].message


def test_a_result_that_inflates_to_gigabytes_is_hashed_as_it_is(folder: Path, root: Path) -> None:
    bomb = gzip.compress(b"0" * (64 << 20), compresslevel=9)
    (folder / "result_1.csv.gz").write_bytes(bomb)
    report = ask(root)
    assert found(report) == [("lake-result-altered", "altered", "result_1.csv.gz")]
    assert report.summary.log_bytes_hashed < 1 << 20


def test_the_list_is_bounded(folder: Path, root: Path) -> None:
    entry = json.loads((folder / SIGN).read_bytes())["files"][0]
    edit_sign(folder, files=[entry | {"fileName": f"result_{n}.csv.gz"} for n in range(1, lake.MAX_FILES + 2)])
    assert found(ask(root)) == [("lake-sign-malformed", "altered", SIGN)]


def test_the_same_name_twice(folder: Path, root: Path) -> None:
    files = json.loads((folder / SIGN).read_bytes())["files"]
    edit_sign(folder, files=[*files, files[0]])
    assert found(ask(root)) == [("lake-sign-malformed", "altered", SIGN)]


def link_out(folder: Path) -> None:
    outside = folder.parents[8] / "outside"
    shutil.copy(folder / "result_1.csv.gz", outside)
    (folder / "result_1.csv.gz").unlink()
    (folder / "result_1.csv.gz").symlink_to(outside)


def pipe(folder: Path) -> None:
    (folder / "result_1.csv.gz").unlink()
    os.mkfifo(folder / "result_1.csv.gz")


def directory(folder: Path) -> None:
    (folder / "result_1.csv.gz").unlink()
    (folder / "result_1.csv.gz").mkdir()


def sign_pipe(folder: Path) -> None:
    (folder / SIGN).unlink()
    os.mkfifo(folder / SIGN)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (link_out, "lake-result-missing"),
        (pipe, "lake-result-altered"),
        (directory, "lake-result-missing"),
        (sign_pipe, "lake-sign-malformed"),
    ],
)
def test_what_is_no_file_is_never_opened(folder: Path, root: Path, edit: Callable[[Path], None], rule: str) -> None:
    edit(folder)
    report = ask(root)
    assert [finding.rule for finding in report.findings] == [rule]
    assert report.exit_code == 1


def test_inflated_by_a_copy_tool_says_so(folder: Path, root: Path) -> None:
    path = folder / "result_1.csv.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    (finding,) = ask(root).findings
    assert "no gzip file" in finding.message


# Moved, swapped, renamed


def test_a_swap_and_a_loss_is_told_as_both(folder: Path, root: Path) -> None:
    (folder / "result_2.csv.gz").replace(folder / "result_1.csv.gz")
    assert found(ask(root)) == [
        ("lake-result-missing", "missing", "result_1.csv.gz"),
        ("lake-result-renamed", "altered", "result_1.csv.gz"),
    ]


def test_renamed_to_what_is_not_listed(folder: Path, root: Path) -> None:
    (folder / "result_2.csv.gz").replace(folder / "part-2.csv.gz")
    report = ask(root)
    assert found(report) == [("lake-result-renamed", "altered", "part-2.csv.gz")]
    assert "listed as result_2.csv.gz" in report.findings[0].message


def test_a_copy_beside_it_and_files_below_are_extra(folder: Path, root: Path) -> None:
    shutil.copy(folder / "result_1.csv.gz", folder / "result_3.csv.gz")
    (folder / "more").mkdir()
    (folder / "more" / "result_1.csv.gz").write_bytes(b"more")
    assert found(ask(root)) == [
        ("lake-result-extra", "extra", "result_1.csv.gz"),
        ("lake-result-extra", "extra", "result_3.csv.gz"),
    ]


def test_a_folder_copied_to_another_query(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root, spec=LakeSpec(queries=2)))
    shutil.copytree(folder, folder.with_name("11111111-2222-4333-8444-555555555555"))
    report = ask(root)
    assert found(report) == [("lake-moved", "altered", SIGN)] * 2
    assert report.summary.digests.valid == 1


def test_another_time_than_that_of_the_key(folder: Path, root: Path) -> None:
    edit_sign(folder, queryCompleteTime="2025-01-01T00:00:00Z")
    report = ask(root)
    assert found(report) == [("lake-moved", "altered", SIGN)] * 2  # not that day's folder, and not that time's key
    moved = folder.parents[3] / "2025" / "01" / "01"
    moved.mkdir(parents=True)
    folder.replace(moved / folder.name)
    assert found(ask(root)) == [("lake-moved", "altered", SIGN)]


def test_another_region_than_that_of_the_key(folder: Path, root: Path) -> None:
    edit_sign(folder, region="eu-west-1")
    report = ask(root)
    assert found(report) == [("lake-moved", "altered", SIGN)]
    assert report.findings[0].expected == "us-east-1"


@pytest.mark.parametrize("time", ["2013-11-01T00:00:00Z", "2199-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "yesterday"])
def test_a_time_at_which_there_is_no_lake(folder: Path, root: Path, time: str) -> None:
    edit_sign(folder, queryCompleteTime=time)
    assert found(ask(root)) == [("lake-sign-malformed", "altered", SIGN)]


@pytest.mark.parametrize("time", ["2026-05-10T22:06:30.123Z", "2026-05-10T22:06:30.000000000Z"])
def test_fractions_of_a_second_are_times(folder: Path, root: Path, time: str) -> None:
    edit_sign(folder, queryCompleteTime=time)
    assert ask(root).exit_code == 0
