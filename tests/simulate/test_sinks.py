from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from cloudtrail_validate.simulate import Delivery, FolderSink, Role, S3Sink, TrailSpec, simulate

from .helpers import SIDECAR, run, same_keys, tree

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.servers.aws import AwsServer

WHEN = datetime(2026, 3, 7, 12, 34, 56, tzinfo=UTC)
BUCKET = "doc-example-bucket"


def log(key: str, body: bytes = b"body") -> Delivery:
    return Delivery(key, body, WHEN, Role.LOG)


@pytest.fixture
def client(aws: AwsServer) -> S3Client:
    made = aws.client("s3")
    made.create_bucket(Bucket=BUCKET)
    return made


def test_a_folder_keeps_bytes_times_and_metadata(tmp_path: Path) -> None:
    with FolderSink(tmp_path) as sink:
        sink.put(Delivery("a/b c/d.gz", b"\x00\xff", WHEN, Role.DIGEST, metadata={"signature": "00"}))
    path = tmp_path / "a/b c/d.gz"
    assert path.read_bytes() == b"\x00\xff"
    assert path.stat().st_mtime == WHEN.timestamp()
    assert json.loads(path.with_name(path.name + SIDECAR).read_text()) == {"signature": "00"}


def test_a_folder_without_sidecars_has_objects_only(tmp_path: Path) -> None:
    simulate(TrailSpec(hours=2), FolderSink(tmp_path, sidecars=False))
    assert len(tree(tmp_path)) == 2 * 4 + 3
    assert not list(tmp_path.rglob(f"*{SIDECAR}"))


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a/./b", "a/\0", ".."])
def test_a_folder_is_not_left(tmp_path: Path, key: str) -> None:
    with FolderSink(tmp_path / "inside") as sink, pytest.raises(ValueError, match="stays in its folder"):
        sink.put(log(key))
    assert not tree(tmp_path)


def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x").symlink_to(outside)
    with FolderSink(tmp_path / "in") as sink:
        sink.put(log("x"))
        sink.put(Delivery("y", b"", WHEN, Role.LOG, unreadable=True))
        sink.put(log("y"))
    assert outside.read_text() == "untouched"
    assert (tmp_path / "in/x").read_bytes() == (tmp_path / "in/y").read_bytes() == b"body"


def test_a_bucket_gets_what_a_folder_gets(tmp_path: Path, client: S3Client) -> None:
    spec = TrailSpec(bucket=BUCKET, prefix="a b+c%/ü/", hours=4, late_logs=1, pending=1, offset_seconds=81)
    run(tmp_path, spec)
    simulation = simulate(spec, S3Sink(BUCKET, client, threads=4), new_key=same_keys())
    assert simulation.manifest.rewritten_everywhere
    listed = client.list_objects_v2(Bucket=BUCKET)["Contents"]
    markers = {item["Key"] for item in listed if not item["Size"]}
    root = "a b+c%/ü//AWSLogs/111122223333"
    assert markers == {f"{root}/CloudTrail/", f"{root}/CloudTrail-Digest/"}
    keys = {item["Key"] for item in listed} - markers
    assert len(keys) == simulation.manifest.digests + simulation.manifest.logs == 5 + 1 + 4 * 4 + 1 + 1
    for key in keys:
        answer = client.get_object(Bucket=BUCKET, Key=key)
        local = tmp_path / key.replace("//", "/")
        sidecar = local.with_name(local.name + SIDECAR)
        assert answer["Body"].read() == local.read_bytes()
        assert answer["Metadata"] == (json.loads(sidecar.read_text()) if sidecar.exists() else {})
        assert (answer["ContentEncoding"], answer["ContentType"]) == ("gzip", "application/json")
    assert sum(path.name.endswith("Z.json.gz") for path in tmp_path.rglob("*CloudTrail-Digest*.gz")) == 5
    digests = [key for key in keys if "_CloudTrail-Digest_" in key]
    assert all("signature" in client.head_object(Bucket=BUCKET, Key=key)["Metadata"] for key in digests)


def test_what_a_bucket_cannot_give_is_archived(client: S3Client) -> None:
    spec = TrailSpec(bucket=BUCKET, hours=8)
    simulation = simulate(spec, S3Sink(BUCKET, client), ["log-unreadable"])
    (found,) = simulation.manifest.expected()
    assert found.key is not None
    with pytest.raises(ClientError, match="InvalidObjectState"):
        client.get_object(Bucket=BUCKET, Key=found.key)


def test_a_failed_upload_is_raised(client: S3Client) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        simulate(TrailSpec(hours=1), S3Sink("no-such-bucket", client))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        simulate(TrailSpec(hours=100, logs_per_hour=1), S3Sink("no-such-bucket", client, threads=2))


def test_a_bucket_sink_wants_to_be_entered(client: S3Client) -> None:
    with pytest.raises(RuntimeError, match="with"):
        S3Sink(BUCKET, client).put(log("x"))


def test_another_error_is_not_hidden_by_an_upload(client: S3Client) -> None:
    def stumble() -> None:
        with S3Sink("no-such-bucket", client) as sink:
            sink.put(log("x"))
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        stumble()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "AWSLogs").write_text("a file in the way")
    with pytest.raises(OSError, match=os.strerror(20)):
        simulate(TrailSpec(hours=1), FolderSink(tmp_path))
