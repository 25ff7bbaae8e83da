"""The evaluator of policies: wildcards against brute force, conditions one by one, decisions on whole documents."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.doctor.policy.conditions import ABSENT, CHOSEN, Truth, all_of, any_of, judge, negate
from cloudtrail_validate.doctor.policy.decide import Outcome, Request, candidates, context_of, decide, denied
from cloudtrail_validate.doctor.policy.document import (
    ANYONE,
    MAX_DOCUMENT,
    MAX_STATEMENTS,
    Condition,
    Document,
    Principal,
    Sort,
    parse,
)
from cloudtrail_validate.doctor.policy.patterns import MAX_PATTERN, covers, is_plain, meets, narrower

TEXTS: Final = ["".join(letters) for size in range(9) for letters in itertools.product("ab", repeat=size)]
patterns = st.text("ab*?", max_size=4)
ROLE: Final = "arn:aws:iam::123456789012:role/cleaner"
BUCKET: Final = "arn:aws:s3:::amzn-s3-demo-bucket"


def language(pattern: str) -> set[str]:
    """Every short text that fits, by the oracle of Python's own regular expressions."""
    wild = re.compile("".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern))
    return {text for text in TEXTS if wild.fullmatch(text)}


# -- wildcards


@given(patterns, patterns)
def test_two_patterns_meet_where_some_text_fits_both(one: str, other: str) -> None:
    assert meets(one, other) == meets(other, one) == bool(language(one) & language(other))


@given(patterns, patterns)
def test_a_pattern_that_covers_another_fits_all_of_its_texts(one: str, other: str) -> None:
    if covers(one, other):
        assert language(other) <= language(one)
    if is_plain(one) or is_plain(other):
        assert covers(one, other) == (language(other) <= language(one))


@given(patterns, st.sampled_from(TEXTS))
def test_covering_a_text_is_fitting_it(pattern: str, text: str) -> None:
    assert covers(pattern, text) == (text in language(pattern))


@given(patterns)
def test_a_pattern_covers_itself_and_a_star_covers_all(pattern: str) -> None:
    assert covers(pattern, pattern)
    assert covers("*", pattern)
    assert meets(pattern, "*")
    assert language(narrower("*", pattern)) == language(pattern) == language(narrower(pattern, "*"))


def test_what_is_too_long_to_compare_is_said_to_meet_and_not_to_cover() -> None:
    long = "a*" * MAX_PATTERN
    assert meets(long, "b")
    assert not covers(long, "b")
    assert covers("*", long)


