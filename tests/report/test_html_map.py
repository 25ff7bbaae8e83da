"""The map of account-regions and hours: bounded, drawn from coverage and findings, and the way to them."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.report import Report
from cloudtrail_validate.report.html.heat import MOST_COLUMNS, MOST_ROWS, Axis, heat
from tests.report import samples
from tests.report.browser import Opener, texts
from tests.report.samples import ACCOUNT, SECOND, START, at, chain, finding, log_key, report


@pytest.mark.parametrize(
    ("span", "step"),
    [
        (timedelta(minutes=5), timedelta(hours=1)),
        (timedelta(hours=36), timedelta(hours=1)),
        (timedelta(days=7), timedelta(hours=2)),
        (timedelta(days=90), timedelta(days=1)),
        (timedelta(days=365), timedelta(days=7)),
        (timedelta(days=3_650), timedelta(days=91)),
        (timedelta(days=40_000), timedelta(days=728)),
    ],
)
def test_an_axis_is_bounded_and_covers_the_window(span: timedelta, step: timedelta) -> None:
    start = START + timedelta(minutes=17)
    axis = Axis.of(start, start + span)
    assert axis.step == step
    assert 1 <= axis.columns <= MOST_COLUMNS
    cells = [axis.cell(column) for column in range(axis.columns)]
    assert (cells[0].start, cells[-1].end) == (start, start + span)
    assert all(a.end == b.start for a, b in pairwise(cells))
    assert sum(axis.seconds([(start, start + span)])) == span.total_seconds()


def test_an_axis_puts_what_lies_outside_into_the_nearest_column() -> None:
    axis = Axis.of(at(0), at(24))
    assert list(axis.touched(Interval(at(-5), at(-4)))) == [0]
    assert list(axis.touched(Interval(at(30), at(31)))) == [23]
    assert list(axis.touched(Interval(at(2.5), at(4)))) == [2, 3]


def drawn(sample: Report) -> dict[str, Any]:
    rows: list[dict[str, Any]] = heat(sample)[0]["rows"]
    return {f"{row['account']} {row['region']}": row for row in rows}


def test_the_map_shows_coverage_gaps_and_what_is_pending() -> None:
    chains = [
        chain(region="eu-west-1", gaps=[("gap-broken", 3, 5.5)]),
        chain(region="us-west-2", until=22),
        chain(region="us-east-1"),
    ]
    absent = finding(rules.CHAIN_ABSENT, hours=(0, 24), region="eu-north-1", trail=None)
    rows = drawn(report(chains, [absent]))
    assert rows[f"{ACCOUNT} eu-west-1"]["cover"] == "c" * 3 + "ggp" + "c" * 18
    assert rows[f"{ACCOUNT} us-west-2"]["cover"] == "c" * 22 + "nn"
    assert rows[f"{ACCOUNT} us-east-1"]["cover"] == "c" * 24
    assert rows[f"{ACCOUNT} eu-north-1"]["cover"] == "g" * 24
    assert [row["proven"] for row in rows.values()] == [0, 895, 1_000, 1_000]  # of what is due


def test_of_two_trails_at_one_place_the_worse_is_drawn() -> None:
    chains = [chain(gaps=[("gap-broken", 3, 5)]), chain(trail="other", until=23)]
    assert drawn(report(chains))[f"{ACCOUNT} us-east-1"]["cover"] == "cccgg" + "c" * 18 + "n"


def test_the_map_marks_findings_and_orders_by_evidence() -> None:
    found = [
        finding(rules.LOG_ALTERED, log_key(5), region="eu-west-1"),
        finding(rules.LOG_UNDIGESTED, log_key(5, 1), region="eu-west-1"),
        finding(rules.LOG_REWRITTEN, log_key(6), region="eu-west-1"),
        finding(rules.LOG_EXTRA, "no/time", region="us-west-2"),
        finding(rules.LOG_EXTRA, "no/place", region=None),
    ]
    whole, spots = heat(report([chain(), chain(region="eu-west-1"), chain(region="us-west-2")], found))
    assert [row["region"] for row in whole["rows"]] == ["eu-west-1", "us-west-2", "us-east-1"]
    assert whole["rows"][0]["marks"] == [[5, 1, 1, 0], [6, 0, 0, 1]]
    assert whole["rows"][1]["totals"] == [1, 0, 0]
    assert whole["rows"][1]["marks"] == []
    assert sorted(spots) == sorted([(0, 5, 5), (0, 5, 5), (0, 6, 6), (1, 0, 23), (-1, 0, 0)])


def test_the_map_is_bounded() -> None:
    chains = [chain(f"{number:012}", "us-east-1") for number in range(MOST_ROWS + 5)]
    whole, _ = heat(report(chains))
    assert (len(whole["rows"]), whole["left_out"]) == (MOST_ROWS, 5)


def test_the_map_leads_to_its_findings_by_mouse(opened: Opener) -> None:
    sample = samples.telling()
    page = opened(sample)
    assert texts(page, "#grid .row[data-row] .name")[:2] == [f"{ACCOUNT} us-east-1", f"{SECOND} ap-southeast-2"]
    page.click("#grid [data-row='1'] .strip", across=(30.5) / 90)  # 31 January
    (detail,) = texts(page, "#detail")
    assert f"{SECOND} ap-southeast-2, 2026-01-31 00:00 – 2026-02-01 00:00 UTC" in detail
    assert "gap-broken 2026-01-30 04:00 – 2026-02-06 04:00 UTC (7 d), 4 undigested logs" in detail
    assert "null" not in detail
    assert texts(page, "#found") == ["1 of 69 findings"]
    page.click("#show")
    assert page.evaluate("document.activeElement.id") == "findings-title"
    page.click("#grid [data-row='0'] .name")
    assert texts(page, "#found") == ["68 of 69 findings, 50 shown"]
    page.click("#chips button")
    assert texts(page, "#found") == ["69 findings, 50 shown"]
    assert page.evaluate("document.getElementById('detail').hidden") is True


def test_the_map_leads_to_its_findings_by_keyboard(opened: Opener) -> None:
    page = opened(samples.telling())
    page.evaluate("document.getElementById('map-byname').focus()")
    page.key("Tab")
    assert page.evaluate("document.activeElement.id") == "grid"
    first = f"{ACCOUNT} us-east-1, 2026-01-01 00:00 – 2026-01-02 00:00: covered"
    assert texts(page, "#map-say")[0].startswith(first)
    assert page.evaluate("document.getElementById('cursor').getAttribute('aria-label')").startswith(first)
    for key in ("ArrowDown", "End", "ArrowLeft", "ArrowLeft"):
        page.key(key)
    assert texts(page, "#map-say") == [f"{SECOND} ap-southeast-2, 2026-03-29 00:00 – 2026-03-30 00:00: covered"]
    page.key("Home")
    page.key("ArrowUp")
    page.key("Enter")
    assert "2026-01-01 00:00 – 2026-01-02 00:00 UTC" in texts(page, "#detail")[0]
    assert int(texts(page, "#found")[0].split()[0]) > 20
    page.key("Escape")
    assert texts(page, "#found") == ["69 findings, 50 shown"]


def test_the_map_finds_a_place(opened: Opener) -> None:
    page = opened(samples.huge(accounts=20, regions=10, days=3, findings=10))
    assert len(texts(page, "#grid [data-row]")) == 40
    page.click("#map-more")
    assert len(texts(page, "#grid [data-row]")) == 80
    page.click("#map-search")
    page.type("eu-west-2")
    names = texts(page, "#grid [data-row] .name")
    assert len(names) == 20
    assert all(name.endswith("eu-west-2") for name in names)
    page.click("#map-byname")
    assert texts(page, "#grid [data-row] .name") == sorted(names)
