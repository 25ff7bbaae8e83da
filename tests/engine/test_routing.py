"""Where log references point: into a folder of the account-region, into none of its date folders, or elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.routing import Router

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FOLDER = Folder("b", "AWSLogs/", "111122223333", "us-east-1")
REGION = AccountRegion("111122223333", "us-east-1", (FOLDER,))
LOGS = FOLDER.path("CloudTrail")


def log(key: str, bucket: str = "b") -> LogReference:
    return LogReference(bucket, key, "0" * 64, "SHA-256")


def placed(key: str, bucket: str = "b", region: AccountRegion = REGION) -> tuple[str | None, str | None, bool]:
    place, odd = Router(region, NOW).place_of(log(key, bucket))
    return (place.folder.bucket, place.path, odd) if place else (None, None, odd)


@pytest.mark.parametrize(
    ("key", "path", "odd"),
    [
        (f"{LOGS}2026/01/01/x.json.gz", LOGS, False),
        (f"{LOGS}2026/13/01/x.json.gz", LOGS, True),
        (f"{LOGS}x.json.gz", LOGS, True),
        (f"{LOGS}2012/01/01/x.json.gz", LOGS, True),  # before CloudTrail
        (f"{LOGS}2026/03/01/x.json.gz", LOGS, False),  # today
        (f"{LOGS}2026/03/03/x.json.gz", LOGS, True),  # to come
        (f"{LOGS}2027/01/01/x.json.gz", LOGS, True),
        (FOLDER.path("CloudTrail-Insight") + "2026/01/01/x.json.gz", FOLDER.path("CloudTrail-Insight"), False),
    ],
)
def test_a_key_of_the_account_region_has_a_place(key: str, path: str, *, odd: bool) -> None:
    assert placed(key) == ("b", path, odd)


@pytest.mark.parametrize(
    "key",
    [
        "AWSLogs/444455556666/CloudTrail/us-east-1/2026/01/01/x.json.gz",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/01/x.json.gz",
        "elsewhere/x.json.gz",
        "",
    ],
)
def test_any_other_key_has_none(key: str) -> None:
    assert placed(key) == (None, None, False)


def test_a_log_in_another_bucket_lies_there() -> None:
    assert placed(f"{LOGS}2026/01/01/x.json.gz", "other") == ("other", LOGS, False)


def test_in_a_local_copy_one_folder_stands_for_every_bucket() -> None:
    local = AccountRegion("111122223333", "us-east-1", (Folder("", "AWSLogs/", "111122223333", "us-east-1"),))
    assert placed(f"{LOGS}2026/01/01/x.json.gz", "other", local) == ("", LOGS, False)


def test_consecutive_references_into_other_buckets_are_not_taken_for_neighbours() -> None:
    router, key = Router(REGION, NOW), f"{LOGS}2026/01/01/x.json.gz"
    buckets = [place.folder.bucket for bucket in ("b", "c", "b") if (place := router.place_of(log(key, bucket))[0])]
    assert buckets == ["b", "c", "b"]


def test_reaches_hold_first_last_and_number_of_each_place() -> None:
    keys = [f"{LOGS}2026/01/0{day}/x.json.gz" for day in (3, 1, 2)]
    reaches = Router(REGION, NOW).reaches_of([*map(log, keys), log(f"{LOGS}odd.gz"), log("elsewhere")])
    by_place = {reach.place.path if reach.place else None: reach for reach in reaches}
    inside, outside = by_place[LOGS], by_place[None]
    assert (inside.first, inside.last, inside.number, inside.odd) == (keys[1], keys[0], 4, True)
    assert (outside.first, outside.last, outside.number, outside.odd) == ("", "", 1, True)


def test_no_references_reach_nowhere() -> None:
    assert Router(REGION, NOW).reaches_of(()) == ()
