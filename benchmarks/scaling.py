"""How the rate grows with processes, and what `auto` makes of it: one curve for S3, one for a local copy.

In S3 `--executor local:N` is asked for with N from 1 to the cores there are. The responder needs some of the same cores,
about a fifth of what ctvalidate needs, so on few of them it is part of the limit. Where the kernel lets itself be told to
(root, cgroups) the same is measured on slow cores, a fraction of a real one for each process. A local copy is hashed by one
process a core in any case, so there the cores are rationed instead (`sched_setaffinity`). What `auto` does is measured on
either side of where it changes its mind.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import Page, Sample, command_line, cpu_of, interleave, options, ratio_of, seconds_of
from benchmarks.local import write_copy
from benchmarks.plan import SIXTY_KILOBYTES, Plan
from benchmarks.server import serving
from benchmarks.shares import controller, shares
from benchmarks.validation import validate
from cloudtrail_validate.runtime.limits import cores


def steps(most: int) -> list[int]:
    """Numbers of processes to try: 1, 2, 4 and so on, and all cores."""
    return sorted({most, *(1 << power for power in range(most.bit_length()))})


def on_cores(number: int, work: Callable[[], Sample]) -> Sample:
    """Do some work on the first cores of those that this process may use, its commands included. Linux only."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:number])
    try:
        return work()
    finally:
        os.sched_setaffinity(0, allowed)


def curve(samples: dict[str, list[Sample]], objects: int) -> list[list[str]]:
    """A table's lines: rate, the rate to that of the first, and CPU an object of all processes together."""
    first = next(iter(samples.values()))
    return [
        [
            name,
            f"{objects / seconds_of(taken):,.0f}",
            f"{objects / min(sample.seconds for sample in taken):,.0f}",
            f"{ratio_of([sample.seconds for sample in first], [sample.seconds for sample in taken]):.2f} x",
            f"{cpu_of(taken) / objects * 1e6:,.0f} µs",
        ]
        for name, taken in samples.items()
    ]


def from_s3(runs: int, hours: int, logs: int, most: int) -> tuple[list[list[str]], int]:
    """The curve for one busy trail in S3, and its number of logs."""
    plan = Plan(objects="made-up", hours=hours, logs_per_hour=logs)
    with serving(plan) as served:
        contenders = {
            f"local:{number}": partial(validate, served, options={"executor": f"local:{number}"})
            for number in steps(most)
        }
        return curve(interleave(runs, contenders), plan.logs), plan.logs


def on_slow_cores(runs: int, hours: int, logs: int, share: float, most: int) -> tuple[list[list[str]], int]:
    """The curve for the same trail where each process has a share of a core, and the responder what is left."""
    plan = Plan(objects="made-up", hours=hours, logs_per_hour=logs)

    def rationed(number: int) -> Sample:
        with shares(share, number + 1):
            return validate(served, options={"executor": f"local:{number}"})

    with serving(plan) as served:
        contenders = {f"local:{number}": partial(rationed, number) for number in steps(most)}
        return curve(interleave(runs, contenders), plan.logs), plan.logs


def from_a_copy(runs: int, hours: int, logs: int, events: int, most: int) -> tuple[list[list[str]], int]:
    """The curve for a local copy, and its number of logs."""
    plan = Plan(hours=hours, logs_per_hour=logs, events=(events,))
    with tempfile.TemporaryDirectory(prefix="ctvalidate-benchmark-") as folder:
        copy = write_copy(plan, Path(folder))
        copy.inflated()
        contenders = {
            f"{number} cores" if number > 1 else "1 core": partial(on_cores, number, copy.by_ctvalidate)
            for number in steps(most)
        }
        return curve(interleave(runs, contenders), plan.logs), plan.logs


def decided(runs: int, sizes: Sequence[int], most: int) -> list[list[str]]:
    """What one process, one a core and `auto` take for trails of so many logs."""
    rows = []
    for size in sizes:
        plan = Plan(objects="made-up", hours=4, logs_per_hour=size // 4)
        with serving(plan) as served:
            ways = ("local:1", f"local:{most}", "auto")
            samples = interleave(runs, {way: partial(validate, served, options={"executor": way}) for way in ways})
        rows.append([f"{plan.logs:,}", *(f"{seconds_of(taken):.2f} s" for taken in samples.values())])
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--logs-per-hour", type=int, default=2500, help="in S3")
    parser.add_argument("--share", type=float, default=0.4, help="of a core, for each process, where that can be had")
    parser.add_argument("--copied", type=int, default=2500, help="logs an hour of the local copy")
    parser.add_argument("--events", type=int, default=SIXTY_KILOBYTES, help="in a log of the local copy")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 15_000, 30_000, 60_000], help="logs, for auto")
    given = parser.parse_args(arguments)
    number_of_cores = cores()
    head = ["", "logs/s", "logs/s, best", "to the first", "CPU a log"]
    page = Page(f"Scaling on {number_of_cores} cores", command_line("scaling", arguments))
    rows, number = from_s3(given.runs, given.hours, given.logs_per_hour, number_of_cores)
    page.note(f"{number:,} logs of about 4 kB in S3, whole commands; the responder shares the cores.").table(head, rows)
    if controller() is not None:
        most = max(1, int((number_of_cores - 0.5) / given.share))
        rows, number = on_slow_cores(given.runs, given.hours, given.logs_per_hour, given.share, most)
        page.note(
            f"{number:,} logs in S3 where every process may use {given.share:.0%} of a core (`benchmarks.shares`), and the "
            "responder has the rest to itself."
        ).table(head, rows)
    if sys.platform == "linux":
        rows, number = from_a_copy(given.runs, given.hours, given.copied, given.events, number_of_cores)
        page.note(f"{number:,} logs of a local copy, whole commands on so many of the cores.").table(head, rows)
    page.note("What the executors take as a trail grows; `auto` is the default.")
    page.table(
        ["logs", "local:1", f"local:{number_of_cores}", "auto"], decided(given.runs, given.sizes, number_of_cores)
    )
    page.publish(given.append)


if __name__ == "__main__":
    main()
