"""`ctvalidate report FILE…`: a kept report once more, in any format, merged with others or narrowed."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli.reports import read_doctor, read_report
from cloudtrail_validate.cli.writing import check_outputs, print_report, report_options, write_files
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report import formats
from cloudtrail_validate.request import parse_time

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report
    from cloudtrail_validate.report.kept import Kept
    from cloudtrail_validate.report.merged import Filter


@click.command("report", short_help="Show a kept report again: other formats, merged, narrowed.")
@click.argument("reports", nargs=-1, required=True, metavar="REPORT...")
@report_options
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="Only findings of this rule (repeatable).")
@click.option("--account", "accounts", multiple=True, metavar="ID", help="Only this account (repeatable).")
@click.option("--region", "regions", multiple=True, metavar="REGION", help="Only this region (repeatable).")
@click.option("--doctor", metavar="FILE", help="Show what `ctvalidate doctor --format json` found beside it, in HTML.")
@click.option("--since", metavar="TIME", help="Only what happened after that, ISO 8601; UTC unless it has an offset.")
def command(
    *,
    reports: tuple[str, ...],
    format_: str,
    outputs: tuple[Path, ...],
    show: int | None,
    quiet: bool,
    doctor: str | None,
    **narrowing: Any,
) -> int:
    """Show what a run found without running it again.

    REPORT is a report in JSON (`--output report.json`), - for standard input. Several are merged: each hour is told by
    the newest that looked at it, evidence of change stays whichever report has it, and objects are counted by each.

    Exits with the code of the whole report, whatever is shown of it; 2 for a file that is none.
    """
    try:
        check_outputs(format_, outputs)
        since = narrowing.pop("since")
        narrowing["since"] = parse_time(since, "--since") if since is not None else None
    except RequestError as error:
        raise click.UsageError(str(error)) from error
    if doctor is not None and format_ != "html" and not any(formats.by_ending(path.name) == "html" for path in outputs):
        raise click.UsageError("--doctor: expected --format html or an --output that ends in .html with it")
    kept = [read_report(name) for name in reports]
    beside = read_doctor(doctor) if doctor is not None else None
    report = _made_of(kept, narrowing)
    written = write_files(report, outputs, beside)
    name = reports[0] if len(reports) == 1 and reports[0] != "-" else None
    told = print_report(report, format_, show=show, quiet=quiet, kept=name, beside=beside)
    code = report.exit_code
    return code if (told and written) or code != ExitCode.VALID else int(ExitCode.UNPROVEN)


def _made_of(kept: list[Kept], narrowing: dict[str, Any]) -> Report:
    from cloudtrail_validate.report.build import this_tool
    from cloudtrail_validate.report.merged import Filter, merge, narrow

    if len({one.report.of_queries for one in kept}) > 1:
        raise click.UsageError("expected reports about trails or about query results, not of both sorts together")
    whole = merge(kept, this_tool())
    wanted = Filter(**narrowing)
    _check_names(whole, wanted)
    return narrow(whole, wanted, kept[0])


def _check_names(report: Report, wanted: Filter) -> None:
    """Refuse a name that nothing in the report bears: an empty answer would look like a good one."""
    from cloudtrail_validate.core.rules import RULES

    told = (*report.chains, *report.saved_queries, *report.findings)
    accounts, regions = ({getattr(one, name) or "" for one in told} for name in ("account", "region"))
    rules = {*RULES, *(finding.rule for finding in report.findings)}
    for option, names, known in (
        ("--rule", wanted.rules, rules),
        ("--account", wanted.accounts, accounts),
        ("--region", wanted.regions, regions),
    ):
        for name in names:
            if name not in known:
                near = get_close_matches(name, sorted(known), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                what = "there is no such rule" if option == "--rule" else "nothing in the report is of it"
                raise click.UsageError(f"{option} {printable(name)}: {what}{printable(hint)}")
