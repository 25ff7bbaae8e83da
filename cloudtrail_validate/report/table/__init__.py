"""The answer at a glance, for a terminal.

From the top: the verdict, what was asked, coverage of what is due by account and region, the numbers, the incidents with
what to do next, and what all this does not prove. Whatever the report holds is hostile and reaches the console through
`Page` only. Colour only repeats what a word or sign already says.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.text import duration, share, size
from cloudtrail_validate.report import StateRecord, Verdict
from cloudtrail_validate.report.beside import witness_lines
from cloudtrail_validate.report.due import due, due_seconds, due_sentence
from cloudtrail_validate.report.formats import FEW
from cloudtrail_validate.report.page import VERDICT_STYLES, Page
from cloudtrail_validate.report.remembered import memory_of, unchanged
from cloudtrail_validate.report.table.coverage import MOST_ROWS, OUTCOMES, by_outcome, coverage
from cloudtrail_validate.report.table.queries import queries
from cloudtrail_validate.report.table.story import STYLES, story
from cloudtrail_validate.report.wording import (
    all_proven,
    copied,
    derivation,
    how_far,
    key_sources,
    limits,
    narrowed,
    nothing_found,
    places,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cloudtrail_validate.report import Report, Tally

__all__ = ["FEW", "MOST_ROWS", "render"]


def render(
    report: Report,
    console: Console,
    *,
    show: int | None = FEW,
    tally: Tally | None = None,
    whole: bool = False,
    quiet: bool = False,
    kept: str | None = None,
) -> None:
    """Print `report` on `console`.

    No line is wider than the console, commands to paste excepted; with `whole`, for what is no terminal, nothing is
    shortened or wrapped. `show` is how many findings of an incident are shown, None for all of them and all coverage.
    `tally` has the exact numbers where the report's findings are capped; without it they are counted, and called "at
    least" where the report says that it is truncated. `quiet` leaves verdict and findings. `kept` names the file in which
    the report is kept as JSON, for commands that go on with it.
    """
    page = Page(console, whole=whole)
    numbers = _numbers(report, tally)
    exact = tally is not None or not report.findings_truncated
    _verdict(page, report, numbers)
    if not quiet:
        _header(page, report)
        if report.of_queries:
            queries(page, report, everything=show is None)
        else:
            coverage(page, report, everything=show is None)
        _totals(page, report)
    story(page, report, numbers, show=show, exact=exact, kept=kept)
    if not quiet:
        page.line()
        page.wrapped(limits(report), style="dim")


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
    def told(lead: str, *statuses: Status) -> str:
        found = "" if narrowed(report) else _by_status(numbers, *statuses)
        return f"{lead}: {found}" if found else lead

    open_questions = (Status.UNVERIFIABLE, Status.UNCOVERED)
    word = f"{report.verdict.upper()} "
    match report.verdict:
        case Verdict.CHANGED if report.stopped:
            changed = told("Evidence of change", Status.ALTERED, Status.MISSING, Status.EXTRA)
            sentence = f"{changed}. INTERRUPTED {how_far(report)}"
        case _ if report.stopped:
            word, sentence = "INTERRUPTED", f"{how_far(report)}. No evidence of change until then"
        case Verdict.VALID if _by_status(numbers, *open_questions):
            sentence = told("No evidence of change; what could not be proven was tolerated", *open_questions)
        case Verdict.VALID:
            sentence = all_proven(report)
        case Verdict.CHANGED:
            sentence = told("Evidence of change", Status.ALTERED, Status.MISSING, Status.EXTRA)
        case Verdict.UNPROVEN:
            sentence = told("No evidence of change, but not everything could be proven", *open_questions)
        case Verdict.EMPTY:
            sentence = nothing_found(report)
    style = VERDICT_STYLES[report.verdict]
    lead = (f"{page.signs.verdict[report.verdict]} {word} ", style)
    page.wrapped(f"{sentence} (exit code {report.exit_code}).", lead=lead)


def _header(page: Page, report: Report) -> None:
    request, run, summary = report.request, report.run, report.summary
    span = duration((request.end - request.start).total_seconds())
    took = duration((run.finished - run.started).total_seconds())
    covered = f"{share(summary.covered_seconds, due_seconds(report))} of what is due, in every account and region"
    if report.of_queries:
        _query_header(page, report, took)
        return
    rows = (
        *(("Try", hint) for hint in report.suggestions),
        ("Trail", request.trail_arn or "any found in the source"),
        ("Source", f"{request.source}{copied(request)}"),
        ("Window", f"{isoformat(request.start)} to {isoformat(request.end)}, UTC ({span})"),
        ("Scope", _scope(report)),
        ("Places", places(report.summary)),
        ("Covered", f"{covered}{due_sentence(due(report))}" if report.chains else ""),
        ("Keys", key_sources(report)),
        ("Memory", memory_of(report)),
        ("Run", f"{report.tool.name} {report.tool.version}, {isoformat(run.started)}, took {took}"),
        ("As", run.caller_arn or ""),
        *witness_lines(report),
        *derivation(report),
    )
    page.line()
    for name, value in rows:
        if value:
            page.wrapped(page.shorten(value, 400), lead=(f"{name:<8}", "dim"), indent=2)


def _query_header(page: Page, report: Report, took: str) -> None:
    request, run, number = report.request, report.run, len(report.saved_queries)
    rows = (
        ("Source", request.source),
        (
            "Queries",
            f"{number:,}, completed {isoformat(request.start)} to {isoformat(request.end)}" if number else "none",
        ),
        ("Keys", key_sources(report)),
        ("Run", f"{report.tool.name} {report.tool.version}, {isoformat(run.started)}, took {took}"),
        ("As", run.caller_arn or ""),
        *derivation(report),
    )
    page.line()
    for name, value in rows:
        if value:
            page.wrapped(page.shorten(value, 400), lead=(f"{name:<8}", "dim"), indent=2)


def _scope(report: Report) -> str:
    request = report.request
    accounts = {chain.account for chain in report.chains}
    regions = {chain.region for chain in report.chains}
    asked_accounts = f"accounts {', '.join(request.accounts)}" if request.accounts else "all accounts"
    asked_regions = f"regions {', '.join(request.regions)}" if request.regions else "all regions"
    return f"{asked_accounts} ({len(accounts):,} found), {asked_regions} ({len(regions):,} found)"


def _totals(page: Page, report: Report) -> None:
    summary = report.summary
    nouns = ("Signs", "Results") if report.of_queries else ("Digests", "Logs")
    rows = dict(zip(nouns, (by_outcome(summary.digests), by_outcome(summary.logs)), strict=True))
    widths = [max(len(name), *(len(f"{row[name]:,}") for row in rows.values())) for name in OUTCOMES]
    page.line()
    heading = "".join(f"  {name:>{width}}" for name, width in zip(OUTCOMES, widths, strict=True))
    kept = dict(zip(rows, unchanged(report), strict=True))
    show_unchanged = isinstance(report.state, StateRecord)
    column = max(len("unchanged"), *(len(f"{number:,}") for number in kept.values()))
    page.line(" " * 8, (heading + (f"  {'unchanged':>{column}}" if show_unchanged else ""), "dim"))
    for name, row in rows.items():
        parts = [(f"{name:<8}", "bold")]
        for outcome, width in zip(OUTCOMES, widths, strict=True):
            style = "dim" if not row[outcome] else "" if outcome == "valid" else STYLES[Status(outcome)]
            parts.append((f"  {row[outcome]:>{width},}", style))
        if show_unchanged:
            parts.append((f"  {kept[name]:>{column},}", "" if kept[name] else "dim"))
        page.line(*parts)
    page.line(
        (f"{size(summary.log_bytes_hashed)} of {'results' if report.of_queries else 'log content'} hashed", "dim"),
        indent=2,
    )
