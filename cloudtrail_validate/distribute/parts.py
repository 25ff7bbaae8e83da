"""Parts of a run that several machines did, and their merge into one outcome.

A part holds the results of its account-regions as values, and says which run it belongs to. What is missing, there twice or
of another run makes the merged verdict unproven and is named.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.expectation import without_chain
from cloudtrail_validate.core.findings import KEPT_PER_STATUS, Findings, FindingSet
from cloudtrail_validate.core.model import Finding, Interval, Status
from cloudtrail_validate.core.outcome import Outcome, chains_in_order
from cloudtrail_validate.core.plan import AccountRegion, Plan, Target
from cloudtrail_validate.core.shards import MOST_SHARDS, Place, Shard, deal
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.times import is_sound, is_window, times_in
from cloudtrail_validate.distribute.unforeseen import Beyond, Seen, judge, look_beyond
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.engine.stages import RegionResult, Scope
from cloudtrail_validate.report import RequestEcho, Run
from cloudtrail_validate.runtime.files import read_at_most
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.stores.key_file import KeySource
from cloudtrail_validate.stores.protocol import Store

PART: Final = "ctvalidate.part/1"
PLAN: Final = "ctvalidate.plan/1"
MAX_PLAN_BYTES: Final = 256 * 1024 * 1024  # about 150 bytes an account-region
MAX_BYTES: Final = 1 << 30  # of a part: 2,000 account-regions with all their findings are ~100 MB


class PlanHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a plan."""

    schema: Literal["ctvalidate.plan/1"] = "ctvalidate.plan/1"
    source: str
    start: datetime
    end: datetime
    shards: int
    account_regions: int
    fingerprint: str


class PlanLine(msgspec.Struct, frozen=True, kw_only=True):
    """One account-region of a plan: its shard, from 1, and about how many digests it has in the window."""

    account: str
    region: str
    organization_id: str | None
    shard: int
    digests: int

    @property
    def place(self) -> Place:
        """The account-region's identity."""
        return (self.organization_id or "", self.account, self.region)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one shard came to. `plan` is the fingerprint of all account-regions that it saw, `sites` are its own.

    `beyond` is what it saw besides, None where it did not look: `merge` takes of it what all parts together show to matter.
    """

    schema: Literal["ctvalidate.part/1"] = "ctvalidate.part/1"
    version: str
    shard: Shard
    plan: str
    request: RequestEcho
    run: Run
    window: Interval
    target: Target
    tolerate: tuple[str, ...]
    sites: tuple[AccountRegion, ...]
    results: tuple[RegionResult, ...]
    findings: Findings
    interrupted: bool = False
    beyond: Beyond | None = None


def place_of(region: AccountRegion) -> Place:
    """The account-region's identity."""
    return (region.organization_id or "", region.account, region.region)


def fingerprint(places: Iterable[Place]) -> str:
    """A hash of all account-regions: parts of one run have seen the same."""
    return hashlib.sha256("\n".join("/".join(place) for place in sorted(places)).encode()).hexdigest()[:16]


