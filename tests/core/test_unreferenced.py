"""Files that no digest names: who is accused, who is not, and what is not due yet."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core.coverage import covers, union
from cloudtrail_validate.core.model import HOUR, Interval, Locator
from cloudtrail_validate.core.unreferenced import (
    UnreferencedFile,
    Writer,
    judge,
    question,
    unreferenced,
)
from tests.core.helpers import ACCOUNT, BUCKET, FOLDER, REGION, START
from tests.core.unreferenced_kit import (
    DAY,
    EXTRA,
    NOW,
    OTHER,
    PENDING,
    UNDIGESTED,
    T,
    at,
    file,
    key,
    known,
    loose,
    span,
    writer,
)

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("path", "proper"),
    [
        (key(at(2.5)), True),
        (key(at(2.5)).replace("2026/01/05/", "2026/01/04/"), False),
        (key(at(-0.05)).replace("2026/01/04/", "2026/01/05/"), True),  # three minutes to midnight, delivered after it
        (key(at(0.05)).replace("2026/01/05/", "2026/01/04/"), True),
        (key(at(-0.15)).replace("2026/01/04/", "2026/01/05/"), False),
        (key(at(2.5)).replace("2026/01/05/", "2026/01/05//"), False),
        (key(at(2.5)).replace("2026/01/05/", "2026/01/05/deeper/"), False),
        (key(at(2.5)).replace("2026/01/05/", "2026/13/05/"), False),
        (key(at(2.5)).replace("2026/01/05/", ""), False),
        (key(at(2.5)).replace(f"/{ACCOUNT}_", "/444455556666_"), False),
        (key(at(2.5)).replace(f"_{REGION}_", "_eu-west-1_"), False),
        (key(at(2.5)).replace("_CloudTrail_", "_CloudTrail-Insight_"), False),
        (key(at(2.5)).replace("CloudTrail", "CloudTrail-Insight"), True),
        (key(at(2.5)) + "/", False),
        (key(at(2.5)).replace(".json.gz", ".metadata.json"), False),
        (key(at(2.5)).replace("2026", "9999"), False),
        ("x.json.gz", False),
        ("", False),
    ],
)
def test_what_cloudtrail_could_have_written(path: str, proper: bool) -> None:
    assert unreferenced(Locator(BUCKET, path), NOW).proper is proper


def test_an_impossible_time_of_writing_is_none() -> None:
    """A file of a local copy may bear any; no sum with it may overflow."""
    for moment in (datetime.max.replace(tzinfo=NOW.tzinfo), datetime.min.replace(tzinfo=NOW.tzinfo)):
        found = unreferenced(Locator(BUCKET, key(at(2.5))), moment)
        assert found.modified is None
        assert judge(found, known(writer(span(0, 10)))) == EXTRA
        question((found,))
    late = unreferenced(Locator(BUCKET, key(datetime(8999, 12, 31, tzinfo=NOW.tzinfo))), None)
    assert judge(late, known(writer(span(0, 10)))) == UNDIGESTED


@pytest.mark.parametrize(
    ("found", "windows"),
    [
        (file(2.5, 2.5), [True, False, False]),
        (file(2.5, 7.5), [True, True, False]),  # it came late, or was written again: it is told in both
        (file(2.5, dated=False), [True, False, False]),
        (file(None, 7.5), [True, True, False]),  # no log's name: all of its folder's day
        (file(None, 30), [True, True, True]),
        (loose(), [True, True, True]),
    ],
)
def test_belongs(found: UnreferencedFile, windows: list[bool]) -> None:
    assert [found.belongs(window) for window in (span(2, 3), span(7, 8), span(29, 31))] == windows


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (file(2.5, 2.5), EXTRA),
        (file(2.5, dated=False), EXTRA),
        (file(2.5, 7.5), EXTRA),
        (file(7.5, 2.5), EXTRA),
        (file(4.5, 4.5), UNDIGESTED),
        (file(2.5, 4.5), UNDIGESTED),
        (file(4.5, 2.5), UNDIGESTED),
        # At the edge of the gap a minute decides nothing: who delivered it there may have named it there.
        (file(3.95, 3.95), UNDIGESTED),
        (file(3.8, 3.999), UNDIGESTED),
        (file(5.0, 5.0), UNDIGESTED),
        (file(5.2, 5.2), EXTRA),
        # The second at which a digest ends, both of whose neighbours were read.
        (file(2.0, 2.0), EXTRA),
        # Before the first digest and long after the last.
        (file(-3, -3), UNDIGESTED),
        (file(12, 12), UNDIGESTED),
        # Written so late that no delivery can be meant: replicated, restored, encrypted anew, or planted.
        (file(2.5, 24 * 40), EXTRA),
        (file(4.5, 24 * 40), UNDIGESTED),
        # Within the time in which CloudTrail may still deliver, in hours of which nothing is proven.
        (file(2.5, 24 * 4), UNDIGESTED),
        # What CloudTrail does not write needs one instant in proven hours.
        (file(None, 4.5), EXTRA),
        (file(None), EXTRA),
        (loose(), EXTRA),
        (loose(4.5), UNDIGESTED),
        (unreferenced(Locator(BUCKET, f"AWSLogs/{ACCOUNT}/CloudTrail/x"), at(2.5)), EXTRA),
    ],
)
def test_one_trail(found: UnreferencedFile, expected: str) -> None:
    assert judge(found, known(T)) == expected
    # Someone else whose trail has no validation may have written it.
    silent = Writer((FOLDER,), validated=False)
    assert judge(found, known(T, silent)) == (UNDIGESTED if expected == EXTRA else expected)
    elsewhere = Writer((OTHER,), validated=False)
    assert judge(found, known(T, elsewhere)) == (UNDIGESTED if expected == EXTRA and found.folder is None else expected)


@pytest.mark.parametrize(
    ("found", "now", "expected"),
    [
        (file(10.2, 10.2), 10.5, PENDING),
        (file(10.2, 10.2), 12, PENDING),
        (file(10.2, 10.2), 12.1, UNDIGESTED),  # its digest is late: a tail
        (file(9.99, 9.99), 10.5, PENDING),  # seconds before the newest digest's end
        (file(9.5, 9.5), 10.5, EXTRA),
        (file(9.9, 10.2), 10.5, PENDING),
        # It came hours late, and the digest that names it, or its backfill digest, is still to come.
        (file(2.5, 10.2), 10.5, PENDING),
        (file(2.5, 9.5), 10.5, PENDING),
        (file(2.5, 9.5), 11.6, EXTRA),
        (file(4.5, 10.2), 10.5, UNDIGESTED),
        (file(10.2, 10.2, dated=False), 10.5, PENDING),
        (file(None, 10.2), 10.5, EXTRA),
        (loose(10.2), 10.5, PENDING),
    ],
)
def test_what_is_not_due_yet(found: UnreferencedFile, now: float, expected: str) -> None:
    assert judge(found, known(T, now=at(now))) == expected


def test_after_a_lost_digest_the_next_is_due() -> None:
    cut = writer(span(0, 9), lost=[span(9, 10)])
    assert judge(file(9.5, 9.5), known(cut, now=at(10.5))) == UNDIGESTED
    assert judge(file(10.2, 10.2), known(cut, now=at(10.5))) == PENDING


def test_every_trail_must_have_answered() -> None:
    """A second one that starts, stops, restarts, has a gap or is late within hours that the first one proves."""
    found = file(7.5, 7.5)
    for second, expected in (
        (writer(span(0, 10)), EXTRA),
        (writer(span(8, 10)), UNDIGESTED),  # validation was switched on
        (writer(span(0, 7)), UNDIGESTED),  # or off
        (writer(span(0, 7), span(8, 10)), UNDIGESTED),  # restart or gap
        (writer(span(0, 10), lost=[span(7, 8)]), EXTRA),  # an object planted under its name takes nothing away
        (Writer((FOLDER,)), UNDIGESTED),  # expected here, and all its digests are gone
        (writer(span(0, 7), folder=OTHER), EXTRA),  # it writes elsewhere
        (replace(writer(span(0, 10)), lost_backfill=(span(7, 8),)), UNDIGESTED),
        (replace(writer(span(0, 10)), lost_backfill=(span(2, 3),)), EXTRA),
    ):
        assert judge(found, known(T, second)) == expected
        assert judge(found, known(second, T)) == expected
    late = writer(span(0, 9))
    assert judge(file(9.5, 9.5), known(T, late, now=at(10.5))) == PENDING
    assert judge(file(9.5, 9.5), known(T, late, now=at(11.5))) == UNDIGESTED


def test_a_trail_that_shows_itself_far_away_only_is_none_of_the_files() -> None:
    """A run over a year would otherwise know more writers than the proof of one file."""
    far = writer(span(24 * 60, 24 * 61))
    assert judge(file(2.5, 2.5), known(T, far)) == EXTRA
    assert judge(file(2.5, 2.5), known(T, writer(span(24 * 30, 24 * 31)))) == UNDIGESTED


def test_in_a_folder_where_no_trail_is_known_to_write_nobody_is_accused() -> None:
    """An account's plain trail without validation beside the organization's."""
    assert judge(file(2.5, 2.5, folder=OTHER), known(T)) == UNDIGESTED
    assert judge(file(2.5, 2.5), known()) == UNDIGESTED
    assert judge(file(10.2, 10.2, folder=OTHER), known(T, now=at(10.5))) == UNDIGESTED


def test_a_digest_that_could_not_be_read_might_have_named_it() -> None:
    found = file(2.5, 2.5)
    assert judge(found, known(T, unread=(span(2, 3),))) == UNDIGESTED
    assert (
        judge(found, known(T, unread=(span(24 * 30, 24 * 30 + 1),))) == UNDIGESTED
    )  # a backfill digest of a later hour
    assert judge(found, known(T, unread=(span(0, 1),))) == EXTRA
    assert judge(found, known(T, unread=(span(24 * 40, 24 * 41),))) == EXTRA
    assert judge(file(None, 2.5), known(T, unread=(span(2, 3),))) == EXTRA  # no digest names such a file


def test_what_an_unproven_digest_claims_is_not_accused() -> None:
    """A copy's newest digests without their signatures can be neither proven nor refuted."""
    found = file(2.5, 2.5)
    assert judge(found, known(T, claimed=[found.where])) == UNDIGESTED
    assert judge(found, known(T, claimed=[Locator(BUCKET, "another")])) == EXTRA


