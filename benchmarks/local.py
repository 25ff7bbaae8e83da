"""A local copy of a bucket on all cores, against nothing but reading, inflating and hashing the same files.

The bare loop runs on threads and as processes, one a core; ctvalidate is compared with the faster of the two.
The files are read once before the first round, so that all contenders find them in the page cache.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
from benchmarks.plan import SIXTY_KILOBYTES, Plan
from benchmarks.stored import specification
from benchmarks.validation import check, ctvalidate, percent, steady, window
from cloudtrail_validate.simulate import FolderSink, simulate


@dataclass(frozen=True, slots=True)
class Copy:
    """A simulated trail in a folder, and the file with its public keys."""

    plan: Plan
    folder: Path
    keys: Path

    def by_ctvalidate(self) -> Sample:
        """Validate it. Raises `WorkError` where not all of it was proven."""
        return self._validate(self.plan.hours)

    def by_ctvalidate_in_part(self) -> Sample:
        """Validate its first hour. Raises `WorkError` as above."""
        return self._validate(1)

    def by_threads(self) -> Sample:
        """Inflate and hash the logs on threads."""
        return self._bare("threads")[0]

    def by_processes(self) -> Sample:
        """Inflate and hash the logs in processes."""
        return self._bare("processes")[0]

    def inflated(self) -> int:
        """Bytes of all logs, inflated; has read every file."""
        return self._bare("threads")[1]

    def _bare(self, way: str) -> tuple[Sample, int]:
        sample, done = bare(way, str(self.folder))
        if done.objects != self.plan.logs:
            raise WorkError(f"bare loop: expected {self.plan.logs} logs, found {done.objects}")
        return sample, done.inflated

    def _validate(self, hours: int) -> Sample:
        place = ["--source", str(self.folder), "--public-keys", str(self.keys)]
        sample = run(ctvalidate(*place, *window(hours)), environment())
        return check(sample, digests=self.plan.hourly_digests(hours), logs=self.plan.logs * hours // self.plan.hours)


def write_copy(plan: Plan, folder: Path) -> Copy:
    """Simulate the plan's trail into a folder, signatures in sidecars."""
    tree, keys = folder / "copy", folder / "keys.json"
    simulation = simulate(specification(plan), FolderSink(tree))
    keys.write_text(simulation.keys.as_json(), encoding="utf-8")
    return Copy(plan, tree, keys)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__, runs=5)
    parser.add_argument("--hours", type=int, default=80, help="hours of the trail")
    parser.add_argument("--logs-per-hour", type=int, default=500)
    parser.add_argument("--events", type=int, default=SIXTY_KILOBYTES, help="in a log; 49 make about 60 kB inflated")
    given = parser.parse_args(arguments)
    plan = Plan(hours=given.hours, logs_per_hour=given.logs_per_hour, events=(given.events,))
    with tempfile.TemporaryDirectory(prefix="ctvalidate-benchmark-") as folder:
        copy = write_copy(plan, Path(folder))
        inflated = copy.inflated()
        contenders = {
            "ctvalidate": copy.by_ctvalidate,
            "bare loop, threads": copy.by_threads,
            "bare loop, processes": copy.by_processes,
            "ctvalidate, one hour": copy.by_ctvalidate_in_part,
        }
        samples = interleave(given.runs, contenders)
    part = samples.pop("ctvalidate, one hour")
    best = min(("bare loop, threads", "bare loop, processes"), key=lambda name: seconds_of(samples[name]))
    ours, loop = samples["ctvalidate"], samples[best]
    fraction = ratio_of([sample.seconds for sample in loop], [sample.seconds for sample in ours])
    rows = [
        [
            name,
            f"{inflated / 1e6 / seconds_of(taken):,.0f}",
            f"{plan.logs / seconds_of(taken):,.0f}",
            f"{cpu_of(taken) / plan.logs * 1e6:,.0f} µs",
        ]
        for name, taken in samples.items()
    ]
    rows.append(["fraction", f"{fraction:.0%}", "", f"of {best}"])
    rows.append(["once started", percent(steady(ours, part, loop, 1 / plan.hours)), "", f"of {best}"])
    page = Page(f"A local copy on {os.cpu_count()} cores", command_line("local", arguments))
    page.note(
        f"{plan.logs:,} logs of {inflated / plan.logs / 1000:.0f} kB inflated, {inflated / 1e6:,.0f} MB in all, "
        f"median of {given.runs} interleaved rounds. ctvalidate is the whole command, start-up included; of the bare "
        "loops only the loop is measured."
    )
    page.table(["", "MB/s inflated", "logs/s", "CPU per log"], rows).publish(given.append)


if __name__ == "__main__":
    main()
