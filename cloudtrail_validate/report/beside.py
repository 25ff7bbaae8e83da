"""What reports hold besides trails, as names and values for people: saved queries, and what independent sources told.

Nothing in it is made printable yet.
"""

from __future__ import annotations

import msgspec

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.report import FindingRecord, QueryRecord, Report


def witness_lines(report: Report) -> list[tuple[str, str]]:
    """What independent sources were asked and how much was compared, as names and values; empty without them."""
    witness = report.witness
    if isinstance(witness, msgspec.UnsetType):
        return []
    names = ("agreeing", "differing", "absent", "left_out", "undue", "unreadable")
    told = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name in names if (number := getattr(witness, name)))
    hours = "lost hours only, " if witness.only_lost else ""
    lines = [
        ("Witness", f"{hours}{plural(witness.compared, 'event')} of independent sources{f': {told}' if told else ''}")
    ]
    for source in sorted({one.source for one in witness.sources}):
        mine = [one for one in witness.sources if one.source == source]
        asked = f"{plural(len(mine), 'region')}, {plural(sum(one.events for one in mine), 'event')}"
        lines.append(("", f"{source}: {asked}, {plural(sum(one.requests for one in mine), 'request')}"))
    for problem in dict.fromkeys(one.problem for one in witness.sources if one.problem):
        regions = [one.region for one in witness.sources if one.problem == problem]
        lines.append(("", f"not all of it in {', '.join(regions[:4])}{' …' * (len(regions) > 4)}: {problem}"))
    if witness.skipped_accounts:
        lines.append(("", f"event history not read of {plural(len(witness.skipped_accounts), 'other account')}"))
    return lines


def by_query(report: Report) -> dict[tuple[str | None, str], list[FindingRecord]]:
    """Findings by the bucket and folder of the query that they are about; a file below a folder counts as the folder's."""
    found: dict[tuple[str | None, str], list[FindingRecord]] = {
        (query.bucket, query.key): [] for query in report.saved_queries
    }
    for finding in report.findings:
        folder = finding.key or ""
        while folder and (finding.bucket, folder) not in found:
            above, slash, _ = folder.removesuffix("/").rpartition("/")
            folder = above + slash
        found.setdefault((finding.bucket, folder), []).append(finding)
    return found


def query_lines(query: QueryRecord) -> list[tuple[str, str]]:
    """One query's results as names and values, for people: nothing in it is made printable yet."""
    counts = query.results
    names = ("valid", "altered", "missing", "extra", "unverifiable")
    files = ", ".join(f"{getattr(counts, name):,} {name}" for name in names if getattr(counts, name)) or "none"
    signed = {"valid": "valid", "invalid": "does not fit", "no-key": "no key for it", "unsupported": "not checked"}
    return [
        ("Query", query.query_id or "not known: the folder is not in its place"),
        ("Account", query.account or "not known"),
        ("Completed", isoformat(query.completed) if query.completed else "not known"),
        ("Region", query.region or "not known"),
        ("Signature", signed.get(query.signature, "none that can be checked")),
        ("Results", files),
        ("Statement", query.statement or "not in the results"),
        ("Covered", "yes: AWS signed the hash of the file that holds it" if query.statement_covered else "no"),
    ]
