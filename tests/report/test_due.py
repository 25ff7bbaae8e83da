"""What is due: hours whose digests cannot be there yet count against nobody, and no others are excused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import TAIL
from cloudtrail_validate.core.model import Interval, Kind
from cloudtrail_validate.report import ChainRecord, GapRecord, Report
from cloudtrail_validate.report.due import Due, chain_due, due, due_of, due_seconds, due_sentence
from cloudtrail_validate.report.wording import all_proven
from tests.report.samples import START, at, chain, report

DAY = Interval(START, at(24))


@pytest.mark.parametrize(
    ("record", "asked", "until"),
    [
        (chain(), 24, 24),
        (chain(until=23), 24, 23),  # the last hour's digest is to come
        (chain(until=22.5), 24, 22.5),
        (chain(until=20), 24, 22),  # nothing that is older than two hours is still to come
        (chain(until=20, gaps=()), 48, 24),  # asked a day later, all of it was due
        (chain(gaps=[("gap-tail", 20, 24)]), 24, 24),
        (chain(gaps=[("gap-broken", 3, 5)], until=23), 24, 23),
        (chain(until=0), 24, 22),
    ],
)
def test_a_chain_is_due_up_to_its_newest_hour_or_two_hours_ago(record: ChainRecord, asked: float, until: float) -> None:
    assert chain_due(record, DAY, at(asked)) == at(until)


def test_of_several_chains_as_much_is_due_as_of_each() -> None:
    chains = [chain(), chain(region="eu-west-1", until=23), chain(region="eu-west-2", gaps=[("gap-tail", 20, 24)])]
    backfill = chain(kind=Kind.BACKFILL, until=1)
    found = due_of([*chains, backfill], DAY, at(24))
    assert found == Due(at(23), at(24))
    assert due_of([], DAY, at(24)).end == at(24)


def test_the_next_digest_is_announced_where_hours_are_to_come() -> None:
    found = due_of([chain(until=22.5), chain(region="eu-west-1", until=23)], DAY, at(24))
    assert found == Due(at(22.5), at(23), at(24.5))
    assert due_sentence(found) == "; newest digest 2026-01-01 23:00Z, next due about 2026-01-02 00:30Z"
    assert due_sentence(Due(at(1), at(1), at(2.5))).endswith("newest digest 2026-01-01 01:00Z, next due about 02:30Z")
    assert due_sentence(due_of([chain()], DAY, at(24))) == ""


def test_a_report_says_what_it_was_written_with_and_older_ones_are_worked_out() -> None:
    old = report([chain(until=23)])
    assert due(old) == Due(at(23), at(23), at(24.5))
    assert due_seconds(old) == 23 * 3_600
    new = replace(old, summary=replace(old.summary, due_seconds=3_600, newest_digest=at(1)))
    assert due(new) == Due(at(1), at(1))


def test_no_hour_is_called_covered_that_is_still_to_come() -> None:
    assert all_proven(report([chain()])).startswith("Every hour covered,")
    assert all_proven(report([chain(until=23)])).startswith("Every hour that is due is covered,")


MOMENTS = st.integers(-3, 30).map(at)


@given(st.lists(st.tuples(MOMENTS, MOMENTS), max_size=4), st.lists(st.tuples(MOMENTS, MOMENTS), max_size=3), MOMENTS)
def test_what_is_due_lies_in_the_window_and_never_hides_old_hours(
    covered: list[tuple[datetime, datetime]], gaps: list[tuple[datetime, datetime]], asked: datetime
) -> None:
    records = tuple(GapRecord(rule=rules.GAP_TAIL, start=a, end=b, undigested_logs=0) for a, b in gaps)
    one = replace(chain(), covered=tuple(covered), gaps=records)
    until = chain_due(one, DAY, asked)
    assert START <= until <= at(24)
    assert until >= min(at(24), asked - TAIL) - timedelta(seconds=1)
    for _, end in [*covered, *gaps]:
        assert until >= min(at(24), end)


def test_a_report_without_chains_is_due_in_full() -> None:
    empty: Report = report([])
    assert due_seconds(empty) == 24 * 3_600
