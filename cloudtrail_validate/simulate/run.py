"""Writes a trail: plans the tampering, walks every chain hour by hour, and keeps the answer sheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import HOUR, Interval, Status
from cloudtrail_validate.simulate import naming, tampers
from cloudtrail_validate.simulate.digests import Segment, Stage, log_delivery, walk, walk_backfill
from cloudtrail_validate.simulate.events import generator, make_log
from cloudtrail_validate.simulate.manifest import Expectations, Manifest, Planted
from cloudtrail_validate.simulate.placing import ChainPlan, Tamper, TamperError, make_plans
from cloudtrail_validate.simulate.signing import KeyRing, NewKey, PublishedKeys, generate_key
from cloudtrail_validate.simulate.sinks import Delivery, Role

if TYPE_CHECKING:
    from cloudtrail_validate.simulate.events import LogFile
    from cloudtrail_validate.simulate.sinks import Sink
    from cloudtrail_validate.simulate.spec import TrailSpec

PENDING_SPAN = 10 * 60  # seconds after the newest digest in which pending logs arrive
PENDING_WINDOW = timedelta(minutes=30)  # by which the window goes on, so that they lie in it


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of it: the answer sheet and the public keys."""

    manifest: Manifest
    keys: PublishedKeys


def simulate(
    spec: TrailSpec,
    sink: Sink,
    tampers: Iterable[Tamper | str] = (),
    *,
    new_key: NewKey = generate_key,
    key_unknown: Status = Status.UNVERIFIABLE,
) -> Simulation:
    """Write the trail to the sink, tampered with as wished, and return what a validator should find.

    Works hour by hour: memory does not grow with the trail, but for what is expected to be found. `key_unknown` is the
    status to expect of `digest-key-unknown`: unverifiable where the validator has its keys from a file, altered where
    the key API answers with other keys of that time.
    Raises TamperError (a ValueError) before anything is written where a wish is unknown or finds no room, and what the
    sink raises (OSError, ValueError for an unsafe key, botocore errors).
    """
    wishes = [Tamper.parse(wish) if isinstance(wish, str) else wish for wish in tampers]
    run = _Run(spec, make_plans(spec, wishes).values(), KeyRing(spec, new_key), key_unknown)
    run.check(wishes, sink)
    with sink:
        for delivery in run.deliveries():
            sink.put(delivery)
    return Simulation(run.manifest(keeps_times=sink.keeps_times), run.ring.published())


