"""`ctvalidate export --events DIR`: events of validated logs in files for databases, each row with its proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from cloudtrail_validate.cli import validate
from cloudtrail_validate.cli.files import check_apart
from cloudtrail_validate.cli.scope import scope_options
from cloudtrail_validate.cli.search import EventCommand, build_request, code_of, filter_options, take_query
from cloudtrail_validate.core.errors import ConfigurationError, RequestError
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.runtime.clock import now_utc

EXAMPLES: Final = (
    ("a week of a trail", "ctvalidate export --events events --s3-bucket DOC-EXAMPLE-BUCKET --last 7d"),
    (
        "as Parquet, only what is proven",
        "ctvalidate export --events events --format parquet --proven-only --source copy --last 30d",
    ),
    ("what one role did", "ctvalidate export --events events --source copy --last 7d --user Deployment"),
)


@click.command("export", cls=EventCommand, short_help="Write events with their proof for databases.")
@click.option(
    "--events",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="New or empty folder for the files.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "parquet"], case_sensitive=False),
    default="jsonl",
    help="Parquet needs the parquet extra.  [default: jsonl]",
)
@filter_options
@click.option("--proven-only", is_flag=True, help="Leave out events that no proven digest vouches for.")
@scope_options
@click.option("-q", "--quiet", is_flag=True, help="No progress, no remarks.")
def command(folder: Path, format_: str, *, proven_only: bool, quiet: bool, **options: Any) -> int:
    """Validate logs and write their events to DIR/account=…/region=…/day=…, for DuckDB, Athena and the like.

    Each row has the usual fields as columns, nested ones and the whole event as JSON text, and its proof. Filters are
    those of `ctvalidate search`. Exits as the validation does; 3 in place of 0 where not everything was written.
    """
    from cloudtrail_validate.search.export import Exporter
    from cloudtrail_validate.search.search import Searcher

    now = now_utc()
    try:
        exporter = Exporter(folder, format_)
        searcher = Searcher(take_query(options), exporter, proven_only=proven_only)
        request = build_request(options, now)
        _make(folder)
    except (RequestError, ConfigurationError) as error:
        raise click.UsageError(printable(str(error))) from error
    check_apart("--events", folder, request.source)
    result = validate.execute(request, now, companion=searcher, progress="none" if quiet else validate.AUTO)
    searcher.finish()
    exporter.finish(searcher.outcome(), result.report)
    if exporter.failure is not None:
        reason = exporter.failure.strerror or type(exporter.failure).__name__
        click.echo(f"ctvalidate: --events: cannot write to {printable(str(folder))}: {reason}", err=True)
    if not quiet:
        _tell(folder, exporter.events, exporter.files, searcher.unsearched, result.report.exit_code)
    return code_of(result, searcher, told=exporter.failure is None)


def _make(folder: Path) -> None:
    """Make the folder. Raises `RequestError` where it holds something, which nobody could tell from this export."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if next(folder.iterdir(), None) is not None:
            raise RequestError(f"--events: expected a new or empty folder, got {str(folder)!r}")
    except OSError as error:
        raise RequestError(f"--events: cannot make {str(folder)!r}: {error.strerror}") from error


def _tell(folder: Path, events: int, files: int, unsearched: dict[str, str], code: int) -> None:
    where = printable(str(folder))
    click.echo(
        f"ctvalidate: {plural(events, 'event')} in {plural(files, 'file')}, {where} (exit code {code})", err=True
    )
    for key, reason in unsearched.items():
        click.echo(f"ctvalidate: not searched: {printable(key)}: {printable(reason)}", err=True)
