"""The table as a page: verdict, header, totals, what is folded, and how it ends."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.report import (
    Report,
    Run,
    Verdict,
)
from cloudtrail_validate.report.wording import LIMITS
from tests.report.samples import BUCKET, log_key
from tests.report.table_page import DAY, EVERY_RULE, chain, make, record, shown, words


@pytest.mark.parametrize(
    ("report", "first"),
    [
        (make(), "✓ VALID  Every hour covered, every log proven, nothing else there (exit code 0)."),
        (
            make(Verdict.CHANGED, findings=EVERY_RULE),
            "✗ CHANGED  Evidence of change: 12 altered, 2 missing, 1 extra (exit code 1).",
        ),
        (
            make(Verdict.UNPROVEN, findings=[record(rules.GAP_TAIL), record(rules.LOG_UNREADABLE, key=log_key())]),
            (
                "! UNPROVEN  No evidence of change, but not everything could be proven: 1 unverifiable, 1 uncovered "
                "(exit code 3)."
            ),
        ),
        (make(Verdict.EMPTY), "○ EMPTY  Nothing validated: no digest at all for what was asked (exit code 4)."),
        (
            make(findings=[record(rules.GAP_TAIL)]),
            "✓ VALID  No evidence of change; what could not be proven was tolerated: 1 uncovered (exit code 0).",
        ),
    ],
    ids=["valid", "changed", "unproven", "empty", "tolerated"],
)
def test_the_first_line_is_the_verdict(report: Report, first: str) -> None:
    assert shown(report, width=200).splitlines()[0] == first
    assert words(shown(report)).startswith(words(first))


def test_the_header_says_what_was_asked_and_by_whom() -> None:
    run = Run(started=DAY, finished=DAY + timedelta(seconds=90), caller_arn="arn:aws:iam::111122223333:user/auditor")
    page = words(shown(make(run=run, chains=[chain("us-east-1"), chain("eu-west-1")])))
    assert "Trail arn:aws:cloudtrail:us-east-1:111122223333:trail/mgmt" in page
    assert f"Source s3://{BUCKET}/logs" in page
    assert "Window 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z, UTC (1 d)" in page
    assert "all accounts (1 found), all regions (2 found)" in page
    assert "1 public key from AWS (ListPublicKeys)" in page
    assert "Run ctvalidate 0.1.0, 2026-01-02T00:00:00Z, took 1 min 30 s" in page
    assert "As arn:aws:iam::111122223333:user/auditor" in page
    assert " As " not in words(shown(make()))


def test_the_totals_are_given_by_outcome() -> None:
    lines = [line.split() for line in shown(make()).splitlines()]
    assert ["valid", "altered", "missing", "extra", "unverifiable"] in lines
    assert ["Digests", "4,080", "0", "2", "0", "0"] in lines
    assert ["Logs", "1,234,567", "3", "0", "0", "0"] in lines
    assert "1.5 GB of log content hashed" in shown(make())


def test_off_a_terminal_nothing_is_shortened_or_wrapped() -> None:
    report = make(Verdict.CHANGED, chains=[chain(trail="t" * 100)], findings=EVERY_RULE)
    page = shown(report, width=80, whole=True)
    assert "…" not in re.sub(r"… and \d+ more", "", page)
    for one in EVERY_RULE:
        assert one.key is None or f"    {one.key}\n" in page or "more: " in page
    assert page.startswith("✗ CHANGED  Evidence of change: 12 altered, 2 missing, 1 extra (exit code 1).\n\n")
    assert LIMITS in page


def test_quiet_leaves_verdict_and_findings() -> None:
    page = shown(make(Verdict.CHANGED, chains=[chain()], findings=EVERY_RULE), quiet=True)
    assert page.startswith("✗ CHANGED")
    assert "Findings  27 findings" in page
    assert not any(word in page for word in ("Window", "Coverage", "Digests", "do not prove"))
    assert shown(make(), quiet=True).count("\n") == 1


def test_the_page_ends_with_what_a_pass_does_not_mean() -> None:
    end = words(shown(make()).split("\n\n")[-1])
    assert end.startswith("Digests prove that the files delivered for the covered hours are unchanged")
    assert "do not prove that every event was recorded" in end
