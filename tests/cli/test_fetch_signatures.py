"""`ctvalidate fetch-signatures`: a copy on disk validates as its bucket does, and nothing else on the disk is touched."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.sidecar import SIDECAR
from tests.cli.helpers import Answer, call
from tests.faults.helpers import BUCKET, DIGESTS, SPEC, Trail, deliver

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from cloudtrail_validate.simulate import TrailSpec
    from tests.servers.aws import AwsServer

REPLICA = "amzn-s3-demo-destination-bucket"


@dataclass(frozen=True)
class Copy:
    """A folder with what lies in a trail's bucket, but for the metadata."""

    trail: Trail
    s3: S3Client
    folder: Path
    digests: tuple[Path, ...]

    def sidecars(self) -> set[str]:
        return {path.name.removesuffix(SIDECAR) for path in self.folder.rglob(f"*{SIDECAR}")}


def sync(aws: AwsServer, folder: Path, prefix: str = "", spec: TrailSpec = SPEC) -> Copy:
    """What `aws s3 sync s3://BUCKET/PREFIX FOLDER` leaves."""
    trail, s3 = deliver(aws, spec), aws.client("s3")
    for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        path = folder / item["Key"].removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
    return Copy(trail, s3, folder, tuple(sorted(folder.rglob("*_CloudTrail-Digest_*"))))


def fetch(capsys: pytest.CaptureFixture[str], where: str, folder: Path) -> Answer:
    return call(capsys, "fetch-signatures", where, str(folder))


def summary(folder: Path, fetched: int = 0, present: int = 0, absent: int = 0, failed: int = 0) -> str:
    return (
        f"ctvalidate: {fetched} signature{'' if fetched == 1 else 's'} fetched to {folder}, {present} already there, "
        f"{absent} not in the bucket, {failed} failed"
    )


