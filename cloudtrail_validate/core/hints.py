"""Suggests options where no digest was found, by what lies in the bucket instead. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.text import printable

_NAMED: Final = 5  # folders, accounts, regions or trails by name in one sentence
_DUE: Final = timedelta(minutes=91)  # a digest is of one hour and comes up to 31 minutes after it (FORMAT)


class Around(msgspec.Struct, frozen=True):
    """Holds what was seen around a place that has no digests.

    `bases` are prefixes under which `AWSLogs/` lies, empty for the top. `accounts` lie under the prefix that was asked for,
    `regions` with digests in one of the accounts that were; `logs` is true where there are logs and no digests. `days` are
    the oldest and newest day folders of digests, `trails` those that wrote on the newest. None where nobody looked.
    """

    bases: tuple[str, ...] = ()
    accounts: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    logs: bool = False
    days: tuple[str, str] | None = None
    trails: tuple[str, ...] = ()


def hints(target: Target, window: Interval, now: datetime, around: Around) -> tuple[str, ...]:
    """Return what to try, likeliest first; empty where nothing is known. Each is one sentence without its full stop."""
    if around.accounts is None:
        return _other_place(target, around.bases)
    wanted = target.accounts or ((target.owner,) if target.owner and target.organization is False else ())
    if around.accounts and wanted and not set(wanted) & set(around.accounts):
        return (f"there is no account {_some(wanted)} here; there are {_some(around.accounts)}",)
    if around.logs:
        name = f" --name {target.trail}" if target.trail else ""
        switch = f"aws cloudtrail update-trail{name} --enable-log-file-validation"
        return (f"there are logs and no digests: log file validation is off ({switch} switches it on)",)
    if around.regions is not None and target.regions and not set(target.regions) & set(around.regions):
        found = f"there are {_some(around.regions)}" if around.regions else "there is no region with digests at all"
        return (f"0 of the regions asked for were found; {found}",)
    ended = around.days is not None and around.days[1] < f"{now - timedelta(days=1):%Y/%m/%d}"
    if window.start > now - _DUE and not ended:
        return ("no digest is due yet: try --last 3h",)
    return _other_time(target, window, around)


def _other_place(target: Target, bases: Sequence[str]) -> tuple[str, ...]:
    """Return hints for a prefix under which there is no `AWSLogs/`."""
    if target.prefix and "" in bases:
        return ("AWSLogs/ lies at the top: drop --s3-prefix",)
    if bases:
        told = [f"there is {printable(base)}/AWSLogs/: give --s3-prefix {printable(base)}" for base in bases[:_NAMED]]
        return tuple(told)
    return ("there is no AWSLogs/ here, nor within two folders of the top",)


def _other_time(target: Target, window: Interval, around: Around) -> tuple[str, ...]:
    """Return hints for a bucket whose digests are all of another time or trail."""
    told = []
    if target.trail and around.trails and target.trail not in around.trails:
        told.append(f"digests there are of other trails: {_some(around.trails)}")
    if around.days is not None:
        first, last = (day.replace("/", "-") for day in around.days)
        if last < f"{window.start:%Y-%m-%d}" or first > f"{window.end:%Y-%m-%d}":
            told.append(f"digests there are from {printable(first)} to {printable(last)}: choose a window in that time")
        elif target.trail and not told:
            told.append(
                f"there are digests of that time which are not in this trail's folders: give --s3-bucket "
                f"{printable(target.bucket)} without --trail-arn to validate all that lie there"
            )
    return tuple(told)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return printable(", ".join(names[:_NAMED])) + more