class _Run:
    """One simulation under way: what is planned, and what has been counted."""

    def __init__(self, spec: TrailSpec, plans: Iterable[ChainPlan], ring: KeyRing, key_unknown: Status) -> None:
        self.spec = spec
        self.ring = ring
        self._plans = tuple(plans)
        self._key_unknown = key_unknown
        tail = PENDING_WINDOW if any(plan.pending or plan.planted_pending for plan in self._plans) else timedelta(0)
        self._window = Interval(spec.base, spec.end + tail)
        self._planted: list[Planted] = []
        self._counts = dict.fromkeys(Role, 0)
        self._bytes = 0

    def check(self, wishes: Iterable[Tamper], sink: Sink) -> None:
        """Raise TamperError for a wish that this sink cannot show."""
        for wish in wishes:
            if wish.rule in tampers.NEED_METADATA and not sink.keeps_metadata:
                raise TamperError(f"expected sidecars to be written for {wish.rule}: it lies in the object's metadata")

    def deliveries(self) -> Iterator[Delivery]:
        """Every object of the trail, counted as it passes."""
        for delivery in self._all():
            self._counts[delivery.role] += 1
            self._bytes += len(delivery.body)
            yield delivery

    def manifest(self, *, keeps_times: bool) -> Manifest:
        """The answer sheet, once everything is delivered."""
        spec = self.spec
        return Manifest(
            trail_arn=spec.trail_arn,
            organization_id=spec.organization,
            bucket=spec.bucket,
            prefix=spec.prefix,
            accounts=spec.accounts,
            regions=spec.all_regions,
            multi_region=spec.everywhere,
            start=self._window.start,
            end=self._window.end,
            as_of=spec.end + HOUR,
            digests=self._counts[Role.DIGEST],
            logs=self._counts[Role.LOG],
            bytes_stored=self._bytes,
            rewritten_everywhere=not keeps_times,
            planted=tuple(self._planted),
        )

    def _all(self) -> Iterator[Delivery]:
        if self.spec.markers:
            for account in self.spec.accounts:
                for key in naming.marker_keys(self.spec, account):
                    yield Delivery(key, b"", self.spec.base, Role.MARKER)
        for plan in self._plans:
            yield from self._absent_chain(plan) if plan.absent else self._chain(plan)

    def _expectations(self, plan: ChainPlan) -> Expectations:
        return Expectations(self.spec.bucket, plan.site, self._key_unknown)

    def _chain(self, plan: ChainPlan) -> Iterator[Delivery]:
        segments = plan.segments()
        yield from self._breaks(plan, segments)
        gathered: list[Stage] = []
        for stage in walk(self.spec, plan.site, segments, self.ring, plan.unpublished()):
            victim = None if stage.hour is None else plan.victims.get(stage.hour)
            if victim is None:
                yield from tampers.deliveries(stage)
                continue
            gathered.append(stage)
            if stage.hour == victim.hours[-1]:
                yield from self._tampered(plan, victim.rule, tuple(gathered))
                gathered.clear()
        for stage in walk_backfill(self.spec, plan.site, segments, self.ring):
            yield from tampers.deliveries(stage)
        yield from self._pending(plan, segments[-1])

    def _tampered(self, plan: ChainPlan, rule: str, stages: tuple[Stage, ...]) -> Iterator[Delivery]:
        rng = generator(self.spec, rule, *plan.site, stages[0].hour)
        case = tampers.Case(rule, self.spec, plan.site, stages, self._window, rng, self._expectations(plan))
        outcome = tampers.LOCAL[rule](case)
        self._planted.append(outcome.planted)
        yield from outcome.deliveries

    def _breaks(self, plan: ChainPlan, segments: tuple[Segment, ...]) -> Iterator[Delivery]:
        """Where the chain begins late, and where it begins anew."""
        expect = self._expectations(plan)
        if plan.first_hour:
            late = Interval(self._window.start, segments[0].starting(self.spec).end)
            found = expect.of_hours(rules.GAP_LATE_START, late)
            self._planted.append(expect.planted(rules.GAP_LATE_START, (), found))
        for planned, (older, newer) in zip(plan.restarts, pairwise(segments), strict=True):
            starting = newer.starting(self.spec)
            if not planned.restart.lost:
                key = naming.digest_key(self.spec, plan.site, starting.end)
                found = expect.of_object(rules.CHAIN_RESTART, key)
                self._planted.append(expect.planted(planned.rule, (key,), found))
                continue
            lost = Interval(older.last_end(self.spec), starting.end)
            gap = expect.of_hours(rules.GAP_RESTART, lost)
            if planned.rule != rules.LOG_UNDIGESTED:
                self._planted.append(expect.planted(planned.rule, (), gap))
                continue
            log = self._stray(plan, lost.start + (lost.end - lost.start) / 2)
            undigested = expect.of_object(rules.LOG_UNDIGESTED, log.key)
            self._planted.append(expect.planted(planned.rule, (log.key,), gap, undigested))
            yield log_delivery(log)

    def _absent_chain(self, plan: ChainPlan) -> Iterator[Delivery]:
        """All logs of a site, late ones included, and not one digest."""
        expect = self._expectations(plan)
        keys: list[str] = []
        found = [expect.of_hours(rules.CHAIN_ABSENT, self._window)]
        segments = plan.segments()
        chains = (
            walk(self.spec, plan.site, segments, self.ring),
            walk_backfill(self.spec, plan.site, segments, self.ring),
        )
        for stage in (stage for chain in chains for stage in chain):
            keys.append(stage.digest.key)
            found += (expect.of_object(rules.LOG_UNDIGESTED, log.key) for log in stage.logs)
            yield from map(log_delivery, stage.logs)
        for log in self._pending_logs(plan, segments[-1]):
            found.append(expect.of_object(rules.LOG_UNDIGESTED, log.key))
            yield log_delivery(log)
        self._planted.append(expect.planted(rules.CHAIN_ABSENT, tuple(keys), *found))

    def _pending(self, plan: ChainPlan, last: Segment) -> Iterator[Delivery]:
        """Logs newer than the newest digest. Where the tail was cut off, they lie in the gap instead."""
        expect = self._expectations(plan)
        rule = rules.LOG_UNDIGESTED if plan.tail else rules.LOG_PENDING
        for log in self._pending_logs(plan, last):
            self._planted.append(expect.planted(rules.LOG_PENDING, (log.key,), expect.of_object(rule, log.key)))
            yield log_delivery(log)

    def _pending_logs(self, plan: ChainPlan, last: Segment) -> Iterator[LogFile]:
        count = plan.pending + plan.planted_pending
        for number in range(count):
            seconds = 60 + PENDING_SPAN * number // count
            yield self._stray(plan, last.last_end(self.spec) + timedelta(seconds=seconds), number)

    def _stray(self, plan: ChainPlan, delivered: datetime, number: int = 0) -> LogFile:
        """A genuine log that no digest names."""
        rng = generator(self.spec, "stray", *plan.site, delivered, number)
        return make_log(self.spec, plan.site, rng, delivered)
