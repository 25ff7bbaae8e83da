"""What events name: every documented shape, and nothing of the configured trail's that a forged one could smuggle in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.aws_lambda.deliveries import (
    AHEAD,
    MOST_OBJECTS,
    Delivery,
    Sorted,
    Task,
    Watched,
    read_event,
    sort_event,
)
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import HOUR, Interval
from tests.aws_lambda import events

BUCKET, ACCOUNT, SECOND = "amzn-s3-demo-bucket", "111122223333", "444455556666"
NOW = datetime(2026, 3, 7, 12, 40, tzinfo=UTC)
END = datetime(2026, 3, 7, 12, tzinfo=UTC)
TRAIL = parse_trail_arn(f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/mgmt")
WATCHED = Watched(BUCKET, None, TRAIL)


def digest_key(
    end: datetime = END,
    *,
    account: str = ACCOUNT,
    region: str = "us-east-1",
    trail: str = "mgmt",
    home: str = "us-east-1",
    base: str = "AWSLogs/",
    suffix: str = "",
) -> str:
    return (
        f"{base}{account}/CloudTrail-Digest/{region}/{end:%Y/%m/%d}/"
        f"{account}_CloudTrail-Digest_{region}_{trail}_{home}_{end:%Y%m%dT%H%M%SZ}{suffix}.json.gz"
    )


LOG = (
    f"AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/03/07/"
    f"{ACCOUNT}_CloudTrail_us-east-1_20260307T1155Z_AbCdEfGh12345678.json.gz"
)
KEY = digest_key()
TASK = Task(ACCOUNT, "us-east-1", Interval(END - 2 * HOUR, END))

SHAPES: dict[str, Any] = {
    "S3": events.s3(BUCKET, KEY),
    "S3, copied": events.s3(BUCKET, KEY, name="ObjectCreated:CompleteMultipartUpload"),
    "EventBridge": events.eventbridge(BUCKET, KEY),
    "SNS, the trail's own": events.sns(events.cloudtrail(BUCKET, LOG, KEY)),
    "SNS, of S3": events.sns(events.s3(BUCKET, KEY)),
    "SQS, of S3": events.sqs(events.s3(BUCKET, KEY)),
    "SQS, of EventBridge": events.sqs(events.eventbridge(BUCKET, KEY)),
    "SQS, of SNS": events.sqs(events.sns_in_queue(events.cloudtrail(BUCKET, KEY))),
    "SQS, of SNS, raw": events.sqs(events.cloudtrail(BUCKET, KEY)),
    "SQS, of SNS, of S3": events.sqs(events.sns_in_queue(events.s3(BUCKET, KEY))),
    "twice": events.s3(BUCKET, KEY, KEY),
    "twice, in two messages": events.sqs(events.s3(BUCKET, KEY), events.s3(BUCKET, KEY)),
}


@pytest.mark.parametrize("event", SHAPES.values(), ids=SHAPES)
def test_every_documented_shape_names_the_digest(event: Any) -> None:
    found = sort_event(event, WATCHED, NOW)
    assert (found.tasks, found.digests) == ((TASK,), 1)


def test_keys_of_s3_are_url_encoded_and_those_of_eventbridge_are_not() -> None:
    key = digest_key(base="a b+c/é%20/AWSLogs/")
    watched = Watched(BUCKET, "a b+c/é%20", TRAIL)
    for event in (events.s3(BUCKET, key), events.eventbridge(BUCKET, key), events.sns(events.cloudtrail(BUCKET, key))):
        assert sort_event(event, watched, NOW).tasks == (TASK,)


QUIET: dict[str, Any] = {
    "a test event of S3": events.s3_test(),
    "the sentence that CloudTrail sends first": events.sns("CloudTrail validation message."),
    "a deletion": events.eventbridge(BUCKET, KEY, "Object Deleted"),
    "a deletion of S3": events.s3(BUCKET, KEY, name="ObjectRemoved:Delete"),
    "nothing": {},
    "no object": None,
    "a list": [1],
    "no records": {"Records": None},
    "records of nothing": {
        "Records": [None, 1, "x", {}, {"eventSource": "aws:s3"}, {"EventSource": "aws:sns", "Sns": 1}]
    },
    "broken JSON": events.sqs("{", "[" * 100_000, '"' + "x" * 10),
    "a bomb of envelopes": events.sqs(
        events.sns_in_queue(events.sns_in_queue(events.sns_in_queue(events.sqs(events.s3(BUCKET, KEY)))))
    ),
}


@pytest.mark.parametrize("event", QUIET.values(), ids=QUIET)
def test_what_tells_of_no_object(event: Any) -> None:
    assert sort_event(event, WATCHED, NOW) == Sorted((), 0, 0)


FORGED = {
    "another bucket": ("attacker-bucket", KEY),
    "another prefix": (BUCKET, digest_key(base="other/AWSLogs/")),
    "a longer prefix": (BUCKET, digest_key(base="AWSLogs/AWSLogs/")),
    "a log": (BUCKET, LOG),
    "another trail": (BUCKET, digest_key(trail="other")),
    "another home": (BUCKET, digest_key(home="eu-west-1")),
    "another account in the name": (BUCKET, KEY.replace(f"{ACCOUNT}_", f"{SECOND}_")),
    "no digest's name": (BUCKET, KEY.replace("_mgmt", "")),
    "a time that is none": (BUCKET, KEY.replace("T120000Z", "T996000Z")),
    "the future": (BUCKET, digest_key(NOW + AHEAD + timedelta(seconds=1))),
    "no region": (BUCKET, digest_key(region="..")),
    "no organization": (BUCKET, digest_key(base="AWSLogs/o-short/")),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("bucket", "key"), FORGED.values(), ids=FORGED)
def test_what_is_not_the_trails_is_dropped(bucket: str, key: str) -> None:
    for event in (events.s3(bucket, key), events.eventbridge(bucket, key), events.sns(events.cloudtrail(bucket, key))):
        assert sort_event(event, WATCHED, NOW) == Sorted((), 0, 1)


def test_a_digest_planted_in_a_folder_of_its_own_has_its_hour_validated() -> None:
    """There it is found, as what it is."""
    event = events.s3(BUCKET, KEY.replace("/us-east-1/", "/us-east-1/../x/"))
    assert sort_event(event, WATCHED, NOW).tasks == (TASK,)


def test_an_organization_and_a_prefix_are_the_trails() -> None:
    watched = Watched(BUCKET, "logs", TRAIL)
    for base in ("logs/AWSLogs/", "logs/AWSLogs/o-exampleorgid/"):
        event = events.s3(BUCKET, digest_key(base=base, account=SECOND, region="eu-west-1"))
        assert sort_event(event, watched, NOW).tasks == (Task(SECOND, "eu-west-1", TASK.window),)


def test_without_a_trail_every_trail_of_the_bucket_is_taken() -> None:
    event = events.s3(BUCKET, digest_key(trail="a"), digest_key(trail="b", home="eu-west-1"))
    assert sort_event(event, Watched(BUCKET), NOW).tasks == (TASK,)


def test_backfill_digests_are_digests() -> None:
    assert sort_event(events.s3(BUCKET, digest_key(suffix="_backfill")), WATCHED, NOW).tasks == (TASK,)


def test_late_ones_are_taken_and_hours_close_together_are_one_task() -> None:
    ends = [END, END - HOUR, END - 6 * HOUR, END - timedelta(days=20)]
    found = sort_event(events.s3(BUCKET, *map(digest_key, ends)), WATCHED, NOW)
    assert [task.window for task in found.tasks] == [
        Interval(ends[3] - 2 * HOUR, ends[3]),
        Interval(ends[2] - 2 * HOUR, END),
    ]
    assert found.digests == 4


def test_an_event_is_bounded() -> None:
    event = {"Records": events.s3(BUCKET, LOG)["Records"] * (MOST_OBJECTS + 500)}
    assert len(read_event(event)) == MOST_OBJECTS
    assert sort_event(events.s3(BUCKET, "AWSLogs/" + "x" * 4_000), WATCHED, NOW) == Sorted((), 0, 0)


_WORDS = (
    *("Records", "eventSource", "EventSource", "eventName", "s3", "bucket", "name", "object", "key", "body"),
    *("Sns", "Message", "TopicArn", "s3Bucket", "s3ObjectKey", "source", "detail", "detail-type"),
)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([KEY, BUCKET, "aws:s3", "aws:sqs"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(_WORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_no_event_is_too_strange(event: Any) -> None:
    found = sort_event(event, WATCHED, NOW)
    assert all(task == TASK for task in found.tasks)  # the only digest among the words above


@given(st.sampled_from(list(SHAPES.values())), st.data())
def test_an_event_with_anything_exchanged_names_the_trails_hours_or_none(event: Any, data: st.DataObject) -> None:
    paths = list(_paths(event))
    path = data.draw(st.sampled_from(paths))
    changed = msgspec.json.decode(msgspec.json.encode(event))
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = data.draw(_JSON)
    for task in sort_event(changed, WATCHED, NOW).tasks:
        assert task.window.end <= NOW + AHEAD
        assert task.window.seconds >= 2 * 3_600


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


def test_deliveries_are_in_the_events_order() -> None:
    assert read_event(events.sns(events.cloudtrail(BUCKET, LOG, KEY))) == [Delivery(BUCKET, LOG), Delivery(BUCKET, KEY)]
