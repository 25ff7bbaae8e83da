"""Kept reports as arguments: read whole and bounded; one line and exit code 2 for whatever is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.runtime.files import read_at_most

if TYPE_CHECKING:
    from cloudtrail_validate.report.examination import Examination
    from cloudtrail_validate.report.kept import Kept

MOST_BYTES: Final = 512 * 1024 * 1024  # 20,000 findings of each status with their events are about 200 MB
STDIN: Final = "-"


def read_report(name: str) -> Kept:
    """Read one report, `-` from standard input. Raises `click.UsageError`."""
    from cloudtrail_validate.report.build import this_tool
    from cloudtrail_validate.report.kept import KeptError, read

    data = _bytes_of(name)
    try:
        return read(data, this_tool().version)
    except KeptError as error:
        raise click.UsageError(f"{_shown(name)}: {error}") from error


def read_doctor(name: str) -> Examination:
    """Read what doctor found, `-` from standard input. Raises `click.UsageError`."""
    from cloudtrail_validate.report.examination import ExaminationError, read_examination

    data = _bytes_of(name)
    try:
        return read_examination(data)
    except ExaminationError as error:
        raise click.UsageError(f"--doctor: {_shown(name)}: {error}") from error


def _bytes_of(name: str) -> bytes:
    """A whole file, if it is not longer than a report can be."""
    try:
        if name == STDIN:
            data = read_at_most(sys.stdin.buffer, MOST_BYTES)
        else:
            with Path(name).open("rb") as file:
                data = read_at_most(file, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{_shown(name)}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MOST_BYTES:
        raise click.UsageError(f"{_shown(name)}: expected a report of at most {MOST_BYTES >> 20} MiB")
    return data


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else printable(name)
