"""Each tampering changes what it says it changes, nothing else, and says all that follows from it."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.simulate import (
    RULES,
    Expected,
    FolderSink,
    Simulation,
    Tamper,
    TamperError,
    TrailSpec,
    simulate,
)

from .helpers import SIDECAR, chain, inflate, intervals, openssl_accepts, read, run, tree

ALL_RULES = set(rules.TRAIL_RULES) - {rules.HISTORY_REWRITTEN}  # that takes two runs, and a state between them
START = datetime(2026, 3, 7, tzinfo=UTC)
# A multi-region trail in the partition with the fewest regions.
SPEC = TrailSpec(regions=("us-gov-west-1", "us-gov-east-1"), hours=20, logs_per_hour=2, start=START)

# What each rule brings about, with two logs in every hour.
LOST_HOUR = {"gap-broken": 1, "log-undigested": 2}
FOUND: dict[str, dict[str, int]] = {
    "digest-missing": LOST_HOUR,
    "digest-malformed": LOST_HOUR,
    "digest-signature-invalid": LOST_HOUR,
    "digest-signature-missing": {},
    "digest-key-unknown": {},
    "digest-algorithm-unsupported": {},
    "digest-moved": {"digest-missing": 1, **LOST_HOUR},
    "digest-trailing-data": {},
    "digest-link-broken": {},
    "digest-unlinked": {},
    "digest-unreadable": LOST_HOUR,
    "log-altered": {},
    "log-malformed": {},
    "log-trailing-data": {},
    "log-missing": {},
    "log-extra": {},
    "log-unreadable": {},
    "log-undigested": {"gap-restart": 1},
    "log-pending": {},
    "log-rewritten": {},
    "gap-broken": {"digest-missing": 1, "log-undigested": 4},
    "gap-restart": {},
    "gap-late-start": {},
    "gap-tail": {"log-undigested": 6},
    "chain-absent": {"log-undigested": 40},
    "chain-restart": {},
}
COURSE = {"gap-restart", "gap-late-start", "chain-restart", "log-undigested", "digest-key-unknown"}


def test_every_rule_has_a_tamper() -> None:
    assert set(RULES) == ALL_RULES == set(FOUND)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    assert not run(folder, SPEC).manifest.planted
    return folder


def planted(simulation: Simulation, folder: Path) -> tuple[Expected, Path]:
    """The finding that was asked for, and its object."""
    (only,) = simulation.manifest.planted
    found = next(finding for finding in only.expected if finding.rule == only.rule)
    return found, folder / (found.key or "")


@pytest.mark.parametrize("rule", RULES)
def test_the_expectation_is_complete(tmp_path: Path, rule: str) -> None:
    simulation = run(tmp_path, SPEC, rule)
    found = list(simulation.manifest.expected())
    assert Counter(finding.rule for finding in found) == Counter({rule: 1}) + Counter(FOUND[rule])
    for finding in found:
        assert (finding.key is None) == (finding.start is not None) == finding.rule.startswith(("gap-", "chain-absent"))
        assert finding.bucket in (None, "DOC-EXAMPLE-BUCKET")
        assert finding.account == "111122223333"
        if finding.key is not None:
            assert f"/{finding.region}/" in finding.key


@pytest.mark.parametrize("rule", sorted(ALL_RULES - COURSE))
def test_only_what_is_named_changes(tmp_path: Path, clean: Path, rule: str) -> None:
    simulation = run(tmp_path, SPEC, rule)
    before, after = tree(clean), tree(tmp_path)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    (only,) = simulation.manifest.planted
    assert {name.removesuffix(SIDECAR) for name in changed} == set(only.keys)
    assert simulation.manifest.digests == len([name for name in after if is_digest(name)])
    assert simulation.manifest.logs == len([name for name in after if "_CloudTrail_" in name])


def is_digest(name: str) -> bool:
    return "_CloudTrail-Digest_" in name and not name.endswith(SIDECAR)


def successor(folder: Path, key: str) -> Any:
    """The digest that names `key` as its predecessor."""
    (found,) = (read(path) for path in folder.rglob("*_CloudTrail-Digest_*.gz") if names(path, key))
    return found


def names(path: Path, key: str) -> bool:
    return bool(read(path)["previousDigestS3Object"] == key)


def signed_hash(folder: Path, key: str) -> str:
    """The hash that the digest naming that log gives for it."""
    digests = (read(path) for path in folder.rglob("*_CloudTrail-Digest_*.gz"))
    (found,) = (log["hashValue"] for digest in digests for log in digest["logFiles"] if log["s3Object"] == key)
    return str(found)


def test_digest_missing(tmp_path: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "digest-missing"), tmp_path)
    assert not path.exists()
    assert found.key is not None
    lost = successor(tmp_path, found.key)
    assert lost["previousDigestS3Object"] == found.key


def test_digest_malformed(tmp_path: Path) -> None:
    _, path = planted(run(tmp_path, SPEC, "digest-malformed"), tmp_path)
    with pytest.raises(zlib.error):
        inflate(path)


def test_digest_signature_invalid(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-signature-invalid")
    _, path = planted(simulation, tmp_path / "trail")
    assert len(read(path)["logFiles"]) == 1
    assert not openssl_accepts(path, simulation, tmp_path)


def test_digest_signature_missing(tmp_path: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "digest-signature-missing"), tmp_path)
    assert json.loads(path.with_name(path.name + SIDECAR).read_text()) == {}
    assert found.status is Status.ALTERED
    assert_successor_proves(tmp_path, path, found)


def assert_successor_proves(folder: Path, path: Path, found: Expected) -> None:
    assert found.key is not None
    content, _ = inflate(path)
    assert successor(folder, found.key)["previousDigestHashValue"] == hashlib.sha256(content).hexdigest()


def test_digest_key_unknown(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-key-unknown")
    found, path = planted(simulation, tmp_path / "trail")
    published = {key.fingerprint for key in simulation.keys}
    unknown = [d for d in map(read, chain(tmp_path / "trail", found.region)) if is_unknown(d, published)]
    assert unknown == [read(path)]
    assert_successor_proves(tmp_path / "trail", path, found)
    assert found.status is Status.UNVERIFIABLE
    api = simulate(SPEC, FolderSink(tmp_path / "api"), ["digest-key-unknown"], key_unknown=Status.ALTERED)
    assert [finding.status for finding in api.manifest.expected()] == [Status.ALTERED]


def is_unknown(digest: Any, published: set[str]) -> bool:
    return digest["digestPublicKeyFingerprint"] not in published


def test_digest_algorithm_unsupported(tmp_path: Path) -> None:
    _, path = planted(run(tmp_path, SPEC, "digest-algorithm-unsupported"), tmp_path)
    assert json.loads(path.with_name(path.name + SIDECAR).read_text())["signature-algorithm"] == "SHA512withRSA"


def test_digest_moved(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-moved")
    _, path = planted(simulation, tmp_path / "trail")
    assert not (tmp_path / "trail" / read(path)["digestS3Object"]).exists()
    assert path.name.endswith("1703Z.json.gz")
    assert openssl_accepts(path, simulation, tmp_path), "it is genuine, in the wrong place"


def test_digest_trailing_data(tmp_path: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "digest-trailing-data"), tmp_path)
    assert inflate(path)[1] == b"trailing"
    assert_successor_proves(tmp_path, path, found)


def test_digest_link_broken(tmp_path: Path, clean: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-link-broken")
    found, path = planted(simulation, tmp_path / "trail")
    assert found.key is not None
    assert openssl_accepts(path, simulation, tmp_path)
    assert read(path)["logFiles"] == read(clean / found.key)["logFiles"]
    view = successor(tmp_path / "trail", found.key)["previousDigestHashValue"]
    assert view != hashlib.sha256(inflate(path)[0]).hexdigest()


def test_digest_unlinked(tmp_path: Path) -> None:
    simulation = run(tmp_path / "trail", SPEC, "digest-unlinked")
    found, path = planted(simulation, tmp_path / "trail")
    orphan = read(path)
    assert openssl_accepts(path, simulation, tmp_path)
    assert orphan["digestS3Object"] == found.key
    assert orphan["digestEndTime"].endswith(":30:00Z")
    (log,) = orphan["logFiles"]
    content = gzip.decompress((tmp_path / "trail" / log["s3Object"]).read_bytes())
    assert hashlib.sha256(content).hexdigest() == log["hashValue"]
    digests = map(read, chain(tmp_path / "trail", found.region))
    same = [d for d in digests if d["previousDigestS3Object"] == orphan["previousDigestS3Object"]]
    assert len(same) == 2, "the orphan and its neighbour have one predecessor"


@pytest.mark.parametrize("rule", ["digest-unreadable", "log-unreadable"])
def test_unreadable(tmp_path: Path, rule: str) -> None:
    _, path = planted(run(tmp_path, SPEC, rule), tmp_path)
    with pytest.raises(PermissionError):
        path.read_bytes()


def test_log_altered(tmp_path: Path, clean: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "log-altered"), tmp_path)
    assert found.key is not None
    now, then = read(path)["Records"], read(clean / found.key)["Records"]
    assert [new == old for new, old in zip(now, then, strict=True)] == [False] + [True] * 9
    assert signed_hash(tmp_path, found.key) != hashlib.sha256(inflate(path)[0]).hexdigest()


def test_log_malformed(tmp_path: Path) -> None:
    _, path = planted(run(tmp_path, SPEC, "log-malformed"), tmp_path)
    with pytest.raises(EOFError):
        gzip.decompress(path.read_bytes())


def test_log_trailing_data(tmp_path: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "log-trailing-data"), tmp_path)
    content, after = inflate(path)
    assert found.key is not None
    assert signed_hash(tmp_path, found.key) == hashlib.sha256(content).hexdigest()
    assert gzip.decompress(after)


def test_log_missing(tmp_path: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "log-missing"), tmp_path)
    assert not path.exists()
    assert found.key is not None
    assert signed_hash(tmp_path, found.key)


@pytest.mark.parametrize("rule", ["log-extra", "log-pending", "log-undigested"])
def test_logs_that_no_digest_names(tmp_path: Path, rule: str) -> None:
    found, path = planted(run(tmp_path, SPEC, rule), tmp_path)
    assert read(path)["Records"]
    digests = [read(digest) for digest in tmp_path.rglob("*_CloudTrail-Digest_*.gz")]
    assert found.key not in {log["s3Object"] for digest in digests for log in digest["logFiles"]}
    mine = [d for d in digests if f"/{found.region}/" in d["digestS3Object"]]
    arrived = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    covering = [d for d in mine if d["digestStartTime"] <= f"{arrived:%Y-%m-%dT%H:%M:%SZ}" < d["digestEndTime"]]
    following = [d for d in covering if d["previousDigestSignature"] is not None]
    assert len(following) == (1 if rule == "log-extra" else 0), "about its own hour a starting digest proves nothing"


def test_log_rewritten(tmp_path: Path, clean: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "log-rewritten"), tmp_path)
    assert found.key is not None
    assert path.read_bytes() == (clean / found.key).read_bytes()
    assert path.stat().st_mtime - (clean / found.key).stat().st_mtime > 5 * 3600


def test_gap_broken(tmp_path: Path, clean: Path) -> None:
    simulation = run(tmp_path, SPEC, "gap-broken")
    found, _ = planted(simulation, tmp_path)
    (missing,) = (finding for finding in simulation.manifest.expected() if finding.rule == "digest-missing")
    assert missing.key is not None
    assert successor(tmp_path, missing.key)
    assert found.start is not None
    assert found.end == found.start + timedelta(hours=2)
    assert datetime.fromisoformat(read(clean / missing.key)["digestEndTime"]) == found.end


@pytest.mark.parametrize(("rule", "lost"), [("gap-restart", 2), ("log-undigested", 2)])
def test_restart_with_hours_lost(tmp_path: Path, rule: str, lost: int) -> None:
    simulation = run(tmp_path, SPEC, rule)
    (gap,) = (finding for finding in simulation.manifest.expected() if finding.rule == "gap-restart")
    assert gap.start is not None
    assert gap.end == gap.start + timedelta(hours=lost)
    spans = intervals(tmp_path, gap.region)
    assert f"{gap.start:%H:%M:%SZ}" in {end for _, end in spans}
    starting = [d for d in map(read, chain(tmp_path, gap.region)) if d["previousDigestSignature"] is None]
    assert starting[1]["digestEndTime"] == f"{gap.end:%Y-%m-%dT%H:%M:%SZ}"
    assert starting[1]["logFiles"] == []
    other = "us-gov-west-1" if gap.region == "us-gov-east-1" else "us-gov-east-1"
    assert len(intervals(tmp_path, other)) == 21, "the other region goes on"


def test_chain_restart(tmp_path: Path) -> None:
    found, path = planted(run(tmp_path, SPEC, "chain-restart"), tmp_path)
    starting = read(path)
    assert starting["previousDigestSignature"] is None
    older = [d for d in map(read, chain(tmp_path, found.region)) if d["digestStartTime"] < starting["digestEndTime"]]
    assert starting["digestEndTime"] <= max(d["digestEndTime"] for d in older), "no hour is lost"


def test_gap_late_start(tmp_path: Path) -> None:
    found, _ = planted(run(tmp_path, SPEC, "gap-late-start"), tmp_path)
    first = read(chain(tmp_path, found.region)[0])
    assert first["digestEndTime"] == "2026-03-07T03:00:00Z"
    assert (found.start, found.end) == (START, START + timedelta(hours=3))


def test_gap_tail(tmp_path: Path) -> None:
    found, _ = planted(run(tmp_path, SPEC, "gap-tail"), tmp_path)
    assert intervals(tmp_path, found.region)[-1] == ("16:00:00Z", "17:00:00Z")
    assert (found.start, found.end) == (START + timedelta(hours=17), START + timedelta(hours=20))


def test_chain_absent(tmp_path: Path) -> None:
    spec = TrailSpec(
        regions=("us-gov-west-1", "us-gov-east-1"), hours=20, logs_per_hour=2, start=START, late_logs=4, pending=1
    )
    simulation = run(tmp_path, spec, "chain-absent")
    found = [finding for finding in simulation.manifest.expected() if finding.region == "us-gov-east-1"]
    assert found[0].rule == "chain-absent"
    assert (found[0].start, found[0].end) == simulation.manifest.window
    logs = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*_CloudTrail_us-gov-east-1_*.gz")}
    assert {finding.key for finding in found[1:]} == logs
    assert len(logs) == 20 * 2 + 4 + 1
    assert not list(tmp_path.rglob("*_CloudTrail-Digest_us-gov-east-1_*"))


def test_pending_logs_behind_a_lost_tail_are_undigested(tmp_path: Path) -> None:
    spec = TrailSpec(hours=12, pending=1, start=START)
    simulation = run(tmp_path, spec, "gap-tail")
    found = Counter(finding.rule for finding in simulation.manifest.expected())
    assert found == {"gap-tail": 1, "log-undigested": 3 * 4 + 1}
    (gap,) = (finding for finding in simulation.manifest.expected() if finding.rule == "gap-tail")
    assert gap.end == START + timedelta(hours=12, minutes=30)


def test_everything_at_once_keeps_apart(tmp_path: Path) -> None:
    spec = TrailSpec(
        regions=("us-east-1", "eu-west-1", "ap-south-1"), hours=72, logs_per_hour=2, late_logs=12, key_rotation_hours=24
    )
    simulation = run(tmp_path, spec, *RULES, "log-altered:5", "digest-missing:3@eu-west-1")
    asked = Counter(planted.rule for planted in simulation.manifest.planted)
    assert asked == Counter(RULES) + Counter({"log-altered": 5, "digest-missing": 3})
    touched = [hours for planted in simulation.manifest.planted for hours in lost_hours(planted.expected)]
    for region, start, end in touched:
        near = [span for span in touched if span[0] == region and span[1] <= end and start <= span[2]]
        assert near == [(region, start, end)], "gaps of one chain do not touch"
    once = [finding.key for finding in simulation.manifest.expected() if finding.key]
    assert len(once) == len(set(once))
    missing = [p.region for p in simulation.manifest.planted if p.rule == "digest-missing"]
    assert missing.count("eu-west-1") >= 3


def lost_hours(expected: tuple[Expected, ...]) -> list[tuple[str, datetime, datetime]]:
    return [(e.region, e.start, e.end) for e in expected if e.start is not None and e.end is not None]


def test_victims_follow_the_seed(tmp_path: Path) -> None:
    victims = []
    for name, seed in (("one", 1), ("two", 1), ("three", 2), ("four", 3)):
        spec = TrailSpec(hours=40, seed=seed)
        (only,) = run(tmp_path / name, spec, "digest-missing").manifest.planted
        victims.append(only.keys)
    assert victims[0] == victims[1]
    assert len(set(victims)) > 1


def test_a_region_may_be_asked_for(tmp_path: Path) -> None:
    simulation = run(tmp_path, SPEC, "log-altered:3@us-gov-west-1")
    assert [finding.region for finding in simulation.manifest.expected()] == ["us-gov-west-1"] * 3


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    manifest = run(tmp_path, SPEC, "digest-missing").manifest
    value = json.loads(manifest.as_json())
    assert value["schema"] == "ctvalidate.simulation/1"
    assert (value["start"], value["end"]) == ("2026-03-07T00:00:00Z", "2026-03-07T20:00:00Z")
    assert value["bytes_stored"] == sum(path.stat().st_size for path in tmp_path.rglob("*.gz"))
    (only,) = value["planted"]
    assert [finding["rule"] for finding in only["expected"]] == ["digest-missing", "gap-broken"] + [
        "log-undigested"
    ] * 2
    assert only["expected"][0]["status"] == "missing"


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("log-altered", Tamper("log-altered")),
        ("log-altered:3", Tamper("log-altered", 3)),
        ("gap-tail@us-gov-east-1", Tamper("gap-tail", 1, "us-gov-east-1")),
        ("gap-tail:2@us-gov-east-1", Tamper("gap-tail", 2, "us-gov-east-1")),
    ],
)
def test_tampers_are_read(text: str, wish: Tamper) -> None:
    assert Tamper.parse(text) == wish


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("log-atered", "log-altered"),
        ("digest-mising:2", "digest-missing"),
        ("gap_tail", "gap-tail"),
        ("log-altered:0", "1 or more"),
        ("log-altered:x", "RULE"),
        ("", "RULE"),
    ],
)
def test_mistakes_are_answered(text: str, answer: str) -> None:
    with pytest.raises(TamperError, match=answer):
        Tamper.parse(text)


@pytest.mark.parametrize(
    ("spec", "tamper", "answer"),
    [
        (TrailSpec(hours=2), "digest-missing", "more hours"),
        (TrailSpec(hours=48, logs_per_hour=0), "log-altered", "with logs"),
        (TrailSpec(hours=48), "chain-absent", "another region"),
        (TrailSpec(hours=48), "gap-tail:2", "more hours"),
        (TrailSpec(hours=48), "log-altered@us-gov-east-1", "in us-gov-east-1"),
        (TrailSpec(hours=48), "log-pending@us-gov-east-1", "in us-gov-east-1"),
    ],
)
def test_no_room_is_said_before_anything_is_written(tmp_path: Path, spec: TrailSpec, tamper: str, answer: str) -> None:
    with pytest.raises(TamperError, match=answer):
        run(tmp_path / "trail", spec, tamper)
    assert not (tmp_path / "trail").exists()


@pytest.mark.parametrize("rule", ["digest-signature-missing", "digest-algorithm-unsupported", "digest-unlinked"])
def test_without_sidecars_metadata_cannot_be_tampered_with(tmp_path: Path, rule: str) -> None:
    with pytest.raises(TamperError, match="sidecars"):
        simulate(SPEC, FolderSink(tmp_path, sidecars=False), [rule])


def test_a_quiet_trail_can_lose_a_digest(tmp_path: Path) -> None:
    found = list(run(tmp_path, TrailSpec(logs_per_hour=0), "digest-missing").manifest.expected())
    assert [finding.rule for finding in found] == ["digest-missing", "gap-broken"]
