from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from cloudtrail_validate.cli.simulate import command

from .helpers import SIDECAR, chain, intervals, read

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_a_folder_its_keys_and_the_command_to_validate_it(tmp_path: Path) -> None:
    dest = str(tmp_path / "a trail")
    result = invoke(
        dest, "--start-time", "2026-03-07T01:00:00+01:00", "--hours", "3", "--prefix", "logs", "--single-region"
    )
    assert result.exit_code == 0, result.stderr
    keys = tmp_path / "a trail.keys.json"
    assert shlex.split(result.stdout) == [
        *("ctvalidate", "--source", dest, "--s3-prefix", "logs", "--public-keys", str(keys)),
        *("--start-time", "2026-03-07T00:00:00Z", "--end-time", "2026-03-07T03:00:00Z"),
    ]
    assert result.stderr.startswith("wrote 4 digests and 12 logs (")
    assert "a single-region trail of 1 account: digests in us-east-1 only" in result.stderr
    assert "nothing is tampered with" in result.stderr
    (key,) = json.loads(keys.read_text())["PublicKeyList"]
    digest = read(chain(tmp_path / "a trail")[-1])
    assert digest["digestPublicKeyFingerprint"] == key["Fingerprint"]
    assert digest["digestS3Object"].startswith("logs/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/07/")


def test_every_option_reaches_the_trail(tmp_path: Path) -> None:
    folder = tmp_path / "trail"
    text = (
        "--trail-name audit_1 --account-id 111122223333 --account-id 444455556666 --organization-id o-a1b2c3d4e5"
        " --region us-east-1 --region eu-west-1 --quiet-region eu-west-1 --home-region eu-west-1"
        " --start-time 2026-03-07 --hours 20 --offset-seconds 81 --logs-per-hour 2 --events-per-log 1"
        " --bucket amzn-s3-demo-bucket --seed 5 --rotate-keys-every 6 --spki-every 2 --restart 6:2 --late-logs 4"
        " --pending 1 --tamper log-altered:2 --tamper digest-missing@us-east-1 --no-sidecars"
    )
    files = ["--keys", str(tmp_path / "k.json"), "--manifest", str(tmp_path / "m.json")]
    result = invoke(str(folder), *text.split(), *files)
    assert result.exit_code == 0, result.stderr
    manifest = json.loads((tmp_path / "m.json").read_text())
    assert manifest["trail_arn"] == "arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit_1"
    assert (manifest["bucket"], manifest["organization_id"]) == ("amzn-s3-demo-bucket", "o-a1b2c3d4e5")
    assert (manifest["start"], manifest["end"]) == ("2026-03-07T00:01:21Z", "2026-03-07T20:31:21Z")
    rules = [planted["rule"] for planted in manifest["planted"]]
    assert {rule: rules.count(rule) for rule in rules} == {
        "gap-restart": 2 * 17,
        "log-altered": 2,
        "digest-missing": 1,
        "log-pending": 4,
    }
    assert len(json.loads((tmp_path / "k.json").read_text())["PublicKeyList"]) == 17 * 4
    assert not list(folder.rglob(f"*{SIDECAR}"))
    assert len(list(folder.rglob("*_backfill.json.gz"))) == 2 * 3
    assert all(read(path)["logFiles"] == [] for path in chain(folder, "eu-west-1"))
    log = next(folder.glob("AWSLogs/o-a1b2c3d4e5/444455556666/CloudTrail/us-east-1/2026/03/07/*.gz"))
    assert len(read(log)["Records"]) == 1
    assert "planted digest-missing, gap-restart, log-altered, log-pending" in result.stderr
    assert "count as a gap-tail" in result.stderr


@pytest.mark.parametrize(
    ("options", "regions"),
    [
        ([], 17),
        (["--region", "eu-west-1"], 1),
        (["--region", "eu-west-1", "--multi-region"], 17),
        (["--region", "eu-west-1", "--region", "us-east-1"], 17),
        (["--region", "us-east-1", "--home-region", "eu-west-1"], 17),
        (["--region", "af-south-1", "--multi-region"], 18),
        (["--region", "us-gov-west-1", "--multi-region"], 2),
    ],
)
def test_which_regions_get_digests_is_said(tmp_path: Path, options: list[str], regions: int) -> None:
    result = invoke(str(tmp_path / "trail"), "--hours", "1", *options)
    assert result.exit_code == 0, result.stderr
    said = f"a digest an hour in each of {regions} regions" if regions > 1 else "a single-region trail of 1 account"
    assert said in result.stderr
    assert len(list((tmp_path / "trail/AWSLogs/111122223333/CloudTrail-Digest").iterdir())) == regions


