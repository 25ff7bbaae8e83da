"""What the responder is to serve: one small value that crosses the process boundary as a line of JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
MAX_HOURS: Final = 28 * 24  # one signing key is valid for 30 days
BUCKET: Final = "amzn-s3-demo-bucket"
TRAIL: Final = "management-events"
OWNER: Final = "111122223333"
ORGANIZATION: Final = "o-exampleorgid"
# The regions that every account has from the start: where a multi-region trail writes.
REGIONS: Final = (
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
)
FOUR_KILOBYTES: Final = 24  # events in a simulated log of about 4 kB compressed, 29 kB inflated
SIXTY_KILOBYTES: Final = 49  # events in a simulated log of about 60 kB inflated


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trail to serve from `START` on.

    `objects`: "simulated" has every object made by the simulator and held in memory; "made-up" derives each from its
    key when it is asked for, so that their number costs nothing. `logs_per_hour` go to each of the first `busy_regions`
    of each account. `events` are the numbers of events in a log, in turn. `altered` are (hour, number) of logs of the
    first account and region that are not what their digest says (made-up only). `latency` is what every answer is
    held back, in seconds; with `tls` they come over TLS.
    """

    objects: Literal["simulated", "made-up"] = "simulated"
    accounts: int = 1
    regions: int = 1
    busy_regions: int = 1
    hours: int = 24
    logs_per_hour: int = 500
    events: tuple[int, ...] = (FOUR_KILOBYTES,)
    altered: tuple[tuple[int, int], ...] = ()
    latency: float = 0.0
    tls: bool = False

    def __post_init__(self) -> None:
        # A trail of several regions writes its digests in all of them, and a validation asks for all.
        if self.regions not in (1, len(REGIONS)) or not 1 <= self.busy_regions <= self.regions:
            raise ValueError(f"regions: expected 1 or {len(REGIONS)}, busy ones among them, got {self.regions}")
        if not 1 <= self.hours <= MAX_HOURS:
            raise ValueError(f"hours: expected 1 to {MAX_HOURS}, got {self.hours}")
        if not self.events or min(self.events) < 1:
            raise ValueError(f"events: expected one or more numbers above 0, got {self.events}")

    @property
    def account_ids(self) -> tuple[str, ...]:
        """The owner's documentation id, then numbers that no account has."""
        return (OWNER, *(f"{number:012d}" for number in range(1, self.accounts)))

    @property
    def region_names(self) -> tuple[str, ...]:
        """The regions, the home region first."""
        return REGIONS[: self.regions]

    @property
    def organization(self) -> str | None:
        """The organization id in the keys; None for one account."""
        return ORGANIZATION if self.accounts > 1 else None

    @property
    def home_region(self) -> str:
        """Where the trail was made."""
        return REGIONS[0]

    @property
    def trail_arn(self) -> str:
        """The trail's ARN."""
        return f"arn:aws:cloudtrail:{self.home_region}:{OWNER}:trail/{TRAIL}"

    @property
    def end(self) -> datetime:
        """End of the newest digest."""
        return START + self.hours * HOUR

    @property
    def logs(self) -> int:
        """Log files in all."""
        return self.accounts * self.busy_regions * self.hours * self.logs_per_hour

    def hourly_digests(self, hours: int | None = None) -> int:
        """Digests of the first hours, or of all, without the starting ones."""
        return self.accounts * self.regions * (self.hours if hours is None else hours)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the responder says when it is ready. `ca_file` holds the certificate that it answers with over TLS."""

    endpoint: str
    plan: Plan
    ca_file: str | None = None


class Connections(msgspec.Struct, kw_only=True):
    """What the responder has counted: connections, those of them that resumed an earlier TLS session, and requests."""

    connections: int = 0
    resumed: int = 0
    requests: int = 0
