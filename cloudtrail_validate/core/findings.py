"""What a run has found so far: findings (bounded), exact numbers (never bounded), and what the progress bar polls."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.core.signature import PublicKey
from cloudtrail_validate.core.verdict import Tally

KEPT_PER_STATUS: Final = 20_000  # findings held a status, ~1 kB each: a flood of notices cannot push out an alteration
_LATEST: Final = 3


class Listener(Protocol):
    """Hears of things as they happen. Called on the event loop: must return at once and not raise."""

    def finding(self, finding: Finding) -> None:
        """Something was found."""
        ...

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """A digest or log was looked at; `status` is None where it is valid."""
        ...


@dataclass(slots=True)
class Progress:
    """Counters of a run. Written by the engine, polled by whoever shows them; no locks, since ints are swapped whole."""

    phase: str = "looking"
    objects_done: int = 0
    objects_known: int = 0
    bytes_done: int = 0
    bytes_known: int = 0
    findings: int = 0
    listing_done: bool = False
    latest_findings: deque[Finding] = field(default_factory=lambda: deque(maxlen=_LATEST))

    @property
    def latest(self) -> Sequence[str]:
        """The newest findings, a line each, oldest first."""
        return tuple(
            f"{finding.rule} {finding.where.key if finding.where else finding.region or ''}"
            for finding in tuple(self.latest_findings)
        )


class Ledger:
    """Takes every finding; keeps what fits."""

    def __init__(self, progress: Progress, listener: Listener | None = None) -> None:
        self.tally = Tally()
        self.truncated = False
        self.bytes_hashed = 0
        self.keys_used: set[PublicKey] = set()
        self.progress = progress
        self._listener = listener
        self._kept: list[Finding] = []
        self._per_status: Counter[Status] = Counter()

    def add(self, finding: Finding) -> None:
        """Count a finding and keep it if there is room among those of its status."""
        self.tally.add(finding.rule, finding.status)
        if finding.status is not Status.NOTICE:
            self.progress.findings += 1
            self.progress.latest_findings.append(finding)
        if self._per_status[finding.status] < KEPT_PER_STATUS:
            self._per_status[finding.status] += 1
            self._kept.append(finding)
        else:
            self.truncated = True
        if self._listener is not None:
            self._listener.finding(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Pass on that an object was looked at."""
        if self._listener is not None:
            self._listener.checked(where, status, digest=digest)

    def findings(self) -> list[Finding]:
        """What was kept, worst first, then in order of place and time."""
        order = list(Status)
        return sorted(
            self._kept,
            key=lambda f: (
                order.index(f.status),
                f.rule,
                f.account or "",
                f.region or "",
                f.trail or "",
                f.interval.start.isoformat() if f.interval else "",
                f.where or Locator("", ""),
            ),
        )
