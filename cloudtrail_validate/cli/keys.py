"""`ctvalidate keys export`: CloudTrail's public keys in a file, for validation without AWS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudtrail_validate.cli.files import check_writable, write_whole
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.request import Request, parse_span, parse_time
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.core.model import Interval
    from cloudtrail_validate.core.signature import PublicKey


@click.group("keys", short_help="Export CloudTrail's public keys.", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> int:
    """Work with the public keys that CloudTrail signs digests with."""
    if ctx.invoked_subcommand is None:  # click's own answer is another from version to version, with another code
        click.echo(ctx.get_help(), err=True)
        return 2
    return 0


@command.command("export", short_help="Write the keys of a window to a file.")
@click.option("--start-time", metavar="TIME", help="Begin of the window that the keys are for, ISO 8601.")
@click.option("--end-time", metavar="TIME", help="End of the window.  [default: now]")
@click.option("--last", metavar="SPAN", help="The window up to now: 24h, 7d.")
@click.option("--region", "regions", multiple=True, metavar="REGION", help="Region (repeatable).  [default: all]")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: standard output]"
)
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first.")
@click.option("--external-id", metavar="ID", help="External id for that role.")
def export(
    *,
    start_time: str | None,
    end_time: str | None,
    last: str | None,
    regions: tuple[str, ...],
    output: Path | None,
    profile: str | None,
    endpoint_url: str | None,
    role_arn: str | None,
    external_id: str | None,
) -> int:
    """Write every key that may have signed a digest of the window, for `--public-keys`.

    Asks ListPublicKeys in each region, for the window widened by 35 days on both sides. Regions that are not enabled for
    the account are named on standard error and left out. Exits 0, or 3 where no region answered.
    """
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.core.errors import ConfigurationError

    now = now_utc()
    try:
        window = _window(start_time, end_time, last)
        Request(
            start=window.start,
            end=window.end,
            bucket="any",
            regions=regions,
            role_arn=role_arn,
            external_id=external_id,
        ).check(now)
        aws = Aws(profile=profile, endpoint_url=endpoint_url, role_arn=role_arn, external_id=external_id)
    except (RequestError, ConfigurationError) as error:
        raise click.UsageError(printable(str(error))) from error
    if output is not None:
        check_writable("--output", output)
    return _export(aws, window, regions or aws.regions("cloudtrail"), output)


def _export(aws: Aws, window: Interval, regions: tuple[str, ...], output: Path | None) -> int:
    from cloudtrail_validate.aws.public_keys import AwsKeys
    from cloudtrail_validate.stores.key_file import write_keys

    source = AwsKeys(aws, window, now_utc())
    keys: list[PublicKey] = []
    answered = 0
    for region in regions:
        answer = source.region(region)
        answered += answer.issuer
        keys += answer.keys.values()
        if not answer.issuer:
            click.echo(f"ctvalidate: left out {region}: {printable(answer.detail or 'no answer')}", err=True)
    if not keys:
        click.echo("ctvalidate: no region answered with a key (needs cloudtrail:ListPublicKeys)", err=True)
        return 3
    data = write_keys(keys)
    if output is None:
        sys.stdout.buffer.write(data)
    else:
        write_whole(output, data)
    click.echo(f"ctvalidate: {plural(len(keys), 'key')} of {plural(answered, 'region')}", err=True)
    return 0


def _window(start: str | None, end: str | None, last: str | None) -> Interval:
    from cloudtrail_validate.core.model import Interval

    now = now_utc()
    if (start is None) == (last is None):
        raise RequestError("the window: expected either --start-time or --last")
    begin = now - parse_span(last) if last is not None else parse_time(start or "", "--start-time")
    return Interval(begin, parse_time(end, "--end-time") if end else now)
