"""`ctvalidate fetch-signatures BUCKET DIR`: what a copy on disk lost, fetched from the bucket that it is a copy of."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudtrail_validate.cli.scope import check_role
from cloudtrail_validate.core import slips
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.evidence.signatures import Fetcher


@click.command("fetch-signatures", short_help="Complete a local copy with the signatures of its digests.")
@click.argument("bucket", metavar="BUCKET")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first.")
@click.option("--external-id", metavar="ID", help="External id for that role.")
def command(
    bucket: str,
    folder: Path,
    *,
    profile: str | None,
    endpoint_url: str | None,
    role_arn: str | None,
    external_id: str | None,
) -> int:
    """Fetch what `aws s3 sync` leaves behind: the signature of every digest below DIR, as NAME.metadata.json beside it.

    BUCKET is what DIR is a copy of, as it was copied: a name, s3://BUCKET/PREFIX/, or the ARN of either or of an access
    point. A digest that is not found there is looked for under the key that it says is its own. Files that lie there are
    left alone, so an interrupted run is taken up where it ended. Nothing in the bucket is changed. Needs s3:GetObject.

    Exit codes: 0 every digest has its signature, 2 wrong command line, 3 some have none, 4 DIR holds no digest.
    """
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError, StoreError
    from cloudtrail_validate.core.trouble import refused
    from cloudtrail_validate.evidence.signatures import Fetcher

    check_role(role_arn, external_id)
    name, prefix = slips.part(bucket)
    if slips.BUCKET.fullmatch(name) is None:
        raise click.UsageError(f"BUCKET: expected a bucket's name or s3://BUCKET/PREFIX/, got {printable(bucket)!r}")
    refusal: ConfigurationError | AccessError
    try:
        aws = Aws(profile=profile, endpoint_url=endpoint_url, role_arn=role_arn, external_id=external_id)
        return _fetch(Fetcher(aws, name, prefix or "", folder))
    except StoreError as error:
        refusal = refused(error, f"cannot ask s3://{name}", permission="s3:GetObject", on=name, login=aws.login)
    except (ConfigurationError, AccessError) as error:
        refusal = error
    click.echo(f"ctvalidate: {printable(str(refusal))}", err=True)
    return int(ExitCode.UNPROVEN if isinstance(refusal, AccessError) else ExitCode.USAGE)


def _fetch(fetcher: Fetcher) -> int:
    from cloudtrail_validate.evidence.signatures import Outcome

    numbers: Counter[Outcome] = Counter()
    for done in fetcher.run():
        numbers[done.outcome] += 1
        if done.detail is not None:
            click.echo("\t".join(printable(word) for word in (done.outcome, done.path, done.detail)))
    if not numbers:
        click.echo(f"ctvalidate: there is no digest below {printable(str(fetcher.folder))}", err=True)
        return int(ExitCode.EMPTY)
    click.echo(
        f"ctvalidate: {plural(numbers[Outcome.FETCHED], 'signature')} fetched to {printable(str(fetcher.folder))}, "
        f"{numbers[Outcome.PRESENT]:,} already there, {numbers[Outcome.ABSENT]:,} not in the bucket, "
        f"{numbers[Outcome.FAILED]:,} failed",
        err=True,
    )
    if numbers[Outcome.ABSENT] == numbers.total():
        place = f"s3://{fetcher.bucket}/{fetcher.prefix}"
        click.echo(f"ctvalidate: DIR is no copy of {printable(place)}, or not as far as you may see", err=True)
    return int(ExitCode.UNPROVEN if numbers[Outcome.ABSENT] or numbers[Outcome.FAILED] else ExitCode.VALID)
