"""How soon an altered log is named: the time until the first line on either stream that holds its key and its status.

Two logs of a long trail are altered, the first one of its newest hour and the first one of its oldest. `--verbose`
writes a line an object as it is checked; `--format jsonl` is measured without it, by the findings it writes itself.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import IO

from benchmarks.harness import ROOT, Page, Sample, WorkError, command_line, environment, interleave, options
from benchmarks.plan import FOUR_KILOBYTES, Plan, Served
from benchmarks.server import serving
from benchmarks.validation import ctvalidate, window

_CHANGED = 1  # the contract's exit code for evidence of change


@dataclass(slots=True)
class Watch:
    """Reads a command's streams as they come, and notes when each name first stood in a line with `altered`."""

    names: tuple[bytes, ...]
    began: float = field(default_factory=time.perf_counter)
    seen: dict[bytes, float] = field(default_factory=dict)

    def read(self, stream: IO[bytes]) -> None:
        """Read one stream to its end."""
        for line in stream:
            if b"altered" in line:
                for name in self.names:
                    if name in line:
                        self.seen.setdefault(name, time.perf_counter() - self.began)


def first_lines(served: Served, names: tuple[bytes, ...], format_: str, times: list[tuple[float, ...]]) -> Sample:
    """Run ctvalidate, and add to `times` when each altered log was named and when the command ended, in seconds."""
    place = ["--trail-arn", served.plan.trail_arn, *window(served.plan.hours)]
    verbose = [] if format_ == "jsonl" else ["--verbose"]
    command = ctvalidate(*place, *verbose, format_=format_)
    watch = Watch(names)
    env = environment(served.endpoint)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        readers = [
            threading.Thread(target=watch.read, args=(stream,)) for stream in (process.stdout, process.stderr) if stream
        ]
        for reader in readers:
            reader.start()
        code = process.wait()
        for reader in readers:
            reader.join()
    seconds = time.perf_counter() - watch.began
    if code != _CHANGED or set(watch.seen) != set(names):
        raise WorkError(f"ctvalidate: expected exit code 1 and {len(names)} logs named, got {code} and {watch.seen}")
    times.append((*(watch.seen[name] for name in names), seconds))
    return Sample(seconds, 0.0, 0, code, b"", b"")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--logs-per-hour", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.03, help="of every answer, in seconds")
    parser.add_argument("--format", default="json", help="of the report")
    given = parser.parse_args(arguments)
    newest = given.hours - 1
    plan = Plan(
        objects="made-up",
        hours=given.hours,
        logs_per_hour=given.logs_per_hour,
        events=(FOUR_KILOBYTES,) * 8,
        altered=((newest, 0), (0, 0)),
        latency=given.latency,
    )
    names = tuple(f"_{hour:06d}{number:010d}.json.gz".encode() for hour, number in plan.altered)
    times: list[tuple[float, ...]] = []
    with serving(plan) as served:
        interleave(given.runs, {"ctvalidate": partial(first_lines, served, names, given.format, times)})
    what = ["altered log of the newest hour named", "altered log of the oldest hour named", "end of the command"]
    whole = median(run[-1] for run in times)
    middle = [median(run[column] for run in times) for column in range(len(what))]
    rows = [[name, f"{seconds:.2f} s", f"{seconds / whole:.0%}"] for name, seconds in zip(what, middle, strict=True)]
    page = Page("The first finding", command_line("first_finding", arguments))
    page.note(
        f"{plan.logs:,} logs in {plan.hours} hours, {given.latency * 1000:.0f} ms latency, median of {given.runs} runs "
        "from the start of the process."
    )
    page.table(["", "after", "of the whole"], rows).publish(given.append)


if __name__ == "__main__":
    main()
