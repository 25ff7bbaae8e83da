"""The digest phase of one account-region: what is listed and what is linked, read and proven newest first."""

from __future__ import annotations

import asyncio

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import HOUR, Cause, Kind
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.engine.prove import references_in
from cloudtrail_validate.engine.stages import ChainLinks, ProvenChains
from tests.engine.stages_kit import Region, clean, edited, key_of, told
from tests.scenarios import vector, world
from tests.scenarios.world import World


def proven_of(of: World, *, failing: dict[str, StoreError] | None = None, target: Target | None = None) -> ProvenChains:
    async def run() -> ProvenChains:
        region = Region(of, target=target)
        region.store.failing.update(failing or {})
        return await region.prove()

    return asyncio.run(run())


def chain_of(proven: ProvenChains, kind: Kind = Kind.STANDARD) -> ChainLinks:
    (chain,) = (item for item in proven.chains if item.chain.kind is kind and item.chain.trail)
    return chain


def states(chain: ChainLinks) -> list[str]:
    return [link.state.value for link in chain.links]


def test_a_whole_chain_is_proven_newest_first() -> None:
    proven, of = proven_of(clean()), clean()
    chain = chain_of(proven)
    assert states(chain) == ["proven"] * 4
    assert [(link.interval.end - of.start) / HOUR for link in chain.links] == [4, 3, 2, 1]
    assert chain.selected
    assert chain.earlier  # the starting digest lies before the window
    assert chain.newest is not None
    assert chain.newest.end == of.end
    assert states(chain_of(proven, Kind.BACKFILL)) == ["proven"]
    assert proven.findings.kept == ()
    assert len(proven.keys) == 1


def test_proven_digests_say_where_their_logs_lie_and_how_many_they_name() -> None:
    proven, of = proven_of(clean()), clean()
    standard = [item for item in proven.digests if item.entry.chain.kind is Kind.STANDARD]
    assert [item.number for item in standard] == [2] * 4
    newest = max(standard, key=lambda item: item.interval.end)
    (reach,) = newest.reaches
    logs = sorted((key_of(of, "{log 4.0}"), key_of(of, "{log 4.1}")))
    assert (reach.first, reach.last, reach.number, reach.odd) == (*logs, 2, False)
    assert all(item.counted for item in proven.digests)


def test_a_lost_link_hides_nothing_behind_it() -> None:
    of = edited({"do": "delete", "key": "{digest 2}"})
    chain = chain_of(proven_of(of))
    assert states(chain) == ["proven", "proven", "missing", "proven"]
    lost = chain.links[2]
    assert lost.where.key == key_of(clean(), "{digest 2}")
    assert lost.claimed  # the hash that its successor holds of it


def test_a_digest_that_lost_its_signature_is_proven_by_its_successor_and_still_told() -> None:
    of = edited({"do": "metadata", "key": "{digest 2}", "set": {"signature": None}})
    proven = proven_of(of)
    assert states(chain_of(proven)) == ["proven"] * 4
    assert told(proven.findings) == [(rules.DIGEST_SIGNATURE_MISSING, key_of(of, "{digest 2}"))]


def test_a_digest_that_cannot_be_read_is_told_with_its_cause_and_the_rest_is_proven() -> None:
    of = clean()
    denied = {key_of(of, "{digest 3}"): StoreError(Cause.KMS_DENIED, "no")}
    proven = proven_of(of, failing=denied)
    assert states(chain_of(proven)) == ["proven", "unreadable", "proven", "proven"]
    (finding,) = proven.findings.kept
    assert (finding.rule, finding.cause) == (rules.DIGEST_UNREADABLE, Cause.KMS_DENIED)


def test_a_listing_that_fails_is_a_value_and_no_exception() -> None:
    of = clean()
    path = digests_path(of)
    proven = proven_of(of, failing={path: StoreError(Cause.ACCESS_DENIED, "no")})
    assert [(failure.rule, failure.cause) for failure in proven.failures] == [
        (rules.DIGEST_UNREADABLE, Cause.ACCESS_DENIED)
    ]
    assert proven.digests == ()


def digests_path(of: World) -> str:
    return f"AWSLogs/{of.spec.accounts[0]}/CloudTrail-Digest/us-east-1/"


def test_a_chain_is_followed_to_the_bucket_that_it_came_from() -> None:
    trail = {
        "hours": 4,
        "regions": ["us-east-1"],
        "multi_region": False,
        "moves": [{"hour": 2, "bucket": "doc-example-bucket"}],
    }
    of = world.build(vector.of(trail=trail))
    wide = Target("doc-example-bucket", None, also_buckets=("amzn-s3-demo-bucket",))
    chain = chain_of(proven_of(of, target=wide))
    assert states(chain) == ["proven"] * 4
    assert [link.where.bucket for link in chain.links] == ["doc-example-bucket"] * 2 + ["amzn-s3-demo-bucket"] * 2


def test_digests_of_another_trail_are_read_for_what_they_name_and_not_counted() -> None:
    beside = {"other": {"trail_name": "other", "hours": 4, "regions": ["us-east-1"], "multi_region": False, "seed": 5}}
    of = world.build(vector.of(trail={"hours": 4, "regions": ["us-east-1"], "multi_region": False}, beside=beside))
    target = Target(of.spec.bucket, None, trail=of.spec.trail_name, home_region="us-east-1", owner=of.spec.accounts[0])
    proven = proven_of(of, target=target)
    by_trail = {item.chain.trail: item for item in proven.chains}
    assert (by_trail[of.spec.trail_name].selected, by_trail["other"].selected) == (True, False)
    counted = {item.entry.chain.trail: item.counted for item in proven.digests}
    assert counted == {of.spec.trail_name: True, "other": False}


def test_decoys_behind_the_window_do_not_keep_its_last_digest_from_being_proven() -> None:
    """Newer digests, however many fail, are read until one bears a signature of its own."""
    of = edited(
        {"do": "metadata", "key": "{digest 2}", "set": {"signature": None}},
        *({"do": "flip", "key": f"{{digest {number}}}", "byte": -1} for number in (3, 4)),
        hours=6,
    )

    async def run() -> ProvenChains:
        region = Region(of)
        region.scope = type(region.scope)(type(region.scope.window)(of.start, of.start + 2 * HOUR), of.now)
        return await region.prove()

    links = {link.where.key: link.state for link in chain_of(asyncio.run(run())).links}
    assert links[key_of(of, "{digest 1}")] is DigestState.PROVEN


def test_what_lies_among_the_digests_and_is_none_is_a_stray() -> None:
    planted = {"do": "put", "key": "{digests}2026/01/01/notes.txt", "text": "x"}
    proven = proven_of(edited(planted))
    assert [link.where.key.rpartition("/")[2] for link in proven.strays] == ["notes.txt"]
    assert states(chain_of(proven)) == ["proven"] * 4


def test_the_newest_proven_digest_of_each_chain_is_an_edge() -> None:
    of = clean()
    edges = {edge.chain.kind: edge for edge in proven_of(of).edges}
    assert edges[Kind.STANDARD].where.key == key_of(of, "{digest 4}")
    assert edges[Kind.BACKFILL].where.key == key_of(of, "{backfill 0}")


@pytest.mark.parametrize(("size", "number"), [(0, 0), (300, 0), (370, 1), (7_300, 100)])
def test_the_number_of_logs_is_estimated_from_the_compressed_size(size: int, number: int) -> None:
    assert references_in(size) == number
