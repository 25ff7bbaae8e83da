"""Compares an inventory with what S3 computed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec

from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.inventory.batch_report import Row
from cloudtrail_validate.inventory.files import Item
from cloudtrail_validate.report import Time

SCHEMA: Literal["ctvalidate.recheck/1"] = "ctvalidate.recheck/1"
KEPT: Final = 20_000  # differences named; their numbers are exact
Number = Annotated[int, msgspec.Meta(ge=0)]


class Answer(StrEnum):
    """What the comparison says of one object."""

    SAME = "same"
    ALTERED = "altered"
    MISSING = "missing"
    UNVERIFIABLE = "unverifiable"
    UNCOVERED = "uncovered"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is not the same. `expected` and `actual` are SHA-256 of stored bytes in hex."""

    answer: Answer
    bucket: str
    key: str
    proven: Time
    expected: str
    actual: str | None
    detail: str


class Recheck(msgspec.Struct, frozen=True, kw_only=True):
    """The whole comparison. `unknown` counts objects of the report that the inventory does not hold."""

    schema: Literal["ctvalidate.recheck/1"] = SCHEMA
    exit_code: int
    inventory: str
    report: str
    created: str
    counts: dict[str, Number]
    unknown: Number
    differences: tuple[Difference, ...]


def compare(items: Iterable[Item], rows: Iterable[Row], *, inventory: str, report: str, created: str) -> Recheck:
    """Say of each object in the inventory whether S3 computed what was proven.

    An object that the report tells of several times must be the same in all of them, its versions included. An inventory
    of a local copy names no bucket: its objects are known by their keys.
    """
    told: dict[str, list[Row]] = {}
    for row in rows:
        told.setdefault(row.key, []).append(row)
    known: set[str] = set()
    counts = dict.fromkeys(Answer, 0)
    differences: list[Difference] = []
    for item in items:
        known.add(item.key)
        found = _judge(item, [row for row in told.get(item.key, ()) if item.bucket in ("", row.bucket)])
        counts[found.answer] += 1
        if found.answer is not Answer.SAME and len(differences) < KEPT:
            differences.append(found)
    return Recheck(
        exit_code=int(_decide(counts)),
        inventory=inventory,
        report=report,
        created=created,
        counts={str(answer): number for answer, number in counts.items()},
        unknown=len(told.keys() - known),
        differences=tuple(
            sorted(differences, key=lambda item: (list(Answer).index(item.answer), item.bucket, item.key))
        ),
    )


def _judge(item: Item, rows: list[Row]) -> Difference:
    def answer(found: Answer, row: Row | None, detail: str) -> Difference:
        actual = row.sha256 if row is not None else None
        return Difference(
            answer=found,
            bucket=item.bucket,
            key=item.key,
            proven=item.proven,
            expected=item.sha256,
            actual=actual,
            detail=detail,
        )

    for row in rows:
        if row.sha256 is not None and row.sha256 != item.sha256:
            return answer(Answer.ALTERED, row, "S3 computed another SHA-256 than that of the proven bytes")
    for row in rows:
        if row.absent:
            return answer(Answer.MISSING, row, row.problem)
    for row in rows:
        if row.sha256 is None:
            return answer(Answer.UNVERIFIABLE, row, row.problem)
    if not rows:
        return answer(Answer.UNCOVERED, None, "the report does not tell of it")
    return answer(Answer.SAME, rows[0], "")


def _decide(counts: dict[Answer, int]) -> ExitCode:
    if counts[Answer.ALTERED] or counts[Answer.MISSING]:
        return ExitCode.CHANGED
    if counts[Answer.UNVERIFIABLE] or counts[Answer.UNCOVERED]:
        return ExitCode.UNPROVEN if counts[Answer.SAME] or counts[Answer.UNVERIFIABLE] else ExitCode.EMPTY
    return ExitCode.VALID if counts[Answer.SAME] else ExitCode.EMPTY
