"""What to simulate: one frozen value that says which trail, where, for how long, and how lively."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cloudtrail_validate.core.model import HOUR, Interval, utc

ACCOUNT = re.compile(r"\d{12}", re.ASCII)
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}", re.ASCII)
TRAIL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,127}", re.ASCII)
ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}", re.ASCII)
MAX_PREFIX = 200  # characters, AWS CloudTrail API reference: CreateTrail, S3KeyPrefix

DEFAULT_REGIONS = {
    "aws": (
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
        *("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1"),
        *("ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
    ),
    "aws-cn": ("cn-north-1", "cn-northwest-1"),
    "aws-us-gov": ("us-gov-west-1", "us-gov-east-1"),
}
"""Regions that are enabled in every account, by partition (FORMAT: Keys), written out apart from the validator's list."""

DEFAULT_ACCOUNT = "111122223333"
DEFAULT_BUCKET = "DOC-EXAMPLE-BUCKET"
DEFAULT_ORGANIZATION = "o-exampleorgid"

KEY_LIFETIME = timedelta(days=30)  # FORMAT: keys of the signature
KEY_LEAD = timedelta(days=1)  # a key is valid this long before it first signs
MAX_ROTATION_HOURS = 28 * 24  # longest use of one key that its 30 days allow, the lead taken off
RESTART_SHIFT = timedelta(seconds=81)  # a chain restarted at once gets stamps of its own, as its keys must differ
LATE_BY = 3 * HOUR  # how long after its hour a late log is delivered

LogRate = int | Mapping[str, int] | Callable[[str, str, int], int]
"""Logs per account, region and hour: a number, a number for each region, or `f(account, region, hour index)`."""


class AccountRegion(NamedTuple):
    """One account in one region: where a trail writes one chain of digests."""

    account: str
    region: str


class Restart(NamedTuple):
    """Logging or validation was off: the chain ends before hour index `hour`, a new one begins.

    `lost` is the number of hours that no digest covers; the new chain delivers logs from hour index `hour + lost` on, and
    its starting digest bears the hour before. With 0 nothing is lost: AWS breaks a chain only after an hour, so the old one
    still ends with an empty digest of hour `hour` while the new one has begun.
    """

    hour: int
    lost: int

    @property
    def resumes(self) -> int:
        """Index of the first hour in which the new chain delivers logs."""
        return self.hour + self.lost


