"""Histories of one chain, drawn at random: what AWS made, what became of it, and what a store then shows.

Digests end on steps of 20 minutes, so that a restart may overlap, adjoin or lose time. A digest that was moved lies
four minutes off, so every answer can be worked out in units of four minutes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from cloudtrail_validate.core.digest import Evidence, observe, unreadable
from cloudtrail_validate.core.model import HOUR, Cause, Interval, Locator
from cloudtrail_validate.simulate.digests import SignedDigest, signed

from .helpers import CHAIN, START, edited, fetch, known, log, make, packed, signer, where

UNIT: Final = timedelta(minutes=4)
STEP: Final = 5 * UNIT
HOUR_STEPS: Final = 3


class Fate(Enum):
    """What became of a digest after AWS delivered it."""

    KEPT = "kept"
    DELETED = "deleted"
    EDITED = "edited"  # a log dropped from its list
    RELINKED = "relinked"  # edited to name another hash of its predecessor
    RETIMED = "retimed"  # edited to name hours of another year
    UNSIGNED = "its metadata lost"
    UNSIGNED_EDITED = "its metadata lost, and edited"
    COPIED = "copied to a disk, which keeps no metadata"
    COPIED_EDITED = "copied to a disk, and edited"
    COPIED_RETIMED = "copied to a disk, and edited to name hours of another year"
    GARBLED = "another signature in its metadata"
    ALGORITHM = "another algorithm in its metadata"
    REPLACED = "replaced by another that is validly signed for the same place"
    TRUNCATED = "truncated"
    APPENDED = "bytes after the member"
    MOVED = "moved"
    UNREADABLE = "unreadable"


class Made(NamedTuple):
    """A digest as AWS made it: its steps, its key (number 1 is in no list of keys) and its predecessor."""

    start: int
    end: int
    key: int
    previous: Made | None

    def __repr__(self) -> str:
        before = f" after {self.previous.end}" if self.previous else ""
        return f"<{self.start}..{self.end} key {self.key}{before}>"


class Item(NamedTuple):
    """One object that lies there: what the core makes of it, and plain facts about it for the naive walk."""

    made: Made
    fate: Fate
    evidence: Evidence
    facts: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{self.made} {self.fate.name}"


class History(NamedTuple):
    """What lies there, every signature that AWS made with a known key (place, hash, hex), and what is asked."""

    items: tuple[Item, ...]
    signed: frozenset[tuple[Locator, str, str]]
    window: Interval
    now: datetime
    earlier: bool

    def __repr__(self) -> str:
        """In steps, to be read beside the plans."""
        window, now = ((moment - START) / STEP for moment in self.window), (self.now - START) / STEP
        return f"<{list(self.items)} window {list(window)} now {now} earlier {self.earlier}>"


def at(step: int) -> datetime:
    return START + step * STEP


@st.composite
def fates(draw: st.DrawFn) -> list[tuple[Made, Fate]]:
    fate = st.sampled_from([Fate.KEPT] * 12 + list(Fate))
    key = st.sampled_from([0] * 9 + [1])
    end = 0
    out: list[tuple[Made, Fate]] = []
    for _ in range(draw(st.integers(1, 3))):
        made = Made(end - HOUR_STEPS, end, draw(key), None)
        out.append((made, draw(fate)))
        for _ in range(draw(st.integers(0, 5))):
            end += HOUR_STEPS
            made = Made(end - HOUR_STEPS, end, draw(key), made)
            out.append((made, draw(fate)))
        end += draw(st.sampled_from([1, 2, HOUR_STEPS, 4, 6, 9]))
    for _ in range(draw(st.integers(0, 2))):
        # A fork: signed like the others, made from an older digest or none, and named by nothing.
        taken = {made.end for made, _ in out}
        end = draw(st.sampled_from(sorted({*range(-2, max(taken) + 3)} - taken)))
        older = [made for made, _ in out if made.end < end]
        start = end - draw(st.integers(0, HOUR_STEPS))
        out.append((Made(start, end, 0, draw(st.sampled_from([None, *older]))), draw(fate)))
    return out


@st.composite
def histories(draw: st.DrawFn) -> History:
    planned = draw(fates())
    shown = (show(made, fate) for made, fate in planned)
    signatures = {
        (where(version), _sha(version.content), version.signature)
        for made, _ in planned
        if made.key == 0
        for version in (built(made), replacement(made))
    }
    first, last = min(made.start for made, _ in planned), max(made.end for made, _ in planned)
    start = draw(st.integers(first - 4, first) | st.integers(first - 4, last + 2))
    end = draw(st.integers(start + 1, last + 12))
    return History(
        tuple(item for item in shown if item is not None),
        frozenset(signatures),
        Interval(at(start), at(end)),
        at(draw(st.integers(last, last + 14))),
        draw(st.booleans()),
    )


@cache
def built(made: Made) -> SignedDigest:
    previous = built(made.previous) if made.previous else None
    # A starting digest names no logs. Should one do so, it answers for its hour.
    logs = [log(f"l{made.end}")] if previous or made.end % 4 == 1 else []
    return make(at(made.end), start=at(made.start), previous=previous, logs=logs, key=signer(made.key))


@cache
def replacement(made: Made) -> SignedDigest:
    """As if CloudTrail had signed another digest for the same place."""
    digest = built(made)
    return signed({**digest.record, "newestEventTime": "2026-01-05T00:00:01Z"}, digest.signer, digest)


@cache
def show(made: Made, fate: Fate) -> Item | None:
    """What lies there of a digest; None where nothing does."""
    digest = replacement(made) if fate is Fate.REPLACED else built(made)
    here = where(digest)
    if fate is Fate.DELETED:
        return None
    if fate is Fate.UNREADABLE:
        evidence = unreadable(here, CHAIN, digest.interval.end, Cause.ARCHIVED)
        return Item(made, fate, evidence, _unusable(here, at(made.end), "digest-unreadable", "unverifiable"))
    if fate is Fate.MOVED:
        end = at(made.end) + UNIT
        here = Locator(here.bucket, here.key.replace(f"{at(made.end):T%H%M%SZ}", f"{end:T%H%M%SZ}"))
        evidence, _ = observe(fetch(digest, at=here), known())
        return Item(made, fate, evidence, _unusable(here, end, "digest-moved", "altered"))
    metadata = _metadata(fate, digest)
    fetched = fetch(digest, body=_body(fate, digest), metadata=metadata)
    evidence, _ = observe(fetched, known())
    if fate is Fate.TRUNCATED:
        return Item(made, fate, evidence, _unusable(here, at(made.end), "digest-malformed", "altered"))
    return Item(made, fate, evidence, _facts(made, fate, fetched.content, metadata))


def _metadata(fate: Fate, digest: SignedDigest) -> dict[str, str] | None:
    match fate:
        case Fate.UNSIGNED | Fate.UNSIGNED_EDITED:
            return {}
        case Fate.COPIED | Fate.COPIED_EDITED | Fate.COPIED_RETIMED:
            return None
        case Fate.GARBLED:
            return digest.metadata | {"signature": "00" * 256}
        case Fate.ALGORITHM:
            return digest.metadata | {"signature-algorithm": "MD5withRSA"}
    return digest.metadata


def _body(fate: Fate, digest: SignedDigest) -> bytes:
    whole = packed(digest.content)
    match fate:
        case Fate.EDITED | Fate.UNSIGNED_EDITED | Fate.COPIED_EDITED:
            return packed(edited(digest, logFiles=[], oldestEventTime="edited"))
        case Fate.RELINKED:
            previous = digest.record["previousDigestHashValue"]
            return packed(edited(digest, previousDigestHashValue=previous and "ff" * 32, oldestEventTime="edited"))
        case Fate.RETIMED | Fate.COPIED_RETIMED:
            times = {"digestStartTime": "1990-01-01T00:00:00Z", "digestEndTime": "1990-01-01T01:00:00Z"}
            return packed(edited(digest, **times))
        case Fate.TRUNCATED:
            return whole[:-20]
        case Fate.APPENDED:
            return whole + b"more"
    return whole


def _unusable(here: Locator, end: datetime, rule: str, status: str) -> dict[str, Any]:
    """Of what is no digest of its place only the name counts: the hour before its stamp."""
    return {"where": here, "says": None, "stamp": end, "rule": rule, "status": status, "previous": None}


def _facts(made: Made, fate: Fate, content: bytes, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """What anyone sees who can read JSON and hash, with no word about what it means."""
    record = json.loads(content)
    named = record["previousDigestS3Object"]
    return {
        "where": Locator(record["digestS3Bucket"], record["digestS3Object"]),
        "says": (at(made.start), at(made.end)),
        "stamp": at(made.end),
        "rule": None,
        "sha256": _sha(content),
        "metadata": metadata is not None,
        "signature": (metadata or {}).get("signature"),
        "algorithm": (metadata or {}).get("signature-algorithm", "SHA256withRSA"),
        "key known": made.key == 0,
        "appended": fate is Fate.APPENDED,
        "logs": len(record["logFiles"]),
        "previous": named
        and {
            "where": Locator(record["previousDigestS3Bucket"], named),
            "stamp": at(made.previous.end) if made.previous else None,
            "sha256": record["previousDigestHashValue"],
            "signature": record["previousDigestSignature"],
        },
    }


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stamped_hour(end: datetime) -> tuple[datetime, datetime]:
    return end - HOUR, end
