"""Hits and summaries for a terminal: three lines a hit, what it is, who did it, what vouches for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from cloudtrail_validate.core.text import plural
from cloudtrail_validate.report import Report
from cloudtrail_validate.report.page import VERDICT_STYLES, Page
from cloudtrail_validate.report.wording import sentence
from cloudtrail_validate.search.hits import Hit
from cloudtrail_validate.search.outcome import Outcome, numbers
from cloudtrail_validate.search.summary import Principal

FEW = 50  # hits that the table shows


def render_hits(page: Page, hits: Iterable[Hit], outcome: Outcome, report: Report, show: int | None) -> None:
    """Print the first `show` hits (None: all of them), then what vouches for all."""
    for hit in islice(hits, show):
        _hit(page, hit)
    if show is not None and outcome.hits > show:
        page.line((f"and {outcome.hits - show:,} more: --show all, or --format jsonl", "bold"))
        page.line()
    _footer(page, outcome, report)


def render_summary(
    page: Page, principals: Iterable[Principal], number: int, outcome: Outcome, report: Report, show: int | None
) -> None:
    """Print the first `show` principals (None: all of them), those with the most calls first."""
    for principal in islice(principals, show):
        _principal(page, principal)
    if show is not None and number > show:
        page.line((f"and {number - show:,} more: --show all, or --format jsonl", "bold"))
        page.line()
    _footer(page, outcome, report)


def _hit(page: Page, hit: Hit) -> None:
    event = hit.event
    sign = ("✓ ", "green") if hit.proof.proven else ("! ", "bold yellow")
    if page.encoding:
        sign = ("+ " if hit.proof.proven else "! ", sign[1])
    time = event.time.replace("T", " ").removesuffix("Z")[:40]
    page.line(
        sign,
        (f"{time or '(no time)'}  ", ""),
        (event.name[:100] or "(no name)", "bold"),
        f"  {event.source.removesuffix('.amazonaws.com')[:100]}  {event.region[:40]}  {(event.account or '')[:40]}",
        (f"  {event.error[:100]}" if event.error else "", "red"),
    )
    by = event.who.principal or "nobody named"
    page.line(page.shorten(f"by {by}" + (f", from {event.address}" if event.address else ""), page.width - 2), indent=2)
    if hit.proof.proven:
        page.line(("proven by ", "dim"), (page.shorten(hit.proof.digest, page.width - 12, key=True), "dim"), indent=2)
    else:
        lead = f"unproven, {hit.proof.rule}: "
        page.line((lead, "yellow"), page.shorten(hit.proof.log, page.width - 2 - len(lead), key=True), indent=2)
    answers = [*hit.uses, *(f"{match.title} ({match.level}, by {match.author})" for match in hit.sigma)]
    if answers:
        page.wrapped(", ".join(answer[:300] for answer in answers), lead=("answers ", "dim"), indent=2)
    page.line()


def _principal(page: Page, one: Principal) -> None:
    page.wrapped(one.name, style="bold")
    failed = f", {sum(one.failed.values()):,} failed" if one.failed else ""
    doubt = f", {one.unproven:,} unproven" if one.unproven else ""
    page.line(f"{plural(one.calls, 'call')}{failed}{doubt}, {one.first} to {one.last}", indent=2)
    for title, counter in (
        ("calls", one.succeeded),
        ("failed", one.failed),
        ("regions", one.regions),
        ("from", one.addresses),
        ("keys", one.keys),
        ("agents", one.agents),
    ):
        if counter:
            page.wrapped(_most_frequent(counter), lead=(f"{title:<8}", "dim"), indent=2)
    page.line()


def _most_frequent(counter: Counter[str], most: int = 8) -> str:
    ranked = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and {len(ranked) - most:,} more" if len(ranked) > most else ""
    return ", ".join(f"{value} ({number:,})" for value, number in ranked[:most]) + more


def _footer(page: Page, outcome: Outcome, report: Report) -> None:
    page.wrapped(f"{numbers(outcome)}.", style="bold")
    style = VERDICT_STYLES[report.verdict]
    lead = (f"{page.signs.verdict[report.verdict]} {report.verdict.upper()}  ", style)
    page.wrapped(f"{sentence(report)} (exit code {report.exit_code}).", lead=lead)
    shown = list(islice(outcome.unsearched.items(), 10))
    for key, reason in shown:
        page.wrapped(f"{key}: {reason}", lead=("not searched  ", "yellow"), indent=2)
    more = len(outcome.unsearched) + outcome.left_out - len(shown)
    if more > 0:
        page.line((f"and {more:,} more logs not searched, or not whole", "yellow"), indent=2)
