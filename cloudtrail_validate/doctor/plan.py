"""`--fix-plan`: what would mend what was found, as a shell script to read. Nothing is ever run."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.names import unfilled
from cloudtrail_validate.doctor.report import DoctorReport, Result

_TOLD: Final = (Health.BAD, Health.WEAK)
"""Statuses that a command mends. What is unknown wants a permission first."""


def script(report: DoctorReport) -> str:
    """Return a POSIX shell script, worst first. Lines with names in capitals, and the tool's own commands, are remarks."""
    what = report.trail_arn or report.bucket or "the account"
    lines = [
        "#!/bin/sh",
        f"# What would mend {printable(what)}, as ctvalidate doctor saw it at {isoformat(report.run.started)}.",
        "# Read each line before you run it: names in capitals are yours to fill in, and calls that replace a whole",
        "# setting hold it as it was when it was read.",
        "set -eu",
    ]
    told: set[str] = set()
    for status in _TOLD:
        for result in report.results:
            if result.status is status:
                lines += ["", *_block(result, told)]
    missing = sorted({action for result in report.results for action in result.missing_actions})
    if missing:
        lines += ["", f"# unknown: denied {', '.join(missing)}; `ctvalidate policy doctor` prints the policy"]
    if len(lines) == 5:
        lines += ["", "# Nothing to mend."]
    return "\n".join(lines) + "\n"


def _block(result: Result, told: set[str]) -> list[str]:
    """What one check found, and its lines. Behind a line that the reader must fill in, none can stand by itself."""
    lines = [f"# {result.status} {result.check}: {printable(result.evidence)}"]
    waits = False
    for line in result.remedy:
        waits = waits or (line.startswith("aws ") and (unfilled(line) or printable(line) != line))
        if line.startswith("#"):
            lines.append(printable(line))
        elif line in told:
            lines.append("# (mended by the same line above)")
        elif line.startswith("ctvalidate ") or waits:
            lines.append(f"# {printable(line)}")
        else:
            told.add(line)
            lines.append(line)
    return lines
