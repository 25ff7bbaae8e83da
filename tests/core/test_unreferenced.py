"""Files that no digest names: what is asked before anybody is accused, and what the answer comes to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, Link
from cloudtrail_validate.core.coverage import Span, covers, touches, union
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind, Locator
from cloudtrail_validate.core.unreferenced import (
    REACH,
    Knowledge,
    ListedDigest,
    Question,
    UnreferencedFile,
    Writer,
    is_copy,
    judge,
    question,
    to_read,
    unreferenced,
    writers,
)

from .helpers import ACCOUNT, BUCKET, CHAIN, FOLDER, REGION, START

EXTRA, UNDIGESTED, PENDING = rules.LOG_EXTRA, rules.LOG_UNDIGESTED, rules.LOG_PENDING
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
BACKFILL = replace(CHAIN, kind=Kind.BACKFILL)
OTHER = Folder(BUCKET, "AWSLogs/o-exampleorgid/", ACCOUNT, REGION)
NOW = START + 5 * DAY


def at(hours: float) -> datetime:
    return START + hours * HOUR


def span(start: float, end: float) -> Interval:
    return Interval(at(start), at(end))


def key(minute: datetime, *, folder: Folder = FOLDER, name: str = "AAAAAAAAAAAAAAAA") -> str:
    return f"{folder.path('CloudTrail')}{minute:%Y/%m/%d}/{ACCOUNT}_CloudTrail_{REGION}_{minute:%Y%m%dT%H%MZ}_{name}.json.gz"


def file(
    minute: float | None, modified: float | None = None, *, folder: Folder = FOLDER, dated: bool = True
) -> UnreferencedFile:
    """A log of that hour by name (None: a name that is no log's), written at another (None: the store does not say)."""
    where = key(at(minute), folder=folder) if minute is not None else f"{folder.path('CloudTrail')}2026/01/05/x.json"
    written = at(modified) if modified is not None else None
    return unreferenced(Locator(BUCKET, where), written, dated=dated)


def known(*found: Writer, now: datetime = NOW, unread: Span = (), claimed: Iterable[Locator] = ()) -> Knowledge:
    return Knowledge(found, now, unread, frozenset(claimed))


def writer(*proven: Interval, lost: Iterable[Interval] = (), folder: Folder = FOLDER) -> Writer:
    return Writer((folder,), union(proven), union(lost), shown=union(proven))


# -- the file ---------------------------------------------------------------------------------------------------------


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
        (unreferenced(Locator(BUCKET, FOLDER.path("CloudTrail") + "x"), None), [True, True, True]),
    ],
)
def test_belongs(found: UnreferencedFile, windows: list[bool]) -> None:
    assert [found.belongs(window) for window in (span(2, 3), span(7, 8), span(29, 31))] == windows


# -- the question -----------------------------------------------------------------------------------------------------


def wanted(asked: Question, kind: Kind, *hours: float) -> list[float]:
    return [hour for hour in hours if asked.wants(kind, at(hour))]


def test_a_log_of_one_time_is_asked_of_its_hour() -> None:
    asked = question([file(2.5, 2.51)])
    assert wanted(asked, Kind.STANDARD, 1, 2, 3, 4, 5) == [3]
    assert wanted(asked, Kind.BACKFILL, 1, 2, 3, 4, 5, 24 * 30) == [3, 4, 5, 24 * 30]
    assert not asked.wants(Kind.BACKFILL, at(2.5) + REACH + 2 * HOUR)


@pytest.mark.parametrize(("minute", "modified", "hours"), [(3.0, 3.0, [3, 4]), (2.95, 2.95, [3, 4]), (3.1, 3.1, [4])])
def test_a_log_of_an_hours_end_is_asked_of_both_neighbours(minute: float, modified: float, hours: list[float]) -> None:
    assert wanted(question([file(minute, modified)]), Kind.STANDARD, 1, 2, 3, 4, 5) == hours


def test_a_late_log_is_asked_of_its_names_hour_of_its_delivery_and_of_those_between() -> None:
    """Written again, nobody knows when it came: the digest of any hour since may name it."""
    asked = question([file(2.5, 7.5)])
    assert wanted(asked, Kind.STANDARD, *range(1, 12)) == [3, 4, 5, 6, 7, 8]
    assert wanted(asked, Kind.BACKFILL, 2, 3, 8, 9, 24 * 34) == [3, 8, 9, 24 * 34]


