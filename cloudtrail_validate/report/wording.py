"""Says in sentences what a report holds: verdict, coverage, what explains a finding, what a pass does not mean."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final, assert_never

import msgspec

from cloudtrail_validate.core.coverage import seconds, subtract, union
from cloudtrail_validate.core.model import Interval, Status, isoformat, utc
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import duration, plural, printable
from cloudtrail_validate.core.versions import Changes, Event, Versions
from cloudtrail_validate.report import (
    Derived,
    EventRecord,
    FindingRecord,
    ProgressRecord,
    Report,
    RequestEcho,
    Summary,
    Verdict,
)
from cloudtrail_validate.report.due import due
from cloudtrail_validate.report.references import CHANGE, OPEN

MOST_EVENTS: Final = 20  # told of one finding; the JSON formats have them all
LIMITS: Final = (
    "Digests prove that the files delivered for the covered hours are unchanged and that none of them is missing. They "
    "do not prove that every event was recorded (event selectors decide that), nor anything about hours or places not "
    "named in this report."
)
"""What a pass does not mean, for every document that says what it found."""


LIMITS_OF_QUERIES: Final = (
    "The signature proves that the files are those that CloudTrail Lake delivered for this query, the statement included. "
    "Account, query id, region and time are not signed, an empty folder shows nothing, and no proof says that the event "
    "data store held every event."
)
"""The same for results of queries."""


def limits(report: Report) -> str:
    """What a pass does not mean, of what this report is about."""
    return LIMITS_OF_QUERIES if report.of_queries else LIMITS


def places(summary: Summary) -> str:
    """How many account-regions have the digests they should; empty where the report does not say."""
    found, expected = summary.account_regions_found, summary.account_regions_expected
    if not (isinstance(found, int) and isinstance(expected, int) and expected):
        return ""
    return f"{found:,} of {plural(expected, 'account-region')} {'has' if expected == 1 else 'have'} digests"


def sentence(report: Report) -> str:
    """The verdict in one sentence without a full stop, with the numbers of findings that make it."""
    numbers = Counter(finding.status for finding in report.findings)
    at_least = "at least " if report.findings_truncated else ""

    def told(statuses: frozenset[Status]) -> str:
        if narrowed(report):
            return ""  # the verdict is that of the whole, the numbers would be those of a part
        found = ", ".join(f"{numbers[of]:,} {of}" for of in Status if of in statuses and numbers[of])
        return f": {at_least}{found}" if found else ""

    if report.stopped:
        change = told(CHANGE)
        return f"Interrupted {how_far(report)}; {'evidence' if change else 'no evidence'} of change until then{change}"
    match report.verdict:
        case Verdict.VALID if tolerated := told(OPEN):
            return f"No evidence of change; what could not be proven was tolerated{tolerated}"
        case Verdict.VALID:
            return all_proven(report)
        case Verdict.CHANGED:
            return f"Evidence of change{told(CHANGE)}"
        case Verdict.UNPROVEN:
            return f"No evidence of change, but not everything could be proven{told(OPEN)}"
        case Verdict.EMPTY:
            return nothing_found(report)
        case _:
            assert_never(report.verdict)


def narrowed(report: Report) -> bool:
    """Whether findings were left out of a kept report on purpose."""
    derived = report.derived
    return isinstance(derived, Derived) and bool(derived.rules or derived.accounts or derived.regions or derived.since)


def derivation(report: Report) -> list[tuple[str, str]]:
    """What a report was made of, and what was left out of it, as names and values; empty where a run wrote it."""
    derived = report.derived
    if not isinstance(derived, Derived):
        return []
    told = []
    if len(derived.reports) > 1:
        runs = sorted(source.run.finished for source in derived.reports)
        asked = union(Interval(source.request.start, source.request.end) for source in derived.reports)
        hole = seconds(subtract(Interval(report.request.start, report.request.end), asked))
        between = f"; {duration(hole)} between their windows were looked at by none" if hole else ""
        made = f"{len(runs):,} reports, finished {isoformat(runs[0])} to {isoformat(runs[-1])}"
        told.append(("Merged", f"{made}; objects are counted by each{between}"))
    named = (("rule", derived.rules), ("account", derived.accounts), ("region", derived.regions))
    shown = [f"{name} {' or '.join(values)}" for name, values in named if values]
    shown += [f"since {isoformat(derived.since)}"] if isinstance(derived.since, datetime) else []
    if shown:
        left = plural(derived.findings_left_out, "finding")
        told.append(("Shown", f"{', '.join(shown)}; {left} left out; the verdict is that of the whole report"))
    return told


def copied(request: RequestEcho) -> str:
    """What the source is a copy of, to be put behind it; empty where nobody said that it is one."""
    return f", a copy of {request.copy_of}" if isinstance(request.copy_of, str) else ""


def how_far(report: Report) -> str:
    """How far an interrupted run had come: "after 17 s: 12,106 of at least 21,168 objects"."""
    took = f"after {duration((report.run.finished - report.run.started).total_seconds())}"
    came = report.progress
    if not isinstance(came, ProgressRecord):
        return took
    if not came.objects_known:
        return f"{took}, before any object was looked at"
    least = "" if came.all_known else "at least "
    return f"{took}: {came.objects_done:,} of {least}{plural(came.objects_known, 'object')}"


def all_proven(report: Report) -> str:
    """What a verdict without findings says. Hours to come are in no digest, and nobody is told that they were."""
    if report.of_queries:
        return "Every sign file and every result proven, nothing else there"
    hours = "Every hour covered" if due(report).end >= report.request.end else "Every hour that is due is covered"
    return f"{hours}, every log proven, nothing else there"


def nothing_found(report: Report) -> str:
    """What is said where nothing could be validated because nothing is there."""
    what = "no result of a query" if report.of_queries else "no digest"
    return f"Nothing validated: {what} at all for what was asked"


def key_sources(report: Report) -> str:
    """How many public keys proved signatures, and whence; empty where there is none."""
    sources = []
    for source in sorted({key.source for key in report.public_keys}):
        mine = [key for key in report.public_keys if key.source == source]
        asked = sorted(key.asked_at for key in mine if isinstance(key.asked_at, datetime))
        files = sorted({key.file for key in mine if isinstance(key.file, str)})
        if source == "aws":
            sources.append("AWS (ListPublicKeys" + (f", asked {isoformat(asked[0])})" if asked else ")"))
        elif source == "file":
            sources.append(f"a file ({', '.join(files)})" if files else "a file")
        else:
            sources.append(source)
    return f"{plural(len(report.public_keys), 'public key')} from {' and '.join(sources)}" if sources else ""


def span(interval: Interval) -> str:
    """Both ends of a time, to the minute, the day said once where it is the same: `2026-01-01 16:00 – 17:00`."""
    start, end = (f"{utc(moment):%Y-%m-%d %H:%M}" for moment in interval)
    if start == end:
        return start
    return f"{start} – {end[11:]}" if start[:10] == end[:10] else f"{start} – {end}"


def title(rule: str) -> str:
    """The rule's headline, or its id where a newer version wrote the report."""
    return RULES[rule].title if rule in RULES else printable(rule)


