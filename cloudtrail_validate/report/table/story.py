"""The incidents, one after the other: what happened, where, when, samples, what explains it, what to do next."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from cloudtrail_validate.core.model import Cause, Status, isoformat
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import duration, plural
from cloudtrail_validate.core.versions import Changes, Versions
from cloudtrail_validate.report.incidents import Incident, group
from cloudtrail_validate.report.page import Page
from cloudtrail_validate.report.steps import Advisor
from cloudtrail_validate.report.wording import changed_events, history, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloudtrail_validate.report import FindingRecord, Report

MOST_INCIDENTS: Final = 12  # told in full; the rest is a line each
MOST_LINES: Final = 40  # incidents that have a line at all
MOST_PLACES: Final = 5  # accounts and regions of an incident with a line of their own
MOST_EVENTS: Final = 4  # that may explain an incident
MOST_REASONS: Final = 2  # of one cause why things could not be read
MOST_STEPS: Final = 2  # things to do next about an incident
STYLES: Final = {
    Status.ALTERED: "red",
    Status.MISSING: "red",
    Status.EXTRA: "red",
    Status.UNVERIFIABLE: "yellow",
    Status.UNCOVERED: "yellow",
    Status.NOTICE: "cyan",
}
_SIGNS: Final = {"removed": ("- ", "red"), "changed": ("~ ", "yellow"), "added": ("+ ", "green"), "": ("  ", "dim")}


def story(
    page: Page,
    report: Report,
    numbers: Counter[tuple[str, Status]],
    *,
    show: int | None,
    exact: bool,
    kept: str | None,
) -> None:
    """The section. `numbers` are those of all findings, `exact` unless some of them were not kept."""
    incidents = group(report)
    if not numbers and not incidents:
        return
    buckets = {finding.bucket for finding in report.findings if finding.bucket}
    total = max(sum(numbers.values()), len(report.findings))
    page.line()
    where = f" in s3://{next(iter(buckets))}/" if len(buckets) == 1 else ""
    of = f"  {'' if exact else 'at least '}{plural(total, 'finding')}, {plural(len(incidents), 'incident')}"
    page.line(("Findings", "bold"), (page.shorten(of + where, page.width - 8), "dim"))
    teller = _Teller(page, report, show=show, kept=kept, name_buckets=len(buckets) > 1)
    full = len(incidents) if show is None or len(incidents) <= MOST_INCIDENTS + 1 else MOST_INCIDENTS
    for incident in incidents[:full]:
        page.line()
        teller.tell(incident)
    _others(page, report, incidents[full:], kept)
    _not_kept(page, report, numbers)


def _others(page: Page, report: Report, incidents: Sequence[Incident], kept: str | None) -> None:
    """The incidents that are not told in full."""
    if not incidents:
        return
    page.line()
    for incident in incidents[:MOST_LINES]:
        lead = report.findings[incident.lead]
        told = f"{lead.rule}  {plural(len(incident.members), 'finding')}, {_places(incident)}, {_when(incident)}"
        page.line((f"{incident.status.upper():<14}", STYLES[incident.status]), page.shorten(told, page.width - 14))
    left = len(incidents) - MOST_LINES
    more = f"{page.signs.dots} and {left:,} more; " if left > 0 else ""
    page.line((f"{more}all of them: {_unfold(kept)}", "dim"))


def _not_kept(page: Page, report: Report, numbers: Counter[tuple[str, Status]]) -> None:
    """The exact numbers of what the report could not keep."""
    held = Counter((finding.rule, finding.status) for finding in report.findings)
    lost = [(rule, number) for (rule, status), number in sorted(numbers.items()) if number > held[rule, status]]
    if lost:
        page.line()
        told = ", ".join(f"{number:,} {rule}" for rule, number in lost)
        page.wrapped(f"More was found than a report keeps: {told} in all.", style="dim")


def _unfold(kept: str | None) -> str:
    return f"ctvalidate report {kept} --show all" if kept else "--show all, or --output report.json to look again"


def _places(incident: Incident) -> str:
    """Where it happened, on one line."""
    ((account, region), _), *others = incident.places
    if not others:
        return " ".join(part for part in (account, region) if part) or "no place known"
    accounts = {account for (account, _), _ in incident.places}
    regions = {region for (_, region), _ in incident.places}
    return f"{plural(len(accounts), 'account')}, {plural(len(regions), 'region')}"


def _when(incident: Incident) -> str:
    if incident.when is None:
        return "no time known"
    length = duration(incident.when.seconds)
    return f"{span(incident.when)} UTC ({length})"


class _Teller:
    """Tells of one incident after the other, and says nothing twice."""

    def __init__(self, page: Page, report: Report, *, show: int | None, kept: str | None, name_buckets: bool) -> None:
        self._page = page
        self._report = report
        self._show = show
        self._kept = kept
        self._name_buckets = name_buckets
        self._explained: set[str] = set()
        self._advisor = Advisor(report, kept)

    def tell(self, incident: Incident) -> None:
        """One incident from its headline to what to do next."""
        page, findings = self._page, self._report.findings
        members = [findings[number] for number in incident.members]
        lead = findings[incident.lead]
        title = RULES[lead.rule].title if lead.rule in RULES else "(a rule that this version does not know)"
        page.wrapped(title, lead=(f"{incident.status.upper()}  ", f"bold {STYLES[incident.status]}"))
        page.wrapped(f"{_when(incident)}, {_places(incident)}", indent=2)
        rules = Counter(finding.rule for finding in members)
        page.wrapped(", ".join(f"{number:,} {rule}" for rule, number in rules.items()), style="dim", indent=2)
        self._in_places(incident)
        for cause in [cause for cause in Cause if any(finding.cause is cause for finding in members)]:
            told = [finding.message.rpartition("; ")[2] for finding in members if finding.cause is cause]
            for reason in list(dict.fromkeys(told))[:MOST_REASONS]:  # which end a sentence, and know what AWS said
                page.wrapped(reason.removesuffix("."), indent=2)
        self._samples(members)
        self._events(members)
        self._next(incident, lead)

    def _in_places(self, incident: Incident) -> None:
        """The accounts and regions with the most findings, where there are several."""
        if len(incident.places) < 2:
            return
        page, most = self._page, len(incident.places) if self._show is None else MOST_PLACES
        for (account, region), number in incident.places[:most]:
            place = "  ".join(page.shorten(part, 24) for part in (account, region) if part)
            page.line((f"{number:>7,}", "bold"), f"  {place or 'no place known'}", indent=2)
        left = incident.places[most:]
        if left:
            found = sum(number for _, number in left)
            page.line((f"{found:>7,}  in {plural(len(left), 'more place')}", "dim"), indent=2)

    def _samples(self, members: Sequence[FindingRecord]) -> None:
        page = self._page
        few = len(members) if self._show is None or len(members) <= self._show + 1 else self._show
        bucket = None
        for finding in members[:few]:
            if self._name_buckets and finding.bucket and finding.bucket != bucket:
                bucket = finding.bucket
                page.line((page.shorten(f"s3://{bucket}/", page.width - 4), "dim"), indent=4)
            self._sample(finding)
        if few < len(members):
            told = f"{page.signs.dots} and {len(members) - few:,} more: {_unfold(self._kept)}"
            page.line((told, "dim"), indent=4)

    def _sample(self, finding: FindingRecord) -> None:
        page = self._page
        if finding.key is not None:
            page.line(page.shorten(finding.key, page.width - 4, key=True), indent=4)
        else:
            place = "  ".join(page.shorten(part, 24) for part in (finding.account, finding.region) if part)
            page.line(f"{place or 'the trail'}  {_hours(finding)}", indent=4)
            if finding.status is Status.UNVERIFIABLE and finding.cause is None:  # else the cause is told above
                page.wrapped(finding.message, indent=6)
        for name, value in (("expected", finding.expected), ("found", finding.actual)):
            if value is not None and finding.actual is not None:
                page.line((f"{name:<9}", "dim"), page.shorten(value, page.width - 15), indent=6)
        if isinstance(finding.lifecycle, str):
            page.wrapped(f"lifecycle rule {finding.lifecycle}", indent=6)
        if isinstance(finding.versions, Versions):
            page.wrapped(history(finding.versions), lead=("versions ", "dim"), indent=6)
            if isinstance(finding.versions.changes, Changes):
                self._changes(finding.versions.changes)

    def _changes(self, changes: Changes) -> None:
        """What an altered log says differently from its original: numbers, then the first events."""
        numbers, events = changed_events(changes)
        self._page.wrapped(numbers, lead=("events   ", "dim"), indent=6)
        for sort, text in events:
            self._page.wrapped(text, lead=_SIGNS[sort], indent=15)

    def _events(self, members: Sequence[FindingRecord]) -> None:
        """The events that may explain an incident, each once."""
        page = self._page
        events = {event.event_id: event for finding in members for event in finding.explanations}
        ordered = sorted(events.values(), key=lambda event: event.time)
        most = len(ordered) if self._show is None else MOST_EVENTS
        for event in ordered[:most]:
            outcome = f" ({event.error_code})" if event.error_code else ""
            text = f"{isoformat(event.time)} {event.event_name}{outcome} by {event.principal or 'unknown'}"
            page.wrapped(f"{text} from {event.source_ip or 'unknown'}", lead=(f"{page.signs.event} ", "dim"), indent=4)
        if len(ordered) > most:
            left = plural(len(ordered) - most, "more event")
            page.line((f"{page.signs.event} and {left}: {_unfold(self._kept)}", "dim"), indent=4)

    def _next(self, incident: Incident, lead: FindingRecord) -> None:
        """What to do next, commands on lines of their own, which nothing wraps: they are there to be pasted."""
        page, sign = self._page, (f"{self._page.signs.next} ", "dim")
        steps = self._advisor.steps(lead, incident.when, places=len(incident.places))
        steps = steps if self._show is None else steps[:MOST_STEPS]
        for step in steps if incident.status is not Status.NOTICE else ():
            page.wrapped(f"{step.text}:" if step.command else step.text, lead=sign, style="dim", indent=2)
            if step.command:
                page.line(step.command, indent=4, unbroken=True)
        if lead.rule in RULES and lead.rule not in self._explained:
            self._explained.add(lead.rule)
            page.line(sign, (f"ctvalidate explain {lead.rule}", "dim"), indent=2)


def _hours(finding: FindingRecord) -> str:
    if finding.start is None or finding.end is None:
        return ""
    return f"{isoformat(finding.start)} for {duration((finding.end - finding.start).total_seconds())}"
