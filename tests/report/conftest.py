"""Reports that every format has to render, a browser, and reports opened in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudtrail_validate.report import Report
from cloudtrail_validate.report.html import render
from tests.report import samples
from tests.report.browser import Browser, Opener, Page, running


@pytest.fixture(params=["quiet", "empty", "interrupted", "telling", "hostile"])
def sample(request: pytest.FixtureRequest) -> Report:
    made: Report = getattr(samples, request.param)()
    return made


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("profile"), "look at the HTML report") as found:
        yield found


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Open a report in a fresh tab. After the test it must have asked for nothing and complained of nothing."""
    pages: list[Page] = []

    def show(sample: Report) -> Page:
        path = tmp_path / f"report-{len(pages)}.html"
        path.write_text(render(sample), encoding="utf-8")
        page = chromium.page()
        pages.append(page)
        page.look()
        page.open(path)
        return page

    yield show
    for page in pages:
        assert page.problems == []
        assert all(url.startswith("file://") for url in page.requests)
        assert len(page.requests) == 1
