"""The types of a vector file. Whatever a file says that these types do not know is an error.

A vector is `tests/vectors/RULE/CASE/vector.json` (RULE `clean` where nothing is wrong). Objects are named by their keys
or by their roles:

    {digest 3}            the chain's digests as delivered, in order of time; 0 is the starting digest
    {log 3.0}             the first log that digest 3 names
    {backfill 0} {late 0.0}   the same for the backfill chain
    {stray 0}             logs that were delivered and that no digest names, in order of their keys
    {planted 0}           the objects that `tamper` touched, in the simulator's order
    {logs} {digests}      the folders, with the closing slash; {root} what lies before `CloudTrail/`

A role may be followed by `@REGION`, `@ACCOUNT` (default: the trail's first) and `#TRAIL` (default: `trail`, else a name
under `beside`): `{digest 3@eu-west-1#older}`. Text around roles stays as it is: `{logs}2026/01/01//planted.json.gz`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from cloudtrail_validate.core.model import Cause, Status
from cloudtrail_validate.simulate import Restart, TrailSpec

FOLDER = Path(__file__).parent.parent / "vectors"
CLEAN = "clean"
BUCKET = "amzn-s3-demo-bucket"
StoreName = Literal["local", "copy", "s3", "rclone"]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a vector."""


class Move(Part, frozen=True):
    """From this hour (index) on the chain is delivered elsewhere, as after UpdateTrail."""

    hour: int
    bucket: str | None = None
    prefix: str | None = None
    organization_id: str | None = None


class Trail(Part, frozen=True):
    """A trail to simulate: `TrailSpec`, smaller by default, with `moves` that change the place of its chain."""

    trail_name: str | UnsetType = UNSET
    accounts: tuple[str, ...] | UnsetType = UNSET
    home_account: str | UnsetType = UNSET
    regions: tuple[str, ...] | UnsetType = UNSET
    home_region: str | UnsetType = UNSET
    multi_region: bool | UnsetType = UNSET
    organization_id: str | UnsetType = UNSET
    bucket: str = BUCKET
    prefix: str = ""
    start: datetime | UnsetType = UNSET
    hours: int = 6
    offset_seconds: int | UnsetType = UNSET
    logs_per_hour: int | dict[str, int] = 1
    quiet_regions: tuple[str, ...] | UnsetType = UNSET
    events_per_log: int = 2
    seed: int = 0
    key_rotation_hours: int | UnsetType = UNSET
    spki_every: int | UnsetType = UNSET
    restarts: tuple[tuple[int, int], ...] = ()
    late_logs: int | UnsetType = UNSET
    pending: int = 0
    markers: bool = True
    moves: tuple[Move, ...] = ()

    def spec(self) -> TrailSpec:
        """The simulator's specification."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__ if name != "moves"}
        given["restarts"] = tuple(Restart(*restart) for restart in self.restarts)
        return TrailSpec(**{name: value for name, value in given.items() if value is not UNSET})


class Edit(Part, frozen=True, tag_field="do", tag=str.lower):
    """One thing done to the bucket after delivery, without CloudTrail's private key unless it is `Sign` or `Name`."""

    key: str


class Delete(Edit, frozen=True):
    """The object is deleted."""


class Put(Edit, frozen=True):
    """An object is written: this text, compressed unless `gzip` is false, at that time (default: the trail's end)."""

    text: str
    gzip: bool = True
    at: datetime | None = None
    metadata: dict[str, str] | None = None


class Copy(Edit, frozen=True):
    """The object at `source` is copied to `key`, metadata and time with it."""

    source: str


class Append(Edit, frozen=True):
    """Text is added to the stored bytes, as a second gzip member or as it is."""

    text: str
    gzip: bool = False


class Truncate(Edit, frozen=True):
    """Only the first bytes stay."""

    bytes: int


class Flip(Edit, frozen=True):
    """Bits of one byte, counted from the end where negative, are inverted: all of them, or those of `mask`."""

    byte: int
    mask: int = 0xFF


class Replace(Edit, frozen=True):
    """Text of the inflated content is replaced, and the content compressed again."""

    old: str
    new: str


class Inflate(Edit, frozen=True):
    """The object is stored inflated, as tools do that honour Content-Encoding."""


class Metadata(Edit, frozen=True):
    """User metadata are set, or taken away where null."""

    set: dict[str, str | None]


