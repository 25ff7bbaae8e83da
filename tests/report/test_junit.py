"""JUnit XML: a suite for each chain, a case for each hour or day, red exactly where the exit code is not 0."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Kind
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import Report, Verdict, junit
from tests.report import samples
from tests.report.samples import ACCOUNT, SECOND, at, chain, finding, log_key, report


def suites(sample: Report) -> dict[str, TestSuite]:
    xml = JUnitXml.fromstring(junit.render(sample).encode())
    assert isinstance(xml, JUnitXml)
    found = list(xml)
    assert len({suite.name for suite in found}) == len(found)
    for suite in found:
        ends = Counter(type(result) for case in suite for result in case.result)
        assert (suite.tests, suite.failures) == (len(list(suite)), ends[Failure])
        assert (suite.errors, suite.skipped) == (ends[Error], ends[Skipped])
    assert xml.tests == sum(suite.tests for suite in found)
    assert xml.failures == sum(suite.failures for suite in found)
    assert xml.errors == sum(suite.errors for suite in found)
    assert xml.skipped == sum(suite.skipped for suite in found)
    return {str(suite.name): suite for suite in found}


def outcomes(suite: TestSuite) -> dict[str, str]:
    return {case.name: case.result[0].__class__.__name__ if case.result else "passed" for case in suite}


def test_junit_has_a_case_an_hour_of_a_short_window() -> None:
    cases = outcomes(suites(samples.quiet())[f"{ACCOUNT}.us-east-1.mgmt"])
    assert list(cases) == [f"2026-01-01T{hour:02}:00Z" for hour in range(24)]
    assert set(cases.values()) == {"passed"}
    pending = outcomes(suites(samples.quiet())[f"{ACCOUNT}.eu-west-1.mgmt"])
    assert [name for name, outcome in pending.items() if outcome != "passed"] == ["2026-01-01T23:00Z"]
    assert pending["2026-01-01T23:00Z"] == "Skipped"


def test_junit_has_a_case_a_day_of_a_long_window() -> None:
    found = suites(samples.telling())
    cases = outcomes(found[f"{SECOND}.us-west-2.mgmt"])
    assert len(cases) == 90
    assert set(cases.values()) == {"passed"}
    lost = outcomes(found[f"{SECOND}.ap-southeast-2.mgmt"])
    assert [name for name, outcome in lost.items() if outcome == "Error"] == [
        f"2026-{(at(700) + timedelta(days=n)):%m-%d}" for n in range(8)
    ]
    assert outcomes(found[f"{ACCOUNT}.us-east-1.mgmt"])["2026-01-01"] == "Failure"


@pytest.mark.parametrize(
    ("rule", "outcome"), [(rules.LOG_ALTERED, Failure), (rules.LOG_UNDIGESTED, Error), (rules.LOG_REWRITTEN, None)]
)
def test_a_junit_case_ends_as_its_worst_finding(rule: str, outcome: type[Any] | None) -> None:
    sample = report([chain()], [finding(rule, log_key(5)), finding(rules.LOG_PENDING, log_key(5, 1))])
    suite = suites(sample)[f"{ACCOUNT}.us-east-1.mgmt"]
    case: TestCase = next(case for case in suite if case.name == "2026-01-01T05:00Z")
    if outcome is None:
        assert not case.result
        assert rules.LOG_REWRITTEN in str(case.system_out)
    else:
        (result,) = case.result
        assert isinstance(result, outcome)
        assert log_key(5) in str(result.text)
        assert result.type == rule
    assert log_key(5, 1) in str(case.system_out)


def test_a_tolerated_gap_is_skipped_and_an_untold_one_is_not() -> None:
    chains, gap = [chain(gaps=[("gap-broken", 3, 5)])], finding(rules.GAP_BROKEN, hours=(3, 5))
    name = f"{ACCOUNT}.us-east-1.mgmt"
    for findings, tolerated, expected in (([gap], [], "Error"), ([gap], [rules.GAP_BROKEN], "Skipped")):
        cases = outcomes(suites(report(chains, findings, tolerated=tolerated))[name])
        assert {hour for hour, outcome in cases.items() if outcome == expected} == {
            "2026-01-01T03:00Z",
            "2026-01-01T04:00Z",
        }
    capped = replace(report(chains, [gap]), findings=(), findings_truncated=True)
    assert outcomes(suites(capped)[name])["2026-01-01T03:00Z"] == "Error"


@pytest.mark.parametrize("verdict", Verdict)
def test_junit_is_green_exactly_where_the_exit_code_is_0(verdict: Verdict) -> None:
    sample = samples.verdicts()[verdict]
    for whole in (sample, replace(sample, findings=(), chains=(), findings_truncated=True)):
        xml = suites(whole)
        red = sum(
            isinstance(result, Failure | Error) for suite in xml.values() for case in suite for result in case.result
        )
        assert (red == 0) is (sample.exit_code == 0)


def test_junit_leaves_no_finding_out(sample: Report) -> None:
    document = junit.render(sample)
    said = "".join(
        str(part)
        for suite in suites(sample).values()
        for case in suite
        for part in [*(result.text for result in case.result), case.system_out]
    )
    assert document.count("<testcase") == sum(len(list(suite)) for suite in suites(sample).values())
    for one in sample.findings:
        assert printable(one.message) in said


def test_junit_places_what_lies_outside_of_window_and_chains() -> None:
    late = finding(rules.LOG_PENDING, log_key(30))
    stray = finding(rules.LOG_EXTRA, "no/place", account=None, region=None, trail=None)
    untimed = finding(rules.DIGEST_MALFORMED, "no/time")
    untold = finding(rules.LOG_EXTRA, log_key(6), trail=None)
    elsewhere = finding(rules.CHAIN_ABSENT, hours=(0, 24), region="eu-north-1", trail=None)
    backfill = finding(rules.DIGEST_MALFORMED, samples.digest_key(9).replace(".json", "_backfill.json"))
    chains = [chain(), chain(kind=Kind.BACKFILL, covered=((at(2), at(3)),))]
    found = suites(report(chains, [late, stray, untimed, untold, elsewhere, backfill]))
    main = outcomes(found[f"{ACCOUNT}.us-east-1.mgmt"])
    assert main["no time known"] == main["2026-01-01T06:00Z"] == "Failure"
    assert main["2026-01-01T23:00Z"] == "passed"
    assert outcomes(found["trail"]) == {"window": "Failure"}
    assert outcomes(found[f"{ACCOUNT}.eu-north-1"]) == {"window": "Error"}
    assert outcomes(found[f"{ACCOUNT}.us-east-1.mgmt.backfill"]) == {
        "2026-01-01T02:00Z": "passed",
        "2026-01-01T08:00Z": "Failure",
    }


def test_junit_of_an_odd_window_names_whole_hours() -> None:
    early = chain(covered=((at(-5), at(-3)), (at(0), at(24))))
    sample = report([early])
    window = replace(sample.request, start=at(0.5), end=at(3.25))
    cases = outcomes(suites(replace(sample, request=window))[f"{ACCOUNT}.us-east-1.mgmt"])
    assert cases == {f"2026-01-01T{hour:02}:00Z": "passed" for hour in range(4)}
