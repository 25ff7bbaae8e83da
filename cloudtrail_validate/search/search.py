"""Goes along with a validation: looks at logs while they are hashed, and joins what it finds with what they turn out to be.

searcher = Searcher(query, sink)
result = run(request, now=now, companion=searcher)

Logs that no digest names are judged by their listing alone, so they are read at the end, and their events are unproven.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import Final, Protocol

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.findings import LogRead
from cloudtrail_validate.core.gzip import Content, Inflater
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.core.outcome import Outcome as Validated
from cloudtrail_validate.search.event import Event
from cloudtrail_validate.search.hits import Hit, Proof, proof_of
from cloudtrail_validate.search.outcome import Outcome
from cloudtrail_validate.search.query import Matcher, Query
from cloudtrail_validate.search.scanner import Scanner, Searched
from cloudtrail_validate.search.sigma import Rules, RuleStage
from cloudtrail_validate.search.uses import NEW_REGION
from cloudtrail_validate.session import Session

_UNNAMED: Final = frozenset({rules.LOG_EXTRA, rules.LOG_PENDING, rules.LOG_UNDIGESTED})  # judged by their listing alone
_UNREAD: Final = frozenset({rules.LOG_MISSING, rules.LOG_UNREADABLE})
_AT_ONCE: Final = 64  # unnamed logs read at a time
_REMEMBERED: Final = 200_000  # logs with hits, ~100 B each; later ones would be shown as often as they are read
_KEPT: Final = 1_000  # logs that are named as not searched; more are only counted


class Sink(Protocol):
    """Takes hits, in no order."""

    def add(self, hit: Hit, event: Event) -> None:
        """Take one."""
        ...


class Searcher:
    """A run's companion that searches. Hits go to `sink` once their proof is known.

    `unsearched` are the logs that could not be searched, or not whole, each with the reasons; `left_out` how many there
    are beyond those. `hits` counts by `proven` and `unproven`, `rules` the unproven ones by rule. With `proven_only`
    unproven events are only counted, in `withheld`. With `sigma` hits are events that meet one of its rules besides.
    """

    def __init__(self, query: Query, sink: Sink, *, proven_only: bool = False, sigma: Rules | None = None) -> None:
        self._query = query
        self._sink = sink
        self._proven_only = proven_only
        self._further = (sigma.needle,) if sigma else ()
        self._stage = RuleStage(sigma) if sigma else None
        self._matcher = Matcher(query, further=self._further)  # refuses now what cannot be meant
        self._session: Session | None = None
        self._unnamed: dict[Locator, str] = {}
        self._taken: set[bytes] = set()
        self._firsts: dict[tuple[str, str], tuple[Hit, Event]] = {}
        self.hits: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.withheld = self._lost = 0
        self.logs = 0
        self.unsearched: dict[str, str] = {f"rule {name}": why for name, why in (sigma.failed if sigma else {}).items()}
        self.left_out = 0

    def adapt(self, session: Session) -> Session:
        """Learn where the trail writes."""
        self._session = session
        self._matcher = Matcher(self._query, session.target.bucket, further=self._further)
        return session

    def inflater(self, *, accept_plain: bool) -> Inflater:
        """The inflater of one log."""
        return Scanner(self._matcher, accept_plain=accept_plain)

    def judged(self, log: LogRead) -> None:
        """Take what was found in a log that a digest names."""
        self._take(log.where, log.content, proof_of(log.where.key, log.where.bucket, log.digest.key, log.rule))

    def finding(self, finding: Finding) -> None:
        """Note logs that no digest names, and those that nobody can read."""
        if finding.where is None:
            return
        if finding.rule in _UNNAMED:
            self._unnamed[finding.where] = finding.rule
        elif finding.rule in _UNREAD:
            self._not_searched(finding.where, finding.rule)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Nothing to do: it was looked at as it was read."""

    async def conclude(self, _outcome: Validated) -> None:
        """Read what no digest names."""
        waiting = sorted(self._unnamed)
        await asyncio.gather(*(self._read(waiting) for _ in range(min(_AT_ONCE, len(waiting)))))

    def finish(self) -> None:
        """Give the sink what could only be told at the end. Also after an interruption."""
        for where, rule in self._unnamed.items():
            self._not_searched(where, f"{rule}, and the run was interrupted before it was read")
        for hit, event in self._firsts.values():
            self._pass(hit, event)
        self._firsts = {}
        for hit, event in self._stage.rest() if self._stage else ():
            self._give(hit, event)

    def outcome(self) -> Outcome:
        """What the search came to, beside its hits."""
        proven, unproven = self.hits["proven"], self.hits["unproven"]
        return Outcome(proven, unproven, self.rules, self.logs, self.withheld, self.unsearched, self.left_out)

    async def _read(self, waiting: list[Locator]) -> None:
        session = self._session
        while waiting and session is not None:
            where = waiting.pop()
            try:
                async with session.limiter:
                    content = await session.store.content(where, None, make=self.inflater)
            except (AbsentError, StoreError) as error:
                self._not_searched(where, f"{self._unnamed.pop(where)}, cannot be read: {error}")
                continue
            self._take(where, content, proof_of(where.key, where.bucket, "", self._unnamed.pop(where)))

    def _take(self, where: Locator, content: Content, proof: Proof) -> None:
        self.logs += 1
        if not isinstance(content, Searched):
            return
        unsearched = content.unsearched
        if unsearched:
            parts = (
                (unsearched.unreadable, "cannot be read as JSON"),
                (unsearched.too_large, "too large to be an event"),
                (unsearched.given_up, "--where was given up"),
                (unsearched.lost, "found, and too many to be kept"),
            )
            self._not_searched(where, ", ".join(f"{number:,} × {what}" for number, what in parts if number))
        if content.found and self._seen_before(proof):
            return
        for found, event in content.found:
            self._hit(Hit(found.raw, proof, found.uses), event)

    def _seen_before(self, proof: Proof) -> bool:
        """Whether this log's hits were taken already: one that two chains of a trail lead to is read for each of them."""
        name = hashlib.blake2b(
            f"{proof.bucket}/{proof.log}/{proof.rule}".encode("utf-8", "surrogatepass"), digest_size=16
        )
        known = name.digest() in self._taken
        if not known and len(self._taken) < _REMEMBERED:
            self._taken.add(name.digest())
        return known

    def _hit(self, hit: Hit, event: Event) -> None:
        if self._proven_only and not hit.proof.proven:
            self.withheld += 1
            return
        if hit.uses == (NEW_REGION,):
            place = (event.account or "", event.region)
            first = self._firsts.get(place)
            if first is None or (event.time, event.id) < (first[1].time, first[1].id):
                self._firsts[place] = (hit, event)
            return
        self._pass(hit, event)

    def _pass(self, hit: Hit, event: Event) -> None:
        """By way of the rules, where there are any."""
        for ready in self._stage.take(hit, event) if self._stage else [(hit, event)]:
            self._give(*ready)

    def _give(self, hit: Hit, event: Event) -> None:
        self.hits[hit.proof.status] += 1
        if hit.proof.rule:
            self.rules[hit.proof.rule] += 1
        try:
            self._sink.add(hit, event)
        except OSError as error:  # no room in the temporary folder: the validation goes on
            self._lost += 1
            reason = f"{self._lost:,} × found, and no room to keep it: {error.strerror or error}"
            self.unsearched["(what was found)"] = reason

    def _not_searched(self, where: Locator, reason: str) -> None:
        if len(self.unsearched) >= _KEPT and where.key not in self.unsearched:
            self.left_out += 1
        else:
            self.unsearched[where.key] = reason
