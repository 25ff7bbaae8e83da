"""Kept reports: read with doubt, merged and narrowed without a verdict getting better, compared by what they looked at."""

from __future__ import annotations

import copy
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.report import Derived, FindingRecord, GapRecord, Report, Tool, Verdict, formats, from_json
from cloudtrail_validate.report.compared import Answer, UnlikeError, compare
from cloudtrail_validate.report.incidents import group
from cloudtrail_validate.report.json import render as render_json
from cloudtrail_validate.report.kept import Kept, KeptError, read
from cloudtrail_validate.report.merged import SEVERAL, Filter, merge, narrow
from cloudtrail_validate.report.table import render as render_table
from cloudtrail_validate.report.table.comparison import render as render_comparison
from cloudtrail_validate.report.wording import sentence
from tests.report import samples
from tests.report.samples import ACCOUNT, SECOND, at, chain, digest_key, finding, log_key, report

TOOL = Tool(name="ctvalidate", version="0.1.0")


def kept(sample: Report) -> Kept:
    """The report as its file holds it."""
    return read(render_json(sample).encode(), "0.1.0")


def of_window(start: float, end: float, chains: Any, findings: Any = (), **fields: Any) -> Report:
    """A report of the hours `start` to `end`, run when they had passed."""
    whole = report(chains, findings, hours=end, **fields)
    request = replace(whole.request, start=at(start))
    run = replace(whole.run, started=at(end), finished=at(end) + timedelta(seconds=60))
    return replace(
        whole, request=request, run=run, summary=replace(whole.summary, window_seconds=int((end - start) * 3600))
    )


# --- reading


@pytest.mark.parametrize("name", ["quiet", "telling", "hostile", "empty"])
def test_what_was_written_is_read_back(name: str) -> None:
    sample: Report = getattr(samples, name)()
    assert kept(sample).report == from_json(render_json(sample))
    assert len(kept(sample).sha256) == 64


