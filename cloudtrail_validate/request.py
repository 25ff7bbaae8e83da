"""What is asked: the typed request of the library and of the command line, checked before any request is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from dateutil.parser import isoparse

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.expectation import parse_expected
from cloudtrail_validate.core.layout import ACCOUNT, REGION, parse_trail_arn
from cloudtrail_validate.core.model import Interval, utc
from cloudtrail_validate.core.plan import ExpectedPlace

DEFAULT_CONCURRENCY: Final = 512  # at 30 ms a request 1.1 times as fast as 256, as 640 is (benchmarks.trail)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")  # 255: buckets made before 2018 in us-east-1
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}")
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE: Final = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}([T ].+)?")


@dataclass(frozen=True, slots=True)
class Request:
    """One validation.

    At least one of `trail_arn`, `bucket` and `source` says what to validate. `end` None means now. Empty `regions` and
    `accounts` mean all that the trail writes. `tolerate` names rules that do not count in the exit code; `concurrency` is
    the number of requests in flight, `max_rate` the most requests a second.
    `expect` names what must be there beyond what the bucket tells, each `ACCOUNT` or `ACCOUNT/REGION`.
    `lookup_events` asks CloudTrail's event history about gaps, besides the proven logs;
    `versions` looks for the originals of what is altered or missing among the bucket's versions.
    """

    start: datetime
    end: datetime | None = None
    trail_arn: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    source: Path | None = None
    public_keys: Path | None = None
    regions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    profile: str | None = None
    endpoint_url: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    tolerate: frozenset[str] = field(default_factory=frozenset)
    concurrency: int = DEFAULT_CONCURRENCY
    max_rate: float | None = None
    lookup_events: bool = False
    versions: bool = False
    also_buckets: tuple[str, ...] = ()

    def window(self, now: datetime) -> Interval:
        """The window as understood, UTC."""
        return Interval(utc(self.start), utc(self.end or now))

    @property
    def places(self) -> tuple[ExpectedPlace, ...]:
        """What `expect` names, in order, each once."""
        return tuple(sorted({place for place in map(parse_expected, self.expect) if place is not None}))

    def check(self, now: datetime) -> None:
        """Raise `RequestError` where the request cannot be meant."""
        if self.trail_arn is None and self.bucket is None and self.source is None:
            raise RequestError("what to validate: expected --trail-arn, --s3-bucket or --source")
        if self.trail_arn is not None and parse_trail_arn(self.trail_arn) is None:
            raise RequestError(
                "--trail-arn: expected arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME, got " + repr(self.trail_arn)
            )
        _each("--region", REGION, self.regions, "a region such as us-east-1")
        _each("--account-id", ACCOUNT, self.accounts, "12 digits")
        for text in self.expect:
            if parse_expected(text) is None:
                raise RequestError(f"--expect: expected ACCOUNT or ACCOUNT/REGION, got {text!r}")
        _each("--s3-bucket", _BUCKET, [self.bucket] if self.bucket is not None else [], "a bucket's name")
        _each("--role-arn", _ROLE, [self.role_arn] if self.role_arn else [], "arn:aws:iam::ACCOUNT:role/NAME")
        if self.external_id is not None and self.role_arn is None:
            raise RequestError("--external-id: expected --role-arn with it")
        if self.versions and self.source is not None:
            raise RequestError("--versions: a local copy has no versions, expected it without --source")
        if self.source is not None and not self.source.is_dir():
            raise RequestError(f"--source: expected a folder that holds AWSLogs/, got {str(self.source)!r}")
        if (
            self.source is not None
            and self.source.resolve().name == "AWSLogs"
            and not (self.source / "AWSLogs").is_dir()
        ):
            raise RequestError(f"--source: expected the folder that holds AWSLogs/, got {str(self.source)!r} itself")
        if not 1 <= self.concurrency <= 4096:
            raise RequestError(f"--concurrency: expected 1 to 4096, got {self.concurrency}")
        if self.max_rate is not None and not 0 < self.max_rate <= 1_000_000:
            raise RequestError(f"--max-rate: expected requests a second, more than 0, got {self.max_rate:g}")
        window = self.window(now)
        if window.start >= window.end:
            raise RequestError(
                f"--start-time: expected a time before the end of the window, {window.end:%Y-%m-%dT%H:%M:%SZ}"
            )
        _check_tolerated(self.tolerate)


def parse_time(text: str, option: str = "time") -> datetime:
    """An ISO 8601 time; an offset is honoured, without one it is UTC. Words and other orders of digits are refused."""
    if _DATE.fullmatch(text) is None:
        raise RequestError(f"{option}: expected ISO 8601 such as 2026-01-31T10:00:00Z or 2026-01-31, got {text!r}")
    try:
        moment = utc(isoparse(text))
    except (ValueError, OverflowError) as error:
        raise RequestError(
            f"{option}: expected ISO 8601 such as 2026-01-31T10:00:00Z, got {text!r}: {error}"
        ) from error
    if not 2013 <= moment.year < 9000:
        raise RequestError(f"{option}: expected a year since 2013, when CloudTrail began, got {text!r}")
    return moment


def parse_span(text: str, option: str = "--last") -> timedelta:
    """`24h`, `7d`, `90m`, `2w`."""
    match = _SPAN.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise RequestError(f"{option}: expected a number and a unit such as 24h or 7d, got {text!r}")
    span = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if span > timedelta(days=365 * 20):
        raise RequestError(f"{option}: expected at most 20 years, got {text!r}")
    return span


def _each(option: str, pattern: re.Pattern[str], values: Iterable[str | None], expected: str) -> None:
    for value in values:
        if value is None or pattern.fullmatch(value) is None:
            raise RequestError(f"{option}: expected {expected}, got {value!r}")


def _check_tolerated(tolerated: Iterable[str]) -> None:
    for name in sorted(tolerated):
        rule = rules.RULES.get(name)
        if rule is None:
            raise RequestError(f"--tolerate: expected a rule id (ctvalidate explain lists them), got {name!r}")
        if not rule.tolerable:
            raise RequestError(f"--tolerate: expected an uncovered or unverifiable rule; {name} is {rule.status}")