def test_a_quiet_region_is_one_of_the_regions(tmp_path: Path) -> None:
    assert invoke(str(tmp_path / "trail"), "--hours", "2", "--quiet-region", "eu-west-1").exit_code == 0
    assert len(chain(tmp_path / "trail", "us-east-1")) == len(chain(tmp_path / "trail", "eu-west-1")) == 3
    assert all(read(path)["logFiles"] == [] for path in chain(tmp_path / "trail", "eu-west-1"))


def test_the_default_trail_has_just_ended(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    result = invoke(str(tmp_path / "trail"), "--hours", "2", "--pending", "1")
    assert result.exit_code == 0, result.stderr
    newest = datetime.fromisoformat(read(chain(tmp_path / "trail")[-1])["digestEndTime"])
    assert timedelta(minutes=31) <= before - newest <= timedelta(minutes=92)
    assert len(intervals(tmp_path / "trail")) == 3
    assert "gap-tail" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expectation"),
    [
        (["--tamper", "log-atered"], "did you mean log-altered?"),
        (["--tamper", "gap_tail"], "such as gap-tail or gap-tail:2"),
        (["--hours", "3", "--single-region", "--tamper", "chain-absent"], "another region or account"),
        (["--region", "us-east-1", "--region", "eu-west-1", "--single-region"], "home region only"),
        (["--start-time", "10am"], "2026-01-01T00:00:00Z"),
        (["--start-time", "2026-01-01T00:30"], "full hour"),
        (["--restart", "soon"], "HOUR:LOST"),
        (["--restart", "99"], "does not fit"),
        (["--region", "us_east_1"], "us-east-1"),
        (["--account-id", "12"], "12 digits"),
        (["--create-bucket"], "s3://bucket"),
        (["--tamper", "digest-unlinked", "--no-sidecars"], "sidecars"),
        (["--keys", "/dev/null/keys.json"], "Not a directory"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(tmp_path: Path, arguments: list[str], expectation: str) -> None:
    result = invoke(str(tmp_path / "trail"), *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert expectation in result.stderr
    assert re.fullmatch(r"Error: [^\n]+\n", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "expectation"),
    [
        (["s3://"], "s3://bucket/prefix"),
        (["s3:///prefix"], "s3://bucket/prefix"),
        (["s3://one", "--bucket", "two"], "one bucket"),
        (["s3://one/a", "--prefix", "b"], "one prefix"),
        (["s3://one", "--no-sidecars"], "a folder"),
    ],
)
def test_a_bucket_is_named_once(arguments: list[str], expectation: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert expectation in result.stderr


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    result = invoke(str(tmp_path), "--hours", "1")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    keys = ["--keys", str(tmp_path / "keys.json")]
    assert invoke(str(tmp_path), "--hours", "1", "--force", *keys).exit_code == 0
    assert (tmp_path / "mine").read_text() == "mine"
    assert len(chain(tmp_path)) == 2


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    result = invoke(str(tmp_path / "x"), "--start-time", "\x1b[31m")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_bucket(tmp_path: Path, aws: AwsServer, monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    missing = invoke("s3://amzn-s3-demo-simulated/logs/", "--hours", "2")
    assert missing.exit_code == 2
    assert "NoSuchBucket" in missing.stderr
    result = invoke("s3://amzn-s3-demo-simulated/logs/", "--hours", "2", "--create-bucket")
    assert result.exit_code == 0, result.stderr
    words = shlex.split(result.stdout)
    assert words[:7] == [
        *("ctvalidate", "--s3-bucket", "amzn-s3-demo-simulated", "--s3-prefix", "logs"),
        *("--public-keys", "ctvalidate-keys.json"),
    ]
    assert (tmp_path / "ctvalidate-keys.json").exists()
    listed = aws.client("s3").list_objects_v2(Bucket="amzn-s3-demo-simulated")["Contents"]
    assert len(listed) == 2 + 17 * 3 + 2 * 4
    assert all(item["Key"].startswith("logs/AWSLogs/111122223333/CloudTrail") for item in listed)
    again = invoke("s3://amzn-s3-demo-simulated/logs", "--hours", "2", "--create-bucket")
    assert again.exit_code == 2
    assert "expected nothing below s3://amzn-s3-demo-simulated/logs/AWSLogs/" in again.stderr
    assert invoke("s3://amzn-s3-demo-simulated/logs", "--hours", "2", "--force").exit_code == 0
