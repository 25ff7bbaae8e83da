"""Coverage by account, region and trail: a bar over the window, the share of what is due, and what went wrong there."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from cloudtrail_validate.core.model import Interval, Kind
from cloudtrail_validate.core.text import share
from cloudtrail_validate.report.due import chain_due
from cloudtrail_validate.report.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from cloudtrail_validate.report import ChainRecord, CountsRecord, Report

MOST_ROWS: Final = 16  # rows of coverage: with a page of findings below, more would push the verdict out of sight
BAR: Final = (8, 40)  # cells, least and most
OUTCOMES: Final = ("valid", "altered", "missing", "extra", "unverifiable")


@dataclass(slots=True)
class Row:
    """One account, region and trail; its backfill chain, if any, adds counts and gaps but no hours of its own."""

    labels: tuple[str, str, str]
    covered: list[tuple[datetime, datetime]] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)
    digests: Counter[str] = field(default_factory=Counter)
    logs: Counter[str] = field(default_factory=Counter)
    proven: float = 0.0  # seconds of the window that are covered and in no gap
    due: float = 0.0  # seconds of the window whose digests should have arrived
    unfinished: bool = False  # the run was interrupted before it was done

    def add(self, chain: ChainRecord) -> None:
        """Take a chain of this place in."""
        self.unfinished = self.unfinished or chain.unfinished is True
        if chain.kind is Kind.STANDARD:
            self.covered += chain.covered
        self.gaps += [(gap.start, gap.end) for gap in chain.gaps]
        self.digests.update(by_outcome(chain.digests))
        self.logs.update(by_outcome(chain.logs))

    @property
    def issues(self) -> str:
        """What went wrong with its files; empty where nothing did."""
        parts = []
        for noun, counts in (("digests", self.digests), ("logs", self.logs)):
            wrong = ", ".join(f"{counts[name]:,} {name}" for name in OUTCOMES[1:] if counts[name])
            parts += [f"{noun}: {wrong}"] if wrong else []
        return "; ".join([*parts, "unfinished"] if parts and self.unfinished else parts)

    @property
    def portion(self) -> float:
        """How much of what is due is proven, 0 to 1."""
        return self.proven / self.due if self.due else 1.0

    @property
    def rank(self) -> tuple[int, float, tuple[str, str, str]]:
        """Most evidence of change first, then least covered."""
        bad = sum(counts[name] for counts in (self.digests, self.logs) for name in ("altered", "missing", "extra"))
        return -bad, self.portion, self.labels


def by_outcome(counts: CountsRecord) -> dict[str, int]:
    """Numbers of objects by outcome."""
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


def rows_of(report: Report) -> list[Row]:
    """A row for each account, region and trail, in order of their names."""
    rows: dict[tuple[str, ...], Row] = {}
    start, end = report.request.start, report.request.end
    window = Interval(start, end)
    for chain in report.chains:
        key = (chain.organization_id or "", chain.account, chain.region, chain.trail, chain.home_region)
        row = rows.setdefault(key, Row((chain.account, chain.region, chain.trail)))
        row.add(chain)
        if chain.kind is Kind.STANDARD:
            row.due = (chain_due(chain, window, report.run.started) - start).total_seconds()
    for row in rows.values():
        row.covered, row.gaps = _merged(row.covered), _merged(row.gaps)
        lost = sum(_seconds(row.covered, max(a, start), min(b, end)) for a, b in row.gaps if a < end and start < b)
        row.proven = _seconds(row.covered, start, end) - lost
    return [rows[key] for key in sorted(rows)]


def _bar(page: Page, rows: Sequence[Row], report: Report, cells: int) -> list[tuple[str, str]]:
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


@dataclass(frozen=True, slots=True)
class _Grid:
    """The widths of the coverage table, in cells of the terminal."""

    labels: tuple[int, ...]
    label: int
    bar: int
    number: int

    @classmethod
    def fit(cls, page: Page, shown: Sequence[Row], rows: Sequence[Row]) -> _Grid:
        """Give each column what it needs, the labels at most their cap, and the bar what is left."""
        trails = len({row.labels[2] for row in rows}) > 1
        caps = (128, 128, 128) if page.whole else (20, 24, 24) if page.layout >= 110 else (12, 14, 12)
        longest = [max((cell_len(page.safe(row.labels[i])) for row in shown), default=0) for i in range(3)]
        labels = tuple(min(cap, width) for cap, width in zip(caps, longest, strict=True))[: 3 if trails else 2]
        label = max(22, sum(labels) + 2 * (len(labels) - 1))
        most = max(sum(row.digests.total() for row in rows), sum(row.logs.total() for row in rows))
        number = max(len("digests"), len(f"{most:,}"))
        bar = page.layout - 2 - label - 2 - 7 - 2 * (2 + number)
        return cls(labels, label, max(BAR[0], min(BAR[1], bar)), number)

    @property
    def width(self) -> int:
        """Of a whole row, indent included."""
        return 2 + self.label + 2 + self.bar + 7 + 2 * (2 + self.number)


def _line(page: Page, report: Report, grid: _Grid, label: str, rows: Sequence[Row]) -> None:
    """One line for one row, or for several that are folded: the least covered of them decides bar and percentage."""
    digests = sum(row.digests.total() for row in rows)
    logs = sum(row.logs.total() for row in rows)
    least = min(rows, key=lambda row: row.portion)
    numbers = f"  {share(least.proven, least.due):>5}  {digests:>{grid.number},}  {logs:>{grid.number},}"
    issues = rows[0].issues if len(rows) == 1 else ""
    style = "red" if rows[0].rank[0] else "yellow"
    beside = page.whole or grid.width + 2 + len(issues) <= page.width
    bar = _bar(page, rows, report, grid.bar)
    page.line(set_cell_size(label, grid.label), "  ", *bar, numbers, (f"  {issues}" if beside else "", style), indent=2)
    if issues and not beside:
        page.wrapped(issues, style=style, indent=4)


def coverage(page: Page, report: Report, *, everything: bool) -> None:
    """The section, worst places first; those without fault are one line where there are many."""
    rows = rows_of(report)
    if not rows:
        return
    unfinished = [row for row in rows if row.unfinished and not (row.issues or row.gaps or everything)]
    wrong = sorted((row for row in rows if row.issues or row.gaps), key=lambda row: row.rank)
    fine = [row for row in rows if not (row.issues or row.gaps) and row not in unfinished]
    shown = wrong + fine if everything or len(rows) <= MOST_ROWS else wrong[:MOST_ROWS]
    grid = _Grid.fit(page, shown, rows)
    page.line()
    heading = f"{'digests':>{grid.number}}  {'logs':>{grid.number}}"
    page.line((set_cell_size("Coverage of what is due", grid.width - len(heading)), "bold"), (heading, "dim"))
    for row in shown:
        labels = [page.shorten(text, width) for text, width in zip(row.labels, grid.labels, strict=False)]
        label = "  ".join(set_cell_size(text, width) for text, width in zip(labels, grid.labels, strict=True))
        _line(page, report, grid, label, [row])
    if len(shown) < len(wrong):
        more = wrong[len(shown) :]
        _line(page, report, grid, f"{len(more):,} more with faults", more)
    if len(shown) < len(wrong) + len(fine) and fine:
        _line(page, report, grid, f"{len(fine):,} without fault", fine)
    if unfinished:
        _line(page, report, grid, f"{len(unfinished):,} unfinished", unfinished)
    _legend(page, report, rows)


def _legend(page: Page, report: Report, rows: Sequence[Row]) -> None:
    """Explain the signs, where there is anything but covered hours."""
    window = (report.request.end - report.request.start).total_seconds()
    signs, gaps = page.signs, any(row.gaps for row in rows)
    due = all(row.due >= window for row in rows)
    key = [f"{signs.covered} covered"]
    key += [f"{signs.partly} in part", f"{signs.gap} gap"] if gaps else []
    if report.stopped:
        key += [f"{signs.pending} not looked at, or no digest due yet"]
    elif not due:
        key += [f"{signs.pending} no digest due yet"]
    if len(key) > 1:
        page.line(("  ".join(key), "dim"), indent=2)
