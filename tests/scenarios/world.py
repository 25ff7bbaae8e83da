"""The objects of a vector in memory: simulated, then done to as it says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import TracebackType
from typing import Self

import msgspec

from cloudtrail_validate.core.model import HOUR
from cloudtrail_validate.simulate import Delivery, PublishedKey, TrailSpec, simulate
from cloudtrail_validate.simulate.signing import KeyRing
from tests.scenarios import edits, keys
from tests.scenarios.moving import moving, place_at
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

    `spec` says where the main trail delivers in the end. `start`, `end` and `now` are what to ask for unless the vector
    says otherwise: the hours of the main trail (and one more where logs are pending), an hour after its newest digest.
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
        delivered = _deliver(msgspec.json.encode(trail), index, ())
        names[name] = Names(trail.spec(), [item for objects in delivered.buckets.values() for item in objects.values()])
        if name == MAIN and vector.tamper:
            delivered = _deliver(msgspec.json.encode(trail), index, vector.tamper)
            names[name].plant(delivered.planted)
        published += delivered.keys
        for bucket, objects in delivered.buckets.items():
            buckets[bucket].update(objects)
    spec = vector.trail.spec()
    end = spec.end + HOUR if spec.pending else spec.end
    spec = place_at(spec, vector.trail.moves, spec.hours)
    world = World(vector, spec, buckets, names, tuple(published), spec.base, end, spec.end + HOUR)
    for edit in vector.edits:
        key = world.key(edit.key)
        bucket = next((bucket for bucket, objects in buckets.items() if key in objects), spec.bucket)
        edits.apply(edit, buckets[bucket], world.key, spec.end)
    return world


@dataclass(frozen=True, slots=True)
class _Delivered:
    """A trail's objects by bucket and key, the keys published of it, and the objects that were tampered with."""

    buckets: Buckets
    keys: tuple[PublishedKey, ...]
    planted: tuple[str, ...] = ()


@cache
def _deliver(description: bytes, index: int, tampers: tuple[str, ...]) -> _Delivered:
    """Simulate a trail, once for all vectors and stores: it is described as JSON, which can be a key of the cache."""
    trail = msgspec.json.decode(description, type=Trail)
    spec, new_key = trail.spec(), keys.source(index)
    if trail.moves:
        ring = KeyRing(spec, new_key)
        buckets: Buckets = defaultdict(dict)
        for bucket, delivery in moving(spec, trail.moves, ring):
            buckets[bucket][delivery.key] = delivery
        return _Delivered(buckets, ring.published().keys)
    sink = MemorySink()
    simulation = simulate(spec, sink, tampers, new_key=new_key)
    planted = tuple(key for item in simulation.manifest.planted for key in item.keys)
    return _Delivered({spec.bucket: sink.objects}, simulation.keys.keys, planted)
