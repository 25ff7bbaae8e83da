"""One event and its chain of proof as a page that is one sheet on paper, whatever the event holds. Pure.

On paper the event is set in two columns. What of it does not fit is on the screen, and the sheet says how much that is: how
many lines fit was measured in Chromium on A4 and on US Letter, whichever is the smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cloudtrail_validate.report.html.parts import facts, head, text
from cloudtrail_validate.report.wording import LIMITS
from cloudtrail_validate.search.event import read_event

_COLUMN: Final = 64  # characters of a column on paper, at 6.5 pt
_LINES: Final = 116  # of both columns, under a chain of proof without long keys
_WIDE: Final = 95  # characters of a line of the chain of proof
_STEPS: Final = 12  # lines of a chain of proof without long keys, which `_LINES` leaves room for
_LONGEST: Final = 160  # characters of a value among the facts; an event's names are shorter
_STYLE: Final = """
.event pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.8125rem; }
.event dd { overflow-wrap: anywhere; }
.paper { display: none; }
@page { margin: 11mm; }
@media print {
  .screen { display: none; }
  .paper { display: block; }
  .event section { margin: 1.5mm 0 0; }
  .event .facts { display: block; padding: 1mm 2mm; }
  .event h2 { margin: 0 0 0.5mm; font-size: 9pt; }
  .event dl, .event p { margin: 0; font-size: 7pt; line-height: 1.25; }
  .event .given dl { columns: 2; }
  .event dl > div { grid-template-columns: 16mm 1fr; padding: 0; break-inside: avoid; }
  .event pre { margin: 0; columns: 2; column-gap: 4mm; font-size: 6.5pt; line-height: 1.2; orphans: 1; widows: 1; }
  .verdict { padding: 1.5mm 3mm; }
  .verdict h1 { margin: 0; font-size: 13pt; }
  .verdict .kicker { margin: 0; }
}
"""


def page(event_id: str, raw: bytes, pretty: str, steps: Sequence[str], verdict: str, kind: str) -> str:
    """Return one self-contained HTML page to print. `kind` is the style of a validation's verdict that fits."""
    event = read_event(raw)
    who = event.who if event else None
    rows = (
        ("Event", event.name if event else ""),
        ("Time", event.time if event else ""),
        ("By", who.principal if who else ""),
        ("From", (event.address or "") if event else ""),
        ("Region", event.region if event else ""),
        ("Account", (event.account or "") if event else ""),
        ("Error", (event.error or "") if event else ""),
        ("Event id", event_id),
    )
    short = [(name, value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…") for name, value in rows]
    chain = "".join(f"<div><dt>{text(step[:13].strip())}</dt><dd>{text(step[13:])}</dd></div>\n" for step in steps)
    return (
        f"{head(f'CloudTrail event {text(event_id)}', _STYLE)}<body>\n"
        f'<header class="verdict {kind}">\n<p class="kicker">One CloudTrail event</p>\n<h1>{text(verdict)}</h1>\n</header>\n'
        f'<main class="event">\n<section class="facts given" aria-label="The event">\n<div><dl>{facts(short)}</dl></div>\n'
        "</section>\n"
        '<section aria-labelledby="chain">\n<h2 id="chain">The chain of proof</h2>\n<div class="facts">\n'
        f"<div><dl>{chain}</dl></div>\n</div>\n</section>\n"
        f'<section aria-labelledby="whole">\n<h2 id="whole">The whole event</h2>\n{_event(pretty, steps)}</section>\n'
        '<section class="limits" aria-labelledby="limits-title">\n<h2 id="limits-title">What this does not say</h2>\n'
        f"<p>{text(LIMITS)}</p>\n</section>\n</main>\n</body>\n</html>\n"
    )


def _event(pretty: str, steps: Iterable[str]) -> str:
    """The event's lines; where one sheet cannot hold them, a shorter form of them for paper."""
    lines = [text(line) for line in pretty.splitlines()]
    whole = "\n".join(lines)
    longer = max(0, sum(_rows(step, _WIDE) for step in steps) - _STEPS)
    fits = _fitting(pretty.splitlines(), _LINES - 3 * longer)  # a line of the chain is higher, and as wide as two
    if fits >= len(lines):
        return f"<pre>{whole}</pre>\n"
    left = f"{len(lines) - fits:,} of {len(lines):,} lines are not on this sheet: they are on the page, on a screen"
    return (
        f'<pre class="screen">{whole}</pre>\n<div class="paper" aria-hidden="true">\n'
        f"<pre>{chr(10).join(lines[:fits])}</pre>\n<p>… {left}, and in --format json.</p>\n</div>\n"
    )


def _fitting(lines: Iterable[str], room: int) -> int:
    """How many lines fit into that many rows of a column."""
    used = number = 0
    for number, line in enumerate(lines):
        used += _rows(line, _COLUMN)
        if used > room:
            return number
    return number + 1


def _rows(line: str, width: int) -> int:
    """Rows of that many characters that a line takes, at most: others than ASCII may be twice as wide, or escaped."""
    wide = sum(1 if " " <= character <= "~" else 8 for character in line[: width * _LINES])
    return 1 + (wide - 1) // width if wide else 1
