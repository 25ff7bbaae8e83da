"""An organization with hardly anything in it: 200 accounts in 17 regions for a day, against one busy trail.

The home region of each account has one log an hour, all other digests are empty. What a digest costs here is compared
with what an object of the busy trail (that of `benchmarks.trail`) costs in the same rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.harness import (
    Page,
    Sample,
    command_line,
    cpu_of,
    interleave,
    options,
    ratio_of,
    seconds_of,
)
from benchmarks.plan import Plan
from benchmarks.server import serving
from benchmarks.validation import ONE_PROCESS, validate


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--regions", type=int, default=17)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--busy-logs", type=int, default=500, help="an hour, of the busy trail")
    given = parser.parse_args(arguments)
    wide = Plan(objects="made-up", accounts=given.accounts, regions=given.regions, hours=given.hours, logs_per_hour=1)
    busy = Plan(hours=given.hours, logs_per_hour=given.busy_logs)
    plans = {"organization": wide, "busy trail": busy}
    with serving(wide) as organization, serving(busy) as trail:
        contenders = {
            "organization": partial(validate, organization, options=ONE_PROCESS),
            "busy trail": partial(validate, trail, options=ONE_PROCESS),
        }
        samples = interleave(given.runs, contenders)
    objects = {name: plan.hourly_digests() + plan.logs for name, plan in plans.items()}
    rows = []
    for name, plan in plans.items():
        taken, number = samples[name], objects[name]
        rows.append(
            [
                name,
                f"{plan.hourly_digests():,}",
                f"{plan.logs:,}",
                f"{seconds_of(taken):.1f} s",
                f"{number / seconds_of(taken):,.0f}",
                f"{cpu_of(taken) / number * 1e6:,.0f} µs",
                _peak(taken),
            ]
        )
    times, work = (
        ratio_of(
            [getattr(sample, what) / objects["organization"] for sample in samples["organization"]],
            [getattr(sample, what) / objects["busy trail"] for sample in samples["busy trail"]],
        )
        for what in ("seconds", "cpu")
    )
    rows.append(["ratio per object", "", "", f"{times:.2f} x", "", f"{work:.2f} x", ""])
    page = Page("An organization of quiet accounts", command_line("organization", arguments))
    page.note(
        f"{given.accounts} accounts, {given.regions} regions, {given.hours} hours; median of {given.runs} interleaved "
        "rounds; whole commands, start-up included."
    )
    head = ["", "digests", "logs", "time", "objects/s", "CPU per object", "peak memory"]
    page.table(head, rows).publish(given.append)


def _peak(samples: Sequence[Sample]) -> str:
    return f"{max(sample.peak for sample in samples) / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
