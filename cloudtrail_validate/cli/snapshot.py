"""`ctvalidate snapshot --to DIR`: validate, and keep what was validated in a folder that can be proven again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli import Interrupted, validate
from cloudtrail_validate.cli.files import check_apart
from cloudtrail_validate.cli.scope import request_options
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import plural, printable, size
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report import formats
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.aws.signing import Signer
    from cloudtrail_validate.snapshot.bundle import Asked
    from cloudtrail_validate.snapshot.manifest import Manifest
    from cloudtrail_validate.snapshot.sealing import Authority


@request_options(beside={"verbose"}, without={"executor"})
@click.command("snapshot", short_help="Validate, and keep what was validated.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder of its own for the snapshot.",
)
@click.option(
    "--sign-with",
    metavar="KEY",
    help="Private key in PEM (Ed25519, ECDSA or RSA), or kms:ARN of a key for signing in AWS KMS.",
)
@click.option(
    "--timestamp",
    metavar="URL",
    help="Have an RFC 3161 authority stamp the manifest; whatever comes of it changes no exit code.",
)
@click.option(
    "--force", is_flag=True, help="Begin again where DIR holds a finished snapshot, or another unfinished one."
)
def command(folder: Path, sign_with: str | None, timestamp: str | None, *, force: bool, **options: Any) -> int:
    """Validate and copy what is validated, byte for byte, while it is read.

    DIR gets the digests and logs with a manifest of their hashes, CloudTrail's public keys, the report, and a declaration
    for a person to complete and sign; `ctvalidate verify-snapshot DIR` proves it all again without AWS. With --sign-with
    it gets a signature of the manifest and a signed in-toto statement, with --timestamp an RFC 3161 token.

    Run again after an interruption, it goes on where it was. The passphrase of an encrypted signing key is read from
    CTVALIDATE_SIGNING_PASSPHRASE. Exits as a validation does.
    """
    from cloudtrail_validate.snapshot.bundle import open_bundle
    from cloudtrail_validate.snapshot.manifest import SnapshotError
    from cloudtrail_validate.snapshot.taking import Taker

    verbose, progress, now = options.pop("verbose"), validate.take_progress(options), now_utc()
    asked = _asked(options)
    try:
        request = validate.build_request(options, now)
        request.check(now)
        check_apart("--to", folder, request.source)
        signer = _signer(sign_with, request.profile) if sign_with else None
        authority = _authority(timestamp) if timestamp else None
        bundle = open_bundle(folder, asked, request.window(now), force=force)
    except (RequestError, SnapshotError) as error:
        raise click.UsageError(printable(str(error))) from error
    try:
        request = replace(request, start=bundle.window.start, end=bundle.window.end)
        taker = Taker(bundle, signer, authority)
        listener = validate.Objects(to_error=False) if verbose else None
        result = validate.execute(request, now, listener, progress=progress, companion=taker)
        whole = taker.failure is None and not result.interrupted
        manifest = taker.finish(request, result.report, now) if whole else None
    except SnapshotError as error:
        return _unfinished(str(error))
    finally:
        bundle.close()
    if manifest is None:
        _unfinished(str(taker.failure) if taker.failure else f"{folder}: interrupted")
        return Interrupted(result.report.exit_code) if result.interrupted else int(ExitCode.UNPROVEN)
    validate.render(result, formats.TABLE)
    _tell(folder, manifest)
    if taker.stamped:
        click.echo(f"ctvalidate: {printable(taker.stamped)}", err=True)
    return result.report.exit_code


def _signer(text: str, profile: str | None) -> Signer:
    """Whoever signs, ready to: a wrong key or a missing permission is told before anything is read."""
    from cloudtrail_validate.snapshot import signing

    if not text.startswith(("kms:", "arn:")):
        return signing.load_signer(Path(text))
    from cloudtrail_validate.snapshot import kms  # botocore is not for those who sign with a file

    return kms.open_signer(text, profile)


def _authority(url: str) -> Authority:
    from cloudtrail_validate.snapshot import authority, timestamp
    from cloudtrail_validate.snapshot.sealing import Authority

    timestamp.check_url(url)
    timestamp.demand_reader()
    return Authority(url, partial(authority.post, url))


def _asked(options: dict[str, Any]) -> Asked:
    """The question in the user's own words, by which an unfinished snapshot is known again."""
    from cloudtrail_validate.snapshot.bundle import Asked

    source: Path | None = options["source"]
    names = ("trail_arn", "bucket", "prefix", "regions", "accounts", "start_time", "end_time", "last")
    how = ("copy_of", "follow_links")
    return Asked(source=str(source.resolve()) if source else None, **{name: options[name] for name in (*names, *how)})


def _unfinished(reason: str) -> int:
    click.echo(f"ctvalidate: {printable(reason)}; what was copied stays: the same command goes on with it", err=True)
    return int(ExitCode.UNPROVEN)


def _tell(folder: Path, manifest: Manifest) -> None:
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
