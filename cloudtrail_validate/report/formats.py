"""The formats: each a pure function from a report to text, found by name or by a file's ending, loaded when used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report

Renderer = Callable[["Report"], str]
TABLE: Final = "table"
FEW: Final = 3  # findings that the table shows of an incident; one more is shown rather than folded alone
STREAM: Final = "jsonl"
FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "json": (".json", "cloudtrail_validate.report.json:render"),
    "jsonl": (".jsonl", "cloudtrail_validate.report.jsonl:render"),
    "csv": (".csv", "cloudtrail_validate.report.csv:render"),
    "sarif": (".sarif", "cloudtrail_validate.report.sarif:render"),
    "junit": (".xml", "cloudtrail_validate.report.junit:render"),
    "html": (".html", "cloudtrail_validate.report.html:render"),
    "asff": (".asff.json", "cloudtrail_validate.report.asff:render"),
    "ocsf": (".ocsf.json", "cloudtrail_validate.report.ocsf:render"),
}
"""Machine-readable formats: name to file ending and renderer. The table needs a console and is no document."""


IN_PARTS: Final[Mapping[str, str]] = {"asff": "cloudtrail_validate.report.asff:parts"}
"""Formats whose readers take only so much at a time: they become several files."""


def documents(name: str, report: Report) -> list[str]:
    """What a report is in a format, file by file: one, unless its readers take only so much at a time."""
    if name not in IN_PARTS:
        return [renderer(name)(report)]
    module, _, function = IN_PARTS[name].partition(":")
    found: Callable[[Report], list[str]] = getattr(import_module(module), function)
    return found(report)


def renderer(name: str) -> Renderer:
    """The renderer of a format. Raises KeyError for an unknown name."""
    module, _, function = FORMATS[name][1].partition(":")
    found: Renderer = getattr(import_module(module), function)
    return found


def by_ending(path: str) -> str | None:
    """The format that a file's name asks for; the longest ending wins."""
    fitting = [(len(ending), name) for name, (ending, _) in FORMATS.items() if path.lower().endswith(ending)]
    return max(fitting)[1] if fitting else None


def ending_of(path: str) -> str:
    """The ending of a file's name that says its format; empty where it says none."""
    name = by_ending(path)
    return FORMATS[name][0] if name else ""


def endings() -> str:
    """All endings, for messages."""
    return ", ".join(ending for ending, _ in FORMATS.values())