@pytest.mark.parametrize("found", [file(2.5, dated=False), file(2.5, 24 * 400)])
def test_a_log_that_was_written_at_any_time_is_asked_of_all_digests_in_reach(found: UnreferencedFile) -> None:
    asked = question([found])
    assert wanted(asked, Kind.STANDARD, 2, 3, 4, 24 * 34, 24 * 37, 24 * 400) == [3, 4, 24 * 34]
    assert covers(asked.context, Interval(at(2.5) - REACH, at(2.5) + REACH))
    assert not touches(asked.context, span(24 * 399, 24 * 401))


def test_no_file_asks_nothing() -> None:
    assert question([]) == Question()
    assert Question().days is None
    assert not Question().wants(Kind.STANDARD, at(3))


def test_files_ask_together_what_each_of_them_asks() -> None:
    files = [file(2.5, 2.5), file(9.5, 9.5)]
    asked, single = question(files), [question([item]) for item in files]
    for hour in range(24 * 40):
        for kind in Kind:
            assert asked.wants(kind, at(hour)) == any(item.wants(kind, at(hour)) for item in single)


# -- what to read -----------------------------------------------------------------------------------------------------


def listed(*hours: float) -> list[ListedDigest]:
    return [ListedDigest(at(hour), Locator(BUCKET, f"digest {hour}")) for hour in hours]


def read_all(
    asked: Question, entries: list[ListedDigest], proven: Iterable[float], kind: Kind = Kind.STANDARD
) -> list[float]:
    """The hours of the digests that are read until nothing is asked any more; those in `proven` turn out to be."""
    states: dict[Locator, DigestState] = {}
    order: list[float] = []
    while todo := to_read(asked, kind, entries, states):
        for item in todo:
            assert item.where not in states
            hour = (item.end - START) / HOUR
            states[item.where] = DigestState.PROVEN if hour in set(proven) else DigestState.UNPROVEN
            order.append(hour)
    return order


def test_a_last_modified_from_before_the_name_is_no_delivery_and_ends_no_search() -> None:
    assert wanted(question([file(9.5, 2.5)]), Kind.STANDARD, 3, 10, 11, 200) == [3, 10, 11, 200]
    assert wanted(question([file(9.5, 9.45)]), Kind.STANDARD, 3, 10, 11, 200) == [10]


def test_only_what_could_name_the_file_is_read() -> None:
    hours = list(range(1, 25))
    assert read_all(question([file(2.5, 2.5)]), listed(*hours), hours) == [3]


def test_successors_are_read_until_one_is_proven() -> None:
    """A copy without signatures, or decoys: a fixed number of neighbours proves nothing."""
    assert read_all(question([file(2.5, 2.5)]), listed(*range(1, 25)), [7, 8]) == [3, 4, 5, 6, 7]


def test_decoys_before_the_proof_are_passed() -> None:
    decoys = [3 + number / 100 for number in range(1, 90)]
    assert read_all(question([file(2.5, 2.5)]), listed(2, 3, *decoys, 4), [2, 3, 4])[-1] in (3, *decoys, 4)
    assert 4 in read_all(question([file(2.5, 2.5)]), listed(2, 3, *decoys, 4), [2, 4])


def test_of_a_trail_that_has_no_digest_of_the_hour_the_nearest_are_read_until_one_is_proven() -> None:
    asked = question([file(20.5, 20.5)])
    assert read_all(asked, listed(1, 2, 3, 5, 60), [1, 2]) == [5, 3, 2]
    assert read_all(asked, listed(*(20 + 24 * day for day in (-36, -34, 3, 36))), []) == [20 + 24 * 3, 20 - 24 * 34]


def test_a_trail_is_shown_in_each_of_its_folders() -> None:
    """It moved: only a proven digest in the old folder shows that it ever wrote there."""
    there = [ListedDigest(at(hour), link(hour, base="old/AWSLogs/").where) for hour in (1, 2, 3)]
    here = [ListedDigest(at(hour), link(hour).where) for hour in range(10, 30)]
    assert read_all(question([file(20.5, 20.5)]), [*there, *here], [2, *range(10, 30)]) == [21, 3, 2]


def test_a_backfill_chain_is_not_asked_whether_it_is_there() -> None:
    assert read_all(question([file(20.5, 20.5)]), listed(1, 2, 3), [1, 2, 3], Kind.BACKFILL) == []


# -- a copy -----------------------------------------------------------------------------------------------------------


def test_a_copy_is_told_by_all_of_its_digests() -> None:
    def digest(end: float, written: float | None) -> ListedDigest:
        return ListedDigest(at(end), Locator(BUCKET, f"{end}"), None if written is None else at(written))

    assert is_copy([digest(1, 50), digest(2, 50)])
    assert not is_copy([digest(1, 50), digest(2, 2.5)])  # some were copied onto themselves, and the trail goes on
    assert not is_copy([digest(1, 3)])
    assert not is_copy([digest(1, None)])
    assert not is_copy([])


