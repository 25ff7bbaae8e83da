from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import printable, share
from cloudtrail_validate.report import GapRecord, PublicKeyRecord, Report, Verdict
from cloudtrail_validate.report.examination import ExaminationError, read_examination
from cloudtrail_validate.report.html import MOST_FINDINGS, embedded, render
from cloudtrail_validate.report.html.charts import MOST_ACCOUNTS
from cloudtrail_validate.report.html.heat import MOST_COLUMNS, MOST_ROWS, Axis, heat
from cloudtrail_validate.report.wording import LIMITS, explanations
from tests.report import samples
from tests.report.browser import Browser, Page, running
from tests.report.samples import ACCOUNT, HOSTILE_KEYS, SECOND, START, at, chain, finding, log_key, report

Opener = Callable[[Report], Page]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("profile"), "look at the HTML report") as found:
        yield found


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Open a report in a fresh tab. After the test it must have asked for nothing and complained of nothing."""
    pages: list[Page] = []

    def show(sample: Report) -> Page:
        path = tmp_path / f"report-{len(pages)}.html"
        path.write_text(render(sample), encoding="utf-8")
        page = chromium.page()
        pages.append(page)
        page.look()
        page.open(path)
        return page

    yield show
    for page in pages:
        assert page.problems == []
        assert all(url.startswith("file://") for url in page.requests)
        assert len(page.requests) == 1


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => node.textContent)"
    )
    return found


class Reader(HTMLParser):
    """What an HTML parser makes of the document: elements, attributes, visible text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] not in ("script", "style"):
            self.said.append(data)


# --- the document


@pytest.mark.parametrize("name", ["quiet", "empty", "telling", "hostile"])
def test_the_page_without_its_script_says_what_decides(name: str) -> None:
    sample: Report = getattr(samples, name)()
    page = Reader(render(sample))
    said = " ".join("".join(page.said).split())
    assert LIMITS in said
    for value in (sample.request.trail_arn, sample.request.source, sample.run.caller_arn, sample.tool.version):
        assert str(value) in said
    for key in sample.public_keys:
        assert " ".join(printable(key.fingerprint).split()) in said
    for rule in {one.rule for one in sample.findings}:
        assert rule in said
        assert RULES[rule].title in said
    for counts in (sample.summary.digests, sample.summary.logs):
        assert f"{counts.valid:,}" in said


@pytest.mark.parametrize(
    ("verdict", "heading"),
    [
        (Verdict.VALID, "Valid"),
        (Verdict.CHANGED, "Evidence of change"),
        (Verdict.UNPROVEN, "Not proven"),
        (Verdict.EMPTY, "Nothing validated"),
    ],
)
def test_the_verdict_is_at_the_top(verdict: Verdict, heading: str) -> None:
    document = render(samples.verdicts()[verdict])
    assert f"<title>{heading}: " in document
    assert f"</span>{heading}</h1>" in document
    assert document.index("<h1>") < document.index("<h2>")


def test_the_document_has_no_address_in_it_and_no_script_but_its_own() -> None:
    page = Reader(render(samples.hostile()))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    assert not {"img", "link", "iframe", "object", "embed", "form", "base"} & set(tags)
    for tag, attributes in page.elements:
        assert not {"src", "style", "action"} & set(attributes), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_embedded_data_cannot_end_its_element(key: str) -> None:
    text = embedded({"key": printable(key)})
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert text.isascii()
    assert json.loads(text)["key"] == printable(key)


def test_the_assets_belong_to_the_package_and_hold_no_end_tag() -> None:
    inside = resources.files("cloudtrail_validate.report.html").iterdir()
    assets = {one.name: one.read_text() for one in inside if one.name.endswith((".js", ".css"))}
    assert set(assets) == {"findings.js", "heat.js", "page.css"}
    for name, content in assets.items():
        assert "</" not in content, name
        assert "innerHTML" not in content, name
        assert not re.search(r"https?://|@import|url\(", content), name


def test_a_document_holds_no_more_findings_than_it_says() -> None:
    sample = report([chain()], [finding(rules.LOG_EXTRA, log_key(), hours=(1, 2))])
    more = replace(sample, findings=sample.findings * (MOST_FINDINGS + 7))
    document = render(more)
    assert "20,000 findings, worst first; 7 more" in document
    data = json.loads(document.split('id="data">')[1].split("</script>")[0])
    assert len(data["findings"]) == MOST_FINDINGS
    assert data["heat"]["rows"][0]["marks"] == [[1, MOST_FINDINGS + 7, 0, 0]]


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(1, 1, "100%"), (0.9999, 1, "99.9%"), (1, 2, "50%"), (0, 1, "0%"), (-1, 1, "0%")]
)
def test_a_percentage_is_rounded_down(part: float, whole: float, expected: str) -> None:
    assert share(part, whole) == expected


