"""One function a rule: from what AWS delivered in some hours, to what lies there after tampering and what is found.

Each takes a `Case` and returns an `Outcome` whose expectations are complete (CONTRACT: Rules).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import HOUR, Interval, isoformat
from cloudtrail_validate.simulate import naming
from cloudtrail_validate.simulate.digests import (
    SIGNATURE_ALGORITHM,
    SignedDigest,
    Stage,
    digest_delivery,
    log_delivery,
    make_digest,
    signed,
)
from cloudtrail_validate.simulate.events import LogFile, compress, make_log

if TYPE_CHECKING:
    import random

    from cloudtrail_validate.simulate.manifest import Expectations, Expected, Planted
    from cloudtrail_validate.simulate.sinks import Delivery
    from cloudtrail_validate.simulate.spec import AccountRegion, TrailSpec

_REWRITTEN_AFTER = 5 * HOUR  # after the digest's end
_MOVED_BY = timedelta(minutes=17, seconds=3)  # no digest of the chain has that stamp
_TAMPERED_ADDRESS = "198.51.100.254"  # events.py gives out addresses up to .250


@dataclass(frozen=True, slots=True)
class Case:
    """What a tamper works on: consecutive hours of one chain, as AWS delivered them."""

    rule: str
    spec: TrailSpec
    site: AccountRegion
    stages: tuple[Stage, ...]
    window: Interval
    rng: random.Random
    expect: Expectations

    @property
    def stage(self) -> Stage:
        """The only hour, or the newest."""
        return self.stages[-1]

    @property
    def digest(self) -> SignedDigest:
        """The digest of that hour."""
        return self.stage.digest

    def pick(self) -> LogFile:
        """One log of the hour."""
        return self.rng.choice(self.stage.logs)

    def outcome(self, deliveries: Iterable[Delivery], keys: Iterable[str], *expected: Expected) -> Outcome:
        """Put the answer together."""
        return Outcome(tuple(deliveries), self.expect.planted(self.rule, tuple(keys), *expected))

    def lost_hours(self) -> tuple[Expected, ...]:
        """What a digest that proves nothing brings about: its hours uncovered, their logs undigested."""
        span = Interval(self.stages[0].digest.interval.start, self.digest.interval.end)
        logs = (log for stage in self.stages for log in stage.logs)
        undigested = (self.expect.of_object(rules.LOG_UNDIGESTED, log.key) for log in logs)
        return (self.expect.of_hours(rules.GAP_BROKEN, span), *undigested)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is delivered instead, and what to expect of it."""

    deliveries: tuple[Delivery, ...]
    planted: Planted


def deliveries(stage: Stage) -> tuple[Delivery, ...]:
    """An hour as AWS delivers it: the logs, then the digest."""
    return (*map(log_delivery, stage.logs), digest_delivery(stage.digest))


def _instead(case: Case, digest: Delivery, *expected: Expected) -> Outcome:
    """Another digest in place of the genuine one, and the logs as they were."""
    found = case.expect.of_object(case.rule, digest.key)
    return case.outcome((*map(log_delivery, case.stage.logs), digest), (digest.key,), found, *expected)


def _change_log(case: Case, change: Callable[[Delivery], Delivery | None]) -> Outcome:
    """One log changed or (None) removed; nothing but that is found."""
    victim = case.pick().key
    changed = (change(item) if item.key == victim else item for item in deliveries(case.stage))
    return case.outcome((i for i in changed if i is not None), (victim,), case.expect.of_object(case.rule, victim))


def _digest_missing(case: Case) -> Outcome:
    key = case.digest.key
    missing = case.expect.of_object(rules.DIGEST_MISSING, key)
    return case.outcome(map(log_delivery, case.stage.logs), (key,), missing, *case.lost_hours())


def _digest_malformed(case: Case) -> Outcome:
    return _instead(case, replace(digest_delivery(case.digest), body=b"{not gzip}"), *case.lost_hours())


def _digest_signature_invalid(case: Case) -> Outcome:
    """A log is dropped from the list by someone who cannot sign."""
    record = dict(case.digest.record)
    dropped = case.pick().key
    record["logFiles"] = [log for log in record["logFiles"] if log["s3Object"] != dropped]
    body = compress(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode())
    return _instead(case, replace(digest_delivery(case.digest), body=body), *case.lost_hours())


def _digest_signature_missing(case: Case) -> Outcome:
    return _instead(case, replace(digest_delivery(case.digest), metadata={}))


def _digest_key_unknown(case: Case) -> Outcome:
    """The chain was signed with the unknown key there already (placing.ChainPlan.unpublished): its successor fits."""
    return _instead(case, digest_delivery(case.digest))


def _digest_algorithm_unsupported(case: Case) -> Outcome:
    metadata = case.digest.metadata | {SIGNATURE_ALGORITHM: "SHA512withRSA"}
    return _instead(case, replace(digest_delivery(case.digest), metadata=metadata))


def _digest_moved(case: Case) -> Outcome:
    here = case.digest.key
    elsewhere = naming.digest_key(case.spec, case.site, case.digest.interval.end + _MOVED_BY)
    written = (*map(log_delivery, case.stage.logs), replace(digest_delivery(case.digest), key=elsewhere))
    moved = case.expect.of_object(case.rule, elsewhere)
    missing = case.expect.of_object(rules.DIGEST_MISSING, here)
    return case.outcome(written, (elsewhere, here), moved, missing, *case.lost_hours())


def _digest_trailing_data(case: Case) -> Outcome:
    whole = digest_delivery(case.digest)
    return _instead(case, replace(whole, body=whole.body + b"trailing"))


