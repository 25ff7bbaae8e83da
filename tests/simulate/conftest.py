"""The trail that nothing is done to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulate.helpers import run
from tests.simulate.tampered import SPEC


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small trail as CloudTrail delivers it. Tests read it only."""
    folder = tmp_path_factory.mktemp("clean")
    assert not run(folder, SPEC).manifest.planted
    return folder
