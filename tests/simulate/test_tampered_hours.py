"""Each tampering with the course of a chain loses the hours that it says, and no others."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cloudtrail_validate.simulate import (
    RULES,
    Expected,
    TrailSpec,
)
from tests.simulate.helpers import chain, intervals, read, run
from tests.simulate.tampered import SPEC, START, plant, planted, successor


def test_gap_broken(tmp_path: Path, clean: Path) -> None:
    simulation = run(tmp_path, SPEC, "gap-broken")
    found, _ = planted(simulation, tmp_path)
    (missing,) = (finding for finding in simulation.manifest.expected() if finding.rule == "digest-missing")
    assert successor(tmp_path, missing.key)
    assert found.start is not None
    assert found.end == found.start + timedelta(hours=2)
    assert datetime.fromisoformat(read(clean / (missing.key or ""))["digestEndTime"]) == found.end


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
    found, path = plant(tmp_path, "chain-restart")
    starting = read(path)
    assert starting["previousDigestSignature"] is None
    older = [d for d in map(read, chain(tmp_path, found.region)) if d["digestStartTime"] < starting["digestEndTime"]]
    assert starting["digestEndTime"] <= max(d["digestEndTime"] for d in older), "no hour is lost"


def test_gap_late_start(tmp_path: Path) -> None:
    found, _ = plant(tmp_path, "gap-late-start")
    first = read(chain(tmp_path, found.region)[0])
    assert first["digestEndTime"] == "2026-03-07T03:00:00Z"
    assert (found.start, found.end) == (START, START + timedelta(hours=3))


def test_gap_tail(tmp_path: Path) -> None:
    found, _ = plant(tmp_path, "gap-tail")
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
