"""What a search came to, beside its hits."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cloudtrail_validate.core.text import plural


class Outcome(msgspec.Struct, frozen=True):
    """What a search came to, beside its hits: numbers by proof and by rule, logs looked at, and what was not searched."""

    proven: int
    unproven: int
    rules: Mapping[str, int]
    logs: int
    withheld: int = 0
    unsearched: Mapping[str, str] = {}
    left_out: int = 0

    @property
    def hits(self) -> int:
        """All of them."""
        return self.proven + self.unproven


def numbers(outcome: Outcome) -> str:
    """What was found, in one sentence without its full stop."""
    if not outcome.hits:
        found = "No event found"
    elif not outcome.unproven:
        found = f"{plural(outcome.hits, 'event')}, {'it is' if outcome.hits == 1 else 'all of them'} proven"
    else:
        why = ", ".join(f"{number:,} {rule}" for rule, number in sorted(outcome.rules.items()))
        found = f"{plural(outcome.hits, 'event')}: {outcome.proven:,} proven, {outcome.unproven:,} not ({why})"
    withheld = f"; {plural(outcome.withheld, 'unproven one')} left out" if outcome.withheld else ""
    return f"{found} in {plural(outcome.logs, 'log')}{withheld}"
