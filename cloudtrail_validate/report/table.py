"""The answer at a glance, for a terminal.

From the top: the verdict, what was asked, coverage by account and region, the numbers, the findings by status and rule
with what to do next, and what all this does not prove. Whatever the report holds is hostile and reaches the console
through `Page` only. Colour only repeats what a word or sign already says.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from cloudtrail_validate.core.model import Cause, Kind, Status, isoformat
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import duration, plural, size
from cloudtrail_validate.core.versions import Changes, Versions
from cloudtrail_validate.report import Verdict
from cloudtrail_validate.report.page import Page
from cloudtrail_validate.report.references import all_proven, changed_events, history, places
from cloudtrail_validate.report.sentences import remedy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from rich.console import Console

    from cloudtrail_validate.report import ChainRecord, CountsRecord, FindingRecord, Report, Tally

FEW: Final = 3  # objects shown of a rule; one more is shown rather than folded alone
MOST_EVENTS: Final = 4  # that may explain the findings of one rule
MOST_ROWS: Final = 16  # rows of coverage: with a page of findings below, more would push the verdict out of sight
BAR: Final = (8, 40)  # cells, least and most
OUTCOMES: Final = ("valid", "altered", "missing", "extra", "unverifiable")

_STYLES: Final = {
    Status.ALTERED: "red",
    Status.MISSING: "red",
    Status.EXTRA: "red",
    Status.UNVERIFIABLE: "yellow",
    Status.UNCOVERED: "yellow",
    Status.NOTICE: "cyan",
}
_VERDICT_STYLES: Final = {
    Verdict.VALID: "bold green",
    Verdict.CHANGED: "bold red",
    Verdict.UNPROVEN: "bold yellow",
    Verdict.EMPTY: "bold yellow",
}
_KEY_SOURCES: Final = {"aws": "AWS (ListPublicKeys)", "file": "a file"}
_DISCLAIMER: Final = (
    "Digests prove that the files delivered for the covered hours are unchanged and that none of them is missing. They "
    "do not prove that every event was recorded (event selectors decide that), nor anything about hours or places not "
    "named above."
)


def render(report: Report, console: Console, *, verbose_findings: bool = False, tally: Tally | None = None) -> None:
    """Print `report` on `console`; no line is wider than the console, those of `verbose_findings` excepted.

    `verbose_findings` lists every row of coverage and every finding with its whole sentence, unbroken so that keys can
    be copied. `tally` has the exact numbers where the report's findings are capped; without it they are counted, and
    called "at least" where the report says that it is truncated.
    """
    page = Page(console)
    numbers = _numbers(report, tally)
    _verdict(page, report, numbers)
    _header(page, report)
    _coverage(page, report, everything=verbose_findings)
    _totals(page, report)
    _findings(page, report, numbers, verbose=verbose_findings, exact=tally is not None or not report.findings_truncated)
    page.line()
    page.wrapped(_DISCLAIMER, style="dim")


# --- verdict and header


def _numbers(report: Report, tally: Tally | None) -> Counter[tuple[str, Status]]:
    if tally is not None:
        return Counter({key: number for key, number in tally.numbers.items() if number})
    return Counter((finding.rule, finding.status) for finding in report.findings)


def _by_status(numbers: Counter[tuple[str, Status]], *statuses: Status) -> str:
    totals: Counter[Status] = Counter()
    for (_, status), number in numbers.items():
        totals[status] += number
    return ", ".join(f"{totals[status]:,} {status}" for status in statuses if totals[status])


def _verdict(page: Page, report: Report, numbers: Counter[tuple[str, Status]]) -> None:
    open_questions = _by_status(numbers, Status.UNVERIFIABLE, Status.UNCOVERED)
    match report.verdict:
        case Verdict.VALID if open_questions:
            sentence = f"No evidence of change; what could not be proven was tolerated: {open_questions}"
        case Verdict.VALID:
            sentence = all_proven(report)
        case Verdict.CHANGED:
            sentence = f"Evidence of change: {_by_status(numbers, Status.ALTERED, Status.MISSING, Status.EXTRA)}"
        case Verdict.UNPROVEN:
            sentence = f"No evidence of change, but not everything could be proven: {open_questions}"
        case Verdict.EMPTY:
            sentence = "Nothing validated: no digest at all for what was asked"
    style = _VERDICT_STYLES[report.verdict]
    lead = (f"{page.signs.verdict[report.verdict]} {report.verdict.upper()}  ", style)
    page.wrapped(f"{sentence} (exit code {report.exit_code}).", lead=lead)


def _header(page: Page, report: Report) -> None:
    request, run = report.request, report.run
    span = duration((request.end - request.start).total_seconds())
    accounts = {chain.account for chain in report.chains}
    regions = {chain.region for chain in report.chains}
    asked_accounts = f"accounts {', '.join(request.accounts)}" if request.accounts else "all accounts"
    asked_regions = f"regions {', '.join(request.regions)}" if request.regions else "all regions"
    scope = f"{asked_accounts} ({len(accounts):,} found), {asked_regions} ({len(regions):,} found)"
    took = duration((run.finished - run.started).total_seconds())
    issuers = {key.source for key in report.public_keys}
    sources = " and ".join(_KEY_SOURCES.get(issuer, issuer) for issuer in sorted(issuers))
    rows = (
        ("Trail", request.trail_arn or "any found in the source"),
        ("Source", request.source),
        ("Window", f"{isoformat(request.start)} to {isoformat(request.end)}, UTC ({span})"),
        ("Scope", scope),
        ("Places", places(report.summary)),
        ("Keys", f"{plural(len(report.public_keys), 'public key')} from {sources}" if sources else ""),
        ("Run", f"{report.tool.name} {report.tool.version}, {isoformat(run.started)}, took {took}"),
        ("As", run.caller_arn or ""),
    )
    page.line()
    for name, value in rows:
        if value:
            page.wrapped(page.shorten(value, 400), lead=(f"{name:<8}", "dim"), indent=2)


# --- coverage


@dataclass(slots=True)
class _Row:
    """One account, region and trail; its backfill chain, if any, adds counts and gaps but no hours of its own."""

    labels: tuple[str, str, str]
    covered: list[tuple[datetime, datetime]] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)
    digests: Counter[str] = field(default_factory=Counter)
    logs: Counter[str] = field(default_factory=Counter)
    proven: float = 0.0  # seconds of the window that are covered and in no gap

    def add(self, chain: ChainRecord) -> None:
        if chain.kind is Kind.STANDARD:
            self.covered += chain.covered
        self.gaps += [(gap.start, gap.end) for gap in chain.gaps]
        self.digests.update(_counts(chain.digests))
        self.logs.update(_counts(chain.logs))

    @property
    def issues(self) -> str:
        """What went wrong with its files; empty where nothing did."""
        parts = []
        for noun, counts in (("digests", self.digests), ("logs", self.logs)):
            wrong = ", ".join(f"{counts[name]:,} {name}" for name in OUTCOMES[1:] if counts[name])
            parts += [f"{noun}: {wrong}"] if wrong else []
        return "; ".join(parts)

    @property
    def rank(self) -> tuple[int, float, tuple[str, str, str]]:
        """Most evidence of change first, then least covered."""
        bad = sum(counts[name] for counts in (self.digests, self.logs) for name in ("altered", "missing", "extra"))
        return -bad, self.proven, self.labels


def _counts(counts: CountsRecord) -> dict[str, int]:
    return {name: getattr(counts, name) for name in OUTCOMES}


def _merged(intervals: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The same hours as sorted intervals that do not touch."""
    out: list[tuple[datetime, datetime]] = []
    for start, end in sorted(intervals):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        elif start < end:
            out.append((start, end))
    return out


