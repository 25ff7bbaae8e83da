"""The examination for a terminal: the verdict, then each of the three questions with what is not well, and its remedy.

Whatever AWS answered is hostile and reaches the console through `Page` only. Colour repeats what a word already says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.doctor.model import Axis, Health
from cloudtrail_validate.doctor.render.sentences import LIMITS, QUESTIONS, verdict
from cloudtrail_validate.report.page import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cloudtrail_validate.doctor.report import DoctorReport, Result

STYLES: Final = {Health.BAD: "red", Health.WEAK: "yellow", Health.UNKNOWN: "cyan", Health.OK: "green"}
_COLUMN: Final = 9  # cells of the status, with the space behind it
_LONG: Final = 400  # cells of a command that are shown
_DOCUMENT: Final = re.compile(r"'[{\[].*[}\]]'|(?<= )[{\[]\".*[}\]]")
"""A JSON document in a command: --fix-plan prints it, and nobody reads it here."""


def render(
    report: DoctorReport, console: Console, *, verbose: bool = False, quiet: bool = False, whole: bool = False
) -> None:
    """Print `report` on `console`; no line is wider, unless `whole`, where nothing is cut or wrapped.

    `verbose` shows evidence of what is well, too; `quiet` only the verdict and what is not well.
    """
    page = Page(console, whole=whole)
    style = f"bold {STYLES[report.verdict]}"
    page.wrapped(f"{verdict(report)} (exit code {report.exit_code}).", lead=(f"{report.verdict.upper()}  ", style))
    if not quiet:
        _header(page, report)
    for axis in Axis:
        results = [result for result in report.results if result.axes[0] is axis]
        if results:
            _question(page, axis, results, verbose=verbose, quiet=quiet)
    if quiet:
        return
    for skipped in report.skipped:
        page.wrapped(skipped.reason, style="dim", lead=(f"{'skipped':<{_COLUMN}}{skipped.check}: ", "dim"))
    missing = sorted({action for result in report.results for action in result.missing_actions})
    if missing:
        page.line()
        page.wrapped(", ".join(missing), lead=("Missing permissions: ", "bold"))
    page.line()
    if any(result.remedy for result in report.results):
        page.wrapped("ctvalidate doctor --fix-plan prints the commands whole, to read and to paste.", style="dim")
    page.wrapped(LIMITS, style="dim")


def _header(page: Page, report: DoctorReport) -> None:
    rows = (
        ("Trail", report.trail_arn or "none"),
        ("Bucket", f"s3://{report.bucket}" if report.bucket else "none"),
        ("Run", f"{report.tool.name} {report.tool.version}, {isoformat(report.run.started)}"),
        ("As", report.run.caller_arn or "not known"),
    )
    page.line()
    for name, value in rows:
        page.wrapped(page.shorten(value, 400), lead=(f"{name:<8}", "dim"), indent=2)


def _question(page: Page, axis: Axis, results: Sequence[Result], *, verbose: bool, quiet: bool) -> None:
    well = [result for result in results if result.status is Health.OK]
    if quiet and len(well) == len(results):
        return
    page.line()
    page.line((QUESTIONS[axis], "bold"), (f"  {len(well)} of {len(results)} well", "dim"))
    for status in Health:
        for result in results:
            if result.status is status and (verbose or status is not Health.OK):
                _result(page, result)
    if well and not verbose and not quiet:
        names = ", ".join(result.check for result in well)
        page.wrapped(names, style="dim", lead=(f"{'ok':<{_COLUMN}}", STYLES[Health.OK]))


def _result(page: Page, result: Result) -> None:
    page.line((f"{result.status:<{_COLUMN}}", STYLES[result.status]), (result.check, "bold"))
    page.wrapped(page.shorten(result.evidence, 2_000), style=STYLES[result.status], indent=_COLUMN)
    page.wrapped(page.shorten(result.title, 400), style="dim", lead=("wanted: ", "dim"), indent=_COLUMN)
    for line in result.remedy:
        remark = line.startswith("#")
        said = line.removeprefix("#").strip()
        shown = said if page.whole else page.shorten(_DOCUMENT.sub("'…'", said), _LONG)
        page.wrapped(shown, style="dim", lead=("  " if remark else f"{page.signs.next} ", "dim"), indent=_COLUMN)
