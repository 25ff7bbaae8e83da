"""`--copy-of`: replicas, forensic copies, syncs of a part of the tree; and what is said where the option was not given."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import ConfigurationError, Request, RequestError, run
from cloudtrail_validate.report import from_json
from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.simulate import Delivery, FolderSink, TrailSpec, simulate
from cloudtrail_validate.simulate.signing import KeyRing
from tests.cli.helpers import call
from tests.faults.helpers import BUCKET, LOGS, SPEC, Trail, deliver, only, rules_of, same_keys
from tests.scenarios.moving import moving
from tests.scenarios.vector import Move

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from cloudtrail_validate.report import Report
    from tests.servers.aws import AwsServer

COPY = "amzn-s3-demo-destination-bucket"
JSON = ("--format", "json")


@dataclass(frozen=True)
class Copied:
    """A trail in one bucket, and a copy of it in another."""

    trail: Trail
    s3: S3Client
    prefix: str = ""

    def validate(self) -> Report:
        return self.trail.run(bucket=COPY, prefix=self.prefix.strip("/") or None).report


def copied(aws: AwsServer, prefix: str = "", spec: TrailSpec = SPEC, *tampers: str) -> Copied:
    """Copy a trail's bucket, metadata and all, as replication does; `prefix` is put before every key."""
    trail, s3 = deliver(aws, spec, *tampers), aws.client("s3")
    s3.create_bucket(Bucket=COPY)
    for item in s3.list_objects_v2(Bucket=spec.bucket).get("Contents", ()):
        key = item["Key"]
        s3.copy_object(Bucket=COPY, Key=f"{prefix}{key}", CopySource={"Bucket": spec.bucket, "Key": key})
    return Copied(trail, s3, prefix)


def facts(report: Report) -> Counter[tuple[object, ...]]:
    """The findings but for the notice that a log was written again, which a copy cannot tell."""
    return Counter((f.rule, f.status, f.bucket, f.key) for f in report.findings if f.rule != "log-rewritten")


WHERE = pytest.mark.parametrize(
    ("prefix", "trail_prefix", "option"),
    [
        ("", "", f"s3://{BUCKET}"),
        ("", "", f"s3://{BUCKET}/"),
        ("case/42/", "", f"s3://{BUCKET}"),
        ("case/42/", "logs", f"s3://{BUCKET}/logs"),
        ("", "logs", f"s3://{BUCKET}/logs"),
    ],
    ids=["replica", "slash", "forensic", "forensic with prefix", "prefix in both"],
)


@WHERE
@pytest.mark.parametrize("tampers", [(), ("log-altered", "log-missing", "digest-missing", "log-extra")])
def test_a_copy_is_judged_as_the_place_itself(
    aws: AwsServer, prefix: str, trail_prefix: str, option: str, tampers: tuple[str, ...]
) -> None:
    spec = replace(SPEC, prefix=trail_prefix, hours=16)
    made = copied(aws, prefix, spec, *tampers)
    own = made.trail.run(bucket=BUCKET, prefix=trail_prefix or None).report
    at = prefix if not trail_prefix else f"{prefix}{trail_prefix}"
    report = made.trail.run(bucket=COPY, prefix=at.strip("/") or None, copy_of=option).report
    assert (report.exit_code, facts(report)) == (own.exit_code, facts(own))
    assert report.summary.covered_seconds == own.summary.covered_seconds
    assert "log-rewritten" not in rules_of(report)  # all of it was written just now
    assert {finding.bucket for finding in report.findings} <= {BUCKET, None}
    assert report.request.copy_of == option
    assert report.request.source.rstrip("/") == f"s3://{COPY}/{at}".rstrip("/")


def test_a_replica_of_a_trail_with_a_prefix_needs_no_more(aws: AwsServer) -> None:
    made = copied(aws, "", replace(SPEC, prefix="logs"))
    for option in (f"s3://{BUCKET}", f"s3://{BUCKET}/logs", f"s3://{BUCKET}/logs/"):
        report = made.trail.run(bucket=COPY, prefix="logs", copy_of=option).report
        assert (report.exit_code, report.summary.logs.valid) == (0, LOGS)


def test_a_trail_whose_prefix_ends_in_a_slash(aws: AwsServer, tmp_path: Path) -> None:
    made = copied(aws, "", replace(SPEC, prefix="logs/"))
    report = made.trail.run(bucket=COPY, prefix="logs/", copy_of=f"s3://{BUCKET}").report
    assert (report.exit_code, report.summary.logs.valid) == (0, LOGS)
    trail, keys = in_folder(tmp_path, "logs/")
    for source, prefix, option in (
        (trail, "logs", "s3://DOC-EXAMPLE-BUCKET"),
        (trail / "logs", None, "s3://DOC-EXAMPLE-BUCKET/logs/"),
        (trail / "logs", None, "s3://DOC-EXAMPLE-BUCKET/logs"),
        (trail / "logs" / "AWSLogs", None, "s3://DOC-EXAMPLE-BUCKET/logs//AWSLogs"),
    ):
        report = folder(source, keys, copy_of=option, prefix=prefix)
        assert (report.exit_code, report.findings) == (0, ())


