"""Who did what, principal by principal: first and last seen, calls that succeeded and failed, from where and with what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.search.event import Event
from cloudtrail_validate.search.hits import Hit

MOST_PRINCIPALS: Final = 20_000  # ~20 kB each at most; what is more is one further line
_MOST_VALUES: Final = 200  # of one kind and principal; more are counted under `OTHERS`
OTHERS: Final = "(others)"
NOBODY: Final = "(nobody)"


@dataclass(slots=True)
class Principal:
    """What one principal did; sessions of one role are one. Counters hold calls by value, the first 200 of each."""

    name: str
    type: str = ""
    account: str = ""
    first: str = ""
    last: str = ""
    proven: int = 0
    unproven: int = 0
    succeeded: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)

    @property
    def calls(self) -> int:
        """All of them."""
        return self.proven + self.unproven

    def value(self) -> dict[str, Any]:
        """As JSON has it; the most frequent values first."""
        numbers: dict[str, Any] = {
            "principal": self.name,
            "type": self.type,
            "account": self.account,
            "first_seen": self.first,
            "last_seen": self.last,
            "calls": self.calls,
            "calls_proven": self.proven,
            "calls_unproven": self.unproven,
        }
        for name in ("succeeded", "failed", "regions", "addresses", "keys", "agents"):
            counter: Counter[str] = getattr(self, name)
            numbers[name] = dict(sorted(counter.items(), key=lambda pair: (-pair[1], pair[0])))
        return numbers


class Summary:
    """Adds hits up by principal, in memory that does not grow with their number. A sink of the search."""

    def __init__(self) -> None:
        self._principals: dict[str, Principal] = {}

    def add(self, hit: Hit, event: Event) -> None:
        """Take a hit in."""
        who = event.who
        name = _shown(who.owner) or NOBODY
        if name not in self._principals and len(self._principals) >= MOST_PRINCIPALS:
            name = OTHERS
        principal = self._principals.get(name)
        if principal is None:
            principal = self._principals[name] = Principal(name, _shown(who.type), _shown(who.account_id))
        time = _shown(event.time)
        principal.first = min(principal.first or time, time)
        principal.last = max(principal.last, time)
        if hit.proof.proven:
            principal.proven += 1
        else:
            principal.unproven += 1
        call = f"{_shown(event.source).removesuffix('.amazonaws.com')}:{_shown(event.name)}"
        _count(principal.failed if event.error else principal.succeeded, call)
        _count(principal.regions, _shown(event.region))
        _count(principal.addresses, _shown(event.address))
        _count(principal.keys, _shown(who.access_key_id))
        _count(principal.agents, _shown(event.agent))

    def __iter__(self) -> Iterator[Principal]:
        """Those with the most calls first."""
        return iter(sorted(self._principals.values(), key=lambda one: (-one.calls, one.name)))

    def __len__(self) -> int:
        return len(self._principals)


def _shown(value: str | None) -> str:
    return printable(value[:300]) if value else ""


def _count(counter: Counter[str], value: str) -> None:
    if value:
        counter[value if value in counter or len(counter) < _MOST_VALUES else OTHERS] += 1
