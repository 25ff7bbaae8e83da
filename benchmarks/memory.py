"""Peak memory and time as the number of logs grows: the same busy region for more and more hours, objects made up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import ROOT, Page, Sample, command_line, cpu_of, interleave, options, seconds_of
from benchmarks.plan import FOUR_KILOBYTES, MAX_HOURS, Plan
from benchmarks.server import serving
from benchmarks.validation import ONE_PROCESS, validate


def plan_of(logs: int, per_hour: int) -> Plan:
    """A plan of at least that many logs. Raises ValueError where one key's life is too short for them."""
    hours = -(-logs // per_hour)
    if hours > MAX_HOURS:
        raise ValueError(f"--logs-per-hour: expected at least {-(-logs // MAX_HOURS)} for {logs} logs, got {per_hour}")
    return Plan(objects="made-up", hours=hours, logs_per_hour=per_hour, events=(FOUR_KILOBYTES,) * 8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__, runs=1)
    parser.add_argument("--logs", type=int, nargs="+", default=[20_000, 100_000, 1_000_000], help="sizes, ascending")
    parser.add_argument("--logs-per-hour", type=int, default=5000)
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="other checkouts, each with its .venv")
    given = parser.parse_args(arguments)
    checkouts = {"": ROOT, **{f"{path.name}: ": path.resolve() for path in given.against}}
    taken: dict[str, list[tuple[Plan, list[Sample]]]] = {name: [] for name in checkouts}
    for logs in given.logs:
        plan = plan_of(logs, given.logs_per_hour)
        with serving(plan) as served:
            contenders = {
                name or "ctvalidate": partial(validate, served, checkout=path, options=ONE_PROCESS)
                for name, path in checkouts.items()
            }
            samples = interleave(given.runs, contenders)
        for name in checkouts:
            taken[name].append((plan, samples[name or "ctvalidate"]))
    page = Page("Memory and time as a trail grows", command_line("memory", arguments))
    page.note(
        f"{given.logs_per_hour:,} logs of about 4 kB an hour, of one region; whole commands of one process, start-up "
        "included."
    )
    head = ["logs", "peak memory", "to the first", "time", "to the one before", "logs/s", "CPU per object"]
    rows = [row for name in checkouts for row in rows_of(name, taken[name])]
    page.table(head, rows).publish(given.append)


def rows_of(name: str, sizes: Sequence[tuple[Plan, Sequence[Sample]]]) -> list[list[str]]:
    """The table's lines of one version."""
    rows: list[list[str]] = []
    least = 0
    before: tuple[int, float] | None = None
    for plan, taken in sizes:
        seconds, peak = seconds_of(taken), max(sample.peak for sample in taken)
        least = least or peak
        growth = f"{seconds / before[1]:.1f} x for {plan.logs / before[0]:.1f} x" if before else ""
        before = (plan.logs, seconds)
        rows.append(
            [
                f"{name}{plan.logs:,}",
                f"{peak / 1e6:,.0f} MB",
                f"{peak / least:.2f} x",
                f"{seconds:,.1f} s",
                growth,
                f"{plan.logs / seconds:,.0f}",
                f"{cpu_of(taken) / (plan.logs + plan.hours) * 1e6:,.0f} µs",
            ]
        )
    return rows


if __name__ == "__main__":
    main()
