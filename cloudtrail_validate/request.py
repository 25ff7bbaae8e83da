"""What is asked: the typed request of the library and of the command line, checked before any request is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, Final

from dateutil.parser import isoparse

from cloudtrail_validate.core import rules, slips
from cloudtrail_validate.core.copies import read_place
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.executor import parse_executor
from cloudtrail_validate.core.expectation import parse_expected
from cloudtrail_validate.core.layout import ACCOUNT, REGION, parse_trail_arn
from cloudtrail_validate.core.model import Interval, Locator, utc
from cloudtrail_validate.core.plan import ExpectedPlace
from cloudtrail_validate.core.recheck import parse_recheck
from cloudtrail_validate.core.shards import parse_shard

DEFAULT_CONCURRENCY: Final = 512  # of each process: at 30 ms a request 1.1 times as fast as 256, as 640 is
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}")
_DATE: Final = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}([T ].+)?")


@dataclass(frozen=True, slots=True)
class Request:
    """One validation, as it is meant: slips that have one meaning are mended (`core.slips`), and a str is taken for a path.

    At least one of `trail_arn`, `bucket` and `source` says what to validate. `end` None means now. Empty `regions` and
    `accounts` mean all that the trail writes. `tolerate` names rules that do not count in the exit code; `concurrency` is
    the number of requests in flight, of all processes together (None: 512 of each), `max_rate` the most requests a second,
    `executor` where the work is done (`core.executor`). `shard` narrows the run to a part, `I/N`, as `plan` deals the
    account-regions out.
    `state` is where the memory of earlier runs is kept (a file, a folder, `s3://…`), `recheck` what of it is read again
    (`core.recheck`), `relist` how far back is listed again: `all`, or a span such as `90d`. `max_duration` is a span such as
    `50m`, counted from the start of the run, after which no more is read again; `state_sign_with` signs the state with an
    Ed25519 key in a file, or one of KMS (`kms:ARN`), and takes none that is not signed with it.
    `expect` names what must be there beyond what the bucket tells, each `ACCOUNT` or `ACCOUNT/REGION`.
    `copy_of` is the place, `s3://BUCKET[/PREFIX]`, that what `bucket` or `source` holds is a copy of.
    `follow_links` takes links in a local copy to regular files outside of it as files.
    `lookup_events` asks CloudTrail's event history about gaps, besides the proven logs;
    `versions` looks for the originals of what is altered or missing among the bucket's versions. `also_buckets` are
    further buckets that chains may lead to; without them, only such as belong to the trail's owner are visited.
    """

    start: datetime
    end: datetime | None = None
    trail_arn: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    source: Path | None = None
    follow_links: bool = False
    copy_of: str | None = None
    public_keys: Path | None = None
    regions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    profile: str | None = None
    endpoint_url: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    tolerate: frozenset[str] = field(default_factory=frozenset)
    concurrency: int | None = None
    max_rate: float | None = None
    executor: str = "auto"
    shard: str | None = None
    plan: Path | None = None
    state: str | None = None
    require_state: bool = False
    state_sign_with: str | None = None
    max_duration: str | None = None
    recheck: str | None = None
    relist: str = "all"
    lookup_events: bool = False
    versions: bool = False
    also_buckets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in _tidied(self).items():
            object.__setattr__(self, name, value)

    def window(self, now: datetime) -> Interval:
        """The window as understood, UTC: whole seconds, as digests' are, and none of those that were asked for left out."""
        start, end = utc(self.start).replace(microsecond=0), utc(self.end or now)
        whole = end.replace(microsecond=0)
        return Interval(start, whole + timedelta(seconds=1) if self.end is not None and whole < end else whole)

    @property
    def original(self) -> Locator | None:
        """What `copy_of` names: a bucket, and a prefix as it was given."""
        return read_place(self.copy_of) if self.copy_of is not None else None

    @property
    def places(self) -> tuple[ExpectedPlace, ...]:
        """What `expect` names, in order, each once."""
        return tuple(sorted({place for place in map(parse_expected, self.expect) if place is not None}))

    @property
    def relist_days(self) -> int | None:
        """How far back a run with a state lists again, None for all that it remembers."""
        return None if self.relist == "all" else parse_span(self.relist, "--relist").days or 1

    def _check_state(self) -> None:
        if self.state is None and (self.require_state or self.recheck is not None or self.relist != "all"):
            raise RequestError("--require-state, --recheck and --relist: expected --state with them")
        if self.state is None and self.state_sign_with is not None:
            raise RequestError("--state-sign-with: expected --state with it")
        if self.max_duration is not None:
            parse_span(self.max_duration, "--max-duration")
            if self.recheck is None:
                raise RequestError("--max-duration: it bounds --recheck, expected that with it")
        if self.recheck is not None:
            parse_recheck(self.recheck)
        _ = self.relist_days

    def check(self, now: datetime) -> None:
        """Raise `RequestError` where the request cannot be meant."""
        self._check_types()
        if self.trail_arn is None and self.bucket is None and self.source is None:
            raise RequestError("what to validate: expected --trail-arn, --s3-bucket or --source")
        self._check_names()
        self._check_source()
        self._check_copy()
        for text in self.expect:
            if parse_expected(text) is None:
                raise RequestError(f"--expect: expected ACCOUNT or ACCOUNT/REGION, got {text!r}")
        check_role(self.role_arn, self.external_id)
        parse_executor(self.executor)
        self._check_state()
        if self.shard is not None:
            parse_shard(self.shard)
            if self.state is not None:
                raise RequestError("--shard: a part of a run has no state of its own, expected it without --state")
        if self.plan is not None and self.shard is None:
            raise RequestError("--plan: expected --shard with it")
        if self.concurrency is not None and not 1 <= self.concurrency <= 4096:
            raise RequestError(f"--concurrency: expected 1 to 4096, got {self.concurrency}")
        if self.max_rate is not None and not 0 < self.max_rate <= 1_000_000:
            raise RequestError(f"--max-rate: expected requests a second, more than 0, got {self.max_rate:g}")
        window = self.window(now)
        if window.start >= window.end:
            raise RequestError(
                f"--start-time: expected a time before the end of the window, {window.end:%Y-%m-%dT%H:%M:%SZ}"
            )
        _check_tolerated(self.tolerate)

    def _check_types(self) -> None:
        """What no type checker has seen, in a notebook: a wrong type is a wrong request."""
        for name, kinds in _KINDS.items():
            value = getattr(self, name)
            items = value if name in _LISTS else (value,)
            if not all(isinstance(item, kinds) for item in items):
                wanted = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
                raise RequestError(f"{name}: expected {wanted}, got {value!r}")

    def _check_names(self) -> None:
        arn, bucket = self.trail_arn, self.bucket
        if arn is not None and parse_trail_arn(arn) is None:
            wanted = "arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME"
            raise RequestError(f"--trail-arn: expected {wanted}, got {arn!r}{slips.trail_hint(arn)}")
        _each("--region", REGION, self.regions, "a region such as us-east-1", slips.region_hint)
        _each("--account-id", ACCOUNT, self.accounts, "12 digits", slips.account_hint)
        if bucket is not None and slips.place(bucket).prefix is not None:
            named = slips.place(bucket)
            raise RequestError(
                f"--s3-prefix: expected it once, got {bucket!r} and {self.prefix!r}: "
                f"--s3-bucket {named.bucket} --s3-prefix {named.prefix}?"
            )
        _each("--s3-bucket", slips.BUCKET, [bucket] if bucket is not None else [], "a bucket's name", slips.bucket_hint)
        _each("--also-bucket", slips.BUCKET, self.also_buckets, "a bucket's name", slips.bucket_hint)

    def _check_source(self) -> None:
        source = self.source
        if source is None:
            if self.follow_links:
                raise RequestError("--follow-links: there are links in a local copy only, expected it with --source")
            return
        if self.versions:
            raise RequestError("--versions: a local copy has no versions, expected it without --source")
        if str(source).startswith("s3:/"):
            raise RequestError(f"--source: expected a folder, got {str(source)!r}: for a bucket there is --s3-bucket")
        if not source.is_dir():
            raise RequestError(f"--source: expected a folder that holds AWSLogs/, got {str(source)!r}")
        if self.copy_of is None and source.resolve().name == "AWSLogs" and not (source / "AWSLogs").is_dir():
            raise RequestError(f"--source: expected the folder that holds AWSLogs/, got {str(source)!r} itself")

    def _check_copy(self) -> None:
        if self.copy_of is None:
            return
        of = self.original
        if of is None or slips.NAME.fullmatch(of.bucket) is None:
            raise RequestError(f"--copy-of: expected s3://BUCKET or s3://BUCKET/PREFIX, got {self.copy_of!r}")
        if self.bucket is None and self.source is None:
            raise RequestError("--copy-of: expected --s3-bucket or --source with it, which say where the copy lies")
        if self.bucket is not None and self.source is not None:
            raise RequestError("--s3-bucket: with --source, --copy-of says of which bucket it is a copy")
        if self.versions:
            raise RequestError("--versions: a copy's versions are its own, expected it without --copy-of")


