"""The state as values, and as the bytes that are kept.

A file is a header line (`ctvalidate.state/1`), the SHA-256 of the rest, and the rest: msgpack, deflated. An hour of an
account-region costs ~50 bytes (32 of them a hash, which nothing compresses), a whole day the same: about 18 kB an
account-region and year.
"""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.model import EPOCH, HOUR, Interval, Locator, Status
from cloudtrail_validate.core.plan import Edge
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.times import is_sound, times_in

SCHEMA: Final = "ctvalidate.state/1"
MAX_BYTES: Final = 256 * 1024 * 1024  # of a state: 2.5 times that of 200 accounts x 17 regions x a year
_MAX_INFLATED: Final = 1024 * 1024 * 1024
DAY: Final = 24  # hours
_HOURS: Final = range(8000 * 366 * DAY)  # since 1970: what `datetime` can hold


class Stretch(msgspec.Struct, frozen=True, array_like=True, order=True):
    """An hour, or a whole day, of which everything was proven, and what its listing looked like then.

    `start` is in hours since 1970; `length` 1 or 24 hours. `fingerprint` is the SHA-256 of the sorted lines of the hour's
    listing, for a day that of its 24 fingerprints. `proven` is when it was first proven, `read` when all of it was last
    read, both in hours since 1970.
    """

    start: int
    length: int
    fingerprint: bytes
    digests: int
    logs: int
    proven: int
    read: int

    @property
    def interval(self) -> Interval:
        """The hours themselves."""
        return Interval(moment_of(self.start), moment_of(self.start + self.length))


class OpenFinding(msgspec.Struct, frozen=True):
    """A finding that no later run has found healed. Times are when it was seen first and last, and how often."""

    rule: str
    status: Status
    account: str | None
    region: str | None
    trail: str | None
    where: Locator | None
    interval: Interval | None
    first_seen: datetime
    last_seen: datetime
    times: int = 1

    @property
    def name(self) -> tuple[str, str, str, str, str]:
        """The identity of the finding across runs."""
        where = str(self.where) if self.where else ""
        start = self.interval.start.isoformat() if self.interval and not where else ""
        return (self.rule, self.account or "", self.region or "", where, start)


class RegionState(msgspec.Struct, frozen=True):
    """What is remembered of one account-region: proven stretches in order of time, and the newest digest of each chain."""

    account: str
    region: str
    organization_id: str | None
    stretches: tuple[Stretch, ...] = ()
    edges: tuple[Edge, ...] = ()

    @property
    def place(self) -> tuple[str, str, str]:
        """The account-region's identity."""
        return (self.organization_id or "", self.account, self.region)


class State(msgspec.Struct, frozen=True):
    """All that is remembered of one source. `saved` is when, `runs` how many runs have added to it."""

    source: str
    trail_arn: str | None
    saved: datetime
    runs: int
    regions: tuple[RegionState, ...] = ()
    open: tuple[OpenFinding, ...] = ()
    version: str = ""


def hour_of(moment: datetime) -> int:
    """Hours since 1970, of the hour that a moment lies in."""
    return int((moment - EPOCH) // HOUR)


def moment_of(hour: int) -> datetime:
    """The beginning of an hour."""
    return datetime.fromtimestamp(hour * 3600, UTC)


def encode(state: State) -> bytes:
    """The bytes that are kept."""
    body = zlib.compress(msgspec.msgpack.encode(state), 6)
    return f"{SCHEMA}\n{hashlib.sha256(body).hexdigest()}\n".encode() + body


def decode(data: bytes, name: str) -> State:
    """Read a state. Raises `ConfigurationError` in one line: another version, one flipped byte, cut short, no state."""
    header, _, rest = data.partition(b"\n")
    if header != SCHEMA.encode():
        if header.startswith(b"ctvalidate.state/") and len(header) < 40:
            raise ConfigurationError(
                f"--state: {name} is from another version of ctvalidate ({header.decode('ascii', 'replace')})"
            )
        raise ConfigurationError(f"--state: {name} is no state of ctvalidate")
    digest, _, body = rest.partition(b"\n")
    if digest.decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
        raise ConfigurationError(f"--state: {name} is damaged: its checksum does not fit")
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(body, _MAX_INFLATED)
        if inflater.unconsumed_tail:
            raise ConfigurationError(f"--state: {name} is too large")
        state = msgspec.msgpack.decode(content, type=State)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"--state: {name} is damaged: {printable(str(error))}") from error
    if not _is_sound(state):
        raise ConfigurationError(f"--state: {name} is damaged: it holds times that no run can have seen")
    return state


