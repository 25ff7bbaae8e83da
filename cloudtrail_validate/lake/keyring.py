"""Finds the key that a sign file names: in its region, at all times, and in the other regions. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from cloudtrail_validate.core.expectation import default_regions
from cloudtrail_validate.core.lake import BEGAN, SignFile
from cloudtrail_validate.core.lake_verdict import FoundKey
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.stores.key_file import KeySource


class Keyring:
    """Asks once a region for the keys of all queries' times, and more only about a key that this does not show.

    Neither region nor time are signed, so a key that is not there is sought at every time since there was Lake, and then in
    every region that the other sign files name or that every account has: an edit of these fields shall not pass for a key
    that nobody lists any more.
    """

    def __init__(
        self, source: Callable[[Interval], KeySource], signs: Iterable[SignFile], now: datetime, *, timeless: bool
    ) -> None:
        known = tuple(signs)
        times = [sign.completed for sign in known] or [now]
        self._near = source(Interval(min(times), max(times)))
        self._ever = self._near if timeless else source(Interval(BEGAN, now))
        self._regions = tuple(dict.fromkeys(sign.region for sign in known))
        self._asked: dict[tuple[str, bool], RegionKeys] = {}

    def find(self, sign: SignFile) -> FoundKey:
        """The key of a sign file's fingerprint, None where nobody has it."""
        answer = self._ask(sign.region, ever=False)
        if sign.fingerprint in answer.keys:
            return FoundKey(answer.keys[sign.fingerprint], sign.region, answer)
        ever = self._ask(sign.region, ever=True)
        if sign.fingerprint in ever.keys:
            return FoundKey(ever.keys[sign.fingerprint], sign.region, ever)
        for region in dict.fromkeys((*self._regions, *default_regions(sign.region))):
            other = self._ask(region, ever=True)
            if region != sign.region and sign.fingerprint in other.keys:
                return FoundKey(other.keys[sign.fingerprint], region, answer)
        return FoundKey(None, sign.region, ever if ever.issuer else answer)

    def _ask(self, region: str, *, ever: bool) -> RegionKeys:
        ever = ever and self._ever is not self._near
        known = self._asked.get((region, ever))
        if known is None:
            known = self._asked[region, ever] = (self._ever if ever else self._near).region(region)
        return known
