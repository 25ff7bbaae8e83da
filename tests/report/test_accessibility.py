"""What a keyboard and a screen reader make of the page: axe-core in a real browser finds nothing serious."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from cloudtrail_validate.report import Report
from cloudtrail_validate.report.examination import read_examination
from cloudtrail_validate.report.html import render
from tests.npm import NoToolError
from tests.report import axe, samples
from tests.report.browser import REQUIRED, Browser, Page
from tests.report.samples import examination

_SERIOUS: Final = ("serious", "critical")
_RUN: Final = """
axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations.map((one) => ({
  id: one.id, impact: one.impact, nodes: one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)),
})))
"""


def _without(reason: str) -> Any:
    return pytest.fail(reason) if os.environ.get(REQUIRED) else pytest.skip(reason)


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    try:
        return axe.source(Path(request.config.rootpath) / ".pytest_cache")
    except NoToolError as error:
        return str(_without(str(error)))


def problems(page: Page, engine: str) -> list[dict[str, Any]]:
    page.evaluate(f"{engine}; undefined")
    found: list[dict[str, Any]] = page.evaluate(_RUN)
    return [one for one in found if one["impact"] in _SERIOUS]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1_280, 390])
@pytest.mark.parametrize("name", ["quiet", "telling", "hostile", "empty"])
def test_nothing_serious_is_found(
    name: str, width: int, dark: bool, chromium: Browser, engine: str, tmp_path: Path
) -> None:
    sample: Report = getattr(samples, name)()
    sample = replace(sample, relied_on=("The clock of the computer",))
    path = tmp_path / "report.html"
    path.write_text(render(sample, read_examination(json.dumps(examination()).encode())), encoding="utf-8")
    page = chromium.page()
    page.look(width=width, dark=dark)
    page.open(path)
    assert problems(page, engine) == []
    if name == "telling":  # with a cursor on the map, a cell opened and a filter set
        page.evaluate("document.getElementById('grid').focus()")
        page.key("ArrowRight")
        page.key("Enter")
        assert page.evaluate("document.getElementById('detail').hidden") is False
        assert problems(page, engine) == []


def test_the_engine_finds_what_is_wrong(chromium: Browser, engine: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<!DOCTYPE html><title>x</title><img src='data:,'><input>", encoding="utf-8")
    page = chromium.page()
    page.open(path)
    assert {"html-has-lang", "image-alt", "label"} <= {one["id"] for one in problems(page, engine)}
