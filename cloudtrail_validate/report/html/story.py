"""The incidents in words: what happened, where and when, samples, the events that may explain it, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import duration, plural, printable
from cloudtrail_validate.report import EventRecord, Report
from cloudtrail_validate.report.html.charts import events_of, timeline
from cloudtrail_validate.report.html.parts import badge, table, text
from cloudtrail_validate.report.incidents import Incident
from cloudtrail_validate.report.steps import Advisor
from cloudtrail_validate.report.wording import span

MOST_INCIDENTS: Final = 50  # told; the findings of the others are in the list
MOST_BRIEF: Final = 5  # in the summary
MOST_PLACES: Final = 10
MOST_SAMPLES: Final = 3
MOST_EVENTS: Final = 10


def brief(incidents: Sequence[Incident], report: Report) -> str:
    """The first incidents, a line each, for the summary."""
    if not incidents:
        return ""
    rows = [
        (
            badge(one.status),
            f'<a href="#incident-{number}">{text(_title(one, report))}</a>',
            text(_when(one)),
            _where(one),
        )
        for number, one in enumerate(incidents[:MOST_BRIEF], 1)
    ]
    left = len(incidents) - len(rows)
    more = f'<p class="muted">{plural(left, "more incident")} below.</p>\n' if left > 0 else ""
    heads = ("Status", "What happened", "When, UTC", "Where")
    return f"<h2>Incidents</h2>\n{table(heads, rows, kind='incidents')}{more}"


def story(incidents: Sequence[Incident], report: Report) -> str:
    """The section: the timeline, then each incident."""
    if not incidents:
        return ""
    advisor = Advisor(report)
    told = "".join(_incident(n, one, report, advisor) for n, one in enumerate(incidents[:MOST_INCIDENTS], 1))
    left = len(incidents) - MOST_INCIDENTS
    more = (
        f'<p class="muted">{plural(left, "more incident")}: their findings are listed below.</p>\n' if left > 0 else ""
    )
    return (
        '<section aria-labelledby="incidents-title">\n<h2 id="incidents-title">What happened, in order of weight</h2>\n'
        f"{timeline(incidents, report)}{told}{more}</section>\n"
    )


def _title(incident: Incident, report: Report) -> str:
    rule = report.findings[incident.lead].rule
    return RULES[rule].title if rule in RULES else printable(rule)


def _when(incident: Incident) -> str:
    if incident.when is None:
        return "not known"
    return f"{span(incident.when)} ({duration(incident.when.seconds)})"


def _where(incident: Incident) -> str:
    ((account, region), _), *others = incident.places
    if not others:
        return text(" ".join(part for part in (account, region) if part) or "not known")
    accounts, regions = {place[0] for place, _ in incident.places}, {place[1] for place, _ in incident.places}
    return f"{plural(len(accounts), 'account')}, {plural(len(regions), 'region')}"


def _incident(number: int, incident: Incident, report: Report, advisor: Advisor) -> str:
    members = [report.findings[place] for place in incident.members]
    lead = report.findings[incident.lead]
    rules = Counter(finding.rule for finding in members)
    counts = ", ".join(f"{amount:,} {rule}" for rule, amount in rules.items())
    means = f"<p>{text(RULES[lead.rule].means)}</p>\n" if lead.rule in RULES else ""
    steps = advisor.steps(lead, incident.when, places=len(incident.places))
    return (
        f'<article class="incident {incident.status}" id="incident-{number}">\n'
        f"<h3>{badge(incident.status)} {text(_title(incident, report))}</h3>\n"
        f'<p class="place"><span>{text(_when(incident))} UTC</span><span>{_where(incident)}</span>'
        f"<span>{text(counts)}</span></p>\n{means}"
        f"{_places(incident)}{_samples(incident, report)}{_events(events_of(incident, report))}"
        f"{_next([(step.text, step.command) for step in steps] if incident.status is not Status.NOTICE else [])}</article>\n"
    )


def _places(incident: Incident) -> str:
    """Numbers of findings by account and region, where there are several."""
    if len(incident.places) < 2:
        return ""
    rows = [
        (text(account or "not known"), text(region or "not known"), f"{number:,}")
        for (account, region), number in incident.places[:MOST_PLACES]
    ]
    left = incident.places[MOST_PLACES:]
    more = f'<p class="muted">{sum(n for _, n in left):,} in {plural(len(left), "more place")}.</p>\n' if left else ""
    return table(("Account", "Region", "Findings"), rows, kind="places") + more


def _samples(incident: Incident, report: Report) -> str:
    keys = [finding.key for place in incident.members if (finding := report.findings[place]).key is not None]
    if not keys:
        return ""
    shown = "".join(f'<li class="key">{text(key)}</li>\n' for key in keys[:MOST_SAMPLES])
    left = len(keys) - MOST_SAMPLES
    more = f"<li>and {plural(left, 'more object')}, listed below</li>\n" if left > 0 else ""
    return f"<ul>{shown}{more}</ul>\n"


def _events(events: Sequence[EventRecord]) -> str:
    if not events:
        return ""
    lines = ""
    for event in events[:MOST_EVENTS]:
        outcome = f" ({event.error_code})" if event.error_code else ""
        who = f"by {event.principal or 'unknown'} from {event.source_ip or 'unknown'}"
        lines += f"<li>{text(f'{isoformat(event.time)} {event.event_name}{outcome} {who}')}</li>\n"
    left = len(events) - MOST_EVENTS
    more = f"<li>and {plural(left, 'more event')}</li>\n" if left > 0 else ""
    return f'<div class="explained">Events that may explain it:<ul>{lines}{more}</ul></div>\n'


def _next(steps: Sequence[tuple[str, str | None]]) -> str:
    if not steps:
        return ""
    lines = ""
    for said, command in steps:
        line = f"<pre><code>{text(command)}</code></pre>" if command else ""
        lines += f"<li>{text(said)}{':' if command else ''}{line}</li>\n"
    return f'<div class="next">Next:<ol>{lines}</ol></div>\n'
