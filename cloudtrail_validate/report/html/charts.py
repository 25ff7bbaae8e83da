"""Charts as inline SVG: coverage of each account over time, and the incidents on the same axis with what explains them.

A strip is stretched to the width there is, so it holds shapes only; names and numbers stand beside it as text. Nothing is
said by colour or shape alone: each strip has its sentence for those who do not see it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

from cloudtrail_validate.core.model import Interval, Kind
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import duration, plural, printable, share
from cloudtrail_validate.report import ChainRecord, EventRecord, Report
from cloudtrail_validate.report.due import chain_due
from cloudtrail_validate.report.html.heat import Axis
from cloudtrail_validate.report.html.parts import minute, text
from cloudtrail_validate.report.incidents import Incident
from cloudtrail_validate.report.wording import span

MOST_ACCOUNTS: Final = 30  # worst covered first; the others share one strip
ON_PAGE_ONE: Final = 12  # accounts whose strips have room on the first printed page, below the summary
MOST_INCIDENTS: Final = 30  # on the timeline; all of them are told below
_HEIGHT: Final = 20  # of a strip, in its own units
_WIDTH: Final = 1_000
_NARROWEST: Final = 4  # units of a bar on the timeline: what lasted a minute is still seen
_Shares = tuple[float, float]


def coverage_chart(report: Report) -> str:
    """A strip for each account: how much of its chains proven digests cover, slice by slice of the window."""
    chains: defaultdict[str, list[ChainRecord]] = defaultdict(list)
    for chain in report.chains:
        if chain.kind is Kind.STANDARD:
            chains[chain.account].append(chain)
    if not chains:
        return ""
    axis = Axis.of(report.request.start, report.request.end)
    lanes = [(_portion(held, report), account, held) for account, held in chains.items()]
    lanes.sort(key=lambda lane: (lane[0][0] / lane[0][1] if lane[0][1] else 1.0, lane[1]))
    shown, rest = lanes[:MOST_ACCOUNTS], lanes[MOST_ACCOUNTS:]
    if len(rest) == 1:
        shown, rest = lanes, []
    rows = "".join(_lane(account, held, axis, portion) for portion, account, held in shown)
    if rest:
        together = [chain for _, _, held in rest for chain in held]
        rows += _lane(plural(len(rest), "other account"), together, axis, _portion(together, report))
    return (
        f'<section class="{"first" if len(lanes) <= ON_PAGE_ONE else "later"}" aria-labelledby="coverage-title">\n'
        '<h2 id="coverage-title">Coverage of each account over time</h2>\n'
        f'<div class="lanes">{_scale(axis.window)}{rows}</div>\n'
        '<p class="legend"><span><i class="c"></i>share of its regions that proven digests cover</span>'
        '<span><i class="g"></i>in a gap</span><span><i class="n"></i>no digest due yet</span></p>\n</section>\n'
    )


def _portion(chains: Sequence[ChainRecord], report: Report) -> tuple[int, int]:
    """Seconds covered and due, of all chains together."""
    window = Interval(report.request.start, report.request.end)
    covered = sum(Interval(*one).within(window).seconds for chain in chains for one in chain.covered)
    due = sum(Interval(window.start, chain_due(chain, window, report.run.started)).seconds for chain in chains)
    return min(covered, due), due


def _scale(window: Interval) -> str:
    middle = window.start + (window.end - window.start) / 2
    ends = "".join(f"<span>{minute(moment)}</span>" for moment in (window.start, middle, window.end))
    return f'<div class="lane scale"><div class="lane-name">UTC</div><div class="ends">{ends}</div><div></div></div>\n'


def _lane(name: str, chains: Sequence[ChainRecord], axis: Axis, portion: tuple[int, int]) -> str:
    shares = _shares(chains, axis)
    shapes, column = "", 0
    for (covered, gap), run in groupby(shares):
        width = len(list(run))
        top = _HEIGHT * (1 - covered)
        shapes += _rect("n", column, 0, width, _HEIGHT) if covered + gap < 0.9995 else ""
        shapes += _rect("c", column, top, width, _HEIGHT - top) if covered else ""
        shapes += _rect("g", column, 0, width, _HEIGHT * gap) if gap else ""
        column += width
    told = f"{name}: {share(*portion)} of what is due is covered{_lowest(shares, axis)}"
    svg = (
        f'<svg class="strip-chart" role="img" aria-label="{text(told)}" viewBox="0 0 {axis.columns} {_HEIGHT}" '
        f'preserveAspectRatio="none">{shapes}</svg>'
    )
    return _row(text(name), svg, share(*portion))


def _shares(chains: Sequence[ChainRecord], axis: Axis) -> list[_Shares]:
    """Of each column, the parts of all chains' seconds that are covered and that are in gaps."""
    covered, gaps = [0] * axis.columns, [0] * axis.columns
    for chain in chains:
        for column, seconds in enumerate(axis.seconds(chain.covered)):
            covered[column] += seconds
        for column, seconds in enumerate(axis.seconds([(gap.start, gap.end) for gap in chain.gaps])):
            gaps[column] += seconds
    out = []
    for column in range(axis.columns):
        whole = max(1, axis.cell(column).seconds * len(chains))
        lost = min(1.0, gaps[column] / whole)
        out.append((round(min(1.0 - lost, covered[column] / whole), 3), round(lost, 3)))
    return out


