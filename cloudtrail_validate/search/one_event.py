"""One event: the log that holds it, and the chain of proof for that log, of the very bytes that hold the event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.evidence.file_search import FileProof
from cloudtrail_validate.evidence.prove_file import prove_file
from cloudtrail_validate.request import Request
from cloudtrail_validate.search.hits import Hit
from cloudtrail_validate.search.query import Matcher, Query
from cloudtrail_validate.search.scanner import Scanner, Searched


class _Reading:
    """Makes inflaters that look for one event, and remembers what the last of them found."""

    def __init__(self, event_id: str) -> None:
        self._matcher = Matcher(Query(event_ids=(event_id,)))
        self.raw: bytes | None = None

    def make(self, *, accept_plain: bool) -> Inflater:
        self.raw = None
        return _Looking(self, self._matcher, accept_plain=accept_plain)


class _Looking(Scanner):
    """Hands what it found to who made it."""

    __slots__ = ("_reading",)

    def __init__(self, reading: _Reading, matcher: Matcher, *, accept_plain: bool) -> None:
        super().__init__(matcher, accept_plain=accept_plain)
        self._reading = reading

    def finish(self) -> Searched:
        content = super().finish()
        for found, _ in content.found:
            self._reading.raw = found.raw
        return content


def best(hits: Sequence[Hit]) -> Hit:
    """Return the hit to prove: of several logs that hold an event, one that is proven."""
    return min(hits, key=lambda hit: not hit.proof.proven)


def prove_event(request: Request, event_id: str, hit: Hit, now: datetime) -> tuple[FileProof, bytes]:
    """Prove the log of a hit, and return the event as the bytes that were proven hold it. Raises as `prove_file`.

    Empty bytes: the log has changed since it was searched, and holds the event no more.
    """
    bucket = "" if request.source is not None else hit.proof.bucket
    reading = _Reading(event_id)
    where, copied = Locator(bucket, hit.proof.log), request.copy_of is not None
    proof = prove_file(request, where, now=now, make=reading.make, of_original=copied)
    return proof, reading.raw or b""
