"""The values that travel between the stages of a validation.

    plan      Target                            -> Plan
    prove     AccountRegion                     -> ProvenChains    the whole digest phase of one account-region
    cut       ProvenChains                      -> LogBatch …      key ranges of log folders, and who names logs in them
    reconcile LogBatch                          -> LogResult       logs read, and what is listed and unnamed
    settle    ProvenChains, LogResult …         -> RegionResult    judges time and unnamed files: the only look around
    fold      RegionResult …                    -> Outcome

All are frozen and encode with msgspec, so that a stage may run in this process, in another, or on another machine. The
digest phase is not cut by time: a proof runs along any number of digests. The log phase is cut by key range, so that each
log has one owner, however many digests name it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from cloudtrail_validate.core.chain import DigestState, Link
from cloudtrail_validate.core.continuation import Continuation
from cloudtrail_validate.core.findings import Findings
from cloudtrail_validate.core.layout import Folder, folder_of
from cloudtrail_validate.core.model import (
    Cause,
    ChainId,
    ChainReport,
    Counts,
    Finding,
    Interval,
    Kind,
    Locator,
    ObjectInfo,
)
from cloudtrail_validate.core.plan import AccountRegion, Edge
from cloudtrail_validate.core.signature import PublicKey
from cloudtrail_validate.engine.listing import Entry


class Scope(msgspec.Struct, frozen=True):
    """Holds what is asked of every account-region: the window, and the time of asking.

    `until` is when to begin no more of what is only read again, by the clock; None: whenever it is done.
    """

    window: Interval
    now: datetime
    until: datetime | None = None


class Place(msgspec.Struct, frozen=True, order=True):
    """A folder of log files of one kind (`CloudTrail`, `CloudTrail-Insight`, …)."""

    folder: Folder
    kind: str

    @property
    def path(self) -> str:
        """Return the key prefix of the folder, with its closing slash."""
        return self.folder.path(self.kind)


class Reach(msgspec.Struct, frozen=True):
    """The keys that one digest names in one place: the first and last of those in date folders, and the number of all.

    `place` is None for keys outside of the account-region's folders. `odd` tells that some key lies in no date folder;
    `first` and `last` are empty where none does.
    """

    place: Place | None
    first: str
    last: str
    number: int
    odd: bool = False


class ProvenDigest(msgspec.Struct, frozen=True):
    """A proven digest that names logs, and what it takes to read them once more.

    `counted` is true where its logs are read and counted; else they are only known to be named. `number` is how many
    it names.
    """

    entry: Entry
    interval: Interval
    sha256: str
    number: int
    reaches: tuple[Reach, ...] = ()
    counted: bool = True

    @property
    def written(self) -> datetime:
        """Return the time by which its logs had been delivered.

        A backfill digest is written hours after the hour it is of.
        """
        if self.entry.chain.kind is Kind.BACKFILL and self.entry.modified is not None:
            return max(self.interval.end, self.entry.modified)
        return self.interval.end


class ChainLinks(msgspec.Struct, frozen=True):
    """The digests of one chain in the order in which they were proven, newest first, and what the listing adds.

    `selected` chains were asked for; others write into the same folders. `earlier` is true where the folder lists
    digests from before the window, `before` the end of the newest of these that was listed. `newest` is the newest
    digest listed.
    """

    chain: ChainId
    links: tuple[Link, ...]
    selected: bool
    earlier: bool = False
    before: datetime | None = None
    newest: Entry | None = None


class Failure(msgspec.Struct, frozen=True):
    """A folder whose listing failed, with the rule that says so."""

    rule: str
    where: Locator
    cause: Cause
    detail: str


class ProvenChains(msgspec.Struct, frozen=True, tag=True):
    """Holds the result of the digest phase of one account-region.

    `digests` are the proven ones that name logs. `findings` are about single digests; what chains and hours come to is
    for `settle` to say. `unread` are findings about digests that a passing trouble kept from being read and that may
    name logs of other hours than their own. `strays` are links of what lies among the digests and bears no digest's
    name. `written` is the newest LastModified of any digest of the chains that were asked for; `copied` tells that
    all proven digests were written later than delivery explains, so that LastModified places nothing in time. `claiming`
    are digests that name logs, could be read, and were neither proven nor refuted. `edges` are the newest proven digest of
    each chain, and those that were to be looked at again. `continuations` are chains that go on in another folder.
    """

    region: AccountRegion
    chains: tuple[ChainLinks, ...]
    digests: tuple[ProvenDigest, ...]
    strays: tuple[Link, ...]
    findings: Findings
    unread: tuple[Finding, ...] = ()
    failures: tuple[Failure, ...] = ()
    keys: tuple[PublicKey, ...] = ()
    written: datetime | None = None
    claiming: tuple[ProvenDigest, ...] = ()
    copied: bool = False
    edges: tuple[Edge, ...] = ()
    continuations: tuple[Continuation, ...] = ()

    @property
    def folders(self) -> tuple[Folder, ...]:
        """Return the account-region's folders, those in which its proven digests lie, and those in which their logs do.

        A chain that came from elsewhere has a folder of logs there too, whether its digests name any in it or not.
        """
        bucketless = not self.region.folders[0].bucket
        links = (link for item in self.chains if item.selected for link in item.links)
        proven = (link.where for link in links if link.state is DigestState.PROVEN)
        places = (folder_of("" if bucketless else where.bucket, where.key) for where in proven)
        lying = (place[0] for place in places if place)
        reached = (reach.place.folder for digest in self.digests for reach in digest.reaches if reach.place)
        return tuple(dict.fromkeys((*self.region.folders, *lying, *reached)))


class LogBatch(msgspec.Struct, frozen=True):
    """A part of the log phase: the keys of one place from `after` up to, not including, `before`.

    `listed` are the ranges of them that are listed; `odd` means the keys of the place that lie in no date folder
    instead. `place` None stands for keys outside of the account-region's folders. `digests` name logs among these keys.
    """

    region: AccountRegion
    place: Place | None
    after: str
    before: str | None
    listed: tuple[tuple[str, str], ...]
    digests: tuple[ProvenDigest, ...]
    number: int
    odd: bool = False

    def owns(self, place: Place | None, key: str, *, odd: bool) -> bool:
        """Tell whether a key that lies in `place` is this batch's to check."""
        if place != self.place or odd != self.odd:
            return False
        return odd or place is None or (self.after <= key and (self.before is None or key < self.before))


