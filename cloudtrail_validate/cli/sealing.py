"""How a snapshot is signed and stamped, and what is said of it: for every command that takes one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cloudtrail_validate.core.text import plural, printable, size
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.aws.signing import Signer
    from cloudtrail_validate.snapshot.manifest import Manifest
    from cloudtrail_validate.snapshot.sealing import Authority

F = TypeVar("F", bound=Callable[..., Any])


def sealing_options(command: F) -> F:
    """Give a command the options of who signs a snapshot, who stamps it, and whether it replaces another."""
    for option in reversed(
        (
            click.option(
                "--sign-with",
                metavar="KEY",
                help="Private key in PEM (Ed25519, ECDSA or RSA), or kms:ARN of a key for signing in AWS KMS.",
            ),
            click.option(
                "--timestamp",
                metavar="URL",
                help="Have an RFC 3161 authority stamp the manifest; whatever comes of it changes no exit code.",
            ),
            click.option(
                "--force",
                is_flag=True,
                help="Begin again where DIR holds a finished snapshot, or another unfinished one.",
            ),
        )
    ):
        command = option(command)
    return command


def open_signer(text: str | None, profile: str | None) -> Signer | None:
    """Whoever signs, ready to: a wrong key or a missing permission is told before anything is read.

    None where nobody is to. Raises `SnapshotError` and `RequestError`.
    """
    from cloudtrail_validate.snapshot import signing

    if not text:
        return None
    if not text.startswith(("kms:", "arn:")):
        return signing.load_signer(Path(text))
    from cloudtrail_validate.snapshot import kms  # botocore is not for those who sign with a file

    return kms.open_signer(text, profile)


def open_authority(url: str | None) -> Authority | None:
    """Whom to ask for a time stamp, None for nobody. Raises `SnapshotError` and `RequestError`."""
    from cloudtrail_validate.snapshot import authority, timestamp
    from cloudtrail_validate.snapshot.sealing import Authority

    if not url:
        return None
    timestamp.check_url(url)
    timestamp.demand_reader()
    return Authority(url, partial(authority.post, url))


def tell_unfinished(reason: str) -> int:
    """Say that a snapshot is not whole, and why; returns the exit code."""
    click.echo(f"ctvalidate: {printable(reason)}; what was copied stays: the same command goes on with it", err=True)
    return int(ExitCode.UNPROVEN)


def tell_taken(folder: Path, manifest: Manifest, stamped: str) -> None:
    """Say what is in a snapshot and what is not, and what came of the time stamp, if one was asked for."""
    copied = [file for file in manifest.files if file.object]
    total = size(sum(file.size for file in manifest.files))
    signed = f", signed by {manifest.signed_by}" if manifest.signed_by else ""
    click.echo(f"ctvalidate: {plural(len(copied), 'object')}, {total}, in {printable(str(folder))}{signed}", err=True)
    for left in manifest.left_out:
        click.echo(f"ctvalidate: left out {printable(left.key)}: {printable(left.reason)}", err=True)
    others = sorted({file.object.bucket for file in copied if file.object and file.object.bucket != manifest.bucket})
    if others:
        names = printable(", ".join(others))
        click.echo(
            f"ctvalidate: the chain leads to other buckets ({names}): their files are in trees/, which verify-snapshot"
            " reads and --source does not",
            err=True,
        )
    if stamped:
        click.echo(f"ctvalidate: {printable(stamped)}", err=True)