_TEXT: Final = (str, NoneType)
_STRINGS: Final = (
    *("trail_arn", "bucket", "prefix", "copy_of", "profile"),
    *("endpoint_url", "role_arn", "external_id"),
)
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "start": (datetime,),
    "end": (datetime, NoneType),
    **dict.fromkeys(_STRINGS, _TEXT),
    **dict.fromkeys(("source", "public_keys"), (Path, NoneType)),
    **dict.fromkeys(("regions", "accounts", "also_buckets", "tolerate"), (str,)),
    "concurrency": (int, NoneType),
    "max_rate": (int, float, NoneType),
}
_LISTS: Final = frozenset({"regions", "accounts", "also_buckets", "tolerate"})


def _tidied(request: Request) -> dict[str, Any]:
    """The fields that are meant otherwise than they were given. Raises nothing: `check` refuses what is left."""
    out: dict[str, Any] = {}
    for name in ("source", "public_keys"):
        if isinstance(value := getattr(request, name), str):
            out[name] = Path(value)
    for name in ("trail_arn", "role_arn", "profile", "endpoint_url", "copy_of"):
        if isinstance(value := getattr(request, name), str):
            out[name] = slips.bare(value)
    for name, read in (("regions", slips.region), ("accounts", slips.account), ("also_buckets", _bucket)):
        value = getattr(request, name)
        items = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, set, tuple)) else None
        if items is not None and all(isinstance(item, str) for item in items):
            out[name] = tuple(read(item) for item in slips.several(items))
    tolerate: object = request.tolerate  # a caller who checks no types may give any of these
    if isinstance(tolerate, (str, list, tuple, set, frozenset)):
        named = (tolerate,) if isinstance(tolerate, str) else tuple(tolerate)
        if all(isinstance(item, str) for item in named):
            named = slips.several(named)
        out["tolerate"] = frozenset(named)
    if isinstance(request.bucket, str):
        bucket, prefix = slips.place(request.bucket)
        if prefix is None or request.prefix in (None, "", prefix):
            out["bucket"] = bucket
            out["prefix"] = prefix or request.prefix
    return out


