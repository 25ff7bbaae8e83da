"""The oracle: a chain walked and judged in the plainest way, from the definitions of the contract.

Plain dicts and quadratic loops, nothing of the code under test: proof by recursion over the links, time in units of
four minutes, each judged by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from .histories import UNIT, History, stamped_hour

Facts = dict[str, Any]
Span = tuple[datetime, datetime]
PENDING = timedelta(hours=2)


class Naive:
    """The answers for one history. `rows` are all digests: those that lie there, and those that are only named."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.items = [dict(item.facts) for item in history.items]
        self.rows = [self._row(item) for item in self.items]
        present = {item["where"] for item in self.items}
        absent = {
            item["previous"]["where"]: item["previous"]["stamp"]
            for item in self.items
            if item["previous"] and self.proven(item) and item["previous"]["where"] not in present
        }
        for place, stamp in absent.items():
            hours = stamped_hour(stamp)
            row = {"where": place, "hours": hours, "answers": hours, "state": "missing", "status": "missing"}
            self.rows.append(row | {"findings": [("digest-missing", "missing")], "previous": None, "starting": False})
        self.rows.sort(key=lambda row: (row["hours"][1], row["where"]))
        for row in self.rows:
            row["orphan"] = self._orphan(row)

    # -- proof: the own signature, or what a later digest says of it ---------------------------------------------------

    def own_signature_holds(self, item: Facts) -> bool:
        if item["rule"] or item["algorithm"] != "SHA256withRSA" or item["signature"] is None:
            return False
        return (item["where"], item["sha256"], item["signature"]) in self.history.signed

    def claims_on(self, item: Facts) -> list[tuple[Facts, Facts]]:
        return [
            (other, other["previous"])
            for other in self.items
            if other["previous"] and other["previous"]["where"] == item["where"] and other["stamp"] > item["stamp"]
        ]

    def proven(self, item: Facts) -> bool:
        if item["rule"]:
            return False
        if self.own_signature_holds(item):
            return True
        for successor, claim in self.claims_on(item):
            if claim["sha256"] == item["sha256"] and self.proven(successor):
                return True
            if (item["where"], item["sha256"], claim["signature"]) in self.history.signed:
                return True
        return False

    # -- findings about one digest -------------------------------------------------------------------------------------

    def findings(self, item: Facts) -> list[tuple[str, str]]:
        if item["rule"]:
            return [(item["rule"], item["status"])]
        out = [("digest-trailing-data", "altered")] if item["appended"] else []
        accused = False
        if item["algorithm"] != "SHA256withRSA":
            out.append(("digest-algorithm-unsupported", "altered"))
            accused = True
        elif item["metadata"] and item["signature"] is None:
            out.append(("digest-signature-missing", "altered"))
        elif not item["key known"]:
            out.append(("digest-key-unknown", "unverifiable"))
        elif item["signature"] is not None and not self.own_signature_holds(item):
            out.append(("digest-signature-invalid", "altered"))
            accused = True
        if not accused and any(
            claim["sha256"] != item["sha256"] or item["signature"] not in (None, claim["signature"])
            for successor, claim in self.claims_on(item)
            if self.proven(successor)
        ):
            out.append(("digest-link-broken", "altered"))
        if not out and not self.proven(item):
            out.append(("digest-signature-missing", "unverifiable"))
        return out

    def _row(self, item: Facts) -> Facts:
        found = self.findings(item)
        status = next((s for s in ("altered", "unverifiable") if s in [status for _, status in found]), None)
        proven = self.proven(item)
        state = "proven" if proven else "unreadable" if status == "unverifiable" else "unproven"
        hours = item["says"] if proven else stamped_hour(item["stamp"])
        starting = not item["rule"] and not item["previous"]
        # Logging began at its end, and about the hour before that it proves nothing.
        before_logging = starting and not item["logs"]
        return {
            "where": item["where"],
            "hours": hours,
            "answers": (hours[1], hours[1]) if before_logging else hours,
            "state": state,
            "status": status,
            "findings": found,
            "previous": item["previous"] and item["previous"]["where"],
            "starting": starting,
        }

    # -- what the digests say together ---------------------------------------------------------------------------------

    def _orphan(self, row: Facts) -> bool:
        """Unnamed, not alone in going on from its predecessor, and the next proven digest leads past it."""
        proven = [other for other in self.rows if other["state"] == "proven"]
        if row not in proven or any(other["previous"] == row["where"] for other in proven):
            return False
        if row["previous"] and not any(other["previous"] == row["previous"] for other in proven if other is not row):
            return False
        later = proven[proven.index(row) + 1 :]
        if row["starting"]:
            # A chain that began here goes on within the hour, unless that digest is lost or nobody looked so far.
            due = row["hours"][1] + timedelta(hours=1)
            lost = [other for other in self.rows if other["state"] != "proven" and other["hours"][0] == row["hours"][1]]
            if lost or all(other["hours"][1] < due for other in proven):
                return False
        led_to = [other for other in self.rows if later and other["where"] == later[0]["previous"]]
        return any(other["hours"][1] <= row["hours"][1] for other in led_to)

    def _restart(self, row: Facts) -> bool:
        """Another chain that began before ran until this one did, or longer."""
        begins = row["answers"][0]
        others = [other["answers"] for other in self.rows if other is not row]
        adjoined = any(start < begins <= end for start, end in others)
        return row["state"] == "proven" and row["starting"] and not row["orphan"] and adjoined

    def inside(self) -> list[Facts]:
        start, end = self.history.window
        return [
            row
            for row in self.rows
            if (row["hours"][0] < end and start < row["hours"][1])
            or (row["hours"][0] == row["hours"][1] and start <= row["hours"][0] < end)
        ]

    def object_findings(self, *, standard: bool) -> Counter[tuple[str, str, Any]]:
        out: Counter[tuple[str, str, Any]] = Counter()
        for row in self.inside():
            out.update((rule, status, row["where"]) for rule, status in row["findings"])
            out.update([("digest-unlinked", "notice", row["where"])] if row["orphan"] else [])
            out.update([("chain-restart", "notice", row["where"])] if standard and self._restart(row) else [])
        return out

    def counts(self) -> Counter[str]:
        return Counter(row["status"] or "valid" for row in self.inside())

    def units(self) -> Iterator[datetime]:
        """The beginnings of the units of the window, which counts up to now."""
        moment, end = self.history.window.start, min(self.history.window.end, self.history.now)
        while moment < end:
            yield moment
            moment += UNIT

    def of(self, *states: str) -> list[Span]:
        return [row["hours"] for row in self.rows if row["state"] in states]

    def covered(self, moment: datetime) -> bool:
        return any(start <= moment < end for start, end in self._answers())

    def _answers(self) -> list[Span]:
        """The hours about which proven digests say anything, those of none as the instant at which logging began."""
        return [row["answers"] for row in self.rows if row["state"] == "proven"]

    def gaps(self) -> list[tuple[str, datetime, datetime]]:
        """The uncovered units, with the same name joined."""
        out: list[tuple[str, datetime, datetime]] = []
        for hole in self._holes():
            named = [(moment, self._name(moment, hole)) for moment in hole]
            tail = [moment for moment, rule in named if rule == "gap-tail"]
            if tail and self.history.now - self._newest(tail[0]) <= PENDING:
                named = [(moment, rule) for moment, rule in named if rule != "gap-tail"]
            for moment, rule in named:
                if out and out[-1][0] == rule and out[-1][2] == moment:
                    out[-1] = (rule, out[-1][1], moment + UNIT)
                else:
                    out.append((rule, moment, moment + UNIT))
        return out

    def _newest(self, tail: datetime) -> datetime:
        """When the newest digest before the tail ended: where the tail begins, unless the window begins there."""
        if tail != self.history.window.start:
            return tail
        ended = [end for _, end in self.of("proven") if end <= tail]
        long_ago = [tail - timedelta(days=9999)] if self.history.earlier else []
        return max(ended + long_ago, default=tail)

    def _holes(self) -> list[list[datetime]]:
        """The uncovered units side by side; where a chain begins, another hole begins."""
        holes: list[list[datetime]] = []
        begun = [row["answers"][1] for row in self.rows if row["state"] == "proven" and row["starting"]]
        previous = False
        for moment in self.units():
            bare = not self.covered(moment)
            if bare and (not previous or moment in begun):
                holes.append([])
            if bare:
                holes[-1].append(moment)
            previous = bare
        return holes

    def _name(self, moment: datetime, hole: list[datetime]) -> str:
        first, end = hole[0], hole[-1] + UNIT
        lost = [span for span in self.of("unproven", "unreadable", "missing") if span[0] < end and first < span[1]]
        if any(span[1] > moment for span in lost):
            return "gap-broken"
        after = [row for row in self.rows if row["state"] == "proven" and row["answers"][0] > moment]
        after = [row for row in after if row["answers"][1] >= end]
        if not after:
            return "gap-tail"
        following = min(after, key=lambda row: (row["answers"], row["where"]))
        if not following["starting"]:
            return "gap-broken"
        older = self.history.earlier or lost or any(row["hours"][1] <= first for row in self.rows)
        return "gap-restart" if older else "gap-late-start"
