"""A folder as hostile as a file system allows: nothing in it hangs the tool, hides a file or takes it by surprise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, StoreError
from cloudtrail_validate.core.gzip import Flaw
from cloudtrail_validate.core.model import Cause, Locator
from cloudtrail_validate.stores.local import SIDECAR, Local
from tests.stores.kit import gz, local_place, noise, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stores.kit import Place

unprivileged = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


@pytest.fixture
def tree(folder: Place, tmp_path: Path) -> Path:
    """The folder's root, with one good file beside what a test puts there."""
    folder.fill(["a/good"])
    return tmp_path / "tree"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def socket_file(path: Path) -> None:
    import socket

    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [fifo, link_to_itself, link_to_device, socket_file])
def test_what_is_no_file_cannot_be_read(folder: Place, tree: Path, make: Callable[[Path], None]) -> None:
    make(tree / "a/odd")
    assert folder.keys("a/") == ["a/good", "a/odd"]
    assert folder.exact("a/odd") is not None
    for read in (folder.content, folder.digest):
        with pytest.raises(StoreError) as caught:
            read("a/odd")
        assert caught.value.cause is Cause.ACCESS_DENIED or make is socket_file
        assert "\n" not in caught.value.detail
    with pytest.raises(StoreError):
        folder.run(lambda store: _only(store.contents([Locator("", "a/odd")])))


async def _only(answers: object) -> None:
    (answer,) = await answers  # type: ignore[misc]
    if isinstance(answer, Exception):
        raise answer


@pytest.mark.parametrize("make", [fifo, link_to_itself, link_to_device, socket_file])
def test_a_sidecar_that_is_no_file_is_not_waited_for(folder: Place, tree: Path, make: Callable[[Path], None]) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), None)
    make(tree / f"a/digest.json.gz{SIDECAR}")
    with pytest.raises(StoreError):
        folder.digest("a/digest.json.gz")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"signature": 1}', "[" * 60_000, '"\\ud800"', "\x00"])
def test_a_sidecar_that_says_nothing(folder: Place, tree: Path, text: str) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), None)
    (tree / f"a/digest.json.gz{SIDECAR}").write_text(text)
    assert folder.digest("a/digest.json.gz")[2] == {}


def test_a_folder_for_a_sidecar_is_an_empty_one(folder: Place) -> None:
    # A bucket can bring it about, by a key below the digest's: so it must not pass for a copy without metadata.
    folder.put("a/digest.json.gz", gz(b"{}"), None)
    folder.put(f"a/digest.json.gz{SIDECAR}/x", b"", None)
    assert folder.digest("a/digest.json.gz")[2] == {}


def test_a_folder_in_the_place_of_a_file_is_absence(folder: Place) -> None:
    # On S3 it is: the object of that key is gone, and something else lies below it.
    folder.fill(["a/log.json.gz/x"])
    for ask in (folder.content, folder.digest):
        with pytest.raises(AbsentError):
            ask("a/log.json.gz")
    assert folder.exact("a/log.json.gz") is None
    assert folder.keys("a/") == ["a/log.json.gz/x"]


def test_links_to_folders_are_not_followed(folder: Place, tree: Path) -> None:
    (tree / "a/up").symlink_to("..")
    (tree / "a/root").symlink_to("/")
    assert folder.keys("") == ["a/good", "a/root", "a/up"]
    assert folder.children("a/").folders == ()


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


def test_a_tree_deeper_than_a_path_can_be_is_told_and_not_passed_over(folder: Place, tree: Path) -> None:
    with nested(tree, "d" * 200, 30), pytest.raises(StoreError, match="cannot list"):
        folder.keys("")


@unprivileged
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


def test_logs_have_no_sidecars(folder: Place) -> None:
    """What lies beside a log under a sidecar's name is an object like any other, and nobody's signature."""
    day = "AWSLogs/111122223333/{}/us-east-1/2026/01/01/"
    for kind in ("CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight"):
        folder.put(day.format(kind) + "x.json.gz", gz(b"{}"), {"signature": "ab"})
    assert [key for key in folder.keys("AWSLogs/") if key.endswith(SIDECAR)] == [
        day.format("CloudTrail-Insight") + "x.json.gz" + SIDECAR,
        day.format("CloudTrail") + "x.json.gz" + SIDECAR,
    ]


def test_what_goes_while_it_is_listed_hides_nothing(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy tool's temporary file may be gone before it is looked at, and what lies behind it is listed all the same."""
    folder.fill(["a/1", "a/2.tmp", "a/3"])
    listed = os.scandir

    @contextlib.contextmanager
    def scan(path: str) -> Iterator[list[os.DirEntry[str]]]:
        with listed(path) as entries:
            found = list(entries)
        for entry in found:
            if entry.name.endswith(".tmp"):
                Path(entry.path).unlink()
        yield found

    monkeypatch.setattr("cloudtrail_validate.stores.local.os.scandir", scan)
    assert folder.keys("a/") == ["a/1", "a/3"]


def test_sidecars_are_no_objects(folder: Place) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), {"signature": "ab"})
    folder.fill([f"a/alone{SIDECAR}"])
    assert folder.keys("a/") == [f"a/alone{SIDECAR}", "a/digest.json.gz"]
    assert [info.key for info in folder.children("a/").objects] == [f"a/alone{SIDECAR}", "a/digest.json.gz"]
