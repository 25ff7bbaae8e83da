"""The verdict: a total function of what was found, the same for every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import Final, assert_never

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Status


class Verdict(StrEnum):
    """Names a run's answer in one word."""

    VALID = "valid"
    CHANGED = "changed"
    UNPROVEN = "unproven"
    EMPTY = "empty"


class ExitCode(IntEnum):
    """Numbers a run's answer for scripts (CONTRACT: exit codes)."""

    VALID = 0
    CHANGED = 1
    USAGE = 2
    UNPROVEN = 3
    EMPTY = 4
    INTERRUPTED = 130  # 128 and SIGINT's number, as shells say it; for SIGTERM as well


_OF_A_CHAIN: Final = frozenset({rules.GAP_BROKEN, rules.GAP_RESTART, rules.GAP_TAIL})
"""Gaps of a chain that was there before: a window that lies in one wholly is not one of which there is nothing.

Before a chain began (`gap-late-start`), and where none is (`chain-absent`), there is.
"""


class Tally(msgspec.Struct):
    """Exact numbers of findings by rule and status, kept apart from the findings so that capping loses no verdict."""

    numbers: Counter[tuple[str, Status]] = msgspec.field(default_factory=Counter)

    def add(self, rule: str, status: Status) -> None:
        """Count one finding."""
        self.numbers[rule, status] += 1

    def by_rule(self) -> Mapping[str, int]:
        """Count findings by rule, whatever their status."""
        out: Counter[str] = Counter()
        for (rule, _), number in self.numbers.items():
            out[rule] += number
        return out


def decide(
    tally: Tally, *, digests: int, tolerated: Iterable[str] = (), interrupted: bool = False
) -> tuple[Verdict, ExitCode]:
    """Return the verdict and exit code: a total function of the findings (CONTRACT: exit codes).

    `digests` is the number of digests looked at, whatever came of them. Evidence of change outranks everything; nothing
    found is never success, nor is it said where other digests of a chain show that hours are lost; `tolerated` rules are
    passed over only where their finding is unverifiable or uncovered. What an `interrupted` run has not looked at is
    unproven, whatever it found of the rest.
    """
    skip = frozenset(tolerated)
    changed = unproven = lost = False
    for (rule, status), number in tally.numbers.items():
        if not number:
            continue
        match status:
            case Status.ALTERED | Status.MISSING | Status.EXTRA:
                changed = True
            case Status.UNVERIFIABLE | Status.UNCOVERED:
                unproven = unproven or rule not in skip
                lost = lost or rule in _OF_A_CHAIN - skip
            case Status.NOTICE:
                pass
            case _:
                assert_never(status)
    if changed:
        return Verdict.CHANGED, ExitCode.CHANGED
    if interrupted:
        return Verdict.UNPROVEN, ExitCode.INTERRUPTED
    if digests == 0 and not lost:
        return Verdict.EMPTY, ExitCode.EMPTY
    if unproven:
        return Verdict.UNPROVEN, ExitCode.UNPROVEN
    return Verdict.VALID, ExitCode.VALID
