"""Events that may explain a gap: found in a log's content, whatever else is in it, and chosen by nearness."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudtrail_validate.core.activity import EXPLAINING, Activity, explaining_events, near
from cloudtrail_validate.core.model import HOUR, Interval, Locator

START = datetime(2026, 1, 1, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "eventTime": "2026-01-01T00:30:00Z",
    "eventName": "StopLogging",
    "eventSource": "cloudtrail.amazonaws.com",
    "eventID": "e-1",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "192.0.2.1",
    "userIdentity": {"arn": "arn:aws:iam::111122223333:user/x"},
    "requestParameters": {"name": "management-events"},
}


def found(*events: Any, bucket: str = "") -> list[Activity]:
    content = json.dumps({"Records": list(events)}).encode()
    return list(explaining_events(content, Locator("b", "log"), bucket))


def test_an_explaining_event_is_told_with_who_and_whence() -> None:
    (activity,) = found({"eventName": "GetObject"}, EVENT)
    assert (activity.event_name, activity.event_id, activity.region) == ("StopLogging", "e-1", "us-east-1")
    assert (activity.principal, activity.source_ip) == (EVENT["userIdentity"]["arn"], "192.0.2.1")
    assert activity.time == START + HOUR / 2
    assert activity.log == Locator("b", "log")


@pytest.mark.parametrize("name", EXPLAINING)
def test_every_explaining_event_counts_from_its_own_source_only(name: str) -> None:
    event = {**EVENT, "eventName": name, "eventSource": EXPLAINING[name]}
    assert [item.event_name for item in found(event)] == [name]
    assert found({**event, "eventSource": "attacker.amazonaws.com"}) == []


def test_events_of_s3_count_for_the_trails_bucket_only() -> None:
    event = {**EVENT, "eventName": "DeleteObject", "eventSource": "s3.amazonaws.com"}
    mine = {**event, "requestParameters": {"bucketName": "mine", "key": "k"}}
    assert [item.object_key for item in found(mine, bucket="mine")] == ["k"]
    assert found(mine, bucket="other") == []
    assert found({**event, "requestParameters": None}, bucket="mine") == []


@pytest.mark.parametrize(
    "change",
    [
        {"eventTime": 5},
        {"eventTime": "yesterday"},
        {"eventTime": None},
        {"eventName": ["StopLogging"]},
        {"eventSource": {}},
    ],
)
def test_an_event_of_odd_types_explains_nothing(change: dict[str, Any]) -> None:
    assert found({**EVENT, **change}) == []


def test_fields_of_odd_types_are_left_out_and_long_ones_cut() -> None:
    odd = {**EVENT, "userIdentity": "root", "sourceIPAddress": 7, "eventID": "x" * 10_000, "requestParameters": [1]}
    (activity,) = found(odd)
    assert (activity.principal, activity.object_key) == ("", None)
    assert len(activity.event_id) <= 300


def test_of_many_the_nearest_are_kept_in_order_of_time() -> None:
    (one,) = found(EVENT)
    from msgspec.structs import replace

    all_ = [replace(one, time=START + hour * HOUR, event_id=f"{hour:02}") for hour in range(24)]
    hours = Interval(START + 10 * HOUR, START + 12 * HOUR)
    chosen = near(all_, hours, Interval(START, START + 24 * HOUR), most=4)
    assert [item.event_id for item in chosen] == ["09", "10", "11", "12"]
    assert [item.time for item in chosen] == sorted(item.time for item in chosen)
    assert near(all_, hours, Interval(START + 11 * HOUR, START + 12 * HOUR), most=4) == (all_[11],)
