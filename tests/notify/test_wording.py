"""Words of alerts: they tell changed from unproven, fit every target's limits, and nothing in them is obeyed."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.notify.event import build_event, refused_event, still_open
from cloudtrail_validate.notify.wording import LISTED, MAX_SUBJECT, attributes, body, subject
from cloudtrail_validate.report import Report, Verdict
from tests.report import samples
from tests.report.samples import at, chain, finding, log_key, report

SAMPLES: dict[str, Report] = {
    **{str(verdict): told for verdict, told in samples.verdicts().items()},
    "hostile": samples.hostile(),
    "huge": samples.huge(findings=2_000),
}


@pytest.mark.parametrize("told", SAMPLES.values(), ids=map(str, SAMPLES))
def test_words_fit_and_are_plain(told: Report) -> None:
    event = build_event(told)
    assert re.fullmatch(r"[\x20-\x7e]{1,99}", subject(event))
    assert len(subject(event)) <= MAX_SUBJECT
    text = body(event)
    assert re.fullmatch(r"[\x20-\x7e\n]+", text)
    assert len(text.encode()) < 60_000
    # Nothing that a chat, a mail or a phone would obey: links, mentions, markup.
    assert not re.search(r"[<>@*`|\\]|https?:", text.replace("s3://", ""))
    pairs = attributes(event)
    assert len(pairs) <= 10
    assert all(pairs.values())
    assert all(re.fullmatch(r"[\x20-\x7e]+", value) for value in pairs.values())


def test_subject_tells_changed_from_unproven() -> None:
    lines = {verdict: subject(build_event(told)) for verdict, told in samples.verdicts().items()}
    assert lines[Verdict.CHANGED].startswith("ctvalidate CHANGED: ")
    assert lines[Verdict.UNPROVEN] == "ctvalidate UNPROVEN: 1 uncovered - mgmt"
    assert lines[Verdict.EMPTY] == "ctvalidate EMPTY: no digest - mgmt"
    assert lines[Verdict.VALID] == "ctvalidate VALID: all proven - mgmt"
    assert len({line.split(":")[0] for line in lines.values()}) == 4


def test_a_name_of_any_length_leaves_the_verdict_in_the_subject() -> None:
    request = samples.quiet().request
    long = replace(request, trail_arn=None, source="s3://" + "b" * 300)
    event = refused_event(long, None, exit_code=3, problem="no", now=at(0), version="1")
    assert subject(event).startswith("ctvalidate UNPROVEN: nothing could be validated - ")
    assert len(subject(event)) <= MAX_SUBJECT


def test_body_names_new_again_and_healed_apart() -> None:
    one = finding(rules.LOG_ALTERED, log_key(5), hours=(5, 6))
    two = finding(rules.LOG_MISSING, log_key(7), hours=(7, 8))
    three = finding(rules.LOG_EXTRA, log_key(9), hours=(9, 10))
    memory = still_open(build_event(report([chain()], [one, two])))
    text = body(build_event(report([chain()], [two, three]), memory))
    assert re.findall(r"^(New|Found again|Healed): 1 finding\n- (\S+) ", text, re.MULTILINE) == [
        ("New", "log-extra"),
        ("Found again", "log-missing"),
        ("Healed", "log-altered"),
    ]


def test_body_is_capped_and_says_so() -> None:
    text = body(build_event(samples.huge(findings=500)))
    assert len(re.findall(r"^- ", text, re.MULTILINE)) == LISTED
    assert re.search(r"^  and \d+ more in the report$", text, re.MULTILINE)
    short = body(build_event(samples.huge(findings=500)), 1_000)
    assert len(short) <= 1_000
    assert short.endswith("\n... more in the report\n")
    assert short.startswith("CHANGED: ")


def test_a_refusal_says_why() -> None:
    told = samples.quiet()
    event = refused_event(
        told.request, None, exit_code=3, problem="cannot list s3://b/ (allow s3:ListBucket)", now=at(0), version="1"
    )
    assert "nothing could be validated (exit code 3)" in body(event)
    assert "cannot list s3%3A//b/ %28allow s3:ListBucket%29" in body(event)
