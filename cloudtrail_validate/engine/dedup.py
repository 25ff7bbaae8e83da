"""Which logs are named more than once, so that each is read once however far apart the digests that name it lie.

Digests are proven newest first and matched oldest first, so every name passes twice. The first time it goes into a Bloom
filter, 2 bytes a log. What that cannot tell from an earlier name, every repeat and about one in 200 others, is what the
second pass has to remember. Exact, and without the 200 bytes a log that remembering all of them takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.model import Locator

_LEAST: Final = 1024  # names that the first filter has room for
_BITS: Final = 16  # a name, two of them set


class SeenLogs:
    """`note` what every proven digest names; then `first` tells of each log whether it was asked for before."""

    def __init__(self, expected: int = 0) -> None:
        self._room = _LEAST
        while self._room < expected:
            self._room *= 2
        self._noted = 0
        self._filters = [bytearray(self._room * _BITS // 8)]
        self._suspects: set[int] = set()
        self._asked: set[tuple[Locator, str]] = set()

    def note(self, logs: Iterable[LogReference]) -> None:
        """Take in the logs of one digest."""
        for log in logs:
            name = hash((log.s3_object, log.hash_value))
            for bits in self._filters:
                mask = 8 * len(bits) - 1
                one, other = name & mask, (name >> 32) & mask
                if bits[one >> 3] >> (one & 7) & 1 and bits[other >> 3] >> (other & 7) & 1:
                    self._suspects.add(name)
                    break
            else:  # only into the newest, which has room
                bits[one >> 3] |= 1 << (one & 7)
                bits[other >> 3] |= 1 << (other & 7)
                self._count()

    def first(self, log: LogReference) -> bool:
        """Whether a log is asked for with this hash for the first time."""
        if hash((log.s3_object, log.hash_value)) not in self._suspects:
            return True
        asked = log.where, log.hash_value
        if asked in self._asked:
            return False
        self._asked.add(asked)
        return True

    def _count(self) -> None:
        """Another name: a full filter is followed by one twice as large."""
        self._noted += 1
        if self._noted == self._room:
            self._noted, self._room = 0, 2 * self._room
            self._filters.append(bytearray(self._room * _BITS // 8))
