"""A trail that another took the place of: told in every run until it is back, and then no more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloudtrail_validate.simulate import FolderSink, simulate
from cloudtrail_validate.state.codec import decode
from cloudtrail_validate.state.model import State
from tests.scenarios import keys
from tests.state.test_runs import DAY, SPEC, START, Trail, told, trail

__all__ = ["trail"]


def put_in_place(trail: Trail, name: str, seed: int) -> None:
    """Write another trail into the folder, in place of the one that is there."""
    shutil.rmtree(trail.folder)
    simulate(replace(SPEC, trail_name=name, seed=seed), FolderSink(trail.folder), new_key=keys.source(0))


def known(trail: Trail) -> State:
    return decode(trail.state.read_bytes(), "a.state")


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])
@pytest.mark.parametrize(
    ("first", "second"), [("alpha", "alpha"), ("alpha", "zeta"), ("zeta", "alpha")], ids=["itself", "later", "earlier"]
)
@pytest.mark.parametrize("window", [DAY, 3 * DAY], ids=["a day", "all"])
def test_a_trail_in_anothers_place_is_told_until_that_is_back(
    trail: Trail, tmp_path: Path, first: str, second: str, window: object, copy: Callable[[str, str], object]
) -> None:
    """Every digest of the second is valid. Its hours look proven from its first run on, which is no reason to be silent."""
    start = START + 2 * DAY if window == DAY else START
    put_in_place(trail, first, 0)
    shutil.copytree(trail.folder, tmp_path / "kept", copy_function=copy)
    assert trail.ask(START, START + 3 * DAY).exit_code == 0
    put_in_place(trail, second, 5)
    for _ in range(3):
        report = trail.ask(start, START + 3 * DAY)
        assert (report.exit_code, set(told(report))) == (1, {"history-rewritten"})
        assert {item.trail for item in report.findings} == {first}
    shutil.rmtree(trail.folder)
    shutil.copytree(tmp_path / "kept", trail.folder, copy_function=copy)
    for _ in range(2):
        assert trail.ask(start, START + 3 * DAY).exit_code == 0
    assert known(trail).open == ()
    assert {edge.chain.trail for edge in known(trail).regions[0].edges} == {first}


def test_a_trail_that_came_meanwhile_is_remembered_when_nothing_is_missed(trail: Trail, tmp_path: Path) -> None:
    put_in_place(trail, "alpha", 0)
    shutil.copytree(trail.folder, tmp_path / "kept")
    trail.ask(START, START + 3 * DAY)
    put_in_place(trail, "zeta", 5)
    assert trail.ask(START, START + 3 * DAY).exit_code == 1
    assert {edge.chain.trail for edge in known(trail).regions[0].edges} == {"alpha"}
    shutil.copytree(tmp_path / "kept", trail.folder, dirs_exist_ok=True)  # both write from now on
    assert trail.ask(START, START + 3 * DAY, recheck="100%").exit_code == 0
    trail.ask(START, START + 3 * DAY, recheck="100%")
    assert {edge.chain.trail for edge in known(trail).regions[0].edges} == {"alpha", "zeta"}
