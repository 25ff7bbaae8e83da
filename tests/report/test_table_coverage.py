"""The table's coverage: a bar and a percentage for each account-region, the worst first, the rest folded."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core.model import Kind
from cloudtrail_validate.report import (
    CountsRecord,
    GapRecord,
)
from cloudtrail_validate.report.table import MOST_ROWS
from tests.report.samples import ACCOUNT, START, at
from tests.report.table_page import DAY, chain, make, shown


def bar_of(page: str, region: str) -> str:
    line = next(line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}  {region} "))
    return line.split(region)[1].split()[0]


def test_a_bar_has_a_cell_for_each_slice_of_the_window() -> None:
    page = shown(
        make(
            chains=[
                chain("us-east-1"),
                chain("us-east-2", gaps=[(12, 24)]),
                chain("us-west-1", gaps=[(0, 24)]),
                chain("us-west-2", until=22.5),
                chain("eu-west-1", gaps=[(12, 12.25)]),
            ]
        ),
        width=200,
    )
    assert bar_of(page, "us-east-1") == "━" * 40
    assert bar_of(page, "us-east-2") == "━" * 20 + "·" * 20
    assert bar_of(page, "us-west-1") == "·" * 40
    assert bar_of(page, "us-west-2") == "━" * 37 + "─" * 3  # 22.5 h of 24 h are 37.5 cells
    assert bar_of(page, "eu-west-1") == "━" * 20 + "╍" + "━" * 19
    percent = {line.split()[1]: line.split()[3] for line in page.splitlines() if line.startswith(f"  {ACCOUNT}")}
    assert percent == {
        "us-east-1": "100%",
        "us-east-2": "50%",
        "us-west-1": "0%",
        "us-west-2": "100%",  # of what is due
        "eu-west-1": "98.9%",
    }
    assert "━ covered  ╍ in part  · gap  ─ no digest due yet" in page
    assert "covered  ╍" not in shown(make(chains=[chain()]))


def test_one_lost_second_is_never_called_100_percent() -> None:
    page = shown(make(chains=[chain(gaps=[(3, 3 + 1 / 3600)])]))
    (row,) = [line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}")]
    assert " 99.9% " in row


def test_a_gap_counts_even_where_another_interval_claims_its_hours() -> None:
    overlapping = chain(gaps=[(6, 12)], covered=((START, DAY), (at(1), at(2))))
    assert " 75% " in shown(make(chains=[overlapping]))


@given(
    st.lists(st.tuples(st.integers(-5, 30), st.integers(-5, 30)), max_size=8),
    st.lists(st.tuples(st.integers(-5, 30), st.integers(-5, 30)), max_size=4),
)
def test_the_percentage_is_that_of_a_count_hour_by_hour(
    covered: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:
    def inside(hour: int, spans: list[tuple[int, int]]) -> bool:
        return any(start <= hour < end for start, end in spans)

    proven = sum(inside(hour, covered) and not inside(hour, gaps) for hour in range(24))
    due = min(24, max([22, *(end for _, end in [*covered, *gaps])]))  # what is younger may still be to come
    one = replace(
        chain(covered=tuple((at(a), at(b)) for a, b in covered)),
        gaps=tuple(GapRecord(rule="gap-tail", start=at(a), end=at(b), undigested_logs=0) for a, b in gaps),
    )
    page = shown(make(chains=[one]))
    tenths = 1000 * proven // due
    expected = f"{tenths // 10}.{tenths % 10}%" if tenths % 10 else f"{tenths // 10}%"
    line = next(line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}"))
    assert expected in line.split()


def test_a_backfill_chain_adds_its_counts_to_its_trail_and_no_hours() -> None:
    backfill = chain(
        kind=Kind.BACKFILL, digests=CountsRecord(valid=6), logs=CountsRecord(altered=2), covered=((START, DAY),)
    )
    page = shown(make(chains=[chain(until=12), backfill]), width=120)
    rows = [line for line in page.splitlines() if line.startswith(f"  {ACCOUNT}")]
    assert len(rows) == 1
    assert re.search(r"54\.5% +30 +1,206 +logs: 2 altered$", rows[0])  # 12 of the 22 hours that are due


def test_two_trails_in_a_region_are_two_rows_with_their_names() -> None:
    page = shown(make(chains=[chain(trail="mgmt"), chain(trail="mgmt_us-east-1", gaps=[(0, 12)])]))
    assert re.search(r"mgmt_u…ast-1 +·+━+ +50%", page)
    assert re.search(r"mgmt +━+ +100%", page)


def test_what_is_wrong_comes_first_and_the_rest_is_folded() -> None:
    fine = [chain(account=f"{444455556666 + n}") for n in range(197)]
    bad = chain("eu-west-1", gaps=[(0, 12)], logs=CountsRecord(valid=10, altered=2, unverifiable=1))
    page = shown(make(chains=[*fine, bad]))
    lines = page.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Coverage")) + 1
    assert "eu-west-1" in lines[first]
    assert lines[first + 1].strip() == "logs: 2 altered, 1 unverifiable"
    assert re.fullmatch(r"  197 without fault +━+ +100% +4,728 +237,188", lines[first + 2])
    assert "444455556666" not in page
    assert "444455556666" in shown(make(chains=[*fine, bad]), show=None)


def test_many_wrong_rows_are_folded_behind_the_worst() -> None:
    wrong = [chain(account=f"{444455556666 + n}", gaps=[(0, n / 100)]) for n in range(1, 101)]
    page = shown(make(chains=wrong))
    assert len(re.findall(r"^  4444555", page, re.MULTILINE)) == MOST_ROWS
    assert "444455556766" in page
    assert re.search(rf"{100 - MOST_ROWS} more with faults +\S+ +96\.5%", page)


def test_3400_clean_chains_are_one_line() -> None:
    chains = [chain(f"r-{n % 17}", account=f"{111122223333 + n // 17}") for n in range(3_400)]
    page = shown(make(chains=chains))
    assert re.search(r"  3,400 without fault +━+ +100% +81,600 +4,093,600", page)
    assert "all accounts (200 found), all regions (17 found)" in page
    assert len(page.splitlines()) < 30