class Trail(NamedTuple):
    """What a trail did in each of 24 hours: `v` its digest is proven, `l` lost, `u` validation was off, `-` no trail."""

    hours: str

    def writer(self) -> Writer | None:
        """As its digests show it; None where none is proven."""
        spans = {
            what: union(span(hour, hour + 1) for hour, char in enumerate(self.hours) if char == what) for what in "vl"
        }
        return Writer((FOLDER,), spans["v"], spans["l"], shown=spans["v"]) if spans["v"] else None


TRAILS = st.builds(Trail, st.text("vvvvvlu-", min_size=24, max_size=24))


@given(st.lists(TRAILS, min_size=1, max_size=3), st.data())
def test_a_genuine_log_is_never_accused(trails: list[Trail], data: st.DataObject) -> None:
    """Each hour of each trail, each second of it: unnamed because its digest is lost, or validation was off."""
    seen = [trail for trail in trails if trail.writer()]
    silent = [(trail, hour) for trail in seen for hour, what in enumerate(trail.hours) if what in "lu"]
    if not silent:
        return
    _, hour = data.draw(st.sampled_from(silent))
    delivered = at(hour) + timedelta(seconds=data.draw(st.integers(0, 3600)))
    minute = delivered + timedelta(seconds=data.draw(st.integers(-262, 200)))
    minute -= timedelta(seconds=minute.second)
    late = data.draw(st.sampled_from([0, 0, 0, 3, 30]))  # hours by which it came after its events
    named = minute - late * HOUR
    modified = data.draw(st.sampled_from([delivered, delivered, None, delivered + 20 * DAY, delivered + 400 * DAY]))
    found = unreferenced(Locator(BUCKET, key(named)), modified)
    knowledge = known(*(trail.writer() or T for trail in seen), now=data.draw(st.sampled_from([NOW, at(25), at(2000)])))
    if late and modified != delivered:
        return  # nothing tells any more when it came: its digest is looked for, and who has lost it is not known
    assert judge(found, knowledge) != EXTRA


