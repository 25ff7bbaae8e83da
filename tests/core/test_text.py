from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.text import duration, plural, printable, size

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
# Judged by the Unicode database of the interpreter, not by the pattern under test. BN is "boundary neutral": controls
# and invisible format characters.
OBEYED = {"BN", "B", "S", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
HIDDEN = {"Cc", "Cs", "Zl", "Zp"}


def dangerous(character: str) -> bool:
    return unicodedata.category(character) in HIDDEN or unicodedata.bidirectional(character) in OBEYED


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\x00b\rc\nd\te\x7f", "a\\x00b\\x0dc\\x0ad\\x09e\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("gpj\u202eexe", "gpj\\u202eexe"),
        ("\u2066x\u2069\u061c", "\\u2066x\\u2069\\u061c"),
        ("us\u200b-east\ufeff", "us\\u200b-east\\ufeff"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("bad\udc80byte", "bad\\udc80byte"),
        ("tag\U000e0041", "tag\\U000e0041"),
    ],
)
def test_what_a_terminal_obeys_is_shown_as_an_escape(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@pytest.mark.parametrize(
    "text", ["", "logs+1 %2F/ä/日本語/🙂❤️.json.gz", "[red]not markup[/red]", "back\\slash", "a\u00a0b"]
)
def test_everything_else_is_untouched(text: str) -> None:
    assert printable(text) == text


def test_no_code_point_that_unicode_calls_control_or_boundary_neutral_passes() -> None:
    passed = [
        hex(code) for code in range(sys.maxunicode + 1) if dangerous(chr(code)) and printable(chr(code)) == chr(code)
    ]
    assert passed == []


def test_no_letter_digit_punctuation_or_visible_symbol_is_escaped() -> None:
    fillers = {0x115F, 0x1160, 0x3164, 0xFFA0}  # letters by category, but blank on screen
    escaped = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code))[0] in "LNPS" and printable(chr(code)) != chr(code) and code not in fillers
    ]
    assert escaped == []


@given(ANY_TEXT)
def test_printable_is_total_idempotent_and_encodable(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert shown.splitlines() in ([], [shown])
    assert not any(map(dangerous, shown))
    shown.encode("utf-8")


@given(ANY_TEXT, ANY_TEXT)
def test_printable_works_character_by_character(left: str, right: str) -> None:
    assert printable(left + right) == printable(left) + printable(right)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.4, "0 s"),
        (45, "45 s"),
        (90, "1 min 30 s"),
        (3_600, "1 h"),
        (3_601, "1 h 1 s"),
        (9_000, "2 h 30 min"),
        (86_400 * 31, "31 d"),
        (86_400 + 3_600 + 60, "1 d 1 h"),
        (86_400 * 1_000 + 7_200, "1,000 d 2 h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_536_000_000, "1.5 GB"),
        (5e18, "5,000.0 PB"),
    ],
)
def test_size(number: float, shown: str) -> None:
    assert size(number) == shown


def test_plural() -> None:
    assert plural(1, "log") == "1 log"
    assert plural(0, "log") == "0 logs"
    assert plural(1_204, "log") == "1,204 logs"
    assert plural(2, "entry", "entries") == "2 entries"
