"""Files that no digest names: which digests are asked before anybody is accused, and who is shown to write there."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core.chain import DigestState, Link
from cloudtrail_validate.core.coverage import covers, touches
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind, Locator
from cloudtrail_validate.core.unreferenced import (
    REACH,
    ListedDigest,
    Question,
    UnreferencedFile,
    is_copy,
    question,
    to_read,
    writers,
)
from tests.core.helpers import ACCOUNT, BUCKET, CHAIN, FOLDER, REGION, START
from tests.core.unreferenced_kit import OTHER, at, file, span

BACKFILL = replace(CHAIN, kind=Kind.BACKFILL)


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


def test_a_copy_is_told_by_all_of_its_digests() -> None:
    def digest(end: float, written: float | None) -> ListedDigest:
        return ListedDigest(at(end), Locator(BUCKET, f"{end}"), None if written is None else at(written))

    assert is_copy([digest(1, 50), digest(2, 50)])
    assert not is_copy([digest(1, 50), digest(2, 2.5)])  # some were copied onto themselves, and the trail goes on
    assert not is_copy([digest(1, 3)])
    assert not is_copy([digest(1, None)])
    assert not is_copy([])


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


def test_chains_are_told_by_their_whole_name() -> None:
    """The same name under an organization's id is another trail."""
    organization = ChainId(ACCOUNT, REGION, CHAIN.trail, CHAIN.home_region, "o-exampleorgid", Kind.STANDARD)
    assert len(writers({CHAIN: [link(5)], organization: [link(7)]})) == 2
