"""Kept reports merged and narrowed: no verdict gets better by it, and each hour is told by who looked at it last."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.report import Derived, GapRecord, Verdict, from_json
from cloudtrail_validate.report.incidents import group
from cloudtrail_validate.report.json import render as render_json
from cloudtrail_validate.report.kept import read
from cloudtrail_validate.report.merged import SEVERAL, Filter, merge, narrow
from cloudtrail_validate.report.wording import sentence
from tests.report import samples
from tests.report.kept_kit import TOOL, ending_early, kept, of_window
from tests.report.samples import at, chain, digest_key, finding, log_key, report
from tests.report.table_page import shown


def test_one_report_stays_as_it_is_and_the_same_file_counts_once() -> None:
    one = kept(samples.telling())
    assert merge([one], TOOL) is one.report
    assert merge([one, one], TOOL) is one.report


def test_days_become_one_window_and_their_sums() -> None:
    first = of_window(0, 24, [chain()], [finding(rules.LOG_MISSING, log_key(5), hours=(5, 6))])
    second = of_window(24, 48, [replace(chain(), covered=((at(24), at(48)),))])
    whole = merge([kept(second), kept(first)], TOOL)
    assert (whole.request.start, whole.request.end) == (at(0), at(48))
    (record,) = whole.chains
    assert record.covered == ((at(0), at(48)),)
    assert record.logs.valid == 2 * 24 * 12
    assert whole.summary.covered_seconds == whole.summary.window_seconds == 48 * 3600
    assert whole.verdict is Verdict.CHANGED
    assert isinstance(whole.derived, Derived)
    assert [source.verdict for source in whole.derived.reports] == [Verdict.CHANGED, Verdict.VALID]
    assert read(render_json(whole).encode(), "0.1.0").report == from_json(render_json(whole))


def test_a_gap_that_a_later_run_proved_is_healed_and_evidence_of_change_is_not() -> None:
    pending = finding(rules.LOG_PENDING, log_key(23), hours=(23, 24))
    gone = finding(rules.LOG_MISSING, log_key(5), hours=(5, 6))
    late = of_window(0, 48, [chain(hours=48)])
    whole = merge([kept(ending_early(pending)), kept(late)], TOOL)
    assert (whole.verdict, whole.findings) == (Verdict.VALID, ())
    assert whole.chains[0].gaps == ()
    assert whole.chains[0].covered == ((at(0), at(48)),)
    whole = merge([kept(ending_early(gone)), kept(late)], TOOL)
    assert whole.verdict is Verdict.CHANGED
    assert [one.rule for one in whole.findings] == [rules.LOG_MISSING]


def test_hours_that_were_proven_and_are_lost_now_are_lost() -> None:
    """The digest was deleted between the runs: the newer report knows better, though the older one proved it."""
    early = of_window(0, 24, [chain()])
    lost = [
        finding(rules.DIGEST_MISSING, digest_key(6), hours=(5, 6)),
        finding(rules.GAP_BROKEN, hours=(5, 6)),
    ]
    late = of_window(0, 26, [chain(hours=26, gaps=[(rules.GAP_BROKEN, 5, 6)])], lost)
    whole = merge([kept(early), kept(late)], TOOL)
    assert whole.chains[0].covered == ((at(0), at(5)), (at(6), at(26)))
    assert [(gap.start, gap.end) for gap in whole.chains[0].gaps] == [(at(5), at(6))]


def test_a_report_about_another_region_heals_nothing() -> None:
    early = ending_early()
    late = of_window(0, 48, [chain(region="eu-west-1", hours=48)])
    late = replace(late, request=replace(late.request, regions=("eu-west-1",)))
    whole = merge([kept(early), kept(late)], TOOL)
    assert whole.verdict is Verdict.UNPROVEN
    assert [one.rule for one in whole.findings] == [rules.GAP_TAIL]
    assert whole.request.regions == ()
    other = replace(of_window(0, 48, [chain(hours=48)]), request=replace(late.request, regions=(), source="s3://other"))
    assert merge([kept(early), kept(other)], TOOL).verdict is Verdict.UNPROVEN
    assert merge([kept(early), kept(other)], TOOL).request.source == SEVERAL


def test_an_interrupted_report_heals_nothing() -> None:
    early = ending_early()
    broken_off = finding(rules.DIGEST_UNREADABLE, None, hours=(0, 48), account=None, region=None, trail=None)
    late = replace(of_window(0, 48, [], [broken_off]), verdict=Verdict.UNPROVEN, exit_code=130, interrupted=True)
    whole = merge([kept(early), kept(late)], TOOL)
    assert {one.rule for one in whole.findings} == {rules.GAP_TAIL, rules.DIGEST_UNREADABLE}
    assert whole.chains[0].covered == ((at(0), at(20)),)


def test_a_merged_report_is_read_back_whatever_it_was_made_of() -> None:
    made = merge([kept(of_window(0, 24, [chain()])), kept(of_window(48, 72, []))], TOOL)
    assert made.verdict is Verdict.UNPROVEN
    assert kept(made).report == from_json(render_json(made))


def test_tolerated_findings_stay_tolerated_and_nothing_found_is_no_success() -> None:
    late_start = finding(rules.GAP_LATE_START, hours=(0, 2))
    fine = of_window(
        0, 24, [chain(gaps=[(rules.GAP_LATE_START, 0, 2)])], [late_start], tolerated=[rules.GAP_LATE_START]
    )
    assert fine.verdict is Verdict.VALID
    next_day = of_window(24, 48, [replace(chain(), covered=((at(24), at(48)),))])
    assert merge([kept(fine), kept(next_day)], TOOL).verdict is Verdict.VALID
    nothing = of_window(48, 72, [])
    assert nothing.verdict is Verdict.EMPTY
    assert merge([kept(fine), kept(nothing)], TOOL).verdict is Verdict.UNPROVEN
    assert merge([kept(nothing), kept(of_window(72, 96, []))], TOOL).verdict is Verdict.EMPTY


REPORTS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.integers(1, 30),
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), max_size=2),
        st.sampled_from(["us-east-1", "eu-west-1"]),
    ),
    min_size=1,
    max_size=4,
)


@given(REPORTS)
def test_each_hour_is_told_by_the_newest_report_that_looked_at_it(
    made: list[tuple[int, int, list[tuple[int, int]], str]],
) -> None:
    """Hour by hour against a walk over the reports, and no order of the arguments makes a difference."""
    reports = []
    for number, (start, length, gaps, region) in enumerate(made):
        holes = sorted({hour for a, n in gaps for hour in range(a, a + n) if start <= hour < start + length})
        hours_covered = [hour for hour in range(start, start + length) if hour not in holes]
        one = replace(
            chain(region=region),
            covered=tuple((at(hour), at(hour + 1)) for hour in hours_covered),
            gaps=tuple(GapRecord(rule="gap-broken", start=at(h), end=at(h + 1), undigested_logs=0) for h in holes),
        )
        found = [finding(rules.GAP_BROKEN, hours=(h, h + 1), region=region) for h in holes]
        sample = of_window(start, start + length, [one], found)
        moment = at(1_000 + number)
        reports.append(replace(sample, run=replace(sample.run, started=moment, finished=moment)))
    whole = merge([kept(one) for one in reports], TOOL)
    assert merge([kept(one) for one in reversed(reports)], TOOL) == whole
    for record in whole.chains:
        for hour in range(70):
            looked = [one for one in reports if one.request.start <= at(hour) and at(hour + 1) <= one.request.end]
            wanted = False
            if looked:
                newest = [c for c in looked[-1].chains if c.region == record.region]
                wanted = any(a <= at(hour) < b for c in newest for a, b in c.covered)
            if len(reports) > 1:
                assert any(a <= at(hour) < b for a, b in record.covered) == wanted, hour
    facts = {(told.region, told.start) for told in whole.findings}
    assert {(told.region, told.start) for told in reports[-1].findings} <= facts


def test_narrowing_shows_a_part_and_says_so() -> None:
    sample = samples.telling()
    source = kept(sample)
    part = narrow(source.report, Filter(rules=(rules.LOG_ALTERED,), regions=("us-east-1",)), source)
    assert {one.rule for one in part.findings} == {rules.LOG_ALTERED}
    assert {one.region for one in part.chains} == {"us-east-1"}
    assert part.summary.digests.altered == sum(one.digests.altered for one in part.chains)
    assert (part.verdict, part.exit_code) == (sample.verdict, sample.exit_code)
    assert isinstance(part.derived, Derived)
    assert part.derived.findings_left_out == len(sample.findings) - len(part.findings)
    assert sentence(part) == "Evidence of change"
    page = shown(part, width=200)
    assert "Shown   rule log-altered, region us-east-1; " in page
    assert "the verdict is that of the whole report" in page
    assert kept(part).report == from_json(render_json(part))
    twice = narrow(part, Filter(since=at(1_510)), source)
    assert isinstance(twice.derived, Derived)
    assert twice.derived.rules == (rules.LOG_ALTERED,)
    assert twice.derived.findings_left_out == len(sample.findings) - len(twice.findings)


def test_since_leaves_what_ended_before() -> None:
    found = [finding(rules.LOG_MISSING, log_key(h), hours=(h, h + 1)) for h in range(5)]
    found.append(finding(rules.LOG_EXTRA, "no time"))
    part = narrow(report([chain()], found), Filter(since=at(3)))
    assert sorted((one.start or datetime.max.replace(tzinfo=UTC)) for one in part.findings)[:2] == [at(3), at(4)]
    assert len(part.findings) == 3


def test_without_a_filter_nothing_changes() -> None:
    sample = samples.telling()
    assert narrow(sample, Filter()) is sample


def test_incidents_of_a_part_are_those_of_its_findings() -> None:
    part = narrow(samples.telling(), Filter(rules=(rules.GAP_BROKEN,)))
    assert {part.findings[one.lead].rule for one in group(part)} == {rules.GAP_BROKEN}
