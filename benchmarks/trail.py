"""aws-cli and ctvalidate on one trail in S3, start-up included, and a loop that only fetches, inflates and hashes.

Without latency both validate the whole trail. With latency aws-cli, which reads one object after the other, validates
only the first hours, and what that took is scaled by the number of objects.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from benchmarks.bare import bare
from benchmarks.harness import (
    Page,
    Sample,
    WorkError,
    command_line,
    cpu_of,
    environment,
    interleave,
    options,
    ratio_of,
    run,
    seconds_of,
)
from benchmarks.plan import HOUR, START, Plan, Served
from benchmarks.server import serving
from benchmarks.validation import percent, steady, validate

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_VALID = re.compile(rb"([0-9]+)/([0-9]+) (digest|log) files valid")


@dataclass(frozen=True, slots=True)
class Work:
    """So many hours of a served trail, from its beginning."""

    served: Served
    hours: int

    @property
    def logs(self) -> int:
        """Logs of those hours."""
        return self.hours * self.served.plan.logs_per_hour

    @property
    def objects(self) -> int:
        """Logs and digests, the starting one left out: it covers the hour before."""
        return self.logs + self.hours

    def by_ctvalidate(self) -> Sample:
        """Validate with ctvalidate. Raises `WorkError` where not all of it was proven."""
        return validate(self.served, self.hours)

    def by_aws_cli(self) -> Sample:
        """Validate with aws-cli. Raises `WorkError` where not all of it was called valid.

        Its window is closed: one that ends at the full hour takes in the hour that begins there.
        """
        end = START + self.hours * HOUR - timedelta(seconds=1)
        times = ["--start-time", f"{START:{_TIME}}", "--end-time", f"{end:{_TIME}}"]
        place = ["--trail-arn", self.served.plan.trail_arn]
        command = [sys.executable, "-m", "awscli", "cloudtrail", "validate-logs", *place, *times]
        sample = run(command, environment(self.served.endpoint))
        valid = {sort: (int(good), int(of)) for good, of, sort in _VALID.findall(sample.output)}
        logs, digests = valid.get(b"log", (0, 0)), valid.get(b"digest", (0, 0))
        if sample.code or logs != (self.logs, self.logs) or min(digests) < self.hours:
            raise WorkError(f"aws-cli: expected {self.logs} valid logs, got {valid}: {sample.words()}")
        return sample

    def by_bare_loop(self, tasks: int) -> Sample:
        """Fetch, inflate and hash all logs of the trail."""
        sample, done = bare("s3", self.served.endpoint, str(tasks))
        if done.objects != self.logs:
            raise WorkError(f"bare loop: expected {self.logs} logs, found {done.objects}")
        return sample


@dataclass(frozen=True, slots=True)
class Outcome:
    """One latency's samples, and the work they stand for."""

    whole: Work
    sample: Work
    samples: dict[str, list[Sample]]

    def rows(self, latency: float) -> list[list[str]]:
        """The table's lines for this latency."""
        ours, theirs, bare_ = (self.samples[name] for name in ("ctvalidate", "aws-cli", "bare loop"))
        hour = self.samples["ctvalidate, one hour"]
        start_up = f"{seconds_of(hour):.2f} s for one hour alone"
        scale = self.whole.objects / self.sample.objects
        times = ratio_of([sample.seconds * scale for sample in theirs], [sample.seconds for sample in ours])
        work = ratio_of([sample.cpu * scale for sample in theirs], [sample.cpu for sample in ours])
        at = f"{latency * 1000:.0f} ms"
        return [
            [f"{at}: ctvalidate", *_speed(self.whole.logs, self.whole.objects, ours), start_up],
            [f"{at}: aws-cli", *_speed(self.sample.logs, self.sample.objects, theirs), f"{self.sample.logs:,} logs"],
            [f"{at}: ratio", f"{times:.1f} x", f"{work:.1f} x", "ctvalidate against aws-cli"],
            [f"{at}: bare loop", *_speed(self.whole.logs, self.whole.logs, bare_), "the loop alone"],
            [f"{at}: fraction", f"{self.fraction():.0%}", "", "of the bare loop"],
            [f"{at}: once started", percent(self.started()), "", "of the bare loop"],
        ]

    def fraction(self) -> float:
        """The share of the bare loop's rate that the whole command reaches, start-up included."""
        ours, bare_ = self.samples["ctvalidate"], self.samples["bare loop"]
        return ratio_of([sample.seconds for sample in bare_], [sample.seconds for sample in ours])

    def started(self) -> float | None:
        """The same for what the whole trail takes longer than its first hour."""
        ours, part, bare_ = (self.samples[name] for name in ("ctvalidate", "ctvalidate, one hour", "bare loop"))
        return steady(ours, part, bare_, 1 / self.whole.hours)


def measure(plan: Plan, runs: int, sample_hours: int, tasks: int) -> Outcome:
    """Measure at one latency. aws-cli is given `sample_hours` of the trail."""
    with serving(plan) as served:
        whole, sample, hour = Work(served, plan.hours), Work(served, sample_hours), Work(served, 1)
        contenders: dict[str, Callable[[], Sample]] = {
            "ctvalidate": whole.by_ctvalidate,
            "aws-cli": sample.by_aws_cli,
            "bare loop": partial(whole.by_bare_loop, tasks),
            "ctvalidate, one hour": hour.by_ctvalidate,
        }
        return Outcome(whole, sample, interleave(runs, contenders))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__)
    parser.add_argument("--hours", type=int, default=24, help="hours of the trail")
    parser.add_argument("--logs-per-hour", type=int, default=500)
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.03], help="of every answer, in seconds")
    parser.add_argument("--sample-hours", type=int, default=1, help="hours for aws-cli where there is latency")
    parser.add_argument("--tasks", type=int, default=256, help="of the bare loop")
    given = parser.parse_args(arguments)
    rows: list[list[str]] = []
    for latency in given.latency:
        plan = Plan(hours=given.hours, logs_per_hour=given.logs_per_hour, latency=latency)
        outcome = measure(plan, given.runs, given.sample_hours if latency else given.hours, given.tasks)
        rows += outcome.rows(latency)
    page = Page("One trail in S3", command_line("trail", arguments))
    page.note(
        f"{given.hours * given.logs_per_hour:,} logs of about 4 kB compressed in {given.hours} hours, "
        f"median of {given.runs} interleaved rounds; whole commands, start-up included. "
        "Where aws-cli had fewer logs, its rate is theirs and the ratio is scaled by the number of objects."
    )
    page.table(["", "logs/s", "CPU per object", ""], rows).publish(given.append)


def _speed(logs: int, objects: int, samples: Sequence[Sample]) -> list[str]:
    return [f"{logs / seconds_of(samples):,.0f}", f"{cpu_of(samples) / objects * 1e6:,.0f} µs"]


if __name__ == "__main__":
    main()