def explanations(finding: FindingRecord) -> list[str]:
    """What was found out besides, a line each: the first events, how many more, the lifecycle rule, the versions."""
    lifecycle = [f"lifecycle rule {printable(finding.lifecycle)}"] if isinstance(finding.lifecycle, str) else []
    return [*event_lines(finding), *lifecycle, *version_lines(finding)]


def event_lines(finding: FindingRecord) -> list[str]:
    """The events that may explain a finding, oldest first, and how many more there are than `MOST_EVENTS`."""
    events = sorted(finding.explanations, key=lambda event: event.time)
    left = len(events) - MOST_EVENTS
    more = [f"{plural(left, 'more event')} in the JSON report"] if left > 0 else []
    return [_event(event) for event in events[:MOST_EVENTS]] + more


def history(versions: Versions) -> str:
    """What an object's versions say, on one line; empty where they say nothing."""
    told = []
    if versions.original is not None:
        told.append(f"{versions.original.version_id} of {isoformat(versions.original.last_modified)} is the original")
    elif versions.versions:
        told.append(f"none of {plural(len(versions.versions), 'version')} is proven")
    # What took the original's place may have been the deletion itself: then that is said once.
    replaced = None if versions.replaced_at == versions.deleted_at else versions.replaced_at
    for word, moment in (("replaced", replaced), ("deleted", versions.deleted_at)):
        told += [f"{word} {isoformat(moment)}"] if moment is not None else []
    return "; ".join([*told, *([versions.note] if versions.note else [])])


def version_lines(finding: FindingRecord) -> list[str]:
    """What the object's versions say: one line, and the command that restores the original where it can be shown."""
    versions = finding.versions
    if isinstance(versions, msgspec.UnsetType):
        return []
    told, command = history(versions), versions.restore_command
    # An escape would make another command of it: of a key with control characters the JSON report has the right one.
    restore = [f"restore it: {command}"] if command and printable(command) == command else []
    return ([printable(f"versions: {told}")] if told else []) + restore + change_lines(versions)


def change_lines(versions: Versions) -> list[str]:
    """What the log in the original's place says differently: numbers, then the first events, a line each."""
    if isinstance(versions.changes, msgspec.UnsetType):
        return []
    numbers, events = changed_events(versions.changes)
    return [f"events: {numbers}", *(f"{sort} {text}".lstrip() for sort, text in events)]


def changed_events(changes: Changes) -> tuple[str, list[tuple[str, str]]]:
    """Numbers of events, then the first of them, each as its sort (`removed`, `changed`, `added`) and a line.

    The last may be of no sort: how many more there are.
    """
    counts = changes.counts
    if changes.problem and not any((counts.removed, counts.changed, counts.added, counts.unchanged)):
        return printable(f"not compared: {changes.problem}"), []
    numbers = (
        f"{counts.removed:,} removed, {counts.changed:,} changed, {counts.added:,} added, {counts.unchanged:,} equal"
    )
    problem = f" ({changes.problem})" if changes.problem else ""
    changed = (
        (item.event, ", ".join(change.path or "all of it" for change in item.changes)) for item in changes.changed
    )
    sorts = (
        *(("removed", event, "") for event in changes.removed),
        *(("changed", event, paths) for event, paths in changed),
        *(("added", event, "") for event in changes.added),
    )
    listed = [(sort, printable(_line(event, paths))) for sort, event, paths in sorts[:MOST_EVENTS]]
    left = counts.removed + counts.changed + counts.added - len(listed)
    more = [("", f"{plural(left, 'more event')}: ctvalidate diff")] if left > 0 and listed else []
    return printable(f"{numbers}{problem}"), listed + more


def _line(event: Event, paths: str) -> str:
    told = (event.time, event.name, f"by {event.actor}" if event.actor else None, event.address, event.problem)
    what = " ".join(part for part in told if part) or "an event"
    return f"{what}{f': {paths}' if paths else ''}, event {event.event_id or 'without an id'}"


def _event(event: EventRecord) -> str:
    outcome = f" ({event.error_code})" if event.error_code else ""
    who = f"by {event.principal or 'unknown'} from {event.source_ip or 'unknown'}"
    return printable(f"{isoformat(event.time)} {event.event_name}{outcome} {who}, event {event.event_id}")
