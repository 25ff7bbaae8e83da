from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Cause, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.report import (
    ChainRecord,
    CountsRecord,
    FindingRecord,
    GapRecord,
    PublicKeyRecord,
    Report,
    RequestEcho,
    Run,
    Summary,
    Tally,
    Tool,
    Verdict,
)
from cloudtrail_validate.report.page import Page
from cloudtrail_validate.report.sentences import describe, remedy
from cloudtrail_validate.report.table import FEW, MOST_ROWS, render
from cloudtrail_validate.report.wording import LIMITS
from tests.report.samples import explained

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = START + timedelta(days=1)
BUCKET = "DOC-EXAMPLE-BUCKET"
ACCOUNT = "111122223333"


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def log_key(number: int = 0) -> str:
    return (
        f"AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/01/01/"
        f"{ACCOUNT}_CloudTrail_us-east-1_20260101T0505Z_AbCdEf{number:010}.json.gz"
    )


def chain(region: str = "us-east-1", *, gaps: Sequence[tuple[float, float]] = (), **fields: Any) -> ChainRecord:
    edges = [0.0, *(hour for gap in gaps for hour in gap), fields.pop("until", 24.0)]
    defaults: dict[str, Any] = {
        "account": ACCOUNT,
        "region": region,
        "trail": "mgmt",
        "home_region": "us-east-1",
        "organization_id": None,
        "kind": Kind.STANDARD,
        "digests": CountsRecord(valid=24),
        "logs": CountsRecord(valid=1_204),
        "covered": tuple((at(a), at(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b),
        "gaps": tuple(GapRecord(rule="gap-broken", start=at(a), end=at(b), undigested_logs=0) for a, b in gaps),
    }
    return ChainRecord(**(defaults | fields))


def record(rule: str, *, key: str | None = None, **fields: Any) -> FindingRecord:
    defaults: dict[str, Any] = {"status": rules.RULES[rule].status, "account": ACCOUNT, "region": "us-east-1"}
    if key is not None:
        defaults["where"] = Locator(fields.pop("bucket", BUCKET), key)
    else:
        defaults["interval"] = Interval(at(3), at(5))
    finding = Finding(rule, **(defaults | fields))
    return FindingRecord(
        rule=rule,
        status=finding.status,
        account=finding.account,
        region=finding.region,
        trail=finding.trail,
        bucket=finding.where.bucket if finding.where else None,
        key=finding.where.key if finding.where else None,
        start=finding.interval.start if finding.interval else None,
        end=finding.interval.end if finding.interval else None,
        cause=finding.cause,
        expected=finding.expected,
        actual=finding.actual,
        message=describe(finding),
    )


def make(
    verdict: Verdict = Verdict.VALID,
    *,
    chains: Iterable[ChainRecord] = (),
    findings: Iterable[FindingRecord] = (),
    **fields: Any,
) -> Report:
    codes = {Verdict.VALID: 0, Verdict.CHANGED: 1, Verdict.UNPROVEN: 3, Verdict.EMPTY: 4}
    defaults: dict[str, Any] = {
        "verdict": verdict,
        "exit_code": codes[verdict],
        "tool": Tool(name="ctvalidate", version="0.1.0"),
        "run": Run(started=DAY, finished=DAY + timedelta(seconds=90), caller_arn=None),
        "request": RequestEcho(
            trail_arn="arn:aws:cloudtrail:us-east-1:111122223333:trail/mgmt",
            start=START,
            end=DAY,
            source=f"s3://{BUCKET}/logs",
            regions=(),
            accounts=(),
        ),
        "summary": Summary(
            digests=CountsRecord(valid=4_080, missing=2),
            logs=CountsRecord(valid=1_234_567, altered=3),
            log_bytes_hashed=1_500_000_000,
            window_seconds=86_400,
            covered_seconds=86_400,
        ),
        "chains": tuple(chains),
        "findings": tuple(findings),
        "public_keys": (PublicKeyRecord(fingerprint="0f" * 16, region="us-east-1", source="aws"),),
        "findings_truncated": False,
    }
    return Report(**(defaults | fields))


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
    record(rule, key=None if rule.startswith("gap-") or rule == rules.CHAIN_ABSENT else log_key(number))
    for number, rule in enumerate(rules.TRAIL_RULES)
]


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


def bar_of(page: str, region: str) -> str:
    line = next(line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}  {region} "))
    return line.split(region)[1].split()[0]


def test_a_bar_has_a_cell_for_each_slice_of_the_window() -> None:
    page = shown(
        make(
            chains=[
                chain("us-east-1"),
                chain("us-east-2", gaps=[(12, 24)]),
                chain("us-west-1", gaps=[(0, 24)]),
                chain("us-west-2", until=22.5),
                chain("eu-west-1", gaps=[(12, 12.25)]),
            ]
        ),
        width=200,
    )
    assert bar_of(page, "us-east-1") == "━" * 40
    assert bar_of(page, "us-east-2") == "━" * 20 + "·" * 20
    assert bar_of(page, "us-west-1") == "·" * 40
    assert bar_of(page, "us-west-2") == "━" * 37 + "─" * 3  # 22.5 h of 24 h are 37.5 cells
    assert bar_of(page, "eu-west-1") == "━" * 20 + "╍" + "━" * 19
    percent = {line.split()[1]: line.split()[3] for line in page.splitlines() if line.startswith(f"  {ACCOUNT}")}
    assert percent == {
        "us-east-1": "100%",
        "us-east-2": "50%",
        "us-west-1": "0%",
        "us-west-2": "100%",  # of what is due
        "eu-west-1": "98.9%",
    }
    assert "━ covered  ╍ in part  · gap  ─ no digest due yet" in page
    assert "covered  ╍" not in shown(make(chains=[chain()]))


def test_one_lost_second_is_never_called_100_percent() -> None:
    page = shown(make(chains=[chain(gaps=[(3, 3 + 1 / 3600)])]))
    (row,) = [line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}")]
    assert " 99.9% " in row


def test_a_gap_counts_even_where_another_interval_claims_its_hours() -> None:
    overlapping = chain(gaps=[(6, 12)], covered=((START, DAY), (at(1), at(2))))
    assert " 75% " in shown(make(chains=[overlapping]))


@given(
    st.lists(st.tuples(st.integers(-5, 30), st.integers(-5, 30)), max_size=8),
    st.lists(st.tuples(st.integers(-5, 30), st.integers(-5, 30)), max_size=4),
)
def test_the_percentage_is_that_of_a_count_hour_by_hour(
    covered: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:
    def inside(hour: int, spans: list[tuple[int, int]]) -> bool:
        return any(start <= hour < end for start, end in spans)

    proven = sum(inside(hour, covered) and not inside(hour, gaps) for hour in range(24))
    due = min(24, max([22, *(end for _, end in [*covered, *gaps])]))  # what is younger may still be to come
    one = replace(
        chain(covered=tuple((at(a), at(b)) for a, b in covered)),
        gaps=tuple(GapRecord(rule="gap-tail", start=at(a), end=at(b), undigested_logs=0) for a, b in gaps),
    )
    page = shown(make(chains=[one]))
    tenths = 1000 * proven // due
    expected = f"{tenths // 10}.{tenths % 10}%" if tenths % 10 else f"{tenths // 10}%"
    line = next(line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}"))
    assert expected in line.split()


def test_a_backfill_chain_adds_its_counts_to_its_trail_and_no_hours() -> None:
    backfill = chain(
        kind=Kind.BACKFILL, digests=CountsRecord(valid=6), logs=CountsRecord(altered=2), covered=((START, DAY),)
    )
    page = shown(make(chains=[chain(until=12), backfill]), width=120)
    rows = [line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}")]
    assert len(rows) == 1
    assert re.search(r"54\.5% +30 +1,206 +logs: 2 altered$", rows[0])  # 12 of the 22 hours that are due


def test_two_trails_in_a_region_are_two_rows_with_their_names() -> None:
    page = shown(make(chains=[chain(trail="mgmt"), chain(trail="mgmt_us-east-1", gaps=[(0, 12)])]))
    assert re.search(r"mgmt_u…ast-1 +·+━+ +50%", page)
    assert re.search(r"mgmt +━+ +100%", page)


def test_what_is_wrong_comes_first_and_the_rest_is_folded() -> None:
    fine = [chain(account=f"{444455556666 + n}") for n in range(197)]
    bad = chain("eu-west-1", gaps=[(0, 12)], logs=CountsRecord(valid=10, altered=2, unverifiable=1))
    page = shown(make(chains=[*fine, bad]))
    lines = page.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Coverage")) + 1
    assert "eu-west-1" in lines[first]
    assert lines[first + 1].strip() == "logs: 2 altered, 1 unverifiable"
    assert re.fullmatch(r"  197 without fault +━+ +100% +4,728 +237,188", lines[first + 2])
    assert "444455556666" not in page
    assert "444455556666" in shown(make(chains=[*fine, bad]), show=None)


def test_many_wrong_rows_are_folded_behind_the_worst() -> None:
    wrong = [chain(account=f"{444455556666 + n}", gaps=[(0, n / 100)]) for n in range(1, 101)]
    page = shown(make(chains=wrong))
    assert len(re.findall(r"^  4444555", page, re.MULTILINE)) == MOST_ROWS
    assert "444455556766" in page
    assert re.search(rf"{100 - MOST_ROWS} more with faults +\S+ +96\.5%", page)


def test_3400_clean_chains_are_one_line() -> None:
    chains = [chain(f"r-{n % 17}", account=f"{111122223333 + n // 17}") for n in range(3_400)]
    page = shown(make(chains=chains))
    assert re.search(r"  3,400 without fault +━+ +100% +81,600 +4,093,600", page)
    assert "all accounts (200 found), all regions (17 found)" in page
    assert len(page.splitlines()) < 30


def test_the_totals_are_given_by_outcome() -> None:
    lines = [line.split() for line in shown(make()).splitlines()]
    assert ["valid", "altered", "missing", "extra", "unverifiable"] in lines
    assert ["Digests", "4,080", "0", "2", "0", "0"] in lines
    assert ["Logs", "1,234,567", "3", "0", "0", "0"] in lines
    assert "1.5 GB of log content hashed" in shown(make())


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_each_rule_has_its_title_object_and_where_to_read_on(rule: str) -> None:
    key = None if rule.startswith("gap-") or rule == rules.CHAIN_ABSENT else log_key(7)
    page = shown(make(Verdict.CHANGED, findings=[record(rule, key=key)]))
    own = rules.RULES[rule]
    assert "Findings  1 finding, 1 incident" in page
    body = page[page.index(f"{own.status.upper()}  {own.title}\n") :]
    assert f"  1 {rule}\n" in body
    assert f"→ ctvalidate explain {rule}\n" in body
    if key is None:
        assert f"    {ACCOUNT}  us-east-1  2026-01-01T03:00:00Z for 2 h\n" in body
    else:
        assert "_20260101T0505Z_AbCdEf0000000007.json.gz\n" in body


def test_incidents_come_worst_first_and_no_rule_is_explained_twice() -> None:
    page = shown(make(Verdict.CHANGED, findings=EVERY_RULE), show=None)
    statuses = re.findall(r"^([A-Z]+)  \w", page, re.MULTILINE)
    order = [status.upper() for status in Status]
    assert [order.index(status) for status in statuses] == sorted(order.index(status) for status in statuses)
    explained = re.findall(r"→ ctvalidate explain (\S+)", page)
    assert len(explained) == len(set(explained))


def test_a_lost_digest_is_one_incident_with_its_gap_and_its_logs() -> None:
    lost = [
        record(rules.DIGEST_MISSING, key="digest", interval=Interval(at(5), at(6))),
        record(rules.GAP_BROKEN, interval=Interval(at(5), at(6))),
        *(record(rules.LOG_UNDIGESTED, key=log_key(n), interval=Interval(at(5), at(6))) for n in range(546)),
    ]
    page = shown(make(Verdict.CHANGED, findings=lost))
    assert "MISSING  Digest file is gone\n  2026-01-01 05:00 – 06:00 UTC (1 h), 111122223333 us-east-1\n" in page
    assert "  1 digest-missing, 1 gap-broken, 546 log-undigested\n" in page
    assert "… and 545 more: --show all, or --output report.json to look again\n" in page
    kept = shown(make(Verdict.CHANGED, findings=lost), kept="night.json")
    assert "… and 545 more: ctvalidate report night.json --show all\n" in kept


def test_an_incident_of_many_places_counts_each_and_shows_one_of_each() -> None:
    lost = [
        record(rules.LOG_MISSING, key=f"{account}-{n}", account=f"{account}", interval=Interval(at(5), at(6)))
        for account in range(444455556660, 444455556669)
        for n in range(account - 444455556650)
    ]
    page = shown(make(Verdict.CHANGED, findings=lost))
    assert "(1 h), 9 accounts, 1 region\n" in page
    assert "       18  444455556668  us-east-1\n       17  444455556667  us-east-1\n" in page
    assert "       46  in 4 more places\n" in page
    assert "    444455556668-0\n    444455556667-0\n    444455556666-0\n" in page


def test_incidents_beyond_a_screenful_are_a_line_each() -> None:
    nights = [record(rules.LOG_MISSING, key=log_key(n), interval=Interval(at(9 * n), at(9 * n + 1))) for n in range(70)]
    page = shown(make(Verdict.CHANGED, findings=nights), width=120)
    assert len(re.findall(r"^MISSING  Log file is gone$", page, re.MULTILINE)) == 12
    assert len(re.findall(r"^MISSING +log-missing  1 finding, 111122223333 us-east-1, ", page, re.MULTILINE)) == 40
    assert "… and 18 more; all of them: --show all" in page
    assert len(re.findall(r"^MISSING  Log file is gone$", shown(make(findings=nights), show=None), re.MULTILINE)) == 70


def test_commands_to_paste_are_whole_at_any_width() -> None:
    page = shown(make(Verdict.CHANGED, findings=[record(rules.LOG_MISSING, key=log_key())]), width=60)
    command = f"    aws s3api list-object-versions --bucket {BUCKET} --prefix {log_key()}\n"
    assert command in page


def test_off_a_terminal_nothing_is_shortened_or_wrapped() -> None:
    report = make(Verdict.CHANGED, chains=[chain(trail="t" * 100)], findings=EVERY_RULE)
    page = shown(report, width=80, whole=True)
    assert "…" not in re.sub(r"… and \d+ more", "", page)
    for finding in EVERY_RULE:
        assert finding.key is None or f"    {finding.key}\n" in page or "more: " in page
    assert page.startswith("✗ CHANGED  Evidence of change: 12 altered, 2 missing, 1 extra (exit code 1).\n\n")
    assert LIMITS in page


def test_quiet_leaves_verdict_and_findings() -> None:
    page = shown(make(Verdict.CHANGED, chains=[chain()], findings=EVERY_RULE), quiet=True)
    assert page.startswith("✗ CHANGED")
    assert "Findings  27 findings" in page
    assert not any(word in page for word in ("Window", "Coverage", "Digests", "do not prove"))
    assert shown(make(), quiet=True).count("\n") == 1


def test_expected_and_found_hashes_stay_whole_at_80_columns() -> None:
    page = shown(
        make(Verdict.CHANGED, findings=[record(rules.LOG_ALTERED, key=log_key(), expected="ab" * 32, actual="cd" * 32)])
    )
    assert f"      expected {'ab' * 32}\n      found    {'cd' * 32}\n" in page


def test_causes_name_the_missing_permission_once() -> None:
    causes = [Cause.ACCESS_DENIED, Cause.ACCESS_DENIED, Cause.KMS_DENIED]
    findings = [record(rules.LOG_UNREADABLE, key=log_key(n), cause=cause) for n, cause in enumerate(causes)]
    page = words(shown(make(Verdict.UNPROVEN, findings=findings)))
    assert page.count(remedy(rules.LOG_UNREADABLE, Cause.ACCESS_DENIED)) == 1
    assert page.count("kms:Decrypt") == 1


def test_a_bucket_is_named_once_or_before_its_keys_where_there_are_several() -> None:
    one = [record(rules.LOG_MISSING, key=f"{n}.json.gz") for n in range(3)]
    page = shown(make(Verdict.CHANGED, findings=one))
    assert page.count(f"s3://{BUCKET}/") == 2  # the source, and the head of the findings
    other = record(rules.LOG_MISSING, key="9.json.gz", bucket="DOC-EXAMPLE-BUCKET1")
    page = shown(make(Verdict.CHANGED, findings=[*one, other]))
    assert page.index(f"    s3://{BUCKET}/\n    0.json.gz") < page.index("    s3://DOC-EXAMPLE-BUCKET1/\n    9.json.gz")


def test_long_lists_are_folded_and_all_of_them_can_be_shown_with_whole_keys() -> None:
    findings = [record(rules.LOG_MISSING, key=log_key(n)) for n in range(1_207)]
    report = make(Verdict.CHANGED, findings=findings)
    page = shown(report)
    assert len(re.findall(r"^    \S+_AbCdEf\d{10}\.json\.gz$", page, re.MULTILINE)) == FEW
    assert "… and 1,204 more: --show all" in page
    assert "… and 1,197 more" in shown(report, show=10)
    everything = shown(report, show=None, width=200)
    assert all(f"    {finding.key}\n" in everything for finding in findings)
    assert " more: " not in everything


def test_one_more_than_few_is_shown_rather_than_folded() -> None:
    page = shown(make(Verdict.CHANGED, findings=[record(rules.LOG_MISSING, key=log_key(n)) for n in range(FEW + 1)]))
    assert f"AbCdEf{FEW:010}" in page
    assert " more: " not in page


def test_capped_findings_are_counted_by_the_tally() -> None:
    findings = [record(rules.LOG_ALTERED, key=log_key(n)) for n in range(10)]
    report = make(Verdict.CHANGED, findings=findings, findings_truncated=True)
    tally = Tally()
    tally.numbers[rules.LOG_ALTERED, Status.ALTERED] = 25_000
    tally.numbers[rules.LOG_EXTRA, Status.EXTRA] = 7
    page = shown(report, tally=tally)
    assert "25,000 altered, 7 extra" in page
    assert "Findings  25,007 findings, 1 incident" in page
    assert "More was found than a report keeps: 25,000 log-altered, 7 log-extra in all." in page
    assert "Findings  at least 10 findings" in shown(report)


def test_a_rule_of_a_later_version_is_shown_all_the_same() -> None:
    later = FindingRecord(
        rule="log-\x1bnew", status=Status.EXTRA, account=None, region=None, trail=None, bucket=BUCKET, key="k",
        start=None, end=None, cause=None, expected=None, actual=None, message="m",
    )  # fmt: skip
    page = shown(make(Verdict.CHANGED, findings=[later]))
    assert "EXTRA  (a rule that this version does not know)" in page
    assert "  1 log-\\x1bnew\n" in page


def test_the_page_ends_with_what_a_pass_does_not_mean() -> None:
    end = words(shown(make()).split("\n\n")[-1])
    assert end.startswith("Digests prove that the files delivered for the covered hours are unchanged")
    assert "do not prove that every event was recorded" in end


EVIL = "\x1b]0;x\x07\x1b[2J[red]x[/red][link=x]\u202e\u2028\r\n\x9b31m\udc80"


def hostile(evil: str) -> Report:
    findings = [
        record(rule, key=f"{evil}/{evil}", bucket=evil, account=evil, region=evil, expected=evil * 9, actual=evil)
        for rule in rules.RULES
    ]
    request = RequestEcho(trail_arn=evil, start=START, end=DAY, source=evil, regions=(evil,), accounts=(evil,))
    run = Run(started=DAY, finished=DAY, caller_arn=evil)
    return make(
        Verdict.CHANGED,
        chains=[chain(evil, account=evil, trail=evil, organization_id=evil), chain(trail="x", gaps=[(1, 2)])],
        findings=findings,
        request=request,
        run=run,
        tool=Tool(name=evil, version=evil),
        public_keys=(PublicKeyRecord(fingerprint=evil, region=evil, source=evil),),
    )


@pytest.mark.parametrize("verbose", [False, True])
def test_nothing_from_a_report_reaches_a_terminal_raw(verbose: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system="truecolor", legacy_windows=False)
    render(hostile(EVIL), console, show=None if verbose else FEW)
    page = stream.getvalue()
    without_style = re.sub(r"\x1b\[[0-9;]*m", "", page)
    assert "\x1b[" in page  # there is style, so this test looks at the terminal's way
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", without_style)
    assert "[red]x[/red][link=x]" in without_style


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize(
    "report",
    [
        make(Verdict.CHANGED, chains=[chain(gaps=[(1, 2)], logs=CountsRecord(altered=10**7))], findings=EVERY_RULE),
        hostile(EVIL),
        hostile("日本語🙂" * 30),
        hostile("a" * 5_000),
    ],
    ids=["every rule", "control", "wide", "long"],
)
def test_no_line_is_wider_than_the_console(report: Report, width: int) -> None:
    assert max(map(cell_len, of_text(shown(report, width=width)))) <= width


def test_no_color_keeps_words_and_signs() -> None:
    stream = io.StringIO()
    render(
        make(Verdict.CHANGED, findings=EVERY_RULE), Console(file=stream, width=80, force_terminal=True, no_color=True)
    )
    page = stream.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", page)
    assert "✗ CHANGED" in re.sub(r"\x1b\[[0-9;]*m", "", page)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_without_utf8_gets_ascii_signs_and_escapes(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    findings = [record(rules.LOG_MISSING, key=f"日本/{'x' * 100}/日.json.gz") for _ in range(9)]
    report = make(Verdict.CHANGED, chains=[chain("us-east-1", gaps=[(0, 12)], until=23)], findings=findings)
    render(report, Console(file=stream, width=80))
    stream.flush()
    page = raw.getvalue().decode(encoding)
    assert page.isascii()
    assert page.startswith("x CHANGED")
    assert re.search(r"us-east-1 +\.+=+~+ ", page)
    assert ".../\\u65e5.json.gz" in page or "/\\u65e5.json.gz" in page
    assert "... and 6 more" in page
    assert max(map(len, of_text(page))) <= 80


@given(st.text(st.characters(codec=None), max_size=200), st.integers(4, 100), st.booleans())
def test_shorten_keeps_to_its_width_and_keeps_both_ends(text: str, width: int, key: bool) -> None:
    page = Page(Console(file=io.StringIO(), width=80))
    short = page.shorten(text, width, key=key)
    assert cell_len(short) <= width
    if cell_len(page.safe(text)) <= width:
        assert short == page.safe(text)
    else:
        assert "…" in short or key
        assert page.safe(text).endswith(short[-1:]) or short.endswith("…")


def test_of_a_key_the_file_name_survives() -> None:
    page = Page(Console(file=io.StringIO(), width=80))
    name = log_key().rpartition("/")[2]
    assert page.shorten(log_key(), 76, key=True).endswith(f"…/{name}")
    assert page.shorten(log_key(), 90, key=True) == f"AWSLogs/1111222…/{name}"
    digest = (
        f"AWSLogs/{ACCOUNT}/{ACCOUNT}_CloudTrail-Digest_us-east-1_management-events_us-east-1_20260101T100000Z.json.gz"
    )
    short = page.shorten(digest, 76, key=True)
    assert short.startswith(f"{ACCOUNT}_CloudTrail-Digest_us-east-1")
    assert short.endswith("_20260101T100000Z.json.gz")


@settings(max_examples=30)
@given(st.text(st.characters(codec=None), max_size=30), st.integers(30, 120))
def test_render_is_total_on_hostile_reports(evil: str, width: int) -> None:
    assert max(map(cell_len, of_text(shown(hostile(evil), width=width)))) <= width


def test_what_changed_inside_a_log_stands_below_it() -> None:
    altered = explained(record(rules.LOG_ALTERED, key=log_key()), 1)
    lines = shown(make(Verdict.CHANGED, findings=[altered]), width=120).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("      events   "))
    told = "2026-01-01T00:05:00Z DeleteTrail by arn:aws:iam::111122223333:user/jane"
    assert lines[at] == "      events   1 removed, 1 changed, 0 added, 8 equal"
    assert lines[at + 1].startswith(f"               - {told}")
    assert any(line.startswith(f"               ~ {told}") for line in lines)