def test_hostile_patterns_take_no_time_to_speak_of() -> None:
    stars = "*a" * (MAX_PATTERN // 2)
    assert not covers(stars, "b" * MAX_PATTERN)
    assert not meets(f"{stars[:-2]}*c", "b" * 64 + "?" * 64)


# -- truth


def test_truth_combines_conservatively() -> None:
    yes, some, unknown, no = Truth.YES, Truth.SOME, Truth.UNKNOWN, Truth.NO
    assert all_of([]) is yes
    assert any_of([]) is no
    assert all_of([yes, some]) is some
    assert all_of([some, unknown]) is unknown
    assert all_of([unknown, no]) is no
    assert any_of([no, unknown]) is unknown
    assert any_of([unknown, some]) is some
    assert any_of([some, yes]) is yes
    assert [negate(truth) for truth in (yes, some, unknown, no)] == [no, some, unknown, yes]


@pytest.mark.parametrize(
    ("operator", "value", "known", "expected"),
    [
        ("StringEquals", "a", "a", "yes"),
        ("StringEquals", "a", "b", "no"),
        ("StringEquals", "a", "*", "some"),
        ("StringEquals", "a*", "ab", "no"),  # a star is a star here, no wildcard
        ("StringNotEquals", "a", "b", "yes"),
        ("StringNotEquals", "a", "*", "some"),
        ("StringEqualsIgnoreCase", "A", "a", "yes"),
        ("StringNotEqualsIgnoreCase", "A", "a", "no"),
        ("StringLike", "a*", "ab", "yes"),
        ("StringLike", "ab", "a*", "some"),
        ("StringNotLike", "a*", "ab", "no"),
        ("ArnLike", "arn:aws:cloudtrail:*:1:trail/*", "arn:aws:cloudtrail:us-east-1:1:trail/x", "yes"),
        (
            "ArnEquals",
            "arn:aws:*:1:trail/x",
            "arn:aws:cloudtrail:us-east-1:1:trail/x",
            "unknown",
        ),  # a star stops at a colon
        ("ArnLike", "arn:aws:cloudtrail:*:trail/x:*", "arn:aws:cloudtrail:us-east-1:1:trail/x", "no"),
        ("ArnLike", "*", "arn:aws:iam::1:role/b", "yes"),
        ("ArnNotEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b", "yes"),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/b", "no"),
        ("Bool", "false", "false", "yes"),
        ("Bool", "False", "true", "no"),
        ("Null", "true", ABSENT, "yes"),
        ("Null", "false", ABSENT, "no"),
        ("Null", "false", "x", "yes"),
        ("Null", "true", CHOSEN, "some"),
        ("StringEquals", "a", ABSENT, "no"),
        ("StringNotEquals", "a", ABSENT, "yes"),
        ("StringEqualsIfExists", "a", ABSENT, "yes"),
        ("StringEqualsIfExists", "a", "b", "no"),
        ("ForAllValues:StringEquals", "a", ABSENT, "yes"),
        ("ForAnyValue:StringEquals", "a", ABSENT, "no"),
        ("ForAnyValue:StringLike", "a*", "ab", "yes"),
        ("StringEquals", "a", CHOSEN, "some"),
        ("NumericLessThan", "3", CHOSEN, "some"),
        ("NumericLessThan", "3", ABSENT, "no"),
        ("NumericLessThan", "3", "2", "unknown"),
        ("IpAddress", "192.0.2.0/24", None, "unknown"),
        ("NotIpAddress", "192.0.2.0/24", ABSENT, "yes"),
        ("StringResembles", "a", "a", "unknown"),
        ("ForSomeValues:StringEquals", "a", "a", "unknown"),
        ("Null", "true", None, "unknown"),
    ],
)
def test_conditions(operator: str, value: str, known: str | None, expected: str) -> None:
    context = {} if known is None else {"aws:key": known}
    assert judge(Condition(operator, "aws:key", (value,)), context) == expected


def test_one_of_several_values_is_enough_and_not_equal_means_none_of_them() -> None:
    context = {"aws:key": "b"}
    assert judge(Condition("StringEquals", "aws:key", ("a", "b")), context) is Truth.YES
    assert judge(Condition("StringNotEquals", "aws:key", ("a", "b")), context) is Truth.NO


def test_keys_are_chosen_absent_or_known_by_their_name() -> None:
    secure = Condition("Bool", "aws:securetransport", ("false",))
    tag = Condition("StringEquals", "aws:principaltag/team", ("a",))
    service = context_of(Principal(Sort.SERVICE, "cloudtrail.amazonaws.com"), {})
    assert judge(secure, {}) is Truth.SOME
    assert judge(tag, {}) is Truth.UNKNOWN
    assert judge(tag, service) is Truth.NO


def test_policy_variables_are_filled_in_where_they_are_known() -> None:
    own = Condition("StringEquals", "aws:key", ("${aws:PrincipalAccount}",))
    assert judge(own, {"aws:key": "1", "aws:principalaccount": "1"}) is Truth.YES
    assert judge(own, {"aws:key": "1", "aws:principalaccount": "2"}) is Truth.NO
    assert judge(own, {"aws:key": "1"}) is Truth.UNKNOWN
    assert judge(Condition("StringLike", "aws:key", ("a${*}",)), {"aws:key": "ab"}) is Truth.UNKNOWN


# -- documents


def document(*statements: dict[str, Any]) -> Document:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def allow(principal: Any, action: Any = "s3:PutObject", resource: Any = f"{BUCKET}/*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource, **more}


def deny(action: Any = "s3:*", resource: Any = f"{BUCKET}/*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource, **more}


def ask(
    policy: Document, principal: Principal, action: str = "s3:PutObject", resource: str = f"{BUCKET}/a/*"
) -> Outcome:
    return decide(policy, Request(principal, action, resource, context_of(principal, {}))).outcome


CLEANER: Final = Principal(Sort.AWS, ROLE)
ACCOUNT: Final = Principal(Sort.AWS, "123456789012")


def test_actions_are_compared_without_regard_to_case_and_resources_with_it() -> None:
    assert ask(document(allow("*", "S3:putOBJECT")), CLEANER) is Outcome.ALLOWED
    assert ask(document(allow("*", resource=f"{BUCKET}/A/*")), CLEANER) is Outcome.REFUSED


@pytest.mark.parametrize("principal", ["123456789012", "arn:aws:iam::123456789012:root"])
def test_an_account_stands_for_everybody_in_it(principal: str) -> None:
    policy = document(allow({"AWS": principal}))
    assert candidates(policy) == (ACCOUNT,)
    assert ask(policy, CLEANER) is Outcome.ALLOWED
    assert ask(policy, Principal(Sort.AWS, ROLE.replace("1234", "9999"))) is Outcome.REFUSED
    assert ask(policy, ANYONE) is Outcome.REFUSED


def test_a_session_acts_as_its_role() -> None:
    policy = document(allow({"AWS": "arn:aws:iam::123456789012:role/team/cleaner"}))
    session = "arn:aws:sts::123456789012:assumed-role/cleaner/monday"
    assert ask(policy, Principal(Sort.AWS, session)) is Outcome.ALLOWED
    assert ask(policy, Principal(Sort.AWS, session.replace("cleaner", "cook"))) is Outcome.REFUSED


def test_deny_wins_where_it_covers_what_is_allowed() -> None:
    whole = document(allow({"AWS": ROLE}), deny())
    part = document(allow({"AWS": ROLE}), deny(resource=f"{BUCKET}/a/b/*"))
    narrowed = document(allow({"AWS": ROLE}, resource=f"{BUCKET}/a/b/*"), deny(resource=f"{BUCKET}/a/b*"))
    assert ask(whole, CLEANER) is Outcome.REFUSED
    assert ask(part, CLEANER) is Outcome.ALLOWED
    assert ask(narrowed, CLEANER) is Outcome.REFUSED


def test_deny_with_not_principal_spares_those_it_names() -> None:
    policy = document(
        allow("*"), {"Effect": "Deny", "NotPrincipal": {"AWS": ROLE}, "Action": "s3:*", "Resource": f"{BUCKET}/*"}
    )
    assert ask(policy, CLEANER) is Outcome.ALLOWED
    assert ask(policy, Principal(Sort.AWS, f"{ROLE}2")) is Outcome.REFUSED
    assert CLEANER in candidates(policy)


def test_deny_that_can_be_avoided_is_no_denial() -> None:
    tls = deny(Condition={"Bool": {"aws:SecureTransport": "false"}})
    policy = document(allow({"AWS": ROLE}), tls)
    assert ask(policy, CLEANER) is Outcome.ALLOWED
    insecure = context_of(ANYONE, {"aws:securetransport": "false"})
    assert denied(policy, Request(ANYONE, "s3:GetObject", f"{BUCKET}/*", insecure)) is Truth.YES


def test_not_resource_is_everything_else() -> None:
    other = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "NotResource": f"{BUCKET}/a/*"}
    assert ask(document(other), CLEANER) is Outcome.REFUSED
    assert ask(document(other), CLEANER, resource=f"{BUCKET}/b/*") is Outcome.ALLOWED


def test_what_nobody_can_judge_is_said_with_its_condition() -> None:
    policy = document(allow({"AWS": ROLE}, Sid="Office", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}))
    request = Request(CLEANER, "s3:PutObject", f"{BUCKET}/a", context_of(CLEANER, {}))
    decision = decide(policy, request)
    assert decision.outcome is Outcome.MAYBE
    assert decision.open == ("IpAddress aws:sourceip in 'Office'",)
    spared = document(allow({"AWS": ROLE}), deny(Condition={"StringEquals": {"aws:SourceVpce": "vpce-1"}}))
    assert decide(spared, request).outcome is Outcome.MAYBE


def test_a_statement_without_principal_is_about_everybody() -> None:
    policy = document({"Effect": "Deny", "Action": "cloudtrail:Stop*", "Resource": "*"})
    request = Request(CLEANER, "cloudtrail:StopLogging", "arn:aws:cloudtrail:us-east-1:1:trail/x", {})
    assert denied(policy, request) is Truth.YES


# -- hostile documents


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"x"',
        "{",
        '{"Statement": 1}',
        '{"Statement": [1]}',
        '{"Statement": [{}]}',
        '{"Statement": [{"Effect": "allow", "Action": "*"}]}',
        '{"Statement": [{"Effect": "Allow"}]}',
        '{"Statement": [{"Effect": "Allow", "Action": []}]}',
        '{"Statement": [{"Effect": "Allow", "Action": {"a": 1}}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*", "Principal": 1}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*", "Principal": {}}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*", "Principal": {"Alien": "x"}}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*", "Condition": []}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*", "Condition": {"Bool": 1}}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": [null]}]}',
        "[" * 100_000,
        " " * (MAX_DOCUMENT + 1),
        json.dumps({"Statement": [{"Effect": "Allow", "Action": "*"}] * (MAX_STATEMENTS + 1)}),
    ],
)
def test_what_is_not_understood_is_a_problem_and_raises_nothing(text: str) -> None:
    found = parse(text)
    assert found.problems
    assert not found.statements


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["*", "Allow", "Deny", "AWS"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"Effect": st.sampled_from(["Allow", "Deny"]), "Action": json_values},
            optional=dict.fromkeys(
                ("Sid", "Principal", "NotPrincipal", "Resource", "NotResource", "Condition"), json_values
            ),
        ),
        max_size=3,
    )
)
def test_no_document_makes_a_decision_fail(statements: list[Any]) -> None:
    policy = parse(json.dumps({"Statement": statements}))
    for principal in (*candidates(policy), ANYONE, CLEANER):
        assert ask(policy, principal) in Outcome
