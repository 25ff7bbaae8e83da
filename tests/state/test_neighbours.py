"""What lies beside the plain case: no time, no listing, other kinds of logs, an edge that changed and went on, odd keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

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
from cloudtrail_validate.state.listing import hour_in, list_hours
from cloudtrail_validate.state.model import State, hour_of
from cloudtrail_validate.stores.protocol import Children
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


def taken(*infos: ObjectInfo) -> object:
    days = Interval(START, START + DAY)
    return run_loop(list_hours(Made(*infos), PLACE, ("CloudTrail", "CloudTrail-Digest"), days, START + DAY))


def test_no_key_passes_for_two_objects() -> None:
    """A key may hold line feeds and tabs: with them it could spell the lines of objects that are gone."""
    folder = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/01/{ACCOUNT}_CloudTrail_{REGION}_20260101T0000Z"
    one, two = ObjectInfo(f"{folder}_a.json.gz", 1, START, "e"), ObjectInfo(f"{folder}_b.json.gz", 1, START, "e")
    for separator in ("\n", "\r\n"):
        line = f"{one.key}\te\t1\t{START.isoformat()}"
        assert taken(one, two) != taken(ObjectInfo(f"{line}{separator}{two.key}", 1, START, "e"))
        spelt = f"{len(one.key)}\t{line}{separator}{len(two.key)}\t{two.key}"
        assert taken(one, two) != taken(ObjectInfo(spelt, 1, START, "e"))


@pytest.mark.parametrize(
    ("name", "hour"),
    [
        ("1_CloudTrail_r_20260101T0559Z_AbC.json.gz", 5),
        ("1_CloudTrail-Insight_r_20260101T0600Z_AbC.json", 6),
        ("1_CloudTrail_r_20260101T0560Z_AbC.json.gz", None),
        ("1_CloudTrail_r_20261301T0500Z_AbC.json.gz", None),
        ("1_CloudTrail_r_20260101T05\u0663\u0663Z_AbC.json.gz", None),
        ("1_CloudTrail_r_20260101T0500X_AbC.json.gz", None),
        ("1_CloudTrail-Digest_r_t_r_20260101T050000Z.json.gz", None),
        ("20260101T0500Z", None),
        ("", None),
    ],
)
def test_the_hour_in_a_name(name: str, hour: int | None) -> None:
    assert hour_in(f"AWSLogs/x/{name}") == (None if hour is None else hour_of(START) + hour)


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
