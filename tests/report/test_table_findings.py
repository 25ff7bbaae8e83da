"""The table's findings: told as incidents, worst first, with objects, causes, hashes and what to read."""

from __future__ import annotations

import re

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Cause, Interval, Status
from cloudtrail_validate.report import (
    FindingRecord,
    Tally,
    Verdict,
)
from cloudtrail_validate.report.sentences import remedy
from cloudtrail_validate.report.table import FEW
from tests.report.samples import ACCOUNT, BUCKET, at, explained, log_key
from tests.report.table_page import EVERY_RULE, make, record, shown, words


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_each_rule_has_its_title_object_and_where_to_read_on(rule: str) -> None:
    key = None if rule.startswith("gap-") or rule == rules.CHAIN_ABSENT else log_key(5, 7)
    page = shown(make(Verdict.CHANGED, findings=[record(rule, key=key)]))
    own = rules.RULES[rule]
    assert "Findings  1 finding, 1 incident" in page
    body = page[page.index(f"{own.status.upper()}  {own.title}\n") :]
    assert f"  1 {rule}\n" in body
    assert f"→ ctvalidate explain {rule}\n" in body
    if key is None:
        assert f"    {ACCOUNT}  us-east-1  2026-01-01T03:00:00Z for 2 h\n" in body
    else:
        assert "_20260101T0500Z_AbCdEf0000000007.json.gz\n" in body


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
        *(record(rules.LOG_UNDIGESTED, key=log_key(5, n), interval=Interval(at(5), at(6))) for n in range(546)),
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
    nights = [
        record(rules.LOG_MISSING, key=log_key(5, n), interval=Interval(at(9 * n), at(9 * n + 1))) for n in range(70)
    ]
    page = shown(make(Verdict.CHANGED, findings=nights), width=120)
    assert len(re.findall(r"^MISSING  Log file is gone$", page, re.MULTILINE)) == 12
    assert len(re.findall(r"^MISSING +log-missing  1 finding, 111122223333 us-east-1, ", page, re.MULTILINE)) == 40
    assert "… and 18 more; all of them: --show all" in page
    assert len(re.findall(r"^MISSING  Log file is gone$", shown(make(findings=nights), show=None), re.MULTILINE)) == 70


def test_commands_to_paste_are_whole_at_any_width() -> None:
    page = shown(make(Verdict.CHANGED, findings=[record(rules.LOG_MISSING, key=log_key())]), width=60)
    command = f"    aws s3api list-object-versions --bucket {BUCKET} --prefix {log_key()}\n"
    assert command in page


def test_expected_and_found_hashes_stay_whole_at_80_columns() -> None:
    page = shown(
        make(Verdict.CHANGED, findings=[record(rules.LOG_ALTERED, key=log_key(), expected="ab" * 32, actual="cd" * 32)])
    )
    assert f"      expected {'ab' * 32}\n      found    {'cd' * 32}\n" in page


def test_causes_name_the_missing_permission_once() -> None:
    causes = [Cause.ACCESS_DENIED, Cause.ACCESS_DENIED, Cause.KMS_DENIED]
    findings = [record(rules.LOG_UNREADABLE, key=log_key(5, n), cause=cause) for n, cause in enumerate(causes)]
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
    findings = [record(rules.LOG_MISSING, key=log_key(5, n)) for n in range(1_207)]
    report = make(Verdict.CHANGED, findings=findings)
    page = shown(report)
    assert len(re.findall(r"^    \S+_AbCdEf\d{10}\.json\.gz$", page, re.MULTILINE)) == FEW
    assert "… and 1,204 more: --show all" in page
    assert "… and 1,197 more" in shown(report, show=10)
    everything = shown(report, show=None, width=200)
    assert all(f"    {finding.key}\n" in everything for finding in findings)
    assert " more: " not in everything


def test_one_more_than_few_is_shown_rather_than_folded() -> None:
    page = shown(make(Verdict.CHANGED, findings=[record(rules.LOG_MISSING, key=log_key(5, n)) for n in range(FEW + 1)]))
    assert f"AbCdEf{FEW:010}" in page
    assert " more: " not in page


def test_capped_findings_are_counted_by_the_tally() -> None:
    findings = [record(rules.LOG_ALTERED, key=log_key(5, n)) for n in range(10)]
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


def test_what_changed_inside_a_log_stands_below_it() -> None:
    altered = explained(record(rules.LOG_ALTERED, key=log_key()), 1)
    lines = shown(make(Verdict.CHANGED, findings=[altered]), width=120).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("      events   "))
    told = "2026-01-01T00:05:00Z DeleteTrail by arn:aws:iam::111122223333:user/jane"
    assert lines[at] == "      events   1 removed, 1 changed, 0 added, 8 equal"
    assert lines[at + 1].startswith(f"               - {told}")
    assert any(line.startswith(f"               ~ {told}") for line in lines)
