"""`ctvalidate keys export`: CloudTrail's public keys in a file, for validation without AWS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cloudtrail_validate.cli.files import check_writable, write_one
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.request import Request, parse_span, parse_time
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.core.errors import StoreError
    from cloudtrail_validate.core.model import Interval
    from cloudtrail_validate.core.signature import PublicKey

_PERMISSION: Final = "cloudtrail:ListPublicKeys"
_AT_ONCE: Final = 8  # regions, each a host of its own to connect to
_NAMED: Final = 6  # regions by name in one line


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
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: standard output]"
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
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError

    now = now_utc()
    if output is not None:
        check_writable("--output", output)
    try:
        window = _window(start_time, end_time, last)
        asked = Request(
            start=window.start,
            end=window.end,
            bucket="any-bucket",
            regions=regions,
            role_arn=role_arn,
            external_id=external_id,
        )
        asked.check(now)
        aws = Aws(
            profile=profile,
            endpoint_url=endpoint_url,
            role_arn=asked.role_arn,
            external_id=external_id,
            regions=asked.regions,
        )
        return _export(aws, window, asked.regions or aws.regions("cloudtrail"), output)
    except (RequestError, ConfigurationError) as error:
        raise click.UsageError(printable(str(error))) from error
    except AccessError as error:
        click.echo(f"ctvalidate: {printable(str(error))}", err=True)
        return 3


def _export(aws: Aws, window: Interval, regions: tuple[str, ...], output: Path | None) -> int:
    from cloudtrail_validate.stores.key_file import write_keys

    answers = _ask(aws, window, regions)
    _tell_refusals(aws, answers)
    keys = [key for answer in answers.values() if isinstance(answer, list) for key in answer]
    if not keys:
        click.echo("ctvalidate: no region answered with a key of that time", err=True)
        return 3
    data = write_keys(keys)
    if output is None:
        sys.stdout.buffer.write(data)
    elif not write_one("--output", output, data):
        return 3
    answered = sum(isinstance(answer, list) for answer in answers.values())
    click.echo(f"ctvalidate: {plural(len(keys), 'key')} of {plural(answered, 'region')}", err=True)
    return 0


def _ask(aws: Aws, window: Interval, regions: tuple[str, ...]) -> dict[str, list[PublicKey] | StoreError]:
    """Each region's keys, or why it gave none, in the order of the regions.

    Raises `ConfigurationError` or `AccessError` where what is in the way of the first region is in the way of all.
    """
    from concurrent.futures import ThreadPoolExecutor

    from cloudtrail_validate.aws.public_keys import AwsKeys
    from cloudtrail_validate.core.errors import StoreError
    from cloudtrail_validate.core.trouble import OF_IDENTITY, Trouble, diagnose, refused

    source = AwsKeys(aws, window, now_utc())

    def ask(region: str) -> list[PublicKey] | StoreError:
        try:
            return source.ask(region)
        except StoreError as error:
            return error

    nearest = aws.region if aws.region in regions else regions[0]
    first = ask(nearest)
    for_all = OF_IDENTITY | {Trouble.CERTIFICATE, Trouble.PROXY, Trouble.STRANGE}
    if isinstance(first, StoreError) and diagnose(first.code, first.detail) in for_all:
        raise refused(first, "cannot ask for keys", permission=_PERMISSION, login=aws.login)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = threads.map(lambda region: first if region == nearest else ask(region), regions)
        return dict(zip(regions, answers, strict=True))


def _tell_refusals(aws: Aws, answers: dict[str, list[PublicKey] | StoreError]) -> None:
    """A line for each reason, with the regions that gave it."""
    from cloudtrail_validate.core.trouble import advice, diagnose

    left_out: dict[str, list[str]] = {}
    for region, answer in answers.items():
        if not isinstance(answer, list):
            trouble = diagnose(answer.code, answer.detail)
            why = f"{trouble}: {advice(trouble, permission=_PERMISSION, login=aws.login)}"
            left_out.setdefault(why, []).append(region)
    for why, places in left_out.items():
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        click.echo(f"ctvalidate: left out {', '.join(places[:_NAMED])}{more}: {printable(why)}", err=True)


def _window(start: str | None, end: str | None, last: str | None) -> Interval:
    from cloudtrail_validate.core.model import Interval

    now = now_utc()
    if (start is None) == (last is None):
        raise RequestError("the window: expected either --start-time or --last, such as --last 30d")
    begin = now - parse_span(last) if last is not None else parse_time(start or "", "--start-time")
    return Interval(begin, parse_time(end, "--end-time") if end else now)
