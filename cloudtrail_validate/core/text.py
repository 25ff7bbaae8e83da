"""Text that people read: hostile strings made harmless, numbers made legible.

Everything that a bucket, a key file or AWS wrote goes through `printable` once, where it leaves the tool as text.
"""

from __future__ import annotations

import re

# What a terminal obeys instead of showing, and what a reader cannot see: C0, DEL and C1 controls, the soft hyphen,
# bidirectional controls, zero-width and other default-ignorable characters, line and paragraph separators, lone
# surrogates, tag characters and non-characters. Source: Unicode 16, DerivedCoreProperties.txt
# (Default_Ignorable_Code_Point). Variation selectors stay out: emoji in keys are legitimate, and these reorder nothing.
_HOSTILE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff"
    "]"
)

_USERINFO = re.compile(r"(?<=://)[^/?#]*@")
_UNITS = ("kB", "MB", "GB", "TB", "PB")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def printable(s: str) -> str:
    r"""Return `s` with every character that a terminal obeys, or a reader cannot see, as an escape: `\x1b`, `\u202e`.

    Every other character is untouched, the backslash included, so the result is for eyes and not for decoding. Total,
    idempotent, one line; the result always encodes as UTF-8.
    """
    return _HOSTILE.sub(_escape, s)


def without_secrets(url: str) -> str:
    """Return a URL without user and password, and without its query: what may be kept and shown of it."""
    return _USERINFO.sub("", url).partition("?")[0]


def plural(number: int, noun: str, plural_form: str | None = None) -> str:
    """Return `1 log`, `1,204 logs`; `plural_form` where adding an s is not enough."""
    return f"{number:,} {noun if number == 1 else plural_form or noun + 's'}"


def duration(seconds: float) -> str:
    """Return a span of time in its two largest units: `45 s`, `2 h 30 min`, `31 d`. Negative spans count as none."""
    left = max(0, round(seconds))
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number:,} {unit}")
        if parts and (len(parts) == 2 or not left):
            break
    return " ".join(parts) or "0 s"


def share(part: float, whole: float) -> str:
    """Return `93.7%`, rounded down, so that 100% is said of nothing less; a dash where there is no whole."""
    if whole <= 0:
        return "–"
    tenths = 1_000 if part >= whole else int(1_000 * max(0.0, part) / whole)
    return f"{tenths // 10}.{tenths % 10}%" if tenths % 10 else f"{tenths // 10}%"


def size(number: float) -> str:
    """Return an amount of bytes in decimal units, as S3 consoles and disks give it: `512 B`, `1.5 GB`."""
    if number < 1_000:
        return f"{int(number)} B"
    for unit in _UNITS:
        number /= 1_000
        if number < 999.95 or unit == _UNITS[-1]:
            break
    return f"{number:,.1f} {unit}"


def brief(text: str) -> str:
    """Return the first line, without the debug dump that follows it."""
    line = text.split("\n", 1)[0].strip()
    return line if len(line) <= 300 else line[:299] + "…"
