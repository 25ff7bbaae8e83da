"""Literals that a log's bytes must hold to hold a hit at all: most logs are never parsed.

Sound for every JSON text: a string may be written with escapes, so that content with an escape of a letter, digit, dot,
slash or the like is never passed over. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cloudtrail_validate.search import glob

_SAFE: Final = re.compile(r"[A-Za-z0-9_.:@\-]+")  # what JSON writers leave as it is; `_ESCAPED` finds those that do not
_FEW: Final = 2  # literals that are looked for one by one
_MANY: Final = 8  # values of one field from which on all values of that field are taken out and looked up
_SHORTEST: Final = 3  # characters; shorter literals are everywhere
_ESCAPED: Final = re.compile(rb"\\u00(?:2[d-fD-F]|3[0-9aA]|[4-7])")  # of `-` to `:` and `@` to `z`, and what lies there
Test = Callable[[bytes], bool]


class Needle:
    """Literals of which one must be there, each with the JSON name that stands before it (empty: it may lie anywhere).

    A literal with a name begins a value of that name, which must be a string.
    """

    def __init__(self, literals: Iterable[tuple[str, str]]) -> None:
        self.literals = tuple(dict.fromkeys(literals))
        by_name: dict[str, list[bytes]] = {}
        for name, text in self.literals:
            by_name.setdefault(name, []).append(text.encode())
        self._plain: list[bytes] = []
        self._expressions: list[re.Pattern[bytes]] = []
        for name, texts in by_name.items():
            if len(texts) <= _FEW:  # one pass each is quicker than one over alternatives
                self._plain += [b'"' + text if name else text for text in texts]
                continue
            choice = b"|".join(map(re.escape, texts))
            # An expression that begins with a literal is searched for as fast as that literal.
            named = b'"%b"\\s*+:\\s*+"(?:%b)' % (re.escape(name.encode()), choice)
            self._expressions.append(re.compile(named if name else choice))

    @property
    def plain(self) -> bytes | None:
        """The one literal that is all there is to look for, None where there are more."""
        return self._plain[0] if len(self._plain) == 1 and not self._expressions else None

    def in_(self, content: bytes) -> bool:
        """Whether the content may hold one of them, escapes aside."""
        return any(text in content for text in self._plain) or any(
            expression.search(content) for expression in self._expressions
        )


class Values:
    """Values of string fields of which one must be there, in any letter case; globs as well. For many values at once.

    `wanted` are pairs of a JSON name (of a member at any depth) and a value or glob.
    """

    def __init__(self, wanted: Iterable[tuple[str, str]]) -> None:
        self.literals = tuple(dict.fromkeys((name, text.lower()) for name, text in wanted))
        by_name: dict[str, list[str]] = {}
        for name, text in self.literals:
            by_name.setdefault(name, []).append(text)
        self._tests = [
            (
                re.compile(b'"%b"\\s*+:\\s*+"([^"\\\\]*+)"' % re.escape(name.encode())),
                frozenset(text.encode() for text in texts if not glob.is_glob(text)),
                glob.matcher([text for text in texts if glob.is_glob(text)]) if any(map(glob.is_glob, texts)) else None,
            )
            for name, texts in by_name.items()
        ]

    def in_(self, content: bytes) -> bool:
        """Whether the content may hold one of them, escapes aside."""
        for expression, plain, globs in self._tests:
            found = {value.lower() for value in set(expression.findall(content))}
            if not plain.isdisjoint(found):
                return True
            if globs is not None and any(globs(value.decode("utf-8", "replace")) for value in found):
                return True
        return False


def beginnings(name: str, texts: Sequence[str]) -> Needle | Values | None:
    """Return the needle of values (or globs) of a field of which one must be there; None where there is no literal.

    A glob that begins with a wildcard still has a literal in it, which may then lie anywhere.
    """
    if len(texts) > _MANY:
        return Values((name, text) for text in texts)
    return _needle([_SAFE.match(text) for text in texts], texts, name)


def anywhere(texts: Iterable[str]) -> Needle | None:
    """Return the needle of texts of which one must be part of some value; None where there is no literal."""
    held = tuple(texts)
    return _needle([None] * len(held), held, "")


def _needle(begins: Sequence[re.Match[str] | None], texts: Iterable[str], name: str) -> Needle | None:
    literals = []
    for begin, text in zip(begins, texts, strict=True):
        if begin is not None and len(begin[0]) >= _SHORTEST:
            literals.append((name, begin[0]))
            continue
        longest = max(_SAFE.findall(text), key=len, default="")
        if len(longest) < _SHORTEST:
            return None
        literals.append(("", longest))
    return Needle(literals) if literals else None


class Prefilter:
    """Decides from the bytes of a log, or of one event, whether they may hold a hit."""

    def __init__(self, needles: Iterable[Needle | Values | None]) -> None:
        self._needles = sorted((item for item in needles if item is not None), key=lambda item: len(item.literals))

    def passes(self, content: bytes) -> bool:
        """Whether a hit may be in there."""
        for item in self._needles:
            if not item.in_(content):
                return _hides(content)
        return True

    def chosen(self, events: Iterable[bytes], content: bytes) -> Iterable[bytes]:
        """Return those events of a log's content that may be hits."""
        first = self._needles[0] if self._needles else None
        plain = first.plain if isinstance(first, Needle) and len(self._needles) == 1 else None
        if plain is None or _hides(content):
            return filter(self.passes, events)
        return [event for event in events if plain in event]  # a call less for each of a log's many events


def _hides(content: bytes) -> bool:
    """Whether a literal may be written with escapes there."""
    return b"\\" in content and _ESCAPED.search(content) is not None
