"""A comparison of two reports for a terminal: the answer, both reports, then what appeared, healed and stayed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import duration, plural, share
from cloudtrail_validate.report.compared import Answer
from cloudtrail_validate.report.formats import FEW
from cloudtrail_validate.report.page import Page
from cloudtrail_validate.report.table.story import STYLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cloudtrail_validate.report import FindingRecord, SourceReport
    from cloudtrail_validate.report.compared import Comparison

_WORDS: Final = {
    Answer.SAME: ("SAME", "bold green", "Nothing appeared that was not there before"),
    Answer.BETTER: ("BETTER", "bold green", "Nothing appeared, and something healed"),
    Answer.CHANGED: ("CHANGED", "bold red", "Evidence of change appeared"),
    Answer.UNPROVEN: ("UNPROVEN", "bold yellow", "No evidence of change appeared, but less is proven than before"),
}


def render(found: Comparison, console: Console, *, show: int | None = FEW, whole: bool = False) -> None:
    """Print a comparison. `show` is how many findings of a rule are shown, None for all; `whole` as of reports."""
    page = Page(console, whole=whole)
    word, style, sentence = _WORDS[found.answer]
    page.wrapped(f"{sentence} (exit code {found.exit_code}).", lead=(f"{word}  ", style))
    page.line()
    for name, source in (("Old", found.old), ("New", found.new)):
        page.wrapped(_source(source), lead=(f"{name:<9}", "dim"), indent=2)
    coverage = found.coverage
    before, now = share(coverage.old_covered, coverage.old_due), share(coverage.new_covered, coverage.new_due)
    lost = f"; {duration(coverage.lost_seconds)} of chains are no longer proven" if coverage.lost_seconds else ""
    page.wrapped(f"{before} of what was due, then {now}{lost}", lead=(f"{'Covered':<9}", "dim"), indent=2)
    for note in found.notes:
        page.wrapped(note, lead=(f"{'Note':<9}", "dim"), indent=2)
    grown = {id(item.finding): item.grown_seconds for item in found.stayed}
    for title, findings in (
        ("Appeared", found.appeared),
        ("Healed", found.healed),
        ("Stayed", tuple(item.finding for item in found.stayed)),
        ("Not looked at by the new report", found.unlooked),
    ):
        if findings or title in ("Appeared", "Healed", "Stayed"):
            _section(page, title, findings, show, grown)


def _source(source: SourceReport) -> str:
    window = f"{isoformat(source.request.start)} to {isoformat(source.request.end)}"
    return f"{source.verdict}, {window}, run {isoformat(source.run.finished)}, {source.request.source}"


def _section(
    page: Page, title: str, findings: Sequence[FindingRecord], show: int | None, grown: dict[int, int]
) -> None:
    page.line()
    page.line((title, "bold"), (f"  {plural(len(findings), 'finding')}", "dim"))
    groups: defaultdict[tuple[str, str], list[FindingRecord]] = defaultdict(list)
    for finding in findings:
        groups[finding.status, finding.rule].append(finding)
    for (status, rule), group in groups.items():
        name = RULES[rule].title if rule in RULES else "(a rule that this version does not know)"
        page.line((f"{status.upper():<14}", STYLES[group[0].status]), f"{len(group):,} {rule}  ", name, indent=2)
        few = len(group) if show is None or len(group) <= show + 1 else show
        for finding in group[:few]:
            _finding(page, finding, grown.get(id(finding), 0))
        if few < len(group):
            page.line((f"{page.signs.dots} and {len(group) - few:,} more: --show all", "dim"), indent=4)


def _finding(page: Page, finding: FindingRecord, grown: int) -> None:
    if finding.key is not None:
        page.line(page.shorten(finding.key, page.width - 4, key=True), indent=4)
        return
    place = "  ".join(page.shorten(part, 24) for part in (finding.account, finding.region) if part)
    hours = ""
    if finding.start is not None and finding.end is not None:
        hours = f"  {isoformat(finding.start)} for {duration((finding.end - finding.start).total_seconds())}"
    more = f", {duration(grown)} more than before" if grown else ""
    page.line(f"{place or 'the trail'}{hours}{more}", indent=4)
