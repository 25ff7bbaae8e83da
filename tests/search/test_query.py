"""Each filter finds what it says, and the bytes prefilter never passes over a hit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.search import glob
from cloudtrail_validate.search.event import read_event
from cloudtrail_validate.search.query import Matcher, Query
from cloudtrail_validate.search.uses import USES
from tests.search.events import BASE, ROOT, USER, escaped, raw

CASES: list[tuple[Query, dict[str, Any], bool]] = [
    (Query(), {}, True),
    (Query(events=("StopInstances",)), {}, True),
    (Query(events=("stopinstances",)), {}, False),
    (Query(events=("Start*", "Stop*")), {}, True),
    (Query(events=("*Instances",)), {}, True),
    (Query(events=("StopInstance",)), {}, False),
    (Query(event_sources=("ec2",)), {}, True),
    (Query(event_sources=("ec2.amazonaws.com",)), {}, True),
    (Query(event_sources=("s3",)), {}, False),
    (Query(users=("alice",)), {}, True),
    (Query(users=("Deployment",)), {}, True),
    (Query(users=("arn:aws:iam::111122223333:role/Deployment",)), {}, True),
    (Query(users=("arn:aws:sts::111122223333:assumed-role/Deployment/*",)), {}, True),
    (Query(users=("AROA123456789EXAMPLE:alice",)), {}, True),
    (Query(users=("bob",)), {}, False),
    (Query(users=("bob",)), {"userIdentity": USER}, True),
    (Query(users=("ops/bob",)), {"userIdentity": USER}, False),
    (Query(users=("root",)), {"userIdentity": ROOT}, True),
    (Query(users=("lambda.amazonaws.com",)), {"userIdentity": {"invokedBy": "lambda.amazonaws.com"}}, True),
    (Query(users=("alice",)), {"userIdentity": None}, False),
    (Query(access_keys=("ASIAIOSFODNN7EXAMPLE",)), {}, True),
    (Query(access_keys=("AKIAIOSFODNN7EXAMPLE",)), {}, False),
    (
        Query(access_keys=("AKIAIOSFODNN7EXAMPLE",)),
        {"responseElements": {"accessKey": {"accessKeyId": "AKIAIOSFODNN7EXAMPLE"}}},
        True,
    ),
    (Query(addresses=("203.0.113.28",)), {}, True),
    (Query(addresses=("203.0.113.0/24",)), {}, True),
    (Query(addresses=("203.0.0.0/15",)), {}, True),
    (Query(addresses=("203.0.113.2",)), {}, False),
    (Query(addresses=("198.51.100.0/24", "203.0.113.16/28")), {}, True),
    (Query(addresses=("192.0.2.1", "192.0.2.2", "203.0.113.28")), {}, True),
    (Query(addresses=("192.0.2.1", "192.0.2.2", "203.0.0.0/16")), {}, True),
    (Query(addresses=("192.0.2.1", "192.0.2.2", "203.0.113.2")), {}, False),
    (Query(addresses=("192.0.2.1", "192.0.2.2", "203.0.113.0/24")), {"sourceIPAddress": "::ffff:203.0.113.9"}, True),
    (Query(events=(*(f"Stop{number}*" for number in range(9)), "Stop*es")), {}, True),
    (Query(event_ids=(*map(str, range(20)), "6a7d5a79-388e-431d-afe4-bb07d39b3b1a")), {}, True),
    (Query(addresses=("2001:db8::/32",)), {"sourceIPAddress": "2001:0DB8:0:0::1"}, True),
    (Query(addresses=("203.0.113.0/24",)), {"sourceIPAddress": "::ffff:203.0.113.9"}, True),
    (Query(addresses=("0.0.0.0/0",)), {"sourceIPAddress": "ec2.amazonaws.com"}, False),
    (Query(resources=("i-0123456789abcdef0",)), {}, True),
    (Query(resources=("i-0123456789abcdef1",)), {}, False),
    (Query(resources=("DOC-EXAMPLE",)), {"resources": [{"ARN": "arn:aws:s3:::DOC-EXAMPLE-BUCKET"}]}, True),
    (Query(resources=('say "hi"',)), {"requestParameters": {"text": 'they say "hi"'}}, True),
    (Query(resources=("alice",)), {}, False),
    (Query(errors=("AccessDenied",)), {}, False),
    (Query(errors=("AccessDenied",)), {"errorCode": "AccessDenied"}, True),
    (Query(errors=("*",)), {"errorCode": "AccessDenied"}, True),
    (Query(errors=("*",)), {}, False),
    (Query(read_only=True), {}, False),
    (Query(read_only=False), {}, True),
    (Query(read_only=True), {"readOnly": ..., "eventName": "DescribeTrails"}, True),
    (Query(read_only=False), {"readOnly": ..., "eventName": "DeleteTrail"}, True),
    (Query(event_ids=("6a7d5a79-388e-431d-afe4-bb07d39b3b1a",)), {}, True),
    (Query(event_ids=("6a7d5a79-388e-431d-afe4-bb07d39b3b1b",)), {}, False),
    (Query(where="userIdentity.type == 'AssumedRole' && !readOnly"), {}, True),
    (Query(where="eventVersion > `2`"), {}, False),
    (Query(where="userIdentity.type == 'Root'"), {}, False),
    (Query(where="requestParameters.instancesSet.items[?instanceId=='i-0123456789abcdef0']"), {}, True),
    (Query(where="type(eventName) == 'string'"), {}, True),
    (Query(where="length(requestParameters)"), {"requestParameters": None}, False),
    (Query(events=("StopInstances",), users=("bob",)), {}, False),
    (Query(events=("StopInstances",), users=("alice",)), {}, True),
    (Query(uses=("instances", "denied")), {}, True),
    (Query(uses=("denied",)), {"errorCode": "Client.UnauthorizedOperation"}, True),
    (Query(uses=("denied",)), {}, False),
    (Query(uses=("root-use",)), {"userIdentity": ROOT}, True),
    (Query(uses=("root-use",)), {"userIdentity": ROOT | {"invokedBy": "x.amazonaws.com"}}, False),
    (Query(uses=("root-use",)), {"userIdentity": ROOT, "eventType": "AwsServiceEvent"}, False),
    (Query(uses=("new-region",)), {}, True),
    (Query(uses=("new-region",)), {"readOnly": True}, False),
    (
        Query(uses=("console-failed",)),
        {"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}},
        True,
    ),
    (
        Query(uses=("no-mfa",)),
        {
            "eventName": "ConsoleLogin",
            "userIdentity": USER,
            "responseElements": {"ConsoleLogin": "Success"},
            "additionalEventData": {"MFAUsed": "No"},
        },
        True,
    ),
    (
        Query(uses=("no-mfa",)),
        {
            "eventName": "ConsoleLogin",
            "userIdentity": USER,
            "responseElements": {"ConsoleLogin": "Success"},
            "additionalEventData": {"MFAUsed": "Yes"},
        },
        False,
    ),
    (
        Query(uses=("trail-bucket",)),
        {
            "eventName": "DeleteObjects",
            "eventSource": "s3.amazonaws.com",
            "requestParameters": {"bucketName": "DOC-EXAMPLE-BUCKET"},
        },
        True,
    ),
    (
        Query(uses=("trail-bucket",)),
        {
            "eventName": "DeleteObjects",
            "eventSource": "s3.amazonaws.com",
            "requestParameters": {"bucketName": "another"},
        },
        False,
    ),
    (Query(uses=("trail-change",)), {"eventName": "StopLogging", "eventSource": "cloudtrail.amazonaws.com"}, True),
    (Query(uses=("trail-change",)), {"eventName": "StopLogging", "eventSource": "other.amazonaws.com"}, False),
]


def found(query: Query, data: bytes) -> bool:
    event = read_event(data)
    assert event is not None
    return Matcher(query, "DOC-EXAMPLE-BUCKET").matches(event, data) is not None


@pytest.mark.parametrize(("query", "fields", "expected"), CASES)
def test_filters_find_what_they_say(query: Query, fields: dict[str, Any], expected: bool) -> None:
    assert found(query, raw(**fields)) is expected


@pytest.mark.parametrize("every", [1, 2, 5, 97, 100_000])
@pytest.mark.parametrize(("query", "fields", "expected"), CASES)
def test_the_prefilter_passes_over_no_hit_however_it_is_written(
    query: Query, fields: dict[str, Any], expected: bool, every: int
) -> None:
    data = escaped(raw(**fields), every)
    assert found(query, data) is expected
    if expected:
        assert Matcher(query).prefilter.passes(b'{"Records":[' + data + b"]}")


def test_the_prefilter_passes_over_most_of_what_is_no_hit() -> None:
    query = Query(events=("ConsoleLogin",), addresses=("198.51.100.0/24",))
    assert not Matcher(query).prefilter.passes(raw())
    assert not Matcher(Query(where="userIdentity.type == 'Root'")).prefilter.passes(raw())
    assert not Matcher(Query(uses=("trail-change", "policy-change", "denied"))).prefilter.passes(raw())
    assert Matcher(Query()).prefilter.passes(b"")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (Query(addresses=("203.0.113.0/33",)), "--ip"),
        (Query(addresses=("here",)), "--ip"),
        (Query(where="[?"), "--where"),
        (Query(where="("), "--where"),
        (Query(where="a" * 5000), "at most"),
        (Query(where="!" * 4000 + "a"), "--where"),
        (Query(where="nope(@)"), "--where"),
        (Query(uses=("root",)), "did you mean root-use"),
        (Query(uses=("zzz",)), "expected one of"),
        (Query(events=("",)), "empty"),
        (Query(users=tuple(f"user-{number}" for number in range(1001))), "at most"),
    ],
)
def test_what_cannot_be_meant_is_refused(query: Query, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Matcher(query)


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name, use in USES.items() for field, text in use.literals if field == "eventName"],
)
def test_each_named_question_looks_for_what_its_hits_hold(name: str, text: str) -> None:
    """For each literal there is an event that it belongs to, and sources are those of services."""
    sources = ("iam", "s3", "ec2", "kms", "cloudtrail", "config", "organizations", "signin")
    assert any(
        USES[name].test(event, "")
        for source in sources
        for data in [
            raw(
                eventName=text,
                eventSource=f"{source}.amazonaws.com",
                userIdentity=USER,
                responseElements={"ConsoleLogin": "Failure" if name == "console-failed" else "Success"},
            )
        ]
        if (event := read_event(data)) is not None
    )


@given(st.text("ab*?.", max_size=6), st.text("ab.", max_size=8))
def test_globs_are_those_of_fnmatch(pattern: str, text: str) -> None:
    import fnmatch

    assert glob.matcher([pattern])(text) is fnmatch.fnmatchcase(text, pattern)


def test_a_glob_of_many_asterisks_is_no_trouble() -> None:
    assert not glob.matcher(["*a" * 200 + "b"])("a" * 10_000)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted(BASE)), ODD))
def test_events_of_odd_types_raise_nothing(fields: dict[str, Any]) -> None:
    data = raw(**fields)
    event = read_event(data)
    assert event is not None
    for query, _, _ in CASES:
        Matcher(query).matches(event, data)
