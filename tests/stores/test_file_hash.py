"""Files hashed in processes of their own: the same answers as here, and none lost with a process."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.runtime.tree import Tree
from cloudtrail_validate.stores import local
from cloudtrail_validate.stores.file_hash import Hashed, hash_in
from cloudtrail_validate.stores.hash_workers import HasherError, Hashers
from cloudtrail_validate.stores.local import Local

if TYPE_CHECKING:
    from pathlib import Path

GOOD = gzip.compress(b'{"Records":[]}')


def told(hashed: Hashed) -> object:
    """A value that can be compared: errors have no equality of their own."""
    if isinstance(hashed, Content):
        return hashed
    return (type(hashed), str(hashed), getattr(hashed, "cause", None), getattr(hashed, "detail", None))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A file of each sort, and names of none."""
    bodies = {
        "good.gz": GOOD,
        "plain.json": b'{"Records":[]}',
        "cut.gz": GOOD[:-5],
        "damaged.gz": GOOD[:12] + b"\xff" * 8 + GOOD[20:],
        "appended.gz": GOOD + b"more",
        "empty.gz": b"",
        "schön &'\n.gz": GOOD,
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    (tmp_path / "folder").mkdir()
    names = [*bodies, "folder", "gone", "good.gz/below", "x" * 300]
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        names.append("pipe")
    (tmp_path / "locked").touch(mode=0)
    (tmp_path / "inside").symlink_to("good.gz")
    (tmp_path / "outside").symlink_to(sys.executable)
    return [*names, "locked", "inside", "outside"]


@pytest.mark.parametrize("follow", [False, True])
def test_a_process_tells_what_would_be_told_here(files: list[str], tmp_path: Path, follow: bool) -> None:
    tree = Tree(str(tmp_path), follow_links=follow)

    async def ask() -> list[Hashed]:
        hashers = await Hashers.start(2, tree)
        try:
            answers = await asyncio.gather(*(hashers.hash(files) for _ in range(5)))
        finally:
            await hashers.close()
        assert all([*map(told, answer)] == [*map(told, answers[0])] for answer in answers)
        return answers[0]

    here = [hash_in(tree, name) for name in files]
    assert [*map(told, asyncio.run(ask()))] == [*map(told, here)]
    assert {type(hashed) for hashed in here} == {Content, AbsentError, StoreError}
    assert isinstance(here[-1], Content) == follow


def test_what_a_process_leaves_undone_is_done_here(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_MANY", 0)
    monkeypatch.setattr(local, "cores", lambda: 2)
    places = [Locator("", name) for name in files]
    tree = Tree(str(tmp_path))

    async def ask() -> list[list[object]]:
        store = Local(tmp_path)
        out = []
        try:
            out.append([told(hashed) for hashed in await store.contents(places)])  # on threads: processes are starting
            assert store._starting is not None
            hashers = await store._starting
            out.append([told(hashed) for hashed in await store.contents(places)])
            under_way = asyncio.create_task(store.contents(places))
            await asyncio.sleep(0)
            for process in hashers._processes:
                process._process.kill()
            out.append([told(hashed) for hashed in await under_way])
            out.append([told(hashed) for hashed in await store.contents(places)])
            with pytest.raises(HasherError):
                await hashers.hash(files)
        finally:
            await store.close()
        return out

    first, *others = asyncio.run(ask())
    assert [told(hash_in(tree, name)) for name in files] == first
    assert others == [first] * 3


@pytest.mark.parametrize("way", ["current folder", "PYTHONPATH", "deleted folder"])
def test_nothing_that_is_investigated_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The current folder, or one that PYTHONPATH names, may be the one under investigation; and one may be gone."""
    trap, log = tmp_path / "trap", tmp_path / "log.gz"
    trap.mkdir()
    for name in ("msgspec", "isal", "cloudtrail_validate", "signal"):
        (trap / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    log.write_bytes(GOOD)
    tree = Tree(str(tmp_path))
    if way == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(trap))
    else:
        monkeypatch.chdir(trap)
    if way == "deleted folder":
        shutil.rmtree(trap)

    async def ask() -> list[Hashed]:
        hashers = await Hashers.start(1, tree)
        try:
            return await hashers.hash(["log.gz"])
        finally:
            await hashers.close()

    assert asyncio.run(ask()) == [hash_in(tree, "log.gz")]
    assert not (tmp_path / "sprung").exists()


def test_closing_ends_the_processes(tmp_path: Path) -> None:
    async def use() -> list[int | None]:
        hashers = await Hashers.start(2, Tree(str(tmp_path)))
        await hashers.close()
        return [process._process.returncode for process in hashers._processes]

    assert None not in asyncio.run(use())


def test_where_no_process_can_be_started_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(HasherError):
        asyncio.run(Hashers.start(1, Tree(str(tmp_path))))
