"""A very large run on paper: what it asks of S3, and how long so many parts take on so many machines.

The prices of an object are measured (benchmarks.cost); everything else here is arithmetic and a simulation. Account-regions
are dealt out by the program's own `core.shards.deal`; a part then waits for a machine, starts, lists which account-regions
there are, as each part does, validates its own on all cores, and now and then loses its machine and begins again. `--merge`
measures the one step that is not divided: the merge, of account-regions made up, with the program's own code.
"""

from __future__ import annotations

import heapq
import random
import resource
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import exp
from typing import Final

from benchmarks.harness import MEMORY_UNIT, Page, command_line, options
from benchmarks.plan import REGIONS
from cloudtrail_validate.core.findings import Findings
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import ChainId, ChainReport, Counts, Interval, Kind, Locator
from cloudtrail_validate.core.plan import AccountRegion, Edge, Target
from cloudtrail_validate.core.shards import Place, Shard, deal
from cloudtrail_validate.distribute.parts import Part, decode, encode, fingerprint, merge, place_of
from cloudtrail_validate.engine.stages import RegionResult
from cloudtrail_validate.report import RequestEcho, Run
from cloudtrail_validate.report.build import build
from cloudtrail_validate.report.json import render

GET, LIST = 0.4e-6, 5e-6  # dollars a request, S3 Standard in us-east-1 by its price list
PAGE: Final = 1000  # keys of a listing request
LISTS_A_REGION: Final = 4  # of digests and around them; further ones for each page and each month
LISTS_AN_ACCOUNT: Final = 2  # by which each part finds the account-regions
A_LIST: Final = 0.36e-3  # seconds of CPU: an account-region of one digest takes 1.4 ms, nearly all of it four listings
_DISPERSION: Final = 0.15  # of the time that equal work takes on equal machines, as sigma of a lognormal distribution
_HEAVY: Final = 2.0  # sigma of how logs are spread over account-regions: 1 % of them have 38 % of the logs


