"""Maps the keys of a copy to those of its original, and back.

A copy keeps the names of files and changes what stands before them: the bucket (a replica, a forensic copy, an access
point), the prefix (`aws s3 sync s3://BUCKET/PREFIX/ DIR`), or both. Prefixes here are whole segments: empty, or closed by a
slash. Pure: what a digest says of itself is hostile, and only compared.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

import msgspec

from cloudtrail_validate.core.layout import ACCOUNT, DIGEST_KIND, ORGANIZATION, REGION
from cloudtrail_validate.core.model import Locator

_PLACE: Final = re.compile(r"(?:s3://)?([^/:]+)(?:/(.*))?", re.DOTALL)
_ROOT: Final = "AWSLogs/"
_DIGITS: Final = re.compile(r"[0-9]{2}|[0-9]{4}")
_DIGEST: Final = re.compile(r"[0-9]{12}_CloudTrail-Digest_.*\.json\.gz", re.DOTALL)


class Displacement(msgspec.Struct, frozen=True):
    """Says that `bucket`/`here` is a copy of `of_bucket`/`there`. An empty `bucket` is a folder of this computer."""

    bucket: str
    here: str
    of_bucket: str
    there: str

    @property
    def moved(self) -> bool:
        """Tell whether anything lies elsewhere than it says. A folder stands for whatever bucket its digests name."""
        return self.here != self.there or self.bucket not in ("", self.of_bucket)

    def original(self, key: str) -> str | None:
        """Return the key that a key of the copy is a copy of, None for one that is no part of it."""
        return self.there + key[len(self.here) :] if key.startswith(self.here) else None

    def copied(self, key: str) -> str | None:
        """Return the key in the copy of a key that lies there, None where that was not copied."""
        return self.here + key[len(self.there) :] if key.startswith(self.there) else None

    @property
    def place(self) -> str:
        """Return the original's place as `--copy-of` names it. Hostile text where a digest said it."""
        return f"s3://{self.of_bucket}/{self.there}".removesuffix("/")


def read_place(text: str) -> Locator | None:
    """Read `s3://BUCKET[/PREFIX]` as it was typed; None where it is none. The prefix keeps the slashes at its end."""
    match = _PLACE.fullmatch(text.strip())
    return Locator(match[1], match[2] or "") if match else None


def displacement(lies: Locator, says: Locator) -> Displacement | None:
    """Return how a digest is displaced that lies at one place and says another; None where that makes no copy.

    No copy renames files, and none takes the files of one account or region for those of another: `AWSLogs/` and all that
    follows it in the key of the copy is in what the digest says as well.
    """
    one, other = lies.key.split("/"), says.key.split("/")
    same = 0
    while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
        same += 1
    if not same or not says.bucket:
        return None
    here, there = (f"{'/'.join(key[:-same])}/" if len(key) > same else "" for key in (one, other))
    if f"/{_ROOT}" in f"/{here}":
        return None
    return Displacement(lies.bucket, here, says.bucket, there)


def stated(bucket: str, prefix: str | None, of: Locator) -> tuple[Displacement, ...]:
    """Return the readings that `--copy-of` may have, the likeliest first.

    The copy is looked for in `bucket`, under `prefix`.

    With a prefix it names what lies here under `--s3-prefix`, or here at all. Without one the keys are the same, or what
    lies here under `--s3-prefix` was taken from the top of the bucket.
    """
    at, there = _closed(prefix), _closed(of.key.strip("/"))
    pairs = [(at, there), ("", there)] if of.key.strip("/") else [("", ""), (at, "")]
    return tuple(dict.fromkeys(Displacement(bucket, here, of.bucket, path) for here, path in pairs))


def agrees(seen: Displacement, said: Displacement) -> bool:
    """Tell whether a digest's displacement is the one that was stated.

    Empty segments are what trails and copy tools make.
    """
    if seen.of_bucket != said.of_bucket:
        return False
    return _essence(seen) == _essence(said)


def trail_prefix(known: Displacement, prefix: str | None) -> str | None:
    """Return the prefix of the trail in the bucket that was copied.

    `prefix` is where `AWSLogs/` is looked for in the copy.
    """
    before, found, _ = f"/{known.there}".rpartition(f"/{_ROOT}")
    if found:  # a part of the tree below AWSLogs/ was copied
        return before[1:] or None
    base = known.original(f"{prefix}/{_ROOT}" if prefix else _ROOT)
    if base is None:
        base = known.there + _ROOT
    return base.removesuffix(_ROOT).removesuffix("/") or None


def options_for(seen: Displacement, prefix: str | None) -> str:
    """Return the options with which a copy is validated whose digests are displaced so, as a shell takes them."""
    known = not seen.here or is_prefix(seen, prefix)
    lead = "" if known else f"--s3-prefix {shlex.quote(seen.here.removesuffix('/'))} "
    return f"{lead}--copy-of {shlex.quote(seen.place)}"


def is_prefix(seen: Displacement, prefix: str | None) -> bool:
    """Tell whether a copy lies under the prefix that was asked for."""
    return _segments(seen.here) == _segments(prefix or "")


def combined(copy: Displacement | None, seen: Displacement) -> Displacement:
    """Return how a digest is displaced from where it really lies, if it was read through `copy` and is displaced there."""
    if copy is None:
        return seen
    if seen.here.startswith(copy.there):
        here, there = copy.here + seen.here[len(copy.there) :], seen.there
    else:
        here, there = copy.here, seen.there + copy.there.removeprefix(seen.here)
    return Displacement(copy.bucket, here, seen.of_bucket, there)


def is_digest(name: str) -> bool:
    """Tell whether a file has a digest's name, wherever it lies."""
    return _DIGEST.fullmatch(name) is not None


def rank(folder: str) -> int:
    """Return how likely a folder's name leads to digests, least first: a copy may begin anywhere in CloudTrail's tree."""
    if folder == DIGEST_KIND:
        return 0
    if folder == _ROOT.removesuffix("/"):
        return 1
    if ACCOUNT.fullmatch(folder) or ORGANIZATION.fullmatch(folder):
        return 2
    if REGION.fullmatch(folder):
        return 3
    return 4 if _DIGITS.fullmatch(folder) else 5


def _closed(prefix: str | None) -> str:
    return f"{prefix}/" if prefix else ""


def _essence(known: Displacement) -> tuple[list[str], list[str]]:
    """Return the prefixes without empty segments, and without what they end in alike."""
    here, there = _segments(known.here), _segments(known.there)
    while here and there and here[-1] == there[-1]:
        here.pop()
        there.pop()
    return here, there


def _segments(prefix: str) -> list[str]:
    return [part for part in prefix.split("/") if part]
