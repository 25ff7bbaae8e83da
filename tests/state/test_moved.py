"""A trail that became an organization's between two runs: what was proven in its old folder is still remembered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from cloudtrail_validate import Report, Request, run
from cloudtrail_validate.core.model import HOUR
from cloudtrail_validate.simulate import FolderSink
from tests.scenarios import stores, vector, world

TRAIL: Final = {
    "hours": 12,
    "regions": ["us-east-1"],
    "multi_region": False,
    "moves": [{"hour": 6, "organization_id": "o-exampleorgid"}],
}
MADE: Final = world.build(vector.of(trail=TRAIL))


def deliver(folder: Path, hours: int) -> None:
    """Write what had been delivered an hour after that many."""
    sink = FolderSink(folder / "tree", sidecars=True)
    for objects in MADE.buckets.values():
        for delivery in objects.values():
            if delivery.delivered <= MADE.start + (hours + 1) * HOUR:
                sink.put(delivery)


def ask(folder: Path, first: int, last: int, arn: str | None) -> Report:
    request = Request(
        start=MADE.start + first * HOUR,
        end=MADE.start + last * HOUR,
        source=folder / "tree",
        public_keys=folder / "keys.json",
        state=str(folder / "a.state"),
        trail_arn=arn,
    )
    return run(request, now=MADE.start + (last + 1) * HOUR + timedelta(minutes=1)).report


@pytest.mark.parametrize("arn", [None, MADE.spec.trail_arn], ids=["by folder", "by trail"])
@pytest.mark.parametrize(("edited", "rule"), [("{digest 3}", "digest-missing"), ("{log 2.0}", "log-missing")])
def test_what_was_proven_in_the_old_folder_is_missed(tmp_path: Path, arn: str | None, edited: str, rule: str) -> None:
    stores.provide_keys(MADE, tmp_path / "keys.json", None)
    deliver(tmp_path, 6)
    assert ask(tmp_path, 0, 6, arn).exit_code == 0
    deliver(tmp_path, 9)
    second = ask(tmp_path, 6, 9, arn)
    assert (second.exit_code, second.summary.covered_seconds) == (0, 3 * 3600)
    deliver(tmp_path, 12)
    (tmp_path / "tree" / MADE.key(edited)).unlink()
    third = ask(tmp_path, 9, 12, arn)
    assert third.exit_code == 1
    assert rule in {finding.rule for finding in third.findings}
