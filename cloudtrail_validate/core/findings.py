"""Findings as a value, the counters that a progress bar polls, and who hears of each finding at once.

Numbers are exact; of the findings themselves the first of each status are kept, by the order of the report and not by
that of arrival, so that a capped report is the same however the work was cut.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import msgspec

from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.core.verdict import Tally

KEPT_PER_STATUS: Final = 20_000  # findings held a status, ~1 kB each: a flood of notices cannot push out an alteration
_LATEST: Final = 3
_ORDER: Final = {status: index for index, status in enumerate(Status)}


class Findings(msgspec.Struct, frozen=True):
    """Findings in the report's order, and their exact numbers by rule and status."""

    kept: tuple[Finding, ...] = ()
    numbers: tuple[tuple[str, Status, int], ...] = ()

    @property
    def tally(self) -> Tally:
        """Return the exact numbers, for the verdict."""
        return Tally(Counter({(rule, status): number for rule, status, number in self.numbers}))

    @property
    def truncated(self) -> bool:
        """Tell whether more was found than is kept."""
        return sum(number for _, _, number in self.numbers) > len(self.kept)


class FindingSet:
    """Collects findings, one by one and by whole values; `freeze` makes the value."""

    def __init__(self, findings: Iterable[Findings] = ()) -> None:
        self._tally: Counter[tuple[str, Status]] = Counter()
        self._kept: dict[Status, list[Finding]] = {}
        for item in findings:
            self.join(item)

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if it is among the first of its status."""
        self._tally[finding.rule, finding.status] += 1
        self._keep(finding)

    def join(self, findings: Findings) -> None:
        """Take in what was found elsewhere."""
        for rule, status, number in findings.numbers:
            self._tally[rule, status] += number
        for finding in findings.kept:
            self._keep(finding)

    def freeze(self) -> Findings:
        """Return the value of what was collected so far."""
        kept = [finding for held in self._kept.values() for finding in sorted(held, key=order_of)[:KEPT_PER_STATUS]]
        numbers = sorted((rule, status, number) for (rule, status), number in self._tally.items())
        return Findings(tuple(sorted(kept, key=order_of)), tuple(numbers))

    def _keep(self, finding: Finding) -> None:
        held = self._kept.setdefault(finding.status, [])
        held.append(finding)
        if len(held) > 2 * KEPT_PER_STATUS:  # sorted once for many that are let go
            self._kept[finding.status] = sorted(held, key=order_of)[:KEPT_PER_STATUS]


def order_of(finding: Finding) -> tuple[object, ...]:
    """Return the place of a finding in a report: worst first, then by rule, place and time.

    Total, but for equal findings.
    """
    return (
        _ORDER[finding.status],
        finding.rule,
        finding.account or "",
        finding.region or "",
        finding.trail or "",
        finding.interval.start.isoformat() if finding.interval else "",
        finding.where or Locator("", ""),
        finding.interval.end.isoformat() if finding.interval else "",
        finding.cause or "",
        finding.expected or "",
        finding.actual or "",
        finding.detail or "",
    )


class Listener(Protocol):
    """Hears of things as they happen. Called on the event loop: must return at once and not raise.

    A class attribute `every_object = False` says that it does not care for `checked`: then other processes, which tell of
    their objects batch by batch, need not.
    """

    def finding(self, finding: Finding) -> None:
        """Hear of a finding."""
        ...

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Hear of a digest or log that was looked at; `status` is None where it is valid."""
        ...


class Listeners:
    """Tells several listeners as one."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners

    def finding(self, finding: Finding) -> None:
        """Tell all of a finding."""
        for listener in self._listeners:
            listener.finding(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Tell all of a digest or log that was looked at."""
        for listener in self._listeners:
            listener.checked(where, status, digest=digest)


class LogRead(msgspec.Struct, frozen=True, gc=False):
    """A log that was read and judged: where it lies, the proven digest that names it, the rule it breaks (None: proven).

    `content` is what the inflater said that the listener made for it.
    """

    where: Locator
    digest: Locator
    rule: str | None
    content: Content


@runtime_checkable
class LogListener(Protocol):
    """Looks at what logs hold while they are hashed, so that nothing is read twice.

    `inflater` is called for each attempt to read a log, and fed on threads as well as on the event loop; `judged` is
    called on the loop once what it said is known to be what a digest names, or not to be.
    """

    def inflater(self, *, accept_plain: bool) -> Inflater:
        """Return the inflater of one log, of a kind of the listener's own."""
        ...

    def judged(self, log: LogRead) -> None:
        """A log was read and judged."""
        ...


def looks_at_logs(listener: object) -> LogListener | None:
    """Return a listener that looks at what logs hold as one, None where it does not."""
    return listener if isinstance(listener, LogListener) else None


@dataclass(slots=True)
class Progress:
    """Counters of a run. Written by the engine, polled by whoever shows them; no locks, since ints are swapped whole."""

    phase: str = "looking"
    regions_done: int = 0
    regions_known: int = 0
    objects_done: int = 0
    objects_known: int = 0
    bytes_done: int = 0
    bytes_known: int = 0
    findings: int = 0
    listing_done: bool = False
    latest_findings: deque[Finding] = field(default_factory=lambda: deque(maxlen=_LATEST))

    @property
    def latest(self) -> Sequence[str]:
        """Return the newest findings, a line each, oldest first."""
        return tuple(
            f"{finding.rule} {finding.where.key if finding.where else finding.region or ''}"
            for finding in tuple(self.latest_findings)
        )


class Watch:
    """Counts what happens, and passes it on to who listens. `every_object`: whether that is wanted of each object.

    `inflater` makes the inflaters of logs; `logs` is who wants to look at what logs hold.
    """

    def __init__(
        self, progress: Progress | None = None, listener: Listener | None = None, logs: LogListener | None = None
    ) -> None:
        self.progress = progress or Progress()
        self.inflater: MakeInflater = Inflater if logs is None else logs.inflater
        self._logs = logs
        self.every_object = getattr(listener, "every_object", listener is not None)
        self._listener = listener

    def found(self, finding: Finding) -> None:
        """Take note of a finding."""
        if finding.status is not Status.NOTICE:
            self.progress.findings += 1
            self.progress.latest_findings.append(finding)
        if self._listener is not None:
            self._listener.finding(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Take note of an object that was looked at."""
        if self._listener is not None:
            self._listener.checked(where, status, digest=digest)

    def judged(self, log: LogRead) -> None:
        """Take note of a log that was read and judged."""
        if self._logs is not None:
            self._logs.judged(log)
