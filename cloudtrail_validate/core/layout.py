"""The grammar of CloudTrail's S3 keys, both ways.

    [prefix/]AWSLogs/[o-xxxxxxxxxx/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz
    [prefix/]AWSLogs/[o-…/]ACCOUNT/CloudTrail-Digest/REGION/YYYY/MM/DD/
        ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOMEREGION_YYYYMMDDTHHmmssZ[_backfill].json.gz

Source: AWS CloudTrail User Guide, "Finding your CloudTrail log files" and "CloudTrail digest file structure". A trail name
may hold `_` and even end like a region, so names are parsed from the right: a region has no `_`, and whatever is left of
the home region is the whole trail name. Pure: no I/O, nothing raised on a hostile key.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

from cloudtrail_validate.core.model import ChainId, Interval, Kind

DIGEST_KIND = "CloudTrail-Digest"
LOG_KIND = "CloudTrail"
ACCOUNT = re.compile(r"[0-9]{12}")
ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")

_DIGEST_NAME = re.compile(
    r"(?P<account>[0-9]{12})_CloudTrail-Digest_(?P<region>[a-z0-9-]+)_(?P<trail>[A-Za-z0-9._-]+)_(?P<home>[a-z0-9-]+)"
    r"_(?P<stamp>[0-9]{8}T[0-9]{6}Z)(?P<backfill>_backfill)?\.json\.gz"
)
_LOG_NAME = re.compile(
    r"(?P<account>[0-9]{12})_(?P<kind>CloudTrail(?:-[A-Za-z]+)?)_(?P<region>[a-z0-9-]+)_(?P<stamp>[0-9]{8}T[0-9]{4}Z)"
    r"_[A-Za-z0-9]{1,64}\.json(?:\.gz)?"
)
# Greedy: a prefix may itself look like a folder (`111122223333/CloudTrail`); the last `AWSLogs/` is CloudTrail's own.
_FOLDER = re.compile(
    r"(?P<base>(?:.*/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?)(?P<account>[0-9]{12})/(?P<kind>CloudTrail[A-Za-z-]*)"
    r"/(?P<region>[^/]+)/",
    re.DOTALL,
)
_BASE_ORGANIZATION = re.compile(r"(?:.*/)?AWSLogs/(?P<organization>o-[a-z0-9]{10,32})/", re.DOTALL)
_MIDNIGHT = timedelta(minutes=5)  # a name's minute is -262 s … +200 s off its delivery, 35 genuine files
_YEARS = range(2000, 9000)  # CloudTrail began in 2013; sums with a time at either end of datetime's range overflow
SINCE = 2013  # the year in which CloudTrail began
_AHEAD = timedelta(days=1)  # clocks differ; what claims to have been delivered later still was not
_DAY = re.compile(r"(?P<year>[0-9]{4})/(?P<month>[0-9]{2})/(?P<day>[0-9]{2})/")


class Folder(msgspec.Struct, frozen=True, order=True):
    """One account's files of one region: `base` + account + kind + region.

    `base` ends in `AWSLogs/` or `AWSLogs/o-…/` and holds the trail's prefix, whatever characters that has.
    """

    bucket: str
    base: str
    account: str
    region: str

    def path(self, kind: str) -> str:
        """Return the key prefix of the folder of `kind` (`CloudTrail`, `CloudTrail-Digest`, …), with the closing slash."""
        return f"{self.base}{self.account}/{kind}/{self.region}/"

    @property
    def organization_id(self) -> str | None:
        """Return the `o-…` segment of the base, if it has one."""
        match = _BASE_ORGANIZATION.fullmatch(self.base)
        return match["organization"] if match else None


def base_of(prefix: str | None) -> str:
    """Return where `AWSLogs/` lies under a trail's prefix.

    A prefix that ends in a slash makes an empty segment, as AWS does.
    """
    return f"{prefix}/AWSLogs/" if prefix else "AWSLogs/"


def folder_of(bucket: str, key: str) -> tuple[Folder, str] | None:
    """Return the folder and kind that a key lies in, or None for a key of another shape."""
    match = _FOLDER.match(key)
    if match is None:
        return None
    return Folder(bucket, match["base"], match["account"], match["region"]), match["kind"]


def region_in(key: str) -> str:
    """Return the region that a log's or digest's key names, empty for a key of another shape."""
    found = folder_of("", key)
    return found[0].region if found and REGION.fullmatch(found[0].region) else ""


class DigestName(msgspec.Struct, frozen=True):
    """Holds the chain and the end time (to the second) that a digest's key names."""

    chain: ChainId
    end: datetime


