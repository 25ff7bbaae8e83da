"""A second run with a memory that finds nothing new, against the full run: requests and CPU. And what a memory weighs.

Four weeks of 17 regions, each with logs of about 4 kB. The weight is measured as saved: of this trail by the hour and day,
and of states of 200 accounts, 17 regions and a year, whose fingerprints are random as real ones are.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.cost import counting
from benchmarks.harness import (
    Page,
    Sample,
    WorkError,
    command_line,
    cpu_of,
    environment,
    options,
    ratio_of,
    run,
    seconds_of,
)
from benchmarks.plan import Connections, Plan, Served
from benchmarks.server import serving
from benchmarks.validation import check, ctvalidate, window
from cloudtrail_validate.state.codec import decode, encode
from cloudtrail_validate.state.model import DAY, RegionState, State, Stretch, hour_of

_DAYS_A_YEAR = 365


def ask(served: Served, *more: str) -> Sample:
    """Validate all that is served."""
    plan = served.plan
    command = ctvalidate("--trail-arn", plan.trail_arn, *window(plan.hours), *more)
    return run(command, environment(served.endpoint, served.ca_file))


def in_full(served: Served, *more: str) -> Sample:
    """Read and prove everything. Raises `WorkError` where not all of it was."""
    return check(ask(served, *more), digests=served.plan.hourly_digests(), logs=served.plan.logs)


def again(served: Served, state: Path) -> Sample:
    """Validate with a memory of everything. Raises `WorkError` where anything was missing, or read although unchanged."""
    sample = check(ask(served, "--state", str(state), "--require-state"), digests=0, logs=0)
    chains = msgspec.json.decode(sample.output)["chains"]
    unchanged = [sum(chain.get(name, 0) for chain in chains) for name in ("unchanged_digests", "unchanged_logs")]
    expected = [served.plan.hourly_digests(), served.plan.logs]
    if unchanged != expected:
        raise WorkError(f"ctvalidate: expected {expected} unchanged digests and logs, got {unchanged}")
    return sample


def year_of(account: int, regions: int) -> State:
    """A state of one account, by the day, as a year leaves it."""
    chance, now = random.Random(account), datetime(2026, 1, 1, tzinfo=UTC)
    at = hour_of(now)
    first = at - _DAYS_A_YEAR * DAY
    held = [
        RegionState(
            f"{account:012d}",
            f"region-{number:02d}",
            "o-exampleorgid",
            tuple(
                Stretch(
                    first + day * DAY,
                    DAY,
                    chance.randbytes(32),
                    DAY,
                    chance.randrange(20_000),
                    at,
                    at,
                )
                for day in range(_DAYS_A_YEAR)
            ),
        )
        for number in range(regions)
    ]
    return State("s3://DOC-EXAMPLE-BUCKET/", None, now, 8_760, tuple(held))


def weigh(accounts: int, regions: int) -> tuple[int, float]:
    """Bytes of a year of so many accounts, one file each, and seconds to read all of them back."""
    size = 0
    taken = 0.0
    for account in range(accounts):
        data = encode(year_of(account, regions))
        size += len(data)
        began = time.perf_counter()
        decode(data, "state")
        taken += time.perf_counter() - began
    return size, taken


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__)
    parser.add_argument("--days", type=int, default=28, help="one signing key is valid for 30 days")
    parser.add_argument("--regions", type=int, default=17)
    parser.add_argument("--logs", type=int, default=16, help="an hour and region")
    parser.add_argument("--accounts", type=int, default=200, help="of the states that are weighed")
    given = parser.parse_args(arguments)
    plan = Plan(
        objects="made-up",
        regions=given.regions,
        busy_regions=given.regions,
        hours=given.days * DAY,
        logs_per_hour=given.logs,
    )
    asked: dict[str, list[Connections]] = {"full": [], "begun": [], "again": []}
    samples: dict[str, list[Sample]] = {name: [] for name in asked}
    with serving(plan) as served, tempfile.TemporaryDirectory() as folder:
        for number in range(given.runs):
            state = Path(folder) / f"{number}.state"
            for name, contender in (
                ("full", lambda: in_full(served)),
                ("begun", lambda state=state: in_full(served, "--state", str(state))),
                ("again", lambda state=state: again(served, state)),
            ):
                samples[name].append(counting(served, contender, asked[name])())
        saved = state.stat().st_size
    publish(given, command_line("remembered", arguments), plan, samples, asked, saved)


def publish(
    given: argparse.Namespace,
    called: str,
    plan: Plan,
    samples: dict[str, list[Sample]],
    asked: dict[str, list[Connections]],
    saved: int,
) -> None:
    """The page."""
    names = {"full": "full run", "begun": "full run that begins a memory", "again": "nothing new"}
    rows = [
        [
            words,
            f"{asked[name][-1].requests:,}",
            f"{asked[name][-1].requests / asked['full'][-1].requests:.2%}",
            f"{cpu_of(samples[name]):.2f} s",
            f"{ratio_of([one.cpu for one in samples[name]], [one.cpu for one in samples['full']]):.1%}",
            f"{seconds_of(samples[name]):.2f} s",
        ]
        for name, words in names.items()
    ]
    page = Page("A memory that finds nothing new", called)
    page.note(
        f"{plan.hours // DAY} days, {plan.regions} regions, {plan.hourly_digests():,} digests, {plan.logs:,} logs; median "
        f"of {given.runs} rounds; whole commands, start-up included."
    )
    page.table(["", "requests", "of full", "CPU", "of full", "time"], rows)
    size, taken = weigh(given.accounts, plan.regions)
    days = plan.regions * plan.hours // DAY
    year = given.accounts * plan.regions * _DAYS_A_YEAR
    page.note(
        f"The memory of this trail weighs {saved:,} bytes, {saved / days:.1f} an account-region and day, hours and edges "
        f"included. A year of {given.accounts} accounts in {plan.regions} regions, {year:,} account-region-days in a "
        f"file an account, weighs {size / 1e6:.1f} MB, {size / year:.1f} bytes each, and is read in {taken:.1f} s."
    ).publish(given.append)


if __name__ == "__main__":
    main()