def plan_lines(plan: Plan, source: str, window: Interval, total: int) -> bytes:
    """A plan as JSON lines: a head, then one line an account-region in order."""
    places = {place_of(site): site for site in plan.sites}
    shards = deal(places, total)
    hours = max(1, window.seconds // 3600)
    head = PlanHead(
        source=source,
        start=window.start,
        end=window.end,
        shards=total,
        account_regions=len(places),
        fingerprint=fingerprint(places),
    )
    lines = [
        PlanLine(
            account=place[1], region=place[2], organization_id=place[0] or None, shard=shards[place], digests=hours
        )
        for place in sorted(places)
    ]
    return b"".join(msgspec.json.encode(line) + b"\n" for line in (head, *lines))


def read_plan_file(path: Path) -> tuple[PlanHead, dict[Place, int]]:
    """Read a plan from its file. Raises `ConfigurationError` in one line."""
    try:
        with path.open("rb") as file:
            data = read_at_most(file, MAX_PLAN_BYTES)
    except OSError as error:
        raise ConfigurationError(f"--plan: cannot read {path}: {error.strerror}") from error
    return read_plan(data, str(path))  # one that is too long breaks off, and is refused for that


def read_plan(data: bytes, name: str) -> tuple[PlanHead, dict[Place, int]]:
    """Read a plan. Raises `ConfigurationError` in one line."""
    try:
        first, *rest = data.splitlines()
        head = msgspec.json.decode(first, type=PlanHead)
        lines = [msgspec.json.decode(line, type=PlanLine) for line in rest if line.strip()]
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ConfigurationError(f"--plan: {name} is no plan of `ctvalidate plan`: {printable(str(error))}") from error
    if not 1 <= head.shards <= MOST_SHARDS or not all(1 <= line.shard <= head.shards for line in lines):
        raise ConfigurationError(f"--plan: {name} names shards that there are not: plan anew")
    if len(lines) != head.account_regions or fingerprint(line.place for line in lines) != head.fingerprint:
        raise ConfigurationError(f"--plan: {name} is cut short or was changed")
    return head, {line.place: line.shard for line in lines}


class ShardPlan:
    """Narrows a run to one shard. Part of the engine's `Memory`: it sees the plan before anything is read."""

    def __init__(self, shard: Shard, planned: tuple[PlanHead, dict[Place, int]] | None) -> None:
        self._shard = shard
        self._planned = planned
        self.plan = Plan((), ())
        self.fingerprint = ""
        self.sites: tuple[AccountRegion, ...] = ()

    async def narrow(self, plan: Plan, scope: Scope, store: Store) -> Plan:  # noqa: ARG002  # the protocol's arguments
        """Keep this shard's account-regions. Raises `ConfigurationError` where the plan does not fit the bucket."""
        places = [place_of(site) for site in plan.sites]
        self.fingerprint = fingerprint(places)
        shards = deal(places, self._shard.total)
        if self._planned is not None:
            head, shards = self._planned
            if (head.fingerprint, head.shards) != (self.fingerprint, self._shard.total):
                raise ConfigurationError(
                    "--plan: it does not fit the bucket any more, or is of other shards: plan anew"
                )
        self.sites = tuple(site for site in plan.sites if shards[place_of(site)] == self._shard.number)
        self.plan = plan
        return replace(plan, sites=self.sites)

    def seen(self, engine: Engine) -> Seen:
        """Return what the engine saw of this shard."""
        unlisted = frozenset(item.account for item in self.plan.unlisted)
        return Seen(self.sites, tuple(engine.results), unlisted)

    async def look_beyond(
        self, engine: Engine, target: Target, scope: Scope, store: Store, limiter: RateLimiter, keys: KeySource
    ) -> Beyond | None:
        """Look for trails that the engine has not judged in this shard's account-regions. None where it was stopped."""
        stopped = engine.until_stopped()
        return await look_beyond(
            target, self.plan, self.seen(engine), scope, store=store, limiter=limiter, keys=keys, stopped=stopped
        )


def encode(part: Part) -> bytes:
    """A part's bytes: JSON, closed by a line that tells a whole one from one that was cut short."""
    body = msgspec.json.encode(part)
    return body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n"


def decode(data: bytes, name: str) -> Part:
    """Read a part. Raises `ConfigurationError` in one line."""
    body, _, rest = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != rest.strip():
        raise ConfigurationError(f"{name}: it is no part of a run, or was cut short")
    try:
        part = msgspec.json.decode(body, type=Part)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{name}: it is no part of this version of ctvalidate: {printable(str(error))}"
        ) from error
    problem = _impossible(part)
    if problem is not None:
        raise ConfigurationError(f"{name}: it is no part of a run: {problem}")
    return part


def _impossible(part: Part) -> str | None:
    """Say why no run can have written a part: the checksum is no proof, since whoever writes the file makes it."""
    if not 1 <= part.shard.number <= part.shard.total <= MOST_SHARDS:
        return f"there is no shard {part.shard}"
    if not all(is_sound(moment) for moment in times_in(part)):
        return "it holds times that are not in UTC, or of other years than 1970 to 8999"
    asked = Interval(*(moment.replace(microsecond=0) for moment in part.window))
    if not is_window(part.window) or asked != (part.request.start, part.request.end):
        return "its window is empty, too long, or not the one that it was asked for"
    beyond = part.beyond.results if part.beyond else ()
    if not all(region.folders for region in (*part.sites, *(result.region for result in beyond))):
        return "an account-region of it has no folder"
    told = [part.findings, *(result.findings for result in (*part.results, *beyond))]
    if not all(_adds_up(findings) for findings in told):
        return "it contradicts itself: its findings are not those that it counts"
    return None