class Unreadable(Edit, frozen=True):
    """The object is listed and cannot be read: archived on S3, a link to itself in a folder."""


class Written(Edit, frozen=True):
    """The object's time of last write becomes this."""

    at: datetime


class Sign(Edit, frozen=True):
    """Fields of a digest are changed and it is signed again by the key that signed it, as only CloudTrail can."""

    set: dict[str, Any]


class Name(Edit, frozen=True):
    """A digest names these logs too, as they are now, and is signed again by the key that signed it."""

    logs: tuple[str, ...]


AnyEdit = (
    Delete | Put | Copy | Append | Truncate | Flip | Replace | Inflate | Metadata | Unreadable | Written | Sign | Name
)


class Keys(Part, frozen=True):
    """Where the validator has its keys from, and which are there.

    `signers` are those that signed; `nothing` is an empty answer; `strangers-then` are other keys valid at the time of
    the trail, `strangers-later` other keys valid from ten days after its end.
    """

    source: Literal["file", "aws"] = "file"
    listed: Literal["signers", "nothing", "strangers-then", "strangers-later"] = "signers"


class CloudTrail(Part, frozen=True):
    """A trail as the control plane describes it. It belongs to the account 123456789012, as moto has no other.

    `home_region` defaults to the main trail's.
    """

    name: str
    bucket: str = BUCKET
    prefix: str = ""
    validation: bool = True
    multi_region: bool = False
    home_region: str | None = None


class Aws(Part, frozen=True):
    """The control plane. `delivered` is the main trail's LatestDigestDeliveryTime by region, `denied` names actions."""

    trails: tuple[CloudTrail, ...] = ()
    delivered: dict[str, datetime] = {}
    denied: tuple[str, ...] = ()
    enabled_regions: tuple[str, ...] | None = None


class Run(Part, frozen=True):
    """What is asked. Times default to the simulation's window and clock, `prefix` to where the trail delivers.

    `by` says what names the place: bucket and prefix, the trail's ARN, or both; `also_buckets` where chains may lead.
    """

    start: datetime | None = None
    end: datetime | None = None
    now: datetime | None = None
    by: Literal["bucket", "trail", "both"] = "bucket"
    prefix: str | None = None
    also_buckets: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    tolerate: frozenset[str] = frozenset()


class Found(Part, frozen=True):
    """One finding. `rule`, `status` and the object's key (or, where there is none, the hours) are always compared."""

    rule: str
    status: Status
    key: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    cause: Cause | None = None
    account: str | None = None
    region: str | None = None
    trail: str | None = None
    bucket: str | None = None


class Counts(Part, frozen=True, omit_defaults=True):
    """Objects by outcome."""

    valid: int = 0
    altered: int = 0
    missing: int = 0
    extra: int = 0
    unverifiable: int = 0


class Expect(Part, frozen=True):
    """The whole answer: no finding may be absent and none may be there besides."""

    exit: int
    verdict: str
    digests: Counts
    logs: Counts
    covered_seconds: int
    findings: tuple[Found, ...]


class StoreCase(Part, frozen=True):
    """One store. `expect` where it differs from the vector's; `times` says whether LastModified is that of delivery."""

    expect: Expect | None = None
    times: Literal["delivered", "now"] = "delivered"


class Vector(Part, frozen=True, kw_only=True):
    """One case."""

    name: str
    why: str
    rule: str
    trail: Trail
    beside: dict[str, Trail] = {}
    tamper: tuple[str, ...] = ()
    edits: tuple[AnyEdit, ...] = ()
    aws: Aws | None = None
    run: Run = Run()
    keys: Keys = Keys()
    stores: dict[StoreName, StoreCase]
    expect: Expect


def load(path: Path) -> Vector:
    """Read a vector file. Raises `msgspec.ValidationError` for anything that is not of these types."""
    return msgspec.json.decode(path.read_bytes(), type=Vector)


def paths() -> list[Path]:
    """Every vector file."""
    return sorted(FOLDER.rglob("vector.json"))


def of(**parts: Any) -> Vector:
    """A vector of which only the trail and what is done to it count."""
    answer = {"exit": 0, "verdict": "", "digests": {}, "logs": {}, "covered_seconds": 0, "findings": []}
    rest = {"name": "clean/x", "why": "", "rule": "clean", "stores": {}, "expect": answer}
    return msgspec.convert({**rest, **parts}, Vector)
