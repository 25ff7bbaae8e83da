"""One batch of logs: what is named is read, listed or not; what is listed and not named is left for the judge."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import CustomerKeyError, StoreError
from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.model import HOUR, Cause, Counts, Finding, Kind, Status
from cloudtrail_validate.engine.cut import cut
from cloudtrail_validate.engine.reconcile import Reconciler
from cloudtrail_validate.engine.stages import LogResult
from tests.engine.stages_kit import Region, clean, edited, key_of
from tests.scenarios.world import World


class Came:
    """What all batches of an account-region came to."""

    def __init__(self, results: list[LogResult], region: Region) -> None:
        self.results = results
        self.asked = region.store.asked
        self.findings = FindingSet(result.findings for result in results).freeze()
        self.unnamed = [item.info.key for result in results for item in result.unnamed]
        self.failures = [failure for result in results for failure in result.failures]

    def counts(self, kind: Kind = Kind.STANDARD) -> Counts:
        out = Counts()
        for result in self.results:
            for chain, counts in result.counts:
                out = out + counts if chain.kind is kind else out
        return out

    @property
    def one(self) -> Finding:
        (finding,) = self.findings.kept
        return finding


def reconciled(of: World, failing: dict[str, Any] | None = None) -> Came:
    """`failing` are keys and prefixes that cannot be read once the digests are proven."""

    async def run() -> Came:
        region = Region(of)
        proven = await region.prove()
        region.store.asked.clear()
        region.store.failing.update(failing or {})
        return Came(await region.reconcile(proven), region)

    return asyncio.run(run())


def test_each_log_is_read_once_and_counted_by_its_chain() -> None:
    came = reconciled(clean())
    assert came.counts() == Counts(valid=8)
    assert came.counts(Kind.BACKFILL) == Counts(valid=1)
    assert len(came.asked) == len(set(came.asked)) == 9
    assert came.findings.kept == ()
    assert came.unnamed == []
    logs = [item for key, item in clean().buckets[clean().spec.bucket].items() if "_CloudTrail_" in key]
    inflated = sum(len(gzip.decompress(log.body)) for log in logs)
    assert sum(result.bytes_hashed for result in came.results) == inflated


def test_a_deleted_log_is_missing() -> None:
    came = reconciled(edited({"do": "delete", "key": "{log 2.1}"}))
    assert came.counts() == Counts(valid=7, missing=1)
    assert (came.one.rule, came.one.status) == (rules.LOG_MISSING, Status.MISSING)
    assert came.one.expected


def test_an_altered_log_is_told_with_both_hashes() -> None:
    of = edited({"do": "put", "key": "{log 2.1}", "text": "{}"})
    came = reconciled(of)
    assert came.counts() == Counts(valid=7, altered=1)
    assert (came.one.rule, came.one.actual) == (rules.LOG_ALTERED, hashlib.sha256(b"{}").hexdigest())
    assert came.one.expected not in (None, came.one.actual)
    assert came.one.interval is not None
    assert came.one.interval.end == of.start + 2 * HOUR


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        ({"do": "append", "text": "x"}, rules.LOG_TRAILING_DATA),
        ({"do": "truncate", "bytes": 40}, rules.LOG_MALFORMED),
        ({"do": "flip", "byte": 0}, rules.LOG_MALFORMED),
    ],
)
def test_a_damaged_container_is_told_by_its_kind(edit: dict[str, Any], rule: str) -> None:
    came = reconciled(edited({**edit, "key": "{log 1.0}"}))
    assert (came.one.rule, came.one.status) == (rule, Status.ALTERED)
    assert came.counts() == Counts(valid=7, altered=1)


def test_a_log_that_cannot_be_read_concerns_itself_alone() -> None:
    of = clean()
    came = reconciled(of, {key_of(of, "{log 3.0}"): StoreError(Cause.ARCHIVED, "in Glacier")})
    assert (came.one.rule, came.one.cause, came.one.detail) == (rules.LOG_UNREADABLE, Cause.ARCHIVED, "in Glacier")
    assert came.counts() == Counts(valid=7, unverifiable=1)


def test_a_customers_key_is_an_edit_and_no_trouble() -> None:
    of = clean()
    came = reconciled(of, {key_of(of, "{log 3.0}"): CustomerKeyError()})
    assert (came.one.rule, came.one.status) == (rules.LOG_ALTERED, Status.ALTERED)


def test_without_a_listing_every_named_log_is_read_all_the_same() -> None:
    of = clean()
    path = f"AWSLogs/{of.spec.accounts[0]}/CloudTrail/us-east-1/"
    came = reconciled(of, {path: StoreError(Cause.THROTTLED, "busy")})
    assert came.counts() == Counts(valid=8)
    assert {(failure.rule, failure.cause, failure.where.key) for failure in came.failures} == {
        (rules.LOG_UNREADABLE, Cause.THROTTLED, path)
    }


def test_what_nobody_names_is_left_for_the_judge() -> None:
    planted = [
        {"do": "copy", "source": "{log 2.0}", "key": "{logs}2026/01/01/planted.json.gz"},
        {"do": "put", "key": "{logs}2026/13/01/odd.json.gz", "text": "x"},
        {"do": "put", "key": "{logs}top.json.gz", "text": "x"},
    ]
    came = reconciled(edited(*planted))
    assert sorted(key.rpartition("/")[2] for key in came.unnamed) == ["odd.json.gz", "planted.json.gz", "top.json.gz"]
    assert came.counts() == Counts(valid=8)
    assert came.findings.kept == ()


def test_a_log_that_two_digests_name_is_counted_once() -> None:
    came = reconciled(edited({"do": "name", "key": "{digest 3}", "logs": ["{log 2.0}"]}))
    assert came.counts() == Counts(valid=8)


def test_a_log_that_two_digests_name_with_other_hashes_is_valid_by_one_and_altered_by_the_other() -> None:
    """Both are signed: the second claim is checked too, or an older digest would vouch for any content."""
    of = edited(
        {"do": "put", "key": "{log 2.0}", "text": "{}"}, {"do": "name", "key": "{digest 3}", "logs": ["{log 2.0}"]}
    )
    came = reconciled(of)
    assert came.counts() == Counts(valid=8, altered=1)
    assert came.one.rule == rules.LOG_ALTERED


def test_a_log_written_long_after_its_hour_is_a_notice_and_valid() -> None:
    of = clean()
    late = {"do": "written", "key": "{log 1.0}", "at": (of.start + 3 * HOUR).isoformat()}
    came = reconciled(edited(late))
    assert (came.one.rule, came.one.status) == (rules.LOG_REWRITTEN, Status.NOTICE)
    assert came.counts() == Counts(valid=8)


def test_a_digest_that_changed_after_it_was_proven_is_not_believed_again() -> None:
    """Its references were let go for want of room and are read again: only the proven bytes count."""
    of = clean()
    key = key_of(of, "{digest 2}")

    async def run() -> LogResult:
        region = Region(of)
        proven = await region.prove()
        region.reader.forget()
        held = region.store._buckets[of.spec.bucket]
        held[key] = replace(held[key_of(of, "{digest 3}")], key=key)
        batch = cut(proven, region.scope.window)[0]
        return await Reconciler(batch, region.scope, region.tools, region.reader).run()

    result = asyncio.run(run())
    (finding,) = (item for item in result.findings.kept if item.rule == rules.DIGEST_UNREADABLE)
    assert finding.status is Status.UNVERIFIABLE
    assert "run again" in str(finding.detail)
    assert sum(counts.valid for _, counts in result.counts) == 7  # two logs of that digest are not looked at
