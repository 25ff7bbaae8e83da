"""The events of a log, whatever it may be: where each lies in the JSON, what it holds, and how two of them differ.

A log is `{"Records": [EVENT, …]}` (AWS CloudTrail User Guide, "CloudTrail record contents"). Nothing here recurses or
builds more than one event at a time, numbers keep their digits, and names that occur twice in an object keep all their
values. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice, zip_longest
from typing import Any, Final, NamedTuple

import msgspec

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024  # CloudTrail's own limit is 1 MB (User Guide, "Quotas"); bounds parsed memory
_COMPARED_DIGITS: Final = 400  # longer numbers are compared as text

# A bracket, or everything between two: strings are taken whole, as they may hold brackets.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_REST: Final = rb'[^"\[\]{}]'
_TOKEN: Final = re.compile(
    rb"[\[\]{}]|%b++(?:%b%b*+)*+|(?:%b%b*+)++" % (_REST, _STRING, _REST, _STRING, _REST), re.DOTALL
)
_KEY: Final = re.compile(rb"(%b)\s*+(:)?+" % _STRING, re.DOTALL)
_LONGEST_KEY: Final = 64  # bytes of `"Records"` with every letter written as \u0052


class NotALogError(ValueError):
    """The content is no log: one line on why."""


class NotAnEventError(ValueError):
    """An element of `Records` is nothing that could be read as an event: one line on why."""


class Number(str):
    """A JSON number as it is written: of any size, and no digit lost."""

    __slots__ = ()


class Repeated(list[Any]):
    """All values of a name that occurs more than once in an object, in their order."""

    __slots__ = ()


class Absent:
    """The value of what is not there, which JSON's null is not."""


ABSENT: Final = Absent()


class Difference(NamedTuple):
    """A value that differs: its path in the event, and both values (`ABSENT` where there is none)."""

    path: str
    before: object
    after: object


def syntax(data: bytes) -> str | None:
    """What is wrong with this as a JSON document, None where nothing is."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except RecursionError:
        return "is nested too deeply to be a log"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"is no JSON that every reader takes: {error}"
    return None


def split(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each element of `Records` lies: begin and end, in bytes. A run of bare values counts as one element.

    What breaks off, or is wrong within an event, still has the events before and beside it. Raises `NotALogError`, at
    the end at the latest, where there is not one array of that name.
    """
    depth = begin = end = found = arrays = 0
    following = inside = False
    for token in _TOKEN.finditer(data):
        if token.start() != end:  # a string without end
            break
        end = token.end()
        match data[token.start()]:
            case 0x5B | 0x7B as opening:  # [ {
                if depth == 0 and opening == 0x5B:
                    break
                if depth == 1 and following and opening == 0x5B:
                    inside, arrays = True, arrays + 1
                elif depth == 2 and inside:
                    begin = token.start()
                depth += 1
            case 0x5D | 0x7D:  # ] }
                depth -= 1
                if depth == 2 and inside:
                    yield begin, end
                inside = inside and depth > 1
            case _ if depth == 1:
                names, following = _records_in(data, token.start(), end)
                found += names
            case _ if depth == 2 and inside and token[0].strip(b", \t\r\n"):
                yield token.span()
    if found != 1 or not arrays:
        raise NotALogError(
            f"has {found} Records, of which readers take one or another" if found > 1 else "has no Records"
        )


def _records_in(data: bytes, begin: int, end: int) -> tuple[int, bool]:
    """How often the name `Records` occurs between two brackets of the outermost object, and whether it is the last."""
    names, last = 0, False
    for key in _KEY.finditer(data, begin, end):
        last = False
        if key[2] and len(key[1]) <= _LONGEST_KEY:
            try:
                last = msgspec.json.decode(key[1]) == "Records"
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            names += last
    return names, last


def parse(raw: bytes) -> dict[str, Any]:
    """One event. Raises `NotAnEventError`."""
    if len(raw) > MAX_EVENT_BYTES:
        raise NotAnEventError("larger than any event")
    if not raw.startswith(b"{"):
        raise NotAnEventError("no JSON object")
    try:
        value: dict[str, Any] = _DECODER.decode(raw.decode("utf-8"))
    except RecursionError:
        raise NotAnEventError("nested too deeply to be an event") from None
    except ValueError as error:
        raise NotAnEventError(f"not readable: {error}") from None
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = dict(pairs)
    if len(out) != len(pairs):
        gathered: dict[str, list[Any]] = {}
        for name, value in pairs:
            gathered.setdefault(name, []).append(value)
        out = {name: values[0] if len(values) == 1 else Repeated(values) for name, values in gathered.items()}
    return out


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=Number, parse_float=Number, parse_constant=_no_constant
)


def differences(before: object, after: object) -> Iterator[Difference]:
    """Every value that differs, by its path, in the order of the first event. The order of names does not count."""
    stack = [Difference("", before, after)]
    while stack:
        path, one, other = item = stack.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            names = dict.fromkeys((*one, *other))
            inner = [Difference(_named(path, n), one.get(n, ABSENT), other.get(n, ABSENT)) for n in names]
            stack += reversed(inner)
        elif type(one) is type(other) and isinstance(one, list) and isinstance(other, list):
            pairs = enumerate(zip_longest(one, other, fillvalue=ABSENT))
            stack += reversed([Difference(f"{path}[{number}]", a, b) for number, (a, b) in pairs])
        elif not _equal(one, other):
            yield item


def _named(path: str, name: str) -> str:
    """`requestParameters.bucketName`; a name that is no plain word goes in brackets and quotes, and cannot mislead."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        return f"{path}.{name}" if path else name
    return f"{path}[{json.dumps(name, ensure_ascii=False)}]"


def _equal(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False
    if one == other:
        return True
    if isinstance(one, Number) and isinstance(other, Number) and max(len(one), len(other)) <= _COMPARED_DIGITS:
        try:
            return Decimal(one) == Decimal(other)
        except ArithmeticError:  # an exponent of more digits than any number needs
            return False
    return False


class _Mark(str):
    """Punctuation on its way out."""

    __slots__ = ()


def shown(value: object, limit: int) -> str | None:
    """Return a value as `as_text` does, None for one that is absent."""
    return None if value is ABSENT else as_text(value, limit)


def as_text(value: object, limit: int) -> str:
    """A value as JSON text, after `limit` characters an ellipsis. Always encodes as UTF-8."""
    out: list[str] = []
    length = 0
    stack: list[object] = [value]
    while stack and length <= limit:
        item = stack.pop()
        if isinstance(item, dict):
            piece = "{"
            stack.append(_Mark("}"))
            for number, (name, inner) in reversed(list(enumerate(islice(item.items(), limit)))):
                stack += (inner, _Mark(f"{', ' if number else ''}{json.dumps(name, ensure_ascii=False)}: "))
        elif isinstance(item, list):
            piece, end, between = ("", "", " and again ") if isinstance(item, Repeated) else ("[", "]", ", ")
            stack.append(_Mark(end))
            for number, inner in reversed(list(enumerate(islice(item, limit)))):
                stack += (inner, _Mark(between if number else ""))
        elif isinstance(item, (Number, _Mark)):
            piece = str(item)
        else:
            piece = json.dumps(item, ensure_ascii=False)
        out.append(piece)
        length += len(piece)
    return clipped("".join(out), limit)


def clipped(text: str, limit: int) -> str:
    r"""At most `limit` characters and an ellipsis, able to be encoded: a lone surrogate becomes `\udc80`."""
    short = text if len(text) <= limit else text[:limit] + "…"
    return short.encode("utf-8", "backslashreplace").decode("utf-8")
