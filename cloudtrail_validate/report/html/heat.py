"""The map of accounts and regions over time: what of each cell is covered, and how many findings lie in it.

A cell is one (account, region) and one slice of the window. Of several trails at one place the worst counts. The number
of cells is bounded: slices grow with the window, and of more than `MOST_ROWS` places the worst are kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cloudtrail_validate.core.model import HOUR, Interval, Kind, Status
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import ChainRecord, FindingRecord, Report
from cloudtrail_validate.report.due import chain_due
from cloudtrail_validate.report.references import CHANGE, OPEN, account_of, hours, region_of

MOST_COLUMNS: Final = 96  # four days of hours, three months of days: a cell of a 1280 px page is still 8 px wide
MOST_ROWS: Final = 2_000  # places: with 96 columns, 200 kB of the document
_STEPS: Final = (1, 2, 3, 6, 12, 24, 48, 168, 336, 672, 2_184)  # hours
_OUTCOMES: Final = ("valid", "altered", "missing", "extra", "unverifiable")
_Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Axis:
    """The window in slices of `step`; the first begins with a whole hour, or day."""

    window: Interval
    start: datetime
    step: timedelta
    columns: int

    @classmethod
    def of(cls, start: datetime, end: datetime) -> Axis:
        """The finest slices of which at most `MOST_COLUMNS` make the window; at least one."""
        steps = [HOUR * number for number in _STEPS]
        while (end - start) / steps[-1] > MOST_COLUMNS - 1:
            steps.append(steps[-1] * 2)
        step = next(step for step in steps if (end - start) / step <= MOST_COLUMNS - 1 or step == steps[-1])
        first = start.replace(minute=0, second=0, microsecond=0)
        first = first.replace(hour=0) if step > HOUR else first
        return cls(Interval(start, end), first, step, max(1, -(-(end - first) // step)))

    def touched(self, when: Interval) -> range:
        """Columns that `when` reaches into; the nearest one for what lies outside of the window."""
        last = self.columns - 1
        begin = min(max((when.start - self.start) // self.step, 0), last)
        return range(begin, min(max(-(-(when.end - self.start) // self.step) - 1, begin), last) + 1)

    def cell(self, column: int) -> Interval:
        """The part of the window that a column stands for."""
        start = self.start + self.step * column
        return Interval(start, start + self.step).within(self.window)

    def seconds(self, spans: Iterable[tuple[datetime, datetime]]) -> list[int]:
        """Of each column, the seconds of the window that the spans, which do not overlap, cover."""
        totals = [0] * self.columns
        for span in spans:
            inside = Interval(*span).within(self.window)
            for column in self.touched(inside) if inside.seconds else ():
                totals[column] += inside.within(self.cell(column)).seconds
        return totals


@dataclass(slots=True)
class Row:
    """One place.

    `marks`: column to the numbers of findings of change, unverifiable ones and notices in it. What is uncovered is not
    marked, it is drawn. `totals`: all findings of change, all open ones, all notices, also those without a time.
    """

    account: str
    region: str
    chains: list[ChainRecord] = field(default_factory=list)
    marks: dict[int, list[int]] = field(default_factory=dict)
    totals: list[int] = field(default_factory=lambda: [0, 0, 0])
    absent: bool = False

    def cover(self, axis: Axis) -> tuple[str, int]:
        """A letter a column (covered, partly in a gap, gap, no digest due yet, unfinished), and the seconds proven."""
        whole = [axis.cell(column).seconds for column in range(axis.columns)]
        covered = [axis.seconds(chain.covered) for chain in self.chains if chain.kind is Kind.STANDARD]
        gaps = [axis.seconds([(gap.start, gap.end) for gap in chain.gaps]) for chain in self.chains]
        letters, proven = "", 0
        unfinished = "u" if any(chain.unfinished is True for chain in self.chains) else ""  # logs were left unread
        for column, seconds in enumerate(whole):
            gap = seconds if self.absent else max((of[column] for of in gaps), default=0)
            least = min((of[column] for of in covered), default=0)
            proven += min(least, seconds - gap)
            calm = unfinished or ("c" if least >= seconds else "n")
            letters += ("g" if gap >= seconds else "p") if gap else calm
        return letters, proven


def _portion(row: Row, proven: int, axis: Axis, report: Report) -> int:
    """How much of what is due there is proven, in tenths of a percent, rounded down: 1,000 is said of nothing less."""
    standard = [chain for chain in row.chains if chain.kind is Kind.STANDARD]
    until = min((chain_due(chain, axis.window, report.run.started) for chain in standard), default=axis.window.end)
    due = Interval(axis.window.start, until).seconds
    return min(1_000, 1_000 * proven // due) if due else 1_000


def heat(report: Report) -> tuple[dict[str, Any], list[tuple[int, int, int]]]:
    """The map for the page, and of each finding its row (-1 for none), first and last column.

    Rows come worst first: findings of change, then least proven of what is due, then by name.
    """
    axis = Axis.of(report.request.start, report.request.end)
    rows = _rows(report)
    spots = [_mark(finding, rows, axis) for finding in report.findings]
    drawn = []
    for place, row in rows.items():
        letters, proven = row.cover(axis)
        portion = _portion(row, proven, axis, report)
        drawn.append(((-row.totals[0], portion, place), row, letters, portion))
    drawn.sort(key=lambda one: one[0])
    numbers = {key[2]: number for number, (key, *_) in enumerate(drawn[:MOST_ROWS])}
    placed = [(numbers.get(place, -1) if place else -1, first, last) for place, first, last in spots]
    return {
        "start": int(axis.start.timestamp()),
        "step": int(axis.step.total_seconds()),
        "columns": axis.columns,
        "from": int(axis.window.start.timestamp()),
        "to": int(axis.window.end.timestamp()),
        "left_out": max(0, len(drawn) - MOST_ROWS),
        "rows": [_row(row, letters, portion) for _, row, letters, portion in drawn[:MOST_ROWS]],
    }, placed


def _rows(report: Report) -> dict[_Place, Row]:
    """A row for each place of a chain, and for each whose absence is a finding."""
    rows: dict[_Place, Row] = {}
    for chain in report.chains:
        row = rows.setdefault((chain.account, chain.region), Row(printable(chain.account), printable(chain.region)))
        row.chains.append(chain)
    for finding in report.findings:
        account, region = account_of(finding.account), region_of(finding.region)
        if account and region and (account, region) not in rows:
            rows[account, region] = Row(account, region, absent=True)
    return rows


def _mark(finding: FindingRecord, rows: dict[_Place, Row], axis: Axis) -> tuple[_Place | None, int, int]:
    """Count a finding in its row and in the cells it touches; it belongs to all of them where its hours are unknown."""
    place = (finding.account or "", finding.region or "")
    if place not in rows:
        return None, 0, 0
    when = hours(finding)
    columns = axis.touched(when) if when else range(axis.columns)
    kind = 0 if finding.status in CHANGE else 1 if finding.status in OPEN else 2
    rows[place].totals[kind] += 1
    for column in columns if when and finding.status is not Status.UNCOVERED else ():
        rows[place].marks.setdefault(column, [0, 0, 0])[kind] += 1
    return place, columns[0], columns[-1]


def _row(row: Row, letters: str, proven: int) -> dict[str, Any]:
    """A row for the page; `proven` is the part of what is due, in tenths of a percent."""
    gaps: defaultdict[int, list[list[Any]]] = defaultdict(list)
    for number, chain in enumerate(row.chains):
        for gap in chain.gaps:
            span = [int(gap.start.timestamp()), int(gap.end.timestamp())]
            gaps[number].append([printable(gap.rule), *span, gap.undigested_logs])
    return {
        "account": row.account,
        "region": row.region,
        "cover": letters,
        "proven": proven,
        "totals": row.totals,
        "marks": [[column, *counts] for column, counts in sorted(row.marks.items())],
        "chains": [
            {
                "trail": printable(chain.trail),
                "kind": chain.kind,
                "digests": [getattr(chain.digests, name) for name in _OUTCOMES],
                "logs": [getattr(chain.logs, name) for name in _OUTCOMES],
                "gaps": gaps[number],
            }
            for number, chain in enumerate(row.chains)
        ],
    }
