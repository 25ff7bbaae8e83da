"""AWS's own `validate-logs` takes a simulated trail for a real one, and sees the tampering that it can see."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.simulate import S3Sink, Simulation, TrailSpec, simulate
from tests.scenarios import keys

from .helpers import same_keys

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

pytestmark = pytest.mark.oracle
BUCKET = "amzn-s3-demo-bucket"
SPEC = TrailSpec(bucket=BUCKET, prefix="logs", hours=16, logs_per_hour=2, start=datetime(2026, 3, 7, tzinfo=UTC))


def write(aws: AwsServer, spec: TrailSpec, *tampers: str) -> Simulation:
    aws.page_size = 100  # aws-cli reads the first page only
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    simulation = simulate(spec, S3Sink(BUCKET, client, threads=4), tampers, new_key=same_keys())
    keys.publish(aws, simulation.keys)
    return simulation


def validate_logs(simulation: Simulation, *arguments: str) -> str:
    manifest = simulation.manifest
    times = ["--start-time", f"{manifest.start:%Y-%m-%dT%H:%M:%SZ}", "--end-time", f"{manifest.end:%Y-%m-%dT%H:%M:%SZ}"]
    place = ["--trail-arn", manifest.trail_arn, "--s3-bucket", manifest.bucket, "--s3-prefix", manifest.prefix]
    command = [sys.executable, "-m", "awscli", "cloudtrail", "validate-logs", "--verbose", *place, *times, *arguments]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    return run.stdout


def test_a_clean_trail_is_valid(aws: AwsServer) -> None:
    spec = TrailSpec(
        bucket=BUCKET, prefix="logs", hours=16, logs_per_hour=2, start=SPEC.start, key_rotation_hours=6, late_logs=6
    )
    answer = validate_logs(write(aws, spec))
    assert "INVALID" not in answer
    assert "17/17 digest files valid" in answer
    assert "2/2 backfill digest files valid" in answer
    assert "34/34 log files valid" in answer


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("digest-missing", "INVALID: not found"),
        ("digest-malformed", "INVALID: invalid format"),
        ("digest-signature-invalid", "INVALID: signature verification failed"),
        ("digest-key-unknown", "INVALID: public key not found"),
        ("digest-moved", "INVALID"),
        ("log-altered", "INVALID: hash value doesn't match"),
        ("log-malformed", "INVALID"),
        ("log-missing", "INVALID: not found"),
    ],
)
def test_tampering_is_named(aws: AwsServer, rule: str, words: str) -> None:
    simulation = write(aws, SPEC, rule)
    (planted,) = simulation.manifest.planted
    invalid = [line for line in validate_logs(simulation).splitlines() if "INVALID" in line]
    # A moved digest is looked for where its successor says: its old place is named, the second of its keys.
    key = planted.keys[-1]
    assert [line for line in invalid if key in line and words in line], invalid
