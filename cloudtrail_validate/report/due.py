"""How much of a window is due: its newest hours are in no digest yet, and nobody can expect them to be.

A digest ends with its hour and arrives about half an hour later, so the newest one is normally up to 91 minutes old. What
lies behind it counts as still to come for at most `TAIL`; later the validation itself reports a gap. Worked out from the
chains' records alone, so it is told of kept reports as well. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cloudtrail_validate.core.coverage import TAIL
from cloudtrail_validate.core.model import HOUR, Interval, Kind
from cloudtrail_validate.report import ChainRecord, Report

ARRIVAL: Final = timedelta(minutes=30)  # after a digest's end: 26 to 31 minutes, seen on real buckets


class Due(msgspec.Struct, frozen=True):
    """Up to when digests are due; the end of the newest proven one, and when the next should arrive (None: not known).

    `end` lies in the window. `next` is there only where hours of the window are still to come.
    """

    end: datetime
    newest: datetime | None = None
    next: datetime | None = None


def chain_due(chain: ChainRecord, window: Interval, asked: datetime) -> datetime:
    """Up to when the digests of one chain are due: its hours are accounted for, or it is too early for them.

    `asked` is when the question was put; nothing that is older than `TAIL` then is still to come.
    """
    known = [end for _, end in chain.covered] + [gap.end for gap in chain.gaps]
    latest = max([window.start, min(window.end, asked - TAIL), *known])
    return min(window.end, latest)


def due_of(chains: Iterable[ChainRecord], window: Interval, asked: datetime) -> Due:
    """What is due of all chains: as much as is due of each."""
    standard = [chain for chain in chains if chain.kind is Kind.STANDARD]
    end = min((chain_due(chain, window, asked) for chain in standard), default=window.end)
    newest = max((until for chain in standard for _, until in chain.covered), default=None)
    coming = newest is not None and newest < window.end and end < window.end
    return Due(end, newest, newest + HOUR + ARRIVAL if newest and coming else None)


def due(report: Report) -> Due:
    """What is due in a report, as the report says it; worked out where an older version wrote it."""
    window, summary = Interval(report.request.start, report.request.end), report.summary
    worked_out = due_of(report.chains, window, report.run.started)
    if isinstance(summary.due_seconds, msgspec.UnsetType):
        return worked_out
    newest, following = summary.newest_digest, summary.next_due
    return Due(
        window.start + timedelta(seconds=summary.due_seconds),
        None if isinstance(newest, msgspec.UnsetType) else newest,
        None if isinstance(following, msgspec.UnsetType) else following,
    )


def due_seconds(report: Report) -> int:
    """Seconds of the window that are due in every account and region."""
    return Interval(report.request.start, due(report).end).seconds


def due_sentence(due: Due) -> str:
    """`; newest digest 2026-01-01 01:00Z, next due about 02:30Z`, as far as it is known; may be empty."""
    if due.newest is None or due.next is None:
        return ""
    same = due.newest.date() == due.next.date()
    following = f"{due.next:%H:%M}Z" if same else f"{due.next:%Y-%m-%d %H:%M}Z"
    return f"; newest digest {due.newest:%Y-%m-%d %H:%M}Z, next due about {following}"