def test_by_the_trails_arn(aws: AwsServer) -> None:
    made = copied(aws)
    report = made.trail.run(trail_arn=made.trail.arn, bucket=COPY, copy_of=f"s3://{BUCKET}").report
    assert (report.exit_code, report.summary.logs.valid) == (0, LOGS)


def test_in_other_processes(aws: AwsServer) -> None:
    made = copied(aws, "case/")
    report = made.trail.run(bucket=COPY, prefix="case", copy_of=f"s3://{BUCKET}", executor="local:2").report
    assert (report.exit_code, report.summary.logs.valid) == (0, LOGS)


def test_the_command_and_its_table(aws: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    made = copied(aws)
    where = ["--s3-bucket", COPY, "--copy-of", f"s3://{BUCKET}", *made.trail.times()]
    answer = call(capsys, *where)
    assert answer.code == 0
    assert f"s3://{COPY}/, a copy of s3://{BUCKET}" in answer.out
    report = from_json(call(capsys, *where, *JSON).out)
    assert (report.request.source, report.request.copy_of) == (f"s3://{COPY}/", f"s3://{BUCKET}")


def test_one_file_of_a_copy(aws: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    made = copied(aws, "case/")
    key = made.trail.logs[3]
    answer = call(capsys, "file", f"s3://{COPY}/case/{key}", "--copy-of", f"s3://{BUCKET}", "--format", "json")
    assert (answer.code, json.loads(answer.out)["key"]) == (0, key)


def test_a_snapshot_of_a_copy_proves_the_same_again(
    aws: AwsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = copied(aws, "", replace(SPEC, hours=12), "log-altered", "log-extra")
    where = ["--s3-bucket", COPY, "--copy-of", f"s3://{BUCKET}", *made.trail.times()]
    assert call(capsys, "snapshot", "--to", str(tmp_path / "snapshot"), *where).code == 1
    answer = call(capsys, "verify-snapshot", str(tmp_path / "snapshot"))
    assert (answer.code, "as it was proven" in answer.out) == (0, True)


# Where the option was not given


@pytest.mark.parametrize("executor", ["auto", "local:2"])
@pytest.mark.parametrize(
    ("prefix", "given", "option"),
    [
        ("", None, f"--copy-of s3://{BUCKET}"),
        ("case/", None, f"--copy-of s3://{BUCKET}"),
        ("", f"s3://{BUCKET}/elsewhere", f"--copy-of s3://{BUCKET}"),
        ("", "s3://amzn-s3-demo-bucket1", f"--copy-of s3://{BUCKET}"),
    ],
)
def test_a_copy_is_one_hint_and_not_an_accusation_a_digest(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], prefix: str, given: str | None, option: str, executor: str
) -> None:
    made = copied(aws, prefix, SPEC, "log-altered")
    where = ["--s3-bucket", COPY, *(["--s3-prefix", prefix.strip("/")] if prefix else []), *made.trail.times()]
    where += ["--copy-of", given] if given else []
    for format_ in ("table", "json", "jsonl"):
        answer = call(capsys, *where, "--executor", executor, "--format", format_)
        assert answer.code == 2
        assert "digest-moved" not in answer.out
        assert answer.line.endswith(f": if this is a copy of it, give {option}")
        assert "nothing was validated" in answer.line


@pytest.mark.parametrize("number", [1, -1])
def test_one_displaced_digest_among_others_is_an_accusation(aws: AwsServer, number: int) -> None:
    trail, s3 = deliver(aws), aws.client("s3")
    kept = Kept()
    other = simulate(replace(SPEC, bucket="amzn-s3-demo-bucket1"), kept, new_key=same_keys())
    assert other.manifest.logs == LOGS
    key = trail.digests[number]
    body, metadata = kept.objects[key]
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)
    report = trail.run().report
    assert (report.exit_code, rules_of(report)["digest-moved"]) == (1, 1)


@pytest.mark.parametrize("planted", ["/ap-northeast-1/", "/us-east-1/2026/03/07/"])
def test_a_folder_of_displaced_digests_makes_no_copy_of_a_trail(aws: AwsServer, planted: str) -> None:
    """All digests of a day, or of a region, are another bucket's, genuine: the others lie where they say."""
    spec = replace(SPEC, hours=30, regions=("us-east-1", "eu-west-1"))
    trail, s3 = deliver(aws, spec), aws.client("s3")
    kept = Kept()
    simulate(replace(spec, bucket="amzn-s3-demo-bucket1"), kept, new_key=same_keys())
    keys = [key for key in trail.digests if f"Digest{planted}" in key]
    assert len(keys) >= 20
    for key in keys:
        body, metadata = kept.objects[key]
        s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)
    report = trail.run(Timeouts()).report  # every request has its time, on a busy computer too
    assert report.exit_code == 1
    assert rules_of(report)["digest-moved"] == len(keys) - 1  # the one that starts the chain lies before the window


