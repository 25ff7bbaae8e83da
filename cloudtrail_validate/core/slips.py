"""Reads options as they were meant: slips with one meaning are taken, others get the command that may have been meant.

Pure. `place`, `account`, `region`, … return a value as it is meant, and as it came where nobody can tell; the check of the
request then refuses it, with the sentence of `…_hint`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, NamedTuple

from cloudtrail_validate.core.layout import ACCOUNT, REGION

_DASHED: Final = re.compile(r"([0-9]{4})[- ]([0-9]{4})[- ]([0-9]{4})")  # as the console shows an account id
_QUOTED: Final = re.compile(r"""(["'])(.*)\1""", re.DOTALL)  # by an env file that a container takes as it is
_URL: Final = re.compile(
    r"https?://(?:s3[.a-z0-9-]*\.amazonaws\.com(?:\.cn)?/(?P<path>[^/?#]+)"
    r"|(?P<host>[A-Za-z0-9._-]+)\.s3[.a-z0-9-]*\.amazonaws\.com(?:\.cn)?"
    r"|[a-z0-9.-]*console\.(?:aws\.amazon\.com|amazonaws-us-gov\.com|amazonaws\.cn)/s3/buckets/(?P<console>[^/?#]+))(?:[/?#].*)?",
    re.DOTALL,
)
_BUCKET_ARN: Final = re.compile(r"arn:aws[a-z-]*:s3:::([^/]+)(?:/(.*))?", re.DOTALL)
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
"""A bucket's name: of up to 255 characters in us-east-1, if it was made before 2018."""
ACCESS_POINT: Final = re.compile(r"arn:aws[a-z-]*:s3:[a-z0-9-]+:[0-9]{12}:accesspoint[/:][a-z0-9-]{3,50}")
BUCKET: Final = re.compile(f"{NAME.pattern}|{ACCESS_POINT.pattern}")
"""What S3 takes for a bucket: its name, or the ARN of an access point. An access point's alias is a name."""
_ZONE: Final = re.compile(r"([a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})[a-z]")  # us-east-1a
_SPAN: Final = re.compile(
    r"(?:[0-9]{1,6} ?(?:[smhdwSHDW]|(?:sec|min|hr|second|minute|hour|day|week)s?) ?)+"  # M is left out: minutes or months
)
_PART: Final = re.compile(r"([0-9]+) ?([a-z])[a-z]*")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,127}")  # of a trail
_STORE: Final = re.compile(r"arn:aws[a-z-]*:cloudtrail:[^:]*:[^:]*:eventdatastore/.*")
_ASSUMED: Final = re.compile(r"arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([^/]+)/.*")


class Place(NamedTuple):
    """A bucket and a prefix in it; `prefix` is None where none was named."""

    bucket: str
    prefix: str | None


def bare(text: str) -> str:
    """Return a value without blanks around it, and without the quotes that something has left around it."""
    stripped = text.strip()
    quoted = _QUOTED.fullmatch(stripped)
    return quoted[2].strip() if quoted else stripped


def place(text: str) -> Place:
    """Read a bucket's name, `s3://BUCKET/PREFIX/`, `arn:aws:s3:::BUCKET/PREFIX`, or the same with `AWSLogs/` at its end.

    The ARN of an access point stands for a bucket's name.
    """
    bucket, path = _whole(text)
    path = path.rstrip("/")
    if path == "AWSLogs" or path.endswith("/AWSLogs"):
        path = path.removesuffix("AWSLogs").rstrip("/")
    if "AWSLogs/" in path or _URL.fullmatch(bare(text)):  # the check says by which options a part of the tree is named
        return Place(text, None)
    return Place(bucket, path or None)


def part(text: str) -> Place:
    """Read what `place` reads, `AWSLogs/` and what follows it included: a part of a bucket that was copied as it is.

    The prefix ends in a slash, as `aws s3 sync` has it.
    """
    bucket, path = _whole(text)
    return Place(bucket, path if path.endswith("/") else f"{path}/" if path else None)


