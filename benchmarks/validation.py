"""ctvalidate as a contender: the whole command of this checkout, and proof that it did the work."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.harness import ROOT, Sample, WorkError, environment, run, seconds_of
from benchmarks.plan import BUCKET, HOUR, START, Served

ONE_PROCESS: Final = {"executor": "local:1"}  # where the price of an object or the memory of a process is asked for


class _Counts(msgspec.Struct):
    valid: int


class _Summary(msgspec.Struct):
    digests: _Counts
    logs: _Counts


class _Report(msgspec.Struct):
    summary: _Summary


def ctvalidate(*arguments: str, format_: str = "json") -> list[str]:
    """The command line of ctvalidate from this checkout."""
    return [sys.executable, "-m", "cloudtrail_validate", *arguments, "--format", format_, "--no-progress"]


def check(sample: Sample, *, digests: int, logs: int) -> Sample:
    """The sample, where ctvalidate proved exactly so many objects. Raises `WorkError` where it did not."""
    if sample.code:
        raise WorkError(f"ctvalidate: expected exit code 0, got {sample.code}: {sample.words()}")
    summary = msgspec.json.decode(sample.output, type=_Report).summary
    if (summary.digests.valid, summary.logs.valid) != (digests, logs):
        raise WorkError(f"ctvalidate: expected {digests} digests and {logs} logs, proved {summary}")
    return sample


def window(hours: int) -> list[str]:
    """The options for so many hours of a plan, from its beginning."""
    start, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (START, START + hours * HOUR))
    return ["--start-time", start, "--end-time", end]


def validate(
    served: Served,
    hours: int | None = None,
    *,
    by_bucket: bool = False,
    checkout: Path = ROOT,
    options: Mapping[str, str] | None = None,
) -> Sample:
    """Validate what is served, or its first hours. Raises `WorkError` where not all of it was proven.

    Starting digests cover the hour before and do not count. `checkout` is another version, with an environment of its own
    in `.venv`; `options` go by the environment, where versions that do not know one pass it over.
    """
    plan = served.plan
    chosen = plan.hours if hours is None else hours
    place = ["--s3-bucket", BUCKET] if by_bucket else ["--trail-arn", plan.trail_arn]
    command = ctvalidate(*place, *window(chosen))
    command[0] = sys.executable if checkout == ROOT else str(checkout / ".venv" / "bin" / "python")
    given = {f"CTVALIDATE_{name.upper()}": value for name, value in (options or {}).items()}
    sample = run(command, environment(served.endpoint, served.ca_file) | given, checkout)
    return check(sample, digests=plan.hourly_digests(chosen), logs=plan.logs * chosen // plan.hours)


def steady(whole: Sequence[Sample], part: Sequence[Sample], bare: Sequence[Sample], share: float) -> float | None:
    """The fraction of a bare loop's rate that is reached once the command has started.

    `part` are samples of the same command with `share` of the work: what the whole takes longer is free of start-up;
    `bare` did the whole work. Medians over all rounds. None where the whole took no longer than the part: the work is
    too little, or the computer too busy, to tell.
    """
    longer = seconds_of(whole) - seconds_of(part)
    return seconds_of(bare) * (1 - share) / longer if longer > 0 else None


def percent(fraction: float | None) -> str:
    """A fraction in words of a table."""
    return "too noisy to tell" if fraction is None else f"{fraction:.0%}"
