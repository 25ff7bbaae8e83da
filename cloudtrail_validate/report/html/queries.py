"""What the page says of saved queries: their statements, what covers them, words that differ from those of a trail."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.text import plural, size
from cloudtrail_validate.report import Report, Verdict
from cloudtrail_validate.report.beside import query_lines
from cloudtrail_validate.report.html.parts import facts, minute, text

MOST_QUERIES: Final = 200  # on the page; the JSON report has all
A_SIGN_FILE_IS: Final = (
    "Beside the saved results of a query CloudTrail Lake delivers a sign file: it lists the result files with their "
    "SHA-256 hashes, and bears a signature over these hashes, made with a key that only AWS holds."
)


def proven_queries(signs: int, results: int) -> str:
    """What was proven, in one sentence."""
    if not signs and not results:
        return "Here no sign file was proven, and with it no result."
    return (
        f"Here {plural(signs, 'sign file')} and {plural(results, 'result file')} were proven: each result is bit for bit "
        "the one whose hash AWS signed."
    )


def left_of_queries(verdict: Verdict) -> str:
    """What was not proven, in one sentence."""
    match verdict:
        case Verdict.VALID:
            return "No file that a sign file lists is missing, none was changed, and none lies there besides."
        case Verdict.CHANGED:
            return "Other files are not what AWS delivered, are gone, or were never delivered: it is told below."
        case Verdict.UNPROVEN:
            return "No file was found to be changed, but not all of them could be proven."
        case Verdict.EMPTY:
            return "There are no saved results of queries at all, so that nothing can be said about them."


def asked_of_queries(report: Report) -> list[tuple[str, str]]:
    """What was asked, as names and values."""
    request = report.request
    return [
        ("Source", request.source),
        ("Queries", f"{len(report.saved_queries):,}"),
        ("First completed", f"{minute(request.start)} UTC" if report.saved_queries else "none"),
        ("Last completed", f"{minute(request.end)} UTC" if report.saved_queries else "none"),
    ]


def figure_of_queries(report: Report) -> str:
    """The number that stands out: how many queries have statements that AWS signed."""
    held = report.saved_queries
    covered = sum(query.statement_covered for query in held)
    return (
        f'<div><p class="figure"><strong>{covered:,}</strong> of {plural(len(held), "statement")} covered by a valid '
        f'signature.</p>\n<p class="muted">{size(report.summary.log_bytes_hashed)} of results hashed.</p></div>\n'
    )


def queries(report: Report) -> str:
    """The section; empty for a report about trails."""
    if not report.saved_queries:
        return ""
    told = ""
    for query in report.saved_queries[:MOST_QUERIES]:
        where = f"s3://{query.bucket}/{query.key}" if query.bucket else query.key or "./"
        told += f"<div><h3><code>{text(where)}</code></h3>\n<dl>{facts(query_lines(query))}</dl></div>\n"
    left = len(report.saved_queries) - MOST_QUERIES
    more = (
        f'<p class="muted">{plural(left, "more query", "more queries")} in the JSON report.</p>\n' if left > 0 else ""
    )
    heading = '<h2 id="queries-title">Queries and their statements</h2>'
    return f'<section aria-labelledby="queries-title">\n{heading}\n<div class="facts">{told}</div>{more}</section>\n'
