"""Rows of events for Sigma's rules: one column a field, as SQLite compares them. Needs the `sigma` extra.

A field that is a list, or lies in one, has a second column with its members: that of
`requestParameters.containerDefinitions.command` holds every command of every definition. Patterns are matched by an engine
whose time does not explode, since an event may hold any text.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import re2

from cloudtrail_validate.search.event import value_of
from cloudtrail_validate.search.sigma_sql import MEMBERS, WHOLE, is_plain

_TABLE: Final = "logs"  # of pySigma's SQLite backend
_LONGEST: Final = 4 * 1024 * 1024  # characters of a value that rules see: of the largest event that is read
_MOST_MEMBERS: Final = 10_000  # of a list; CloudTrail cuts events at 256 KB


class Table:
    """The rows that rules are run over."""

    def __init__(self, fields: Iterable[str | None]) -> None:
        names: dict[str, str] = {}
        held = tuple(fields)
        for name in held:
            if name is not None:
                names.setdefault(name.lower(), name)  # SQLite's columns have no letter case
        self._paths = [(name.split("."), not is_plain(name)) for name in names.values()]
        self._whole = None in held
        self._base = sqlite3.connect(":memory:", isolation_level=None)
        for function, arguments in ((_regexp, 2), (_like, 3), (_glob, 2), (_in_network, 2), (_number, 1)):
            self._base.create_function(function.__name__[1:], arguments, function, deterministic=True)
        columns = [part for name in names.values() for part in (name, name + MEMBERS)[: 1 if is_plain(name) else 2]]
        columns += [WHOLE] if self._whole else []
        typed = ", ".join(f"{_quoted(name)} COLLATE NOCASE" for name in columns)
        self._base.execute(f"CREATE TABLE {_TABLE} ({typed})")
        into, marks = ", ".join(map(_quoted, columns)), ", ?" * len(columns)
        self._insert = f"INSERT INTO {_TABLE} (rowid, {into}) VALUES (?{marks})"  # noqa: S608  # names are quoted

    def fill(self, events: Iterable[bytes]) -> None:
        """Replace all rows; a row's number is the event's place."""
        self._base.execute("DELETE FROM logs")
        self._base.execute("BEGIN")
        self._base.executemany(self._insert, (tuple(self._row(place, raw)) for place, raw in enumerate(events)))
        self._base.execute("COMMIT")

    def run(self, condition: str) -> list[int]:
        """The numbers of the rows that meet a condition. Raises `sqlite3.Error`."""
        found = self._base.execute(f"SELECT rowid FROM {_TABLE} WHERE {condition}")  # noqa: S608  # the user's own rule
        return [number for (number,) in found]

    def close(self) -> None:
        """Let go of the rows."""
        self._base.close()

    def _row(self, place: int, raw: bytes) -> Iterator[Any]:
        value = value_of(raw)
        yield place
        for path, may_have_members in self._paths:
            found, listed = _at(value, path)
            yield _cell(found)
            if may_have_members:
                yield _members(found) if listed else None
        if self._whole:
            yield "\n".join(_texts(value))[:_LONGEST]


def _at(value: Any, path: Sequence[str]) -> tuple[Any, bool]:
    """What lies at a path, and whether it is a list or lies in one: then it is a list of all that lies there."""
    for depth, name in enumerate(path):
        if isinstance(value, list):
            found = [_at(item, path[depth:]) for item in value[:_MOST_MEMBERS]]
            members = [part for one, listed in found if one is not None for part in (one if listed else [one])]
            return members[:_MOST_MEMBERS] or None, True
        value = value.get(name) if isinstance(value, dict) else None
    return value, isinstance(value, list)


def _cell(value: Any) -> Any:
    """A field as SQLite has it: text, numbers, the words true and false, JSON text for what has parts."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return _json(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else None
    return value


def _json(value: Any) -> str:
    """The JSON text of what has parts. Texts that JSON escapes follow as they are: policies lie in events as such texts."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if "\\" in text:
        text = "\n".join((text, *(part for part in _texts(value) if '"' in part or "\\" in part)))
    return _text(text)


def _members(value: Any) -> str | None:
    """A list as JSON of cells, nested lists spread out; None where it has no members."""
    cells = [_cell(part) for part in _spread(value) if part is not None]
    return json.dumps(cells[:_MOST_MEMBERS], allow_nan=False) if cells else None


def _spread(value: Any) -> Iterator[Any]:
    """Yield the members of a list, and those of lists in it."""
    waiting = [iter(value)] if isinstance(value, list) else []
    while waiting:
        for part in waiting[-1]:
            if isinstance(part, list):
                waiting.append(iter(part))
                break
            yield part
        else:
            waiting.pop()


def _texts(value: Any) -> Iterator[str]:
    """Yield every value in an event as text, names left out, in its order."""
    waiting = [iter((value,))]
    while waiting:
        for part in waiting[-1]:
            if isinstance(part, (dict, list)):
                waiting.append(iter(part.values() if isinstance(part, dict) else part))
                break
            if part is not None:
                yield str(_cell(part))
        else:
            waiting.pop()


def _text(value: str) -> str:
    return value[:_LONGEST].encode("utf-8", "replace").decode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _regexp(pattern: str, value: Any) -> bool | None:
    """SQLite's REGEXP."""
    return None if value is None else bool(_of_regexp(pattern).search(str(value)))


def _like(pattern: str, value: Any, escape: str) -> bool | None:
    """SQLite's LIKE, in any letter case."""
    return None if value is None else bool(_of_like(pattern, escape).match(str(value)))


def _glob(pattern: str, value: Any) -> bool | None:
    """SQLite's GLOB, in the given letter case."""
    return None if value is None else bool(_of_glob(pattern).match(str(value)))


@lru_cache(maxsize=10_000)
def _of_regexp(pattern: str) -> Any:
    return re2.compile(pattern)


@lru_cache(maxsize=10_000)
def _of_like(pattern: str, escape: str) -> Any:
    """What matches a pattern of LIKE, wildcards `%` and `_`."""
    parts = re.findall(f"{re.escape(escape)}.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re2.compile(f"(?is){''.join(wild.get(part) or re2.escape(part[-1]) for part in parts)}\\z")


@lru_cache(maxsize=10_000)
def _of_glob(pattern: str) -> Any:
    """What matches a pattern of GLOB, wildcards `*` and `?`; `[*]` is an asterisk."""
    parts = re.findall(r"\[.\]|.", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return re2.compile(f"(?s){''.join(wild.get(part) or re2.escape(part.strip('[]') or part[0]) for part in parts)}\\z")


def _in_network(value: Any, network: str) -> bool:
    """Whether a field is an address in a network."""
    try:
        return ipaddress.ip_address(str(value)) in ipaddress.ip_network(network)
    except ValueError:
        return False


def _number(value: str | float | None) -> float | None:
    """A field as a number, None for what is none."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return None
