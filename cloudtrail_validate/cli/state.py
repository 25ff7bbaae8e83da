"""`ctvalidate state show STATE`: what a state remembers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli.writing import Shown, console, print_answer
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.state.view import StateView

FEW = 20  # account-regions and open findings shown, unless all are asked for


@click.group("state", short_help="What a state (`--state`) remembers.", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> int:
    """Work with a state, the memory of earlier runs."""
    if ctx.invoked_subcommand is None:  # click's own answer is another from version to version, with another code
        click.echo(ctx.get_help(), err=True)
        return 2
    return 0


@command.command("show", short_help="Print what a state remembers.")
@click.argument("state")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--show", type=Shown(), default=FEW, metavar="N|all", help="Account-regions and findings shown.  [default: 20]"
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Public key in PEM that it must be signed with.",
)
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
def show_(
    state: str, *, format_: str, show: int, public_key: Path | None, profile: str | None, endpoint_url: str | None
) -> int:
    """Print everything that STATE (a file, DIR/ or s3://BUCKET/KEY) holds. Nothing is written.

    Proven hours with their fingerprints, the newest digest of each chain, hours that could not be proven, findings that are
    open. A signed state is shown without its key as well, and says so.

    Exits 0; 2 where there is no state, it cannot be used, or it is not signed with the --public-key.
    """
    from cloudtrail_validate.core.errors import ConfigurationError
    from cloudtrail_validate.state.keeping import view
    from cloudtrail_validate.state.signing import load_verifier
    from cloudtrail_validate.state.storage import storage_of

    def client(_bucket: str) -> Any:
        from cloudtrail_validate.cli.shards import client

        return client(profile, endpoint_url)

    try:
        verifier = load_verifier(public_key) if public_key is not None else None
        found = view(storage_of(state, client), printable(state), verifier)
    except ConfigurationError as error:
        raise click.UsageError(printable(str(error))) from error
    told = print_answer(found, format_, lambda: _table(found, None if show < 0 else show))
    return int(ExitCode.VALID if told else ExitCode.UNPROVEN)


def _table(found: StateView, show: int | None) -> None:
    from cloudtrail_validate.report.page import Page
    from cloudtrail_validate.state.table import render

    render(found, Page(console(), whole=not sys.stdout.isatty()), show=show)