def parse_digest_key(folder: Folder, key: str) -> DigestName | None:
    """Read a digest's key, or None where its last segment is no digest name of this folder's account and region."""
    match = _DIGEST_NAME.fullmatch(key.rpartition("/")[2])
    if match is None or match["account"] != folder.account or match["region"] != folder.region:
        return None
    end = _stamp(match["stamp"])
    if end is None:
        return None
    kind = Kind.BACKFILL if match["backfill"] else Kind.STANDARD
    chain = ChainId(folder.account, folder.region, match["trail"], match["home"], folder.organization_id, kind)
    return DigestName(chain, end)


def log_minute(key: str) -> datetime | None:
    """Return the minute in a log file's name, or None where the name is no log name."""
    match = _LOG_NAME.fullmatch(key.rpartition("/")[2])
    return _stamp(match["stamp"]) if match else None


def is_log_key(key: str) -> bool:
    """Tell whether CloudTrail could have written a log under this key.

    Its name is of the account, kind and region of its folder, and it lies right in the folder of its date. Around midnight
    that may be the day beside it: a name's minute and the delivery differ by minutes.
    """
    folder, match = _FOLDER.match(key), _LOG_NAME.fullmatch(key.rpartition("/")[2])
    if folder is None or match is None or any(match[part] != folder[part] for part in ("account", "kind", "region")):
        return False
    minute, day = _stamp(match["stamp"]), _DAY.fullmatch(key[folder.end() :].rpartition("/")[0] + "/")
    if minute is None or day is None:
        return False
    return any(day[0] == f"{day_path(minute + shift)}/" for shift in (-_MIDNIGHT, _MIDNIGHT))


def plausible(moment: datetime | None) -> datetime | None:
    """Return the moment, or None where it lies outside the years in which any log can.

    A local copy's times are anybody's.
    """
    return moment if moment is not None and moment.year in _YEARS else None


def folder_day(key: str, path: str | None = None) -> Interval | None:
    """Return the day of the date folder that a key lies in, however deep, or None outside of any.

    `path` is the region's folder in which it was listed; without it the key itself is asked where that is.
    """
    if path is None:
        found = folder_of("", key)
        path = found[0].path(found[1]) if found else key
    match = _DAY.match(key, len(path)) if key.startswith(path) else None
    if match is None:
        return None
    start = _stamp(match["year"] + match["month"] + match["day"])
    return Interval(start, start + timedelta(days=1)) if start else None


def deliverable(moment: datetime, now: datetime) -> bool:
    """Tell whether CloudTrail can have delivered anything then: not before it began, and not in time to come."""
    return moment.year >= SINCE and moment <= now + _AHEAD


def day_path(moment: datetime) -> str:
    """Return `YYYY/MM/DD`, the date folder of a moment."""
    return f"{moment.year:04}/{moment.month:02}/{moment.day:02}"  # a third of strftime's time


def log_bound(folder: Folder, kind: str, moment: datetime) -> str:
    """Return a key that sorts before every log of `kind` named `moment` or later, and after every earlier one."""
    return f"{folder.path(kind)}{day_path(moment)}/{folder.account}_{kind}_{folder.region}_{moment:%Y%m%dT%H%M}"


def next_digest_key(folder: Folder, chain: ChainId, end: datetime) -> str:
    """Return where AWS would put this chain's digest that ends at `end`."""
    suffix = "_backfill" if chain.kind is Kind.BACKFILL else ""
    return (
        f"{folder.path(DIGEST_KIND)}{day_path(end)}/{chain.account}_{DIGEST_KIND}_{chain.region}_{chain.trail}"
        f"_{chain.home_region}_{end:%Y%m%dT%H%M%SZ}{suffix}.json.gz"
    )


class TrailArn(msgspec.Struct, frozen=True):
    """A parsed trail ARN: `arn:PARTITION:cloudtrail:REGION:ACCOUNT:trail/NAME`."""

    partition: str
    region: str
    account: str
    name: str


_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):cloudtrail:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):trail/"
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{2,127})"
)


def parse_trail_arn(arn: str) -> TrailArn | None:
    """Read a trail ARN, or None where it is not one."""
    match = _ARN.fullmatch(arn)
    if match is None or REGION.fullmatch(match["region"]) is None:
        return None
    return TrailArn(match["partition"], match["region"], match["account"], match["name"])


def _stamp(text: str) -> datetime | None:
    """Return a moment in ISO 8601's basic format, whose digits a pattern has counted. A tenth of strptime's time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.year in _YEARS else None
