"""Files that are written whole or not at all, whatever moment the process is killed in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.runtime import files
from cloudtrail_validate.runtime.files import TEMPORARY, Draft, SpecialFileError, open_regular, sweep, write_whole

if TYPE_CHECKING:
    from pathlib import Path

KILLED = """
import os, signal, sys
from pathlib import Path
from cloudtrail_validate.runtime import files
top, kind = Path(sys.argv[1]), sys.argv[2]
if kind == "named":
    files._nameless = lambda folder: None

def write_until(moment, target):
    passed = 0
    def trace(frame, event, argument):
        nonlocal passed
        if frame.f_code.co_filename != files.__file__:
            return None
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    files.write_whole(target, b"new" * 1000)
    os._exit(0)

for folder in sorted(top.iterdir()):
    child = os.fork()
    if not child:
        write_until(int(folder.name), folder / "report.json")
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(params=["nameless", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With files that have no name until they are whole, where the system has them, and without."""
    if request.param == "named":
        monkeypatch.setattr(files, "_nameless", lambda _folder: None)
    return str(request.param)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork, no SIGKILL")
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("sort", ["nameless", "named"])
def test_killed_at_any_moment(tmp_path: Path, sort: str, there: bool) -> None:
    """The old content or the new, and beside it nothing, or what `sweep` removes. The moments are the steps of the code."""
    folders = [tmp_path / f"{moment:03}" for moment in range(1, 200)]
    for folder in folders:
        folder.mkdir()
        if there:
            (folder / "report.json").write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, str(tmp_path), sort]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True, env=env)
    codes = [int(line) for line in done.stdout.splitlines()]
    assert (codes[0], codes[-1]) == (-signal.SIGKILL, 0), "the first moment is before the end, the last behind it"
    content, beside = set(), set()
    for folder in folders:
        target = folder / "report.json"
        content.add(target.read_bytes() if target.exists() else b"")
        beside |= {path.name for path in folder.iterdir()} - {"report.json"}
        sweep(folder)
        assert {path.name for path in folder.iterdir()} <= {"report.json"}
    assert content == {b"old" if there else b"", b"new" * 1000}
    assert all(TEMPORARY.fullmatch(name) for name in beside)
    if sort == "nameless" and not there and sys.platform == "linux":
        assert not beside


def test_a_draft_has_the_time_and_rights_of_a_file(tmp_path: Path, kind: str) -> None:
    when = datetime(2026, 3, 7, 1, 2, 3, tzinfo=UTC)
    mask = os.umask(0o027)
    try:
        with Draft(tmp_path) as draft:
            draft.file.write(b"content")
            draft.finish(when)
            draft.place(tmp_path / "x", replace=False)
    finally:
        os.umask(mask)
    status = (tmp_path / "x").stat()
    assert (status.st_mtime, status.st_mode & 0o777, status.st_nlink) == (when.timestamp(), 0o640, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_that_lies_there_is_replaced_only_where_that_is_asked_for(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "x"
    target.write_text("old")
    with Draft(tmp_path) as draft, pytest.raises(FileExistsError):
        draft.place(target, replace=False)
    assert target.read_text() == "old"
    with Draft(tmp_path) as draft:
        draft.file.write(b"new")
        draft.finish(sync=False)
        draft.place(target, replace=True)
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_link_in_the_place_is_replaced_and_not_followed(tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    (tmp_path / "x").symlink_to(outside)
    write_whole(tmp_path / "x", "new")
    assert outside.read_text() == "untouched"
    assert not (tmp_path / "x").is_symlink()


def test_drafts_are_made_in_the_folder_for_them(tmp_path: Path, kind: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x").touch()
    with Draft(tmp_path / "deep", named_in=tmp_path) as draft:
        assert {path.name for path in (tmp_path / "deep").iterdir()} == {"x"}
        draft.finish()
        draft.place(tmp_path / "deep" / "x", replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_what_is_not_finished_is_gone(tmp_path: Path, kind: str) -> None:
    with Draft(tmp_path) as draft:
        draft.file.write(b"half")
    assert not list(tmp_path.iterdir())


def test_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_nameless", lambda _folder: None)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    with Draft(tmp_path) as draft:
        draft.place(tmp_path / "x", replace=False)
    with Draft(tmp_path) as draft, pytest.raises(FileExistsError):
        draft.place(tmp_path / "x", replace=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_sweeping_leaves_what_is_still_written_and_what_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_nameless", lambda _folder: None)
    left = tmp_path / ".ctvalidate-0123456789abcdef.tmp"
    left.write_text("half")
    others = [
        ".ctvalidate-0123456789abcdef.tmp.gz",
        ".ctvalidate-0123.tmp",
        "x.tmp",
        ".ctvalidate-0123456789abcdeg.tmp",
    ]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".ctvalidate-aaaaaaaaaaaaaaaa.tmp").mkdir()
    (tmp_path / ".ctvalidate-bbbbbbbbbbbbbbbb.tmp").symlink_to("x.tmp")
    with Draft(tmp_path):
        sweep(tmp_path)
        names = {path.name for path in tmp_path.iterdir()}
    assert not left.exists()
    assert names > {*others, ".ctvalidate-aaaaaaaaaaaaaaaa.tmp", ".ctvalidate-bbbbbbbbbbbbbbbb.tmp"}
    assert len(names) == len(others) + 3
    sweep(tmp_path / "gone")


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-pipe").symlink_to("pipe")
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"content"
    with open_regular(tmp_path / "link", follow=True) as file:
        assert file.read() == b"content"
    for name, error, follow in (
        ("link", OSError, False),
        ("pipe", SpecialFileError, False),
        ("to-pipe", SpecialFileError, True),
        ("gone", FileNotFoundError, True),
    ):
        with pytest.raises(error):
            open_regular(tmp_path / name, follow=follow)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