# --- the map


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


# --- for an auditor


def said(document: str) -> str:
    return " ".join("".join(Reader(document).said).split())


@pytest.mark.parametrize("verdict", list(Verdict))
def test_three_sentences_say_what_a_digest_is_what_was_proven_and_what_not(verdict: Verdict) -> None:
    page = said(render(samples.verdicts()[verdict]))
    assert "a file, signed with a key that only AWS holds, which lists the log files of its hour" in page
    summary = samples.verdicts()[verdict].summary
    if summary.digests.valid:
        assert f"Here {summary.digests.valid:,} digests and {summary.logs.valid:,} log files were proven" in page
    last = {
        Verdict.VALID: "No file is missing from the hours that are covered",
        Verdict.CHANGED: "Other files are not what AWS delivered",
        Verdict.UNPROVEN: "No file was found to be changed, but not all",
        Verdict.EMPTY: "There is no digest at all for what was asked",
    }
    assert last[verdict] in page


def test_the_first_200_findings_need_no_script_and_every_one_has_its_hours() -> None:
    found = [finding(rules.LOG_MISSING, log_key(n % 24, n), hours=(n % 24, n % 24 + 1)) for n in range(300)]
    found += [finding(rules.LOG_EXTRA, log_key(7, 999)), finding(rules.DIGEST_MALFORMED, "no time in it")]
    sample = report([chain()], found)
    document = render(sample).split('id="data">')[0]
    cards = re.findall(r'<article class="finding .*?</article>', document, re.DOTALL)
    assert len(cards) == 200
    for card, one in zip(cards, sample.findings, strict=False):
        assert str(one.key) in card
        assert "UTC (" in card or "hours not known" in card
    assert "The first 200 findings are shown; 102 more need this page's script." in document
    data = json.loads(render(sample).split('id="data">')[1].split("</script>")[0])
    timed = [one for one in data["findings"] if one[10] is not None]
    assert len(timed) == 301  # the log that no digest names bears its minute in its name


def test_incidents_are_told_with_hours_events_and_commands() -> None:
    lost = [
        samples.explained(finding(rules.DIGEST_MISSING, samples.digest_key(6), hours=(5, 6)), 3),
        finding(rules.GAP_BROKEN, hours=(5, 6)),
        *(finding(rules.LOG_UNDIGESTED, log_key(5, n), hours=(5, 6)) for n in range(8)),
    ]
    document = render(report([chain(gaps=[("gap-broken", 5, 6)])], lost))
    page = said(document)
    assert page.count("Digest file is gone") >= 3  # summary, timeline, story
    assert "2026-01-01 05:00 – 06:00 (1 h) UTC" in page
    assert "1 digest-missing, 1 gap-broken, 8 log-undigested" in page
    assert "Events that may explain it:" in page
    assert "2026-01-01T01:58:00Z DeleteObject by arn:aws:iam::111122223333:user/jane" in page
    assert "<pre><code>ctvalidate recover report.json --to originals</code></pre>" in document
    assert document.count('class="event"') == 3 + 1  # the events, and the legend
    assert (
        'aria-label="Digest file is gone, missing: 2026-01-01 05:00 – 06:00 UTC (1 h), 3 events beside it"' in document
    )


def test_coverage_of_each_account_is_drawn_and_said() -> None:
    chains = [chain(SECOND, gaps=[("gap-broken", 6, 12)]), chain(SECOND, "eu-west-1"), chain(until=23)]
    document = render(report(chains))
    told = re.findall(r'aria-label="([0-9]{12}: [^"]+)"', document)
    assert told == [
        f"{SECOND}: 87.5% of what is due is covered, least of it 2026-01-01 06:00 – 07:00 UTC",
        f"{ACCOUNT}: 100% of what is due is covered",
    ]
    strips = re.findall(r'<svg class="strip-chart".*?</svg>', document)
    assert re.findall(r'class="g" x="(\d+)" y="0" width="(\d+)" height="(\d+)"', strips[0]) == [("6", "6", "10")]
    assert re.findall(r'class="n" x="(\d+)"', strips[1]) == ["23"]


