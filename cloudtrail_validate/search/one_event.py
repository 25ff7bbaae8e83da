"""One event: the log that holds it, and the chain of proof for that log, of the very bytes that hold the event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.evidence.prove_file import FileProof, prove_file
from cloudtrail_validate.report.html.parts import facts, head, text
from cloudtrail_validate.report.wording import LIMITS
from cloudtrail_validate.request import Request
from cloudtrail_validate.search.event import read_event
from cloudtrail_validate.search.hits import Hit
from cloudtrail_validate.search.query import Matcher, Query
from cloudtrail_validate.search.scanner import Scanner, Searched

_STYLE = """
.event pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.8125rem; }
@media print { .event pre, .event dl { font-size: 0.625rem; line-height: 1.3; } .event section { margin: 0.5rem 0; } }
"""


class _Reading:
    """Makes inflaters that look for one event, and remembers what the last of them found."""

    def __init__(self, event_id: str) -> None:
        self._matcher = Matcher(Query(event_ids=(event_id,)))
        self.raw: bytes | None = None

    def make(self, *, accept_plain: bool) -> Inflater:
        self.raw = None
        return _Looking(self, self._matcher, accept_plain=accept_plain)


class _Looking(Scanner):
    """Hands what it found to who made it."""

    __slots__ = ("_reading",)

    def __init__(self, reading: _Reading, matcher: Matcher, *, accept_plain: bool) -> None:
        super().__init__(matcher, accept_plain=accept_plain)
        self._reading = reading

    def finish(self) -> Searched:
        content = super().finish()
        for found in content.found:
            self._reading.raw = found.raw
        return content


def best(hits: Sequence[Hit]) -> Hit:
    """Return the hit to prove: of several logs that hold an event, one that is proven."""
    return min(hits, key=lambda hit: not hit.proof.proven)


def prove_event(request: Request, event_id: str, hit: Hit, now: datetime) -> tuple[FileProof, bytes]:
    """Prove the log of a hit, and return the event as the bytes that were proven hold it. Raises as `prove_file`.

    Empty bytes: the log has changed since it was searched, and holds the event no more.
    """
    bucket = "" if request.source is not None else hit.proof.bucket
    reading = _Reading(event_id)
    proof = prove_file(request, Locator(bucket, hit.proof.log), now=now, make=reading.make)
    return proof, reading.raw or b""


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
    chain = "".join(f"<div><dt>{text(step[:13].strip())}</dt><dd>{text(step[13:])}</dd></div>\n" for step in steps)
    return (
        f"{head(f'CloudTrail event {text(event_id)}', _STYLE)}<body>\n"
        f'<header class="verdict {kind}">\n<p class="kicker">One CloudTrail event</p>\n<h1>{text(verdict)}</h1>\n</header>\n'
        f'<main class="event">\n<section class="facts" aria-label="The event">\n<div><dl>{facts(rows)}</dl></div>\n'
        "</section>\n"
        '<section aria-labelledby="chain">\n<h2 id="chain">The chain of proof</h2>\n<div class="facts">\n'
        f"<div><dl>{chain}</dl></div>\n</div>\n</section>\n"
        '<section aria-labelledby="whole">\n<h2 id="whole">The whole event</h2>\n'
        f"<pre>{_text_lines(pretty)}</pre>\n</section>\n"
        '<section class="limits" aria-labelledby="limits-title">\n<h2 id="limits-title">What this does not say</h2>\n'
        f"<p>{text(LIMITS)}</p>\n</section>\n</main>\n</body>\n</html>\n"
    )


def _text_lines(lines: str) -> str:
    """Lines, escaped one by one."""
    return "\n".join(text(line) for line in lines.splitlines())
