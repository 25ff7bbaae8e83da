"""Pieces that several parts of the page are made of: hostile text made harmless, lists, tables that fit a narrow screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.text import printable


def text(value: str) -> str:
    """A hostile string as text of the page or an attribute."""
    return escape(printable(value), quote=True)


def minute(moment: datetime, *, seconds: bool = False) -> str:
    """`2026-01-01 00:00`, UTC, to the minute or second."""
    return isoformat(moment).replace("T", " ")[: 19 if seconds else 16]


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values of a `dl`; those without a value are left out."""
    return "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>\n" for name, value in rows if value)


def badge(status: Status) -> str:
    """A status as a word in its colours."""
    return f'<span class="badge {status}">{status}</span>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "", first: bool = False) -> str:
    """A table whose rows become blocks on a narrow screen, each cell behind the name of its column.

    Cells are HTML. `kind` is its class; `first` makes the first cell of each row its heading.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = ""
    for row in rows:
        cells = ""
        for number, (name, cell) in enumerate(zip(heads, row, strict=True)):
            tag, scope = ("th", ' scope="row"') if first and number == 0 else ("td", "")
            cells += f'<{tag}{scope} data-name="{name}">{cell}</{tag}>'
        body += f"<tr>{cells}</tr>\n"
    return f'<table class="{f"{kind} folds".strip()}"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n'