def test_charts_are_bounded_and_hold_no_markup_of_others() -> None:
    chains = [chain(f"{number:012}", gaps=[("gap-broken", 3, 4)]) for number in range(500)]
    document = render(report(chains))
    assert document.count('<svg class="strip-chart"') == MOST_ACCOUNTS + 1
    assert "470 other accounts" in document
    for svg in re.findall(r"<svg.*?</svg>", render(samples.hostile()), re.DOTALL):
        shapes = re.sub(r' aria-label="[^"<>]*"', "", svg)
        assert re.fullmatch(r"<svg [^<>]*>(<rect [-\w=\" .]*/>)*</svg>", shapes)


def test_keys_say_where_they_come_from_and_what_was_relied_on_is_listed() -> None:
    key = PublicKeyRecord(
        fingerprint="0f" * 16,
        region="us-east-1",
        source="aws",
        sha256="ab" * 32,
        not_before=at(-24),
        not_after=at(24 * 29),
        asked_at=at(24),
    )
    filed = replace(
        key, source="file", asked_at=UNSET, file="keys <1>.json", file_sha256="cd" * 32, fingerprint="1f" * 16
    )
    sample = report([chain()], public_keys=(key, filed))
    page = said(render(replace(sample, relied_on=("The clock of <this> computer",))))
    assert f"{'0f' * 16} (MD5){'ab' * 32}" in page.replace(" ab", "ab")
    assert "2025-12-31 to 2026-01-30" in page
    assert "AWS, ListPublicKeys, asked 2026-01-02 00:00:00 UTC" in page
    assert f"a key file, keys <1>.json (SHA-256 {'cd' * 32})" in page
    assert "The clock of <this> computer." in page


def test_what_doctor_found_stands_beside_it() -> None:
    found = read_examination(json.dumps(samples.examination()).encode())
    document = render(samples.quiet(), found)
    page = said(document)
    assert "Would tampering be noticed, and could it be undone?" in page
    assert "1 of 4 checks found nothing wanting." in page
    assert "bucket-versioningThe bucket keeps versions" in page
    assert "Status is <b>Suspended</b>" in page
    assert "<pre><code>aws cloudtrail y</code></pre>" in document
    assert "Would tampering be noticed" not in said(render(samples.quiet()))
    for data in (b"{}", b"[", json.dumps(samples.examination() | {"verdict": "fine"}).encode()):
        with pytest.raises(ExaminationError, match="expected what ctvalidate doctor --format json writes"):
            read_examination(data)


@pytest.mark.parametrize("name", ["quiet", "telling", "hostile", "empty", "huge"])
def test_nothing_is_cut_off_on_a_phone(name: str, opened: Opener) -> None:
    sample: Report = getattr(samples, name)()
    if name == "telling":
        sample = replace(sample, relied_on=("x" * 200,))
    page = opened(sample)
    page.look(width=390)
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > 391 "
        "&& !node.closest('[hidden], svg, #grid')).map((node) => node.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    lines = "[...document.querySelectorAll('.folds tbody tr')].map(row => getComputedStyle(row).borderBottomWidth)"
    assert set(page.evaluate(lines)) == {"1px"}  # else incidents run into each other


@pytest.mark.parametrize("name", ["quiet", "telling", "hostile", "empty"])
def test_the_summary_stands_on_page_one(name: str, opened: Opener) -> None:
    page = opened(getattr(samples, name)())
    page.look(width=688, height=1_000, media="print")  # A4 without its margins, at 96 pixels an inch: 182 x 264 mm
    bottom = page.evaluate("document.querySelector('.summary').getBoundingClientRect().bottom + scrollY")
    assert bottom < 998


# --- in a browser


def test_hostile_strings_are_text(opened: Opener) -> None:
    sample = samples.hostile()
    page = opened(sample)
    assert page.evaluate("document.title").startswith("Evidence of change")
    assert page.evaluate("document.scripts.length") == 2
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    keys = texts(page, ".finding .key")
    assert len(keys) == len(sample.findings)
    for key in HOSTILE_KEYS:
        assert any(shown.endswith(printable(key.encode("utf-8", "backslashreplace").decode())) for shown in keys)


def test_every_finding_has_its_evidence(opened: Opener) -> None:
    sample = samples.telling()
    page = opened(sample)
    while page.evaluate("!document.getElementById('more').hidden"):
        page.click("#more")
    cards = texts(page, ".finding")
    assert len(cards) == len(sample.findings)
    for card, one in zip(cards, sample.findings, strict=True):
        for value in (one.key, one.expected, one.actual, one.message, *explanations(one)):
            assert value is None or value in card
    headings = dict(zip(texts(page, ".rule code"), texts(page, ".rule"), strict=True))
    assert set(headings) == {one.rule for one in sample.findings}
    for rule, heading in headings.items():
        for text in (*RULES[rule].next_steps, RULES[rule].means, RULES[rule].does_not_mean):
            assert text in heading


