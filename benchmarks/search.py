"""A search of a local copy against validating it alone: CPU time of whole commands, their processes included.

Every contender validates the same logs. Searches are of three sorts: such as pass over most logs by their bytes, such as
find something in many logs, and one that must parse every event.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from gzip import decompress
from pathlib import Path

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
from benchmarks.local import Copy, write_copy
from benchmarks.plan import Plan
from benchmarks.validation import window

PLANTED = 30  # events of 300,000 that are looked for by their ids


def events_of(copy: Copy, number: int) -> list[str]:
    """Ids of events that are spread over the logs."""
    logs = sorted(path for path in copy.folder.rglob("*.json.gz") if "CloudTrail" in path.parts)
    chosen = logs[:: max(1, len(logs) // number)][:number]
    return [json.loads(decompress(path.read_bytes()))["Records"][-1]["eventID"] for path in chosen]


def search(copy: Copy, *filters: str, found: int | None = None) -> Sample:
    """Search the copy. Raises `WorkError` where not everything was proven, or another number of events was found."""
    place = ["--source", str(copy.folder), "--public-keys", str(copy.keys), *window(copy.plan.hours)]
    command = [sys.executable, "-m", "cloudtrail_validate", "search", *place, *filters, "--format", "jsonl", "--quiet"]
    sample = run(command, environment())
    lines = sample.output.splitlines()
    proven = "--summary" in filters or all(line.startswith(b'{"proof":{"status":"proven"') for line in lines)
    if sample.code or not proven or (found is not None and len(lines) != found):
        raise WorkError(f"search: exit code {sample.code}, {len(lines)} events: {sample.words()}")
    return sample


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__, runs=5)
    parser.add_argument("--hours", type=int, default=6, help="hours of the trail")
    parser.add_argument("--logs-per-hour", type=int, default=500)
    parser.add_argument("--events", type=int, default=100, help="in a log")
    given = parser.parse_args(arguments)
    plan = Plan(hours=given.hours, logs_per_hour=given.logs_per_hour, events=(given.events,))
    with tempfile.TemporaryDirectory(prefix="ctvalidate-benchmark-") as folder:
        copy = write_copy(plan, Path(folder))
        inflated = copy.inflated()
        ids = events_of(copy, PLANTED)
        by_id = [part for one in ids for part in ("--event-id", one)]
        contenders: dict[str, Callable[[], Sample]] = {
            "validation alone": copy.by_ctvalidate,
            "an event that is nowhere": lambda: search(copy, "--event", "ConsoleLogin", found=0),
            f"{len(ids)} events by id": lambda: search(copy, *by_id, found=len(ids)),
            "three questions with names": lambda: search(
                copy, "--use", "root-use", "--use", "policy-change", "--use", "trail-change"
            ),
            "an address": lambda: search(copy, "--ip", "203.0.113.77"),
            "JMESPath with a literal": lambda: search(copy, "--where", "userIdentity.type == 'Root'", found=0),
            "an event in every log": lambda: search(copy, "--event", "StartInstances"),
            "all events, by principal": lambda: search(copy, "--summary"),
        }
        samples = interleave(given.runs, contenders)
    alone = samples["validation alone"]
    rows = [
        [
            name,
            f"{cpu_of(taken):.2f} s",
            f"{ratio_of([one.cpu for one in taken], [one.cpu for one in alone]):.2f} x",
            f"{seconds_of(taken):.2f} s",
            f"{max(sample.peak for sample in taken) / 1e6:.0f} MB",
            ""
            if name in ("validation alone", "all events, by principal")
            else f"{len(taken[0].output.splitlines()):,}",
        ]
        for name, taken in samples.items()
    ]
    page = Page(f"Searching a local copy on {os.cpu_count()} cores", command_line("search", arguments))
    page.note(
        f"{plan.logs * given.events:,} events in {plan.logs:,} logs, {inflated / 1e6:,.0f} MB inflated; median of "
        f"{given.runs} interleaved rounds of whole commands, start-up included; ratios are medians of those within rounds. "
        "Validation alone hashes in a process a core, a search in one process, so that its time is longer at equal CPU."
    )
    page.table(["", "CPU", "to validation", "time", "peak memory", "events found"], rows).publish(given.append)


if __name__ == "__main__":
    main()