def _seconds(merged: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime) -> float:
    """How much of `[start, end)` the merged intervals cover. Looks only at those that reach into it."""
    total = 0.0
    for index in range(bisect_right(merged, start, key=itemgetter(1)), len(merged)):
        a, b = merged[index]
        if a >= end:
            break
        total += (min(b, end) - max(a, start)).total_seconds()
    return total


def _rows(report: Report) -> list[_Row]:
    rows: dict[tuple[str, ...], _Row] = {}
    for chain in report.chains:
        key = (chain.organization_id or "", chain.account, chain.region, chain.trail, chain.home_region)
        rows.setdefault(key, _Row((chain.account, chain.region, chain.trail))).add(chain)
    start, end = report.request.start, report.request.end
    for row in rows.values():
        row.covered, row.gaps = _merged(row.covered), _merged(row.gaps)
        lost = sum(_seconds(row.covered, max(a, start), min(b, end)) for a, b in row.gaps if a < end and start < b)
        row.proven = _seconds(row.covered, start, end) - lost
    return [rows[key] for key in sorted(rows)]


def _bar(page: Page, rows: Sequence[_Row], report: Report, cells: int) -> list[tuple[str, str]]:
    """Draw the window in `cells` slices; of several rows the worst counts. Runs of one sign are one part."""
    start, signs = report.request.start, page.signs
    window = report.request.end - start
    parts: list[tuple[str, str]] = []
    for cell in range(cells):
        a, b = start + window * cell / cells, start + window * (cell + 1) / cells
        whole = (b - a).total_seconds()
        covered = min(_seconds(row.covered, a, b) for row in rows)
        gap = max(_seconds(row.gaps, a, b) for row in rows)
        if gap:
            part = (signs.partly, "yellow") if gap < whole else (signs.gap, "red")
        else:
            part = (signs.covered, "green") if covered >= whole else (signs.pending, "dim")
        if parts and parts[-1][1] == part[1]:
            part = (parts.pop()[0] + part[0], part[1])
        parts.append(part)
    return parts


