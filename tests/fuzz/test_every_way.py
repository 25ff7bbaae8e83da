"""Whatever comes from outside, over every way in: a documented error in one line, or a value that holds what it promises."""

from __future__ import annotations

import pytest

from tests.fuzz import ways
from tests.fuzz.drive import FACTOR, drive


@pytest.mark.parametrize("name", ways.WAYS)
def test_nothing_but_documented_errors_escapes(name: str) -> None:
    assert drive(ways.WAYS[name]) == ways.WAYS[name].cases * FACTOR


def test_there_are_enough_cases() -> None:
    assert sum(way.cases for way in ways.WAYS.values()) >= 20_000
