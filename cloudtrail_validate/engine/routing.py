"""Routes log references to the folders that they point into. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cloudtrail_validate.core.digest import LogReference
from cloudtrail_validate.core.layout import deliverable, folder_day, folder_of
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.engine.stages import Place, Reach

_DAY_LENGTH = len("2026/01/01/")


class Router:
    """Tells of each log reference in which place of one account-region it points, and whether into no date folder."""

    def __init__(self, region: AccountRegion, now: datetime) -> None:
        self._home = region.folders[0]
        self._now = now
        self._places: dict[str, Place] = {}
        self._last: tuple[str, str, Place] | None = None  # consecutive references point into the same folder
        self._days: dict[str, bool] = {}

    def place_of(self, log: LogReference) -> tuple[Place | None, bool]:
        """Return the place (None: outside of this account-region), and whether the key lies in no date folder of it."""
        key, last = log.s3_object, self._last
        if last is not None and key.startswith(last[1]) and last[0] in ("", log.s3_bucket):
            return last[2], self.is_odd(last[1], key)
        found = folder_of(log.s3_bucket if self._home.bucket else "", key)
        if found is None or (found[0].account, found[0].region) != (self._home.account, self._home.region):
            return None, False
        place = Place(*found)
        self._last = (place.folder.bucket, place.path, place)
        return place, self.is_odd(place.path, key)

    def is_odd(self, path: str, key: str) -> bool:
        """Tell whether a key under `path` lies in no date folder that CloudTrail could have written to."""
        day = key[len(path) : len(path) + _DAY_LENGTH]
        odd = self._days.get(day)
        if odd is None:
            found = folder_day(key, path)
            odd = self._days[day] = found is None or not deliverable(found.start, self._now)
        return odd

    def reaches_of(self, logs: Iterable[LogReference]) -> tuple[Reach, ...]:
        """Return where a digest's references point, place by place."""
        keys: dict[Place | None, list[str]] = {}
        odd: dict[Place | None, int] = {}
        for log in logs:
            place, strange = self.place_of(log)
            if strange or place is None:
                odd[place] = odd.get(place, 0) + 1
            else:
                keys.setdefault(place, []).append(log.s3_object)
        return tuple(
            Reach(
                place,
                min(keys.get(place, ()), default=""),
                max(keys.get(place, ()), default=""),
                len(keys.get(place, ())) + odd.get(place, 0),
                odd=place in odd,
            )
            for place in dict.fromkeys((*keys, *odd))
        )
