"""Pieces that several parts of the page are made of: hostile text made harmless, lists, tables that fit a narrow screen."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.text import printable


def asset(name: str) -> str:
    """Read a style or script of the package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def head(title: str, style: str, script: str = "") -> str:
    """Return the document up to its body, which may use this style and script (by their hashes), and load nothing.

    `style` goes after the page's own; `title` is HTML.
    """
    whole = asset("page.css") + style
    scripts = f"script-src '{_digest(script)}'; " if script else ""
    policy = f"default-src 'none'; {scripts}style-src '{_digest(whole)}'; base-uri 'none'; form-action 'none'"
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{whole}</style>\n</head>\n"
    )


def _digest(inline: str) -> str:
    """A source of the Content Security Policy: the hash of an inline element's text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}"


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
