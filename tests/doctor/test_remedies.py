"""Remedies: the AWS CLI takes them, they do what they seem to, they mend what was found, and nothing else runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from cloudtrail_validate.cli import policy as policy_command
from cloudtrail_validate.doctor.documents import DOCUMENTS
from cloudtrail_validate.doctor.examine import examine
from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.names import TO_FILL, generic, unfilled
from cloudtrail_validate.doctor.plan import script
from cloudtrail_validate.doctor.policy.amend import amended
from cloudtrail_validate.doctor.registry import CHECKS
from cloudtrail_validate.doctor.report import build
from cloudtrail_validate.doctor.template import template
from tests.doctor.samples import HOSTILE, WEAKNESSES, hostile, report_of, world
from tests.doctor.worlds import NOW, VECTORS, examined, gathered, load, paths, world_of
from tests.servers.answers import World

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from tests.servers.answers import AnswerServer

posix = pytest.mark.skipif(shutil.which("sh") is None, reason="plans are for a POSIX shell")
MENDED: Final = (Health.BAD, Health.WEAK)
POLICY_CHECKS: Final = ("bucket-policy-source", "bucket-policy-accounts", "bucket-policy-tls")


def every_line() -> list[str]:
    return [line for check in CHECKS.values() for line in map(generic, check.remedy)]


# -- the lines themselves


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_a_remedy_of_commands_and_remarks(check: str) -> None:
    remedy = CHECKS[check].remedy
    assert remedy
    assert all(line.startswith(("aws ", "ctvalidate ", "# ")) for line in remedy)


def test_names_to_fill_in_are_known() -> None:
    """Whatever stands in capitals in a line is a name that the reader fills in, so that such a line is never run."""
    literal = {
        "SERVICE_CONTROL_POLICY",
        "COMPLIANCE",
        "GOVERNANCE",
        "ARN",
        "ID",
        "AWS",
        "KMS",
        "S3",
        "MFA",
        "TLS",
        "CODE",
    }
    literal |= {"MFA_SERIAL"}
    for line in every_line():
        names = set(re.findall(r"(?<![\w-])[A-Z][A-Z_0-9]+(?![\w-])", line.split(" # ")[0]))
        assert names - literal <= set(TO_FILL), line
        if names & set(TO_FILL):
            assert unfilled(line)


@pytest.fixture(scope="session")
def lines(answers: AnswerServer, auditor: Aws) -> list[str]:
    """Every command that is proposed where a check is not well, real names filled in, each once."""
    found: dict[str, None] = {}
    for check in CHECKS:
        bad = next(path for path in paths() if path.parent.name == check and load(path).expected.get(check) in MENDED)
        _, report = report_of(answers, auditor, world_of(load(bad)))
        for result in report.results:
            if result.check == check:
                found |= dict.fromkeys(line.removeprefix("# ") for line in result.remedy)
    return [line for line in found if line.startswith(("aws ", "ctvalidate "))]


@pytest.mark.filterwarnings("ignore")  # of the AWS CLI's own
def test_the_aws_cli_takes_every_command(
    lines: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own parser and models, which check names and shapes without sending anything."""
    from awscli.clidriver import create_clidriver

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    commands = [line for line in lines if line.startswith("aws ")]
    assert len(commands) > 30
    for line in commands:
        known = line.replace(" --profile MANAGEMENT_PROFILE", "")  # a profile that only the reader has
        words = [word.replace("file://policy.json", "{}") for word in shlex.split(known)[1:]]
        driver = create_clidriver()  # one a line: it keeps the skeleton of the command before
        assert driver.main([*words, "--generate-cli-skeleton", "output"]) == 0, (line, capsys.readouterr().err)


def test_the_tool_takes_its_own_commands(lines: list[str]) -> None:
    import click

    commands = [line for line in lines if line.startswith("ctvalidate ")]
    assert len(commands) >= 5
    for line in commands:
        words = shlex.split(line)[1:]
        if words[0] == "policy":
            with policy_command.command.make_context("policy", words[1:]) as context:
                words = list(context.params["line"])
        policy_command._parsed(click.Context(policy_command.command), tuple(words))


# -- documents


