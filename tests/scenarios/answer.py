"""A report against what a vector expects of it."""

from __future__ import annotations

from collections.abc import Callable

from cloudtrail_validate import Report
from cloudtrail_validate.report import CountsRecord, FindingRecord
from tests.scenarios.vector import Counts, Expect, Found

_WHERE_GIVEN = ("start", "end", "cause", "account", "region", "trail", "bucket")


def differences(report: Report, expect: Expect, key: Callable[[str], str]) -> list[str]:
    """Every way in which the report is another answer, a line each; none where it is the one expected.

    `key` replaces the roles in an expected key.
    """
    said = {
        "exit": report.exit_code,
        "verdict": str(report.verdict),
        "digests": counts(report.summary.digests),
        "logs": counts(report.summary.logs),
        "covered_seconds": report.summary.covered_seconds,
    }
    out = [
        f"{name}: expected {getattr(expect, name)}, got {value}"
        for name, value in said.items()
        if value != getattr(expect, name)
    ]
    left = list(report.findings)
    for wanted in expect.findings:
        found = next((finding for finding in left if _is(finding, wanted, key)), None)
        if found is None:
            out.append(f"not found: {wanted}")
        else:
            left.remove(found)
    return out + [f"not expected: {finding.status} {finding.rule}: {finding.message}" for finding in left]


def counts(record: CountsRecord) -> Counts:
    """The report's counts as a vector writes them."""
    return Counts(**{name: getattr(record, name) for name in Counts.__struct_fields__})


def _is(finding: FindingRecord, wanted: Found, key: Callable[[str], str]) -> bool:
    if (finding.rule, finding.status) != (wanted.rule, wanted.status):
        return False
    if finding.key != (None if wanted.key is None else key(wanted.key)):
        return False
    if wanted.key is None and (finding.start, finding.end) != (wanted.start, wanted.end):
        return False
    return all(
        getattr(wanted, name) is None or getattr(finding, name) == getattr(wanted, name) for name in _WHERE_GIVEN
    )
