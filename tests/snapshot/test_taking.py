"""What a snapshot holds, how it is proven again, and what becomes of one that was broken off."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from moto.s3.models import s3_backends

from cloudtrail_validate.cli.snapshot import command as snapshot_command
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.simulate import TrailSpec
from cloudtrail_validate.simulate.signing import KeyRing
from cloudtrail_validate.snapshot.bundle import Asked, open_bundle
from cloudtrail_validate.snapshot.manifest import SnapshotError
from tests.scenarios.moving import moving
from tests.scenarios.vector import Move
from tests.snapshot.helpers import (
    BUCKET,
    World,
    call,
    copies,
    facts,
    fetched,
    in_folder,
    in_moto,
    manifest,
    offline,
    report,
    snapshot_interrupted,
    snapshot_with_small_files,
    verify,
)

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NEEDS_S3 = ("log-rewritten",)  # LastModified says nothing in a local copy
TAMPERED = (
    "log-altered@us-east-1",
    "log-missing@us-east-1",
    "log-extra@us-east-1",
    "log-trailing-data@eu-west-1",
    "digest-signature-missing@eu-west-1",
)
TAMPERS = {
    "clean": (),
    "logs": TAMPERED,
    "digest gone": ("digest-missing",),
    "digest altered": ("digest-signature-invalid", "digest-malformed@eu-west-1"),
    "restart": ("gap-restart",),
    "restart at once": ("chain-restart@eu-west-1",),
    "late start": ("gap-late-start",),
    "undigested": ("log-undigested",),
    "pending": ("log-pending",),
    "absent": ("chain-absent@eu-west-1",),
    "unknown key": ("digest-key-unknown",),
    "unreadable": ("log-unreadable", "digest-unreadable@eu-west-1"),
}


class Anytime(World):
    """A trail asked for without naming a window."""

    @property
    def window(self) -> list[str]:
        return []


class TestHolds:
    @pytest.mark.parametrize("tampers", TAMPERS.values(), ids=TAMPERS)
    def test_of_a_folder_what_proves_the_same_again(self, tmp_path: Path, tampers: tuple[str, ...]) -> None:
        world, folder = in_folder(tmp_path, *tampers), tmp_path / "snapshot"
        said = world.snapshot(folder)
        assert said.code == report(folder).exit_code
        assert verify(folder).code == 0
        assert "as it was proven" in verify(folder).out
        if "log-unreadable" not in tampers:  # those are not there, which a plain folder cannot know
            assert facts(offline(world, folder)) == facts(report(folder))

    @pytest.mark.parametrize("tampers", TAMPERS.values(), ids=TAMPERS)
    def test_of_a_bucket_what_proves_the_same_again(
        self, aws: AwsServer, tmp_path: Path, tampers: tuple[str, ...]
    ) -> None:
        world, folder = in_moto(aws, *tampers), tmp_path / "snapshot"
        said = world.snapshot(folder)
        assert said.code == report(folder).exit_code
        assert verify(folder).code == 0, verify(folder).out

    def test_a_bucket_byte_for_byte_and_asks_for_nothing_twice(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws), tmp_path / "snapshot"
        assert world.snapshot(folder).code == 0
        asked = fetched(aws)
        there, held = world.objects(aws), copies(folder)
        assert held == {key: there[key] for key in held}
        assert {key for key in there if "/CloudTrail/" in key} <= held.keys()
        assert asked == len(held)
        sidecars = list((folder / "tree").rglob("*.metadata.json"))
        assert len(sidecars) == sum("CloudTrail-Digest" in key for key in held)
        assert all("signature" in json.loads(path.read_text()) for path in sidecars)
        assert offline(world, folder).exit_code == 0

    def test_findings_that_a_plain_validation_of_the_copy_makes_too(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws, *(tamper for tamper in TAMPERED if "extra" not in tamper)), tmp_path / "snapshot"
        assert world.snapshot(folder).code == 1
        again = offline(world, folder)
        assert facts(again, without=NEEDS_S3) == facts(report(folder), without=NEEDS_S3)
        assert again.summary.logs.missing == 1

    def test_every_key_of_the_regions_and_the_report(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws), tmp_path / "snapshot"
        world.snapshot(folder)
        held = json.loads((folder / "keys.json").read_text())["PublicKeyList"]
        assert {key["Fingerprint"] for key in held} == {key.fingerprint for key in world.simulation.keys}
        assert {key["Region"] for key in held} == {key.region for key in world.simulation.keys}
        told = manifest(folder)
        assert told["schema"] == "ctvalidate.snapshot/1"
        assert (told["bucket"], told["trail_arn"]) == (BUCKET, world.simulation.manifest.trail_arn)
        assert [file["path"] for file in told["files"]] == sorted(file["path"] for file in told["files"])

    def test_a_digest_from_before_the_window_so_that_a_gap_is_explained_alike(self, tmp_path: Path) -> None:
        spec = TrailSpec(hours=48, logs_per_hour=1, restarts=((12, 20),), bucket=BUCKET)
        world, folder = in_folder(tmp_path, spec=spec), tmp_path / "snapshot"
        start = ["--start-time", "2026-01-02T02:00:00Z"]
        assert world.snapshot(folder, *start).code == 3
        found = {finding.rule for finding in report(folder).findings}
        assert "gap-restart" in found
        assert verify(folder).code == 0, verify(folder).out

    def test_keys_of_a_prefix_that_ends_in_a_slash(self, aws: AwsServer, tmp_path: Path) -> None:
        spec = TrailSpec(bucket=BUCKET, prefix="logs/", hours=3, logs_per_hour=2)
        world, folder = in_moto(aws, spec=spec), tmp_path / "snapshot"
        assert world.snapshot(folder).code == 0
        assert (folder / "tree/logs/AWSLogs").is_dir()
        assert verify(folder).code == 0
        assert offline(world, folder, prefix="logs/").exit_code == 0

    def test_no_key_that_no_file_can_have_but_says_so(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws), tmp_path / "snapshot"
        base = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/"
        odd = [base + "/x.json.gz", base + "../x.json.gz", base + "x" * 300 + ".json.gz"]
        for key in odd:
            aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"planted")
            stored = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys[key]
            stored.last_modified = datetime(2026, 1, 1, 3, 30)  # noqa: DTZ001  # as moto keeps it
        said = world.snapshot(folder)
        told = manifest(folder)
        assert {left["key"] for left in told["left_out"]} == set(odd)
        assert all(left["reason"] and left["cause"] is None for left in told["left_out"])
        assert said.err.count("left out") == len(odd)
        assert {path.name for path in tmp_path.iterdir()} == {"snapshot"}
        assert verify(folder).code == 0, verify(folder).out


class TestTwoBuckets:
    NEW = "amzn-s3-demo-bucket2"

    def test_are_kept_apart_where_a_chain_leads_from_one_to_the_other(self, aws: AwsServer, tmp_path: Path) -> None:
        spec, folder = TrailSpec(bucket=BUCKET, hours=6, logs_per_hour=2), tmp_path / "snapshot"
        ring, there = KeyRing(spec), defaultdict[str, dict[str, bytes]](dict)
        s3 = aws.client("s3")
        for name in (BUCKET, self.NEW):
            s3.create_bucket(Bucket=name)
        for name, delivery in moving(spec, [Move(hour=3, bucket=self.NEW)], ring):
            s3.put_object(Bucket=name, Key=delivery.key, Body=delivery.body, Metadata=dict(delivery.metadata or {}))
            there[name][delivery.key] = delivery.body
        twin = min(key for key in there[BUCKET] if "/CloudTrail/" in key)
        s3.put_object(Bucket=self.NEW, Key=twin, Body=b"another file of the same key")
        there[self.NEW][twin] = b"another file of the same key"
        keys = tmp_path / "keys.json"
        keys.write_text(ring.published().as_json())
        where = ["--s3-bucket", self.NEW, "--also-bucket", BUCKET, "--public-keys", str(keys)]
        window = ["--start-time", "2026-01-01T00:00:00Z", "--end-time", "2026-01-01T06:00:00Z"]
        said = call(snapshot_command, "--to", str(folder), *where, *window, "--no-progress")
        assert said.code == 1
        assert f"other buckets ({BUCKET})" in said.err
        assert {(f.rule, f.bucket, f.key) for f in report(folder).findings if f.status != "notice"} == {
            ("log-extra", self.NEW, twin)
        }
        held = {
            (file["object"]["bucket"], file["object"]["key"]): (folder / file["path"]).read_bytes()
            for file in manifest(folder)["files"]
            if "object" in file
        }
        assert held == {(name, key): there[name][key] for name, key in held}
        assert {(BUCKET, twin), (self.NEW, twin)} <= held.keys()
        assert (folder / "trees" / BUCKET / twin).read_bytes() != (folder / "tree" / twin).read_bytes()
        assert verify(folder).code == 0, verify(folder).out


class TestGoesOn:
    def test_with_what_a_full_disk_broke_off(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws), tmp_path / "snapshot"
        broken = snapshot_with_small_files(world, folder, 4000)
        assert broken.returncode == 3, broken.stderr
        assert broken.stdout == ""
        assert len(broken.stderr.strip().splitlines()) == 1
        assert "File too large" in broken.stderr
        journaled = [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().split(b"\n")[1:-1]]
        kept = [file for file in journaled if "object" in file]
        assert kept
        assert verify(folder).code == 2
        damaged = folder / kept[0]["path"]
        damaged.write_bytes(damaged.read_bytes()[:-5])
        aws.calls.clear()
        assert world.snapshot(folder).code == 0
        assert fetched(aws) == len(copies(folder)) - len(kept) + 1
        assert {path.name for path in folder.iterdir()} == {
            "tree", "keys.json", "report.json", "manifest.json", "manifest.sha256", "DECLARATION.md"
        }  # fmt: skip
        assert verify(folder).code == 0

    def test_with_what_an_interrupt_broke_off(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws), tmp_path / "snapshot"
        stopped = snapshot_interrupted(world, folder, after=10)
        assert stopped.returncode == 130, stopped.stderr
        assert "interrupted; what was copied stays" in stopped.stderr
        lines = (folder / "journal.jsonl").read_bytes().split(b"\n")[1:-1]
        kept = sum("object" in json.loads(line) for line in lines)
        assert 0 < kept < 40
        aws.calls.clear()
        assert world.snapshot(folder).code == 0
        assert fetched(aws) == len(copies(folder)) - kept
        assert verify(folder).code == 0

    def test_with_the_same_hours_when_asked_for_the_last_ones(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws), tmp_path / "snapshot"
        world = Anytime(world.simulation, world.where)
        options = ["--last", "52w"]
        broken = snapshot_with_small_files(world, folder, 4000, *options)
        assert broken.returncode == 3, broken.stderr
        header = json.loads((folder / "journal.jsonl").read_bytes().split(b"\n")[0])
        world.snapshot(folder, *options)
        window = manifest(folder)["window"]
        assert (window["start"], window["end"]) == (header["start"], header["end"])

    def test_only_when_asked_in_the_same_words(self, tmp_path: Path) -> None:
        world, folder = in_folder(tmp_path), tmp_path / "snapshot"
        open_bundle(folder, Asked(last="24h"), Interval(NOON, NOON.replace(hour=13)), force=False).close()
        said = world.snapshot(folder)
        assert said.code == 2
        assert "in other words (2026-01-01T12:00:00Z to 2026-01-01T13:00:00Z)" in said.err
        assert world.snapshot(folder, "--force").code == 0
        assert verify(folder).code == 0

    def test_never_over_a_finished_one_unless_forced(self, tmp_path: Path) -> None:
        world, folder = in_folder(tmp_path), tmp_path / "snapshot"
        assert world.snapshot(folder).code == 0
        before = (folder / "manifest.json").read_bytes()
        said = world.snapshot(folder)
        assert (said.code, said.out) == (2, "")
        assert "--force" in said.err
        assert (folder / "manifest.json").read_bytes() == before
        stale = folder / "tree" / "stale"
        stale.write_text("x")
        assert world.snapshot(folder, "--force").code == 0
        assert not stale.exists()
        assert verify(folder).code == 0

    def test_with_what_is_held_where_the_original_has_gone_meanwhile(self, aws: AwsServer, tmp_path: Path) -> None:
        world, folder = in_moto(aws), tmp_path / "snapshot"
        assert snapshot_with_small_files(world, folder, 4000).returncode == 3
        lines = (folder / "journal.jsonl").read_bytes().split(b"\n")[1:-1]
        keys = [file["object"]["key"] for file in map(json.loads, lines) if "object" in file]
        for key in keys:
            aws.client("s3").delete_object(Bucket=BUCKET, Key=key)
        assert world.snapshot(folder).code == 0
        assert set(keys) <= copies(folder).keys()
        assert verify(folder).code == 0

    def test_without_following_a_link_out_of_the_folder(self, tmp_path: Path) -> None:
        world, folder, outside = in_folder(tmp_path), tmp_path / "snapshot", tmp_path / "outside"
        outside.mkdir()
        world.snapshot(folder)
        shutil.rmtree(folder / "tree" / "AWSLogs")
        (folder / "tree" / "AWSLogs").symlink_to(outside)
        world.snapshot(folder, "--force")
        assert not list(outside.iterdir())
        assert manifest(folder)["left_out"]


class TestRefuses:
    def test_a_folder_with_anything_else_in_it(self, tmp_path: Path) -> None:
        world, folder = in_folder(tmp_path), tmp_path / "snapshot"
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        for options in ((), ("--force",)):
            said = world.snapshot(folder, *options)
            assert said.code == 2
            assert "notes.txt" in said.err
        assert [path.name for path in folder.iterdir()] == ["notes.txt"]

    def test_a_folder_that_cannot_be_written_to(self, tmp_path: Path) -> None:
        world = in_folder(tmp_path)
        (tmp_path / "file").write_text("")
        said = world.snapshot(tmp_path / "file" / "snapshot")
        assert said.code == 2
        assert "cannot write to" in said.err
        assert len(said.err.splitlines()) == 1

    def test_a_journal_that_is_none(self, tmp_path: Path) -> None:
        world, folder = in_folder(tmp_path), tmp_path / "snapshot"
        folder.mkdir()
        (folder / "journal.jsonl").write_text("{}\n")
        assert world.snapshot(folder).code == 2
        assert world.snapshot(folder, "--force").code == 0

    def test_two_runs_at_once(self, tmp_path: Path) -> None:
        window = Interval(NOON, NOON.replace(hour=13))
        first = open_bundle(tmp_path / "snapshot", Asked(last="1h"), window, force=False)
        with pytest.raises(SnapshotError, match="another run"):
            open_bundle(tmp_path / "snapshot", Asked(last="1h"), window, force=True)
        first.close()

    def test_a_request_that_cannot_be_meant(self, tmp_path: Path) -> None:
        world = in_folder(tmp_path)
        assert world.snapshot(tmp_path / "snapshot", "--last", "1h").code == 2
        assert not (tmp_path / "snapshot").exists()
