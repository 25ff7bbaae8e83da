"""What roles in a vector stand for, read off the objects as they were delivered, before any tampering."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from cloudtrail_validate.simulate import Delivery, Role, TrailSpec

MAIN: Final = "trail"
_ROLE: Final = re.compile(
    r"\{(?P<what>[a-z]+)(?: (?P<number>\d+)(?:\.(?P<log>\d+))?)?(?P<where>(?:@[a-z0-9-]+)*)(?:#(?P<trail>\w+))?\}"
)


class Names:
    """The objects of one trail by account, region and role."""

    def __init__(self, spec: TrailSpec, deliveries: Iterable[Delivery]) -> None:
        self._spec = spec
        self._found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        delivered = sorted(deliveries, key=lambda delivery: delivery.key.rpartition("/")[2])
        named = {key for delivery in delivered if delivery.role is Role.DIGEST for key in self._digest(delivery)}
        for delivery in delivered:
            if delivery.role is Role.LOG and delivery.key not in named:
                account, _, region = delivery.key.rpartition("/")[2].split("_")[:3]
                self._found[account, region, "stray"].append(delivery.key)

    def _digest(self, delivery: Delivery) -> list[str]:
        """Note a digest and the logs it names; these are the answer."""
        account, _, region = delivery.key.rpartition("/")[2].split("_")[:3]
        chain, log = ("backfill", "late") if "_backfill." in delivery.key else ("digest", "log")
        logs = [str(item["s3Object"]) for item in json.loads(gzip.decompress(delivery.body))["logFiles"]]
        digests = self._found[account, region, chain]
        self._found[account, region, f"{log} {len(digests)}"] = logs
        digests.append(delivery.key)
        return logs

    def plant(self, keys: Iterable[str]) -> None:
        """Note the objects that the simulator's own tampering touched."""
        self._found[self._spec.accounts[0], self._spec.regions[0], "planted"] += keys

    def resolve(self, match: re.Match[str]) -> str:
        """The text that one role stands for. Raises LookupError where there is no such object."""
        where = match["where"].split("@")[1:]
        account = next((part for part in where if part.isdigit()), self._spec.accounts[0])
        region = next((part for part in where if not part.isdigit()), self._spec.regions[0])
        match match["what"], match["number"], match["log"]:
            case "root" | "logs" | "digests" as what, None, None:
                root = self._found[account, region, "digest"][-1].rpartition("CloudTrail-Digest/")[0]
                return (
                    root
                    + {"root": "", "logs": f"CloudTrail/{region}/", "digests": f"CloudTrail-Digest/{region}/"}[what]
                )
            case "digest" | "backfill" | "stray" | "planted" as what, str(number), None:
                return self._found[account, region, what][int(number)]
            case "log" | "late" as what, str(number), str(log):
                return self._found[account, region, f"{what} {number}"][int(log)]
            case other:
                raise KeyError(other)

    def roles(self) -> Mapping[str, str]:
        """Every object by key, and its role: the other direction, to explain what was found."""
        out: dict[str, str] = {}
        for (account, region, what), keys in self._found.items():
            at = "" if region == self._spec.regions[0] else f"@{region}"
            at += "" if account == self._spec.accounts[0] else f"@{account}"
            separator = "." if " " in what else " "
            out |= {key: f"{what}{separator}{number}{at}" for number, key in enumerate(keys)}
        return out


def resolve(text: str, names: Mapping[str, Names]) -> str:
    """The text with its roles replaced. Raises ValueError for braces that are no role."""
    if not text.count("{") == text.count("}") == len(_ROLE.findall(text)):
        raise ValueError(f"expected roles as tests/scenarios/vector.py explains them, not {text!r}")
    return _ROLE.sub(lambda match: names[match["trail"] or MAIN].resolve(match), text)
