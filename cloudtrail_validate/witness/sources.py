"""Asks event history and the log group for the events of slots, and keeps what they tell. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from cloudtrail_validate.aws.errors import ANY_ERROR
from cloudtrail_validate.aws.event_history import (
    GROUP_RATE,
    HISTORY_RATE,
    BudgetError,
    Pace,
    group_pages,
    history_pages,
)
from cloudtrail_validate.core.errors import ConfigurationError, StoreError
from cloudtrail_validate.core.model import Interval, isoformat
from cloudtrail_validate.core.witness import KEPT, LATE, Selection, Source, Told, read_told, selection_of
from cloudtrail_validate.witness.keeping import Keep

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

MOST_EVENTS: Final = 5_000_000  # told of one slot that are held; a region's day has fewer


class Answer(msgspec.Struct, frozen=True):
    """What a source told of one slot. `problem` is why it did not tell all of it, None where it did."""

    told: tuple[Told, ...] = ()
    problem: str | None = None
    kept: bool = False


class Sources:
    """Both sources, as one identity reaches them. `budget` bounds the requests to a source in one region.

    What AWS refused once in a region is not asked for again. Thread-safe, a region at a time.
    """

    def __init__(self, aws: Aws, keep: Keep | None, now: datetime, budget: int | None = None) -> None:
        self._aws = aws
        self._keep = keep
        self._now = now
        self._budget = budget
        self._paces: dict[tuple[Source, str], Pace] = {}
        self._refused: dict[tuple[Source, str], str] = {}

    def requests(self, source: Source, region: str) -> int:
        """How many requests were made."""
        pace = self._paces.get((source, region))
        return pace.requests if pace else 0

    def history(self, account: str, region: str, slot: Interval) -> Answer:
        """Event history of the caller's own account in one region."""
        begin = max(slot.start, self._now - KEPT)
        if begin >= slot.end:
            return Answer(problem=f"event history goes back 90 days, to {isoformat(self._now - KEPT)}")

        def ask(pace: Pace) -> Iterator[list[str]]:
            return history_pages(self._aws.client("cloudtrail", region), begin, slot.end, pace)

        answer = self._slot(Source.HISTORY, account, region, slot, HISTORY_RATE, ask)
        if begin > slot.start and answer.problem is None:
            return msgspec.structs.replace(answer, problem=f"event history goes back to {isoformat(begin)} only")
        return answer

    def group(self, arn: str, account: str, region: str, slot: Interval) -> Answer:
        """The trail's log group, in the region that `arn` names; its events are of any account and region."""
        where = arn.removesuffix(":*")

        def ask(pace: Pace) -> Iterator[list[str]]:
            # A message bears the time at which CloudTrail sent it, minutes after its event.
            return group_pages(self._aws.client("logs", region), where, slot.start, slot.end + LATE, pace)

        return self._slot(Source.GROUP, account, region, slot, GROUP_RATE, ask)

    def _slot(
        self,
        source: Source,
        account: str,
        region: str,
        slot: Interval,
        rate: float,
        ask: Callable[[Pace], Iterator[list[str]]],
    ) -> Answer:
        known = self._keep.read(source, account, region, slot) if self._keep else None
        if known is not None:
            return Answer(known, kept=True)
        if (refused := self._refused.get((source, region))) is not None:
            return Answer(problem=refused)
        pace = self._paces.setdefault((source, region), Pace(rate, self._budget))
        told: dict[str, Told] = {}
        try:
            for page in ask(pace):
                for text in page:
                    one = read_told(text.encode("utf-8", "replace"), source, account, region)
                    if one is not None and slot.contains(one.time):
                        told[one.event_id] = one
                if len(told) > MOST_EVENTS:
                    return Answer(tuple(told.values()), f"more than {MOST_EVENTS:,} events in one slot")
        except BudgetError as error:
            problem = f"{error}, as --max-requests allows"
            self._refused[source, region] = problem
            return Answer(tuple(told.values()), problem)
        except (StoreError, ConfigurationError) as error:
            self._refused[source, region] = problem = str(error)
            return Answer(tuple(told.values()), problem)
        return self._kept(source, account, region, slot, tuple(told.values()))

    def _kept(self, source: Source, account: str, region: str, slot: Interval, told: tuple[Told, ...]) -> Answer:
        """The answer, kept where more can hardly come: events arrive in the sources within minutes."""
        if self._keep is None or slot.end > self._now - LATE:
            return Answer(told)
        try:
            self._keep.write(source, account, region, slot, told)
        except OSError as error:
            return Answer(told, f"cannot be kept in {self._keep.folder}: {error.strerror or type(error).__name__}")
        return Answer(told)


def trail_settings(aws: Aws, trail_arn: str, home_region: str) -> tuple[str | None, Selection | None]:
    """The trail's log group, and what its selectors record; None for each that may not be read. Blocking."""
    try:
        client = aws.client("cloudtrail", home_region)
    except ConfigurationError:
        return None, None
    group: str | None = None
    selection: Selection | None = None
    with suppress(*ANY_ERROR):
        told = client.describe_trails(trailNameList=[trail_arn])["trailList"][0].get("CloudWatchLogsLogGroupArn")
        group = told if isinstance(told, str) and told else None
    with suppress(*ANY_ERROR):
        selection = selection_of(client.get_event_selectors(TrailName=trail_arn))
    return group, selection


def region_of_group(arn: str, home_region: str) -> str:
    """The region that a log group's ARN names, the trail's home region where it names none."""
    parts = arn.split(":")
    return (parts[3] if len(parts) > 3 else "") or home_region