def _whole(text: str) -> tuple[str, str]:
    stripped = bare(text)
    if stripped[:5].lower() == "s3://":
        stripped = "s3://" + stripped[5:]
    arn = _BUCKET_ARN.fullmatch(stripped)
    point = ACCESS_POINT.match(stripped.removeprefix("s3://"))
    if point is not None:
        path = point.string[point.end() :].removeprefix("/")
        # the ARN of an object: …:accesspoint/NAME/object/KEY
        return point[0], path if stripped.startswith("s3://") else path.removeprefix("object/")
    if arn is not None:
        return arn[1], (arn[2] or "").removesuffix("*")
    bucket, _, path = stripped.removeprefix("s3://").partition("/")
    return bucket, path


def account(text: str) -> str:
    """Read an account id, with or without the console's dashes."""
    stripped = bare(text)
    dashed = _DASHED.fullmatch(stripped)
    return "".join(dashed.groups()) if dashed else stripped


def region(text: str) -> str:
    """Read a region's name, in whatever case."""
    plain = bare(text)
    lowered = plain.lower().replace("_", "-")
    return lowered if REGION.fullmatch(lowered) else plain


def moment(text: str) -> str:
    """Read an ISO 8601 time whose offset is a word: ` UTC`, ` GMT` and ` Z` are all Z."""
    return re.sub(r"(?<=:[0-9]{2}) ?(?:UTC|GMT|Z)\Z", "Z", bare(text), flags=re.IGNORECASE)


def several(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Read a list whose items may hold several values each, `us-east-1,eu-west-1`."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip() or text == part)


def span(text: str) -> timedelta | None:
    """Read `24h`, `7d`, `1d12h`, `90 m`; None for anything else, and for one that is longer than time is known."""
    if not _SPAN.fullmatch(text.strip()):
        return None
    parts = [(int(number), unit) for number, unit in _PART.findall(text.lower())]
    if len({unit for _, unit in parts}) != len(parts):
        return None  # 1h2h is no span
    try:
        return sum((timedelta(**{_UNITS[unit]: number}) for number, unit in parts), timedelta())
    except OverflowError:
        return None


def trail_hint(text: str) -> str:
    """Say what a value that is no trail's ARN may be, or nothing."""
    if _STORE.fullmatch(text):
        return ": an event data store has no digests in S3, so expected a trail's ARN or --s3-bucket"
    if _NAME.fullmatch(text) and not ACCOUNT.fullmatch(text):
        return (
            f": that is a trail's name; aws cloudtrail describe-trails --trail-name-list {text} "
            "--query 'trailList[].TrailARN' --output text tells its ARN"
        )
    if text.lower().startswith("s3://") or _BUCKET_ARN.fullmatch(text):
        return ": a bucket is given to --s3-bucket"
    return ""


_ALL: Final = frozenset({"all", "*", "any", "every"})


def account_hint(text: str) -> str:
    """Say what a value that is no account id may be, or nothing."""
    return ": without --account-id all accounts are validated, so leave it out" if text.lower() in _ALL else ""


def region_hint(text: str) -> str:
    """Say what a value that is no region may be, or nothing."""
    if text.lower() in _ALL:
        return ": without --region all regions are validated, so leave it out"
    if text.lower() == "global":
        return ": events of global services are in the logs of us-east-1, and of the trail's home region"
    zone = _ZONE.fullmatch(text.lower())
    return f": that is a zone of --region {zone[1]}" if zone else ""


def bucket_hint(text: str) -> str:
    """Say what a value that is no bucket's name may be, or nothing."""
    url = _URL.fullmatch(bare(text))
    if url is not None:
        return f": that is an address of --s3-bucket {url['path'] or url['host'] or url['console']}"
    stripped = bare(text).removeprefix("s3://")
    bucket, _, path = stripped.partition("/")
    base, found, below = path.rpartition("AWSLogs/")
    if found:
        options = [f"--s3-bucket {bucket}"]
        if base.rstrip("/"):
            options.append(f"--s3-prefix {base.rstrip('/')}")
        parts = [part for part in below.split("/") if part]
        options += [f"--account-id {part}" for part in parts[:2] if ACCOUNT.fullmatch(part)]
        options += [f"--region {part}" for part in parts if REGION.fullmatch(part)]
        return f": for that part of the tree give {' '.join(options)}"
    return ""


def role_hint(text: str) -> str:
    """Say what a value that is no role's ARN may be, or nothing."""
    assumed = _ASSUMED.fullmatch(text.strip())
    if assumed is None:
        return ""
    return f": that is a session of a role; the role is arn:{assumed[1]}:iam::{assumed[2]}:role/{assumed[3]} or below a path"
