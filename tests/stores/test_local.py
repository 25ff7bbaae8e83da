"""A folder as hostile as a file system allows: nothing in it hangs the tool, hides a file or takes it by surprise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, StoreError
from cloudtrail_validate.core.gzip import Flaw
from cloudtrail_validate.core.model import EPOCH, Cause
from cloudtrail_validate.stores.local import Local
from tests.stores.kit import gz, local_place, noise, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stores.kit import Place


def test_with_few_files_open_at_a_time(folder: Place, tree: Path) -> None:
    """Folders that are kept open are let go when the system has no more descriptors."""
    folder.fill([f"{'/'.join('abcdefgh'[: n % 8 + 1])}/{n}/x" for n in range(64)])
    code = (
        "import resource, sys\n"
        "from cloudtrail_validate.runtime.tree import Tree\n"
        "tree = Tree(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))\n"
        "for n in range(64):\n"
        "    tree.open('/'.join('abcdefgh'[: n % 8 + 1]) + f'/{n}/x').close()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tree)], check=True, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="a file system of 64 bits a time that is always there")
@pytest.mark.parametrize("stamp", [2**40, 2**62, -(2**40), -(2**62), -1, 253_402_300_800])
def test_times_of_no_calendar(stamp: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        place = local_place(Path(name) / "tree")
        place.fill(["a/x"])
        os.utime(Path(name) / "tree/a/x", (stamp, stamp))
        assert place.keys("a/") == ["a/x"]
        assert place.exact("a/x") is not None
        assert place.stored("a/x")[1].modified in (None, EPOCH - timedelta(seconds=1))


def test_a_folder_in_the_place_of_a_file_is_absence(folder: Place) -> None:
    # On S3 it is: the object of that key is gone, and something else lies below it.
    folder.fill(["a/log.json.gz/x"])
    for ask in (folder.content, folder.digest):
        with pytest.raises(AbsentError):
            ask("a/log.json.gz")
    assert folder.exact("a/log.json.gz") is None
    assert folder.keys("a/") == ["a/log.json.gz/x"]


@pytest.mark.parametrize(
    "key",
    ["../outside", "a/../../outside", "/etc/hostname", "./a/good", "a/./good", "a/\0", "", "a/\ud800"],
)
def test_keys_that_no_file_of_the_folder_can_have(folder: Place, tree: Path, key: str) -> None:
    (tree.parent / "outside").write_bytes(gz(b"secret"))
    for ask in (folder.content, folder.digest):
        with pytest.raises(AbsentError):
            ask(key)
    assert folder.exact(key) is None


@pytest.mark.parametrize("key", ["a//good", "//a/good", "a/good/"])
def test_empty_segments_vanish_as_they_did_when_the_copy_was_made(folder: Place, tree: Path, key: str) -> None:
    assert folder.content(key) == folder.content("a/good")


@pytest.mark.parametrize("key", ["a/" + "x" * 300, "/".join(["d" * 200] * 30)])
def test_keys_longer_than_a_file_system_takes(folder: Place, tree: Path, key: str) -> None:
    assert folder.exact(key) is None
    with pytest.raises(AbsentError):
        folder.content(key)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems want UTF-8")
def test_names_that_are_not_utf_8(folder: Place, tree: Path) -> None:
    name = b"a/caf\xe9.json.gz"
    Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_bytes(gz(b"old"))
    key = os.fsdecode(name)
    assert folder.keys("a/") == [key, "a/good"]
    assert folder.content(key).sha256 == sha256(b"old")


@contextlib.contextmanager
def nested(root: Path, name: str, levels: int) -> Iterator[None]:
    """A chain of folders with one file at its end. It is taken down again: not every `rmtree` could."""
    here = Path.cwd()
    os.chdir(root)
    try:
        for _ in range(levels):
            Path(name).mkdir()
            os.chdir(name)
        Path("x").touch()
        os.chdir(here)
        yield
        os.chdir(root)
        for _ in range(levels):
            os.chdir(name)
        Path("x").unlink()
        for _ in range(levels):
            os.chdir("..")
            Path(name).rmdir()
    finally:
        os.chdir(here)


def test_a_tree_deeper_than_python_recurses(folder: Place, tree: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    with nested(tree, "d", depth):
        assert folder.keys("") == ["a/good", "d/" * depth + "x"]
        assert folder.keys("d/", "d/d/", "d/e") == ["d/" * depth + "x"]


def test_a_tree_deeper_than_a_path_can_be_is_named_and_not_passed_over(folder: Place, tree: Path) -> None:
    with nested(tree, "d" * 200, 30):
        good, deep = folder.keys("")
        assert good == "a/good"
        assert 4096 - 201 < len(deep) < 4096 + 201
        assert set(deep) == {"d", "/"}


def test_a_path_longer_than_the_system_takes_is_read(folder: Place, tree: Path) -> None:
    with nested(tree, "d" * 200, 19):
        key = f"{'d' * 200}/" * 19 + "x"
        assert len(str(tree)) + len(key) < 4096  # as long as it can be, and then the tree moves further down
        deeper = tree.parent / ("e" * 250) / ("f" * 250)
        deeper.mkdir(parents=True)
        tree.rename(deeper / "tree")
        try:
            place = replace(folder, open=lambda: Local(deeper / "tree"))
            assert place.keys("") == ["a/good", key]
            assert place.content(key).size == 0
        finally:
            (deeper / "tree").rename(tree)


def test_what_may_not_be_read(folder: Place, tree: Path) -> None:
    folder.fill(["a/secret", "b/x"])
    (tree / "a/secret").chmod(0)
    (tree / "b").chmod(0)
    try:
        with pytest.raises(StoreError) as caught:
            folder.content("a/secret")
        assert caught.value.cause is Cause.ACCESS_DENIED
        assert folder.keys("a/") == ["a/good", "a/secret"]
        for ask in (folder.keys, folder.children):
            with pytest.raises(StoreError) as caught:
                ask("b/")
            assert caught.value.cause is Cause.ACCESS_DENIED
    finally:
        (tree / "b").chmod(0o700)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    place = local_place(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(BucketAbsentError):
        place.children("")
    with pytest.raises(BucketAbsentError):
        place.keys("")
    with pytest.raises(AbsentError):
        place.content("a/x")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Local(tmp_path / "file")

    async def look() -> None:
        try:
            await store.children("", "")
        finally:
            await store.close()

    with pytest.raises(BucketAbsentError):
        asyncio.run(look())


def test_inflated_copies_are_taken_as_they_are(folder: Place) -> None:
    data = noise(200_000)
    for number, body in enumerate((b"", b"\x1f", b'{"Records":[]}', data)):
        folder.put(f"a/{number}.json.gz", body, None)
        content = folder.content(f"a/{number}.json.gz")
        assert (content.sha256, content.size, content.flaw) == (sha256(body), len(body), None)


def test_a_digest_too_large_to_be_one(folder: Place) -> None:
    folder.put("a/digest.json.gz", gz(bytes(64 * 1024 * 1024 + 1)), None)
    kept, content, _ = folder.digest("a/digest.json.gz")
    assert content.flaw is Flaw.TOO_LARGE
    assert len(kept) <= 64 * 1024 * 1024


def test_what_goes_while_it_is_listed_hides_nothing(folder: Place, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy tool's temporary file may be gone before it is looked at, and what lies behind it is listed all the same."""
    folder.fill(["a/1", "a/2.tmp", "a/3"])
    listed = os.scandir

    @contextlib.contextmanager
    def scan(descriptor: int) -> Iterator[list[os.DirEntry[str]]]:
        with listed(descriptor) as entries:
            found = list(entries)
        for entry in found:
            if entry.name.endswith(".tmp"):
                (tree / "a" / entry.name).unlink()
        yield found

    monkeypatch.setattr("cloudtrail_validate.runtime.tree.os.scandir", scan)
    assert folder.keys("a/") == ["a/1", "a/3", "a/good"]