@dataclass(frozen=True, slots=True)
class World:
    """What there is to validate, and what an object of it costs in seconds of CPU."""

    accounts: int
    regions: int
    hours: int
    logs: int
    digest: float
    log: float

    @property
    def account_regions(self) -> int:
        """Their number."""
        return self.accounts * self.regions

    @property
    def digests(self) -> int:
        """Their number."""
        return self.account_regions * self.hours

    def lists(self, parts: int) -> int:
        """Listing requests of a run in so many parts, each of which finds the account-regions by itself."""
        months, days = -(-self.hours // 730), -(-self.hours // 24)
        busy = min(self.account_regions * days, self.logs)  # date folders of logs that hold any
        of_digests = self.account_regions * (LISTS_A_REGION + months + self.hours // PAGE)
        return of_digests + busy + self.logs // PAGE + parts * self.accounts * LISTS_AN_ACCOUNT

    def work(self, generator: random.Random) -> dict[Place, float]:
        """Seconds of CPU of each account-region; logs are spread unevenly, as they are."""
        places = [
            ("", f"{account:012}", f"r{region:02}")
            for account in range(self.accounts)
            for region in range(self.regions)
        ]
        each = self.hours * self.digest + A_LIST * (LISTS_A_REGION + self.hours // PAGE)
        if not self.logs:
            return dict.fromkeys(places, each)
        weights = [exp(generator.gauss(0, _HEAVY)) for _ in places]
        whole = sum(weights)
        return {
            place: each + self.logs * weight / whole * self.log for place, weight in zip(places, weights, strict=True)
        }


@dataclass(frozen=True, slots=True)
class Fleet:
    """Machines, seconds until a part's program starts there, and the chance that a part loses its machine."""

    machines: int
    cores: int
    start: float
    loss: float


def dealt(work: dict[Place, float], parts: int) -> list[tuple[float, float]]:
    """Seconds of CPU of each part: all of it, and its largest account-region."""
    own, largest = [0.0] * parts, [0.0] * parts
    for place, number in deal(work, parts).items():
        own[number - 1] += work[place]
        largest[number - 1] = max(largest[number - 1], work[place])
    return list(zip(own, largest, strict=True))


def makespan(parts: Sequence[tuple[float, float]], world: World, fleet: Fleet, generator: random.Random) -> float:
    """Seconds until the last part (`dealt`) is done."""
    finding = world.accounts * LISTS_AN_ACCOUNT * A_LIST  # on one core: it is not divided
    free = [0.0] * fleet.machines
    waiting = deque(parts)
    while waiting:
        part = waiting.popleft()
        own, largest = part
        begun = heapq.heappop(free)
        # Logs of a large account-region are cut, but its digests are one core's work: no part ends before these.
        needed = max(own / fleet.cores, min(largest, world.hours * world.digest))
        took = fleet.start + (finding + needed) * exp(generator.gauss(0, _DISPERSION))
        if generator.random() < fleet.loss:
            took *= generator.random()
            waiting.append(part)
        heapq.heappush(free, begun + took)
    return max(free)


def merged(regions: int, parts: int) -> tuple[float, int, int, int]:
    """Merge so many account-regions, made up: seconds of CPU, bytes of all parts, of the report, and of memory at most."""
    window = Interval(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    trail, home = "management-events", "us-east-1"
    names = [*REGIONS, *(f"eu-other-{number}" for number in range(len(REGIONS), 30))]
    sites, results = [], []
    for number in range(regions):
        account, region = f"{number // 30:012}", names[number % 30]
        chain = ChainId(account, region, trail, home, "o-exampleorgid", Kind.STANDARD)
        folder = Folder("amzn-s3-demo-bucket", "AWSLogs/o-exampleorgid/", account, region)
        site = AccountRegion(account, region, (folder,), trail=trail)
        edge = Edge(chain, Locator(folder.bucket, f"{number:0120}"), f"{number:064}", f"{number:0512}", window.end)
        report = ChainReport(chain, Counts(valid=8760), Counts(valid=1000), (window,))
        sites.append(site)
        results.append(RegionResult(site, (report,), Findings(), trails=(chain,), edges=(edge,)))
    plan = fingerprint(place_of(site) for site in sites)
    echo = RequestEcho(
        trail_arn=None, start=window.start, end=window.end, source="s3://amzn-s3-demo-bucket/", regions=(), accounts=()
    )
    ran = Run(started=window.end, finished=window.end, caller_arn=None)
    frames = [
        encode(
            Part(
                version="0.1.0",
                shard=Shard(number + 1, parts),
                plan=plan,
                request=echo,
                run=ran,
                window=window,
                target=Target("amzn-s3-demo-bucket", None),
                tolerate=(),
                sites=tuple(sites[number::parts]),
                results=tuple(results[number::parts]),
                findings=Findings(),
            )
        )
        for number in range(parts)
    ]
    del sites, results
    began = time.process_time()
    outcome, first = merge([(str(number), decode(frame, "")) for number, frame in enumerate(frames)])
    text = render(build(outcome, first.request, first.run))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MEMORY_UNIT
    return time.process_time() - began, sum(map(len, frames)), len(text), peak


def rows_of(world: World, parts: Sequence[int], fleets: Sequence[Fleet], rounds: int) -> list[list[str]]:
    """The table's lines: for each number of parts the hours on each fleet, the worst of some rounds."""
    work = world.work(random.Random(1))  # a simulation, to be repeated
    ideal = sum(work.values()) / 3600
    rows = [["if nothing were lost", *(f"{ideal / (fleet.machines * fleet.cores):.2f} h" for fleet in fleets), ""]]
    for number in parts:
        each_part = dealt(work, number)
        hours = [
            max(makespan(each_part, world, fleet, random.Random(seed)) for seed in range(rounds)) / 3600
            for fleet in fleets
        ]
        dollars = world.lists(number) * LIST
        rows.append([f"{number:,} parts", *(f"{each:.2f} h" for each in hours), f"${dollars:,.0f}"])
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute and publish."""
    parser = options(__doc__)
    parser.add_argument("--accounts", type=int, default=5000)
    parser.add_argument("--regions", type=int, default=30)
    parser.add_argument("--hours", type=int, default=8760)
    parser.add_argument("--logs", type=int, default=0)
    parser.add_argument(
        "--digest", type=float, default=100, help="microseconds of CPU, as benchmarks.cost measures them"
    )
    parser.add_argument("--log", type=float, default=75, help="likewise")
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 20, 80, 320, 1280, 5000, 10_000])
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--start", type=float, default=60.0, help="seconds until a part's program starts")
    parser.add_argument("--loss", type=float, default=0.02, help="chance that a part loses its machine")
    parser.add_argument("--merge", type=int, default=0, help="also merge so many account-regions, made up")
    given = parser.parse_args(arguments)
    world = World(given.accounts, given.regions, given.hours, given.logs, given.digest / 1e6, given.log / 1e6)
    fleets = [Fleet(machines, given.cores, given.start, given.loss) for machines in given.machines]
    page = Page("A very large run on paper", command_line("schedule", arguments))
    gets = world.digests + world.logs
    page.note(
        f"{world.accounts:,} accounts in {world.regions} regions for {timedelta(hours=world.hours).days:,} days: "
        f"{world.digests:,} digests of {given.digest:g} µs and {world.logs:,} logs of {given.log:g} µs, "
        f"{(world.digests * world.digest + world.logs * world.log) / 3600:,.0f} core-hours; "
        f"{gets:,} GET for ${gets * GET:,.0f}. The worst of {given.runs} rounds."
    )
    head = ["", *(f"{fleet.machines} x {fleet.cores} cores" for fleet in fleets), "LIST"]
    page.table(head, rows_of(world, given.parts, fleets, given.runs))
    if given.merge:
        parts = 320
        seconds, size, report, peak = merged(given.merge, parts)
        page.note(
            f"To merge {given.merge:,} account-regions in {parts} parts takes {seconds:.1f} s of a core: parts of "
            f"{size / 1e6:,.0f} MB in all, a JSON report of {report / 1e6:,.0f} MB, {peak / 1e6:,.0f} MB of memory."
        )
    page.publish(given.append)


if __name__ == "__main__":
    main()
