"""What the tests of query results share: simulated folders, one key for all, and the verifier asked in few words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudtrail_validate.lake import LakeQuestion, verify
from cloudtrail_validate.simulate import FolderSink, LakeSimulation, LakeSpec, generate_key, simulate_lake
from tests.scenarios import keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from cloudtrail_validate.report import Report
    from tests.servers.aws import AwsServer

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SPEC = LakeSpec(queries=1)
SIGN = "result_sign.json"
BUCKET = "amzn-s3-demo-bucket"


@cache
def some_keys() -> tuple[RSAPrivateKey, ...]:
    return tuple(generate_key() for _ in range(4))


class Keys:
    """Keys made once for all tests, given out in turn."""

    def __init__(self) -> None:
        self._left = iter(some_keys())

    def __call__(self) -> RSAPrivateKey:
        return next(self._left)


def write(folder: Path, *tampers: str, spec: LakeSpec = SPEC) -> LakeSimulation:
    """Write query results below a folder, and the keys beside it."""
    simulation = simulate_lake(spec, FolderSink(folder), tampers, new_key=Keys())
    keys_of(folder).write_text(simulation.keys.as_json())
    return simulation


def keys_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.keys.json")


def ask(folder: Path, **options: Any) -> Report:
    options.setdefault("public_keys", keys_of(folder))
    return verify(LakeQuestion(source=folder, **options), now=NOW)


def ask_s3(prefix: str = "", **options: Any) -> Report:
    return verify(LakeQuestion(bucket=BUCKET, prefix=prefix, **options), now=NOW)


def publish(aws: AwsServer, simulation: LakeSimulation) -> None:
    """Have ListPublicKeys answer with a simulation's keys."""
    keys.publish(aws, simulation.keys)


def folder_of(root: Path, simulation: LakeSimulation, number: int = 0) -> Path:
    return root / list(simulation.manifest.queries)[number]


def edit_sign(folder: Path, **changes: object) -> None:
    """Change fields of a folder's sign file; None takes one out."""
    sign = json.loads((folder / SIGN).read_bytes()) | changes
    (folder / SIGN).write_text(json.dumps({name: value for name, value in sign.items() if value is not None}))


def found(report: Report) -> list[tuple[str, str, str]]:
    """Findings as rule, status and file name, sorted."""
    return sorted(
        (finding.rule, str(finding.status), (finding.key or "").rpartition("/")[2]) for finding in report.findings
    )
