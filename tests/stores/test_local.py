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
from cloudtrail_validate.core.sidecar import SIDECAR
from cloudtrail_validate.runtime.tree import Tree
from cloudtrail_validate.stores.local import Local
from cloudtrail_validate.stores.protocol import Children
from tests.stores.kit import gz, local_place, noise, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stores.kit import Place


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


def link_out(path: Path) -> None:
    outside = path.parent.parent.parent / "outside.gz"
    outside.write_bytes(gz(b"secret"))
    path.symlink_to(outside)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("gone")


def link_to_a_folder(path: Path) -> None:
    path.symlink_to("..")


def many_links(path: Path) -> None:
    """More than the system follows, and than Python recurses."""
    for number in range(1200):
        path.with_name(f"link-{number:04}").symlink_to(f"link-{number + 1:04}")
    path.symlink_to("link-0000")


@pytest.mark.parametrize("make", [fifo, socket_file])
def test_a_special_file_is_listed_never_opened_and_no_content(
    folder: Place, tree: Path, make: Callable[[Path], None]
) -> None:
    make(tree / "a/odd")
    assert folder.keys("a/") == ["a/good", "a/odd"]
    info = folder.exact("a/odd")
    assert info is not None
    assert info.size == 1  # of size 0 it would pass for a marker of a folder
    assert folder.content("a/odd").flaw is Flaw.SPECIAL
    assert folder.digest("a/odd")[1].flaw is Flaw.SPECIAL
    assert folder.stored("a/odd")[0].flaw is Flaw.SPECIAL


LINKS = [link_to_itself, link_to_device, link_out, link_to_nothing, link_to_a_folder, many_links]


@pytest.mark.parametrize("make", LINKS)
def test_a_link_out_or_nowhere_is_listed_and_is_no_file(
    folder: Place, tree: Path, make: Callable[[Path], None]
) -> None:
    make(tree / "a/odd")
    assert {"a/good", "a/odd"} <= {*folder.keys("a/")}
    assert folder.exact("a/odd") is not None
    for read in (folder.content, folder.digest, folder.stored):
        with pytest.raises(AbsentError) as caught:
            read("a/odd")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["good", "../a/good", "../a/../a/good", "{tree}/a/good"])
def test_a_link_that_stays_inside_is_the_file_it_leads_to(folder: Place, tree: Path, target: str) -> None:
    (tree / "a/odd").symlink_to(target.format(tree=tree))
    assert folder.content("a/odd") == folder.content("a/good")
    (tree / "b").symlink_to("a")
    assert folder.content("b/odd") == folder.content("b/good") == folder.content("a/good")
    assert folder.keys("b/") == ["b/good", "b/odd"]


def test_a_folder_on_the_way_is_not_left_by_either(folder: Place, tree: Path) -> None:
    (tree.parent / "elsewhere").mkdir()
    (tree.parent / "elsewhere/log.gz").write_bytes(gz(b"secret"))
    (tree / "b").symlink_to("../elsewhere")
    assert (folder.keys("b/"), folder.children("b/")) == ([], Children((), ()))
    assert folder.exact("b/log.gz") is None
    with pytest.raises(AbsentError):
        folder.content("b/log.gz")