def _percent(seconds: float, window: float) -> str:
    """Rounded down, so that 100% is said of nothing less."""
    tenths = 1_000 if seconds >= window else int(1_000 * max(0.0, seconds) / window)
    return f"{tenths // 10}.{tenths % 10}%" if tenths % 10 else f"{tenths // 10}%"


@dataclass(frozen=True, slots=True)
class _Grid:
    """The widths of the coverage table, in cells of the terminal."""

    labels: tuple[int, ...]
    label: int
    bar: int
    number: int

    @classmethod
    def fit(cls, page: Page, shown: Sequence[_Row], rows: Sequence[_Row]) -> _Grid:
        """Give each column what it needs, the labels at most their cap, and the bar what is left."""
        trails = len({row.labels[2] for row in rows}) > 1
        caps = (20, 24, 24) if page.width >= 110 else (12, 14, 12)
        longest = [max((cell_len(page.safe(row.labels[i])) for row in shown), default=0) for i in range(3)]
        labels = tuple(min(cap, width) for cap, width in zip(caps, longest, strict=True))[: 3 if trails else 2]
        label = max(22, sum(labels) + 2 * (len(labels) - 1))
        most = max(sum(row.digests.total() for row in rows), sum(row.logs.total() for row in rows))
        number = max(len("digests"), len(f"{most:,}"))
        bar = page.width - 2 - label - 2 - 7 - 2 * (2 + number)
        return cls(labels, label, max(BAR[0], min(BAR[1], bar)), number)

    @property
    def width(self) -> int:
        """Of a whole row, indent included."""
        return 2 + self.label + 2 + self.bar + 7 + 2 * (2 + self.number)


def _coverage_row(page: Page, report: Report, grid: _Grid, label: str, rows: Sequence[_Row]) -> None:
    """One line for one row, or for several that are folded: the least covered of them decides bar and percentage."""
    window = (report.request.end - report.request.start).total_seconds()
    digests = sum(row.digests.total() for row in rows)
    logs = sum(row.logs.total() for row in rows)
    numbers = (
        f"  {_percent(min(row.proven for row in rows), window):>5}  {digests:>{grid.number},}  {logs:>{grid.number},}"
    )
    issues = rows[0].issues if len(rows) == 1 else ""
    style = "red" if rows[0].rank[0] else "yellow"
    beside = grid.width + 2 + len(issues) <= page.width
    bar = _bar(page, rows, report, grid.bar)
    page.line(set_cell_size(label, grid.label), "  ", *bar, numbers, (f"  {issues}" if beside else "", style), indent=2)
    if issues and not beside:
        page.wrapped(issues, style=style, indent=4)


