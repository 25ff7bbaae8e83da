"""A trail on moto for the command to validate, a proxy in front of it, and a kept report."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudtrail_validate.report.json import render
from tests.faults.fixtures import proxy, trail
from tests.report import samples

__all__ = ["proxy", "trail"]


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """The path of a report with one of everything."""
    path = tmp_path / "report.json"
    path.write_text(render(samples.telling()), encoding="utf-8")
    return str(path)