def _bucket(text: str) -> str:
    return slips.place(text).bucket


def parse_time(text: str, option: str = "time") -> datetime:
    """An ISO 8601 time; an offset is honoured, without one it is UTC. Words and other orders of digits are refused."""
    text = slips.moment(text)
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
    """`24h`, `7d`, `90m`, `2w`, `1d12h`."""
    span = slips.span(text)
    if not span:
        number = text.strip()
        hint = f": {option} {number}h or {option} {number}d?" if number.isdecimal() and int(number) else ""
        raise RequestError(f"{option}: expected numbers with units such as 24h, 7d or 1d12h, got {text!r}{hint}")
    if span > timedelta(days=365 * 20):
        raise RequestError(f"{option}: expected at most 20 years, got {text!r}")
    return span


def _each(
    option: str,
    pattern: re.Pattern[str],
    values: Iterable[str],
    expected: str,
    hint: Callable[[str], str] = lambda _: "",
) -> None:
    for value in values:
        if pattern.fullmatch(value) is None:
            raise RequestError(f"{option}: expected {expected}, got {value!r}{hint(value)}")


def check_role(role_arn: str | None, external_id: str | None) -> None:
    """Raise `RequestError` where a role to assume, or its external id, cannot be meant."""
    if external_id is not None and role_arn is None:
        raise RequestError("--external-id: expected --role-arn with it")
    roles = [role_arn] if role_arn else []
    _each("--role-arn", _ROLE, roles, "arn:aws:iam::ACCOUNT:role/NAME", slips.role_hint)


def _check_tolerated(tolerated: Iterable[str]) -> None:
    for name in sorted(tolerated):
        rule = rules.RULES.get(name)
        if rule is None:
            near = get_close_matches(name.lower().replace("_", "-"), rules.RULES, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise RequestError(f"--tolerate: expected a rule id (ctvalidate explain lists them), got {name!r}{hint}")
        if not rule.tolerable:
            raise RequestError(f"--tolerate: expected an uncovered or unverifiable rule; {name} is {rule.status}")
