"""Goes along with a validation, and when it is done holds what the sources tell against the logs of the same hours."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import AbsentError, AccessError, ConfigurationError, StoreError
from cloudtrail_validate.core.findings import Findings, FindingSet, Progress
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Finding, Interval, Locator, Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.witness import (
    LATE,
    Coverage,
    Held,
    Selection,
    Source,
    Told,
    absent,
    differing,
    differs,
    events_in,
    slots,
)
from cloudtrail_validate.engine.digest_reader import DigestReader
from cloudtrail_validate.engine.stages import RegionResult
from cloudtrail_validate.evidence.events import differences, parse, shown
from cloudtrail_validate.report import WitnessRecord, WitnessSourceRecord
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.limits import TryBudget
from cloudtrail_validate.runtime.loop import in_daemon_thread
from cloudtrail_validate.witness.hours import Place, coverage_of
from cloudtrail_validate.witness.keeping import Keep
from cloudtrail_validate.witness.sources import Answer, Sources, region_of_group, trail_settings

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.engine.run import Engine
    from cloudtrail_validate.session import Session

_LOGS_AT_ONCE: Final = 32
_PLACES_AT_ONCE: Final = 17  # regions that are asked side by side: the pace is one of each region
_UNPROVEN: Final = frozenset({rules.LOG_UNDIGESTED, rules.LOG_EXTRA, rules.LOG_PENDING})


class Asked(msgspec.Struct, frozen=True):
    """What the sources are asked: of all hours or of lost ones only; where answers are kept; how many requests at most."""

    only_lost: bool = False
    keep: Path | None = None
    budget: int | None = None


class Witness:
    """A companion of a run. After it, `findings` and `record` are what came of it; `interrupted`: it was told to stop."""

    every_object = False

    def __init__(self, asked: Asked, request: Request, now: datetime, progress: Progress) -> None:
        self._asked = asked
        self._request = request
        self._now = now
        self._progress = progress
        self.interrupted = False
        self._engine: Engine | None = None
        self._session: Session | None = None
        self._found = FindingSet()
        self._numbers: Counter[str] = Counter()
        self._sources: list[WitnessSourceRecord] = []
        self._skipped: tuple[str, ...] = ()
        self._absent: list[Told] = []
        self._differing: set[str] = set()
        self._read: set[tuple[Place, Interval]] = set()  # slots whose logs were read
        self._seen: set[int] = set()  # hashes of ids of all events in logs that were read
        self._selection: Selection | None = None

    def begin(self, engine: Engine) -> None:
        """Note whose results there will be."""
        self._engine = engine

    def adapt(self, session: Session) -> Session:
        """Note what the run works with."""
        self._session = session
        return session

    def finding(self, finding: Finding) -> None:
        """Findings are in the outcome."""

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Logs are read again, where a source tells of their hours."""

    @property
    def findings(self) -> Findings:
        """What was found."""
        return self._found.freeze()

    @property
    def record(self) -> WitnessRecord:
        """How much was asked and compared."""
        number = self._numbers
        return WitnessRecord(
            only_lost=self._asked.only_lost,
            sources=tuple(sorted(self._sources, key=lambda one: (one.source, one.account, one.region))),
            compared=number["compared"],
            agreeing=number["agreeing"],
            differing=number["differing"],
            absent=number["absent"],
            left_out=number["left_out"],
            undue=number["undue"],
            unreadable=number["unreadable"],
            skipped_accounts=self._skipped,
        )

    async def conclude(self, outcome: Outcome) -> None:
        """Ask and compare, until all is done or the run is told to stop. What cannot be asked is in the record."""
        session, engine = self._session, self._engine
        if session is None or engine is None:
            return
        work = asyncio.create_task(self._ask(outcome, session, engine))
        stopping = asyncio.create_task(engine.until_stopped())
        await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if work.done():
            await work
            return
        self.interrupted = True
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _ask(self, outcome: Outcome, session: Session, engine: Engine) -> None:
        try:
            aws = session.aws if session.aws is not None else await in_daemon_thread(self._identity)
            own = await in_daemon_thread(aws.account)
        except (AccessError, ConfigurationError) as error:
            self._nobody(str(error))
            return
        if own is None:
            self._nobody("sts:GetCallerIdentity does not say whose event history it is")
            return
        results = {(one.region.account, one.region.region): one for one in engine.results}
        coverage = coverage_of(outcome.chains, outcome.findings.kept)
        hours = self._hours(outcome, results, coverage)
        self._skipped = tuple(sorted({account for account, _ in hours if account != own}))
        sources = Sources(aws, Keep(self._asked.keep) if self._asked.keep else None, self._now, self._asked.budget)
        work = {place: slots(spans) for place, spans in sorted(hours.items())}
        self._progress.objects_known += sum(map(len, work.values()))
        told_by_group = await self._group(aws, sources, hours, own)
        self._progress.phase = "event history"
        gate = asyncio.Semaphore(_PLACES_AT_ONCE)
        logs = _Logs(session, results, outcome.findings.kept)

        async def one(place: Place) -> None:
            async with gate:
                await self._place(place, work[place], sources, logs, coverage, told_by_group, ask=place[0] == own)

        await asyncio.gather(*map(one, work))
        await self._look_elsewhere(logs, work)
        self._judge_absent()
        self._progress.phase = "done"

    def _nobody(self, problem: str) -> None:
        """Nobody could be asked: the report of the run stands, and says so."""
        self._sources.append(
            WitnessSourceRecord(
                source="event-history",
                account="",
                region="",
                seconds=0,
                slots=0,
                kept_slots=0,
                events=0,
                requests=0,
                problem=problem,
            )
        )

    def _identity(self) -> Aws:
        from cloudtrail_validate.aws.session import Aws

        asked = self._request
        return Aws(
            trail_arn=asked.trail_arn,
            profile=asked.profile,
            endpoint_url=asked.endpoint_url,
            role_arn=asked.role_arn,
            external_id=asked.external_id,
        )

    def _hours(
        self, outcome: Outcome, results: Mapping[Place, RegionResult], coverage: Mapping[Place, Coverage]
    ) -> dict[Place, tuple[Interval, ...]]:
        window = Interval(outcome.window.start, min(outcome.window.end, self._now))
        if not self._asked.only_lost:
            return dict.fromkeys(results, (window,))
        lost: defaultdict[Place, list[Interval]] = defaultdict(list)
        for chain in outcome.chains:
            lost[chain.chain.account, chain.chain.region] += [gap.interval for gap in chain.gaps]
        for place, known in coverage.items():
            lost[place] += known.lost
        return {place: spans for place in results if (spans := _within(lost[place], window))}

    async def _group(
        self, aws: Aws, sources: Sources, hours: Mapping[Place, tuple[Interval, ...]], own: str
    ) -> Mapping[Place, list[Told]]:
        """What the trail's log group tells, by account-region; nothing where there is no trail or no group."""
        out: defaultdict[Place, list[Told]] = defaultdict(list)
        arn = parse_trail_arn(self._request.trail_arn or "")
        if arn is None:
            return out
        group, self._selection = await in_daemon_thread(trail_settings, aws, self._request.trail_arn or "", arn.region)
        if group is None:
            return out
        region = region_of_group(group, arn.region)
        asked, answers = slots(span for spans in hours.values() for span in spans), []
        self._progress.phase = "log group"
        self._progress.objects_known += len(asked)
        for slot in asked:
            answer = await in_daemon_thread(sources.group, group, own, region, slot)
            answers.append(answer)
            self._progress.objects_done += 1
            for told in answer.told:
                out[told.account, told.region].append(told)
        self._note(Source.GROUP, own, region, asked, answers, sources)
        return out

    async def _place(
        self,
        place: Place,
        asked: Sequence[Interval],
        sources: Sources,
        logs: _Logs,
        coverage: Mapping[Place, Coverage],
        told_by_group: Mapping[Place, Sequence[Told]],
        *,
        ask: bool,
    ) -> None:
        """One account-region, slot by slot, so that no more than a day's events are held."""
        answers = []
        for slot in asked:
            told = [one for one in told_by_group.get(place, ()) if slot.contains(one.time)]
            if ask:
                answer = await in_daemon_thread(sources.history, *place, slot)
                answers.append(answer)
                told += answer.told
            if told:
                self._read.add((place, slot))
                held = await logs.held(place, slot, {one.event_id for one in told}, self._seen)
                known = coverage.get(place, Coverage(()))
                for one in told:
                    self._compare(one, held.get(one.event_id), known)
            self._progress.objects_done += 1
        if ask:
            self._note(Source.HISTORY, *place, asked, answers, sources)

    def _compare(self, told: Told, held: Held | None, known: Coverage) -> None:
        number = self._numbers
        number["compared"] += 1
        if held is None:
            if self._selection is not None and self._selection.leaves_out(told):
                number["left_out"] += 1
            elif known.due(told.time):
                self._absent.append(told)
            else:
                number["undue"] += 1
            return
        found = differing(told, held, parse, differences)
        if found is None:
            number["unreadable"] += 1
        elif found:
            number["differing"] += 1
            if told.event_id not in self._differing:  # both sources may tell the same
                self._differing.add(told.event_id)
                self._found.add(differs(told, held, found, shown))
                self._progress.findings += 1
        else:
            number["agreeing"] += 1

    async def _look_elsewhere(self, logs: _Logs, work: Mapping[Place, Sequence[Interval]]) -> None:
        """Read the logs of the account's other regions, of the days of events that are in none so far."""
        for told in self._absent:
            for place, asked in work.items():
                for slot in asked if place[0] == told.account else ():
                    known = hash(told.event_id) in self._seen or (place, slot) in self._read
                    if slot.contains(told.time) and not known:
                        self._read.add((place, slot))
                        await logs.held(place, slot, set(), self._seen)

    def _judge_absent(self) -> None:
        """Events of global services may lie in the logs of another region: only what no log holds is absent."""
        for told in {one.event_id: one for one in self._absent}.values():
            if hash(told.event_id) in self._seen:
                self._numbers["agreeing"] += 1
                continue
            self._numbers["absent"] += 1
            self._found.add(absent(told, self._selection, some_regions=bool(self._request.regions)))
            self._progress.findings += 1

    def _note(
        self,
        source: Source,
        account: str,
        region: str,
        asked: Sequence[Interval],
        answers: Sequence[Answer],
        sources: Sources,
    ) -> None:
        self._sources.append(
            WitnessSourceRecord(
                source=source.value,
                account=account,
                region=region,
                seconds=sum(slot.seconds for slot in asked),
                events=sum(len(answer.told) for answer in answers),
                requests=sources.requests(source, region),
                kept_slots=sum(answer.kept for answer in answers),
                slots=len(asked),
                problem=next((answer.problem for answer in answers if answer.problem), None),
            )
        )


