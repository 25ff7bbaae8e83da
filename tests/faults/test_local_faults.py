"""A local copy whose files cannot be read, or are not what a copy would hold."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloudtrail_validate import ConfigurationError, Request, run
from cloudtrail_validate.core.sidecar import SIDECAR
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

    def validate(self, *, follow_links: bool = False) -> Report:
        manifest = self.simulation.manifest
        request = Request(
            start=manifest.start,
            end=manifest.end,
            source=self.root,
            public_keys=self.keys_file,
            follow_links=follow_links,
        )
        return run(request, now=manifest.as_of).report


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "copy")


def test_it_is_whole(copy: Copy) -> None:
    report = copy.validate()
    assert (report.exit_code, report.findings, report.summary.logs.valid) == (0, (), LOGS)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s")
        Path("s").rename(path.name)
    finally:
        os.chdir(here)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_a_pipe(path: Path) -> None:
    fifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nowhere(path: Path) -> None:
    path.symlink_to("../../../../../gone")


def loop(path: Path) -> None:
    path.with_name("other.json.gz").symlink_to(path.name)
    path.symlink_to("other.json.gz")


def unreadable(path: Path) -> None:
    path.touch(mode=0)


SPECIAL = pytest.mark.parametrize("make", [fifo, socket_file])
LINK = pytest.mark.parametrize("make", [link_to_itself, device, nowhere])


@SPECIAL
def test_a_special_file_for_a_log_is_no_gzip_file(copy: Copy, make: Callable[[Path], None]) -> None:
    copy.logs[4].unlink()
    make(copy.logs[4])
    report = copy.validate()
    assert rules_of(report) == {"log-malformed": 1}
    finding = only(report, "log-malformed")
    assert (finding.key, finding.status, finding.cause) == (copy.key(copy.logs[4]), "altered", None)
    assert (report.exit_code, report.summary.logs.valid) == (1, LOGS - 1)


@SPECIAL
@pytest.mark.parametrize("number", [2, -1])
def test_a_special_file_for_a_digest_is_no_digest(copy: Copy, make: Callable[[Path], None], number: int) -> None:
    copy.digests[number].unlink()
    make(copy.digests[number])
    report = copy.validate()
    assert rules_of(report) == {"digest-malformed": 1, "gap-broken": 1, "log-undigested": 2}
    assert (report.exit_code, report.summary.logs.valid) == (1, LOGS - 2)


@LINK
def test_a_link_out_or_nowhere_for_a_log_is_no_file(copy: Copy, make: Callable[[Path], None]) -> None:
    copy.logs[4].unlink()
    make(copy.logs[4])
    report = copy.validate()
    assert rules_of(report) == {"log-missing": 1}
    assert only(report, "log-missing").key == copy.key(copy.logs[4])
    assert (report.exit_code, report.summary.logs.valid) == (1, LOGS - 1)


@LINK
@pytest.mark.parametrize("number", [2, -1])
def test_a_link_out_or_nowhere_for_a_digest_is_no_file(copy: Copy, make: Callable[[Path], None], number: int) -> None:
    copy.digests[number].unlink()
    make(copy.digests[number])
    report = copy.validate()
    assert rules_of(report) == {"digest-missing": 1, "gap-broken": 1, "log-undigested": 2}
    assert (report.exit_code, report.summary.logs.valid) == (1, LOGS - 2)


def moved(path: Path, folder: Path) -> None:
    """Move a file away and leave a link to it: what git-annex and de-duplication do."""
    folder.mkdir(exist_ok=True)
    path.rename(folder / path.name)
    path.symlink_to(os.path.relpath(folder / path.name, path.parent))


@pytest.mark.parametrize("follow", [False, True])
def test_a_link_that_stays_in_the_copy_is_a_file(copy: Copy, follow: bool) -> None:
    for path in (*copy.logs[3:5], *copy.digests[2:4]):
        moved(path, copy.root / "store")
    report = copy.validate(follow_links=follow)
    assert (report.exit_code, report.findings, report.summary.logs.valid) == (0, (), LOGS)


def test_a_link_out_of_the_copy_is_a_file_where_that_is_asked_for(copy: Copy, tmp_path: Path) -> None:
    for path in (copy.logs[7], copy.digests[2]):
        moved(path, tmp_path / "elsewhere")
    report = copy.validate()
    assert rules_of(report) == {"log-missing": 1, "digest-missing": 1, "gap-broken": 1, "log-undigested": 2}
    report = copy.validate(follow_links=True)
    assert (report.exit_code, report.findings, report.summary.logs.valid) == (0, (), LOGS)


def test_a_folder_behind_a_link_out_is_not_there(copy: Copy, tmp_path: Path) -> None:
    folder = copy.logs[0].parent
    folder.rename(tmp_path / "day")
    folder.symlink_to(tmp_path / "day")
    logs = sum(path.parent == folder for path in copy.logs)
    assert rules_of(copy.validate()) == {"log-missing": logs, "log-extra": 1}  # the link itself is nobody's log
    assert rules_of(copy.validate(follow_links=True)) == {"log-extra": 1}


def test_the_copy_itself_may_be_a_link(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("copy")
    copy.root = tmp_path / "link"
    assert copy.validate().exit_code == 0


@pytest.mark.parametrize("make", [fifo, socket_file])
def test_a_special_file_for_a_signature_is_no_signature(copy: Copy, make: Callable[[Path], None]) -> None:
    sidecar = copy.digests[2].with_name(copy.digests[2].name + SIDECAR)
    sidecar.unlink()
    make(sidecar)
    report = copy.validate()
    assert rules_of(report) == {"digest-signature-missing": 1}
    assert (report.exit_code, report.summary.logs.valid) == (1, LOGS)


@pytest.mark.parametrize("content", [b'{"signature": "\xff"}', b"\xff\xfe{}", b"[" * 70_000, b'{"a":' * 9_000, b""])
def test_a_sidecar_that_is_none_is_no_signature(copy: Copy, content: bytes) -> None:
    copy.digests[2].with_name(copy.digests[2].name + SIDECAR).write_bytes(content)
    report = copy.validate()
    assert rules_of(report) == {"digest-signature-missing": 1}
    assert (report.exit_code, report.summary.logs.valid) == (1, LOGS)


def test_a_signature_behind_a_link_out_is_lost_as_in_any_copy(copy: Copy, tmp_path: Path) -> None:
    moved(copy.digests[2].with_name(copy.digests[2].name + SIDECAR), tmp_path / "elsewhere")
    assert copy.validate().exit_code == 0  # its successor proves it


def test_a_log_that_may_not_be_read(copy: Copy) -> None:
    copy.logs[4].chmod(0)
    report = copy.validate()
    assert rules_of(report) == {"log-unreadable": 1}
    finding = only(report, "log-unreadable")
    assert (finding.key, finding.cause) == (copy.key(copy.logs[4]), "access-denied")
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS - 1)


def test_a_digest_that_may_not_be_read(copy: Copy) -> None:
    copy.digests[2].chmod(0)
    report = copy.validate()
    assert rules_of(report) == {"digest-unreadable": 1, "gap-broken": 1, "log-undigested": 2}
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS - 2)


@pytest.mark.skipif(sys.platform != "linux", reason="a file system of 64 bits a time that is always there")
@pytest.mark.parametrize("stamp", [2**62, -(2**62), 253_402_300_800, -1, -(2**33)])
def test_times_of_no_calendar_give_no_file_up(stamp: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        copy = Copy(Path(name) / "copy")
        for path in (*copy.logs, *copy.digests):
            os.utime(path, (stamp, stamp))
        (copy.logs[4].parent / "planted.json.gz").touch()
        os.utime(copy.logs[4].parent / "planted.json.gz", (stamp, stamp))
        assert rules_of(copy.validate()) == {"log-extra": 1}


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


@pytest.mark.parametrize("name", ["pipe.json.gz", "pipe"])
@pytest.mark.parametrize("make", [fifo, socket_file, link_to_itself, device, nowhere, loop])
def test_whatever_is_planted_is_an_extra_file(copy: Copy, make: Callable[[Path], None], name: str) -> None:
    make(copy.logs[4].parent / name)
    (copy.logs[4].parent / "up").symlink_to("..")
    report = copy.validate()
    assert rules_of(report) == {"log-extra": 3 if make is loop else 2}
    assert all(key in str(report.findings) for key in (name, "/up"))


def test_a_deep_tree_hides_nothing(copy: Copy) -> None:
    deep = copy.logs[4].parent / Path(*["d"] * 400)
    deep.mkdir(parents=True)
    (deep / copy.logs[4].name).write_bytes(b"planted")
    (copy.logs[4].parent / "z.json.gz").write_bytes(b"planted")
    assert rules_of(copy.validate()) == {"log-extra": 2}


def test_a_tree_deeper_than_a_path_can_be_hides_nothing(copy: Copy) -> None:
    # No listing by path reaches its end; what lies behind it in the order of keys is judged all the same.
    folder, here = copy.logs[4].parent, Path.cwd()
    (folder / "z.json.gz").write_bytes(b"planted")
    name = "d" * 200
    os.chdir(folder)
    try:
        for _ in range(25):
            Path(name).mkdir()
            os.chdir(name)
        Path("x").touch()
        report = copy.validate()
    finally:
        os.chdir(folder)
        for _ in range(25):
            os.chdir(name)
        Path("x").unlink()
        for _ in range(25):
            os.chdir("..")
            Path(name).rmdir()
        os.chdir(here)
    assert rules_of(report) == {"log-extra": 2}
    assert (report.exit_code, report.summary.logs.valid) == (1, LOGS)


def test_a_folder_that_cannot_be_listed_is_told(copy: Copy) -> None:
    closed = copy.logs[4].parent / "closed"
    closed.mkdir(mode=0)
    report = copy.validate()
    closed.chmod(0o700)
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


def test_a_signature_without_its_digest_is_no_file_of_its_own(copy: Copy) -> None:
    """As `recover` leaves it that is stopped between the two. One of no digest's name is planted."""
    copy.digests[2].unlink()
    (copy.digests[2].with_name("planted.json.gz" + SIDECAR)).write_text("{}")
    report = copy.validate()
    assert rules_of(report) == {"digest-missing": 1, "gap-broken": 1, "log-undigested": 2, "digest-malformed": 1}
    assert (only(report, "digest-malformed").key or "").endswith("planted.json.gz" + SIDECAR)
