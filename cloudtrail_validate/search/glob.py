"""Wildcards as AWS's own policies have them: `*` for anything, `?` for one character, everything else for itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Test = Callable[[str], bool]


def matcher(patterns: Iterable[str]) -> Test:
    """Return the test whether a text is one of some texts or globs. Linear in the text, whatever the globs."""
    held = tuple(patterns)
    plain = frozenset(text for text in held if not is_glob(text))
    globs = [_compiled(text) for text in held if is_glob(text)]

    def test(text: str) -> bool:
        return text in plain or any(_matches(parts, text) for parts in globs)

    return test


def is_glob(text: str) -> bool:
    """Whether a text has wildcards."""
    return "*" in text or "?" in text


class _Part(NamedTuple):
    """What stands between two asterisks: an expression of fixed length, in characters."""

    expression: re.Pattern[str]
    length: int


def _compiled(text: str) -> list[_Part]:
    return [
        _Part(re.compile("".join("." if char == "?" else re.escape(char) for char in part), re.DOTALL), len(part))
        for part in re.split(r"\*+", text)
    ]


def _matches(parts: list[_Part], text: str) -> bool:
    """Find the parts one behind the other, each as early as can be: no backtracking over several of them."""
    if len(parts) == 1:
        return parts[0].expression.fullmatch(text) is not None
    first, *middle, last = parts
    if first.expression.match(text) is None:
        return False
    at = first.length
    for part in middle:
        found = part.expression.search(text, at)
        if found is None:
            return False
        at = found.end()
    begin = len(text) - last.length
    return begin >= at and last.expression.match(text, begin) is not None
