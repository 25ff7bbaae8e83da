"""The report as JUnit XML: a suite a chain and a test case a day, or an hour where the window is at most two days long.

- failure: something altered, missing or extra in those hours;
- error: nothing of that, but something unverifiable or uncovered. Where the verdict is valid all the same, it was
  tolerated, and the case is skipped, so that the build's colour and the exit code agree;
- skipped: no digest is due yet for some of those hours, or the run was interrupted before the chain was done;
- passed: proven digests cover the whole of it.

The first suite, `ctvalidate`, holds the verdict: it passes with exit code 0 only, whatever findings the report could
not keep. Findings that belong to no chain have a suite of their place. A backfill chain has no hours to cover: it has
cases where it has digests or findings. A notice is in the case's output and fails nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from cloudtrail_validate.core.model import HOUR, Interval, Kind, Status, isoformat
from cloudtrail_validate.core.text import duration, printable
from cloudtrail_validate.report import ChainRecord, ExitCode, FindingRecord, Report, Verdict
from cloudtrail_validate.report.beside import by_query
from cloudtrail_validate.report.references import CHANGE, OPEN, hours
from cloudtrail_validate.report.wording import copied, explanations, sentence

DAY: Final = timedelta(days=1)
_OUTCOMES: Final = {"failure": "failures", "error": "errors", "skipped": "skipped"}  # of a case, and as an attribute
_HOURLY_UP_TO: Final = timedelta(days=2)
_Place = tuple[str, str, str, Kind]


@dataclass(slots=True)
class _Case:
    """One test case; `outcome` is empty where it passed."""

    name: str
    outcome: str = ""
    kind: str = ""
    lines: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Suite:
    name: str
    properties: dict[str, str]
    cases: list[_Case]

    def count(self, outcome: str) -> int:
        return sum(case.outcome == outcome for case in self.cases)


def render(report: Report) -> str:
    """One `testsuites` document with a closing newline."""
    slots = _slots(report.request.start, report.request.end)
    placed, rest = _by_chain(report)
    suites = [_verdict(report)]
    for chain in report.chains:
        found = placed.get((chain.account, chain.region, chain.trail, chain.kind), [])
        cases = list(_chain_cases(chain, found, slots, report))
        suites.append(_Suite(_name(chain.account, chain.region, chain.trail, chain.kind), _properties(chain), cases))
    if report.of_queries:
        suites += _query_suites(report)
        rest = {}
    for name, findings in sorted(rest.items()):
        suites.append(_Suite(name, {}, [_case("window", findings, tolerated=report.verdict is Verdict.VALID)]))
    return _xml(suites, report)


def _slots(start: datetime, end: datetime) -> list[Interval]:
    """The days or hours that the window touches, whole ones."""
    step = HOUR if end - start <= _HOURLY_UP_TO else DAY
    first = start.replace(minute=0, second=0, microsecond=0)
    first = first if step is HOUR else first.replace(hour=0)
    return [Interval(first + step * n, first + step * (n + 1)) for n in range(-(-(end - first) // step))]


def _name(account: str | None, region: str | None, trail: str | None, kind: Kind = Kind.STANDARD) -> str:
    parts = [account, region, trail, kind if kind is Kind.BACKFILL else None]
    return ".".join(printable(part) for part in parts if part) or "trail"


def _properties(chain: ChainRecord) -> dict[str, str]:
    names = ("account", "region", "trail", "home_region", "organization_id", "kind")
    return {name: printable(str(value)) for name in names if (value := getattr(chain, name))}


def _verdict(report: Report) -> _Suite:
    case = _Case("verdict")
    if report.exit_code != ExitCode.VALID:
        case.outcome = "failure" if report.verdict is Verdict.CHANGED else "error"
        case.kind, case.lines = str(report.verdict), [f"{sentence(report)}."]
    request = {
        "trail_arn": report.request.trail_arn or "",
        "source": f"{report.request.source}{copied(report.request)}",
        "start": isoformat(report.request.start),
        "end": isoformat(report.request.end),
        "version": report.tool.version,
    }
    return _Suite(report.tool.name, {name: printable(value) for name, value in request.items()}, [case])


def _by_chain(report: Report) -> tuple[dict[_Place, list[FindingRecord]], dict[str, list[FindingRecord]]]:
    """Findings by chain, and by the name of their place where no chain takes them."""
    chains: dict[tuple[str | None, ...], _Place] = {}
    for chain in reversed(report.chains):  # so that a log without trail goes to the first chain of its folder
        place = (chain.account, chain.region, chain.trail, chain.kind)
        chains[place] = place
        if chain.kind is Kind.STANDARD:
            chains[chain.account, chain.region] = place
    placed: defaultdict[_Place, list[FindingRecord]] = defaultdict(list)
    rest: defaultdict[str, list[FindingRecord]] = defaultdict(list)
    for finding in report.findings:
        backfill = (finding.key or "").endswith("_backfill.json.gz")
        where = (finding.account, finding.region, finding.trail)
        home = chains.get((*where, Kind.BACKFILL if backfill else Kind.STANDARD)) or chains.get((*where, Kind.BACKFILL))
        if home is None and finding.trail is None:
            home = chains.get((finding.account, finding.region))
        (placed[home] if home else rest[_name(*where)]).append(finding)
    return placed, rest


def _chain_cases(
    chain: ChainRecord, findings: Iterable[FindingRecord], slots: list[Interval], report: Report
) -> Iterator[_Case]:
    tolerated = report.verdict is Verdict.VALID
    by_slot: defaultdict[int, list[FindingRecord]] = defaultdict(list)
    timeless: list[FindingRecord] = []
    for finding in findings:
        when = hours(finding)
        if when is None or not slots:
            timeless.append(finding)
            continue
        for number in _touched(when, slots):
            by_slot[number].append(finding)
    window = Interval(report.request.start, report.request.end)
    covered = _seconds(chain.covered, slots, window)
    gaps = _seconds([(gap.start, gap.end) for gap in chain.gaps], slots, window)
    pattern = "%Y-%m-%dT%H:%MZ" if slots and slots[0].end - slots[0].start == HOUR else "%Y-%m-%d"
    for number, slot in enumerate(slots):
        found = by_slot[number]
        if chain.kind is Kind.BACKFILL and not (found or covered[number] or gaps[number]):
            continue
        case = _case(slot.start.strftime(pattern), found, tolerated=tolerated)
        if not case.outcome and gaps[number]:
            text = f"{duration(gaps[number])} that no proven digest covers"
            case.outcome, case.kind, case.lines = "skipped" if tolerated else "error", "uncovered", [text]
        pending = slot.within(window).seconds - covered[number]
        if not case.outcome and chain.kind is Kind.STANDARD and (pending >= 1 or chain.unfinished is True):
            due = f"no digest is due yet for {duration(pending)} of this time"
            unread = "not looked at to its end: the run was interrupted"
            case.outcome, case.lines = "skipped", [unread if chain.unfinished is True else due]
        yield case
    if timeless:
        yield _case("no time known", timeless, tolerated=tolerated)


def _query_suites(report: Report) -> Iterator[_Suite]:
    """A suite for all queries, a case for each: its findings, by the folder that they lie in."""
    tolerated = report.verdict is Verdict.VALID
    cases = [_case(printable(key or "."), found, tolerated=tolerated) for (_, key), found in by_query(report).items()]
    yield _Suite("CloudTrail-Lake", {}, cases)


def _touched(when: Interval, slots: list[Interval]) -> range:
    """Numbers of the slots that `when` reaches into; the nearest one for what lies outside of the window."""
    first, step, last = slots[0].start, slots[0].end - slots[0].start, len(slots) - 1
    begin = min(max((when.start - first) // step, 0), last)
    return range(begin, min(max(-(-(when.end - first) // step) - 1, begin), last) + 1)


def _seconds(spans: Iterable[tuple[datetime, datetime]], slots: list[Interval], window: Interval) -> list[int]:
    """Of each slot, the seconds that `spans` cover and that lie in the window."""
    totals = [0] * len(slots)
    for span in spans:
        inside = Interval(*span).within(window)
        if not inside.seconds or not slots:
            continue
        for number in _touched(inside, slots):
            totals[number] += inside.within(slots[number]).seconds
    return totals


def _case(name: str, findings: Iterable[FindingRecord], *, tolerated: bool) -> _Case:
    case = _Case(name)
    lines: dict[Status, list[str]] = {}
    for finding in findings:
        line = "\n".join([printable(f"{finding.rule}: {finding.message}"), *explanations(finding)])
        if finding.status is Status.NOTICE:
            case.notices.append(line)
        else:
            lines.setdefault(finding.status, []).append(line)
            case.kind = case.kind or printable(finding.rule)
    if lines:
        failed = not CHANGE.isdisjoint(lines)
        case.outcome = "failure" if failed else "skipped" if tolerated else "error"
        case.lines = [line for status in Status if status in (CHANGE | OPEN) for line in lines.get(status, [])]
    return case


def _xml(suites: list[_Suite], report: Report) -> str:
    counts = {plural: sum(suite.count(outcome) for suite in suites) for outcome, plural in _OUTCOMES.items()}
    took = f"{(report.run.finished - report.run.started).total_seconds():.0f}"
    tests = sum(len(suite.cases) for suite in suites)
    body = "".join(_suite_xml(suite, report) for suite in suites)
    document = _tag("testsuites", {"name": report.tool.name, "tests": tests, **counts, "time": took}, f"\n{body}")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'


def _suite_xml(suite: _Suite, report: Report) -> str:
    counts = {plural: suite.count(outcome) for outcome, plural in _OUTCOMES.items()}
    stamp = isoformat(report.run.started).removesuffix("Z")  # the schema of Ant and Jenkins knows no offset
    body = "".join(_tag("property", {"name": name, "value": value}) for name, value in suite.properties.items())
    body = _tag("properties", {}, f"\n{body}") if body else ""
    for case in suite.cases:
        inner = ""
        if case.outcome:
            more = f" (and {len(case.lines) - 1:,} more)" if len(case.lines) > 1 else ""
            said = {"message": case.lines[0].partition("\n")[0] + more} | ({"type": case.kind} if case.kind else {})
            inner += _tag(case.outcome, said, escape("\n".join(case.lines)))
        if case.notices:
            inner += _tag("system-out", {}, escape("\n".join(case.notices)))
        body += _tag("testcase", {"classname": suite.name, "name": case.name, "time": 0}, inner)
    attributes = {"name": suite.name, "tests": len(suite.cases), **counts, "time": 0, "timestamp": stamp}
    return _tag("testsuite", attributes, f"\n{body}")


def _tag(name: str, attributes: Mapping[str, object], body: str = "") -> str:
    """One element. `body` is XML; attributes are text."""
    start = name + "".join(f" {key}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<{start}>{body}</{name}>\n" if body else f"<{start}/>\n"