class Unnamed(msgspec.Struct, frozen=True):
    """A file that the listing shows and no proven digest of the account-region names. `path` is the folder listed."""

    bucket: str
    path: str | None
    info: ObjectInfo


class LogResult(msgspec.Struct, frozen=True, tag=True):
    """Holds the result of the logs of one batch, by chain."""

    counts: tuple[tuple[ChainId, Counts], ...]
    findings: Findings
    unnamed: tuple[Unnamed, ...]
    bytes_hashed: int = 0
    failures: tuple[Failure, ...] = ()


class RegionResult(msgspec.Struct, frozen=True, tag=True):
    """Holds the result of one account-region. `digests` are the proven ones that name logs, for who wants to read more.

    `unfinished` is true where the run ended before all of it was looked at. `trails` are the chains of which something
    is proven here: they tell where else their trail must write. `skipped` are the `rereads` for which there was no time,
    `continuations` chains that go on in another folder.
    """

    region: AccountRegion
    chains: tuple[ChainReport, ...]
    findings: Findings
    digests: tuple[ProvenDigest, ...] = ()
    keys: tuple[PublicKey, ...] = ()
    bytes_hashed: int = 0
    trails: tuple[ChainId, ...] = ()
    unfinished: bool = False
    edges: tuple[Edge, ...] = ()
    skipped: tuple[Interval, ...] = ()
    continuations: tuple[Continuation, ...] = ()
