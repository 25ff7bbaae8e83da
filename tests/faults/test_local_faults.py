"""A local copy whose files cannot be read, or are not what a copy would hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloudtrail_validate import ConfigurationError, Request, run
from cloudtrail_validate.report import from_json
from cloudtrail_validate.report.json import render
from cloudtrail_validate.simulate import FolderSink, Simulation, TrailSpec, simulate
from tests.faults.helpers import LOGS, SPEC, only, real, rules_of, same_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtrail_validate.report import Report


class Copy:
    """A simulated trail in a folder, validated with its own keys and without AWS."""

    def __init__(self, root: Path, spec: TrailSpec = SPEC) -> None:
        self.root = root
        self.simulation: Simulation = simulate(spec, FolderSink(root), new_key=same_keys())
        self.keys_file = root.parent / "keys.json"
        self.keys_file.write_text(self.simulation.keys.as_json())
        self.logs = sorted(path for path in root.rglob("*_CloudTrail_*.json.gz"))
        self.digests = sorted(path for path in root.rglob("*_CloudTrail-Digest_*.json.gz"))

    def key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def validate(self) -> Report:
        manifest = self.simulation.manifest
        request = Request(start=manifest.start, end=manifest.end, source=self.root, public_keys=self.keys_file)
        return run(request, now=manifest.as_of).report


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "copy")


def test_it_is_whole(copy: Copy) -> None:
    report = copy.validate()
    assert (report.exit_code, report.findings, report.summary.logs.valid) == (0, (), LOGS)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def unreadable(path: Path) -> None:
    path.touch(mode=0)


kinds = pytest.mark.parametrize(
    "make",
    [
        fifo,
        link_to_itself,
        device,
        pytest.param(unreadable, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")),
    ],
)


@kinds
def test_a_log_that_cannot_be_read(copy: Copy, make: Callable[[Path], None]) -> None:
    copy.logs[4].unlink()
    make(copy.logs[4])
    report = copy.validate()
    assert rules_of(report) == {"log-unreadable": 1}
    finding = only(report, "log-unreadable")
    assert (finding.key, finding.cause) == (copy.key(copy.logs[4]), "access-denied")
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS - 1)


@kinds
def test_a_digest_that_cannot_be_read(copy: Copy, make: Callable[[Path], None]) -> None:
    copy.digests[2].unlink()
    make(copy.digests[2])
    report = copy.validate()
    assert rules_of(report) == {"digest-unreadable": 1, "gap-broken": 1, "log-undigested": 2}
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS - 2)


@pytest.mark.parametrize("sort", ["logs", "digests"])
def test_a_folder_in_the_place_of_a_file_is_a_file_that_is_gone(copy: Copy, sort: str) -> None:
    # So it would be on S3: whoever deletes a log and puts something below its key must not pass for a read error.
    path: Path = getattr(copy, sort)[2]
    path.unlink()
    path.mkdir()
    (path / "x").write_bytes(b"planted")
    report = copy.validate()
    assert rules_of(report)["log-missing" if sort == "logs" else "digest-missing"] == 1
    assert report.exit_code == 1


@pytest.mark.parametrize("name", [b"\xff\xfe.json.gz", b"caf\xe9", b"\x1b]0;owned\x07.json.gz", b"line\nfeed"])
def test_a_planted_file_of_any_name_is_found_and_can_be_reported(copy: Copy, name: bytes) -> None:
    folder = os.fsencode(copy.logs[4].parent)
    Path(os.fsdecode(folder + b"/" + name)).write_bytes(b"planted")
    report = copy.validate()
    assert rules_of(report) == {"log-extra": 1}
    assert report.exit_code == 1
    assert from_json(render(report)).findings[0].rule == "log-extra"


def test_planted_pipes_and_loops_are_extra_files(copy: Copy) -> None:
    folder = copy.logs[4].parent
    fifo(folder / "pipe.json.gz")
    link_to_itself(folder / "loop.json.gz")
    (folder / "up").symlink_to("..")
    report = copy.validate()
    assert rules_of(report) == {"log-extra": 3}


def test_a_deep_tree_hides_nothing(copy: Copy) -> None:
    deep = copy.logs[4].parent / Path(*["d"] * 400)
    deep.mkdir(parents=True)
    (deep / copy.logs[4].name).write_bytes(b"planted")
    (copy.logs[4].parent / "z.json.gz").write_bytes(b"planted")
    assert rules_of(copy.validate()) == {"log-extra": 2}


def test_a_folder_that_cannot_be_listed_is_told(copy: Copy) -> None:
    # Deeper than a path can be: no listing reaches its end, so what lies behind it in the order of keys is unknown.
    folder, here = copy.logs[4].parent, Path.cwd()
    name = "d" * 200
    os.chdir(folder)
    try:
        for _ in range(25):
            Path(name).mkdir()
            os.chdir(name)
        report = copy.validate()
    finally:
        os.chdir(folder)
        for _ in range(25):
            os.chdir(name)
        for _ in range(25):
            os.chdir("..")
            Path(name).rmdir()
        os.chdir(here)
    assert set(rules_of(report)) == {"log-unreadable"}
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS)


def test_a_copy_that_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    copy = Copy(tmp_path / "copy")
    copy.root = tmp_path / "empty"
    report = copy.validate()
    assert (report.exit_code, report.verdict) == (4, "empty")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"PublicKeyList": []}', b'{"PublicKeyList": [{"Value": 1}]}'],
)
def test_a_key_file_that_is_none(copy: Copy, content: bytes) -> None:
    copy.keys_file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        copy.validate()
    assert str(caught.value).startswith("--public-keys: ")
    assert "\n" not in str(caught.value)


def test_a_key_file_that_contradicts_itself(copy: Copy) -> None:
    keys = msgspec.json.decode(copy.keys_file.read_bytes())
    keys["PublicKeyList"][0]["Fingerprint"] = "00" * 16
    copy.keys_file.write_bytes(msgspec.json.encode(keys))
    with pytest.raises(ConfigurationError, match="a key that says its fingerprint is"):
        copy.validate()


def test_the_keys_of_another_trail_prove_nothing(copy: Copy, tmp_path: Path) -> None:
    other = simulate(SPEC, FolderSink(tmp_path / "other"))
    copy.keys_file.write_text(other.keys.as_json())
    report = copy.validate()
    assert {finding.status for finding in real(report) if finding.rule == "digest-key-unknown"} == {"unverifiable"}
    assert report.exit_code == 3