def test_a_completed_copy_proves_what_the_bucket_proves(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = sync(aws, tmp_path / "copy")
    keys = copy.trail.keys_file(tmp_path)
    validate = ("--source", str(copy.folder), "--public-keys", str(keys), *copy.trail.times(), "--format", "json")
    assert call(capsys, *validate).code == 3  # nothing proves the newest digest
    aws.calls.clear()
    first = fetch(capsys, BUCKET, copy.folder)
    assert (first.code, first.out, first.line) == (0, "", summary(copy.folder, fetched=DIGESTS))
    assert {permission for permission, _ in aws.calls} == {"s3:GetObject", "s3:ListBucket"}
    assert call(capsys, *validate).code == 0

    before = {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*")}
    again = fetch(capsys, BUCKET, copy.folder)
    assert (again.code, again.line) == (0, summary(copy.folder, present=DIGESTS))
    assert {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("trail_prefix", "copied", "named"),
    [
        ("logs", "", BUCKET),
        ("logs", "logs/", f"s3://{BUCKET}/logs"),
        ("logs", "logs/", f"s3://{BUCKET}/logs/"),
        ("logs", "logs/", BUCKET),  # found under the keys that they say are theirs
        ("logs/", "", BUCKET),  # logs//AWSLogs/: copy tools leave the empty segment out
        ("logs/", "logs//", f"s3://{BUCKET}/logs/"),
        ("", "AWSLogs/", f"s3://{BUCKET}/AWSLogs/"),
        ("", "AWSLogs/123456789012/CloudTrail-Digest/", f"arn:aws:s3:::{BUCKET}"),
        ("", "AWSLogs/123456789012/CloudTrail-Digest/us-east-1/", f"s3://{BUCKET}/elsewhere"),
    ],
)
def test_whatever_part_was_copied(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path, trail_prefix: str, copied: str, named: str
) -> None:
    copy = sync(aws, tmp_path / "copy", copied, replace(SPEC, prefix=trail_prefix))
    answer = fetch(capsys, named, copy.folder)
    assert (answer.code, answer.out, answer.line) == (0, "", summary(copy.folder, fetched=DIGESTS))
    assert copy.sidecars() == {path.name for path in copy.digests}


def test_a_replica_has_the_signatures_too(aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = sync(aws, tmp_path / "copy")
    copy.s3.create_bucket(Bucket=REPLICA)
    for key in copy.trail.digests:
        copy.s3.copy_object(Bucket=REPLICA, Key=f"case/{key}", CopySource={"Bucket": BUCKET, "Key": key})
    assert fetch(capsys, f"s3://{REPLICA}/case/", copy.folder).code == 0
    assert len(copy.sidecars()) == DIGESTS


def test_a_digest_whose_own_signature_is_gone(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = sync(aws, tmp_path / "copy")
    key = copy.trail.digests[2]
    copy.s3.put_object(Bucket=BUCKET, Key=key, Body=(copy.folder / key).read_bytes())
    answer = fetch(capsys, BUCKET, copy.folder)
    assert (answer.code, answer.line) == (3, summary(copy.folder, fetched=DIGESTS - 1, failed=1))
    assert answer.out.startswith(f"failed\t{key}\tthe object in the bucket has no signature either")
    assert not (copy.folder / (key + SIDECAR)).exists()


@pytest.mark.parametrize("named", [BUCKET, "amzn-s3-demo-bucket-that-is-none"])
def test_what_the_bucket_has_not(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path, named: str
) -> None:
    copy = sync(aws, tmp_path / "copy")
    if named == BUCKET:
        for key in copy.trail.digests:
            copy.s3.delete_object(Bucket=BUCKET, Key=key)
    answer = fetch(capsys, named, copy.folder)
    assert answer.code == 3
    assert len(answer.out.splitlines()) == DIGESTS
    assert answer.err.splitlines() == [
        summary(copy.folder, absent=DIGESTS),
        f"ctvalidate: DIR is no copy of s3://{named}/, or not as far as you may see",
    ]
    assert not copy.sidecars()


def test_who_is_refused_is_told(aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = sync(aws, tmp_path / "copy")
    aws.denied = {"s3:GetObject"}
    answer = fetch(capsys, BUCKET, copy.folder)
    assert (answer.code, answer.line) == (3, summary(copy.folder, failed=DIGESTS))
    assert all("Forbidden" in line or "denied" in line.lower() for line in answer.out.splitlines())


def test_a_digest_names_no_other_file_of_the_bucket(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file that says it is another digest does not get that one's signature."""
    copy = sync(aws, tmp_path / "copy")
    there = copy.digests[0]
    stray = there.with_name(there.name.replace("us-east-1_2026", "us-east-1_1026"))
    stray.write_bytes(there.read_bytes())
    answer = fetch(capsys, BUCKET, copy.folder)
    assert (answer.code, answer.line) == (3, summary(copy.folder, fetched=DIGESTS, absent=1))
    assert answer.out.split("\t")[:2] == ["absent", stray.relative_to(copy.folder).as_posix()]
    assert not Path(f"{stray}{SIDECAR}").exists()


def test_nothing_is_followed_and_nothing_replaced(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = sync(aws, tmp_path / "copy")
    first, second, third, fourth, fifth, _ = copy.digests
    outside = tmp_path / "outside"
    outside.mkdir()
    first.rename(outside / first.name)
    first.symlink_to(outside / first.name)  # a link to a digest
    (copy.folder / "AWSLogs" / "more").symlink_to(outside)  # a folder of digests
    (copy.folder / "AWSLogs" / "loop").symlink_to(copy.folder)
    Path(f"{second}{SIDECAR}").symlink_to(outside / "written")  # nowhere, as yet
    Path(f"{third}{SIDECAR}").write_bytes(b"\xff{}")
    Path(f"{fourth}{SIDECAR}").mkdir()
    os.mkfifo(f"{fifth}{SIDECAR}")
    os.mkfifo(first.with_name(first.name.replace("T", "U")))
    answer = fetch(capsys, BUCKET, copy.folder)
    assert (answer.code, answer.line) == (3, summary(copy.folder, fetched=1, failed=4))
    assert all("holds no signature: remove it" in line for line in answer.out.splitlines())
    assert [path.name for path in outside.iterdir()] == [first.name]
    assert Path(f"{third}{SIDECAR}").read_bytes() == b"\xff{}"


def test_names_that_no_object_has_and_folders_that_cannot_be_listed(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = sync(aws, tmp_path / "copy")
    last = copy.digests[-1]
    (last.parent / os.fsdecode(b"111122223333_CloudTrail-Digest_\xff.json.gz")).write_bytes(b"")
    closed = copy.folder / "AWSLogs" / "closed"
    closed.mkdir()
    closed.chmod(0)
    try:
        answer = fetch(capsys, BUCKET, copy.folder)
    finally:
        closed.chmod(0o700)
    assert (answer.code, answer.line) == (3, summary(copy.folder, fetched=DIGESTS, absent=1, failed=1))
    assert "failed\tAWSLogs/closed/\tcannot list: Permission denied" in answer.out
    assert "no object can have this name" in answer.out


def test_a_copy_that_cannot_be_written_to(aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = sync(aws, tmp_path / "copy")
    for folder in {path.parent for path in copy.digests}:
        folder.chmod(0o500)
    answer = fetch(capsys, BUCKET, copy.folder)
    for folder in {path.parent for path in copy.digests}:
        folder.chmod(0o700)
    assert (answer.code, answer.line) == (3, summary(copy.folder, failed=DIGESTS))
    assert all(line.endswith("cannot write: Permission denied") for line in answer.out.splitlines())


def test_a_folder_without_digests(aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    del aws
    (tmp_path / "notes.json.gz").write_bytes(b"")
    answer = fetch(capsys, BUCKET, tmp_path)
    assert (answer.code, answer.line) == (4, f"ctvalidate: there is no digest below {tmp_path}")


@pytest.mark.parametrize(
    "line",
    [
        ("a_/b", "."),
        ("s3://", "."),
        (BUCKET, "there/is/none"),
        (BUCKET, __file__),
        (BUCKET,),
        (BUCKET, ".", "--external-id", "x"),
        (BUCKET, ".", "--profile", "none"),
        (BUCKET, "."),  # without credentials
    ],
)
def test_what_cannot_be_meant(capsys: pytest.CaptureFixture[str], line: tuple[str, ...]) -> None:
    answer = call(capsys, "fetch-signatures", *line)
    assert answer.code == 2
    assert answer.line.startswith("ctvalidate: ")
