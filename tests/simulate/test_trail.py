from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cloudtrail_validate.core import expectation
from cloudtrail_validate.simulate import AccountRegion, FolderSink, TrailSpec, simulate
from cloudtrail_validate.simulate.spec import DEFAULT_REGIONS

from .helpers import SIDECAR, chain, intervals, openssl_accepts, read, run, tree

MARCH = datetime(2026, 3, 7, 12, tzinfo=UTC)


def test_layout_is_literally_that_of_the_guide(tmp_path: Path) -> None:
    spec = TrailSpec(
        trail_name="global_trail-us-west-2",
        regions=("ap-northeast-1",),
        home_region="us-east-1",
        start=MARCH,
        offset_seconds=2481,
        hours=1,
        logs_per_hour=1,
    )
    run(tmp_path, spec)
    root = "AWSLogs/111122223333"
    names = {name for name in tree(tmp_path) if "/ap-northeast-1/" in name and not name.endswith(SIDECAR)}
    start = "111122223333_CloudTrail-Digest_ap-northeast-1_global_trail-us-west-2_us-east-1"
    digests = {
        f"{root}/CloudTrail-Digest/ap-northeast-1/2026/03/07/{start}_20260307T124121Z.json.gz",
        f"{root}/CloudTrail-Digest/ap-northeast-1/2026/03/07/{start}_20260307T134121Z.json.gz",
    }
    assert digests < names
    (log,) = names - digests
    assert log.startswith(
        f"{root}/CloudTrail/ap-northeast-1/2026/03/07/111122223333_CloudTrail_ap-northeast-1_20260307T"
    )
    assert len(log.split("_")[-1].removesuffix(".json.gz")) == 16
    assert (tmp_path / root / "CloudTrail").is_dir()


def test_an_organization_trail_has_its_id_in_every_account(tmp_path: Path) -> None:
    spec = TrailSpec(accounts=("111122223333", "444455556666"), organization_id="o-a1b2c3d4e5", hours=1, start=MARCH)
    simulation = run(tmp_path, spec)
    for account in ("111122223333", "444455556666"):
        digest = (
            f"AWSLogs/o-a1b2c3d4e5/{account}/CloudTrail-Digest/us-east-1/2026/03/07/"
            f"{account}_CloudTrail-Digest_us-east-1_management-events_us-east-1_20260307T130000Z.json.gz"
        )
        assert read(tmp_path / digest)["digestS3Object"] == digest
        assert read(tmp_path / digest)["awsAccountId"] == account
    assert simulation.manifest.trail_arn == "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events"
    assert len(simulation.keys) == 1, "keys belong to regions, not to accounts"


@pytest.mark.parametrize("prefix", ["logs", "a b/c+d%20/Übersicht"])
def test_a_prefix_is_taken_as_it_is(tmp_path: Path, prefix: str) -> None:
    run(tmp_path, TrailSpec(prefix=prefix, hours=1, start=MARCH))
    newest = chain(tmp_path)[-1]
    expected = f"{prefix}/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/07/"
    assert newest.relative_to(tmp_path).as_posix().startswith(expected)
    assert read(newest)["digestS3Object"] == newest.relative_to(tmp_path).as_posix()
    assert read(newest)["logFiles"][0]["s3Object"].startswith(f"{prefix}/AWSLogs/111122223333/CloudTrail/us-east-1/")


def test_a_prefix_that_ends_in_a_slash_makes_an_empty_segment(tmp_path: Path) -> None:
    run(tmp_path, TrailSpec(prefix="logs/", hours=1))
    assert read(chain(tmp_path)[-1])["digestS3Object"].startswith("logs//AWSLogs/111122223333/")


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-central-2", "aws")]
)
def test_the_arn_names_the_partition(region: str, partition: str) -> None:
    assert TrailSpec(regions=(region,)).trail_arn.startswith(f"arn:{partition}:cloudtrail:{region}:")


def test_openssl_accepts_every_digest(tmp_path: Path) -> None:
    spec = TrailSpec(hours=6, key_rotation_hours=2, spki_every=2, late_logs=2, restarts=((3, 0),))
    simulation = run(tmp_path / "trail", spec)
    digests = chain(tmp_path / "trail") + chain(tmp_path / "trail", backfill=True)
    assert len(digests) == 9 + 1
    assert all(openssl_accepts(path, simulation, tmp_path) for path in digests)
    changed = digests[0]
    changed.write_bytes(gzip.compress(gzip.decompress(changed.read_bytes()) + b" "))
    assert not openssl_accepts(changed, simulation, tmp_path)


