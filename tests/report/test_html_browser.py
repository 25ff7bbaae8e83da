"""The HTML report in a real browser: on a screen, a phone and paper, hostile, huge and odd."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import GapRecord, Report, Verdict
from cloudtrail_validate.report.html import render
from cloudtrail_validate.report.wording import explanations
from tests.report import samples
from tests.report.browser import Browser, Opener, texts
from tests.report.samples import HOSTILE_KEYS, at, chain


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