def changed(**fields: Any) -> bytes:
    document = json.loads(render_json(samples.telling()))
    for path, value in fields.items():
        *parents, last = path.split("__")
        place = document
        for parent in parents:
            place = place[int(parent) if parent.isdecimal() else parent]
        place[int(last) if last.isdecimal() else last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "expected a report as --format json writes it"),
        (b"[" * 100_000, "expected a report as --format json writes it"),
        (b"\xff\xfe", "expected a report as --format json writes it"),
        (b'{"schema": "other/1\\u001b[31m"}', r"expected a report with the schema ctvalidate.report/1, got other/1\x1b[31m"),
        (b'{"schema": "ctvalidate.report/1"}', "not a report that can be read (written by version , this is 0.1.0)"),
        (changed(tool__version="9.9", more=1), "(written by version 9.9, this is 0.1.0): Object contains unknown field"),
        (changed(verdict="valid"), "it contradicts itself: verdict valid, exit code 1"),
        (changed(verdict="valid", exit_code=0), "its verdict is valid, and it holds evidence of change"),
        (changed(findings=[]), "its verdict is changed, and no finding says what was"),
        (changed(findings=[], verdict="unproven", exit_code=3), "and it holds evidence of change"),
        (changed(request__end="2026-01-01T00:00:00Z"), "its window is empty"),
        (changed(request__start="2001-01-01T00:00:00Z", request__end="8000-01-01T00:00:00Z"), "longer than 50 years"),
        (changed(request__start="0001-01-01T00:00:00Z"), "expected times in UTC"),
        (changed(run__started="2026-01-01T00:00:00+05:30"), "expected times in UTC"),
        (changed(chains__0__covered=[["9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"]]), "expected times in UTC"),
        (changed(summary__logs__valid=-1), "Expected `int` >= 0"),
        (changed(exit_code=10**30), "it contradicts itself: verdict changed, exit code 1000"),
        (changed(summary__log_bytes_hashed=2**70), "not a report that can be read"),
    ],
)  # fmt: skip
def test_what_no_run_has_written_is_refused_in_one_line(data: bytes, why: str) -> None:
    with pytest.raises(KeptError) as caught:
        read(data, "0.1.0")
    assert why in str(caught.value)
    assert str(caught.value).isprintable()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        ["0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "8999-12-31T23:59:59Z", "valid", "changed", "notice"]
    ),
    st.lists(st.none(), max_size=2),
    st.just({}),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from _paths(value[key], (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value[:4]):
            yield from _paths(item, (*path, number))


DOCUMENT = json.loads(render_json(report([chain(), chain(SECOND)], samples.every_rule())))
PATHS = [path for path in _paths(DOCUMENT) if path]


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_whatever_is_read_can_be_shown_merged_and_compared(edits: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = copy.deepcopy(DOCUMENT)
    for path, value in edits:
        place = document
        try:
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = value
        except (KeyError, IndexError, TypeError):  # an earlier edit took the place away
            continue
    try:
        one = read(msgspec.json.encode(document), "0.1.0")
    except (KeptError, UnicodeEncodeError):
        return
    other = kept(samples.quiet())
    merged = merge([one, other], TOOL)
    for sample in (one.report, merged, narrow(one.report, Filter(rules=(rules.LOG_ALTERED,)), one)):
        for name in formats.FORMATS:
            assert formats.documents(name, sample)
        render_table(sample, Console(file=io.StringIO(), width=100), show=None)
    try:
        found = compare(one, other)
    except UnlikeError:
        return
    render_comparison(found, Console(file=io.StringIO(), width=100))
    assert msgspec.json.encode(found)


# --- merging


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
    tail = finding(rules.GAP_TAIL, hours=(20, 24))
    pending = finding(rules.LOG_PENDING, log_key(23), hours=(23, 24))
    gone = finding(rules.LOG_MISSING, log_key(5), hours=(5, 6))
    early = of_window(0, 24, [chain(gaps=[(rules.GAP_TAIL, 20, 24)])], [tail, pending])
    late = of_window(0, 48, [chain(hours=48)])
    whole = merge([kept(early), kept(late)], TOOL)
    assert (whole.verdict, whole.findings) == (Verdict.VALID, ())
    assert whole.chains[0].gaps == ()
    assert whole.chains[0].covered == ((at(0), at(48)),)
    with_loss = of_window(0, 24, [chain(gaps=[(rules.GAP_TAIL, 20, 24)])], [tail, gone])
    whole = merge([kept(with_loss), kept(late)], TOOL)
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
    tail = finding(rules.GAP_TAIL, hours=(20, 24))
    early = of_window(0, 24, [chain(gaps=[(rules.GAP_TAIL, 20, 24)])], [tail])
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
    tail = finding(rules.GAP_TAIL, hours=(20, 24))
    early = of_window(0, 24, [chain(gaps=[(rules.GAP_TAIL, 20, 24)])], [tail])
    broken_off = finding(rules.DIGEST_UNREADABLE, None, hours=(0, 48), account=None, region=None, trail=None)
    late = replace(of_window(0, 48, [], [broken_off]), verdict=Verdict.UNPROVEN, exit_code=130, interrupted=True)
    whole = merge([kept(early), kept(late)], TOOL)
    assert {one.rule for one in whole.findings} == {rules.GAP_TAIL, rules.DIGEST_UNREADABLE}
    assert whole.chains[0].covered == ((at(0), at(20)),)


def test_an_interrupted_report_is_read_back_with_the_code_that_it_bears() -> None:
    sample = of_window(0, 24, [chain()], [MISSING])
    changed_and_stopped = replace(sample, interrupted=True)
    assert kept(changed_and_stopped).report.exit_code == 1
    stopped = replace(of_window(0, 24, [chain()]), verdict=Verdict.UNPROVEN, exit_code=130, interrupted=True)
    assert kept(stopped).report.stopped
    for wrong in (replace(stopped, exit_code=3), replace(stopped, interrupted=msgspec.UNSET)):
        with pytest.raises(KeptError, match="contradicts itself"):
            kept(wrong)
    found = compare(kept(of_window(0, 24, [chain()])), kept(stopped))
    assert (found.exit_code, found.notes) == (3, ("NEW was interrupted and holds what was found until then",))


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


# --- narrowing


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
    stream = io.StringIO()
    render_table(part, Console(file=stream, width=200))
    page = stream.getvalue()
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


# --- comparing


def old_and_new(old: list[FindingRecord], new: list[FindingRecord], **fields: Any) -> Any:
    return compare(kept(of_window(0, 24, [chain()], old)), kept(of_window(0, 48, [chain(hours=48)], new, **fields)))


MISSING = finding(rules.LOG_MISSING, log_key(5), hours=(5, 6))
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
    tail, longer = finding(rules.GAP_TAIL, hours=(20, 24)), finding(rules.GAP_TAIL, hours=(20, 30))
    old = of_window(0, 24, [chain(gaps=[(rules.GAP_TAIL, 20, 24)])], [tail])
    new = of_window(0, 30, [chain(hours=30, gaps=[(rules.GAP_TAIL, 20, 30)])], [longer])
    found = compare(kept(old), kept(new))
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


def test_incidents_of_a_part_are_those_of_its_findings() -> None:
    part = narrow(samples.telling(), Filter(rules=(rules.GAP_BROKEN,)))
    assert {part.findings[one.lead].rule for one in group(part)} == {rules.GAP_BROKEN}