def test_published_keys_have_the_shape_of_list_public_keys(tmp_path: Path) -> None:
    spec = TrailSpec(hours=6, key_rotation_hours=2, spki_every=3, regions=("us-gov-east-1", "us-gov-west-1"))
    simulation = run(tmp_path, spec)
    keys = json.loads(simulation.keys.as_json())["PublicKeyList"]
    assert [key["Region"] for key in keys] == ["us-gov-east-1"] * 4 + ["us-gov-west-1"] * 4
    for key in keys:
        der = base64.b64decode(key["Value"])
        assert key["Fingerprint"] == hashlib.md5(der, usedforsecurity=False).hexdigest()
        times = [datetime.fromisoformat(key[name]) for name in ("ValidityStartTime", "ValidityEndTime")]
        assert times[1] - times[0] == timedelta(days=30)
    assert keys[0]["ValidityStartTime"] == "2025-12-31T00:00:00Z"
    assert keys[1]["ValidityStartTime"] == "2025-12-31T02:00:00Z"
    assert [len(base64.b64decode(key["Value"])) for key in keys[:3]] == [270, 270, 294], "PKCS#1, PKCS#1, SPKI"


def test_each_digest_is_signed_while_its_key_is_valid(tmp_path: Path) -> None:
    simulation = run(tmp_path, TrailSpec(hours=45 * 24, logs_per_hour=0, start=MARCH))
    valid = {key.fingerprint: key.valid for key in simulation.keys}
    assert len(valid) == 2
    for digest in map(read, chain(tmp_path)):
        assert valid[digest["digestPublicKeyFingerprint"]].contains(datetime.fromisoformat(digest["digestEndTime"]))


def test_a_chain_links_from_its_starting_digest_on(tmp_path: Path) -> None:
    run(tmp_path, TrailSpec(hours=4, start=MARCH, offset_seconds=81))
    paths = chain(tmp_path)
    first = read(paths[0])
    assert [first[name] for name in first if name.startswith("previous")] == [None] * 5
    assert (first["logFiles"], first["newestEventTime"], first["oldestEventTime"]) == ([], None, None)
    assert (first["digestStartTime"], first["digestEndTime"]) == ("2026-03-07T11:01:21Z", "2026-03-07T12:01:21Z")
    assert len(paths) == 5
    for older, newer in pairwise(paths):
        before, after = read(older), read(newer)
        content = gzip.decompress(older.read_bytes())
        metadata = json.loads(older.with_name(older.name + SIDECAR).read_text())
        assert after["previousDigestS3Object"] == before["digestS3Object"]
        assert after["previousDigestS3Bucket"] == "DOC-EXAMPLE-BUCKET"
        assert after["previousDigestHashValue"] == hashlib.sha256(content).hexdigest()
        assert after["previousDigestHashAlgorithm"] == "SHA-256"
        assert after["previousDigestSignature"] == metadata["signature"]
        assert metadata["signature-algorithm"] == "SHA256withRSA"
        assert after["digestStartTime"] == before["digestEndTime"]
        assert timedelta(minutes=26) <= arrival(older) - datetime.fromisoformat(before["digestEndTime"])
        assert arrival(older) - datetime.fromisoformat(before["digestEndTime"]) <= timedelta(minutes=31, seconds=1)


