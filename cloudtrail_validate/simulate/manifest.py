"""What a simulation wrote, and everything a validator should say about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval, Status, isoformat

if TYPE_CHECKING:
    from cloudtrail_validate.simulate.spec import AccountRegion

SCHEMA = "ctvalidate.simulation/1"


@dataclass(frozen=True, slots=True)
class Expected:
    """One finding to expect. A finding about an object has bucket and key, one about hours has start and end.

    What is None here is not part of the expectation: a validator may well give the hours of an object.
    """

    rule: str
    status: Status
    bucket: str | None
    key: str | None
    account: str
    region: str
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Planted:
    """One tampering (or restart, or pending log): its rule, the objects touched, and *all* findings it brings about."""

    rule: str
    account: str
    region: str
    keys: tuple[str, ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The answer sheet of a simulation.

    `regions` are all in which it writes digests. `start` and `end` are the window to validate; the expectations hold for a
    validator whose clock says `as_of` (later, pending logs are no longer explained by delivery, and the hours after the
    newest digest are a `gap-tail`). `digests`, `logs` and `bytes_stored` (compressed) count what lies there after tampering.
    `rewritten_everywhere` is set where the sink cannot keep the time of delivery, as S3 cannot: each proven log then also
    gives the notice `log-rewritten` (those of hours long past; not listed one by one), and LastModified does not place a log
    in time.
    """

    trail_arn: str
    organization_id: str | None
    bucket: str
    prefix: str
    accounts: tuple[str, ...]
    regions: tuple[str, ...]
    multi_region: bool
    start: datetime
    end: datetime
    as_of: datetime
    digests: int
    logs: int
    bytes_stored: int
    rewritten_everywhere: bool
    planted: tuple[Planted, ...]

    @property
    def window(self) -> Interval:
        """The hours to validate."""
        return Interval(self.start, self.end)

    def expected(self) -> Iterator[Expected]:
        """Every finding to expect, over everything planted."""
        for planted in self.planted:
            yield from planted.expected

    def as_json(self) -> str:
        """The manifest as JSON, times as `2026-01-01T00:00:00Z`."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, default=isoformat) + "\n"


STATUS = {
    rules.DIGEST_MISSING: Status.MISSING,
    rules.DIGEST_MALFORMED: Status.ALTERED,
    rules.DIGEST_SIGNATURE_INVALID: Status.ALTERED,
    rules.DIGEST_SIGNATURE_MISSING: Status.ALTERED,
    rules.DIGEST_KEY_UNKNOWN: Status.UNVERIFIABLE,
    rules.DIGEST_ALGORITHM_UNSUPPORTED: Status.ALTERED,
    rules.DIGEST_MOVED: Status.ALTERED,
    rules.DIGEST_TRAILING_DATA: Status.ALTERED,
    rules.DIGEST_LINK_BROKEN: Status.ALTERED,
    rules.DIGEST_UNLINKED: Status.NOTICE,
    rules.DIGEST_UNREADABLE: Status.UNVERIFIABLE,
    rules.LOG_ALTERED: Status.ALTERED,
    rules.LOG_MALFORMED: Status.ALTERED,
    rules.LOG_TRAILING_DATA: Status.ALTERED,
    rules.LOG_MISSING: Status.MISSING,
    rules.LOG_EXTRA: Status.EXTRA,
    rules.LOG_UNREADABLE: Status.UNVERIFIABLE,
    rules.LOG_UNDIGESTED: Status.UNVERIFIABLE,
    rules.LOG_PENDING: Status.NOTICE,
    rules.LOG_REWRITTEN: Status.NOTICE,
    rules.GAP_BROKEN: Status.UNCOVERED,
    rules.GAP_RESTART: Status.UNCOVERED,
    rules.GAP_LATE_START: Status.UNCOVERED,
    rules.GAP_TAIL: Status.UNCOVERED,
    rules.CHAIN_ABSENT: Status.UNCOVERED,
    rules.CHAIN_RESTART: Status.NOTICE,
}
"""The contract's status of each rule, written out so that a slip in the validator's own table is noticed."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """Writes expected findings of one site."""

    bucket: str
    site: AccountRegion
    key_unknown: Status = Status.UNVERIFIABLE

    def of_object(self, rule: str, key: str) -> Expected:
        """A finding about an object."""
        status = self.key_unknown if rule == rules.DIGEST_KEY_UNKNOWN else STATUS[rule]
        return Expected(rule, status, self.bucket, key, *self.site)

    def of_hours(self, rule: str, span: Interval) -> Expected:
        """A finding about hours."""
        return Expected(rule, STATUS[rule], None, None, *self.site, span.start, span.end)

    def planted(self, rule: str, keys: tuple[str, ...], *expected: Expected) -> Planted:
        """Put together what a tampering touched and what it brings about."""
        return Planted(rule, *self.site, keys, expected)
