"""The objects of a vector in memory: simulated, then done to as it says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from cloudtrail_validate.model import HOUR, Status
from cloudtrail_validate.simulate import Delivery, PublishedKey, TrailSpec, simulate
from cloudtrail_validate.simulate.signing import KeyRing
from tests.scenarios import edits, keys
from tests.scenarios.moving import moving
from tests.scenarios.names import MAIN, Names, resolve
from tests.scenarios.vector import Trail, Vector

Buckets = dict[str, dict[str, Delivery]]


class MemorySink:
    """Keeps what is delivered by its key."""

    keeps_times = True
    keeps_metadata = True

    def __init__(self) -> None:
        self.objects: dict[str, Delivery] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def put(self, delivery: Delivery) -> None:
        self.objects[delivery.key] = delivery


@dataclass(frozen=True, slots=True)
class World:
    """Every bucket of a vector with its objects, what roles stand for, and the keys that signed.

    `start`, `end` and `now` are what to ask for unless the vector says otherwise: the hours of the main trail (and one more
    where logs are pending), an hour after its newest digest's end.
    """

    vector: Vector
    spec: TrailSpec
    buckets: Buckets
    names: dict[str, Names]
    published: tuple[PublishedKey, ...]
    start: datetime
    end: datetime
    now: datetime

    def key(self, text: str) -> str:
        """A key with its roles replaced."""
        return resolve(text, self.names)


def build(vector: Vector) -> World:
    """Simulate the vector's trails and do its edits."""
    buckets: Buckets = defaultdict(dict)
    names: dict[str, Names] = {}
    published: list[PublishedKey] = []
    for index, (name, trail) in enumerate({MAIN: vector.trail, **vector.beside}.items()):
        clean, _ = _deliver(trail, index, vector, ())
        names[name] = Names(trail.spec(), [item for objects in clean.values() for item in objects.values()])
        tampers = vector.tamper if name == MAIN else ()
        written, signers = _deliver(trail, index, vector, tampers) if tampers else _deliver(trail, index, vector, ())
        published += signers
        for bucket, objects in written.items():
            buckets[bucket].update(objects)
    spec = vector.trail.spec()
    end = spec.end + HOUR if spec.pending else spec.end
    world = World(vector, spec, buckets, names, tuple(published), spec.base, end, spec.end + HOUR)
    for edit in vector.edits:
        edits.apply(edit, buckets[spec.bucket], world.key, spec.end)
    return world


def _deliver(
    trail: Trail, index: int, vector: Vector, tampers: tuple[str, ...]
) -> tuple[Buckets, tuple[PublishedKey, ...]]:
    """A trail's objects by bucket and key, and the keys that are published of it."""
    spec, new_key = trail.spec(), keys.source(index)
    if trail.moves:
        ring = KeyRing(spec, new_key)
        buckets: Buckets = defaultdict(dict)
        for bucket, delivery in moving(spec, trail.moves, ring):
            buckets[bucket][delivery.key] = delivery
        return buckets, ring.published().keys
    sink = MemorySink()
    unknown = Status.ALTERED if vector.keys.source == "aws" else Status.UNVERIFIABLE
    simulation = simulate(spec, sink, tampers, new_key=new_key, key_unknown=unknown)
    return {spec.bucket: sink.objects}, simulation.keys.keys