def _lowest(shares: Sequence[_Shares], axis: Axis) -> str:
    least = min(range(len(shares)), key=lambda column: -shares[column][1])
    return f", least of it {span(axis.cell(least))} UTC" if shares[least][1] else ""


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:.5g}" width="{width:g}" height="{height:.5g}"/>'


def events_of(incident: Incident, report: Report) -> list[EventRecord]:
    """The events that may explain an incident, each once, as they happened."""
    known = {event.event_id: event for number in incident.members for event in report.findings[number].explanations}
    return sorted(known.values(), key=lambda event: (event.time, event.event_id))


def timeline(incidents: Sequence[Incident], report: Report) -> str:
    """The incidents as bars over the window, with the moments of the events that may explain them."""
    dated = [(number, one, one.when) for number, one in enumerate(incidents, 1) if one.when is not None]
    dated = dated[:MOST_INCIDENTS]
    if not dated:
        return ""
    window = Interval(report.request.start, report.request.end)
    rows = "".join(_bar(number, one, when, report, window) for number, one, when in dated)
    left = len(incidents) - len(dated)
    more = f'<p class="muted">{plural(left, "more incident")} below.</p>\n' if left else ""
    return (
        f'<div class="lanes timeline">{_scale(window)}{rows}</div>\n'
        '<p class="legend"><span><i class="spell altered"></i>altered, missing or extra</span>'
        '<span><i class="spell unverifiable"></i>not proven</span><span><i class="spell notice"></i>notice</span>'
        f'<span><i class="event"></i>an event that may explain it</span></p>\n{more}'
    )


def _bar(number: int, incident: Incident, when: Interval, report: Report, window: Interval) -> str:
    lead = report.findings[incident.lead]
    title = RULES[lead.rule].title if lead.rule in RULES else printable(lead.rule)
    start, end = (_place(moment, window) for moment in when)
    width = max(_NARROWEST, end - start)
    shapes = _rect(f"spell {incident.status}", min(start, _WIDTH - width), 4, width, 12)
    events = events_of(incident, report)
    for event in events:
        x = min(max(_place(event.time, window), 1), _WIDTH - 2)
        shapes += f'<rect class="event" x="{x:g}" y="0" width="2" height="{_HEIGHT}"/>'
    told = f"{title}, {incident.status}: {span(when)} UTC ({duration(when.seconds)})"
    told += f", {plural(len(events), 'event')} beside it" if events else ""
    svg = (
        f'<svg class="strip-chart" role="img" aria-label="{text(told)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'preserveAspectRatio="none"><rect class="ground" x="0" y="9.5" width="{_WIDTH}" height="1"/>{shapes}</svg>'
    )
    return _row(f'<a href="#incident-{number}">{text(title)}</a>', svg, f"{len(incident.members):,}")


def _row(name: str, svg: str, number: str) -> str:
    return f'<div class="lane"><div class="lane-name">{name}</div>{svg}<div class="share">{number}</div></div>\n'


def _place(moment: datetime, window: Interval) -> float:
    """Where on the axis a moment lies; what is outside of the window lies at its edge."""
    whole = (window.end - window.start).total_seconds()
    return round(min(1.0, max(0.0, (moment - window.start).total_seconds() / whole)) * _WIDTH, 1)
