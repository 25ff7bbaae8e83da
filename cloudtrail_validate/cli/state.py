"""`ctvalidate state`: what a state remembers (`show`), and how one that is not signed comes to be (`sign`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli.writing import Shown, console, print_answer
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.state.storage import Storage
    from cloudtrail_validate.state.view import StateView

FEW = 20  # account-regions and open findings shown, unless all are asked for


@click.group("state", short_help="Show what a state (`--state`) remembers, or sign it.", invoke_without_command=True)
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

    try:
        verifier = load_verifier(public_key) if public_key is not None else None
        found = view(_storage(state, profile, endpoint_url), printable(state), verifier)
    except ConfigurationError as error:
        raise click.UsageError(printable(str(error))) from error
    told = print_answer(found, format_, lambda: _table(found, None if show < 0 else show))
    return int(ExitCode.VALID if told else ExitCode.UNPROVEN)


@command.command("sign", short_help="Sign a state that is not signed, or with another key.")
@click.argument("state")
@click.option(
    "--state-sign-with", required=True, metavar="KEY", help="Key to sign with from now on: a PEM file or kms:ARN."
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Public key in PEM that it is signed with until now.",
)
@click.option("--trust", is_flag=True, help="Take its hours as they are, and have none of them read again.")
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
def sign_(
    state: str,
    *,
    state_sign_with: str,
    public_key: Path | None,
    trust: bool,
    profile: str | None,
    endpoint_url: str | None,
) -> int:
    """Sign STATE (a file, DIR/ or s3://BUCKET/KEY), which was not signed until now, or with the --public-key.

    A signature says who wrote a state, not that it is true: whoever could write it until now may have put hours into it that
    nobody proved. So the next run reads all that it remembers again, once. --trust spares that, for a state that lay where
    nobody else could write. Findings that somebody took out of it are not known here: validate its whole time.

    Exits 0; 2 where there is no state, or it cannot be used or saved. What was signed by then stays so, and signing again
    does the rest.
    """
    from cloudtrail_validate.core.errors import ConfigurationError
    from cloudtrail_validate.state.keeping import adopt
    from cloudtrail_validate.state.signing import load_verifier, open_signer

    def kms(region: str) -> Any:
        from cloudtrail_validate.aws.session import Aws

        return Aws(profile=profile, endpoint_url=endpoint_url, regions=(region,)).client("kms", region)

    try:
        signer = open_signer(state_sign_with, kms)
        before = load_verifier(public_key) if public_key is not None else None
        signed = adopt(_storage(state, profile, endpoint_url), printable(state), signer, before, trusted=trust)
    except ConfigurationError as error:
        raise click.UsageError(printable(str(error))) from error
    hours = sum(item.length for region in signed.regions for item in region.stretches)
    later = "none is read again" if trust else "the next run reads all of them again"
    click.echo(
        f"ctvalidate: {printable(state)} is signed with the key {signer.verifier.fingerprint}: {hours:,} hours of "
        f"{len(signed.regions)} account-regions, of which {later}; {len(signed.open)} findings open",
        err=True,
    )
    return int(ExitCode.VALID)


def _storage(state: str, profile: str | None, endpoint_url: str | None) -> Storage:
    """Return what holds STATE. Raises `ConfigurationError`."""
    from cloudtrail_validate.cli.shards import client
    from cloudtrail_validate.state.storage import storage_of

    return storage_of(state, lambda _bucket: client(profile, endpoint_url))


def _table(found: StateView, show: int | None) -> None:
    from cloudtrail_validate.report.page import Page
    from cloudtrail_validate.state.table import render

    render(found, Page(console(), whole=not sys.stdout.isatty()), show=show)