def _coverage(page: Page, report: Report, *, everything: bool) -> None:
    rows = _rows(report)
    if not rows:
        return
    wrong = sorted((row for row in rows if row.issues or row.gaps), key=lambda row: row.rank)
    fine = [row for row in rows if not (row.issues or row.gaps)]
    shown = wrong + fine if everything or len(rows) <= MOST_ROWS else wrong[:MOST_ROWS]
    grid = _Grid.fit(page, shown, rows)
    page.line()
    heading = f"{'digests':>{grid.number}}  {'logs':>{grid.number}}"
    page.line((set_cell_size("Coverage", grid.width - len(heading)), "bold"), (heading, "dim"))
    for row in shown:
        labels = [page.shorten(text, width) for text, width in zip(row.labels, grid.labels, strict=False)]
        label = "  ".join(set_cell_size(text, width) for text, width in zip(labels, grid.labels, strict=True))
        _coverage_row(page, report, grid, label, [row])
    if len(shown) < len(wrong):
        more = wrong[len(shown) :]
        _coverage_row(page, report, grid, f"{len(more):,} more with faults", more)
    if len(shown) < len(rows) and fine:
        _coverage_row(page, report, grid, f"{len(fine):,} without fault", fine)
    _legend(page, report, rows)


def _legend(page: Page, report: Report, rows: Sequence[_Row]) -> None:
    """Explain the signs, where there is anything but covered hours."""
    window = (report.request.end - report.request.start).total_seconds()
    signs, gaps = page.signs, any(row.gaps for row in rows)
    due = all(row.gaps or row.proven >= window for row in rows)
    key = [f"{signs.covered} covered"]
    key += [f"{signs.partly} in part", f"{signs.gap} gap"] if gaps else []
    key += [] if due else [f"{signs.pending} no digest due yet"]
    if len(key) > 1:
        page.line(("  ".join(key), "dim"), indent=2)


def _totals(page: Page, report: Report) -> None:
    summary = report.summary
    rows = {"Digests": _counts(summary.digests), "Logs": _counts(summary.logs)}
    widths = [max(len(name), *(len(f"{row[name]:,}") for row in rows.values())) for name in OUTCOMES]
    page.line()
    heading = "".join(f"  {name:>{width}}" for name, width in zip(OUTCOMES, widths, strict=True))
    page.line(" " * 8, (heading, "dim"))
    for name, row in rows.items():
        parts = [(f"{name:<8}", "bold")]
        for outcome, width in zip(OUTCOMES, widths, strict=True):
            style = "dim" if not row[outcome] else "" if outcome == "valid" else _STYLES[Status(outcome)]
            parts.append((f"  {row[outcome]:>{width},}", style))
        page.line(*parts)
    page.line((f"{size(summary.log_bytes_hashed)} of log content hashed", "dim"), indent=2)


# --- findings


def _findings(page: Page, report: Report, numbers: Counter[tuple[str, Status]], *, verbose: bool, exact: bool) -> None:
    groups: defaultdict[tuple[str, Status], list[FindingRecord]] = defaultdict(list)
    for finding in report.findings:
        groups[finding.rule, finding.status].append(finding)
    order = {rule: place for place, rule in enumerate(RULES)}
    told: set[str] = set()
    buckets = {finding.bucket for finding in report.findings if finding.bucket}
    if len(buckets) == 1 and not verbose:
        page.line()
        page.line(("Findings", "bold"), page.shorten(f"  in s3://{next(iter(buckets))}/", page.width - 8))
    for status in Status:
        found = sorted({rule for rule, of in {*numbers, *groups} if of is status}, key=lambda r: (order.get(r, 99), r))
        if not found:
            continue
        total = sum(max(numbers[rule, status], len(groups[rule, status])) for rule in found)
        page.line()
        at_least = "" if exact else "at least "
        page.line((status.upper(), f"bold {_STYLES[status]}"), (f"  {at_least}{plural(total, 'finding')}", "dim"))
        for rule in found:
            group = groups[rule, status]
            number = max(numbers[rule, status], len(group))
            title = RULES[rule].title if rule in RULES else "(a rule that this version does not know)"
            page.line((rule, f"bold {_STYLES[status]}"), f"  {number:,}  ", title, indent=2)
            causes = [cause for cause in Cause if any(finding.cause is cause for finding in group)]
            for cause in causes:
                page.wrapped(remedy(rule, cause), indent=4)
            _objects(page, group, number, verbose=verbose, buckets=len(buckets) > 1)
            _explanations(page, group)
            _advice(page, rule, told, quiet=status is Status.NOTICE or bool(causes))