@pytest.mark.parametrize(
    "path",
    [path for path in paths() if path.parent.name in POLICY_CHECKS],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_the_amended_bucket_policy_is_well(path: Path, answers: AnswerServer, auditor: Aws) -> None:
    """Put back, it answers every question that the policy's checks ask, and lets nobody new do anything."""
    vector = load(path)
    facts, before = examined(answers, auditor, vector)
    value = amended(facts)
    if value is None:
        assert any(answer.health is Health.UNKNOWN for check, answer in before.answers if check.id in POLICY_CHECKS)
        return
    mended = world_of(vector)
    mended = World({**mended.calls, "s3:GetBucketPolicy": {"Policy": json.dumps(value)}}, mended.objects)
    after = examine(gathered(answers, auditor, mended, vector.scope.scope), CHECKS.values())
    found = {check.id: answer for check, answer in after.answers}
    was = {check.id: answer.health for check, answer in before.answers}
    for check in POLICY_CHECKS:
        if vector.expected.get(check) is Health.UNKNOWN or path.stem == "deny":
            continue  # what a condition or a Deny means only its author knows: they stay
        assert found[check].health is Health.OK, found[check].evidence
    assert found["bucket-policy-writers"].health is was["bucket-policy-writers"]


def test_the_mended_lifecycle_is_well_and_keeps_other_rules(answers: AnswerServer, auditor: Aws) -> None:
    for path in paths():
        if path.parent.name != "bucket-lifecycle":
            continue
        facts, _ = examined(answers, auditor, load(path))
        value: Any = json.loads(json.dumps(DOCUMENTS["lifecycle"](facts), default=str))
        calls = {**world_of(load(path)).calls, "s3:GetBucketLifecycleConfiguration": value}
        after = gathered(answers, auditor, World(calls, world_of(load(path)).objects))
        answer = CHECKS["bucket-lifecycle"].judge(after)
        assert answer.health is Health.OK, (path.stem, answer.evidence)
        assert not isinstance(facts.bucket.lifecycle, str)
        if path.stem == "elsewhere":
            assert len(value["Rules"]) == 4


def test_selectors_keep_the_data_events_that_are_recorded(answers: AnswerServer, auditor: Aws) -> None:
    for name in ("trail-selectors/no-management", "trail-selectors/service-left-out", "trail-bucket-events/recursive"):
        facts = gathered(answers, auditor, world(name))
        value: Any = DOCUMENTS["management_selectors"](facts)
        calls = {**world(name).calls, "cloudtrail:GetEventSelectors": {"AdvancedEventSelectors": value}}
        after = gathered(answers, auditor, World(calls, world().objects))
        assert CHECKS["trail-selectors"].judge(after).health is Health.OK
        if name != "trail-selectors/service-left-out":
            assert CHECKS["trail-bucket-events"].judge(after).health is not Health.UNKNOWN
            assert "nobody" not in CHECKS["trail-bucket-events"].judge(after).evidence


# -- plans


def stub(folder: Path) -> dict[str, str]:
    """A PATH on which there is an `aws` that writes down what it is given, and nothing else."""
    folder.mkdir()
    tool = folder / "aws"
    tool.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        f"open({str(folder / 'calls')!r}, 'a').write(json.dumps(sys.argv[1:]) + chr(10))\n"
    )
    tool.chmod(0o755)
    return {"PATH": str(folder)}


@posix
def test_a_plan_runs_and_gives_the_aws_cli_whole_words(answers: AnswerServer, auditor: Aws, tmp_path: Path) -> None:
    _, report = report_of(answers, auditor, world(*WEAKNESSES))
    plan = script(report)
    env = stub(tmp_path / "bin")
    done = subprocess.run(["/bin/sh"], input=plan, env=env, text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    calls = [json.loads(line) for line in (tmp_path / "bin" / "calls").read_text().splitlines()]
    expected = [shlex.split(line)[1:] for line in plan.splitlines() if line.startswith("aws ")]
    assert calls == expected
    assert ["s3api", "put-bucket-versioning"] in [call[:2] for call in calls]
    assert not [call for call in calls if any(unfilled(word) for word in call)]
    assert "put-object-lock-configuration" not in [call[1] for call in calls]  # it cannot be undone


@posix
def test_nothing_that_aws_answered_runs_in_a_plan(answers: AnswerServer, auditor: Aws, tmp_path: Path) -> None:
    _, report = report_of(answers, auditor, hostile())
    plan = script(report)
    assert HOSTILE.splitlines()[-1] not in plan
    env = stub(tmp_path / "bin")
    done = subprocess.run(["/bin/sh"], input=plan, env=env, text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    calls = [json.loads(line) for line in (tmp_path / "bin" / "calls").read_text().splitlines()]
    assert calls
    lifecycle = next(call for call in calls if call[1] == "put-bucket-lifecycle-configuration")
    assert json.loads(lifecycle[-1])["Rules"][0]["ID"] == "'; rm -rf / #"
    assert {call[0] for call in calls} <= {"cloudtrail", "s3api", "events", "sns", "kms", "organizations"}


def test_a_healthy_world_has_nothing_to_mend(answers: AnswerServer, auditor: Aws) -> None:
    facts, report = report_of(answers, auditor, world())
    assert script(report).endswith("# Nothing to mend.\n")
    assert template(facts, report) is None


@pytest.mark.parametrize("name", ["$(touch x)", "-rf", "file:///etc/passwd", "a\x1b[31mb", "a b'c"])
def test_a_name_that_would_be_read_as_something_else_is_left_out(
    name: str, answers: AnswerServer, auditor: Aws
) -> None:
    first = world().calls["cloudtrail:DescribeTrails"]["trailList"][0]
    calls = {**world("bucket-versioning/never").calls}
    calls["cloudtrail:DescribeTrails"] = {
        "trailList": [{**first, "S3BucketName": "amzn-s3-demo-bucket", "KmsKeyId": name}]
    }
    calls["kms:DescribeKey"] = world("kms-state/disabled").calls["kms:DescribeKey"]
    _, report = report_of(answers, auditor, World(calls, world().objects))
    lines = next(result.remedy for result in report.results if result.check == "kms-state")
    for line in lines:
        assert shlex.split(line)[-1] in (name, "KEY_ARN")
        assert ("KEY_ARN" in line) == (name in ("-rf", "file:///etc/passwd", "a\x1b[31mb"))


# -- CloudFormation


def test_templates_are_clean(answers: AnswerServer, auditor: Aws, tmp_path: Path) -> None:
    files = []
    for names in (
        ("trail-exists/gone",),
        ("trail-exists/none-at-all",),
        ("stop-alarm/none",),
        ("trail-second-copy/one-only",),
        ("trail-bucket-events/none", "stop-alarm/none"),
    ):
        scope = load(VECTORS / f"{names[0]}.json").scope.scope
        facts = gathered(answers, auditor, world(*names), scope)
        text = template(facts, build(facts, examine(facts, CHECKS.values()), NOW))
        assert text is not None
        files.append(tmp_path / f"{names[0].replace('/', '-')}.json")
        files[-1].write_text(text)
    lint(*files)


def lint(*files: Path) -> None:
    """cfn-lint, with its checks of IAM policies (E3510, E3512, W3037), finds nothing."""
    tool = Path(sys.executable).with_name("cfn-lint")
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run([tool, "--", *files], env=env, text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
