"""Use ctvalidate as a library: validate a local copy, hear of evidence at once, and act on the report.

    python library.py DIR KEYS START END

For a trail in S3 give `Request` a `trail_arn` or `bucket` instead of `source`; without `public_keys` CloudTrail is
asked for them. Exits with the report's exit code.
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

from cloudtrail_validate import AccessError, ConfigurationError, ExitCode, Request, RequestError, validate
from cloudtrail_validate.core.model import Finding, Locator, Status

EVIDENCE = (Status.ALTERED, Status.MISSING, Status.EXTRA)


class Alarm:
    """Hears of each finding while the run goes on (`cloudtrail_validate.Listener`). It must return at once."""

    def __init__(self) -> None:
        self.checked_objects = 0

    def finding(self, finding: Finding) -> None:
        """Name evidence of change as soon as it is found. `!r`: keys come from the bucket and may hold anything."""
        if finding.status in EVIDENCE:
            print(f"{finding.status}: {finding.rule} {str(finding.where)!r}", file=sys.stderr)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:  # noqa: ARG002  # as called
        """Count every digest and log that was looked at."""
        self.checked_objects += 1


def main(folder: Path, keys: Path, start: str, end: str) -> int:
    """Validate one window and sum up the report."""
    alarm = Alarm()
    try:
        request = Request(
            source=folder,
            public_keys=keys,
            start=datetime.fromisoformat(start),  # times without an offset are UTC
            end=datetime.fromisoformat(end),
        )
        report = validate(request, listener=alarm)
    except (ValueError, RequestError, ConfigurationError) as error:
        print(f"wrong request: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except AccessError as error:
        print(f"nothing could be read: {error}", file=sys.stderr)
        return ExitCode.UNPROVEN

    print(f"verdict: {report.verdict}, {alarm.checked_objects} objects checked")
    for rule, number in sorted(Counter(finding.rule for finding in report.findings).items()):
        print(f"  {rule}: {number}")
    for chain in report.chains:
        hours = sum((until - since).total_seconds() for since, until in chain.covered) / 3600
        print(f"  {chain.account} {chain.region} {chain.kind}: {hours:g} h proven, {chain.logs.valid} logs valid")
    return report.exit_code


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: library.py DIR KEYS START END")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