def test_links_are_followed_where_that_is_asked_for(folder: Place, tree: Path) -> None:
    for make in LINKS:
        make(tree / f"a/{make.__name__}")
    (tree.parent / "elsewhere").mkdir()
    (tree.parent / "elsewhere/log.gz").write_bytes(gz(b"also"))
    (tree / "b").symlink_to("../elsewhere")
    follow = replace(folder, open=lambda: Local(tree, follow_links=True))
    assert follow.content("a/link_out").sha256 == sha256(b"secret")
    assert follow.content("b/log.gz").sha256 == sha256(b"also")
    assert follow.content("a/link_to_device").flaw is Flaw.SPECIAL
    for name in ("link_to_itself", "link_to_nothing", "link_to_a_folder", "many_links"):
        with pytest.raises(AbsentError):
            follow.content(f"a/{name}")


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_every_system_resolves_alike(tree: Path, by_descriptor: bool) -> None:
    """Without descriptors of folders every path is resolved first, as on Windows."""
    for make in (*LINKS, fifo, socket_file):
        make(tree / f"a/{make.__name__}")
    (tree / "a/locked").touch(mode=0)
    (tree / "a/inside").symlink_to("good")
    (tree / "b").symlink_to("a")
    (tree / "c").symlink_to("..")
    told = {}
    names = [path.name for path in (tree / "a").iterdir() if not path.name.startswith("link-")]
    for follow in (False, True):
        system = Tree(str(tree), follow_links=follow, by_descriptor=by_descriptor)
        for path in (*(f"{top}/{name}" for top in ("a", "b") for name in names), "c/outside.gz", "a/good/x", "z/z"):
            told[path, follow] = _open(system, path)
        assert {entry.name for entry in system.entries("b")} >= {*names}
    kinds = {path: kind for (path, follow), kind in told.items() if not follow}
    assert kinds["a/good"] == kinds["b/good"] == kinds["a/inside"] == "opened"
    assert {kinds[f"a/{make.__name__}"] for make in LINKS if make is not link_to_a_folder} == {"FileNotFoundError"}
    assert kinds["a/fifo"] == kinds["a/socket_file"] == "SpecialFileError"
    assert kinds["a/locked"] == kinds["b/locked"] == "PermissionError"
    assert kinds["c/outside.gz"] == "FileNotFoundError"
    assert told["c/outside.gz", True] == told["a/link_out", True] == "opened"


def _open(system: Tree, path: str) -> str:
    try:
        system.open(path).close()
    except OSError as error:
        return type(error).__name__
    return "opened"


def test_a_link_exchanged_while_it_is_looked_at_leads_nowhere(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was a file when it was looked at may be a pipe or a link when it is opened."""
    system, real = Tree(str(tree)), os.open
    link_out(tree / "a/other")

    def exchange(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "good" and (tree / "a/good").exists():
            (tree / "a/other").replace(tree / "a/good")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr("os.open", exchange)
    with pytest.raises(FileNotFoundError):
        system.open("a/good")


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


@pytest.mark.parametrize("make", [fifo, socket_file])
def test_a_sidecar_that_is_no_file_is_an_empty_one(folder: Place, tree: Path, make: Callable[[Path], None]) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), None)
    make(tree / f"a/digest.json.gz{SIDECAR}")
    assert folder.digest("a/digest.json.gz")[2] == {}


@pytest.mark.parametrize("make", LINKS)
def test_a_sidecar_that_leads_out_or_nowhere_is_none(folder: Place, tree: Path, make: Callable[[Path], None]) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), None)
    make(tree / f"a/digest.json.gz{SIDECAR}")
    assert not folder.digest("a/digest.json.gz")[2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"signature": 1}',
        b"[" * 60_000,
        b'"\\ud800"',
        b"\x00",
        b'{"signature": "\xff"}',
        b"\xff\xfe{",
    ],
)
def test_a_sidecar_that_says_nothing(folder: Place, tree: Path, data: bytes) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), None)
    (tree / f"a/digest.json.gz{SIDECAR}").write_bytes(data)
    assert folder.digest("a/digest.json.gz")[2] == {}


def test_a_digest_whose_sidecar_no_file_system_could_hold(folder: Place) -> None:
    folder.put("a/" + "d" * 250, gz(b"{}"), None)
    assert folder.digest("a/" + "d" * 250)[2] is None


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


def test_logs_have_no_sidecars(folder: Place) -> None:
    """What lies beside a log under a sidecar's name is an object like any other, and nobody's signature."""
    day = "AWSLogs/111122223333/{}/us-east-1/2026/01/01/"
    for kind in ("CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight"):
        folder.put(day.format(kind) + "x.json.gz", gz(b"{}"), {"signature": "ab"})
    assert [key for key in folder.keys("AWSLogs/") if key.endswith(SIDECAR)] == [
        day.format("CloudTrail-Insight") + "x.json.gz" + SIDECAR,
        day.format("CloudTrail") + "x.json.gz" + SIDECAR,
    ]


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


def test_sidecars_are_no_objects(folder: Place) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), {"signature": "ab"})
    folder.fill([f"a/alone{SIDECAR}"])
    assert folder.keys("a/") == [f"a/alone{SIDECAR}", "a/digest.json.gz"]
    assert [info.key for info in folder.children("a/").objects] == [f"a/alone{SIDECAR}", "a/digest.json.gz"]
