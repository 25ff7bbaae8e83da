"""A simulated trail in a bucket that keeps versions, tampered with through boto3 as an intruder would."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cloudtrail_validate.api import Result, run
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core.model import Finding, Locator
from cloudtrail_validate.evidence.versions import witness
from cloudtrail_validate.report.json import render
from cloudtrail_validate.request import Request
from cloudtrail_validate.simulate import S3Sink, Simulation, TrailSpec, simulate
from cloudtrail_validate.stores.key_file import read_key_file
from tests.simulate.helpers import same_keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from cloudtrail_validate.core.signature import RegionKeys
    from cloudtrail_validate.core.versions import Versions

BUCKET = "amzn-s3-demo-bucket"
SPEC = TrailSpec(bucket=BUCKET, hours=3, logs_per_hour=2, events_per_log=4, markers=False)


@dataclass(frozen=True)
class Trail:
    """The bucket, and what a test needs to ask about it."""

    s3: S3Client
    simulation: Simulation
    key_file: Path
    bucket: str = BUCKET

    @property
    def logs(self) -> list[str]:
        """Keys of the log files, in order."""
        return [key for key in self._keys() if "/CloudTrail/" in key]

    @property
    def digests(self) -> list[str]:
        """Keys of the digests, oldest first; the first starts the chain."""
        return [key for key in self._keys() if "/CloudTrail-Digest/" in key]

    def get(self, key: str, version: str | None = None) -> bytes:
        more: Any = {"VersionId": version} if version else {}
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)["Body"].read()

    def put(self, key: str, body: bytes, **more: Any) -> str:
        """Overwrite an object; returns the new version's id."""
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more).get("VersionId", "null")

    def delete(self, key: str) -> str:
        """Delete an object as people do; returns the marker's version id."""
        return self.s3.delete_object(Bucket=self.bucket, Key=key).get("VersionId", "null")

    def version_of(self, key: str) -> str:
        """The current version's id."""
        return self.s3.head_object(Bucket=self.bucket, Key=key).get("VersionId", "null")

    def keys(self, region: str) -> RegionKeys:
        """The published keys, as a validator has them from a file."""
        return read_key_file(self.key_file).region(region)

    def validate(self) -> Result:
        """Validate the bucket."""
        manifest = self.simulation.manifest
        request = Request(start=manifest.start, end=manifest.end, bucket=self.bucket, public_keys=self.key_file)
        return run(request, now=manifest.end + timedelta(hours=1))

    def findings(self) -> list[Finding]:
        return list(self.validate().outcome.findings.kept)

    def witness(self, key: str, **more: Any) -> Versions:
        """What the versions say about one object of a validated bucket."""
        return witness(self.findings(), Aws(), self.keys, **more)[Locator(self.bucket, key)]

    def report(self, path: Path) -> Path:
        """Write a report with versions, as `--versions` does."""
        result = self.validate()
        seen = witness(result.outcome.findings.kept, Aws(), self.keys)
        document = json.loads(render(result.report))
        for finding in document["findings"]:
            versions = seen.get(Locator(finding["bucket"] or "", finding["key"] or ""))
            if versions is not None:
                finding["versions"] = msgspec.to_builtins(versions)
        path.write_text(json.dumps(document))
        return path

    def copy(self, folder: Path, *, without: Iterable[str] = ()) -> None:
        """Copy the bucket into a folder, digests with their signatures, but for some objects."""
        for key in {*self.logs, *self.digests} - {*without}:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key)
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(answer["Body"].read())
            if "/CloudTrail-Digest/" in key:
                path.with_name(f"{path.name}.metadata.json").write_text(json.dumps(answer["Metadata"]))

    def _keys(self) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())]


def make_trail(s3: S3Client, folder: Path, *, versioned: bool = True, spec: TrailSpec = SPEC) -> Trail:
    """A whole trail in a new bucket."""
    s3.create_bucket(Bucket=spec.bucket)
    if versioned:
        s3.put_bucket_versioning(Bucket=spec.bucket, VersioningConfiguration={"Status": "Enabled"})
    simulation = simulate(spec, S3Sink(spec.bucket, s3, threads=4), new_key=same_keys())
    key_file = folder / "keys.json"
    key_file.write_text(simulation.keys.as_json())
    return Trail(s3, simulation, key_file, spec.bucket)


def without_first_event(body: bytes) -> bytes:
    """A log with its first event cut out."""
    log = json.loads(gzip.decompress(body))
    del log["Records"][0]
    return gzip.compress(json.dumps(log).encode(), mtime=0)
