"""The formats of an examination: each a pure function from its report to text, found by name or by a file's ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cloudtrail_validate.doctor.report import DoctorReport

Renderer = Callable[["DoctorReport"], str]
FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "json": (".json", "json"),
    "sarif": (".sarif", "sarif"),
    "html": (".html", "html"),
    "asff": (".asff.json", "asff"),
}
"""Machine-readable formats, and HTML: name to file ending and module. The table needs a console and is no document."""


def renderer(name: str) -> Renderer:
    """Return the renderer of a format. Raises KeyError for an unknown name."""
    found: Renderer = import_module(f"{__name__}.{FORMATS[name][1]}").render
    return found


def by_ending(path: str) -> str | None:
    """Return the format that a file's name asks for; the longest ending wins."""
    fitting = [(len(ending), name) for name, (ending, _) in FORMATS.items() if path.lower().endswith(ending)]
    return max(fitting)[1] if fitting else None


def endings() -> str:
    """Return all endings, for messages."""
    return ", ".join(ending for ending, _ in FORMATS.values())