class Kept:
    """A sink that keeps what another bucket would get."""

    keeps_times = keeps_metadata = True

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def put(self, delivery: Delivery) -> None:
        self.objects[delivery.key] = delivery.body, dict(delivery.metadata or {})


def test_what_nobody_signed_for_another_place_is_an_accusation_each(aws: AwsServer) -> None:
    """Whoever may write to the bucket could turn evidence into a hint otherwise."""
    trail, s3 = deliver(aws), aws.client("s3")
    for key in trail.digests:
        answer = s3.get_object(Bucket=BUCKET, Key=key)
        said = gzip.decompress(answer["Body"].read()).replace(BUCKET.encode(), COPY.encode())
        s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(said), Metadata=answer["Metadata"])
    report = trail.run().report
    assert (report.exit_code, rules_of(report)["digest-moved"]) == (1, 5)


def test_without_keys_nothing_earns_the_hint(aws: AwsServer) -> None:
    made = copied(aws)
    aws.public_keys.clear()
    report = made.validate()
    assert (report.exit_code, rules_of(report)["digest-moved"]) == (1, 5)


# Local copies of a part of the tree


def in_folder(root: Path, prefix: str = "logs", *tampers: str, sidecars: bool = True) -> tuple[Path, Path]:
    """A trail in a folder, `root/trail`, as delivered to `DOC-EXAMPLE-BUCKET`, and its keys."""
    spec = TrailSpec(bucket="DOC-EXAMPLE-BUCKET", prefix=prefix, hours=6, logs_per_hour=2)
    made = simulate(spec, FolderSink(root / "trail", sidecars=sidecars), tampers, new_key=same_keys())
    (root / "keys.json").write_text(made.keys.as_json())
    return root / "trail", root / "keys.json"


def folder(source: Path, keys: Path, **options: Any) -> Report:
    start = TrailSpec().start
    end = start + timedelta(hours=6)
    request = Request(start=start, end=end, source=source, public_keys=keys, **options)
    return run(request, now=end + timedelta(hours=1)).report


PARTS = {
    "a prefix": ("logs", "s3://DOC-EXAMPLE-BUCKET/logs"),
    "AWSLogs": ("logs/AWSLogs", "s3://DOC-EXAMPLE-BUCKET/logs/AWSLogs"),
    "an account": ("logs/AWSLogs/111122223333", "s3://DOC-EXAMPLE-BUCKET/logs/AWSLogs/111122223333"),
}


@pytest.mark.parametrize("sidecars", [True, False])
@pytest.mark.parametrize("part", PARTS)
def test_a_sync_of_a_part(tmp_path: Path, part: str, sidecars: bool) -> None:
    below, option = PARTS[part]
    trail, keys = in_folder(tmp_path, "logs", "log-altered", sidecars=sidecars)
    shutil.move(trail / below, tmp_path / "part")
    with pytest.raises(ConfigurationError) as caught:
        folder(tmp_path / "part", keys)
    assert str(caught.value).endswith(f": if this is a copy of it, give --copy-of {option}")
    report = folder(tmp_path / "part", keys, copy_of=option)
    unproven = (
        {} if sidecars else {"digest-signature-missing": 1, "gap-broken": 1, "log-undigested": 2}
    )  # of the newest
    assert rules_of(report) == {"log-altered": 1, **unproven}
    finding = only(report, "log-altered")
    assert finding.bucket == "DOC-EXAMPLE-BUCKET"
    assert (finding.key or "").startswith("logs/AWSLogs/111122223333/CloudTrail/")


DIGESTS_OF = "logs/AWSLogs/111122223333/CloudTrail-Digest"


