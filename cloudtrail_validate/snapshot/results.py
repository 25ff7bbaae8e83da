"""Take a snapshot of results of CloudTrail Lake queries: go along with their verification, and copy what it reads.

taker = ResultsTaker(bundle, signer)
report = lake.verify(question, now=now, companion=taker)
manifest = taker.finish(report, question.tolerate, now)   # taker.stamped says what came of the time stamp
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.model import Interval, Locator
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.report import Report
from cloudtrail_validate.snapshot.bundle import Bundle
from cloudtrail_validate.snapshot.copying import Copy, Tap, Tee
from cloudtrail_validate.snapshot.manifest import OTHER_TREES, LeftOut, Manifest, SnapshotError, Window, path_of
from cloudtrail_validate.snapshot.sealing import Authority, Question, SnapshotTaker
from cloudtrail_validate.stores.protocol import Store, Stored

if TYPE_CHECKING:
    from cloudtrail_validate.aws.signing import Signer
    from cloudtrail_validate.lake import Place
    from cloudtrail_validate.lake.reading import Listing
    from cloudtrail_validate.stores.key_file import KeySource

_UNREAD: Final = "it was listed, and not read"
_UNNAMED: Final = "unnamed"  # results lie in one bucket, whose tree is another


class ResultsTee(Tee):
    """A store that copies what is read as stored. Where copying has failed, reading goes on."""

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """An object as stored, from the snapshot where it is there."""
        if self.failure is None:
            try:
                return await self._take(where, size, etag, digests=False, copy=self._tap(make))
            except StoreError:
                if self.failure is None:
                    raise
        return await self._source.stored(where, make, size, etag)

    def _path(self, named: Locator) -> tuple[str, str]:
        """The path of an object's file. Where no file can bear the object's name, it has one out of that name's hash.

        What is planted beside results may have any name, and what it holds decides what is found.
        """
        path, reason = path_of(named, self._main)
        try:
            digest = hashlib.sha256(named.key.encode()).hexdigest()
        except UnicodeEncodeError:  # a local file's name that is no UTF-8: no manifest can say it
            return path, reason
        return (path, "") if path else (f"{OTHER_TREES}/{_UNNAMED}/{digest}", "")

    def complete(self, listings: Sequence[Listing], bucket: str) -> None:
        """Name what was listed and is not in the snapshot, and date what could not be read."""
        for listing in listings:
            for info in listing.objects.values():
                named = self._named(Locator(bucket, info.key))
                held = self._bundle.held.get(self._path(named)[0])
                left = self.left_out.get(named)
                if left is not None and left.modified is None:
                    self.left_out[named] = replace(left, size=info.size, modified=info.modified)
                elif left is None and (held is None or held.object is None or held.object.key != info.key):
                    key = info.key.encode("utf-8", "backslashreplace").decode()
                    self.left_out[named] = LeftOut(
                        bucket=named.bucket,
                        key=key,
                        reason=_UNREAD,
                        cause=None,
                        size=info.size,
                        modified=info.modified,
                    )

    def _tap(self, make: Callable[[int | None], Inflater]) -> Callable[[Path | None, int | None], Copy]:
        return lambda drafts, size: Tap(self._bundle.root, drafts, make(size))


class AllAnswers:
    """Remembers what sources of keys answered, a region's answers as one: whatever time they were asked for."""

    def __init__(self, keys: Callable[[Interval], KeySource]) -> None:
        self._keys = keys
        self.answers: dict[str, RegionKeys] = {}

    def source(self, window: Interval) -> KeySource:
        """The source of keys of some time."""
        return _Recorded(self._keys(window), self.answers)


class _Recorded:
    def __init__(self, source: KeySource, answers: dict[str, RegionKeys]) -> None:
        self._source = source
        self._answers = answers

    def region(self, region: str) -> RegionKeys:
        """The source's answer."""
        answer, known = self._source.region(region), self._answers.get(region)
        whole = answer
        if known is not None:
            better = answer if answer.issuer or not known.issuer else known
            whole = replace(better, keys={**known.keys, **answer.keys})
        self._answers[region] = whole
        return answer


class ResultsTaker(SnapshotTaker):
    """Makes a snapshot of what a verification of query results reads; it is that verification's companion."""

    def __init__(self, bundle: Bundle, signer: Signer | None = None, authority: Authority | None = None) -> None:
        super().__init__(bundle, signer, authority)
        self._listings: Sequence[Listing] = ()
        self._place: Place | None = None
        self._tee: ResultsTee | None = None
        self._keys: AllAnswers | None = None

    def adapt(
        self, place: Place, store: Store, keys: Callable[[Interval], KeySource]
    ) -> tuple[Store, Callable[[Interval], KeySource]]:
        """Stand between the verification and its store and keys."""
        self._place = place
        self._tee = ResultsTee(store, self._bundle, place.bucket, single=not place.bucket)
        self._keys = AllAnswers(keys)
        return self._tee, self._keys.source

    def listed(self, listings: Sequence[Listing]) -> None:
        """Note what there is."""
        self._listings = listings

    async def conclude(self) -> None:
        """Note what of it was not read."""
        if self._tee is not None and self._place is not None:
            self._tee.complete(self._listings, self._place.bucket)

    def close(self) -> None:
        """Let go of the folder; what is copied stays."""
        self._bundle.close()

    def finish(self, report: Report, tolerate: frozenset[str], asked: datetime) -> Manifest:
        """Write keys, report and manifest, signed where there is a key. Raises `SnapshotError`."""
        tee, keys, place = self._tee, self._keys, self._place
        if tee is None or keys is None or place is None:
            raise SnapshotError("nothing was verified")
        question = Question(
            target=Target(place.bucket, place.prefix),
            window=Window(start=report.request.start, end=report.request.end, asked=asked),
            trail_arn=None,
            tolerate=tolerate,
            queries=place,
        )
        return self._end(tee, keys.answers, report, question)
