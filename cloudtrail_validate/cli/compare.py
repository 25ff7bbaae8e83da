"""`ctvalidate compare OLD NEW`: what appeared, healed and stayed between two kept reports."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cloudtrail_validate.cli.reports import read_report
from cloudtrail_validate.cli.writing import Shown, console, print_answer
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report.formats import FEW

if TYPE_CHECKING:
    from cloudtrail_validate.report.compared import Comparison


@click.command("compare", short_help="What appeared, healed and stayed between two reports.")
@click.argument("old")
@click.argument("new")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--show", type=Shown(), default=FEW, metavar="N|all", help="Findings shown of each rule.  [default: 3]")
def command(old: str, new: str, *, format_: str, show: int) -> int:
    """Say what appeared, what healed and what stayed from the report OLD to the report NEW.

    Both are reports in JSON (`--output report.json`); one may be - for standard input. What NEW did not look at is named
    apart: nothing is said of it.

    Exit codes: 0 the same or better; 1 evidence of change appeared; 3 something unproven appeared, or hours that were
    proven are no longer; 2 wrong command line, no such report, or reports about different trails.
    """
    from cloudtrail_validate.report.compared import UnlikeError, compare

    if old == new == "-":
        raise click.UsageError("expected a file for one of OLD and NEW: standard input holds one report")
    try:
        found = compare(read_report(old), read_report(new))
    except UnlikeError as error:
        raise click.UsageError(printable(str(error))) from error
    told = print_answer(found, format_, lambda: _table(found, None if show < 0 else show))
    return found.exit_code if told or found.exit_code != ExitCode.VALID else int(ExitCode.UNPROVEN)


def _table(found: Comparison, show: int | None) -> None:
    from cloudtrail_validate.report.table.comparison import render

    render(found, console(), show=show, whole=not sys.stdout.isatty())
