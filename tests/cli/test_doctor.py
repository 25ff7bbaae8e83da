"""`ctvalidate doctor` as it is used, on moto: what goes where, what it exits with, and that its plan mends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.doctor.registry import CHECKS
from cloudtrail_validate.state.codec import encode
from cloudtrail_validate.state.model import OpenFinding, State
from tests.cli.helpers import Answer, call, spawn
from tests.servers.aws_extra import DigestDelivery

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

ACCOUNT: Final = "123456789012"
BUCKET: Final = "amzn-s3-demo-bucket"
TRAIL: Final = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/management-events"
JSON: Final = ("--format", "json")


@pytest.fixture
def bare(aws: AwsServer) -> AwsServer:
    """A trail as somebody makes one in a hurry, on moto."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("cloudtrail").create_trail(Name="management-events", S3BucketName=BUCKET)
    aws.enabled_regions = {"us-east-1", "eu-west-1"}
    aws.calls.clear()
    return aws


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    return call(capsys, "doctor", "--trail-arn", TRAIL, *arguments)


def statuses(answer: Answer) -> dict[str, str]:
    return {result["check"]: result["status"] for result in json.loads(answer.out)["results"]}


def test_a_trail_made_in_a_hurry(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    answer = doctor(capsys, *JSON)
    assert (answer.code, answer.err) == (1, "")
    found = statuses(answer)
    for check in ("trail-logging", "trail-validation", "trail-all-regions", "bucket-versioning", "bucket-access-log"):
        assert found[check] == "bad", check
    for check in ("bucket-owner", "bucket-object-lock", "stop-alarm", "trail-second-copy", "bucket-policy-tls"):
        assert found[check] == "weak", check
    assert found["trail-exists"] == found["trail-organization"] == found["kms-state"] == "ok"


def test_json_keeps_the_schema_that_is_published(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(call(capsys, "schema", "doctor").out)
    document = json.loads(doctor(capsys, *JSON).out)
    jsonschema.validate(document, schema)
    assert document["exit_code"] == 1
    assert document["run"]["caller_arn"].startswith("arn:aws:sts::123456789012:")
    assert json.loads(call(capsys, "schema").out)["title"] == "ctvalidate.report/1"


def test_denials_are_unknown_and_named(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    bare.denied = {"s3:GetBucketVersioning", "events:ListRules", "cloudtrail:GetEventSelectors"}
    found = json.loads(doctor(capsys, *JSON).out)["results"]
    by_check = {result["check"]: result for result in found}
    assert by_check["bucket-versioning"]["status"] == "unknown"
    assert by_check["bucket-versioning"]["missing_actions"] == ["s3:GetBucketVersioning"]
    assert by_check["trail-selectors"]["missing_actions"] == ["cloudtrail:GetEventSelectors"]
    assert by_check["stop-alarm"]["missing_actions"] == ["events:ListRules"]
    for action in bare.denied:
        assert action in by_check["self-permissions"]["evidence"]


def test_everything_denied_is_no_failure(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    bare.denied = {action for check in CHECKS.values() for action in check.actions} | {"cloudtrail:GetTrail"}
    answer = doctor(capsys, *JSON)
    assert answer.code == 3
    found = statuses(answer)
    assert {found[check] for check in found if check != "self-permissions"} == {"unknown"}


def test_only_what_is_chosen_is_asked(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    answer = doctor(
        capsys, "--check", "bucket-versioning", "--check", "bucket-public", "--skip", "bucket-public", *JSON
    )
    document = json.loads(answer.out)
    assert [result["check"] for result in document["results"]] == ["bucket-versioning"]
    assert document["skipped"] == [{"check": "bucket-public", "reason": "--skip"}]
    assert "s3:GetBucketAcl" not in {permission for permission, _ in bare.calls}


def test_well_is_0_weak_is_3_bad_is_1(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    for check, code in (("trail-exists", 0), ("bucket-owner", 3), ("bucket-versioning", 1)):
        assert doctor(capsys, "--check", check).code == code
    bare.denied = {"s3:GetBucketVersioning"}
    assert doctor(capsys, "--check", "bucket-versioning").code == 3
    assert doctor(capsys, "--check", "validated-lately").code == 3  # nothing was examined


def test_without_a_trail_the_only_one_is_taken(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "doctor", "--check", "trail-exists", *JSON)
    assert json.loads(answer.out)["trail_arn"] == TRAIL
    bare.client("cloudtrail").create_trail(Name="second", S3BucketName=BUCKET)
    several = call(capsys, "doctor", "--check", "trail-exists")
    assert several.code == 2
    assert f"{TRAIL}, " in several.line


def test_no_trail_is_bad(aws: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "doctor", *JSON)
    document = json.loads(answer.out)
    assert answer.code == 1
    assert {result["check"]: result["status"] for result in document["results"]}["trail-exists"] == "bad"
    assert {skipped["reason"] for skipped in document["skipped"]} >= {"there is no trail"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--trail-arn", "x"), "--trail-arn: expected arn:aws:cloudtrail"),
        (("--check", "bucket-versionning"), "nearest: bucket-versioning"),
        (("--skip", "nothing"), "--skip: there is no check"),
        (("--check", "trail-exists", "--skip", "trail-exists"), "--skip: expected at least one"),
        (("--format", "csv"), "--format: expected table, json"),
        (("--output", "report.csv"), "--output: expected a file ending in"),
        (("--output", "no/such/folder/x.json"), "--output: expected a file in a folder"),
        (("--retention-days", "0"), "--retention-days"),
        (("--fix-plan", "terraform"), "--fix-plan"),
        (("--last-report", "pyproject.toml"), "--last-report: expected a JSON report"),
        (("--notify", "pigeon:1"), "--notify: expected one of"),
        (("--region", "moon"), "--region: expected a region"),
        (("--external-id", "x"), "--external-id: expected --role-arn"),
    ],
)
def test_usage_is_2_before_anything_is_asked(
    arguments: tuple[str, ...], said: str, aws: AwsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = call(capsys, "doctor", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.line
    assert not aws.calls


def test_no_credentials_is_2_and_one_line() -> None:
    answer = spawn(
        "doctor", "--trail-arn", TRAIL, env={"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}
    )
    assert answer.code == 2
    assert "credentials" in answer.line


def test_files_are_written_beside_standard_output(
    bare: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = ("doctor.json", "doctor.sarif", "doctor.html", "doctor.asff.json")
    outputs = [argument for name in names for argument in ("--output", str(tmp_path / name))]
    answer = doctor(capsys, *outputs)
    assert answer.code == 1
    assert "Would tampering be noticed?" in answer.out
    for name in names:
        assert "bucket-versioning" in (tmp_path / name).read_text()
    assert json.loads((tmp_path / "doctor.json").read_text())["schema"] == "ctvalidate.doctor/1"


def test_a_report_that_finds_no_room_is_no_success(bare: AwsServer) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "cloudtrail_validate", "doctor", "--trail-arn", TRAIL, "--check", "trail-exists"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 3
    assert "cannot write to standard output" in done.stderr


def test_alerts_are_told(bare: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answer = doctor(capsys, "--check", "bucket-versioning", "--notify", f"file:{tmp_path / 'alerts.jsonl'}")
    assert answer.code == 1
    (event,) = map(json.loads, (tmp_path / "alerts.jsonl").read_text().splitlines())
    assert event["examined"] == "1 bad"
    assert [item["finding"]["rule"] for item in event["opened"]] == ["bucket-versioning"]


# -- when it was validated last


def state_of(age: timedelta, *open_: Status) -> bytes:
    moment = datetime.now(UTC) - age
    found = tuple(OpenFinding("log-altered", status, None, None, None, None, None, moment, moment) for status in open_)
    return encode(State(f"s3://{BUCKET}/", TRAIL, moment, 3, open=found))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (state_of(timedelta(hours=1)), 0),
        (state_of(timedelta(days=8)), 3),
        (state_of(timedelta(hours=1), Status.UNCOVERED), 3),
        (state_of(timedelta(hours=1), Status.NOTICE), 0),
        (state_of(timedelta(hours=1), Status.UNCOVERED, Status.ALTERED), 1),
        (b"ctvalidate.state/1\nnonsense", 2),
        (None, 3),
    ],
    ids=["well", "old", "unproven", "notice", "changed", "damaged", "none"],
)
def test_a_state_says_when_the_logs_were_proven(
    state: bytes | None, code: int, bare: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "trail.state"
    if state is not None:
        path.write_bytes(state)
    assert doctor(capsys, "--check", "validated-lately", "--state", str(path)).code == code
    if state is not None:
        bare.client("s3").put_object(Bucket=BUCKET, Key="trail.state", Body=state)
    assert doctor(capsys, "--check", "validated-lately", "--state", f"s3://{BUCKET}/trail.state").code == code
    assert not [permission for permission, _ in bare.calls if permission == "s3:PutObject" and state is None]


# -- the plan mends


def run_plan(text: str, aws: AwsServer) -> subprocess.CompletedProcess[str]:
    """Run a plan with the real AWS CLI, as somebody who has read it would."""
    env = {**os.environ, **aws.env, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["/bin/sh"], input=text, env=env, text=True, capture_output=True, timeout=300, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="plans are for a POSIX shell")
def test_the_plan_mends_what_it_says(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Run on moto as it is printed, it makes each check that it has a command for well, or at least no longer so bad."""
    before = statuses(doctor(capsys, *JSON))
    bare.digest_delivery["management-events", "us-east-1"] = DigestDelivery(datetime.now(UTC))
    plan = doctor(capsys, "--fix-plan")
    assert plan.code == 1
    done = run_plan(plan.out, bare)
    assert done.returncode == 0, done.stderr
    after = statuses(doctor(capsys, *JSON))
    mended = {check for check, status in before.items() if status in ("bad", "weak") and after[check] == "ok"}
    assert mended >= {
        *("trail-logging", "trail-validation", "trail-all-regions", "bucket-versioning", "bucket-public"),
        *("bucket-ownership", "bucket-policy-tls", "bucket-policy-accounts", "stop-alarm"),
    }
    assert not {check for check, status in after.items() if status == "bad" and before[check] == "ok"}


def test_a_plan_of_what_is_missing_is_a_template(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    answer = doctor(capsys, "--check", "stop-alarm", "--fix-plan", "cloudformation")
    assert set(json.loads(answer.out)["Resources"]) == {"StopTopic", "StopTopicPolicy", "StopRule", "StopMail"}
    nothing = doctor(capsys, "--check", "bucket-versioning", "--fix-plan", "cloudformation")
    assert (nothing.code, nothing.out) == (1, "")
    assert "--fix-plan prints the commands" in nothing.line


def test_nothing_is_changed_by_asking(bare: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    doctor(capsys, "--fix-plan")
    doctor(capsys, *JSON)
    reading = ("Get", "List", "Describe", "Head", "Simulate", "Assume")
    assert not [action for action, _ in bare.calls if not action.partition(":")[2].startswith(reading)]


def test_explain_knows_checks(capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(call(capsys, "explain", "bucket-policy-source").out.split())
    check = CHECKS["bucket-policy-source"]
    assert check.title in shown
    assert " ".join(check.why.split()) in shown
    assert "s3:GetBucketPolicy" in shown
    value: dict[str, Any] = json.loads(call(capsys, "explain", "BUCKET-OWNER", "--format", "json").out)
    assert value["also"] == list(CHECKS["bucket-owner"].also)
    assert "bucket-policy-tls" in call(capsys, "explain", "bucket-polcy-tls").line
    listed = call(capsys, "explain").out
    assert all(f"{name} " in listed for name in CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_is_explained_within_80_columns(
    check: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = call(capsys, "explain", check).out
    words = [line for line in out.splitlines() if len(line) > 80]
    assert all(len(shlex.split(line.replace("'", ""))) == 1 for line in words)  # a word that is longer by itself
    assert "{" not in out.replace("'Rules=[{Object", "").replace("'LoggingEnabled={Target", "")
