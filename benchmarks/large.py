"""Large logs from S3 on this computer, against the rate at which one core inflates and hashes them from memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.bare import bare
from benchmarks.harness import (
    Page,
    Sample,
    WorkError,
    command_line,
    cpu_of,
    interleave,
    options,
    ratio_of,
    seconds_of,
)
from benchmarks.plan import Plan, Served
from benchmarks.server import serving
from benchmarks.validation import percent, steady, validate


def one_core(served: Served) -> Sample:
    """Inflate and hash all logs from memory on one thread."""
    sample, done = bare("core", served.endpoint)
    if done.objects != served.plan.logs:
        raise WorkError(f"bare loop: expected {served.plan.logs} logs, found {done.objects}")
    return sample


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__, runs=5)
    parser.add_argument("--logs", type=int, default=50, help="an hour")
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument(
        "--events", type=int, nargs="+", default=[1700, 4200, 8400, 16800], help="in a log, in turn; 840 make 1 MB"
    )
    given = parser.parse_args(arguments)
    plan = Plan(objects="made-up", hours=given.hours, logs_per_hour=given.logs, events=tuple(given.events))
    with serving(plan) as served:
        inflated = bare("core", served.endpoint)[1].inflated
        contenders = {
            "ctvalidate": partial(validate, served, by_bucket=True),
            "one core": partial(one_core, served),
            "ctvalidate, one hour": partial(validate, served, 1, by_bucket=True),
        }
        samples = interleave(given.runs, contenders)
    ours, core, part = samples.values()
    rows = [
        [name, f"{inflated / 1e6 / seconds_of(taken):,.0f}", f"{cpu_of(taken):.2f} s", f"{_peak(taken):,.0f} MB"]
        for name, taken in (("ctvalidate", ours), ("one core", core))
    ]
    ratio = ratio_of([sample.seconds for sample in core], [sample.seconds for sample in ours])
    rows.append(["ratio", percent(ratio), "", ""])
    rows.append(["ratio once started", percent(steady(ours, part, core, 1 / plan.hours)), "", ""])
    page = Page("Large logs from S3", command_line("large", arguments))
    page.note(
        f"{plan.logs:,} logs of {inflated / plan.logs / 1e6:.1f} MB inflated (mean), {inflated / 1e6:,.0f} MB in all, "
        f"median of {given.runs} interleaved rounds. ctvalidate is the whole command, start-up included, and shares "
        "the computer with the responder; one core has all logs in memory and only inflates and hashes."
    )
    page.table(["", "MB/s inflated", "CPU", "peak memory"], rows).publish(given.append)


def _peak(samples: Sequence[Sample]) -> float:
    return max(sample.peak for sample in samples) / 1e6


if __name__ == "__main__":
    main()
