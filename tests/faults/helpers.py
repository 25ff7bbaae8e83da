"""A small trail on a server, and validations of it that do not wait long."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from cloudtrail_validate import Request, Result, run
from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.simulate import Delivery, Role, S3Sink, Simulation, TrailSpec, generate_key, simulate
from tests.scenarios import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from mypy_boto3_s3 import S3Client

    from cloudtrail_validate.report import FindingRecord, Report
    from tests.servers.aws import AwsServer

ACCOUNT = "123456789012"  # moto's own
BUCKET = "amzn-s3-demo-bucket"
REGION = "us-east-1"
SPEC = TrailSpec(
    accounts=(ACCOUNT,), bucket=BUCKET, hours=5, logs_per_hour=2, start=datetime(2026, 3, 7, tzinfo=UTC), markers=False
)
DIGESTS = 6  # of SPEC: one that starts the chain and five of its hours; the window overlaps the five
LOGS = 10

# Requests to a server on this computer that are answered at all are answered at once.
QUICK = Timeouts(connect=2.0, read=0.8, retries=2, give_up=2.0)
BRISK = Timeouts(connect=2.0, read=0.6, retries=1, give_up=1.0)  # for what lasts anyhow


@cache
def _key(number: int) -> RSAPrivateKey:
    return generate_key()


def same_keys() -> Callable[[], RSAPrivateKey]:
    """The same keys in every simulation of a test run: making one takes 0.1 s."""
    numbers = itertools.count()
    return lambda: _key(next(numbers))


class RecordingSink(S3Sink):
    """Remembers the keys that it wrote."""

    def __init__(self, bucket: str, client: S3Client) -> None:
        super().__init__(bucket, client, threads=1)  # rclone fails when two make the same folder at once
        self.written: list[tuple[Role, str]] = []

    def put(self, delivery: Delivery) -> None:
        """Write one object."""
        self.written.append((delivery.role, delivery.key))
        super().put(delivery)


@dataclass(frozen=True)
class Trail:
    """A simulated trail on a server. Digest and log keys are in order of time."""

    simulation: Simulation
    digests: tuple[str, ...]
    logs: tuple[str, ...]

    @property
    def arn(self) -> str:
        return self.simulation.manifest.trail_arn

    def keys_file(self, folder: Path) -> Path:
        """The trail's public keys as a file."""
        path = folder / "keys.json"
        path.write_text(self.simulation.keys.as_json())
        return path

    def request(self, **options: Any) -> Request:
        """The trail's whole window; looked for in its bucket unless `options` say otherwise."""
        manifest = self.simulation.manifest
        where = {} if {"source", "trail_arn"} & options.keys() else {"bucket": manifest.bucket}
        return Request(start=manifest.start, end=manifest.end, **{**where, **options})

    def times(self) -> list[str]:
        """The window as options of the command line."""
        manifest = self.simulation.manifest
        return ["--start-time", isoformat(manifest.start), "--end-time", isoformat(manifest.end)]

    def run(self, timeouts: Timeouts = QUICK, **options: Any) -> Result:
        """Validate it as of the time that the simulation's manifest is for."""
        return run(self.request(**options), now=self.simulation.manifest.as_of, timeouts=timeouts)


def write(client: S3Client, spec: TrailSpec = SPEC, *tampers: str) -> Trail:
    """Make the bucket and write the trail into it."""
    client.create_bucket(Bucket=spec.bucket)
    sink = RecordingSink(spec.bucket, client)
    simulation = simulate(spec, sink, tampers, new_key=same_keys())
    digests = tuple(sorted(key for role, key in sink.written if role is Role.DIGEST))
    return Trail(simulation, digests, tuple(sorted(key for role, key in sink.written if role is Role.LOG)))


def deliver(aws: AwsServer, spec: TrailSpec = SPEC, *tampers: str) -> Trail:
    """Write the trail to moto, and let CloudTrail know it and its keys."""
    trail = write(aws.client("s3"), spec, *tampers)
    publish(aws, trail.simulation)
    aws.client("cloudtrail", spec.home).create_trail(
        Name=spec.trail_name, S3BucketName=spec.bucket, EnableLogFileValidation=True
    )
    return trail


def publish(aws: AwsServer, simulation: Simulation) -> None:
    """Let ListPublicKeys answer with the keys that the simulation signed with."""
    keys.publish(aws, simulation.keys)


def real(report: Report) -> list[FindingRecord]:
    """The findings that are no notices: a simulated bucket was written just now, so every log is `log-rewritten`."""
    return [finding for finding in report.findings if finding.status != "notice"]


def rules_of(report: Report) -> Counter[str]:
    """How often each rule was found, notices aside."""
    return Counter(finding.rule for finding in real(report))


def only(report: Report, rule: str) -> FindingRecord:
    """The one finding of a rule."""
    (found,) = (finding for finding in report.findings if finding.rule == rule)
    return found