def arrival(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def test_digests_name_the_logs_of_their_hour(tmp_path: Path) -> None:
    simulation = run(tmp_path, TrailSpec(hours=3, logs_per_hour=20, events_per_log=3))
    assert simulation.manifest.logs == 60
    for digest in map(read, chain(tmp_path)[1:]):
        assert len(digest["logFiles"]) == 20
        for log in digest["logFiles"]:
            path = tmp_path / log["s3Object"]
            check_log(path, log, digest)
        assert digest["newestEventTime"] == max(log["newestEventTime"] for log in digest["logFiles"])
        assert digest["oldestEventTime"] == min(log["oldestEventTime"] for log in digest["logFiles"])


def check_log(path: Path, log: dict[str, Any], digest: dict[str, Any]) -> None:
    content = gzip.decompress(path.read_bytes())
    assert log["hashValue"] == hashlib.sha256(content).hexdigest()
    events = json.loads(content)["Records"]
    assert len(events) == 3
    assert max(event["eventTime"] for event in events) == log["newestEventTime"]
    assert min(event["eventTime"] for event in events) == log["oldestEventTime"]
    assert {event["recipientAccountId"] for event in events} == {"111122223333"}
    start, end = (datetime.fromisoformat(digest[name]) for name in ("digestStartTime", "digestEndTime"))
    assert start <= arrival(path) < end
    named = datetime.strptime(path.name.split("_")[3], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
    assert -262 <= (arrival(path) - named).total_seconds() <= 200


def test_event_ids_are_not_given_twice(tmp_path: Path) -> None:
    run(tmp_path, TrailSpec(hours=5, logs_per_hour=20, regions=("us-east-1", "eu-west-1")))
    logs = list(tmp_path.rglob("*_CloudTrail_*.gz"))
    events = [event["eventID"] for path in logs for event in read(path)["Records"]]
    assert len(events) == len(set(events)) == 5 * 20 * 2 * 10


def test_quiet_regions_and_rates_by_region(tmp_path: Path) -> None:
    spec = TrailSpec(
        regions=("us-east-1", "eu-west-1", "ap-south-1"),
        quiet_regions=("eu-west-1",),
        logs_per_hour={"us-east-1": 3},
        hours=2,
        late_logs=1,
    )
    simulation = run(tmp_path, spec)
    assert simulation.manifest.digests == 17 * 3
    for region, count in (("us-east-1", 3), ("eu-west-1", 0), ("ap-south-1", 0)):
        assert [len(read(path)["logFiles"]) for path in chain(tmp_path, region)] == [0, count, count]
    assert read(chain(tmp_path, "eu-west-1")[1])["newestEventTime"] is None


@pytest.mark.parametrize(
    ("spec", "regions"),
    [
        (TrailSpec(), ("us-east-1",)),
        (TrailSpec(multi_region=True), DEFAULT_REGIONS["aws"]),
        (TrailSpec(regions=("us-gov-west-1", "us-gov-east-1")), DEFAULT_REGIONS["aws-us-gov"]),
        (TrailSpec(regions=("cn-northwest-1",), home_region="cn-north-1"), DEFAULT_REGIONS["aws-cn"]),
        (TrailSpec(regions=("af-south-1",), home_region="us-east-1"), ("af-south-1", *DEFAULT_REGIONS["aws"])),
    ],
)
def test_a_multi_region_trail_writes_in_every_enabled_region(
    tmp_path: Path, spec: TrailSpec, regions: tuple[str, ...]
) -> None:
    simulation = run(tmp_path, replace(spec, hours=2, logs_per_hour=1))
    assert set(simulation.manifest.regions) == set(regions)
    assert simulation.manifest.multi_region == (len(regions) > 1)
    for region in regions:
        logs = [len(read(path)["logFiles"]) for path in chain(tmp_path, region)]
        assert logs == ([0, 1, 1] if region in spec.regions else [0, 0, 0])


def test_the_simulators_regions_are_those_that_the_validator_expects() -> None:
    """Two lists, so that a slip in one is noticed."""
    assert {name: set(regions) for name, regions in DEFAULT_REGIONS.items()} == {
        name: set(regions) for name, regions in expectation.DEFAULT_REGIONS.items()
    }


def test_a_rate_may_be_a_function(tmp_path: Path) -> None:
    spec = TrailSpec(logs_per_hour=lambda *where: int(where[2]), hours=3)
    assert spec.log_count(AccountRegion("111122223333", "us-east-1"), 2) == 2
    run(tmp_path, spec)
    assert [len(read(path)["logFiles"]) for path in chain(tmp_path)] == [0, 0, 1, 2]


def test_the_seed_decides_everything_but_the_keys(tmp_path: Path) -> None:
    spec = TrailSpec(hours=3, late_logs=1, pending=2)
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        simulate(TrailSpec(hours=4, late_logs=1, pending=2, seed=seed), FolderSink(tmp_path / name))
    logs = [
        {name: found for name, found in tree(tmp_path / run).items() if "_CloudTrail_" in name}
        for run in ("one", "two", "other")
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4 * 4 + 1 + 2
    assert not set(logs[0]) & set(logs[2])
    assert set(tree(tmp_path / "one")) == set(tree(tmp_path / "two"))
    run(tmp_path / "a", spec)
    run(tmp_path / "b", spec)
    assert tree(tmp_path / "a") == tree(tmp_path / "b"), "with the same keys, every byte is the same"


def test_restarts_begin_new_chains(tmp_path: Path) -> None:
    simulation = run(tmp_path, TrailSpec(hours=10, restarts=((6, 0), (2, 1)), start=MARCH))
    assert intervals(tmp_path) == [
        ("11:00:00Z", "12:00:00Z"),
        ("12:00:00Z", "13:00:00Z"),
        ("13:00:00Z", "14:00:00Z"),
        ("14:00:00Z", "15:00:00Z"),  # starting digest: this hour is lost
        ("15:00:00Z", "16:00:00Z"),
        ("16:00:00Z", "17:00:00Z"),
        ("17:00:00Z", "18:00:00Z"),
        ("17:01:21Z", "18:01:21Z"),  # starting digest of a chain that begins at once
        ("18:00:00Z", "19:00:00Z"),  # the old one's last, without logs
        ("18:01:21Z", "19:01:21Z"),
        ("19:01:21Z", "20:01:21Z"),
        ("20:01:21Z", "21:01:21Z"),
        ("21:01:21Z", "22:01:21Z"),
    ]
    starting = [path for path in chain(tmp_path) if read(path)["previousDigestSignature"] is None]
    assert [read(path)["digestEndTime"] for path in starting] == [
        "2026-03-07T12:00:00Z",
        "2026-03-07T15:00:00Z",
        "2026-03-07T18:01:21Z",
    ]
    gap, notice = simulation.manifest.expected()
    assert (gap.rule, gap.start, gap.end) == ("gap-restart", MARCH + timedelta(hours=2), MARCH + timedelta(hours=3))
    assert notice.rule == "chain-restart"
    assert notice.key == starting[2].relative_to(tmp_path).as_posix()


def test_late_logs_are_in_backfill_digests_only(tmp_path: Path) -> None:
    run(tmp_path, TrailSpec(hours=12, late_logs=3, start=MARCH))
    backfill = chain(tmp_path, backfill=True)
    assert [path.name[-34:] for path in backfill] == [
        f"_20260307T{hour}0000Z_backfill.json.gz"[-34:] for hour in (15, 18, 21)
    ]
    named = {log["s3Object"] for path in chain(tmp_path) for log in read(path)["logFiles"]}
    previous = None
    for path in backfill:
        digest = read(path)
        (log,) = digest["logFiles"]
        assert log["s3Object"] not in named
        end = datetime.fromisoformat(digest["digestEndTime"])
        assert arrival(tmp_path / log["s3Object"]) == end + timedelta(hours=3)
        assert f"_{end - timedelta(minutes=30):%Y%m%dT%H%MZ}_" in log["s3Object"]
        metadata = json.loads(path.with_name(path.name + SIDECAR).read_text())
        generated = datetime.fromisoformat(metadata["backfill-generation-timestamp"])
        assert end + timedelta(hours=3) < generated < end + timedelta(hours=4)
        assert digest["previousDigestS3Object"] == previous
        previous = digest["digestS3Object"]


def test_pending_logs_follow_the_newest_digest(tmp_path: Path) -> None:
    simulation = run(tmp_path, TrailSpec(hours=2, pending=3, start=MARCH))
    end = MARCH + timedelta(hours=2)
    found = list(simulation.manifest.expected())
    assert [(finding.rule, finding.status) for finding in found] == [("log-pending", "notice")] * 3
    for finding in found:
        assert finding.key is not None
        assert end < arrival(tmp_path / finding.key) < end + timedelta(minutes=30)
    assert simulation.manifest.window == (MARCH, MARCH + timedelta(hours=2, minutes=30))
    assert simulation.manifest.as_of == MARCH + timedelta(hours=3)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"trail_name": "x"}, "trail_name"),
        ({"accounts": ()}, "accounts"),
        ({"accounts": ("12345",)}, "12 digits"),
        ({"regions": ("us_east_1",)}, "us-east-1"),
        ({"organization_id": "../../etc"}, "organization_id"),
        ({"prefix": "x" * 201}, "200 characters"),
        ({"bucket": ""}, "bucket"),
        ({"start": datetime(2026, 1, 1)}, "offset"),  # noqa: DTZ001 - that is the mistake
        ({"start": datetime(2026, 1, 1, 0, 30, tzinfo=UTC)}, "full hour"),
        ({"hours": 0}, "hours"),
        ({"multi_region": False, "regions": ("us-east-1", "eu-west-1")}, "home region only"),
        ({"multi_region": False, "home_region": "eu-west-1"}, "home region only"),
        ({"offset_seconds": 3600}, "offset_seconds"),
        ({"events_per_log": 0}, "events_per_log"),
        ({"key_rotation_hours": 700}, "key rotation"),
        ({"restarts": ((23, 5),)}, "does not fit"),
        ({"restarts": ((4, 3), (6, 0))}, "does not fit"),
        ({"logs_per_hour": -1}, "logs_per_hour"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TrailSpec(**wrong)


def test_a_rate_below_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="logs_per_hour"):
        run(tmp_path, TrailSpec(logs_per_hour=lambda *_: -1))
