"""What lies beside the plain case: no time, no listing, other kinds of logs, an edge that changed and went on, odd keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate import Report
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import Cause, Interval, ObjectInfo
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine import region_audit
from cloudtrail_validate.report import StateRecord
from cloudtrail_validate.report.remembered import memory_of
from cloudtrail_validate.runtime.loop import run_loop
from cloudtrail_validate.state.codec import decode
from cloudtrail_validate.state.listing import HourListing, list_hours
from cloudtrail_validate.state.model import State, hour_of
from cloudtrail_validate.stores.columns import Columns, line_of
from cloudtrail_validate.stores.protocol import Children
from cloudtrail_validate.stores.s3_answers import Asked, parse_page
from tests.state.test_runs import DAY, START, Trail, told, trail, unchanged

__all__ = ["trail"]


def known(made: Trail) -> State:
    return decode(made.state.read_bytes(), "a.state")


def state_of(report: Report) -> StateRecord:
    assert isinstance(report.state, StateRecord)
    return report.state


def test_without_time_nothing_is_read_again_and_it_comes_first_next_time(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail.ask(START, START + 3 * DAY)
    trail.read.clear()
    with monkeypatch.context() as patch:
        patch.setattr(region_audit, "now_utc", lambda: START + timedelta(days=36_500))
        late = trail.ask(START, START + 3 * DAY, recheck="100%", max_duration="50m")
    assert (late.exit_code, unchanged(late), trail.read["logs"]) == (0, (72, 144), 0)
    assert state_of(late).owed_hours == 72
    assert "no time to read 72 hours again" in memory_of(late)
    owed = known(trail).regions[0].owed
    assert len(owed) == 3
    again = trail.ask(START, START + 3 * DAY, recheck="1/50", max_duration="50m")  # which has three days' turn at last
    assert (again.exit_code, trail.read["logs"], known(trail).regions[0].owed) == (0, 144, ())


def test_what_is_new_is_read_whatever_the_time(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    trail.ask(START, START + 2 * DAY)
    trail.logs(5)[0].unlink()
    monkeypatch.setattr(region_audit, "now_utc", lambda: START + timedelta(days=36_500))
    report = trail.ask(START, START + 3 * DAY, recheck="100%", max_duration="1m")
    assert (report.exit_code, told(report)) == (1, ["log-missing"])
    assert report.summary.covered_seconds == 3 * 86_400


def test_a_listing_that_fails_is_remembered_as_nothing(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours without a fingerprint would look unchanged once everything in them is gone."""
    from cloudtrail_validate.state import memory

    async def fail(*_: object) -> object:
        raise StoreError(Cause.NETWORK, "no answer")

    with monkeypatch.context() as patch:
        patch.setattr(memory, "list_kinds", fail)
        assert trail.ask(START, START + DAY).exit_code == 0
    assert known(trail).regions[0].stretches == ()
    assert trail.ask(START, START + DAY).exit_code == 0
    before = known(trail).regions[0].stretches
    with monkeypatch.context() as patch:
        patch.setattr(memory, "list_kinds", fail)
        assert trail.ask(START, START + DAY).exit_code == 0
    assert known(trail).regions[0].stretches == before


def test_a_rewritten_edge_stays_open_when_the_chain_goes_on(trail: Trail) -> None:
    """The new chain is proven and grows: only the first edge tells, and no later one may take its place."""
    trail.ask(START, START + 2 * DAY)
    trail.write(seed=5, signer=1)
    for end in (2 * DAY, 3 * DAY, 3 * DAY):
        report = trail.ask(START + 2 * DAY - timedelta(hours=3), START + end)
        assert (report.exit_code, "history-rewritten" in told(report)) == (1, True)
    assert len(known(trail).regions[0].edges) == 2


ACCOUNT, REGION = "111122223333", "us-east-1"
PLACE = AccountRegion(ACCOUNT, REGION, (Folder("b", "AWSLogs/", ACCOUNT, REGION),))


class Made:
    """A listing of objects that are made up."""

    def __init__(self, *infos: ObjectInfo) -> None:
        self._infos = sorted(infos, key=lambda info: info.key)

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        yield [
            info
            for info in self._infos
            if info.key.startswith(prefix) and info.key >= after and (before is None or info.key < before)
        ]

    async def children(self, bucket: str, prefix: str) -> Children:
        return Children((), ())

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        return None


class Paged(Made):
    """A listing that comes as one page."""

    def __init__(self, page: Sequence[ObjectInfo]) -> None:
        super().__init__()
        self._page = page

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        yield self._page


DAYS = Interval(START, START + DAY)


def taken(*infos: ObjectInfo) -> dict[int, HourListing]:
    return run_loop(list_hours(Made(*infos), PLACE, ("CloudTrail", "CloudTrail-Digest"), DAYS, START + DAY))


def test_no_key_passes_for_two_objects() -> None:
    """A key may hold line feeds and tabs: with them it could spell the lines of objects that are gone."""
    folder = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/01/{ACCOUNT}_CloudTrail_{REGION}_20260101T0000Z"
    one, two = ObjectInfo(f"{folder}_a.json.gz", 1, START, "e"), ObjectInfo(f"{folder}_b.json.gz", 1, START, "e")
    for separator in ("\n", "\r\n"):
        spelt = f"{line_of(one)}{separator}{two.key}"
        assert taken(one, two) != taken(ObjectInfo(spelt, 1, START, "e"))
        assert taken(two) != taken(ObjectInfo(two.key, 1, START, f"{separator}e"))
    assert taken(ObjectInfo(f"{one.key}\x7f", 1, START)) != taken(ObjectInfo(repr(f"{one.key}\x7f"), 1, START))


