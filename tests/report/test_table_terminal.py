"""The table on any terminal: nothing hostile reaches it, no line is too wide, and signs fit the encoding."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from cloudtrail_validate.core import rules
from cloudtrail_validate.report import (
    CountsRecord,
    PublicKeyRecord,
    Report,
    RequestEcho,
    Run,
    Tool,
    Verdict,
)
from cloudtrail_validate.report.page import Page
from cloudtrail_validate.report.table import FEW, render
from tests.report.samples import ACCOUNT, START, log_key
from tests.report.table_page import DAY, EVERY_RULE, chain, make, of_text, record, shown

EVIL = "\x1b]0;x\x07\x1b[2J[red]x[/red][link=x]\u202e\u2028\r\n\x9b31m\udc80"


def hostile(evil: str) -> Report:
    findings = [
        record(rule, key=f"{evil}/{evil}", bucket=evil, account=evil, region=evil, expected=evil * 9, actual=evil)
        for rule in rules.RULES
    ]
    request = RequestEcho(trail_arn=evil, start=START, end=DAY, source=evil, regions=(evil,), accounts=(evil,))
    run = Run(started=DAY, finished=DAY, caller_arn=evil)
    return make(
        Verdict.CHANGED,
        chains=[chain(evil, account=evil, trail=evil, organization_id=evil), chain(trail="x", gaps=[(1, 2)])],
        findings=findings,
        request=request,
        run=run,
        tool=Tool(name=evil, version=evil),
        public_keys=(PublicKeyRecord(fingerprint=evil, region=evil, source=evil),),
    )


@pytest.mark.parametrize("verbose", [False, True])
def test_nothing_from_a_report_reaches_a_terminal_raw(verbose: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system="truecolor", legacy_windows=False)
    render(hostile(EVIL), console, show=None if verbose else FEW)
    page = stream.getvalue()
    without_style = re.sub(r"\x1b\[[0-9;]*m", "", page)
    assert "\x1b[" in page  # there is style, so this test looks at the terminal's way
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", without_style)
    assert "[red]x[/red][link=x]" in without_style


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize(
    "report",
    [
        make(Verdict.CHANGED, chains=[chain(gaps=[(1, 2)], logs=CountsRecord(altered=10**7))], findings=EVERY_RULE),
        hostile(EVIL),
        hostile("日本語🙂" * 30),
        hostile("a" * 5_000),
    ],
    ids=["every rule", "control", "wide", "long"],
)
def test_no_line_is_wider_than_the_console(report: Report, width: int) -> None:
    assert max(map(cell_len, of_text(shown(report, width=width)))) <= width


def test_no_color_keeps_words_and_signs() -> None:
    stream = io.StringIO()
    render(
        make(Verdict.CHANGED, findings=EVERY_RULE), Console(file=stream, width=80, force_terminal=True, no_color=True)
    )
    page = stream.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", page)
    assert "✗ CHANGED" in re.sub(r"\x1b\[[0-9;]*m", "", page)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_without_utf8_gets_ascii_signs_and_escapes(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    findings = [record(rules.LOG_MISSING, key=f"日本/{'x' * 100}/日.json.gz") for _ in range(9)]
    report = make(Verdict.CHANGED, chains=[chain("us-east-1", gaps=[(0, 12)], until=23)], findings=findings)
    render(report, Console(file=stream, width=80))
    stream.flush()
    page = raw.getvalue().decode(encoding)
    assert page.isascii()
    assert page.startswith("x CHANGED")
    assert re.search(r"us-east-1 +\.+=+~+ ", page)
    assert ".../\\u65e5.json.gz" in page or "/\\u65e5.json.gz" in page
    assert "... and 6 more" in page
    assert max(map(len, of_text(page))) <= 80


@given(st.text(st.characters(codec=None), max_size=200), st.integers(4, 100), st.booleans())
def test_shorten_keeps_to_its_width_and_keeps_both_ends(text: str, width: int, key: bool) -> None:
    page = Page(Console(file=io.StringIO(), width=80))
    short = page.shorten(text, width, key=key)
    assert cell_len(short) <= width
    if cell_len(page.safe(text)) <= width:
        assert short == page.safe(text)
    else:
        assert "…" in short or key
        assert page.safe(text).endswith(short[-1:]) or short.endswith("…")


def test_of_a_key_the_file_name_survives() -> None:
    page = Page(Console(file=io.StringIO(), width=80))
    name = log_key().rpartition("/")[2]
    assert page.shorten(log_key(), 76, key=True).endswith(f"…/{name}")
    assert page.shorten(log_key(), 90, key=True) == f"AWSLogs/1111222…/{name}"
    digest = (
        f"AWSLogs/{ACCOUNT}/{ACCOUNT}_CloudTrail-Digest_us-east-1_management-events_us-east-1_20260101T100000Z.json.gz"
    )
    short = page.shorten(digest, 76, key=True)
    assert short.startswith(f"{ACCOUNT}_CloudTrail-Digest_us-east-1")
    assert short.endswith("_20260101T100000Z.json.gz")


@settings(max_examples=30)
@given(st.text(st.characters(codec=None), max_size=30), st.integers(30, 120))
def test_render_is_total_on_hostile_reports(evil: str, width: int) -> None:
    assert max(map(cell_len, of_text(shown(hostile(evil), width=width)))) <= width
