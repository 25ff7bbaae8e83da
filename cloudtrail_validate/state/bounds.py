"""Checks a decoded state: whoever can write it must not make a run fail, write elsewhere or take for ever. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.layout import ACCOUNT, ORGANIZATION, plausible
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.state.model import DAY, OpenFinding, RegionState, State, Stretch

HOURS: Final = range(61_368_000)  # since 1970, up to the same years
MOST_HOURS: Final = 400_000  # of an account-region that are unproven: 45 years
MOST_TEXT: Final = 4_096  # characters of a key or name: S3's keys have 1,024 bytes
HASH_BYTES: Final = 32


def fault_of(state: State) -> str | None:
    """What is wrong with a state, in a few words, or None."""
    if not _is_time(state.saved) or state.runs < 0 or not _short(state.source, state.trail_arn, state.version):
        return "its head"
    places = [region.place for region in state.regions]
    if places != sorted(set(places)):
        return "the order of its account-regions"
    for region in state.regions:
        fault = next(_faults(region), None)
        if fault is not None:
            return f"{fault} of an account-region"
    return "an open finding" if any(not _is_finding(item) for item in state.open) else None


def _faults(region: RegionState) -> Iterator[str]:
    organization = region.organization_id
    if ACCOUNT.fullmatch(region.account) is None or not _short(region.region):
        yield "the name"
    if organization is not None and ORGANIZATION.fullmatch(organization) is None:
        yield "the organization"
    if not _are_stretches(region.stretches):
        yield "the proven hours"
    ranges = [moment for pair in region.unproven for moment in pair]
    if not _are_hours(ranges) or sum(end - start for start, end in region.unproven) > MOST_HOURS:
        yield "the unproven hours"
    if any(start >= end for start, end in region.unproven):
        yield "the unproven hours"
    if not set(region.owed) <= {item.start for item in region.stretches}:
        yield "what is owed"
    if not all(_are_hours((first, last)) and digest in HOURS for digest, first, last in region.late):
        yield "the late logs"
    for edge in region.edges:
        if not _is_time(edge.end) or not _short(*edge.where, edge.sha256, edge.signature, *_names(edge.chain)):
            yield "an edge"


def _names(chain: object) -> Iterable[str | None]:
    return [str(getattr(chain, name)) for name in ("account", "region", "trail", "home_region", "organization_id")]


def _are_stretches(stretches: Iterable[Stretch]) -> bool:
    """Hours and whole days, in order and apart."""
    at = HOURS.start
    for item in stretches:
        whole = item.length == 1 or (item.length == DAY and item.start % DAY == 0)
        times = item.start in HOURS and item.proven in HOURS and item.read in HOURS
        counts = item.digests >= 0 and item.logs >= 0
        if not (whole and times and counts and item.start >= at and len(item.fingerprint) == HASH_BYTES):
            return False
        at = item.start + item.length
    return True


def _is_finding(item: OpenFinding) -> bool:
    known = item.rule in rules.RULES and item.times > 0
    texts = (item.account, item.region, item.trail, item.expected, *(item.where or ()))
    span = item.interval is None or _is_span(item.interval)
    return known and span and _short(*texts) and _is_time(item.first_seen) and _is_time(item.last_seen)


def _is_span(interval: Interval) -> bool:
    return _is_time(interval.start) and _is_time(interval.end) and interval.start <= interval.end


def _is_time(moment: datetime) -> bool:
    return moment.tzinfo is not None and plausible(moment) is not None


def _are_hours(hours: Iterable[int]) -> bool:
    """Hours that never go back."""
    known = list(hours)
    return all(hour in HOURS for hour in known) and known == sorted(known)


def _short(*texts: str | None) -> bool:
    return all(text is None or len(text) <= MOST_TEXT for text in texts)
