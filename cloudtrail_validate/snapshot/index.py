"""A listing out of memory: the objects of a snapshot in the order in which S3 lists them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.stores.protocol import Children


class Index:
    """Objects by bucket and key. Code points sort as their UTF-8 bytes do, so plain text order is S3's."""

    def __init__(self, objects: Iterable[tuple[str, ObjectInfo]]) -> None:
        found: dict[str, dict[str, ObjectInfo]] = {}
        for bucket, info in objects:
            found.setdefault(bucket, {})[info.key] = info
        self._infos = {bucket: [infos[key] for key in sorted(infos)] for bucket, infos in found.items()}
        self._keys = {bucket: [info.key for info in infos] for bucket, infos in self._infos.items()}

    def scan(self, bucket: str, prefix: str, after: str, before: str | None) -> Sequence[ObjectInfo]:
        """Every object under `prefix` with `after <= key < before`."""
        keys = self._keys.get(bucket, [])
        low = bisect_left(keys, max(prefix, after))
        high = bisect_left(keys, _behind(prefix)) if prefix else len(keys)
        if before is not None:
            high = min(high, bisect_left(keys, before))
        return self._infos.get(bucket, [])[low:high]

    def children(self, bucket: str, prefix: str) -> Children:
        """The folders and objects right under `prefix`."""
        keys, infos = self._keys.get(bucket, []), self._infos.get(bucket, [])
        folders: list[str] = []
        objects: list[ObjectInfo] = []
        at = bisect_left(keys, prefix)
        while at < len(keys) and keys[at].startswith(prefix):
            name, slash, _ = keys[at][len(prefix) :].partition("/")
            if slash:
                folders.append(name)
                at = bisect_left(keys, _behind(f"{prefix}{name}/"), at)
            else:
                if name:
                    objects.append(infos[at])
                at += 1
        return Children(tuple(folders), tuple(objects))

    def exact(self, where: Locator) -> ObjectInfo | None:
        """The object of exactly this key."""
        keys = self._keys.get(where.bucket, [])
        at = bisect_left(keys, where.key)
        return self._infos[where.bucket][at] if at < len(keys) and keys[at] == where.key else None


def _behind(prefix: str) -> str:
    """The first text that sorts behind everything under a prefix, which ends in a slash."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