@pytest.mark.parametrize("below", ["", "/us-east-1", "/us-east-1/2026", "/us-east-1/2026/01", "/us-east-1/2026/01/01"])
def test_a_part_without_its_logs_accuses_nobody(tmp_path: Path, below: str) -> None:
    trail, keys = in_folder(tmp_path)
    part, option = tmp_path / "part", f"s3://DOC-EXAMPLE-BUCKET/{DIGESTS_OF}{below}"
    shutil.move(f"{trail}/{DIGESTS_OF}{below}", part)
    with pytest.raises(ConfigurationError, match="give --copy-of"):
        folder(part, keys)
    report = folder(part, keys, copy_of=option, regions=("us-east-1",))
    assert report.exit_code == 3, [finding.message for finding in report.findings]
    assert set(rules_of(report)) == {"log-unreadable", "digest-unreadable"}
    assert report.summary.digests.valid == 6
    assert all("of which this is a copy" in finding.message for finding in report.findings)
    assert all("allow" not in finding.message for finding in report.findings)


@pytest.mark.parametrize(
    "below", ["logs/AWSLogs/111122223333", "logs/AWSLogs/111122223333/CloudTrail-Digest/us-east-1"]
)
def test_a_part_of_a_whole_tree_is_answered_with_the_tree(tmp_path: Path, below: str) -> None:
    trail, keys = in_folder(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        folder(trail / below, keys)
    assert str(caught.value).endswith(f"give --source {trail} --s3-prefix logs")


def test_a_copy_that_lies_further_down(tmp_path: Path) -> None:
    trail, keys = in_folder(tmp_path)
    (tmp_path / "evidence").mkdir()
    shutil.move(trail / "logs/AWSLogs", tmp_path / "evidence/AWSLogs")
    with pytest.raises(ConfigurationError) as caught:
        folder(tmp_path, keys)
    assert str(caught.value).endswith(f"give --source {tmp_path / 'evidence'} --copy-of s3://DOC-EXAMPLE-BUCKET/logs")
    for source, prefix in ((tmp_path / "evidence", None), (tmp_path, "evidence")):
        assert folder(source, keys, prefix=prefix, copy_of="s3://DOC-EXAMPLE-BUCKET/logs").exit_code == 0


def test_a_whole_copy_needs_no_option_and_takes_it(tmp_path: Path) -> None:
    trail, keys = in_folder(tmp_path)
    for options in ({}, {"copy_of": "s3://DOC-EXAMPLE-BUCKET"}, {"copy_of": "s3://DOC-EXAMPLE-BUCKET/logs"}):
        report = folder(trail, keys, prefix="logs", **options)
        assert (report.exit_code, report.findings) == (0, ())


def test_a_copy_of_one_bucket_says_nothing_of_another(tmp_path: Path) -> None:
    """A chain that came from another bucket: what was delivered there was not copied, which is no absence."""
    spec = TrailSpec(bucket="amzn-s3-demo-bucket", hours=6, logs_per_hour=2)
    ring = KeyRing(spec, same_keys())
    sink = FolderSink(tmp_path / "copy")
    for bucket, delivery in moving(spec, [Move(hour=3, bucket="DOC-EXAMPLE-BUCKET")], ring):
        if bucket == "DOC-EXAMPLE-BUCKET":
            sink.put(delivery)
    (tmp_path / "keys.json").write_text(ring.published().as_json())
    options = {"copy_of": "s3://DOC-EXAMPLE-BUCKET", "regions": ("us-east-1",)}
    report = folder(tmp_path / "copy", tmp_path / "keys.json", **options)
    assert report.exit_code == 3, [finding.message for finding in report.findings]
    assert "digest-missing" not in rules_of(report)
    without = folder(tmp_path / "copy", tmp_path / "keys.json", regions=("us-east-1",))
    assert rules_of(without)["digest-missing"] == 1  # one folder stands for every bucket then


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"copy_of": "s3://DOC-EXAMPLE-BUCKET"}, "--s3-bucket or --source"),
        ({"copy_of": "x y", "bucket": "amzn-s3-demo-bucket"}, "--copy-of"),
        ({"copy_of": "", "bucket": "amzn-s3-demo-bucket"}, "--copy-of"),
        ({"copy_of": "s3://DOC-EXAMPLE-BUCKET", "bucket": "amzn-s3-demo-bucket", "versions": True}, "--versions"),
        ({"copy_of": "s3://DOC-EXAMPLE-BUCKET", "bucket": "amzn-s3-demo-bucket", "source": Path()}, "--s3-bucket"),
        ({"copy_of": 7, "bucket": "amzn-s3-demo-bucket"}, "copy_of"),
    ],
)
def test_what_cannot_be_meant(options: dict[str, Any], named: str) -> None:
    start = TrailSpec().start
    given = {"trail_arn": "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events"} | options
    request = Request(start=start, end=start + timedelta(hours=1), **given)
    with pytest.raises(RequestError, match=named):
        request.check(start + timedelta(hours=2))
