"""Take a snapshot: go along with a validation, copy what it reads, and write down what it found.

taker = Taker(bundle, signer)
result = run(request, now=now, companion=taker)
manifest = taker.finish(request, result.report, now)   # taker.stamped says what came of the time stamp
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cloudtrail_validate.aws.signing import Signer
from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.report import Report
from cloudtrail_validate.request import Request
from cloudtrail_validate.snapshot.bundle import Bundle
from cloudtrail_validate.snapshot.copying import Tee
from cloudtrail_validate.snapshot.manifest import Manifest, SnapshotError, Window
from cloudtrail_validate.snapshot.sealing import Authority, Question, SnapshotTaker

if TYPE_CHECKING:
    from cloudtrail_validate.core.outcome import Outcome
    from cloudtrail_validate.core.plan import Target
    from cloudtrail_validate.core.signature import RegionKeys
    from cloudtrail_validate.session import Session
    from cloudtrail_validate.stores.key_file import KeySource

_UNREAD: Final = frozenset({rules.LOG_EXTRA, rules.LOG_PENDING, rules.LOG_UNDIGESTED})  # judged by their listing alone
_AT_ONCE: Final = 256


class RecordedKeys:
    """A key source that remembers every answer."""

    def __init__(self, source: KeySource) -> None:
        self._source = source
        self.answers: dict[str, RegionKeys] = {}

    def region(self, region: str) -> RegionKeys:
        """The source's answer."""
        return self.answers.setdefault(region, self._source.region(region))


class Taker(SnapshotTaker):
    """A run's companion that makes a snapshot of it."""

    def __init__(self, bundle: Bundle, signer: Signer | None = None, authority: Authority | None = None) -> None:
        super().__init__(bundle, signer, authority)
        self._unread: dict[Locator, None] = {}
        self._keys: RecordedKeys | None = None
        self._target: Target | None = None

    def adapt(self, session: Session) -> Session:
        """Stand between the run and its store and keys."""
        single = session.aws is None  # a local copy, where one folder stands for every bucket
        self._target = session.target
        self._tee = Tee(session.store, self._bundle, session.target.bucket, single=single)
        self._keys = RecordedKeys(session.keys)
        return replace(session, store=self._tee, keys=self._keys)

    def finding(self, finding: Finding) -> None:
        """Note what was judged without being read."""
        if finding.rule in _UNREAD and finding.where is not None:
            self._unread[finding.where] = None

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Nothing to do: it was copied as it was read."""

    async def conclude(self, outcome: Outcome) -> None:
        """Fetch what was listed and not read, and the digests that show which chains were there before the window."""
        await self._keep(self._unread, digests=False)
        await self._keep(self._context(outcome), digests=True)

    def finish(self, request: Request, report: Report, asked: datetime) -> Manifest:
        """Write keys, report and manifest, signed where there is a key. Raises `SnapshotError`."""
        tee, keys, target, hours = self._tee, self._keys, self._target, self._bundle.window
        if tee is None or keys is None or target is None:
            raise SnapshotError("nothing was validated")
        window = Window(start=hours.start, end=hours.end, asked=asked)
        question = Question(target=target, window=window, trail_arn=request.trail_arn, tolerate=request.tolerate)
        return self._end(tee, keys.answers, report, question)

    async def _keep(self, places: Iterable[Locator], *, digests: bool) -> None:
        tee, left = self._tee, list(places)
        while tee is not None and left:
            batch, left = left[:_AT_ONCE], left[_AT_ONCE:]
            await asyncio.gather(*(tee.keep(where, digests=digests) for where in batch))

    def _context(self, outcome: Outcome) -> Sequence[Locator]:
        """An earlier digest of each chain that does not reach the window's start: without it, it looks new."""
        start = outcome.window.start
        late = {
            replace(report.chain, organization_id=None)
            for report in outcome.chains
            if any(gap.interval.start == start for gap in report.gaps)
        }
        earlier = self._tee.earlier if self._tee else {}
        return [where for chain, where in earlier.items() if replace(chain, organization_id=None) in late]
