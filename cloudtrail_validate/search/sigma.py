"""Sigma rules on events: pySigma makes SQL of them, SQLite runs it over rows of the fields that the rules name.

Rules are read from the user's folder; those of SigmaHQ carry the Detection Rule License, which asks for author and
id with each match. Strings match in any letter case, as Sigma has it. Needs the `sigma` extra.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.errors import ConfigurationError, RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.runtime.files import open_regular
from cloudtrail_validate.search.event import Event
from cloudtrail_validate.search.hits import Hit, SigmaMatch
from cloudtrail_validate.search.prefilter import Values

_ROWS: Final = 2_000  # events that wait for the rules, with a row each
_WAITING_BYTES: Final = 32 * 1024 * 1024  # of such events
_LARGEST: Final = 1024 * 1024  # bytes of a rule's file
_MOST_RULES: Final = 5_000  # SigmaHQ has some 60 for CloudTrail
_MOST_FIELDS: Final = 900  # SQLite takes 2,000 columns; a field may have two
_LEAVES: Final = ("eventName", "userIdentity.type", "errorCode", "eventType")  # fields that narrow, the best first
_RANKS: Final = {leaf.rpartition(".")[2]: rank for rank, leaf in enumerate(_LEAVES)}


class Compiled(msgspec.Struct, frozen=True):
    """A rule as SQL: what it is called, its conditions, and values of which one each hit has (None: any event)."""

    match: SigmaMatch
    conditions: tuple[str, ...]
    needed: tuple[tuple[str, str], ...] | None


class Rules(msgspec.Struct, frozen=True):
    """The rules of a folder that are about CloudTrail. `skipped` are others, `failed` what cannot be run, each with why.

    `fields` are those that rules name; None among them says that some rule looks for words anywhere in an event.
    """

    compiled: tuple[Compiled, ...]
    fields: tuple[str | None, ...]
    skipped: int
    failed: Mapping[str, str]

    @property
    def needle(self) -> Values | None:
        """What each event that meets a rule holds, None where some rule wants to see all events."""
        needed: list[tuple[str, str]] = []
        for rule in self.compiled:
            if rule.needed is None:
                return None
            needed += rule.needed
        return Values(needed)


def load(folder: Path) -> Rules:
    """Read and compile the rules of a folder and of those below it.

    Raises `RequestError` where there is no rule for CloudTrail, `ConfigurationError` where the extra is not installed.
    """
    try:
        from cloudtrail_validate.search.sigma_sql import Backend
    except ImportError as error:
        raise ConfigurationError("--rules: expected the sigma extra: pip install 'ctvalidate[sigma]'") from error
    if not folder.is_dir():
        raise RequestError(f"--rules: expected a folder of Sigma rules, got {str(folder)!r}")
    failed: dict[str, str] = {}
    files = _files(folder, failed)
    if len(files) > _MOST_RULES:
        raise RequestError(f"--rules: expected at most {_MOST_RULES:,} files")
    rules = _read(files, Backend(), failed)
    if not rules.compiled:
        raise RequestError(f"--rules: no Sigma rule for CloudTrail that can be run in {str(folder)!r}")
    if len(rules.fields) > _MOST_FIELDS:
        raise RequestError(f"--rules: expected at most {_MOST_FIELDS:,} fields in all rules")
    return _checked(rules)


def _files(folder: Path, failed: dict[str, str]) -> list[Path]:
    """The YAML files below a folder, in order; folders that cannot be read are failed ones."""

    def note(error: OSError) -> None:
        failed[printable(str(error.filename))] = _reason(error)

    found = (Path(place, name) for place, _, names in os.walk(folder, onerror=note) for name in names)
    return sorted(path for path in found if path.suffix in (".yml", ".yaml"))


def _text(path: Path) -> str:
    """The text of a rule's file. Raises ValueError or OSError."""
    with open_regular(path, follow=True) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError("larger than any rule")
    return data.decode("utf-8")


def _read(files: Iterable[Path], backend: Any, failed: dict[str, str]) -> Rules:
    """Compile the rules of some files. Whatever a file holds that is no rule to run is a reason, and no error."""
    from sigma.collection import SigmaCollection

    compiled: list[Compiled] = []
    fields: dict[str | None, None] = {}
    skipped = 0
    for path in files:
        try:
            rules = SigmaCollection.from_yaml(_text(path)).rules
            for rule in rules:
                if not _is_of_cloudtrail(rule):
                    skipped += 1
                    continue
                compiled.append(_compiled(rule, backend))
                fields |= dict.fromkeys(_fields(rule))
        except Exception as error:
            failed[printable(str(path))] = _reason(error)
    return Rules(tuple(compiled), tuple(fields), skipped, failed)


