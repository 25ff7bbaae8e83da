"""`ctvalidate plan --shards N`: which account-regions each part of a run validates."""

from __future__ import annotations

import sys
from typing import Any

import click

from cloudtrail_validate.cli.scope import scope_options
from cloudtrail_validate.cli.validate import build_request, refused
from cloudtrail_validate.core.errors import AccessError, ConfigurationError, RequestError
from cloudtrail_validate.runtime.clock import now_utc


@click.command("plan", short_help="Deal the account-regions of a run out to parts.")
@click.option("--shards", type=int, required=True, metavar="N", help="How many parts.")
@scope_options
def command(*, shards: int, **options: Any) -> int:
    """Write which account-regions each of N parts validates, as JSON lines, from delimiter listings alone.

    Give the file to each part: `ctvalidate --shard I/N --plan FILE --part PART …`, with the same trail and window.
    """
    from cloudtrail_validate.api import plan
    from cloudtrail_validate.core.shards import check_total

    now = now_utc()
    try:
        total = check_total(shards)
        request = build_request(options, now)
        lines = plan(request, total, now=now)
    except (RequestError, ConfigurationError, AccessError) as error:
        raise refused(error) from error
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()
    return 0
