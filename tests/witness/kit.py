"""A simulated trail in moto, whose event history and log group tell what its logs hold, until a test changes either."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from cloudtrail_validate.cli import group
from cloudtrail_validate.report import WitnessRecord, from_json
from cloudtrail_validate.simulate import S3Sink, Simulation, TrailSpec, simulate
from tests.lake.kit import Keys
from tests.scenarios import keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from click.testing import Result

    from cloudtrail_validate.report import FindingRecord, Report
    from tests.servers.aws import AwsServer

BUCKET = "amzn-s3-demo-bucket"
ACCOUNT = "123456789012"
REGION = "us-east-1"
GROUP = "ctvalidate-example"
GROUP_ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:*"
HOURS = 6


class Trail:
    """One trail: what was simulated, and every event of its logs by id, as written.

    It ends three hours and `days_ago` days ago.
    """

    def __init__(self, aws: AwsServer, *, days_ago: int = 0, **spec: Any) -> None:
        self.aws = aws
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        start = now - timedelta(days=days_ago, hours=HOURS + 3)
        given: dict[str, Any] = {"regions": (REGION,), "hours": HOURS, "logs_per_hour": 2, "events_per_log": 5}
        self.spec = TrailSpec(bucket=BUCKET, start=start, **({"accounts": (ACCOUNT,)} | given | spec))
        self.s3 = aws.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.simulation: Simulation = simulate(self.spec, S3Sink(BUCKET, self.s3, threads=4), new_key=Keys())
        keys.publish(aws, self.simulation.keys)
        listed = [item["Key"] for item in self.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
        self.logs = sorted(key for key in listed if "/CloudTrail/" in key and key.endswith(".json.gz"))
        self.events: dict[str, dict[str, Any]] = {}
        for log in self.logs:
            for event in self.read(log):
                self.events[event["eventID"]] = event
                aws.history.setdefault(event["awsRegion"], []).append(event)

    def read(self, key: str) -> list[dict[str, Any]]:
        body = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        records: list[dict[str, Any]] = json.loads(gzip.decompress(body))["Records"]
        return records

    def write(self, key: str, records: list[dict[str, Any]]) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(json.dumps({"Records": records}).encode()))

    def drop(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=key)

    def create(self, **selectors: Any) -> str:
        """Let CloudTrail know the trail, with a log group that tells what the logs hold."""
        client = self.aws.client("cloudtrail")
        arn: str = client.create_trail(
            Name=self.spec.trail_name, S3BucketName=BUCKET, IsOrganizationTrail=len(self.spec.accounts) > 1
        )["TrailARN"]
        self.aws.event_log_group = GROUP_ARN
        self.aws.log_groups[GROUP] = list(self.events.values())
        self.aws.selectors = selectors or {
            "EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]
        }
        return arn

    @property
    def window(self) -> list[str]:
        manifest = self.simulation.manifest
        return [
            *("--start-time", f"{manifest.start:%Y-%m-%dT%H:%M:%SZ}"),
            *("--end-time", f"{manifest.end:%Y-%m-%dT%H:%M:%SZ}"),
        ]

    def ask(self, *words: str, trail: str | None = None, regions: Iterable[str] = (REGION,)) -> Result:
        """Run the command about the bucket, or about the trail of that ARN."""
        what = ["--trail-arn", trail] if trail else ["--s3-bucket", BUCKET]
        what += [word for region in regions for word in ("--region", region)]
        return tool("witness", *what, *self.window, *words)

    def witness(self, *words: str, trail: str | None = None, regions: Iterable[str] = (REGION,)) -> Report:
        """Run the command; return its report, whose exit code is that of the command."""
        answer = self.ask("--format", "json", *words, trail=trail, regions=regions)
        report = from_json(answer.stdout)
        assert report.exit_code == answer.return_value
        return report


def tool(*words: object) -> Result:
    return CliRunner().invoke(group, [str(word) for word in words], standalone_mode=False)


def found(report: Report, prefix: str = "witness-") -> list[tuple[str, str]]:
    return [(one.rule, one.actual or "") for one in report.findings if one.rule.startswith(prefix)]


def only(report: Report, rule: str) -> FindingRecord:
    """The one finding of a rule."""
    (finding,) = [one for one in report.findings if one.rule == rule]
    return finding


def record(report: Report) -> WitnessRecord:
    """What the report says of the asking."""
    assert isinstance(report.witness, WitnessRecord)
    return report.witness


def middle(trail: Trail) -> str:
    """The key of the log in the middle of the window."""
    return trail.logs[len(trail.logs) // 2]


def hidden(trail: Trail, **changes: Any) -> dict[str, Any]:
    """An event that no log holds, of the middle of the window, told by event history."""
    event = deepcopy(trail.read(middle(trail))[0]) | {"eventID": "11111111-2222-4333-8444-555555555555"} | changes
    trail.aws.history[REGION].append(event)
    return event