def _objects(page: Page, findings: Sequence[FindingRecord], number: int, *, verbose: bool, buckets: bool) -> None:
    """The first few findings of a rule, or all of them, and how many more there are. `buckets`: name them."""
    shown = findings if verbose or number <= FEW + 1 else findings[:FEW]
    bucket = None
    for finding in shown:
        if verbose:
            page.line(finding.message, indent=4, unbroken=True)
            continue
        if buckets and finding.bucket and finding.bucket != bucket:
            bucket = finding.bucket
            page.line((page.shorten(f"s3://{bucket}/", page.width - 4), "dim"), indent=4)
        if finding.key is not None:
            page.line(page.shorten(finding.key, page.width - 4, key=True), indent=4)
        else:
            place = "  ".join(page.shorten(part, 24) for part in (finding.account, finding.region) if part)
            page.line(f"{place or 'the trail'}  {_hours(finding)}", indent=4)
        for name, value in (("expected", finding.expected), ("found", finding.actual)):
            if value is not None and finding.actual is not None:
                page.line((f"{name:<9}", "dim"), page.shorten(value, page.width - 15), indent=6)
        if isinstance(finding.versions, Versions):
            page.wrapped(history(finding.versions), lead=("versions ", "dim"), indent=6)
            if isinstance(finding.versions.changes, Changes):
                _changes(page, finding.versions.changes)
    if len(shown) < number:
        page.line((f"{page.signs.dots} and {number - len(shown):,} more: --output report.json", "dim"), indent=4)


_SIGNS: Final = {"removed": ("- ", "red"), "changed": ("~ ", "yellow"), "added": ("+ ", "green"), "": ("  ", "dim")}


def _changes(page: Page, changes: Changes) -> None:
    """What an altered log says differently from its original: numbers, then the first events."""
    numbers, events = changed_events(changes)
    page.wrapped(numbers, lead=("events   ", "dim"), indent=6)
    for sort, text in events:
        page.wrapped(text, lead=_SIGNS[sort], indent=15)


def _explanations(page: Page, findings: Sequence[FindingRecord]) -> None:
    """The events that may explain the findings of one group, each once, and lifecycle rules that fit."""
    events = {event.event_id: event for finding in findings for event in finding.explanations}
    ordered = sorted(events.values(), key=lambda event: event.time)
    for event in ordered[:MOST_EVENTS]:
        outcome = f" ({event.error_code})" if event.error_code else ""
        text = f"{isoformat(event.time)} {event.event_name}{outcome} by {event.principal or 'unknown'}"
        page.wrapped(f"{text} from {event.source_ip or 'unknown'}", lead=(f"{page.signs.event} ", "dim"), indent=4)
    if len(ordered) > MOST_EVENTS:
        page.line(
            (f"{page.signs.event} and {len(ordered) - MOST_EVENTS:,} more events: --output report.json", "dim"),
            indent=4,
        )
    for rule in sorted({finding.lifecycle for finding in findings if isinstance(finding.lifecycle, str)}):
        page.wrapped(f"lifecycle rule {rule}", lead=(f"{page.signs.event} ", "dim"), indent=4)


def _hours(finding: FindingRecord) -> str:
    if finding.start is None or finding.end is None:
        return ""
    return f"{isoformat(finding.start)} for {duration((finding.end - finding.start).total_seconds())}"


def _advice(page: Page, rule: str, told: set[str], *, quiet: bool) -> None:
    """What to do next: the rule's first step that no group above has given (none if `quiet`), and where to read on."""
    if rule not in RULES:
        return
    step = None if quiet else next((step for step in RULES[rule].next_steps if step not in told), None)
    lead = (f"{page.signs.next} ", "dim")
    if step is not None:
        told.add(step)
        page.wrapped(step, lead=lead, style="dim", indent=4)
    page.wrapped(f"ctvalidate explain {rule}", lead=lead, style="dim", indent=4)