def _is_sound(state: State) -> bool:
    """Tell whether every time can be reckoned with: the checksum is no proof, since whoever writes the file makes it."""
    hours = (
        hour
        for region in state.regions
        for stretch in region.stretches
        for hour in (stretch.start, stretch.start + stretch.length, stretch.proven, stretch.read)
    )
    return all(hour in _HOURS for hour in hours) and all(is_sound(moment) for moment in times_in(state))


def fold(stretches: dict[int, Stretch]) -> tuple[Stretch, ...]:
    """Put hours in order, and days of which every hour is there into one each."""
    out: list[Stretch] = []
    days: dict[int, list[Stretch]] = {}
    for stretch in sorted(stretches.values()):
        if stretch.length == DAY:
            out.append(stretch)
        else:
            days.setdefault(stretch.start // DAY, []).append(stretch)
    for day, hours in days.items():
        out += [_day_of(day, hours)] if len(hours) == DAY else hours
    return tuple(sorted(out))


def _day_of(day: int, hours: list[Stretch]) -> Stretch:
    return Stretch(
        day * DAY,
        DAY,
        day_fingerprint([hour.fingerprint for hour in hours]),
        sum(hour.digests for hour in hours),
        sum(hour.logs for hour in hours),
        max(hour.proven for hour in hours),
        min(hour.read for hour in hours),
    )


def day_fingerprint(hours: list[bytes]) -> bytes:
    """The fingerprint of a day, from those of its 24 hours in order."""
    return hashlib.sha256(b"".join(hours)).digest()


def merge(ours: State, theirs: State) -> State:
    """Join two states of the same source that were saved from the same one: of each stretch the one read last.

    Where both know a time differently cut (an hour here, its day there), the finer one is dropped: it is read again.
    """
    regions = {region.place: region for region in theirs.regions}
    for region in ours.regions:
        known = regions.get(region.place)
        regions[region.place] = region if known is None else _merge_region(region, known)
    open_ = {finding.name: finding for finding in theirs.open}
    for finding in ours.open:
        known_finding = open_.get(finding.name)
        if known_finding is None or known_finding.last_seen < finding.last_seen:
            open_[finding.name] = finding
    return State(
        ours.source,
        ours.trail_arn,
        max(ours.saved, theirs.saved),
        max(ours.runs, theirs.runs) + 1,
        tuple(regions[place] for place in sorted(regions)),
        tuple(open_[name] for name in sorted(open_)),
        ours.version,
    )


def _merge_region(one: RegionState, other: RegionState) -> RegionState:
    held = {stretch.start: stretch for stretch in other.stretches}
    for stretch in one.stretches:
        known = held.get(stretch.start)
        if known is None or (stretch.length, stretch.read) >= (known.length, known.read):
            held[stretch.start] = stretch
    days = {start // DAY for start, stretch in held.items() if stretch.length == DAY}
    kept = {start: item for start, item in held.items() if item.length == DAY or start // DAY not in days}
    edges = {edge.chain: edge for edge in other.edges}
    for edge in one.edges:
        if edge.chain not in edges or edges[edge.chain].end < edge.end:
            edges[edge.chain] = edge
    return RegionState(
        one.account, one.region, one.organization_id, fold(kept), tuple(edges[chain] for chain in sorted(edges))
    )
