"""`ctvalidate merge PART…`: the parts of a run as one report."""

from __future__ import annotations

from pathlib import Path

import click

from cloudtrail_validate.cli import shards
from cloudtrail_validate.cli.writing import check_outputs, print_report, report_options, write_files
from cloudtrail_validate.core.errors import ConfigurationError, RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode


@click.command("merge", short_help="Merge the parts of a run into one report.")
@click.argument("parts", nargs=-1, required=True, metavar="PART...")
@report_options
@click.option("--profile", metavar="NAME", help="AWS profile, for parts in S3.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
def command(
    *,
    parts: tuple[str, ...],
    format_: str,
    outputs: tuple[Path, ...],
    show: int | None,
    quiet: bool,
    profile: str | None,
    endpoint_url: str | None,
) -> int:
    """Merge what `--shard I/N --part PART` wrote, files or s3://BUCKET/KEY, into one report.

    A folder (DIR or s3://BUCKET/PREFIX/) stands for all parts that lie in it.

    A part that is missing, there twice or of another run makes the verdict unproven, and is named. Exits as a run does.
    """
    from msgspec.structs import replace

    from cloudtrail_validate.distribute.parts import decode, merge
    from cloudtrail_validate.report.build import build

    try:
        check_outputs(format_, outputs)
        names = [name for where in parts for name in shards.find(where, profile, endpoint_url)]
        held = [(name, decode(shards.read(name, profile, endpoint_url), printable(name))) for name in names]
        outcome, first = merge(held)
    except (RequestError, ConfigurationError) as error:
        raise click.UsageError(printable(str(error))) from error
    runs = [part.run for _, part in held]
    ran = replace(first.run, started=min(run.started for run in runs), finished=max(run.finished for run in runs))
    report = build(outcome, first.request, ran, first.tolerate)
    written = write_files(report, outputs)
    told = print_report(report, format_, tally=outcome.findings.tally, show=show, quiet=quiet)
    code = report.exit_code
    return code if (told and written) or code != ExitCode.VALID else int(ExitCode.UNPROVEN)
