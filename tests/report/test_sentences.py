from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Cause, Finding, Interval, Locator, Status
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report.sentences import MAX_VALUE, SENTENCES, describe, remedy

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/111122223333_CloudTrail_us-east-1_20260101T0005Z_a.json.gz"
WHERE = Locator("DOC-EXAMPLE-BUCKET", KEY)
URL = f"s3://DOC-EXAMPLE-BUCKET/{KEY}"
GAPS = {rules.GAP_BROKEN, rules.GAP_RESTART, rules.GAP_LATE_START, rules.GAP_TAIL, rules.CHAIN_ABSENT}


def finding(rule: str, **fields: Any) -> Finding:
    given_fields: dict[str, Any] = {
        "status": rules.RULES[rule].status,
        "account": "111122223333",
        "region": "us-east-1",
        "trail": "mgmt",
        "where": None if rule in GAPS else WHERE,
        "interval": Interval(START, START + timedelta(hours=3)),
    }
    return Finding(rule, **(given_fields | fields))


def test_every_rule_has_a_sentence_of_its_own() -> None:
    assert set(SENTENCES) == set(rules.RULES)
    assert len(set(SENTENCES.values())) == len(rules.RULES)


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_a_sentence_names_the_object_or_the_hours_and_the_place(rule: str) -> None:
    sentence = describe(finding(rule))
    assert sentence.endswith(".")
    assert "{" not in sentence
    assert not re.search(r"[`*\n]|\[/?[a-z]+\]", sentence)
    if rule in GAPS:
        assert "2026-01-01T00:00:00Z to 2026-01-01T03:00:00Z (3 h)" in sentence
        assert "account 111122223333, region us-east-1, trail mgmt" in sentence
    elif rule == "witness-event-absent":  # of no object: it is about an event that no log holds
        assert "account 111122223333, region us-east-1" in sentence
    else:
        assert URL in sentence


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_every_field_that_carries_a_fact_is_told(rule: str) -> None:
    sentence = describe(finding(rule, expected="EXPECTED", actual="ACTUAL", detail="DETAIL"))
    assert "EXPECTED" in sentence
    assert "ACTUAL" in sentence
    assert "DETAIL" in sentence


def test_a_run_that_was_ended_speaks_of_no_object() -> None:
    sentence = describe(finding(rules.DIGEST_UNREADABLE, where=None, detail="the run was interrupted before its end"))
    assert sentence == "Not everything could be looked at (the run was interrupted before its end)."


def test_hashes_are_compared() -> None:
    sentence = describe(finding(rules.LOG_ALTERED, expected="aa" * 32, actual="bb" * 32))
    assert sentence == (
        f"The content of the log {URL} is not what its digest recorded (expected {'aa' * 32}, found {'bb' * 32})."
    )


def test_a_moved_digest_names_both_places_once() -> None:
    sentence = describe(finding(rules.DIGEST_MOVED, expected="s3://DOC-EXAMPLE-BUCKET/old", actual=URL))
    assert sentence == f"The digest {URL} says that it was delivered as s3://DOC-EXAMPLE-BUCKET/old."


def test_an_unknown_key_is_judged_by_the_status() -> None:
    altered = describe(finding(rules.DIGEST_KEY_UNKNOWN, status=Status.ALTERED, actual="0f"))
    unverifiable = describe(finding(rules.DIGEST_KEY_UNKNOWN, status=Status.UNVERIFIABLE, actual="0f"))
    assert "fingerprint 0f" in altered
    assert "is not CloudTrail's" in altered
    assert "cannot be checked" in unverifiable


def test_what_is_missing_from_the_metadata_is_named() -> None:
    assert describe(finding(rules.DIGEST_SIGNATURE_MISSING)).endswith("hold no signature.")
    named = describe(finding(rules.DIGEST_SIGNATURE_MISSING, detail="signature-algorithm"))
    assert named.endswith("hold no signature-algorithm.")


@pytest.mark.parametrize(
    ("rule", "cause", "needed"),
    [
        (rules.LOG_UNREADABLE, Cause.ACCESS_DENIED, ["s3:GetObject", "s3:ListBucket"]),
        (rules.DIGEST_UNREADABLE, Cause.ACCESS_DENIED, ["s3:GetObject", "s3:ListBucket"]),
        (rules.LOG_UNREADABLE, Cause.KMS_DENIED, ["kms:Decrypt"]),
        (rules.LOG_UNREADABLE, Cause.ARCHIVED, ["restore"]),
        (rules.LOG_UNREADABLE, Cause.THROTTLED, ["throttled", "again"]),
        (rules.LOG_UNREADABLE, Cause.NETWORK, ["network", "again"]),
        (rules.DIGEST_KEY_UNKNOWN, Cause.ACCESS_DENIED, ["cloudtrail:ListPublicKeys", "--public-keys"]),
        (rules.CHAIN_ABSENT, Cause.ACCESS_DENIED, ["s3:ListBucket"]),
    ],
)
def test_the_cause_names_the_missing_permission_or_step(rule: str, cause: Cause, needed: list[str]) -> None:
    sentence = describe(finding(rule, status=Status.UNVERIFIABLE, cause=cause))
    assert all(word in sentence for word in needed)
    assert remedy(rule, cause) in sentence


def test_every_cause_has_a_remedy_of_its_own() -> None:
    assert len({remedy(rules.LOG_UNREADABLE, cause) for cause in Cause}) == len(Cause)


def test_an_overlong_value_is_cut_in_the_middle_and_says_so() -> None:
    sentence = describe(finding(rules.LOG_ALTERED, expected="a" * 1_000_000 + "END"))
    assert len(sentence) < 2 * MAX_VALUE
    assert "characters left out" in sentence
    assert "END" in sentence


HOSTILE = st.none() | st.text(st.characters(codec=None), max_size=40)
FINDINGS = st.builds(
    Finding,
    rule=st.sampled_from(sorted(rules.RULES)),
    status=st.sampled_from(Status),
    account=HOSTILE,
    region=HOSTILE,
    trail=HOSTILE,
    where=st.none() | st.builds(Locator, st.text(max_size=10), st.text(st.characters(codec=None), max_size=40)),
    interval=st.none() | st.integers(-5, 5).map(lambda hours: Interval(START, START + timedelta(hours=hours))),
    cause=st.none() | st.sampled_from(Cause),
    expected=HOSTILE,
    actual=HOSTILE,
    detail=HOSTILE,
)


@given(FINDINGS)
def test_describe_is_total_and_what_it_says_is_safe(any_finding: Finding) -> None:
    sentence = describe(any_finding)
    assert sentence == printable(sentence)
    assert sentence.endswith(".")