def _digest_link_broken(case: Case) -> Outcome:
    """As if signed again by whoever holds the key: everything fits but the successor's view of it."""
    newest = max(log.newest for log in case.stage.logs) + timedelta(seconds=1)
    record = {**case.digest.record, "newestEventTime": isoformat(newest)}
    return _instead(case, digest_delivery(signed(record, case.digest.signer, case.digest)))


def _digest_unlinked(case: Case) -> Outcome:
    """A second digest for half of the hour, genuine by its signature, that no other digest names."""
    span = Interval(case.digest.interval.start, case.digest.interval.start + HOUR / 2)
    log = make_log(case.spec, case.site, case.rng, span.start + HOUR / 4)
    orphan = make_digest(case.spec, case.site, span, (log,), previous=case.stage.previous, signer=case.digest.signer)
    written = (*deliveries(case.stage), log_delivery(log), digest_delivery(orphan))
    return case.outcome(written, (orphan.key, log.key), case.expect.of_object(case.rule, orphan.key))


def _digest_unreadable(case: Case) -> Outcome:
    return _instead(case, replace(digest_delivery(case.digest), unreadable=True), *case.lost_hours())


def _log_altered(case: Case) -> Outcome:
    def change(log: Delivery) -> Delivery:
        content: dict[str, Any] = json.loads(gzip.decompress(log.body))
        content["Records"][0]["sourceIPAddress"] = _TAMPERED_ADDRESS
        return replace(log, body=compress(json.dumps(content, separators=(",", ":")).encode()))

    return _change_log(case, change)


def _log_malformed(case: Case) -> Outcome:
    return _change_log(case, lambda log: replace(log, body=log.body[: len(log.body) // 2]))


def _log_trailing_data(case: Case) -> Outcome:
    """A second gzip member: readers that join members see an event that nobody signed."""
    member = compress(b'{"Records":[]}')
    return _change_log(case, lambda log: replace(log, body=log.body + member))


def _log_missing(case: Case) -> Outcome:
    return _change_log(case, lambda _: None)


def _log_unreadable(case: Case) -> Outcome:
    return _change_log(case, lambda log: replace(log, unreadable=True))


def _log_rewritten(case: Case) -> Outcome:
    later: datetime = case.digest.interval.end + _REWRITTEN_AFTER
    return _change_log(case, lambda log: replace(log, delivered=later))


def _log_extra(case: Case) -> Outcome:
    middle = case.digest.interval.start + HOUR / 2
    extra = make_log(case.spec, case.site, case.rng, middle)
    found = case.expect.of_object(case.rule, extra.key)
    return case.outcome((*deliveries(case.stage), log_delivery(extra)), (extra.key,), found)


def _gap_broken(case: Case) -> Outcome:
    """Two digests one after the other: nothing is left that names the older one."""
    logs = (log for stage in case.stages for log in stage.logs)
    keys = tuple(stage.digest.key for stage in case.stages)
    missing = case.expect.of_object(rules.DIGEST_MISSING, case.digest.key)
    return case.outcome(map(log_delivery, logs), keys, missing, *case.lost_hours())


def _gap_tail(case: Case) -> Outcome:
    logs = [log for stage in case.stages for log in stage.logs]
    keys = tuple(stage.digest.key for stage in case.stages)
    tail = Interval(case.stages[0].digest.interval.start, case.window.end)
    undigested = (case.expect.of_object(rules.LOG_UNDIGESTED, log.key) for log in logs)
    return case.outcome(map(log_delivery, logs), keys, case.expect.of_hours(case.rule, tail), *undigested)


LOCAL: Mapping[str, Callable[[Case], Outcome]] = MappingProxyType(
    {
        rules.DIGEST_MISSING: _digest_missing,
        rules.DIGEST_MALFORMED: _digest_malformed,
        rules.DIGEST_SIGNATURE_INVALID: _digest_signature_invalid,
        rules.DIGEST_SIGNATURE_MISSING: _digest_signature_missing,
        rules.DIGEST_KEY_UNKNOWN: _digest_key_unknown,
        rules.DIGEST_ALGORITHM_UNSUPPORTED: _digest_algorithm_unsupported,
        rules.DIGEST_MOVED: _digest_moved,
        rules.DIGEST_TRAILING_DATA: _digest_trailing_data,
        rules.DIGEST_LINK_BROKEN: _digest_link_broken,
        rules.DIGEST_UNLINKED: _digest_unlinked,
        rules.DIGEST_UNREADABLE: _digest_unreadable,
        rules.LOG_ALTERED: _log_altered,
        rules.LOG_MALFORMED: _log_malformed,
        rules.LOG_TRAILING_DATA: _log_trailing_data,
        rules.LOG_MISSING: _log_missing,
        rules.LOG_EXTRA: _log_extra,
        rules.LOG_UNREADABLE: _log_unreadable,
        rules.LOG_REWRITTEN: _log_rewritten,
        rules.GAP_BROKEN: _gap_broken,
        rules.GAP_TAIL: _gap_tail,
    }
)
"""The rules whose tampering changes what some hours delivered; the others change the course of a chain."""

NEED_METADATA = frozenset({rules.DIGEST_SIGNATURE_MISSING, rules.DIGEST_ALGORITHM_UNSUPPORTED, rules.DIGEST_UNLINKED})
"""Not to be told from a genuine trail where S3 metadata is not kept: the signature of a digest that no successor
names, or of which only the metadata differs, is nowhere else."""
