"""Reports of one day for the table, and the page that it makes of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from rich.console import Console

from cloudtrail_validate.core import rules
from cloudtrail_validate.report import (
    ChainRecord,
    CountsRecord,
    FindingRecord,
    PublicKeyRecord,
    Report,
    Run,
    Summary,
    Verdict,
)
from cloudtrail_validate.report.table import render
from tests.report import samples
from tests.report.samples import ACCOUNT, BUCKET, START, finding, log_key

DAY = START + timedelta(days=1)


def chain(region: str = "us-east-1", *, gaps: Sequence[tuple[float, float]] = (), **fields: Any) -> ChainRecord:
    """A chain of 24 digests and 1,204 logs, with holes where digests were lost."""
    numbers = {"digests": CountsRecord(valid=24), "logs": CountsRecord(valid=1_204)}
    holes = [("gap-broken", start, end) for start, end in gaps]
    return samples.chain(fields.pop("account", ACCOUNT), region, gaps=holes, **(numbers | fields))


def record(rule: str, *, key: str | None = None, **fields: Any) -> FindingRecord:
    """A finding about an object, or about two hours."""
    return finding(rule, key, None if key else (3, 5), **fields)


def make(
    verdict: Verdict = Verdict.VALID,
    *,
    chains: Iterable[ChainRecord] = (),
    findings: Iterable[FindingRecord] = (),
    **fields: Any,
) -> Report:
    """A report of a day with this verdict, whatever its chains and findings say."""
    codes = {Verdict.VALID: 0, Verdict.CHANGED: 1, Verdict.UNPROVEN: 3, Verdict.EMPTY: 4}
    given = samples.report(chains)
    defaults: dict[str, Any] = {
        "verdict": verdict,
        "exit_code": codes[verdict],
        "run": Run(started=DAY, finished=DAY + timedelta(seconds=90), caller_arn=None),
        "request": replace(given.request, source=f"s3://{BUCKET}/logs"),
        "summary": Summary(
            digests=CountsRecord(valid=4_080, missing=2),
            logs=CountsRecord(valid=1_234_567, altered=3),
            log_bytes_hashed=1_500_000_000,
            window_seconds=86_400,
            covered_seconds=86_400,
        ),
        "findings": tuple(findings),
        "public_keys": (PublicKeyRecord(fingerprint="0f" * 16, region="us-east-1", source="aws"),),
    }
    return replace(given, **(defaults | fields))


def shown(report: Report, *, width: int = 80, **options: Any) -> str:
    stream = io.StringIO()
    render(report, Console(file=stream, width=width), **options)
    return stream.getvalue()


def of_text(page: str) -> list[str]:
    """The lines that are no commands to paste: those are whole whatever the width."""
    return [line for line in page.splitlines() if not line.startswith(("    aws ", "    ctvalidate "))]


def words(text: str) -> str:
    return " ".join(text.split())


EVERY_RULE = [
    record(rule, key=None if rule.startswith("gap-") or rule == rules.CHAIN_ABSENT else log_key(5, number))
    for number, rule in enumerate(rules.TRAIL_RULES)
]
