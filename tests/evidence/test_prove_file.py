"""One log file: proven, altered, extra or unproven, and the chain of proof that is shown."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import Request
from cloudtrail_validate.cli.file import command
from cloudtrail_validate.core.model import HOUR, Locator
from cloudtrail_validate.evidence.prove_file import prove_file
from cloudtrail_validate.simulate import FolderSink, Simulation, TrailSpec, simulate
from tests.simulate.helpers import chain, read, same_keys
from tests.snapshot.helpers import BUCKET, Said, call, in_moto

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

SPEC = TrailSpec(bucket=BUCKET, hours=8, logs_per_hour=2, late_logs=2)
Trail = tuple[Path, Simulation]


def write(tmp_path: Path, *tampers: str, spec: TrailSpec = SPEC) -> Trail:
    simulation = simulate(spec, FolderSink(tmp_path / "trail"), tampers, new_key=same_keys())
    (tmp_path / "keys.json").write_text(simulation.keys.as_json())
    return tmp_path / "trail", simulation


def logs(trail: Path) -> list[Path]:
    return sorted(trail.rglob("*_CloudTrail_*.json.gz"))


def planted(simulation: Simulation, rule: str) -> str:
    """The key of the log that a tampering touched."""
    return next(e.key for e in simulation.manifest.expected() if e.rule == rule and e.key is not None)


def ask(trail: Path, key: str, *options: str) -> Said:
    where = ["--source", str(trail), "--public-keys", str(trail.parent / "keys.json")]
    return call(command, f"s3://{BUCKET}/{key}", *where, *options)


def answer(trail: Path, key: str, *options: str) -> Any:
    said = ask(trail, key, "--format", "json", *options)
    told = json.loads(said.out)
    assert told["exit_code"] == said.code
    return told


def test_every_log_of_a_whole_trail_is_proven_late_ones_too(tmp_path: Path) -> None:
    trail, simulation = write(tmp_path)
    late = {log["s3Object"] for path in chain(trail, backfill=True) for log in read(path)["logFiles"]}
    assert late
    for path in logs(trail):
        key = path.relative_to(trail).as_posix()
        told = answer(trail, key)
        assert (told["exit_code"], told["rule"]) == (0, None), told
        assert told["sha256"] == told["expected"]
        assert told["digest"] == told["signed_by"]
        assert ("_backfill" in told["digest"]) == (key in late)
        assert told["fingerprint"] in {known.fingerprint for known in simulation.keys}
        assert told["region"] == "us-east-1"


def test_the_steps_are_shown_in_order(tmp_path: Path) -> None:
    trail, _ = write(tmp_path)
    said = ask(trail, logs(trail)[0].relative_to(trail).as_posix())
    assert said.code == 0
    titles = [line.split()[0] for line in said.out.splitlines()]
    assert titles == ["file", "SHA-256", "named", "hours", "signature", "key", "result"]


@pytest.mark.parametrize(
    ("rule", "code"), [("log-altered", 1), ("log-extra", 1), ("log-trailing-data", 1), ("log-malformed", 1)]
)
def test_what_is_not_as_delivered_is_named_by_its_rule(tmp_path: Path, rule: str, code: int) -> None:
    trail, simulation = write(tmp_path, rule)
    told = answer(trail, planted(simulation, rule))
    assert (told["exit_code"], told["rule"]) == (code, rule)
    assert (told["digest"] is None) == (rule == "log-extra")


def test_a_log_that_is_gone_is_missing(tmp_path: Path) -> None:
    trail, simulation = write(tmp_path, "log-missing")
    assert answer(trail, planted(simulation, "log-missing"))["rule"] == "log-missing"


def test_a_log_that_never_was_is_not_found(tmp_path: Path) -> None:
    trail, _ = write(tmp_path)
    key = logs(trail)[0].relative_to(trail).as_posix()
    said = ask(trail, key[: -len("0000.json.gz")] + "ZZZZ.json.gz")
    assert said.code == 2
    assert "no digest names it" in said.err


@pytest.mark.parametrize("rule", ["log-undigested", "log-pending"])
def test_a_log_of_hours_without_proof_is_unproven(tmp_path: Path, rule: str) -> None:
    trail, simulation = write(tmp_path, rule)
    now = simulation.manifest.as_of
    request = Request(start=now - HOUR, end=now, source=trail, public_keys=tmp_path / "keys.json")
    proof = prove_file(request, Locator("", planted(simulation, rule)), now=now)
    assert (proof.exit_code, proof.rule) == (3, rule)


def test_a_digest_without_signature_is_proven_by_its_successor(tmp_path: Path) -> None:
    trail, simulation = write(tmp_path, "digest-signature-missing")
    digest = planted(simulation, "digest-signature-missing")
    for log in read(trail / digest)["logFiles"]:
        told = answer(trail, log["s3Object"])
        assert told["exit_code"] == 0
        assert told["digest"].endswith(digest)
        assert told["signed_by"] != told["digest"]
        assert told["problems"]
        assert "that of its successor" in ask(trail, log["s3Object"]).out


def test_two_lost_signatures_in_a_row_are_proven_by_the_one_after(tmp_path: Path) -> None:
    trail, _ = write(tmp_path)
    digests = chain(trail)
    for path in digests[3:5]:
        path.with_name(path.name + ".metadata.json").write_text("{}")
    told = answer(trail, read(digests[3])["logFiles"][0]["s3Object"])
    assert told["exit_code"] == 0
    assert told["signed_by"].endswith(digests[5].name)


def test_an_altered_digest_vouches_for_nothing(tmp_path: Path) -> None:
    trail, _ = write(tmp_path)
    path = chain(trail)[3]
    document = read(path)
    key = document["logFiles"][0]["s3Object"]
    path.write_bytes(gzip.compress(json.dumps(document, indent=1).encode()))
    told = answer(trail, key)
    assert (told["exit_code"], told["rule"]) == (3, "log-undigested")
    assert told["problems"]


class TestFileOnDisk:
    def test_is_proven_by_its_key(self, tmp_path: Path) -> None:
        trail, _ = write(tmp_path)
        log = logs(trail)[4]
        key = log.relative_to(trail).as_posix()
        inflated = tmp_path / "log.json"
        inflated.write_bytes(gzip.decompress(log.read_bytes()))
        where = ["--source", str(trail), "--public-keys", str(tmp_path / "keys.json"), "--key", key]
        log.unlink()
        assert call(command, str(inflated), *where).code == 0
        inflated.write_bytes(inflated.read_bytes() + b" ")
        said = call(command, str(inflated), *where)
        assert said.code == 1
        assert "log-altered" in said.out

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ((), "--key"),
            (("--key", "AWSLogs/x"), "either --source or --s3-bucket"),
            (("--key", "AWSLogs/x", "--source", "."), "key of a CloudTrail log file"),
        ],
    )
    def test_needs_a_key_and_a_place(self, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
        (tmp_path / "log.json").write_text("{}")
        said = call(command, str(tmp_path / "log.json"), *options)
        assert said.code == 2
        assert words in said.err


def test_only_the_digests_of_the_named_trail_count(tmp_path: Path) -> None:
    trail, simulation = write(tmp_path)
    key = logs(trail)[4].relative_to(trail).as_posix()
    own = simulation.manifest.trail_arn
    assert ask(trail, key, "--trail-arn", own).code == 0
    assert ask(trail, key, "--trail-arn", own.replace("111122223333", "444455556666")).code == 4
    assert ask(trail, key, "--trail-arn", own.replace("management", "other")).code == 4
    said = ask(trail, key, "--trail-arn", "zzz")
    assert (said.code, "--trail-arn" in said.err) == (2, True)


@pytest.mark.parametrize(
    "file",
    [
        f"s3://{BUCKET}",
        f"s3://{BUCKET}/x",
        f"s3://{BUCKET}/AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/x.json.gz",
        "absent.json.gz",
    ],
)
def test_what_is_no_log_file_is_refused(file: str) -> None:
    said = call(command, file)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1


def test_a_kind_of_which_no_digest_names_a_file_is_not_accused(tmp_path: Path) -> None:
    trail, simulation = write(tmp_path, "log-extra")
    extra = planted(simulation, "log-extra")
    key = extra.replace("CloudTrail", "CloudTrail-Insight")
    (trail / key).parent.mkdir(parents=True)
    shutil.copy(trail / extra, trail / key)
    assert answer(trail, extra)["rule"] == "log-extra"
    assert (answer(trail, key)["rule"], answer(trail, key)["exit_code"]) == ("log-undigested", 3)


def test_a_digest_is_no_log_file(tmp_path: Path) -> None:
    trail, _ = write(tmp_path)
    said = ask(trail, chain(trail)[1].relative_to(trail).as_posix())
    assert said.code == 2


def test_no_digest_at_all_proves_nothing(tmp_path: Path) -> None:
    trail, simulation = write(tmp_path)
    key = logs(trail)[3].relative_to(trail).as_posix()
    other = simulation.manifest.trail_arn.replace("trail/", "trail/another-")
    assert answer(trail, key, "--trail-arn", simulation.manifest.trail_arn)["exit_code"] == 0
    assert answer(trail, key, "--trail-arn", other)["exit_code"] == 4
    shutil.rmtree(trail / "AWSLogs/111122223333/CloudTrail-Digest")
    assert answer(trail, key)["exit_code"] == 4


class TestOnS3:
    def test_asks_for_no_more_than_the_digests_around(self, aws: AwsServer) -> None:
        world = in_moto(aws, "log-altered", spec=SPEC)
        altered = planted(world.simulation, "log-altered")
        keys = [key for key in world.objects(aws) if "/CloudTrail/" in key]
        aws.calls.clear()
        for key in [*keys[::5], altered]:
            said = call(command, f"s3://{BUCKET}/{key}")
            assert said.code == (1 if key == altered else 0), said
            assert "from CloudTrail" in said.out
        assert {permission for permission, _ in aws.calls} <= {
            "s3:ListBucket", "s3:GetObject", "s3:HeadBucket", "cloudtrail:ListPublicKeys"
        }  # fmt: skip

    def test_says_what_it_may_not_read(self, aws: AwsServer) -> None:
        world = in_moto(aws, spec=SPEC)
        key = next(key for key in world.objects(aws) if "/CloudTrail/" in key)
        aws.denied.add("s3:ListBucket")
        said = call(command, f"s3://{BUCKET}/{key}")
        assert said.code == 3
        assert "cannot list the digests" in said.err
        assert call(command, f"s3://doc-example-bucket/{key}").code in (2, 3)
