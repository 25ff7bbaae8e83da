"""`ctvalidate verify-snapshot DIR`: whether a snapshot is what was taken and still proves what its report says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudtrail_validate.core.text import plural, printable, size

if TYPE_CHECKING:
    from cloudtrail_validate.snapshot.verifying import Verification


@click.command("verify-snapshot", short_help="Check a snapshot and prove it again without AWS.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Public key in PEM that the manifest must be signed with.",
)
@click.option(
    "--timestamp-ca",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Certificates in PEM that a time stamp must lead to.",
)
def command(folder: Path, public_key: Path | None, timestamp_ca: Path | None) -> int:
    """Check the manifest's signature and every file's hash, then validate the snapshot again from its own files.

    The signed statement and the declaration must say what the snapshot holds; the fields that a person fills in may hold
    anything. A time stamp is checked where rfc3161-client is installed and can read it, else the openssl command that
    checks it is printed; it changes no exit code.

    Asks nothing of AWS. Exits 0 where everything is as it was proven (whatever the verdict was), 1 where something was
    added, removed or changed (each is named), 2 where DIR holds no snapshot, 3 where it could not be proven again.
    """
    from cloudtrail_validate.snapshot import signing
    from cloudtrail_validate.snapshot.manifest import SnapshotError
    from cloudtrail_validate.snapshot.verifying import verify

    try:
        found = verify(folder, signing.load_public(public_key) if public_key else None, timestamp_ca)
    except SnapshotError as error:
        raise click.UsageError(printable(str(error))) from error
    _print(folder, found)
    return int(found.exit_code)


def _print(folder: Path, found: Verification) -> None:
    click.echo(f"snapshot   {printable(str(folder))}")
    if found.manifest is not None:
        window, files = found.manifest.window, found.manifest.files
        click.echo(f"of         {printable(found.manifest.source)}")
        click.echo(f"window     {window.start:%Y-%m-%dT%H:%M:%SZ} to {window.end:%Y-%m-%dT%H:%M:%SZ}")
        version = printable(found.manifest.tool.version)
        click.echo(f"taken      {found.manifest.created:%Y-%m-%dT%H:%M:%SZ}, by ctvalidate {version}")
        click.echo(f"files      {plural(len(files), 'file')}, {size(sum(file.size for file in files))}")
        click.echo(f"signature  {printable(found.signature)}")
        _print_beside(found)
    if found.again is not None and found.stored is not None:
        same = "as in its report" if found.again.verdict == found.stored.verdict else f"not {found.stored.verdict}"
        click.echo(f"verdict    {found.again.verdict} (exit code {found.again.exit_code}), {same}")
    for change in found.changes:
        click.echo(f"changed    {printable(change.path)}: {printable(change.what)}")
    for difference in found.differences:
        click.echo(f"differs    {printable(difference)}")
    click.echo(f"result     {_RESULTS[int(found.exit_code)]}")


def _print_beside(found: Verification) -> None:
    """What lies beside the manifest, a line each, and how anybody checks the time stamp."""
    if found.statement:
        click.echo(f"statement  {found.statement}")
    if found.declaration:
        click.echo(f"declared   {found.declaration}")
    if found.stamp is not None:
        click.echo(f"time stamp {printable(found.stamp.told)}")
        if found.stamp.command and not found.stamp.proven:
            click.echo(f"           {found.stamp.command}")


_RESULTS = {
    0: "as it was proven",
    1: "changed since it was taken",
    3: "could not be proven again as it was",
}
