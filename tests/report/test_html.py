"""The HTML report as a document: what it says without its script, and that nothing in it comes from elsewhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import printable, share
from cloudtrail_validate.report import PublicKeyRecord, Report, Verdict
from cloudtrail_validate.report.examination import ExaminationError, read_examination
from cloudtrail_validate.report.html import MOST_FINDINGS, embedded, render
from cloudtrail_validate.report.html.charts import MOST_ACCOUNTS
from cloudtrail_validate.report.wording import LIMITS
from tests.report import samples
from tests.report.samples import ACCOUNT, HOSTILE_KEYS, SECOND, at, chain, finding, log_key, report


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
