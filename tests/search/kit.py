"""Simulated trails in a folder or bucket, and the command that searches them."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.simulate import FolderSink, Simulation, TrailSpec, simulate
from tests.cli.helpers import Answer, call
from tests.simulate.helpers import same_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

BUCKET = "amzn-s3-demo-bucket"
SPEC = TrailSpec(bucket=BUCKET, hours=3, logs_per_hour=2, events_per_log=8, markers=False)


@dataclass(frozen=True)
class Trail:
    """A local copy of a simulated trail, with its keys in a file."""

    simulation: Simulation
    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "copy"

    @property
    def keys(self) -> Path:
        return self.folder / "keys.json"

    @property
    def logs(self) -> list[Path]:
        """The log files, in order of their keys."""
        return sorted(path for path in self.tree.rglob("*.json.gz") if "CloudTrail" in path.parts)

    @property
    def window(self) -> list[str]:
        manifest = self.simulation.manifest
        return [
            "--start-time",
            f"{manifest.start:%Y-%m-%dT%H:%M:%SZ}",
            "--end-time",
            f"{manifest.end:%Y-%m-%dT%H:%M:%SZ}",
        ]

    @property
    def scope(self) -> list[str]:
        return ["--source", str(self.tree), "--public-keys", str(self.keys), *self.window]

    def search(self, capsys: pytest.CaptureFixture[str], *args: str) -> Answer:
        """`ctvalidate search` of the copy."""
        return call(capsys, "search", *self.scope, *args)

    def lines(self, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int | str | None, list[dict[str, Any]]]:
        """The exit code and the JSON lines of a search."""
        answer = self.search(capsys, "--format", "jsonl", *args)
        return answer.code, [json.loads(line) for line in answer.out.splitlines()]

    def key(self, path: Path) -> str:
        return path.relative_to(self.tree).as_posix()

    def events(self, path: Path) -> list[dict[str, Any]]:
        """The events of a log."""
        records: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))["Records"]
        return records

    def write(self, path: Path, content: bytes) -> None:
        """Put other content in a log's place."""
        path.write_bytes(gzip.compress(content, mtime=0))


def make_trail(folder: Path, *tampers: str, spec: TrailSpec = SPEC) -> Trail:
    """A trail in a new folder."""
    simulation = simulate(spec, FolderSink(folder / "copy"), tampers, new_key=same_keys())
    (folder / "keys.json").write_text(simulation.keys.as_json())
    return Trail(simulation, folder)


def ids(events: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(event["eventID"] for event in events)
