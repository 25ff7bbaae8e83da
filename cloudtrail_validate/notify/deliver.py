"""Tells every target of a run, side by side and bounded in time, and says what became of each.

Nothing here raises for a target that fails, and nothing changes a verdict: the answer is a record a target, for the report.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Final, assert_never

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import Tally
from cloudtrail_validate.notify.event import Event, OpenFindings, build_event
from cloudtrail_validate.notify.target import Clients, DeliveryError, Surroundings, Target
from cloudtrail_validate.report import NotificationRecord, Report, Verdict
from cloudtrail_validate.report.references import CHANGE

DEADLINE: Final = 120.0  # seconds for all targets together; 10,000 findings take Security Hub 10 s at its own rate
_CONNECT, _READ, _ATTEMPTS = 5.0, 15.0, 3


class When(StrEnum):
    """Which runs are told of."""

    CHANGE = "change"
    PROBLEM = "problem"
    ALWAYS = "always"


class OwnSurroundings:
    """The sender's own environment: its AWS identity, made when it is first needed, and its variables.

    A role that reads the trail's bucket has no part in this, so that it can read and nothing else.
    """

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile
        self._lock = threading.Lock()
        self._aws: Clients | None = None

    def aws(self) -> Clients:
        """The sender's way into AWS, made once."""
        from cloudtrail_validate.aws.session import Aws  # noqa: PLC0415  # botocore, for those who send to AWS

        with self._lock:
            if self._aws is None:
                self._aws = Aws(profile=self._profile, connect=_CONNECT, read=_READ, attempts=_ATTEMPTS)
            return self._aws

    def secret(self, name: str) -> str | None:
        """A variable's value."""
        return os.environ.get(name)


def notify(
    report: Report,
    previous: OpenFindings | None,
    targets: Sequence[Target],
    *,
    when: When = When.PROBLEM,
    tally: Tally | None = None,
    complete: bool = True,
    kept: OpenFindings | None = None,
    surroundings: Surroundings | None = None,
    deadline: float = DEADLINE,
) -> tuple[NotificationRecord, ...]:
    """Tell the targets of a report and return what became of each, in their order.

    `previous` is what was open before: with it a finding that was found again is no news, and one that is gone is closed.
    `kept` is what a state holds open after the run; without it the report itself decides what is healed. `tally` has exact
    numbers where the report's findings were capped; a run that is not `complete` heals nothing.
    """
    numbers = _by_status(tally) if tally is not None else None
    ids = {item.id for item in kept.findings} if kept is not None else None
    event = build_event(report, previous, numbers=numbers, complete=complete, kept=ids)
    return tell(event, targets, when=when, surroundings=surroundings, deadline=deadline)


def tell(
    event: Event,
    targets: Sequence[Target],
    *,
    when: When = When.PROBLEM,
    surroundings: Surroundings | None = None,
    deadline: float = DEADLINE,
) -> tuple[NotificationRecord, ...]:
    """Tell the targets of an event, if it is due, and return what became of each, in their order."""
    if not is_due(event, when):
        return tuple(NotificationRecord(target=target.name, outcome="not-due") for target in targets)
    around = surroundings or OwnSurroundings()
    return in_time([(target.name, partial(target.deliver, event, around)) for target in targets], deadline)


def is_due(event: Event, when: When) -> bool:
    """Whether a run is told of: what somebody was told is wrong is also taken back."""
    match when:
        case When.CHANGE:
            return event.verdict is Verdict.CHANGED or any(item.finding.status in CHANGE for item in event.healed)
        case When.PROBLEM:
            return event.verdict is not Verdict.VALID or bool(event.healed)
        case When.ALWAYS:
            return True
        case _:
            assert_never(when)


def in_time(
    work: Sequence[tuple[str, Callable[[], str | None]]], deadline: float = DEADLINE
) -> tuple[NotificationRecord, ...]:
    """Do all work side by side, each on a daemon thread that nobody waits for beyond the deadline."""
    outcomes: dict[int, NotificationRecord] = {}

    def one(number: int, name: str, do: Callable[[], str | None]) -> None:
        try:
            outcomes[number] = NotificationRecord(target=name, outcome="sent", detail=do())
        except (DeliveryError, ConfigurationError) as error:
            outcomes[number] = NotificationRecord(target=name, outcome="failed", detail=printable(str(error)))
        except Exception as error:  # a target's fault must not cost the report; its text may hold a secret
            outcomes[number] = NotificationRecord(target=name, outcome="failed", detail=type(error).__name__)

    threads = [
        threading.Thread(target=one, args=(number, *item), name="ctvalidate-notify", daemon=True)
        for number, item in enumerate(work)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + deadline
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no answer within {deadline:g} s"
    return tuple(
        outcomes.get(number) or NotificationRecord(target=name, outcome="failed", detail=late)
        for number, (name, _) in enumerate(work)
    )


def _by_status(tally: Tally) -> dict[Status, int]:
    out = dict.fromkeys(Status, 0)
    for (_, status), number in tally.numbers.items():
        out[status] += number
    return out
