"""A small trail that one thing is done to, read back by no means of the simulator."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloudtrail_validate.simulate import (
    Expected,
    Simulation,
    TrailSpec,
)
from tests.simulate.helpers import read, run

START = datetime(2026, 3, 7, tzinfo=UTC)
# A multi-region trail in the partition with the fewest regions.
SPEC = TrailSpec(regions=("us-gov-west-1", "us-gov-east-1"), hours=20, logs_per_hour=2, start=START)


def planted(simulation: Simulation, folder: Path) -> tuple[Expected, Path]:
    """The finding that was asked for, and its object."""
    (only,) = simulation.manifest.planted
    found = next(finding for finding in only.expected if finding.rule == only.rule)
    return found, folder / (found.key or "")


def plant(folder: Path, rule: str) -> tuple[Expected, Path]:
    """Simulate one tampering in a folder: the finding that was asked for, and its object."""
    return planted(run(folder, SPEC, rule), folder)


def successor(folder: Path, key: str | None) -> Any:
    """The digest that names `key` as its predecessor."""
    assert key is not None
    (found,) = (read(path) for path in folder.rglob("*_CloudTrail-Digest_*.gz") if names(path, key))
    return found


def names(path: Path, key: str) -> bool:
    return bool(read(path)["previousDigestS3Object"] == key)