def _is_of_cloudtrail(rule: Any) -> bool:
    """Whether a rule is about CloudTrail. Raises ValueError for a correlation, which has no source of its own."""
    source = getattr(rule, "logsource", None)
    if source is None:
        raise ValueError("a correlation of rules, which is not run")
    return (source.product or "aws", source.service or "cloudtrail") == ("aws", "cloudtrail") and (
        source.product is not None or source.service is not None
    )


def _compiled(rule: Any, backend: Any) -> Compiled:
    from cloudtrail_validate.search.sigma_sql import condition_of

    match = SigmaMatch(
        str(rule.id or rule.title), rule.title, str(rule.level or "informational"), str(rule.author or "")
    )
    conditions = [condition_of(sql) for sql in backend.convert_rule(rule)]
    needed = [_needed(condition.parsed) for condition in rule.detection.parsed_condition]
    whole = None if any(one is None for one in needed) else tuple(pair for one in needed for pair in one or ())
    return Compiled(match, tuple(conditions), whole)


def _needed(node: Any) -> tuple[tuple[str, str], ...] | None:
    """Values of which one must be there for a condition to hold, as (last name of the field, value); None: none must."""
    kind = type(node).__name__
    if kind == "ConditionFieldEqualsValueExpression":
        text = str(node.value) if type(node.value).__name__ == "SigmaString" else ""
        # `Values` reads globs without escapes, and knows letter case as SQLite does: of ASCII.
        narrow = node.field in _LEAVES and text.strip("*?") != "" and text.isascii() and "\\" not in text
        return ((node.field.rpartition(".")[2], text),) if narrow else None
    parts = [_needed(child) for child in getattr(node, "args", ())]
    if kind == "ConditionOR":
        return None if None in parts else tuple(pair for part in parts for pair in part or ())
    if kind == "ConditionAND":
        known = [part for part in parts if part]
        return min(known, key=_worth) if known else None
    return None


def _worth(pairs: tuple[tuple[str, str], ...]) -> tuple[int, int]:
    """The best to look for: by the rarest field, then the fewest values."""
    return _RANKS[pairs[0][0]], len(pairs)


def _fields(rule: Any) -> Iterator[str | None]:
    """Every field that a rule names, those that a value refers to included; None for words without a field."""
    stack = list(rule.detection.detections.values())
    while stack:
        item = stack.pop()
        if hasattr(item, "detection_items"):
            stack += item.detection_items
            continue
        yield item.field
        for value in item.value if isinstance(item.value, list) else [item.value]:
            if type(value).__name__ == "SigmaFieldReference":
                yield value.field


def _checked(rules: Rules) -> Rules:
    """The rules whose SQL SQLite takes; the others are failed ones."""
    from cloudtrail_validate.search.sigma_rows import Table

    table, good, failed = Table(rules.fields), [], dict(rules.failed)
    for rule in rules.compiled:
        try:
            for condition in rule.conditions:
                table.run(condition)
        except sqlite3.Error as error:
            failed[f"{printable(rule.match.title)} ({printable(rule.match.id)})"] = _reason(error)
        else:
            good.append(rule)
    table.close()
    return msgspec.structs.replace(rules, compiled=tuple(good), failed=failed)


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split())[:300]) or type(error).__name__


class RuleStage:
    """Holds hits until there are enough of them for the rules, and passes on those that meet one."""

    def __init__(self, rules: Rules) -> None:
        from cloudtrail_validate.search.sigma_rows import Table

        self._rules = rules
        self._table = Table(rules.fields)
        self._waiting: list[tuple[Hit, Event]] = []
        self._bytes = 0

    def take(self, hit: Hit, event: Event) -> list[tuple[Hit, Event]]:
        """Take one; returns those that are ready."""
        self._waiting.append((hit, event))
        self._bytes += len(hit.raw)
        full = len(self._waiting) >= _ROWS or self._bytes > _WAITING_BYTES
        return self.rest() if full else []

    def rest(self) -> list[tuple[Hit, Event]]:
        """Run the rules on all that wait."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return []
        self._table.fill(hit.raw for hit, _ in waiting)
        found: dict[int, list[SigmaMatch]] = {}
        for rule in self._rules.compiled:
            numbers = dict.fromkeys(number for condition in rule.conditions for number in self._table.run(condition))
            for number in numbers:
                found.setdefault(number, []).append(rule.match)
        return [
            (msgspec.structs.replace(waiting[number][0], sigma=tuple(found[number])), waiting[number][1])
            for number in sorted(found)
        ]