class _Logs:
    """Reads the events of logs: of those that proven digests of some hours name, and of those that nobody vouches for."""

    def __init__(self, session: Session, results: Mapping[Place, RegionResult], findings: Sequence[Finding]) -> None:
        self._session = session
        self._results = results
        self._reader = DigestReader(session.store, session.limiter, TryBudget(0))
        self._others: defaultdict[Place, list[tuple[Interval, Locator]]] = defaultdict(list)
        for one in findings:
            if one.rule in _UNPROVEN and one.where and one.interval and one.account and one.region:
                self._others[one.account, one.region].append((one.interval, one.where))

    async def held(self, place: Place, slot: Interval, wanted: set[str], seen: set[int]) -> Mapping[str, Held]:
        """The wanted events, by id, a proven log before another; the ids of all others go into `seen` as well."""
        reach = Interval(slot.start, slot.end + LATE)
        named: list[tuple[Locator, str]] = []
        for digest in self._results[place].digests if place in self._results else ():
            if digest.interval.overlaps(reach):
                references = await self._reader.references(digest) or ()
                named += [(one.where, one.hash_value.lower()) for one in references]
        named += [(where, "") for hours, where in self._others[place] if hours.overlaps(reach)]
        found: dict[str, Held] = {}
        for at in range(0, len(named), _LOGS_AT_ONCE):
            part = named[at : at + _LOGS_AT_ONCE]
            contents = await asyncio.gather(*(self._read(where) for where, _ in part))
            for (where, sha256), content in zip(part, contents, strict=True):
                for event_id, raw in events_in(content[0]):
                    seen.add(hash(event_id))
                    if event_id in wanted and (event_id not in found or not found[event_id].proven):
                        found[event_id] = Held(where, bool(sha256) and content[1] == sha256, raw)
        return found

    async def _read(self, where: Locator) -> tuple[bytes, str]:
        """A log's content, bounded as a digest's, and its SHA-256; empty where it cannot be read."""
        try:
            async with self._session.limiter:
                inflater, _ = await self._session.store.digest(where)
        except (AbsentError, StoreError):
            return b"", ""
        content = inflater.finish()
        return inflater.kept(), content.sha256 if content.flaw is None else ""


def _within(spans: Iterable[Interval], window: Interval) -> tuple[Interval, ...]:
    found = (span.within(window) for span in spans)
    return tuple(span for span in found if span.seconds)
