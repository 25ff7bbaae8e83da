"""Hits: an event, the log that holds it, and whether a proven digest vouches for it. Sorted, in bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.search.event import Event, read_event
from cloudtrail_validate.search.spool import Spool

IN_MEMORY: Final = 32 * 1024 * 1024  # bytes of hits; more go to a temporary file, sorted
_AT_ONCE: Final = 200  # temporary files merged at a time: descriptors are few
_PROVING: Final = frozenset({None, rules.LOG_REWRITTEN})


class Proof(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why an event is to be believed, or not.

    `log` is its log's key, `digest` the key of the proven digest that names that log with the hash it has. `rule` says what
    is wrong where no digest proves it, and `digest` is then empty.
    """

    log: str
    digest: str = ""
    rule: str = ""
    bucket: str = ""

    @property
    def proven(self) -> bool:
        """Whether CloudTrail delivered this event, unchanged."""
        return bool(self.digest)

    @property
    def status(self) -> str:
        """`proven` or `unproven`."""
        return "proven" if self.proven else "unproven"


class SigmaMatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A Sigma rule that an event meets. Author and id go along, as the rules' licence asks."""

    id: str
    title: str
    level: str
    author: str


class Found(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that meets the question, as its log holds it; `uses` are the named questions that it answers."""

    raw: bytes
    uses: tuple[str, ...] = ()


class Hit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that meets the question, and its proof."""

    raw: bytes
    proof: Proof
    uses: tuple[str, ...] = ()
    sigma: tuple[SigmaMatch, ...] = ()

    @property
    def event(self) -> Event:
        """The event's fields."""
        return read_event(self.raw) or Event()


_ENCODER: Final = msgspec.msgpack.Encoder()
_HIT: Final = msgspec.msgpack.Decoder(Hit)
_Key = tuple[str, str, str, str, bytes]


def proof_of(log: str, bucket: str, digest: str, rule: str | None) -> Proof:
    """Return the proof of a log's events: `rule` is what was found about it, and a late write of what is proven is none."""
    return Proof(log, digest, bucket=bucket) if rule in _PROVING else Proof(log, rule=rule or "", bucket=bucket)


def _key(event: Event, hit: Hit) -> _Key:
    """The place of a hit in the answer: by time, then whatever makes the order total."""
    return event.time, event.account or "", event.region, event.id, hit.proof.log.encode("utf-8", "surrogatepass")


class SortedHits:
    """Hits in order of time. `add` as they come, iterate at the end. What memory does not hold is on disk meanwhile.

    Once the disk has no room, what is held stays and nothing more is taken: `add` raises that error for each further hit.
    """

    def __init__(self) -> None:
        self._full: OSError | None = None
        self._held: list[tuple[_Key, bytes]] = []
        self._bytes = 0
        self._runs: list[Spool] = []

    def add(self, hit: Hit, event: Event | None = None) -> None:
        """Take a hit in; `event` where it has been read already. Raises OSError where it finds no room."""
        if self._full is not None:
            raise self._full
        data = _ENCODER.encode(hit)
        self._held.append((_key(event or hit.event, hit), data))
        self._bytes += len(data) + 400  # its key and places in lists
        if self._bytes > IN_MEMORY:
            try:
                self._spill()
            except OSError as error:
                self._full = error  # this hit is held, and it is the last

    def __iter__(self) -> Iterator[Hit]:
        self._held.sort()
        runs: list[Iterable[tuple[_Key, bytes]]] = [_read(run) for run in self._runs]
        for _, data in heapq.merge(*runs, self._held):
            yield _HIT.decode(data)

    def close(self) -> None:
        """Let go of the temporary files."""
        for run in self._runs:
            run.close()
        self._runs, self._held = [], []

    def _spill(self) -> None:
        if len(self._runs) >= _AT_ONCE:
            merged = _write(heapq.merge(*(_read(run) for run in self._runs)))
            for run in self._runs:
                run.close()
            self._runs = [merged]
        self._held.sort()
        self._runs.append(_write(self._held))
        self._held, self._bytes = [], 0


def _write(items: Iterable[tuple[_Key, bytes]]) -> Spool:
    run = Spool()
    try:
        for _, data in items:
            run.add(data)
        run.flush()
    except OSError:
        run.close()
        raise
    return run


def _read(run: Spool) -> Iterator[tuple[_Key, bytes]]:
    for data in run:
        hit = _HIT.decode(data)
        yield _key(hit.event, hit), data
