"""Defines what a run validates: the target that was asked for, and the account-regions that it comes down to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import Cause, ChainId, Interval, Kind, Locator, ObjectInfo


class Unvalidated(msgspec.Struct, frozen=True):
    """A trail without validation that writes to the same bucket and prefix. `region` is empty where it writes in all."""

    owner: str
    region: str
    organization: bool

    def writes(self, folder: Folder) -> bool:
        """Tell whether its logs come into a folder: those of an organization's trail under the organization's id."""
        if self.region not in ("", folder.region):
            return False
        if self.organization:
            return folder.organization_id is not None
        return folder.organization_id is None and folder.account == self.owner


class ExpectedPlace(msgspec.Struct, frozen=True, order=True):
    """An account, or (with `region`) an account-region, that must have digests: `--expect`, or what a state remembers."""

    account: str
    region: str = ""


class Target(msgspec.Struct, frozen=True):
    """Names the trail or bucket to validate. Empty strings and None mean "not known": then whatever is found is taken.

    `regions` and `accounts` are what the user narrowed to; `expected_regions` the regions enabled for `owner` (multi-region
    trails), `members` the organization's accounts, `expect` what else must be there; `delivered` is GetTrailStatus' time by
    region, for `owner`'s chains.
    """

    bucket: str
    prefix: str | None
    trail: str = ""
    home_region: str = ""
    owner: str = ""
    organization: bool | None = None
    multi_region: bool | None = None
    regions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    expected_regions: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    delivered: Mapping[str, datetime] = msgspec.field(default_factory=dict)
    unvalidated: tuple[Unvalidated, ...] = ()
    also_buckets: tuple[str, ...] = ()
    expect: tuple[ExpectedPlace, ...] = ()

    def may_visit(self, bucket: str) -> bool:
        """Tell whether a bucket that a digest names is read: it was asked for, or must belong to the trail's owner.

        A genuine chain of somebody else's trail may name buckets of theirs, and requests to these would tell them who
        asks. So whose trail it is must be known from the question, not from the bucket. An empty name is a local copy.
        """
        return bucket in ("", self.bucket, *self.also_buckets) or not self.bucket or bool(self.owner)

    def expected_owner(self, bucket: str) -> str | None:
        """Return the account that a bucket must belong to, None where it was asked for and may be anybody's."""
        return None if bucket in ("", self.bucket, *self.also_buckets) else self.owner or None

    def selects(self, chain: ChainId) -> bool:
        """Tell whether a chain is part of what was asked."""
        return not self.trail or (chain.trail == self.trail and chain.home_region == self.home_region)


class Edge(msgspec.Struct, frozen=True):
    """A proven digest of a chain, by which a later run knows it again: place, SHA-256 of its content, signature, end."""

    chain: ChainId
    where: Locator
    sha256: str
    signature: str
    end: datetime


class Unchanged(msgspec.Struct, frozen=True):
    """Hours that an earlier run proved and whose listing is the same, with the numbers of their objects."""

    interval: Interval
    digests: int
    logs: int


class AccountRegion(msgspec.Struct, frozen=True):
    """Names one account's region to validate, its `folders` newest location first.

    `expected` says why a trail must have digests here, if it must.
    `delivered` is GetTrailStatus.LatestDigestDeliveryTime where it is known; `strays` are objects that lie beside the
    region folders; `has_logs` is false where there is no folder of logs to list, `logs_elsewhere` true where
    another result of the run lists, reads and judges the logs of this place; `excused` is true where a trail without
    validation writes to the same folder. `windows` are the hours to validate where these are not those of the run;
    `edges` digests that an earlier run proved, to be looked at again; `unchanged` hours that it proved and whose listing
    is the same, with the numbers of their objects. `rereads` are further such hours, which are read again in this order
    while there is time. `one_trail` is true where AWS says whose trail it is, so that all folders are one chain's: else
    an account's own trail may bear the name of its organization's.
    """

    account: str
    region: str
    folders: tuple[Folder, ...]
    expected: str = ""
    delivered: datetime | None = None
    strays: tuple[ObjectInfo, ...] = ()
    has_logs: bool = True
    logs_elsewhere: bool = False
    excused: bool = False
    trail: str = ""
    home_region: str = ""
    windows: tuple[Interval, ...] | None = None
    edges: tuple[Edge, ...] = ()
    unchanged: tuple[Interval, ...] = ()
    unchanged_digests: int = 0
    unchanged_logs: int = 0
    rereads: tuple[Unchanged, ...] = ()
    one_trail: bool = False

    @property
    def organization_id(self) -> str | None:
        """Return the organization whose folder the site's first folder is in."""
        return self.folders[0].organization_id

    def own(self, chain: ChainId) -> ChainId:
        """Return the chain as it is known here, whichever of the folders a digest lies in."""
        return replace(chain, organization_id=self.organization_id) if self.one_trail else chain

    def selects(self, chain: ChainId) -> bool:
        """Tell whether a chain is part of what was asked: the one trail's, or any where none was named.

        Where another result lists the logs of this place, it has counted the backfill digests as well.
        """
        if self.logs_elsewhere and chain.kind is Kind.BACKFILL:
            return False
        return not self.trail or (chain.trail == self.trail and chain.home_region == self.home_region)

    @property
    def nameless(self) -> ChainId:
        """Return the chain that belongs here, as far as it is known before any digest is."""
        return ChainId(self.account, self.region, self.trail, self.home_region, self.organization_id, Kind.STANDARD)


class Unlisted(msgspec.Struct, frozen=True):
    """A part of the bucket whose listing failed."""

    prefix: str
    account: str | None
    cause: Cause
    detail: str


class Plan(msgspec.Struct, frozen=True):
    """The sites to validate, what could not be looked into, and accounts that were asked for and have nothing here."""

    sites: tuple[AccountRegion, ...]
    unlisted: tuple[Unlisted, ...]
    empty: tuple[str, ...] = ()
