"""Where tampering goes: victims chosen by the seed, apart from each other, so that no two findings interact.

A plan is made for each site before anything is written, as what happens to a digest decides what its successors say.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from cloudtrail_validate.core import rules
from cloudtrail_validate.simulate.digests import Segment
from cloudtrail_validate.simulate.events import generator
from cloudtrail_validate.simulate.manifest import STATUS
from cloudtrail_validate.simulate.spec import RESTART_SHIFT, AccountRegion, Restart, TrailSpec

LATE_START_HOURS = 3  # lost at the beginning of a chain by gap-late-start
TAIL_HOURS = 3  # digests removed by gap-tail; the validator explains a tail of up to two hours by delivery
RESTART_LOST = 2  # hours lost by gap-restart and log-undigested
RULES = tuple(STATUS)
_SYNTAX = re.compile(r"(?P<rule>[a-z-]+)(?::(?P<count>[0-9]{1,6}))?(?:@(?P<region>[a-z0-9-]+))?")
_RESTARTS = {rules.GAP_RESTART: RESTART_LOST, rules.LOG_UNDIGESTED: RESTART_LOST, rules.CHAIN_RESTART: 0}
_NEEDS_LOGS = frozenset(rule for rule in RULES if rule.startswith("log-")) - {rules.LOG_EXTRA} | {
    rules.DIGEST_SIGNATURE_INVALID,
    rules.DIGEST_LINK_BROKEN,
}
# Those that need most room choose first.
_ORDER = (
    rules.CHAIN_ABSENT,
    rules.GAP_TAIL,
    rules.GAP_LATE_START,
    *_RESTARTS,
    rules.GAP_BROKEN,
)


class TamperError(ValueError):
    """A tampering that does not exist, or for which the trail has no room. The text says what was expected."""


@dataclass(frozen=True, slots=True)
class Tamper:
    """A wish: tamper so that `rule` is found `count` times, in `region` only where one is given."""

    rule: str
    count: int = 1
    region: str | None = None

    def __post_init__(self) -> None:
        if self.rule not in STATUS:
            near = difflib.get_close_matches(self.rule, RULES, n=1, cutoff=0.0)
            raise TamperError(f"expected a rule to tamper with, not {self.rule!r}: did you mean {near[0]}?")
        if self.count < 1:
            raise TamperError(f"expected a count of 1 or more for {self.rule}")

    @classmethod
    def parse(cls, text: str) -> Tamper:
        """Read `RULE`, `RULE:N`, `RULE@region` or `RULE:N@region`. Raises TamperError."""
        match = _SYNTAX.fullmatch(text)
        if match is None:
            rule = re.split("[:@]", text)[0]
            near = difflib.get_close_matches(rule, RULES, n=1, cutoff=0.0)[0]
            raise TamperError(f"expected RULE[:N][@REGION], such as {near} or {near}:2, not {text!r}")
        return cls(match["rule"], int(match["count"] or 1), match["region"])


@dataclass(frozen=True, slots=True)
class PlannedRestart:
    """A restart of one chain; `rule` is what it was made for, or what it amounts to."""

    restart: Restart
    rule: str


@dataclass(frozen=True, slots=True)
class Victim:
    """The hours (indexes, one after another) whose digests or logs are tampered with."""

    rule: str
    hours: tuple[int, ...]


@dataclass(slots=True)
class ChainPlan:
    """What happens to one site's chain."""

    site: AccountRegion
    hours: int
    first_hour: int = 0
    absent: bool = False
    tail: bool = False
    pending: int = 0
    planted_pending: int = 0
    restarts: list[PlannedRestart] = field(default_factory=list)
    victims: dict[int, Victim] = field(default_factory=dict)
    occupied: set[int] = field(default_factory=set)

    def add_restart(self, restart: Restart, rule: str) -> None:
        """Restart the chain; the hours on both sides of the break are no place for anything else."""
        self.restarts.append(PlannedRestart(restart, rule))
        self.restarts.sort(key=lambda planned: planned.restart)
        self.occupied.update(range(restart.hour - 1, restart.resumes + 1))

    def add_victim(self, rule: str, hours: Iterable[int]) -> None:
        """Tamper with those hours."""
        victim = Victim(rule, tuple(hours))
        self.occupied.update(victim.hours)
        self.victims.update(dict.fromkeys(victim.hours, victim))

    def segments(self) -> tuple[Segment, ...]:
        """The runs of hours between restarts."""
        segments = []
        first, shift = self.first_hour, timedelta(0)
        for restart in (planned.restart for planned in self.restarts):
            segments.append(Segment(first, restart.hour, shift, ends_empty=not restart.lost))
            first = restart.resumes
            shift += timedelta(0) if restart.lost else RESTART_SHIFT
        return (*segments, Segment(first, self.hours, shift))

    def unpublished(self) -> frozenset[int]:
        """The hours whose digests are signed with a key that nobody knows."""
        return frozenset(h for h, victim in self.victims.items() if victim.rule == rules.DIGEST_KEY_UNKNOWN)

    def free(self, low: int, high: int) -> bool:
        """Whether hours `low … high` and their neighbours are untouched, and inside the chain."""
        return low >= 1 and high <= self.hours - 2 and self.clear(low, high)

    def clear(self, low: int, high: int) -> bool:
        """Whether hours `low … high` and their neighbours are untouched."""
        return self.occupied.isdisjoint(range(low - 1, high + 2))


