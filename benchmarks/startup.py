"""How long a command takes that does nothing: help and version, against an empty Python and aws-cli's version."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

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

_PYTHON = "python -c pass"
_COMMANDS = {
    _PYTHON: ["-c", "pass"],
    "ctvalidate --help": ["-m", "cloudtrail_validate", "--help"],
    "ctvalidate --version": ["-m", "cloudtrail_validate", "--version"],
    "aws --version": ["-m", "awscli", "--version"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    given = options(__doc__, runs=15).parse_args(arguments)
    contenders: dict[str, Callable[[], Sample]] = {name: partial(_run, words) for name, words in _COMMANDS.items()}
    samples = interleave(given.runs, contenders)
    empty = [sample.seconds for sample in samples[_PYTHON]]
    rows = [
        [
            name,
            f"{seconds_of(taken) * 1000:.0f} ms",
            f"{min(sample.seconds for sample in taken) * 1000:.0f} ms",
            f"{cpu_of(taken) * 1000:.0f} ms",
            f"{ratio_of([sample.seconds for sample in taken], empty):.1f} x",
        ]
        for name, taken in samples.items()
    ]
    page = Page("Start-up", command_line("startup", arguments))
    page.note(f"{given.runs} interleaved rounds.")
    page.table(["", "median", "fastest", "CPU", "to an empty Python"], rows).publish(given.append)


def _run(words: Sequence[str]) -> Sample:
    sample = run([sys.executable, *words], environment())
    if sample.code:
        raise WorkError(f"{' '.join(words)}: expected exit code 0, got {sample.code}: {sample.words()}")
    return sample


if __name__ == "__main__":
    main()
