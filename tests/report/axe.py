"""axe-core, the accessibility engine, out of npm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.npm import installed

VERSION: Final = "4.14.1"
PLACE: Final = "CTVALIDATE_AXE"  # a file: taken instead


def source(cache: Path) -> str:
    """The engine's script. Raises `NoToolError`."""
    given = os.environ.get(PLACE)
    script = Path(given) if given else installed(cache, "axe-core", VERSION) / "axe.min.js"
    return script.read_text(encoding="utf-8")
