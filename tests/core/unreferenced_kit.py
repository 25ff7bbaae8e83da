"""Files that no digest names, at hours of a trail, and the trails that may have written them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import Span, union
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import HOUR, Interval, Locator
from cloudtrail_validate.core.unreferenced import (
    Knowledge,
    UnreferencedFile,
    Writer,
    unreferenced,
)
from tests.core.helpers import ACCOUNT, BUCKET, FOLDER, REGION, START

EXTRA, UNDIGESTED, PENDING = rules.LOG_EXTRA, rules.LOG_UNDIGESTED, rules.LOG_PENDING
DAY = timedelta(days=1)
OTHER = Folder(BUCKET, "AWSLogs/o-exampleorgid/", ACCOUNT, REGION)
NOW = START + 5 * DAY


def at(hours: float) -> datetime:
    return START + hours * HOUR


def span(start: float, end: float) -> Interval:
    return Interval(at(start), at(end))


def key(minute: datetime, *, folder: Folder = FOLDER, name: str = "AAAAAAAAAAAAAAAA") -> str:
    return f"{folder.path('CloudTrail')}{minute:%Y/%m/%d}/{ACCOUNT}_CloudTrail_{REGION}_{minute:%Y%m%dT%H%MZ}_{name}.json.gz"


def file(
    minute: float | None, modified: float | None = None, *, folder: Folder = FOLDER, dated: bool = True
) -> UnreferencedFile:
    """A log of that hour by name (None: a name that is no log's), written at another (None: the store does not say)."""
    where = key(at(minute), folder=folder) if minute is not None else f"{folder.path('CloudTrail')}2026/01/05/x.json"
    written = at(modified) if modified is not None else None
    return unreferenced(Locator(BUCKET, where), written, dated=dated)


def loose(modified: float | None = None) -> UnreferencedFile:
    """A file beside the date folders."""
    return unreferenced(Locator(BUCKET, FOLDER.path("CloudTrail") + "x"), None if modified is None else at(modified))


def known(*found: Writer, now: datetime = NOW, unread: Span = (), claimed: Iterable[Locator] = ()) -> Knowledge:
    return Knowledge(found, now, unread, frozenset(claimed))


def writer(*proven: Interval, lost: Iterable[Interval] = (), folder: Folder = FOLDER) -> Writer:
    return Writer((folder,), union(proven), union(lost), shown=union(proven))


# Hours 0 to 10 are proven, but for 4 to 5, a gap.
T = writer(span(0, 4), span(5, 10), lost=[span(4, 5)])
