"""Saved queries, one after the other: which they are, what the signature says, and the statement that it covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.report import Verdict
from cloudtrail_validate.report.beside import by_query, query_lines

if TYPE_CHECKING:
    from cloudtrail_validate.report import QueryRecord, Report
    from cloudtrail_validate.report.page import Page

MOST_QUERIES: Final = 8  # told of; with findings below, more would push the verdict out of sight
_STATEMENT: Final = 400  # characters; the JSON report has the whole


def queries(page: Page, report: Report, *, everything: bool) -> None:
    """The section. Queries with something wrong come first."""
    found = by_query(report)
    wrong = {folder for folder, of in found.items() if any(one.status is not Status.NOTICE for one in of)}
    held = sorted(report.saved_queries, key=lambda query: (query.bucket, query.key) not in wrong)
    most = len(held) if everything or len(held) <= MOST_QUERIES + 1 else MOST_QUERIES
    for query in held[:most]:
        page.line()
        _query(page, query, whole=(query.bucket, query.key) not in wrong)
    if held[most:]:
        page.line()
        page.line(
            (f"{page.signs.dots} and {plural(len(held) - most, 'more query', 'more queries')}: --show all", "dim")
        )


def _query(page: Page, query: QueryRecord, *, whole: bool) -> None:
    where = f"s3://{query.bucket}/{query.key}" if query.bucket else query.key or "./"
    sign, style = (Verdict.VALID, "green") if whole else (Verdict.UNPROVEN, "yellow")
    page.line((f"{page.signs.verdict[sign]} ", style), (page.shorten(where, page.width - 2), "bold"))
    told = dict(query_lines(query))
    for names in (("Completed", "Region"), ("Signature", "Results"), ("Statement",), ("Covered",)):
        lead, *others = names
        more = "".join(f"; {name.lower()} {told[name]}" for name in others)
        page.wrapped(page.shorten(told[lead] + more, _STATEMENT), lead=(f"{lead:<11}", "dim"), indent=2)
