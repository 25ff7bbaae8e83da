"""What a folder lists of digests: around the window, before it, behind it, and beside the folders of dates."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.layout import Folder, next_digest_key
from cloudtrail_validate.core.model import HOUR, Cause, ChainId, Interval, Kind
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.listing import Finder, Found
from cloudtrail_validate.simulate import Delivery, Role
from tests.engine.memory import MemoryStore

ACCOUNT, REGION, BUCKET = "111122223333", "us-east-1", "amzn-s3-demo-bucket"
FOLDER = Folder(BUCKET, "AWSLogs/", ACCOUNT, REGION)
START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Interval(START, START + 6 * HOUR)
NOW = START + 8 * HOUR
DIGESTS = FOLDER.path("CloudTrail-Digest")


def chain(trail: str, kind: Kind = Kind.STANDARD) -> ChainId:
    return ChainId(ACCOUNT, REGION, trail, REGION, None, kind)


NAMELESS = chain("")


def digests(trail: str, *ends: datetime) -> list[str]:
    return [next_digest_key(FOLDER, chain(trail), end) for end in ends]


def hourly(trail: str, first: datetime, number: int) -> list[str]:
    return digests(trail, *(first + hour * HOUR for hour in range(number)))


def store_of(keys: Iterable[str], *, page: int = 100) -> MemoryStore:
    return MemoryStore({BUCKET: {key: Delivery(key, b"x", START, Role.DIGEST) for key in keys}}, page=page)


def find(
    keys: Iterable[str] | MemoryStore, *, trail: str = "", window: Interval = WINDOW, now: datetime = NOW
) -> Found:
    store = keys if isinstance(keys, MemoryStore) else store_of(keys)
    region = AccountRegion(ACCOUNT, REGION, (FOLDER,), trail=trail, home_region=REGION if trail else "")
    return asyncio.run(Finder(store, region, window, now).find())


def ends(found: Found, trail: str) -> list[float]:
    """Hours from the window's start to the ends of a chain's digests."""
    return [(entry.end - START) / HOUR for entry in found.selected.get(chain(trail), [])]


MAIN = hourly("main", START - 2 * HOUR, 12)


def test_digests_around_the_window() -> None:
    found = find(MAIN)
    assert set(found.selected) == {chain("main")}
    assert ends(found, "main") == [-1, *range(10)]  # the newest from before the window, and those of its days
    assert (found.others, found.strays, found.failures) == ({}, [], [])


@pytest.mark.parametrize("days", [1, 2, 20, 34])
def test_a_chain_that_ended_weeks_before_is_taken_in_beside_another(days: int) -> None:
    """Its newest digest is: the window ends after it by more than delivery explains."""
    gone = hourly("gone", START - days * DAY - 5 * HOUR, 5)
    assert ends(find([*MAIN, *gone]), "gone") == [-24 * days - 1]


@pytest.mark.parametrize("days", [36, 69, 70, 71, 100, 140, 300, 1120])
def test_of_the_time_before_that_every_chain_is_seen_that_was_there_as_long_as_it_has_been_gone(days: int) -> None:
    gone = digests("gone", *(START - day * DAY + 3 * HOUR for day in range(days, 2 * days + 2)))
    (found,) = ends(find([*MAIN, *gone]), "gone")
    assert found <= -24 * days + 3


def test_with_a_trail_named_only_its_own_chain_counts() -> None:
    gone = hourly("gone", START - 2 * DAY, 5)
    found = find([*MAIN, *gone], trail="main")
    assert set(found.selected) == {chain("main")}
    assert set(find([*MAIN, *gone], trail="gone").selected) == {chain("gone")}


def test_a_chain_that_is_alone_and_ended_is_found_however_long_ago() -> None:
    found = find(hourly("gone", START - 500 * DAY, 5))
    assert found.earlier == {chain("gone")}
    assert ends(found, "gone") == [-24 * 500 + 4]


def test_what_follows_the_days_of_the_window_says_why_hours_are_missing() -> None:
    """All digests of the page: the first may be none of CloudTrail's."""
    gap = [*hourly("main", START - 5 * HOUR, 5), *hourly("main", START + 9 * DAY, 3)]
    assert ends(find(gap, now=START + 20 * DAY), "main") == [-1, 216, 217, 218]


def test_a_first_digest_within_the_window_has_an_older_chain_or_none() -> None:
    assert find(hourly("main", START + 3 * HOUR, 5)).earlier == set()
    older = [*hourly("main", START - 300 * DAY, 5), *hourly("main", START + 3 * HOUR, 5)]
    assert find(older).earlier == {chain("main")}


def test_a_year_that_cannot_be_costs_nothing() -> None:
    """Whoever plants a folder of the year 0000 makes nobody list two thousand years."""
    store = store_of([*MAIN, DIGESTS + "0000/01/01/x", DIGESTS + "9999/01/01/x"])
    found = find(store)
    assert {entry.where.key for entry in found.strays} == {DIGESTS + "0000/01/01/x", DIGESTS + "9999/01/01/x"}


NAME = MAIN[4].rpartition("/")[2]  # of the window's third hour


@pytest.mark.parametrize(
    ("key", "stray"),
    [
        ("readme.json", True),
        ("2026/readme.json", True),
        ("2026/03/readme.json", True),
        ("2026/03/01/readme.json", True),
        ("2026/03/01/deeper/readme.json", True),
        ("2026/03/02/readme.json", False),  # of another day: of another window
        ("2026/13/01/readme.json", True),
        ("2026/03/32/readme.json", True),
        ("1926/03/01/readme.json", True),
        ("2126/03/01/readme.json", True),
        ("26/03/01/readme.json", True),
        ("latest/2026/03/01/readme.json", True),
        (f"2026/13/01/{NAME}", True),
        (f"2026/13/01/{digests('main', START + 3 * DAY)[0].rpartition('/')[2]}", False),  # of the window of its stamp
    ],
)
def test_what_lies_beside_the_digests_is_named(key: str, stray: bool) -> None:
    found = find([*MAIN, DIGESTS + key])
    assert [entry.where.key for entry in found.strays] == ([DIGESTS + key] if stray else [])
    assert set(found.selected) == {chain("main")}


@pytest.mark.parametrize("key", ["", "2026/", "2026/03/01/", "2026/03/01/folder", "2126/03/01/"])
def test_markers_are_none(key: str) -> None:
    objects = {name: Delivery(name, b"x", START, Role.DIGEST) for name in MAIN}
    objects[DIGESTS + key] = Delivery(DIGESTS + key, b"", START, Role.MARKER)
    assert find(MemoryStore({BUCKET: objects})).strays == []
    objects[DIGESTS + key] = Delivery(DIGESTS + key, b"content", START, Role.MARKER)
    assert [entry.where.key for entry in find(MemoryStore({BUCKET: objects})).strays] == [DIGESTS + key]


def test_a_folder_that_cannot_be_listed_is_told_once() -> None:
    store = store_of(MAIN)
    store.failing[DIGESTS] = StoreError(Cause.ACCESS_DENIED, "no")
    ((where, error),) = find(store).failures
    assert (where.key, error.cause) == (DIGESTS, Cause.ACCESS_DENIED)
