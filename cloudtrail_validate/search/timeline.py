"""Hits as one HTML file for people: how many when, then each of them with its proof. It has no script and loads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from cloudtrail_validate.core.digest import parse_time
from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.report import Report, Verdict
from cloudtrail_validate.report.html.parts import facts, head, text
from cloudtrail_validate.report.wording import LIMITS, sentence
from cloudtrail_validate.search.hits import Hit
from cloudtrail_validate.search.outcome import Outcome, numbers

MOST_HITS: Final = 5_000  # in the document, the earliest first: about 5 MB; the other formats hold them all
_BARS: Final = 60
_AROUND: Final = timedelta(days=1)  # events are delivered within minutes, late ones hours later
_LONGEST: Final = 400  # characters of anything that an event says
_WORDS: Final = {
    Verdict.VALID: "Events of proven logs",
    Verdict.CHANGED: "Events beside evidence of change",
    Verdict.UNPROVEN: "Events of logs, not all of them proven",
    Verdict.EMPTY: "Events of logs that nobody vouches for",
}
_STYLE: Final = """
.events td { vertical-align: top; overflow-wrap: anywhere; }
@media (min-width: 45rem) {
  .events { table-layout: fixed; }
  .events th:nth-child(1) { width: 11.5rem; }
  .events th:nth-child(4) { width: 32%; }
}
.events p { margin: 0.125rem 0; }
.bars { display: block; width: 100%; height: 7rem; }
.bars .proven { fill: var(--green); }
.bars .unproven { fill: var(--red); }
@media print { .events tr { break-inside: avoid; } }
"""


def render(hits: Iterable[Hit], outcome: Outcome, report: Report) -> Iterator[str]:
    """Yield one self-contained HTML document, piece by piece. `hits` are iterated twice."""
    title = _WORDS[report.verdict]
    rows = (
        ("Found", numbers(outcome)),
        ("Window", f"{isoformat(report.request.start)} to {isoformat(report.request.end)}, of delivery"),
        ("Source", report.request.source),
        ("Trail", report.request.trail_arn or "any found in the source"),
        ("Verdict", f"{sentence(report)} (exit code {report.exit_code})"),
        ("Not searched", f"{plural(len(outcome.unsearched), 'log')}, or not whole" if outcome.unsearched else ""),
    )
    yield (
        f"{head(title, _STYLE)}<body>\n"
        f'<header class="verdict {report.verdict}">\n<p class="kicker">CloudTrail events</p>\n<h1>{title}</h1>\n'
        f"<p>{text(numbers(outcome))}.</p>\n</header>\n<main>\n"
        f'<section class="facts" aria-label="What was searched">\n<div><dl>{facts(rows)}</dl></div>\n</section>\n'
    )
    yield _chart(hits, report)
    yield '<section aria-labelledby="events-title">\n<h2 id="events-title">Events</h2>\n<table class="events folds">'
    yield "<thead><tr>" + "".join(f'<th scope="col">{name}</th>' for name in _HEADS) + "</tr></thead>\n<tbody>\n"
    for number, hit in enumerate(hits):
        if number == MOST_HITS:
            break
        yield _row(hit)
    yield "</tbody></table>\n"
    if outcome.hits > MOST_HITS:
        yield f"<p>The first {MOST_HITS:,} of {outcome.hits:,} are shown; JSON lines and CSV hold them all.</p>\n"
    yield '</section>\n<section class="limits" aria-labelledby="limits-title">\n'
    yield '<h2 id="limits-title">What this does not say</h2>\n'
    yield f"<p>{text(LIMITS)}</p>\n</section>\n</main>\n<footer>{text(report.tool.name)} {text(report.tool.version)} · "
    yield f"finished {text(isoformat(report.run.finished))}</footer>\n</body>\n</html>\n"


_HEADS: Final = ("Time", "Event", "By", "Proof")


def _row(hit: Hit) -> str:
    event = hit.event
    error = f' <span class="badge altered">{_cut(event.error)}</span>' if event.error else ""
    answers = [*hit.uses, *(f"{match.title}, {match.level}, by {match.author}, {match.id}" for match in hit.sigma)]
    also = "".join(f"<p>{_cut(answer)}</p>" for answer in answers)
    where = " ".join(part for part in (event.region, event.account or "") if part)
    if hit.proof.proven:
        proof = f'<span class="badge ok">proven</span><p><code>{text(hit.proof.digest)}</code></p>'
    else:
        proof = (
            f'<span class="badge altered">unproven</span> {text(hit.proof.rule)}'
            f"<p><code>{text(hit.proof.log)}</code></p>"
        )
    about = f"<strong>{_cut(event.name)}</strong>{error}<p>{_cut(event.source)} {_cut(where)}</p>{also}"
    cells = (
        _cut(event.time),
        f'{about}<p class="muted">{_cut(event.id)}</p>',
        f"{_cut(event.who.principal)}<p>{_cut(event.address)}</p>",
        proof,
    )
    body = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(_HEADS, cells, strict=True))
    return f"<tr>{body}</tr>\n"


def _cut(value: str | None) -> str:
    return text(value if len(value) <= _LONGEST else value[:_LONGEST] + "…") if value else ""


def _chart(hits: Iterable[Hit], report: Report) -> str:
    """How many events when, proven and not, as bars of equal spans; empty where there are none in the window's days.

    What claims another time, as a forged event may, is in the table only.
    """
    counts: Counter[tuple[int, bool]] = Counter()
    for hit in hits:
        moment = parse_time(hit.event.time)
        if moment is not None and report.request.start - _AROUND <= moment <= report.request.end + _AROUND:
            counts[int(moment.timestamp()) // 60, hit.proof.proven] += 1
    if not counts:
        return ""
    first, last = min(minute for minute, _ in counts), max(minute for minute, _ in counts)
    width = max(1, -(-(last - first + 1) // _BARS))  # minutes a bar
    bars: Counter[tuple[int, bool]] = Counter()
    for (minute, proven), number in counts.items():
        bars[(minute - first) // width, proven] += number
    tallest = max(bars[place, True] + bars[place, False] for place in range(_BARS))
    drawn = []
    for place in range(_BARS):
        low = 0.0
        for proven in (True, False):
            height = 100 * bars[place, proven] / tallest
            if height:
                kind = "proven" if proven else "unproven"
                drawn.append(
                    f'<rect class="{kind}" x="{place * 10}" y="{100 - low - height:.2f}" width="8" height="{height:.2f}"/>'
                )
            low += height
    begin, end = (isoformat(datetime.fromtimestamp(minute * 60, UTC)) for minute in (first, last))
    label = f"Events from {begin} to {end}, at most {tallest:,} in {plural(width, 'minute')}"
    return (
        f'<figure><svg class="bars" viewBox="0 0 {_BARS * 10} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(drawn)}</svg>\n<figcaption>{label}.</figcaption></figure>\n'
    )
