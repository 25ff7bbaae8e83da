"""`ctvalidate policy [COMMAND] [OPTIONS]`: the least privileges that exactly this command line needs, as policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from cloudtrail_validate.cli import DEFAULT, SUBCOMMANDS, group
from cloudtrail_validate.core import slips
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.text import printable

if TYPE_CHECKING:
    from cloudtrail_validate.doctor.grants.documents import Places
    from cloudtrail_validate.doctor.grants.needs import Need

KINDS: Final = ("identity", "caller", "key", "bucket")


@click.command(
    "policy",
    short_help="The least privileges that a command line needs.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--kind", type=click.Choice(KINDS), default="identity", help="Whose policy.  [default: identity]")
@click.option("--bucket", metavar="NAME", help="The trail's bucket, where the options do not name it.")
@click.option("--kms-key", metavar="ARN", help="The trail's KMS key.  [default: any, through S3 alone]")
@click.option(
    "--grantee", metavar="ARN", help="Who validates, for --kind key and bucket.  [default: the role of --role-arn]"
)
@click.option("--required-only", is_flag=True, help="Leave out what only makes the answer better.")
@click.argument("line", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND] [OPTIONS]...")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    kind: str,
    bucket: str | None,
    kms_key: str | None,
    grantee: str | None,
    required_only: bool,
    line: tuple[str, ...],
) -> int:
    """Print the policy that a command line of ctvalidate needs, and nothing more. AWS is not asked.

    Put it before the command line as it will be run: `ctvalidate policy --trail-arn ARN --last 24h`, `ctvalidate policy
    doctor --trail-arn ARN`. Its own options come first. --kind identity is the policy of whoever runs it, or of the role of
    --role-arn; caller, of whoever assumes that role; key, the statements that the KMS key's policy needs for another
    account; bucket, the statements that the bucket's policy needs for another account.
    """
    from cloudtrail_validate.doctor.grants.needs import needs

    name, options = _parsed(ctx, line)
    found = tuple(need for need in needs(name, options) if need.required or not required_only)
    places = _places(options, bucket, kms_key, grantee)
    document = _document(kind, found, places, options)
    if document is None:
        click.echo(f"ctvalidate: {name} needs no {kind} policy", err=True)
        return 0
    click.echo(json.dumps(document, indent=2))
    for remark in _remarks(kind, found, places, options):
        click.echo(f"ctvalidate: {printable(remark)}", err=True)
    return 0


def _parsed(ctx: click.Context, line: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The subcommand that the line names and its options, read as that subcommand reads them."""
    words = list(line)
    name = words.pop(0) if words and not words[0].startswith("-") else DEFAULT
    if name not in SUBCOMMANDS:
        raise click.UsageError(f"no such command {printable(name)!r}: expected a command line of ctvalidate")
    found = group.get_command(ctx, name)
    if isinstance(found, click.Group):
        below = words.pop(0) if words else ""
        found, name = found.get_command(ctx, below), f"{name} {below}".strip()
    if found is None:
        raise click.UsageError(f"no such command {printable(name)!r}")
    with found.make_context(name, words) as inner:
        return name, dict(inner.params)


def _places(options: dict[str, Any], bucket: str | None, key: str | None, grantee: str | None) -> Places:
    from cloudtrail_validate.doctor.grants.documents import Places

    trail, role = options.get("trail_arn"), options.get("role_arn")
    arn = parse_trail_arn(trail) if trail else None
    if trail and arn is None:
        raise click.UsageError(f"--trail-arn: expected arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME, got {trail!r}")
    named = slips.part(options["bucket"]) if options.get("bucket") else None
    below = slips.place(options["bucket"]).prefix if named else None
    known = {
        "partition": arn.partition if arn else str(role).split(":")[1] if role else None,
        "bucket": named.bucket if named else bucket or _bucket_of(options),
        "prefix": (options.get("prefix") or below or "") if named else None,
        "trail_arn": trail if arn else None,
        "key": key,
        "grantee": grantee or role,
    }
    return Places(**{name: value for name, value in known.items() if value is not None})


def _bucket_of(options: dict[str, Any]) -> str | None:
    """The bucket of an object that is an argument."""
    texts = [value for value in options.values() if isinstance(value, str) and value.startswith("s3://")]
    return texts[0].removeprefix("s3://").partition("/")[0] if texts else None


def _document(kind: str, found: tuple[Need, ...], places: Places, options: dict[str, Any]) -> dict[str, Any] | None:
    from cloudtrail_validate.doctor.grants import documents

    match kind:
        case "caller":
            role = options.get("role_arn")
            return documents.caller_policy(found, places, role) if role else None
        case "key":
            return documents.key_policy(found, places)
        case "bucket":
            return documents.bucket_policy(found, places)
        case _:
            own = [need for need in found if not (need.sender and options.get("role_arn"))]
            return documents.identity_policy(own, places) if own else None


def _remarks(kind: str, found: tuple[Need, ...], places: Places, options: dict[str, Any]) -> list[str]:
    """What the reader must fill in, or should know."""
    remarks = []
    if places.bucket == "DOC-EXAMPLE-BUCKET" and kind in ("identity", "bucket"):
        remarks.append("put the trail's bucket in the place of DOC-EXAMPLE-BUCKET, or give --bucket NAME first")
    if places.grantee is None and kind in ("key", "bucket"):
        remarks.append("put whoever validates in the place of the example's role, or give --grantee ARN first")
    if kind == "identity" and places.key is None and any(need.resource == "key" for need in found):
        remarks.append(
            "--kms-key ARN narrows it to the trail's key; from another account see --kind key and --kind bucket"
        )
    if kind == "identity" and options.get("role_arn"):
        remarks.append("this is the role's policy; --kind caller prints that of whoever assumes it")
    return remarks
