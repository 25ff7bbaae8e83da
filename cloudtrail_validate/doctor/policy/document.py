"""Policy documents as values: read from JSON that anybody may have written, without ever failing.

What is not understood is a problem, which makes the answers that depend on it unknown. Source: IAM User Guide, "Grammar
of the IAM JSON policy language".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

MAX_DOCUMENT: Final = 65_536  # characters: three times what S3 allows for a bucket policy, the largest of those read
MAX_STATEMENTS: Final = 500


class Sort(StrEnum):
    """The sorts of principals."""

    ANYONE = "anyone"
    AWS = "AWS"
    SERVICE = "Service"
    FEDERATED = "Federated"
    CANONICAL = "CanonicalUser"


class Principal(msgspec.Struct, frozen=True, order=True):
    """A principal as a policy names it. An AWS account is its 12 digits, however the policy writes it."""

    sort: Sort
    value: str = "*"

    def __str__(self) -> str:
        if self.sort is Sort.ANYONE:
            return "anyone"
        return f"account {self.value}" if self.sort is Sort.AWS and self.value.isdigit() else self.value

    @property
    def account(self) -> str:
        """The account that it belongs to, empty where that cannot be told."""
        if self.sort is not Sort.AWS:
            return ""
        parts = self.value.split(":")
        return self.value if self.value.isdigit() else parts[4] if len(parts) > 5 else ""


ANYONE: Final = Principal(Sort.ANYONE)


class Names(msgspec.Struct, frozen=True):
    """Patterns that a statement lists, or (`negated`) all but those."""

    patterns: tuple[str, ...]
    negated: bool = False


class Who(msgspec.Struct, frozen=True):
    """Principals that a statement lists, or (`negated`) all but those."""

    principals: tuple[Principal, ...]
    negated: bool = False


class Condition(msgspec.Struct, frozen=True):
    """One operator on one key. The key is in lower case: keys are compared without regard to it."""

    operator: str
    key: str
    values: tuple[str, ...]


class Statement(msgspec.Struct, frozen=True):
    """One statement. `who` and `resources` are None where it names none (policies of identities, key policies)."""

    label: str
    allows: bool
    who: Who | None
    actions: Names
    resources: Names | None
    conditions: tuple[Condition, ...]


class Document(msgspec.Struct, frozen=True):
    """A policy. `problems` says what could not be understood and was left out."""

    statements: tuple[Statement, ...] = ()
    problems: tuple[str, ...] = ()


class _PuzzleError(Exception):
    """A part of a statement that is not understood."""


def parse(text: str) -> Document:
    """Read a policy. Never raises."""
    if len(text) > MAX_DOCUMENT:
        return Document(problems=(f"a policy of {len(text):,} characters is not read",))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Document(problems=("the policy is not JSON",))
    listed = value.get("Statement") if isinstance(value, dict) else None
    if isinstance(listed, dict):
        listed = [listed]
    if not isinstance(listed, list) or len(listed) > MAX_STATEMENTS:
        return Document(problems=("the policy has no list of statements",))
    statements, problems = [], []
    for number, item in enumerate(listed, 1):
        try:
            statements.append(_statement(item, number))
        except _PuzzleError as puzzle:
            problems.append(f"statement {number}: {puzzle}")
    return Document(tuple(statements), tuple(problems))


def _statement(item: Any, number: int) -> Statement:
    if not isinstance(item, dict):
        raise _PuzzleError("no object")
    sid = item.get("Sid")
    effect = item.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise _PuzzleError(f"Effect {effect!r}")
    actions = _names(item, "Action")
    if actions is None:
        raise _PuzzleError("neither Action nor NotAction")
    lowered = Names(tuple(pattern.lower() for pattern in actions.patterns), actions.negated)
    return Statement(
        f"{sid!r}" if isinstance(sid, str) and sid else f"statement {number}",
        effect == "Allow",
        _who(item),
        lowered,
        _names(item, "Resource"),
        tuple(_conditions(item.get("Condition", {}))),
    )


def _names(item: Mapping[str, Any], name: str) -> Names | None:
    for key, negated in ((name, False), (f"Not{name}", True)):
        if key in item:
            return Names(_strings(item[key], key), negated)
    return None


def _strings(value: Any, where: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(entry, (str, int, bool)) for entry in listed):
        raise _PuzzleError(where)
    return tuple(str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in listed)


def _who(item: Mapping[str, Any]) -> Who | None:
    for key, negated in (("Principal", False), ("NotPrincipal", True)):
        if key in item:
            return Who(tuple(_principals(item[key], key)), negated)
    return None


def _principals(value: Any, where: str) -> Iterable[Principal]:
    if value == "*":
        yield ANYONE
        return
    if not isinstance(value, dict) or not value:
        raise _PuzzleError(where)
    for sort, names in value.items():
        if sort not in {known.value for known in Sort} - {Sort.ANYONE.value}:
            raise _PuzzleError(f"{where} {sort!r}")
        for name in _strings(names, where):
            yield _principal(Sort(sort), name)


def _principal(sort: Sort, name: str) -> Principal:
    if name == "*" and sort is Sort.AWS:
        return ANYONE  # the two are equivalent in policies of resources: IAM User Guide, "Principal"
    parts = name.split(":", 5)
    if sort is Sort.AWS and len(parts) == 6 and parts[5] == "root":
        return Principal(sort, parts[4])
    return Principal(sort, name.lower() if sort is Sort.SERVICE else name)


def _conditions(value: Any) -> Iterable[Condition]:
    if not isinstance(value, dict):
        raise _PuzzleError("Condition")
    for operator, keys in value.items():
        if not isinstance(keys, dict):
            raise _PuzzleError(f"Condition {operator!r}")
        for key, values in keys.items():
            yield Condition(operator, key.lower(), _strings(values, f"Condition {operator!r}"))