@dataclass(frozen=True, kw_only=True)
class TrailSpec:
    """A trail to simulate. Every field has a sensible default; what cannot be raises ValueError, naming the field.

    `accounts`: the first owns the trail unless `home_account` says otherwise; more than one, or an `organization_id`,
    makes it an organization trail. `regions` are those with logs. A trail with more than its home region is a multi-region
    trail (so is any with `multi_region`): it writes a digest an hour in every region that is enabled in all accounts of its
    partition, empty where nothing happens. `start` is a full UTC hour; digests of the hours 0 … `hours`-1 follow a
    starting digest that bears the hour before. `offset_seconds` moves all digests off the full hour, as real ones are.
    `key_rotation_hours` brings a new signing key that often (otherwise when the old one would expire); every
    `spki_every`-th key is published as SubjectPublicKeyInfo instead of PKCS#1. `late_logs` = N delivers one log too
    late every N hours, for a backfill digest to name. `pending` logs in each chain are newer than its last digest.
    `markers` writes the zero-byte objects whose key ends in "/". `seed` decides contents, names and stamps.
    """

    trail_name: str = "management-events"
    accounts: tuple[str, ...] = (DEFAULT_ACCOUNT,)
    regions: tuple[str, ...] = ("us-east-1",)
    home_account: str | None = None
    home_region: str | None = None
    multi_region: bool | None = None
    organization_id: str | None = None
    bucket: str = DEFAULT_BUCKET
    prefix: str = ""
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    hours: int = 24
    offset_seconds: int = 0
    logs_per_hour: LogRate = 4
    quiet_regions: tuple[str, ...] = ()
    events_per_log: int = 10
    seed: int = 0
    key_rotation_hours: int | None = None
    spki_every: int | None = None
    restarts: tuple[Restart | tuple[int, int], ...] = ()
    late_logs: int | None = None
    pending: int = 0
    markers: bool = True

    def __post_init__(self) -> None:
        self._check_names()
        self._check_numbers()
        self._check_restarts()

    def _check_names(self) -> None:
        _require(bool(TRAIL_NAME.fullmatch(self.trail_name)), "trail_name: 3 to 128 of A-Z a-z 0-9 . _ -")
        _require(bool(self.accounts) and len(set(self.accounts)) == len(self.accounts), "accounts: one or more, once")
        for account in (*self.accounts, self.owner):
            _require(bool(ACCOUNT.fullmatch(account)), f"account id: 12 digits, not {account!r}")
        _require(bool(self.regions) and len(set(self.regions)) == len(self.regions), "regions: one or more, once")
        for region in (*self.regions, self.home, *self.quiet_regions):
            _require(bool(REGION.fullmatch(region)), f"region: a name like us-east-1, not {region!r}")
        _require(
            self.multi_region is not False or self.regions == (self.home,),
            "multi_region: a trail that is none writes in its home region only",
        )
        organization = self.organization
        _require(
            organization is None or bool(ORGANIZATION.fullmatch(organization)), "organization_id: like o-a1b2c3d4e5"
        )
        _require(len(self.prefix) <= MAX_PREFIX, f"prefix: at most {MAX_PREFIX} characters")
        _require(bool(self.bucket), "bucket: a name")

    def _check_numbers(self) -> None:
        _require(self.start.tzinfo is not None, "start: a time with an offset")
        _require(not (self.start.minute or self.start.second or self.start.microsecond), "start: a full hour")
        _require(self.hours >= 1, "hours: 1 or more")
        _require(0 <= self.offset_seconds < 3600, "offset_seconds: 0 to 3599")
        _require(self.events_per_log >= 1, "events_per_log: 1 or more")
        _require(self.pending >= 0, "pending: 0 or more")
        rotation = self.key_rotation_hours
        _require(
            rotation is None or 1 <= rotation <= MAX_ROTATION_HOURS, f"key rotation: 1 to {MAX_ROTATION_HOURS} hours"
        )
        _require(self.spki_every is None or self.spki_every >= 1, "spki_every: 1 or more")
        _require(self.late_logs is None or self.late_logs >= 1, "late_logs: 1 or more")
        if isinstance(self.logs_per_hour, int):
            _require(self.logs_per_hour >= 0, "logs_per_hour: 0 or more")

    def _check_restarts(self) -> None:
        resumed = 0
        for restart in self.all_restarts:
            _require(restart.lost >= 0, "restarts: hours lost 0 or more")
            inside = resumed < restart.hour and restart.resumes < self.hours
            _require(
                inside, f"restarts: hour {restart.hour} with {restart.lost} lost does not fit in {self.hours} hours"
            )
            resumed = restart.resumes

    @property
    def owner(self) -> str:
        """The account that owns the trail."""
        return self.home_account or self.accounts[0]

    @property
    def home(self) -> str:
        """The trail's home region."""
        return self.home_region or self.regions[0]

    @property
    def partition(self) -> str:
        """The partition of its home region."""
        return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(re.sub("-[a-z]+-[0-9]+$", "", self.home), "aws")

    @property
    def everywhere(self) -> bool:
        """Whether it is a multi-region trail."""
        return self.regions != (self.home,) if self.multi_region is None else self.multi_region

    @property
    def all_regions(self) -> tuple[str, ...]:
        """The regions in which it writes digests: those with logs first, then those that are only enabled."""
        enabled = (self.home, *DEFAULT_REGIONS[self.partition]) if self.everywhere else ()
        return tuple(dict.fromkeys((*self.regions, *enabled)))

    @property
    def organization(self) -> str | None:
        """The organization id in the keys; None for a trail of one account."""
        return self.organization_id or (DEFAULT_ORGANIZATION if len(self.accounts) > 1 else None)

    @property
    def trail_arn(self) -> str:
        """The trail's ARN, in the partition of its home region."""
        return f"arn:{self.partition}:cloudtrail:{self.home}:{self.owner}:trail/{self.trail_name}"

    @property
    def all_restarts(self) -> tuple[Restart, ...]:
        """`restarts` in order of time, plain pairs taken as well."""
        return tuple(sorted(Restart(*restart) for restart in self.restarts))

    @property
    def sites(self) -> tuple[AccountRegion, ...]:
        """Every account and region, in the order written."""
        return tuple(AccountRegion(account, region) for account in self.accounts for region in self.all_regions)

    @property
    def base(self) -> datetime:
        """Start of hour 0, the offset included."""
        return utc(self.start) + timedelta(seconds=self.offset_seconds)

    @property
    def end(self) -> datetime:
        """End of the last hour, the offset included (a chain restarted at once ends some seconds later)."""
        return self.base + self.hours * HOUR

    def hour(self, index: int, shift: timedelta = timedelta(0)) -> Interval:
        """The hour with that index; -1 is the one that the first starting digest covers."""
        start = self.base + index * HOUR + shift
        return Interval(start, start + HOUR)

    def is_quiet(self, region: str) -> bool:
        """Whether nothing happens in a region: its digests are empty."""
        return region in self.quiet_regions or region not in self.regions

    def log_count(self, site: AccountRegion, hour: int) -> int:
        """How many logs a site delivers in an hour. Raises ValueError where a rate function answers below 0."""
        if self.is_quiet(site.region):
            return 0
        rate = self.logs_per_hour
        if isinstance(rate, int):
            return rate
        count = rate(site.account, site.region, hour) if callable(rate) else rate.get(site.region, 0)
        _require(count >= 0, "logs_per_hour: 0 or more")
        return count

    def has_late_log(self, site: AccountRegion, hour: int) -> bool:
        """Whether one log of that hour is delivered too late for its digest."""
        every = self.late_logs
        if every is None or self.is_quiet(site.region) or hour % every != every - 1:
            return False
        return self.hour(hour).end + LATE_BY <= self.end


def _require(holds: bool, expectation: str) -> None:
    if not holds:
        raise ValueError(f"expected {expectation}")
