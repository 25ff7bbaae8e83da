"""Runs checks over facts. Pure: the same facts give the same answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from cloudtrail_validate.doctor.facts import Facts
from cloudtrail_validate.doctor.model import NOT_ASKED, Answer, Check, Subject, Unread, unknown

LATELY: Final = "validated-lately"
_ALONE: Final = frozenset({"trail-exists", "self-permissions", LATELY})
"""Checks that need neither a trail nor a bucket."""


class Examined(msgspec.Struct, frozen=True):
    """What the checks answered, and which were left out for what reason."""

    answers: tuple[tuple[Check, Answer], ...]
    skipped: tuple[tuple[Check, str], ...] = ()


def examine(facts: Facts, checks: Iterable[Check]) -> Examined:
    """Let each check judge the facts. Left out is what has nothing to judge: no trail at all, no report of a last run."""
    answers, skipped = [], []
    for check in checks:
        reason = _left_out(facts, check)
        if reason:
            skipped.append((check, reason))
        else:
            answers.append((check, _answer(facts, check)))
    return Examined(tuple(answers), tuple(skipped))


def _left_out(facts: Facts, check: Check) -> str:
    if check.id == LATELY and facts.last == NOT_ASKED:
        return "--state or --last-report says when the logs were proven last"
    if facts.trail is None and check.id not in _ALONE and not (facts.bucket.name and check.subject is Subject.BUCKET):
        return "there is no trail"
    return ""


def _answer(facts: Facts, check: Check) -> Answer:
    if check.id not in _ALONE and isinstance(facts.trail, Unread) and not facts.bucket.name:
        return unknown(facts.trail)
    return check.judge(facts)
