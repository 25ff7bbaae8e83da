"""What a source told of some hours, in a file a slot: an interrupted run goes on behind it, and nobody asks twice.

    DIR/SOURCE/ACCOUNT/REGION/START-END.jsonl     {"source", "account", "region", "proven": false, "event": {…}} a line

The tree is not that of a bucket and the files are no logs, so nothing takes them for what CloudTrail delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from cloudtrail_validate.core.layout import ACCOUNT, REGION
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.witness import Source, Told, read_told
from cloudtrail_validate.runtime.files import write_whole

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_MOST_BYTES: Final = 4 * 1024 * 1024 * 1024  # of one slot's file that is read back


class _Line(msgspec.Struct, frozen=True):
    source: str
    account: str
    region: str
    proven: bool
    event: msgspec.Raw


_LINE: Final = msgspec.json.Decoder(_Line)


class Keep:
    """A folder with what sources told. Raises OSError where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, source: Source, account: str, region: str, slot: Interval) -> Path | None:
        """Where the events of a slot are kept, None for what is no account's or region's name."""
        if ACCOUNT.fullmatch(account) is None or REGION.fullmatch(region) is None:
            return None
        name = f"{_stamp(slot.start)}-{_stamp(slot.end)}.jsonl"
        return self.folder / source.value / account / region / name

    def read(self, source: Source, account: str, region: str, slot: Interval) -> tuple[Told, ...] | None:
        """What is kept of a slot, None where it was not asked for to its end. What is no line of ours is passed over."""
        path = self.path(source, account, region, slot)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES)
        except OSError:
            return None
        found = []
        for line in data.splitlines():
            try:
                told = read_told(bytes(_LINE.decode(line).event), source, account, region)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                continue
            found += [told] if told is not None else []
        return tuple(found)

    def write(
        self, source: Source, account: str, region: str, slot: Interval, told: Sequence[Told], *, partly: bool = False
    ) -> None:
        """Keep what was told of a slot; what is not all of it (`partly`) is named so, and never read back as the whole."""
        path = self.path(source, account, region, slot)
        if path is not None:
            path = path.with_suffix(".partly.jsonl") if partly else path
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, b"".join(_lines(told)))


def _lines(told: Iterable[Told]) -> Iterable[bytes]:
    for one in sorted(told, key=lambda one: (one.time, one.event_id)):
        line = _Line(one.source.value, one.account, one.region, False, msgspec.Raw(_compact(one.raw)))
        yield msgspec.json.encode(line) + b"\n"


def _compact(raw: bytes) -> bytes:
    """The event on one line: its own line breaks are blanks between its parts, since in strings they are escaped."""
    return raw.replace(b"\n", b" ").replace(b"\r", b" ")


def _stamp(moment: datetime) -> str:
    return moment.strftime(_STAMP)
