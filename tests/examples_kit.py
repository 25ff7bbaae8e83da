"""Runs what lies in `examples/` as it stands there, on a trail that is delivered to moto or lies in a folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.simulate import FolderSink, S3Sink, Simulation, TrailSpec, simulate
from tests.scenarios import keys

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

ROOT: Final = Path(__file__).parent.parent
EXAMPLES: Final = ROOT / "examples"
BUCKET: Final = "amzn-s3-demo-bucket"
STATE_BUCKET: Final = "amzn-s3-demo-state-bucket"
SPEC: Final = TrailSpec(accounts=("123456789012",), bucket=BUCKET, hours=12, logs_per_hour=2)  # moto's own account
TIMEOUT: Final = 180
linux = pytest.mark.skipif(shutil.which("flock") is None, reason="the shell scripts use flock and GNU coreutils")


def shell(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example with the tool and the AWS CLI of this environment on its PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": "100", **variables}
    return subprocess.run(command, env=env, cwd=ROOT, text=True, capture_output=True, timeout=TIMEOUT, check=False)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a document that are in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def deliver(aws: AwsServer, spec: TrailSpec = SPEC, *, versioning: bool = False, **trail: Any) -> Simulation:
    """A trail with its bucket and keys, as if moto's CloudTrail had written it."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=spec.bucket)
    if versioning:
        s3.put_bucket_versioning(Bucket=spec.bucket, VersioningConfiguration={"Status": "Enabled"})
    simulation = simulate(spec, S3Sink(spec.bucket, s3, threads=4))
    keys.publish(aws, simulation.keys)
    cloudtrail = aws.client("cloudtrail", spec.home)
    cloudtrail.create_trail(Name=spec.trail_name, S3BucketName=spec.bucket, EnableLogFileValidation=True, **trail)
    aws.calls.clear()
    return simulation


def question(simulation: Simulation) -> dict[str, str]:
    """The variables by which the examples are told what to validate."""
    manifest = simulation.manifest
    return {
        "TRAIL_ARN": manifest.trail_arn,
        "BUCKET": manifest.bucket,
        "START": isoformat(manifest.start),
        "END": isoformat(manifest.end),
    }


def window(simulation: Simulation) -> list[str]:
    """The simulation's window as options."""
    asked = question(simulation)
    return ["--start-time", asked["START"], "--end-time", asked["END"]]


def keys_below(aws: AwsServer, kind: str) -> list[str]:
    """Keys of the bucket's digests or logs, in order of time."""
    listed = aws.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [item["Key"] for item in listed if f"/{kind}/" in item["Key"] and item["Key"].endswith(".gz")]


def local(tmp_path: Path, *tampers: str) -> list[str]:
    """A simulated folder, as the options that validate it."""
    simulation = simulate(SPEC, FolderSink(tmp_path / "trail"), tampers)
    keys = tmp_path / "keys.json"
    keys.write_text(simulation.keys.as_json())
    return ["--source", str(tmp_path / "trail"), "--public-keys", str(keys), *window(simulation)]


def tool(folder: Path) -> Path:
    """The command of this environment. Where it keeps no state yet, one that passes `--state` over."""
    real = Path(sys.executable).with_name("ctvalidate")
    if "--state" in shell(str(real), "validate", "--help").stdout:
        return real
    stateless = folder / "ctvalidate"
    stateless.write_text(
        "#!/bin/sh\nfor word do\n    shift\n"
        '    if [ "$word" = --state ]; then skip=1; elif [ "${skip:-}" ]; then skip=; else set -- "$@" "$word"; fi\n'
        f'done\nexec {shlex.quote(str(real))} "$@"\n'
    )
    stateless.chmod(0o755)
    return stateless


def hourly(aws: AwsServer, hours: int = 28) -> Simulation:
    """A trail whose newest digest is that of the last hour, and a bucket for the state."""
    last_hour = (datetime.now(UTC) - timedelta(minutes=31)).replace(minute=0, second=0, microsecond=0)
    spec = TrailSpec(
        accounts=SPEC.accounts, bucket=BUCKET, start=last_hour - timedelta(hours=hours), hours=hours, logs_per_hour=1
    )
    aws.client("s3").create_bucket(Bucket=STATE_BUCKET)
    return deliver(aws, spec)


ON_REQUEST: Final = {  # --lookup-events, --versions
    "cloudtrail:LookupEvents",
    "s3:ListBucketVersions",
    "s3:GetBucketVersioning",
    "s3:GetObjectVersion",
}


def policy_actions(name: str = "policy.json") -> set[str]:
    policy = json.loads((EXAMPLES / "iam" / name).read_text())
    assert policy["Version"] == "2012-10-17"
    actions: set[str] = set()
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)
    return actions
