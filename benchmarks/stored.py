"""Where the responder's objects come from: a small protocol, and the objects of a simulated trail in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from benchmarks.plan import BUCKET, START, TRAIL, Plan
from cloudtrail_validate.simulate import Delivery, TrailSpec, simulate

if TYPE_CHECKING:
    from collections.abc import Sequence


class Entry(NamedTuple):
    """One line of a listing: key, size in bytes, time of writing in seconds since 1970."""

    key: str
    size: int
    modified: int


class Stored(NamedTuple):
    """One object, with its user metadata."""

    body: bytes
    modified: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """A public key as ListPublicKeys tells of it: DER bytes, their fingerprint, and when it is valid."""

    der: bytes
    fingerprint: str
    start: datetime
    end: datetime


class Objects(Protocol):
    """A bucket's objects, in ascending order of their keys (ASCII)."""

    def entries(self, start: str) -> Iterator[Entry]:
        """Every object whose key is `start` or sorts after it."""
        ...

    def get(self, key: str) -> Stored | None:
        """An object, or None where there is none."""
        ...

    def keys(self, region: str) -> Sequence[Key]:
        """The public keys of a region."""
        ...


class Simulated:
    """A trail that the simulator wrote, in memory. Is the simulator's sink until it is left."""

    keeps_times = True
    keeps_metadata = True

    def __init__(self, plan: Plan) -> None:
        self._objects: dict[str, Stored] = {}
        self._order: list[str] = []
        simulation = simulate(specification(plan), self)
        self._public = {region: list[Key]() for region in plan.region_names}
        for key in simulation.keys:
            self._public[key.region].append(Key(key.der, key.fingerprint, key.valid.start, key.valid.end))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._order = sorted(self._objects)

    def put(self, delivery: Delivery) -> None:
        """Keep one object."""
        modified = int(delivery.delivered.timestamp())
        self._objects[delivery.key] = Stored(delivery.body, modified, delivery.metadata or {})

    def entries(self, start: str) -> Iterator[Entry]:
        """The objects from a key on."""
        for index in range(bisect_left(self._order, start), len(self._order)):
            key = self._order[index]
            stored = self._objects[key]
            yield Entry(key, len(stored.body), stored.modified)

    def get(self, key: str) -> Stored | None:
        """One object."""
        return self._objects.get(key)

    def keys(self, region: str) -> list[Key]:
        """The simulation's keys of a region."""
        return self._public.get(region, [])


def specification(plan: Plan) -> TrailSpec:
    """The plan in the simulator's terms. Raises ValueError for what the simulator cannot do."""
    if plan.altered or len(set(plan.events)) != 1:
        raise ValueError("simulated: expected equally large logs and none of them altered")
    return TrailSpec(
        trail_name=TRAIL,
        accounts=plan.account_ids,
        regions=plan.region_names,
        organization_id=plan.organization,
        bucket=BUCKET,
        start=START,
        hours=plan.hours,
        logs_per_hour=plan.logs_per_hour,
        quiet_regions=plan.region_names[plan.busy_regions :],
        events_per_log=plan.events[0],
        markers=False,
    )
