"""Special files and links in a folder: none is opened that is no file, none leads out, on any system."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import AbsentError
from cloudtrail_validate.core.gzip import Flaw
from cloudtrail_validate.runtime.tree import Tree
from cloudtrail_validate.stores.local import Local
from cloudtrail_validate.stores.protocol import Children
from tests.stores.kit import gz, sha256
from tests.stores.oddities import LINKS, fifo, link_out, link_to_a_folder, socket_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stores.kit import Place


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


def test_links_to_folders_are_not_followed(folder: Place, tree: Path) -> None:
    (tree / "a/up").symlink_to("..")
    (tree / "a/root").symlink_to("/")
    assert folder.keys("") == ["a/good", "a/root", "a/up"]
    assert folder.children("a/").folders == ()
