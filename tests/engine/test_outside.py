"""What lies below a region's folder and in no folder of a date: all of it is listed, whatever somebody planted beside."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import HOUR, Cause, Interval, ObjectInfo
from cloudtrail_validate.engine.outside import is_marker, list_outside
from cloudtrail_validate.simulate import Delivery, Role
from tests.engine.memory import MemoryStore

PATH = "AWSLogs/111122223333/CloudTrail/us-east-1/"
START = datetime(2026, 3, 31, 22, tzinfo=UTC)
WINDOW = Interval(START, START + 4 * HOUR)
NOW = START + 8 * HOUR


def listed(*names: str, failing: str | None = None) -> list[str]:
    async def run() -> list[str]:
        objects = {PATH + name: Delivery(PATH + name, b"x", START, Role.LOG) for name in names}
        store = MemoryStore({"b": objects}, page=2)
        if failing is not None:
            store.failing[PATH + failing] = StoreError(Cause.NETWORK, "x")
        found: list[str] = []
        async for page in list_outside(store, "b", PATH, WINDOW, NOW):
            found += [info.key.removeprefix(PATH) for info in page]
        return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    "name",
    [
        "x.json.gz",  # right in the region's folder
        "2026/x.json.gz",
        "2026/03/x.json.gz",
        "2026/13/01/x.json.gz",
        "2026/03/32/x.json.gz",
        "2026/04/31/x.json.gz",
        "2026/3/31/x.json.gz",
        "1999/01/01/x.json.gz",  # before CloudTrail
        "9999/01/01/x.json.gz",
        "2026 /03/31/x.json.gz",
        "٢٠٢٦/03/31/x.json.gz",  # digits, and none of ASCII
        "2026/ 3/31/x.json.gz",  # a blank, a sign: `int` takes them
        "2026/+3/31/x.json.gz",
        "2026/03/3\n/x.json.gz",
        "2026/04/09/x.json.gz",  # to come
        "2026//03/31/x.json.gz",
        "/2026/03/31/x.json.gz",
        "junk/2026/03/31/x.json.gz",
    ],
)
def test_what_is_in_no_date_folder_is_listed(name: str) -> None:
    assert listed(name, "2026/03/31/regular.json.gz") == [name]


@pytest.mark.parametrize("name", ["2026/03/31/x.json.gz", "2026/04/01/deep/er/x.json.gz", "2013/01/01/x.json.gz"])
def test_what_is_in_one_is_for_the_ranges(name: str) -> None:
    assert listed(name) == []


def test_only_folders_that_may_hold_days_of_the_window_are_looked_into() -> None:
    """Else a bucket of ten years would be listed whole: a folder of another month is that month's run's to look into."""
    assert listed("2025/x.json.gz", "2026/01/x.json.gz", "2026/03/x.json.gz", "2026/04/y.json.gz") == [
        "2026/03/x.json.gz",
        "2026/04/y.json.gz",
    ]


def test_any_number_of_planted_folders_is_listed() -> None:
    names = [f"planted-{number:03}/x.json.gz" for number in range(200)]
    assert sorted(listed(*names)) == names


def test_a_listing_that_fails_is_said() -> None:
    with pytest.raises(StoreError):
        listed("2026/03/x.json.gz", failing="2026/")


@pytest.mark.parametrize(
    ("key", "size", "marker"),
    [
        ("a/b/", 0, True),
        ("a/b/", 1, False),  # a "folder" with content
        ("a/b", 0, True),
        ("a/b.json.gz", 0, False),  # an emptied log
        ("a.b/c", 0, True),
    ],
)
def test_a_marker_is_empty_and_bears_no_files_name(key: str, size: int, *, marker: bool) -> None:
    assert is_marker(ObjectInfo(key, size, START)) is marker