def test_findings_are_filtered_by_status_words_and_rule(opened: Opener) -> None:
    sample = samples.telling()
    page = opened(sample)
    page.click("[data-toggle=missing]")
    assert len(texts(page, ".finding")) == 3
    page.click("[data-toggle=notice]")
    assert texts(page, "#found") == ["7 of 69 findings"]
    page.click("[data-toggle=missing]")
    page.click("[data-toggle=notice]")
    page.click("#search")
    page.type("LOG-altered us-east")
    page.evaluate("new Promise((done) => setTimeout(done, 300))")
    number = sum(one.rule == rules.LOG_ALTERED for one in sample.findings)
    assert texts(page, "#found") == [f"{number} of 69 findings"]
    page.evaluate(
        "(() => { const box = document.getElementById('search'); box.value = ''; "
        "box.dispatchEvent(new Event('input')); })()"
    )
    page.evaluate("new Promise((done) => setTimeout(done, 300))")
    page.click("[data-rule=gap-broken]")
    assert texts(page, "#found") == ["2 of 69 findings"]
    page.click("#chips button")
    assert texts(page, "#found") == ["6 of 69 findings"]  # the status of the rule stays chosen


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


def test_a_huge_report_does_not_freeze(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "huge.html"
    path.write_text(render(samples.huge()), encoding="utf-8")
    page = chromium.page()
    page.look()
    assert page.open(path) < 10  # seconds; 0.6 on an idle computer
    assert page.evaluate("document.querySelectorAll('*').length") < 6_000
    took = page.evaluate(
        "(() => { const began = performance.now(); apply({ words: ['eu-west-2', '99'] }); apply({ words: [] });"
        "return performance.now() - began; })()"
    )
    assert took < 2_000  # milliseconds for two searches through 10,000 findings; 100 on an idle computer
    assert texts(page, "#found") == ["10,000 findings, 50 shown"]
    assert page.problems == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1_280, 400])
def test_the_page_fits_and_its_text_can_be_read(opened: Opener, width: int, *, dark: bool) -> None:
    page = opened(samples.telling())
    page.look(width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Contrast after WCAG 2.2, 1.4.3: 4.5 to 1, of all texts against the ground they stand on.
    poor = page.evaluate("""(() => {
      const parse = (text) => text.match(/[\\d.]+/g).map(Number);
      const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
          const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
          if (a > 0) return [r, g, b];
        }
        return [255, 255, 255];
      };
      const out = [];
      for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
        if (!own || !node.checkVisibility() || node.disabled || /SCRIPT|STYLE/.test(node.tagName)) continue;
        const a = light(parse(getComputedStyle(node).color).slice(0, 3));
        const b = light(ground(node));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) out.push([node.tagName, node.className, node.textContent.slice(0, 30), ratio]);
      }
      return out;
    })()""")
    assert poor == []
    assert page.screenshot().startswith(b"\x89PNG")


def test_on_paper_everything_unfolds(opened: Opener) -> None:
    sample = samples.telling()
    page = opened(sample)
    page.look(media="print")
    seen = (
        "addEventListener('beforeprint', () => { window.printed = [document.querySelectorAll('.finding').length, "
        "document.querySelectorAll('.rule details:not([open])').length]; })"
    )
    page.evaluate(seen)
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF-")
    assert page.evaluate("window.printed") == [len(sample.findings), 0]
    assert page.evaluate("document.querySelectorAll('.rule details[open]').length") == 0
    assert page.evaluate("getComputedStyle(document.getElementById('filters')).display") == "none"


def test_reports_without_chains_findings_or_length_are_shown(opened: Opener) -> None:
    quiet = samples.quiet()
    window = replace(quiet.request, end=quiet.request.start)
    gap = GapRecord(rule="gap-later", start=at(1), end=at(1.5), undigested_logs=1)
    odd = replace(samples.verdicts()[Verdict.UNPROVEN], chains=(chain(gaps=[]),))
    odd = replace(odd, chains=(replace(odd.chains[0], gaps=(gap,)),))
    later = replace(
        odd,
        findings=(
            replace(odd.findings[0], rule="gap-later", start=datetime.fromisoformat("2026-01-01T05:00Z"), end=None),
        ),
    )
    for sample in (samples.empty(), replace(samples.empty(), findings=()), replace(quiet, request=window), odd, later):
        page = opened(sample)
        assert page.evaluate("document.querySelector('h1').textContent")
    assert "This version does not know the rule" in texts(page, ".rule")[0]