def make_plans(spec: TrailSpec, tampers: Iterable[Tamper]) -> dict[AccountRegion, ChainPlan]:
    """A plan for each site. Raises TamperError where a wish finds no room."""
    plans = {
        site: ChainPlan(site, spec.hours, pending=0 if site.region not in spec.regions else spec.pending)
        for site in spec.sites
    }
    for plan in plans.values():
        for restart in spec.all_restarts:
            plan.add_restart(restart, rules.GAP_RESTART if restart.lost else rules.CHAIN_RESTART)
    wishes = [(wish, number) for wish in tampers for number in range(wish.count)]
    wishes.sort(key=lambda item: _ORDER.index(item[0].rule) if item[0].rule in _ORDER else len(_ORDER))
    placer = _Placer(spec, plans, {wish.region for wish, _ in wishes if wish.region})
    for wish, _ in wishes:
        if not placer.place(wish):
            where = f" in {wish.region}" if wish.region else ""
            raise TamperError(f"no room for {wish.rule}{where}: expected {_room(wish.rule)}")
    return plans


def _room(rule: str) -> str:
    if rule == rules.CHAIN_ABSENT:
        return "another region or account with logs (give more of them)"
    logs = " with logs" if rule in _NEEDS_LOGS else ""
    return f"more hours{logs}, or more regions (each tampering keeps an hour's distance from others)"


class _Placer:
    """Finds room, wish by wish."""

    def __init__(self, spec: TrailSpec, plans: dict[AccountRegion, ChainPlan], named: set[str]) -> None:
        self._spec = spec
        self._plans = plans
        rng = generator(spec, "tamper")
        self._spots = [(site, hour) for site in spec.sites for hour in range(spec.hours)]
        rng.shuffle(self._spots)
        self._sites = list(spec.sites)
        rng.shuffle(self._sites)
        # What takes a whole chain or its end stays off the regions that wishes name, and off the home region.
        self._sites.sort(key=lambda site: (site.region in named, site.region == spec.home))

    def place(self, wish: Tamper) -> bool:
        """Write the wish into a plan; False where none has room."""
        if wish.rule in _RESTARTS:
            return self._restart(wish)
        match wish.rule:
            case rules.CHAIN_ABSENT:
                return self._absent(wish)
            case rules.GAP_TAIL:
                return self._tail(wish)
            case rules.GAP_LATE_START:
                return self._late_start(wish)
            case rules.LOG_PENDING:
                return self._pending(wish)
            case _:
                return self._local(wish)

    def _chains(self, wish: Tamper) -> Iterator[ChainPlan]:
        for site in self._sites:
            plan = self._plans[site]
            if not plan.absent and wish.region in (None, site.region):
                yield plan

    def _absent(self, wish: Tamper) -> bool:
        if sum(not plan.absent for plan in self._plans.values()) < 2:
            return False
        chains = sorted(self._chains(wish), key=lambda plan: not self._has_logs(plan.site))
        for plan in chains:
            if self._spec.everywhere or self._has_logs(plan.site):
                plan.absent = True
                return True
        return False

    def _has_logs(self, site: AccountRegion) -> bool:
        return any(self._spec.log_count(site, hour) for hour in range(self._spec.hours))

    def _tail(self, wish: Tamper) -> bool:
        first = self._spec.hours - TAIL_HOURS
        for plan in self._chains(wish):
            if first >= 2 and plan.clear(first - 1, self._spec.hours - 1):
                plan.tail = True
                plan.add_victim(wish.rule, range(first, self._spec.hours))
                plan.occupied.add(first - 1)  # the newest digest that is left
                return True
        return False

    def _late_start(self, wish: Tamper) -> bool:
        first = LATE_START_HOURS
        for plan in self._chains(wish):
            if first + 2 <= self._spec.hours and plan.clear(0, first):
                plan.first_hour = first
                plan.occupied.update(range(first + 1))
                return True
        return False

    def _pending(self, wish: Tamper) -> bool:
        plans = [plan for plan in self._chains(wish) if not plan.tail and plan.site.region in self._spec.regions]
        if not plans:
            return False
        min(plans, key=lambda plan: plan.planted_pending).planted_pending += 1
        return True

    def _restart(self, wish: Tamper) -> bool:
        for plan, hour in self._candidates(wish, needs_logs=False):
            restart = Restart(hour, _RESTARTS[wish.rule])
            if plan.free(hour - 1, restart.resumes):
                plan.add_restart(restart, wish.rule)
                return True
        return False

    def _local(self, wish: Tamper) -> bool:
        length = 2 if wish.rule == rules.GAP_BROKEN else 1
        for plan, hour in self._candidates(wish, needs_logs=wish.rule in _NEEDS_LOGS):
            if plan.free(hour, hour + length - 1):
                plan.add_victim(wish.rule, range(hour, hour + length))
                return True
        return False

    def _candidates(self, wish: Tamper, *, needs_logs: bool) -> Iterator[tuple[ChainPlan, int]]:
        """Hours in random order: those with logs of their own and none late, then those with logs, then the others."""
        for late in (False, True):
            for quiet in (False, True):
                for site, hour in self._spots:
                    plan = self._plans[site]
                    if plan.absent or wish.region not in (None, site.region) or (quiet and needs_logs):
                        continue
                    if late == self._spec.has_late_log(site, hour) and quiet == (not self._spec.log_count(site, hour)):
                        yield plan, hour
