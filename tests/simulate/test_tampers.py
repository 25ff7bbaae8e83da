"""Tampering as a whole: each says all that follows from it and changes nothing else; what cannot be is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.simulate import (
    RULES,
    FolderSink,
    Tamper,
    TamperError,
    TrailSpec,
    simulate,
)
from tests.simulate.helpers import SIDECAR, run, tree
from tests.simulate.tampered import SPEC

ALL_RULES = set(rules.TRAIL_RULES) - {rules.HISTORY_REWRITTEN}  # that takes two runs, and a state between them


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