@given(st.lists(TRAILS, min_size=1, max_size=3), st.integers(0, 23 * 60), st.booleans(), st.sampled_from([0, 24 * 50]))
def test_what_is_planted_in_hours_that_all_have_proven_is_accused(
    trails: list[Trail], minute: int, dated: bool, later: int
) -> None:
    """With a name of these hours, and written in them or so much later that nothing is delivered any more."""
    moment = START + minute * MINUTE
    seen = [found for found in (trail.writer() for trail in trails) if found]
    around = Interval(moment - 5 * MINUTE, moment + 6 * MINUTE)
    everywhere = bool(seen) and all(covers(found.proven, around) for found in seen)
    found = unreferenced(Locator(BUCKET, key(moment)), moment + later * HOUR if dated else None)
    assert (judge(found, known(*seen, now=at(5000))) == EXTRA) == everywhere


@given(
    st.lists(TRAILS, min_size=1, max_size=3), st.integers(-300, 26 * 60), st.integers(-300, 26 * 60), st.integers(0, 40)
)
def test_another_trail_never_makes_an_accusation(trails: list[Trail], minute: int, written: int, now: int) -> None:
    found = unreferenced(Locator(BUCKET, key(START + minute * MINUTE)), START + written * MINUTE)
    seen = [item for item in (trail.writer() for trail in trails) if item]
    verdicts = [judge(found, known(*seen[:number], now=at(now))) for number in range(1, len(seen) + 1)]
    for fewer, more in pairwise(verdicts):
        assert fewer == EXTRA or more != EXTRA
