"""Kept reports compared by what they looked at: only what appeared makes it worse."""

from __future__ import annotations

import io
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.report import FindingRecord
from cloudtrail_validate.report.compared import Answer, UnlikeError, compare
from cloudtrail_validate.report.table.comparison import render as render_comparison
from tests.report import samples
from tests.report.kept_kit import MISSING, ending_early, kept, of_window
from tests.report.samples import ACCOUNT, SECOND, at, chain, digest_key, finding, log_key


def old_and_new(old: list[FindingRecord], new: list[FindingRecord], **fields: Any) -> Any:
    return compare(kept(of_window(0, 24, [chain()], old)), kept(of_window(0, 48, [chain(hours=48)], new, **fields)))


UNREADABLE = finding(rules.LOG_UNREADABLE, log_key(7), hours=(7, 8))
PENDING = finding(rules.LOG_PENDING, log_key(23), hours=(23, 24))


@pytest.mark.parametrize(
    ("old", "new", "answer", "code"),
    [
        ([], [], Answer.SAME, 0),
        ([MISSING], [MISSING], Answer.SAME, 0),
        ([PENDING], [], Answer.SAME, 0),
        ([], [PENDING], Answer.SAME, 0),
        ([MISSING], [], Answer.BETTER, 0),
        ([UNREADABLE], [], Answer.BETTER, 0),
        ([], [MISSING], Answer.CHANGED, 1),
        ([UNREADABLE], [MISSING], Answer.CHANGED, 1),
        ([], [UNREADABLE], Answer.UNPROVEN, 3),
        ([MISSING], [MISSING, UNREADABLE], Answer.UNPROVEN, 3),
    ],
)
def test_only_what_appeared_makes_it_worse(
    old: list[FindingRecord], new: list[FindingRecord], answer: Answer, code: int
) -> None:
    found = old_and_new(old, new)
    assert (found.answer, found.exit_code) == (answer, code)
    assert len(found.appeared) + len(found.stayed) == len(new)
    assert len(found.healed) + len(found.unlooked) + len(found.stayed) == len(old)


def test_what_was_unproven_and_is_evidence_now_appeared() -> None:
    before = replace(finding(rules.DIGEST_KEY_UNKNOWN, digest_key(6), hours=(5, 6)), status=Status.UNVERIFIABLE)
    now = replace(before, status=Status.ALTERED)
    assert old_and_new([before], [now]).exit_code == 1
    assert old_and_new([now], [before]).exit_code == 0


def test_what_the_new_report_did_not_look_at_is_not_healed() -> None:
    old = kept(of_window(0, 24, [chain()], [MISSING]))
    later = kept(of_window(10, 48, [replace(chain(), covered=((at(10), at(48)),))]))
    found = compare(old, later)
    assert (found.answer, len(found.healed), len(found.unlooked)) == (Answer.SAME, 0, 1)
    elsewhere = of_window(0, 48, [chain(SECOND, hours=48)])
    elsewhere = replace(elsewhere, request=replace(elsewhere.request, accounts=(SECOND,)))
    assert len(compare(old, kept(elsewhere)).unlooked) == 1
    capped = replace(of_window(0, 48, [chain(hours=48)], [UNREADABLE]), findings_truncated=True)
    found = compare(old, kept(capped))
    assert len(found.unlooked) == 1
    assert "NEW does not hold all findings" in found.notes[0]


def test_a_gap_that_grew_is_worse_and_one_that_was_asked_further_back_is_not() -> None:
    longer = finding(rules.GAP_TAIL, hours=(20, 30))
    new = of_window(0, 30, [chain(hours=30, gaps=[(rules.GAP_TAIL, 20, 30)])], [longer])
    found = compare(kept(ending_early()), kept(new))
    assert (found.answer, found.stayed[0].grown_seconds) == (Answer.UNPROVEN, 6 * 3600)
    late = finding(rules.GAP_LATE_START, hours=(10, 12))
    further = finding(rules.GAP_LATE_START, hours=(0, 12))
    old = of_window(10, 24, [replace(chain(), covered=((at(12), at(24)),))], [late])
    new = of_window(0, 24, [replace(chain(), covered=((at(12), at(24)),))], [further])
    assert compare(kept(old), kept(new)).answer is Answer.SAME


def test_hours_that_are_proven_no_more_are_worse_even_without_a_finding() -> None:
    old = of_window(0, 24, [chain(), chain(region="eu-west-1")])
    new = of_window(0, 48, [chain(hours=48)])
    found = compare(kept(old), kept(new))
    assert (found.answer, found.coverage.lost_seconds) == (Answer.UNPROVEN, 24 * 3600)
    narrowed = replace(new, request=replace(new.request, regions=("us-east-1",)))
    assert compare(kept(old), kept(narrowed)).answer is Answer.SAME


def test_nothing_found_any_more_is_worse() -> None:
    assert compare(kept(of_window(0, 24, [chain()])), kept(of_window(0, 24, []))).exit_code == 3


def test_reports_about_different_trails_are_not_compared() -> None:
    old = samples.quiet()
    new = replace(old, request=replace(old.request, trail_arn=f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/other"))
    with pytest.raises(UnlikeError, match="different trails"):
        compare(kept(old), kept(new))


def test_a_copy_on_disk_is_compared_by_keys() -> None:
    old = of_window(0, 24, [chain()], [MISSING])
    local = finding(rules.LOG_MISSING, log_key(5), hours=(5, 6), bucket="")
    new = of_window(0, 24, [chain()], [local])
    new = replace(new, request=replace(new.request, source="file:///copy"))
    found = compare(kept(old), kept(new))
    assert (found.answer, len(found.stayed)) == (Answer.SAME, 1)
    assert found.notes[0].startswith("they read different places")


def test_the_table_says_what_appeared_with_its_objects() -> None:
    stream = io.StringIO()
    found = old_and_new([UNREADABLE], [MISSING])
    render_comparison(found, Console(file=stream, width=80), whole=True)
    page = stream.getvalue()
    assert page.startswith("CHANGED  Evidence of change appeared (exit code 1).\n")
    assert f"  MISSING       1 log-missing  Log file is gone\n    {log_key(5)}\n" in page
    assert "\nHealed  1 finding\n" in page
    assert "\nStayed  0 findings\n" in page
    assert "Not looked at" not in page