def _adds_up(findings: Findings) -> bool:
    """Whether what is counted is what is kept, but for statuses of which more was found than is kept."""
    counted = {(rule, status): number for rule, status, number in findings.numbers}
    kept = Counter((finding.rule, finding.status) for finding in findings.kept)
    full = {status for status in Status if sum(kept[name] for name in kept if name[1] is status) >= KEPT_PER_STATUS}
    return (
        len(counted) == len(findings.numbers)
        and kept.keys() <= counted.keys()
        and all(number > 0 for number in counted.values())
        and all(number == kept[name] or (number > kept[name] and name[1] in full) for name, number in counted.items())
    )


def merge(parts: Sequence[tuple[str, Part]]) -> tuple[Outcome, Part]:
    """Fold parts, each with its name, into one outcome; the second value is a part that tells of the whole run.

    Raises `ConfigurationError` where there is none.
    """
    if not parts:
        raise ConfigurationError("expected the parts of a run")
    first = min((part for _, part in parts), key=lambda part: part.shard.number)
    found = FindingSet()
    taken: dict[int, Part] = {}
    for name, part in sorted(parts, key=lambda pair: (pair[1].shard.number, pair[0])):
        problem = _foreign(first, part) or ("is there twice" if part.shard.number in taken else None)
        if problem:
            found.add(_unproven(first, f"part {part.shard} ({name}) {problem}"))
        else:
            taken[part.shard.number] = part
            if part.interrupted:
                found.add(_unproven(first, f"part {part.shard} was interrupted before its end"))
    for number in range(1, first.shard.total + 1):
        if number not in taken:
            found.add(_unproven(first, f"part {Shard(number, first.shard.total)} is missing"))
    places = [place_of(site) for part in taken.values() for site in part.sites]
    whole = fingerprint(places) == first.plan
    if len(taken) == first.shard.total and not whole:
        found.add(_unproven(first, "the parts leave out an account-region of the run, or hold one twice"))
    whole = whole and not any(part.interrupted for part in taken.values())
    return _fold(first, [taken[number] for number in sorted(taken)], found, whole=whole), first


def _foreign(first: Part, part: Part) -> str | None:
    """Why a part does not belong to the run of another one."""
    for what, one, other in (
        ("version of ctvalidate", first.version, part.version),
        ("number of shards", first.shard.total, part.shard.total),
        ("window", first.window, part.window),
        ("source", first.request.source, part.request.source),
        ("trail", first.request.trail_arn, part.request.trail_arn),
        ("set of account-regions", first.plan, part.plan),
    ):
        if one != other:
            return f"is of another {what}"
    return None


def _fold(first: Part, parts: Sequence[Part], found: FindingSet, *, whole: bool) -> Outcome:
    """Fold parts that are `whole` or not: what a part that is missing or broke off may have seen is not called absent."""
    results = [result for part in parts for result in part.results]
    every = tuple(site for part in parts for site in part.sites)
    planned = {finding for part in parts for finding in part.findings.kept}  # each part has seen the same
    for finding in planned:
        found.add(finding)
    told = {finding.account for finding in planned if finding.account}
    if every and whole:
        seen = Seen(every, tuple(results), frozenset(told))
        results += judge(first.target, seen, [part.beyond for part in parts], first.window)
    judged = [report.chain for result in results for report in result.chains]
    empty = without_chain(first.target, judged, told) if whole else ()
    for account in empty:
        trail = first.target.trail or None
        found.add(Finding(rules.CHAIN_ABSENT, Status.UNCOVERED, account, None, trail, interval=first.window))
    for result in results:
        found.join(result.findings)
    return Outcome(
        chains_in_order(chain for result in results for chain in result.chains),
        found.freeze(),
        first.window,
        False,  # this run came to its end; what its parts did not look at is a finding
        empty,
        tuple({key for result in results for key in result.keys}),
        sum(result.bytes_hashed for result in results),
    )


def _unproven(first: Part, detail: str) -> Finding:
    trail = first.target.trail or None
    return Finding(rules.DIGEST_UNREADABLE, Status.UNVERIFIABLE, trail=trail, interval=first.window, detail=detail)