FILES = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/01/"


@pytest.mark.parametrize(
    ("name", "hour"),
    [
        (f"{ACCOUNT}_CloudTrail_{REGION}_20260101T0559Z_AbC.json.gz", 5),
        (f"{ACCOUNT}_CloudTrail-Insight_{REGION}_20260101T0600Z_AbC.json", 6),
        (f"{ACCOUNT}_CloudTrail_{REGION}_20260101T0560X_AbC_20260101T0900Z_AbC.json.gz", 5),
        (f"{ACCOUNT}_CloudTrail_{REGION}_20261301T0500Z_AbC.json.gz", 0),
        (f"{ACCOUNT}_CloudTrail_{REGION}_20260101T\u0660\u0665\u0663\u0663Z_AbC.json.gz", 0),
        ("20260101T0500Z", 0),
        ("x", 0),
    ],
)
def test_the_hour_of_a_file(name: str, hour: int) -> None:
    """That which its name tells first; the first hour of its folder's day where that is none."""
    found = taken(ObjectInfo(f"{FILES}{name}", 1, START, "e"))
    assert {at: (item.digests, item.logs) for at, item in found.items()} == {hour_of(START) + hour: (0, 1)}


def test_a_digest_belongs_to_the_hour_that_it_ends() -> None:
    folder = FILES.replace("/CloudTrail/", "/CloudTrail-Digest/")
    for name, hour in (
        (f"{ACCOUNT}_CloudTrail-Digest_{REGION}_a_20260101T09_{REGION}_20260101T050000Z.json.gz", (5 - 1, 1, 0)),
        (f"{ACCOUNT}_CloudTrail-Digest_{REGION}_a_{REGION}_20260101T050001Z.json.gz", (5, 1, 0)),
        (f"{ACCOUNT}_CloudTrail-Digest_{REGION}_a_{REGION}_20260101T050000Z_backfill.json.gz", (5 - 1, 1, 0)),
        (f"444455556666_CloudTrail-Digest_{REGION}_a_{REGION}_20260101T050000Z.json.gz", (0, 0, 1)),
        (f"{ACCOUNT}_CloudTrail-Digest_{REGION}_a_{REGION}_20260132T050000Z.json.gz", (0, 0, 1)),
    ):
        found = taken(ObjectInfo(f"{folder}{name}", 1, START, "e"))
        assert [(at - hour_of(START), item.digests, item.logs) for at, item in found.items()] == [hour], name


NAMES = st.builds(
    "{}_CloudTrail_{}_{}{}".format,
    st.just(ACCOUNT),
    st.just(REGION),
    st.sampled_from(
        ["20260101T00", "20260101T01", "20260101T019", "20260101T23", "20260102T00", "20269901T00", "2026"]
    ),
    st.sampled_from(
        ["00Z_a.json.gz", "59Z_b.json.gz", "", "x/_20260101T05", "_20260101T0500Z_c.json.gz", " ~", "00Z_A"]
    ),
)


@given(st.sets(NAMES, max_size=12), st.sampled_from(["", "<ChecksumType>FULL_OBJECT</ChecksumType>"]))
def test_a_page_has_the_fingerprint_of_its_objects(names: set[str], more: str) -> None:
    """However a page was read, and whatever lies beside an object in it: each hour is that of its own objects alone."""
    keys = sorted(f"{FILES}{name}" for name in names)
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:{number:02d}.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        f"{more}<Size>{number}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for number, key in enumerate(keys, 1)
    )
    head = "<ListBucketResult><Name>b</Name><Prefix>AWSLogs/</Prefix><IsTruncated>false</IsTruncated>"
    page = parse_page(f"{head}{rows}</ListBucketResult>".encode(), Asked("b", "AWSLogs/"))
    assert not keys or isinstance(page.objects, Columns)
    infos = [ObjectInfo(key, number, START + timedelta(seconds=number), "e") for number, key in enumerate(keys, 1)]
    assert list(page.objects) == infos
    whole = taken(*infos)
    assert run_loop(list_hours(Paged(page.objects), PLACE, ("CloudTrail",), DAYS, START + DAY)) == whole
    alone: dict[int, list[ObjectInfo]] = {}
    for info in infos:
        (hour,) = taken(info)
        alone.setdefault(hour, []).append(info)
    assert {hour: taken(*held)[hour] for hour, held in alone.items()} == whole


def test_other_kinds_of_logs_are_compared_too(trail: Trail) -> None:
    """Digests name Insights logs as well: one that lies there is part of the fingerprint of its hour."""
    path = trail.logs(5)[0]
    insight = Path(
        str(path).replace("/CloudTrail/", "/CloudTrail-Insight/").replace("_CloudTrail_", "_CloudTrail-Insight_")
    )
    insight.parent.mkdir(parents=True)
    insight.write_bytes(path.read_bytes())
    first = trail.ask(START, START + DAY)
    trail.read.clear()
    assert trail.ask(START, START + DAY).exit_code == first.exit_code
    quiet = trail.read["digests"]
    trail.read.clear()
    insight.write_bytes(b"other")
    trail.ask(START, START + DAY)
    assert trail.read["digests"] > quiet
