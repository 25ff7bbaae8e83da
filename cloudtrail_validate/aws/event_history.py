"""CloudTrail's event history and a trail's CloudWatch Logs group, page by page, no faster than AWS allows. Blocking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from cloudtrail_validate.aws.errors import ANY_ERROR, from_botocore
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import Cause

HISTORY_RATE: Final = 2.0  # LookupEvents a second, account and region (API reference)
GROUP_RATE: Final = 5.0  # FilterLogEvents a second, account and region; half of what most regions allow
_PAGE: Final = 50  # events, the most that LookupEvents gives
_TRIES: Final = 8  # of a page that was throttled, twice as long between two of them each time
_FIRST_WAIT: Final = 1.0  # seconds
_MAX_PAGES: Final = 200_000  # of one question: 10 million events; an answer that never ends is no answer


class BudgetError(Exception):
    """As many requests were made as were allowed."""


class Pace:
    """Spaces requests out: no more than `rate` a second, and no more than `budget` at all (None: no bound). Thread-safe.

    `requests` counts them.
    """

    def __init__(self, rate: float, budget: int | None = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._interval = 1 / rate
        self._budget = budget
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0
        self.requests = 0

    def wait(self) -> None:
        """Return when the next request may be made. Raises `BudgetError`."""
        with self._lock:
            if self._budget is not None and self.requests >= self._budget:
                raise BudgetError(f"{self._budget:,} requests were made")
            self.requests += 1
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._interval
        self.pause(at - now)

    def pause(self, seconds: float) -> None:
        """Wait so long."""
        if seconds > 0:
            self._sleep(seconds)


def history_pages(
    client: Any, start: datetime, end: datetime, pace: Pace, attributes: list[dict[str, str]] | None = None
) -> Iterator[list[str]]:
    """Yield the JSON of events from `start` to `end`, page by page, newest first. Raises `StoreError`, `BudgetError`."""
    asked: dict[str, Any] = {"StartTime": start, "EndTime": end, "MaxResults": _PAGE}
    if attributes:
        asked["LookupAttributes"] = attributes
    yield from _pages(client.lookup_events, asked, "NextToken", pace, _history)


def group_pages(client: Any, group: str, start: datetime, end: datetime, pace: Pace) -> Iterator[list[str]]:
    """Yield the messages of a log group from `start` to `end`, page by page. Raises `StoreError` and `BudgetError`."""
    asked = {
        "logGroupIdentifier" if group.startswith("arn:") else "logGroupName": group,
        "startTime": int(start.timestamp() * 1_000),
        "endTime": int(end.timestamp() * 1_000),
    }
    yield from _pages(client.filter_log_events, asked, "nextToken", pace, _messages)


def _history(answer: Mapping[str, Any]) -> list[str]:
    return [str(event["CloudTrailEvent"]) for event in answer["Events"] if event.get("CloudTrailEvent")]


def _messages(answer: Mapping[str, Any]) -> list[str]:
    return [str(event["message"]) for event in answer["events"] if event.get("message")]


_Read = Callable[[Mapping[str, Any]], list[str]]


def _pages(
    ask: Callable[..., Any], asked: Mapping[str, Any], token: str, pace: Pace, read: _Read
) -> Iterator[list[str]]:
    more: dict[str, Any] = {}
    seen: set[str] = set()
    for _ in range(_MAX_PAGES):
        found, following = _insist(ask, {**asked, **more}, token, pace, read)
        yield found
        if not following:
            return
        if following in seen:
            break
        seen.add(following)
        more = {token: following}
    raise StoreError(Cause.NETWORK, "this is no answer of AWS: its pages have no end", code="ResponseParserError")


def _insist(
    ask: Callable[..., Any], asked: Mapping[str, Any], token: str, pace: Pace, read: _Read
) -> tuple[list[str], str]:
    """Return one page and the token of the next, asked for again where AWS says that it was too fast."""
    wait, left = _FIRST_WAIT, _TRIES
    while True:
        pace.wait()
        left -= 1
        try:
            answer = ask(**asked)
            return read(answer), str(answer.get(token) or "")
        except ANY_ERROR as error:
            failure = from_botocore(error)
            if not isinstance(failure, StoreError):
                failure = StoreError(Cause.ACCESS_DENIED, str(failure))
            if failure.cause is not Cause.THROTTLED or not left:
                raise failure from error
        pace.pause(wait)
        wait *= 2