# -- who writes here --------------------------------------------------------------------------------------------------


def link(
    hour: float,
    state: DigestState = DigestState.PROVEN,
    *,
    starting: bool = False,
    base: str = "AWSLogs/",
    logs: int = 1,
) -> Link:
    folder = Folder(BUCKET, base, ACCOUNT, REGION)
    where = Locator(BUCKET, f"{folder.path('CloudTrail-Digest')}{at(hour):%Y/%m/%d}/{hour}.json.gz")
    return Link(where, Interval(at(hour - 1), at(hour)), state, starting, logs=logs)


def test_writers_are_those_of_which_something_is_proven() -> None:
    lost = [link(hour, state) for hour, state in zip((1, 2, 3), list(DigestState)[1:], strict=True)]
    assert writers({CHAIN: lost}) == ()
    assert writers({CHAIN: []}) == ()
    (found,) = writers({CHAIN: [*lost, link(5), link(6)]})
    assert (found.folders, found.proven, found.lost) == ((FOLDER,), (span(4, 6),), (span(0, 3),))


def test_a_lost_digest_of_an_overlapping_chain_is_lost_whatever_the_other_proves() -> None:
    """It is known to have been there: a proven successor names it. An object under its name is not."""
    lost = replace(link(5.5), state=DigestState.MISSING)
    altered = replace(link(5.5), state=DigestState.UNPROVEN)
    following = replace(link(6.5), previous=altered.where)
    for chain in ([link(5), link(6), lost], [link(5), link(6), altered, following]):
        (found,) = writers({CHAIN: chain})
        assert not touches(found.proven, span(4.5, 5.5))
        assert touches(found.lost, span(4.5, 5.5))
    (decoy,) = writers({CHAIN: [link(5), link(6), altered]})
    assert (decoy.proven, decoy.lost) == ((span(4, 6),), ())


def test_a_starting_digest_shows_a_writer_and_answers_for_nothing() -> None:
    (found,) = writers({CHAIN: [link(5, starting=True, logs=0)]})
    assert (found.proven, found.shown) == ((), (span(4, 5),))


def test_a_trail_writes_wherever_its_digests_lie() -> None:
    """A chain that moved answers in both places for all of its hours."""
    (found,) = writers({CHAIN: [link(5), link(6, base="new/AWSLogs/")]})
    assert [folder.base for folder in found.folders] == ["AWSLogs/", "new/AWSLogs/"]
    assert found.proven == (span(4, 6),)


def test_a_backfill_chain_is_its_trails() -> None:
    (found,) = writers({CHAIN: [link(5)], BACKFILL: [link(2), link(3, DigestState.UNREADABLE), link(5)]})
    assert (found.proven, found.lost_backfill) == ((span(4, 5),), (span(2, 3),))
    (alone,) = writers({CHAIN: [link(5)], BACKFILL: [link(3, DigestState.UNREADABLE)]})
    assert alone.lost_backfill == ()  # planted under its name: nothing shows that there ever was a chain


def test_two_trails_are_two_writers() -> None:
    found = writers({CHAIN: [link(5)], replace(CHAIN, trail="other"): [link(7)]})
    assert [item.proven for item in found] == [(span(4, 5),), (span(6, 7),)]


def test_a_local_copy_stands_for_every_bucket() -> None:
    (found,) = writers({CHAIN: [link(5)]})
    assert found.writes(Folder("", "AWSLogs/", ACCOUNT, REGION))
    assert not found.writes(Folder("another", "AWSLogs/", ACCOUNT, REGION))
    assert not found.writes(OTHER)
    assert found.writes(None)


# -- the verdict ------------------------------------------------------------------------------------------------------

# Hours 0 to 10 are proven, but for 4 to 5, a gap.
T = writer(span(0, 4), span(5, 10), lost=[span(4, 5)])


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
        (unreferenced(Locator(BUCKET, FOLDER.path("CloudTrail") + "x"), None), EXTRA),
        (unreferenced(Locator(BUCKET, FOLDER.path("CloudTrail") + "x"), at(4.5)), UNDIGESTED),
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
        (unreferenced(Locator(BUCKET, FOLDER.path("CloudTrail") + "x"), at(10.2)), 10.5, PENDING),
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


# -- nobody is accused wrongly, nothing planted hides -----------------------------------------------------------------


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


def test_chains_are_told_by_their_whole_name() -> None:
    """The same name under an organization's id is another trail."""
    organization = ChainId(ACCOUNT, REGION, CHAIN.trail, CHAIN.home_region, "o-exampleorgid", Kind.STANDARD)
    assert len(writers({CHAIN: [link(5)], organization: [link(7)]})) == 2
