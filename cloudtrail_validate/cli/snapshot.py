"""`ctvalidate snapshot --to DIR`: validate, and keep what was validated in a folder that can be proven again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli import Interrupted, validate
from cloudtrail_validate.cli.files import check_apart
from cloudtrail_validate.cli.scope import request_options
from cloudtrail_validate.cli.sealing import open_authority, open_signer, sealing_options, tell_taken, tell_unfinished
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report import formats
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.api import Result
    from cloudtrail_validate.snapshot.bundle import Asked


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
@sealing_options
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
        signer = open_signer(sign_with, request.profile)
        authority = open_authority(timestamp)
        bundle = open_bundle(folder, asked, request.window(now), force=force)
    except (RequestError, SnapshotError) as error:
        raise click.UsageError(printable(str(error))) from error
    result: Result | None = None
    try:
        request = replace(request, start=bundle.window.start, end=bundle.window.end)
        taker = Taker(bundle, signer, authority)
        listener = validate.Objects(to_error=False) if verbose else None
        result = validate.execute(request, now, listener, progress=progress, companion=taker)
        whole = taker.failure is None and not result.interrupted
        manifest = taker.finish(request, result.report, now) if whole else None
    except SnapshotError as error:
        return _unfinished(result, str(error))
    finally:
        bundle.close()
    if manifest is None:
        code = _unfinished(result, str(taker.failure) if taker.failure else f"{folder}: interrupted")
        return Interrupted(result.report.exit_code) if result.interrupted else code
    validate.render(result, formats.TABLE)
    tell_taken(folder, manifest, taker.stamped)
    return result.report.exit_code


def _unfinished(result: Result | None, why: str) -> int:
    """The exit code where no snapshot came about: evidence that the validation found is told, and counts, all the same."""
    code = tell_unfinished(why)
    if result is None or result.report.exit_code != ExitCode.CHANGED:
        return code
    validate.render(result, formats.TABLE)
    return result.report.exit_code


def _asked(options: dict[str, Any]) -> Asked:
    """The question in the user's own words, by which an unfinished snapshot is known again."""
    from cloudtrail_validate.snapshot.bundle import Asked

    source: Path | None = options["source"]
    names = ("trail_arn", "bucket", "prefix", "regions", "accounts", "start_time", "end_time", "last")
    how = ("copy_of", "follow_links")
    return Asked(source=str(source.resolve()) if source else None, **{name: options[name] for name in (*names, *how)})
