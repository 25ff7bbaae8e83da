"""Examples of unattended runs: linted and schema-checked as their owners would, and executed as far as AWS is not needed."""

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
import yaml

from cloudtrail_validate.aws_lambda import read_settings
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.metrics.prometheus import write_textfile
from cloudtrail_validate.metrics.samples import cloudwatch_samples, measure
from tests.examples_kit import EXAMPLES, ON_REQUEST, STATE_BUCKET, hourly, linux, policy_actions, shell, tool
from tests.report import samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.aws import AwsServer
    from tests.servers.receiver import Receiver

TEMPLATES: Final = tuple(
    EXAMPLES / name
    for name in ("ecs/scheduled-task.yaml", "lambda/on-delivery.yaml", "monitoring/cloudwatch-alarms.yaml")
)
RULES_FILE: Final = EXAMPLES / "monitoring" / "prometheus-rules.yml"


def here(program: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).with_name(program))


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is missing that .ci/run installs."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


# -- shell, systemd --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*/*.sh")), ids=lambda path: path.name)
def test_shell_scripts_are_clean(script: Path) -> None:
    done = shell(here("shellcheck"), str(script))
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def units(folder: Path) -> Path:
    """The service and its timer, with the places of this checkout."""
    text = (EXAMPLES / "systemd" / "ctvalidate.service").read_text()
    text = text.replace("/opt/ctvalidate/examples", str(EXAMPLES)).replace(
        "/opt/ctvalidate/.venv/bin/ctvalidate", str(tool(folder))
    )
    (folder / "ctvalidate.service").write_text(text)
    shutil.copy(EXAMPLES / "systemd" / "ctvalidate.timer", folder)
    return folder / "ctvalidate.service"


@needs("systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    service = units(tmp_path)
    done = shell("systemd-analyze", "verify", str(service), str(tmp_path / "ctvalidate.timer"))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    (calendar,) = re.findall(
        r"^OnCalendar=(.+)$", (EXAMPLES / "systemd" / "ctvalidate.timer").read_text(), re.MULTILINE
    )
    assert "UTC" in calendar
    shell("systemd-analyze", "calendar", calendar).check_returncode()


@needs("systemd-analyze")
def test_the_service_is_confined(tmp_path: Path) -> None:
    done = shell("systemd-analyze", "security", "--offline=true", "--threshold=25", str(units(tmp_path)))
    assert done.returncode == 0, done.stdout


def service_settings(text: str) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Z]\w+)=(.*)$", text, re.MULTILINE):
        out.setdefault(name, []).append(value)
    return out


@linux
def test_the_service_runs(aws: AwsServer, receiver: Receiver, tmp_path: Path) -> None:
    """Its command line with its own variables, as systemd would put them in."""
    simulation = hourly(aws, hours=27)
    settings = service_settings(units(tmp_path).read_text())
    variables = dict(word.partition("=")[::2] for line in settings["Environment"] for word in shlex.split(line))
    variables |= {
        "TRAIL_ARN": simulation.manifest.trail_arn,
        "STATE": f"s3://{STATE_BUCKET}/ctvalidate/state",
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "CTVALIDATE_HEARTBEAT": f"{receiver.url}/beat/{{exit_code}}",
    }
    (command,) = settings["ExecStart"]
    words = [re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], word) for word in command.split()]
    done = shell(*words, **variables)
    assert (done.returncode, done.stdout, receiver.paths) == (0, "", ["/beat/0"]), done.stdout + done.stderr
    (report,) = (tmp_path / "state").glob("*.json")
    assert json.loads(report.read_text())["exit_code"] == 0


# -- GitHub Actions, Kubernetes --------------------------------------------------------------------------------------


def test_github_takes_the_workflow() -> None:
    workflow = EXAMPLES / "github-actions" / "ctvalidate.yml"
    done = shell(here("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(workflow))
    assert done.returncode == 0, done.stdout
    text = workflow.read_text()
    assert not re.search(r"run:.*\$\{\{", text)  # nothing is put into a shell line that somebody else may have written
    job = yaml.safe_load(text)["jobs"]["validate"]
    assert job["permissions"] == {"contents": "read", "id-token": "write", "security-events": "write"}


@linux
def test_the_workflows_step_runs(aws: AwsServer, receiver: Receiver, tmp_path: Path) -> None:
    workflow = yaml.safe_load((EXAMPLES / "github-actions" / "ctvalidate.yml").read_text())
    (step,) = (step for step in workflow["jobs"]["validate"]["steps"] if step.get("name") == "Validate")
    simulation = hourly(aws, hours=27)
    folder = tmp_path / "bin"
    folder.mkdir()
    command = tool(folder)
    variables = {
        **workflow["env"],
        "TRAIL_ARN": simulation.manifest.trail_arn,
        "STATE": f"s3://{STATE_BUCKET}/ctvalidate/state",
        "CTVALIDATE_NOTIFY": "",  # a secret that is not set is an empty variable there
        "CTVALIDATE_HEARTBEAT": f"{receiver.url}/beat",
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
    }
    script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(
        script, env={**os.environ, **variables}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, receiver.paths) == (0, ["/beat"]), done.stderr
    assert {path.name for path in tmp_path.glob("report.*")} == {"report.json", "report.html", "report.sarif"}


def test_kubernetes_takes_the_manifest() -> None:
    done = shell(here("kubernetes-validate"), "--strict", str(EXAMPLES / "kubernetes" / "cronjob.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@linux
def test_the_containers_command_runs(aws: AwsServer, receiver: Receiver, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes" / "cronjob.yaml").read_text()))
    (cron,) = (one for one in documents if one["kind"] == "CronJob")
    (secret,) = (one for one in documents if one["kind"] == "Secret")
    assert cron["spec"]["timeZone"] == "Etc/UTC"
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    simulation = hourly(aws, hours=27)
    topic = aws.client("sns").create_topic(Name="cloudtrail-integrity")["TopicArn"]
    exchanged = {
        "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events": simulation.manifest.trail_arn,
        "s3://DOC-EXAMPLE-STATE-BUCKET/ctvalidate/management-events": f"s3://{STATE_BUCKET}/ctvalidate/state",
    }
    variables = {
        "CTVALIDATE_NOTIFY": re.sub(r"arn:aws:sns:\S+", topic, secret["stringData"]["CTVALIDATE_NOTIFY"]),
        "CTVALIDATE_HEARTBEAT": secret["stringData"]["CTVALIDATE_HEARTBEAT"].replace(
            "https://hc-ping.com", receiver.url
        ),
    }
    done = shell(str(tool(tmp_path)), *(exchanged.get(word, word) for word in container["args"]), **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "valid"
    assert receiver.paths[0].endswith("/0")


# -- CloudFormation --------------------------------------------------------------------------------------------------


class _Tags(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, as `{name: argument}`."""


def _function(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    built = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda part: loader.construct_sequence(part, deep=True),
        yaml.MappingNode: lambda part: loader.construct_mapping(part, deep=True),
    }[type(node)]
    return {suffix: built(node)}


_Tags.add_multi_constructor("!", _function)


def template(path: Path) -> dict[str, Any]:
    """A template as builtins."""
    loaded: dict[str, Any] = yaml.load(path.read_text(), Loader=_Tags)  # noqa: S506  # a SafeLoader with our functions
    return loaded


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_cloudformation_takes_the_templates(path: Path) -> None:
    done = shell(here("cfn-lint"), "--regions", "us-east-1", "--include-checks", "I", "--", str(path))
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def statements(resource: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for policy in resource["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield policy["PolicyName"], statement["If"][1] if "If" in statement else statement


def actions(statement: Mapping[str, Any]) -> set[str]:
    named = statement["Action"]
    return {named} if isinstance(named, str) else set(named)


@pytest.mark.parametrize(("path", "role"), [(TEMPLATES[0], "TaskRole"), (TEMPLATES[1], "Role")], ids=["ecs", "lambda"])
def test_roles_can_read_the_trail_and_nothing_else(path: Path, role: str) -> None:
    """Of the trail and its bucket only what examples/iam/policy.json has; everything else concerns what the stack made."""
    reading, other = set[str](), list[dict[str, Any]]()
    for policy, statement in statements(template(path)["Resources"][role]):
        assert statement["Effect"] == "Allow"
        if policy == "read-the-trail":
            reading |= actions(statement)
        else:
            other.append(statement)
            assert statement["Resource"] != "*"
            assert "TrailBucket" not in json.dumps(statement)
    assert reading <= policy_actions() - ON_REQUEST
    assert {"s3:GetObject", "s3:ListBucket", "cloudtrail:ListPublicKeys", "kms:Decrypt"} <= reading
    changing = {action for action in reading if re.search(r":(Put|Delete|Create|Update|Stop|Start)", action)}
    assert not changing
    assert "sns:Publish" in {action for statement in other for action in actions(statement)}


@linux
def test_the_tasks_command_runs(aws: AwsServer, tmp_path: Path) -> None:
    resources = template(TEMPLATES[0])["Resources"]
    (container,) = resources["Task"]["Properties"]["ContainerDefinitions"]
    simulation = hourly(aws, hours=27)
    topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
    words = []
    for word in container["Command"]:
        match word:
            case {"Ref": "TrailArn"}:
                words.append(simulation.manifest.trail_arn)
            case {"Sub": text}:
                words.append(text.replace("${StateBucket}", STATE_BUCKET).replace("${Alerts}", topic))
            case text:
                words.append(text)
    done = shell(str(tool(tmp_path)), *words)
    assert done.returncode == 0, done.stderr
    documents = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"_aws"')]
    alarm = resources["Changed"]["Properties"]
    (dimension,) = alarm["Dimensions"]
    found = [one for one in documents if alarm["MetricName"] in one and list(dimensions(one)) == [dimension["Name"]]]
    assert [one["Trail"] for one in found] == [simulation.manifest.trail_arn.split("/")[1]]
    assert found[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == alarm["Namespace"]


def dimensions(document: Mapping[str, Any]) -> list[str]:
    names: list[str] = document["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]
    return names


@pytest.mark.parametrize("path", [TEMPLATES[0], TEMPLATES[2]], ids=lambda path: path.name)
def test_alarms_watch_metrics_that_there_are(path: Path) -> None:
    known = {
        (one.name, tuple(name for name, _ in one.labels)) for one in cloudwatch_samples(measure(samples.telling()))
    }
    alarms = [
        one["Properties"] for one in template(path)["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"
    ]
    assert len(alarms) >= 2
    for alarm in alarms:
        assert (alarm["MetricName"], tuple(one["Name"] for one in alarm["Dimensions"])) in known


def test_the_functions_settings_are_those_that_the_handler_reads() -> None:
    function = template(TEMPLATES[1])["Resources"]["Function"]["Properties"]
    values = {
        "TrailArn": samples.TRAIL_ARN,
        "TrailBucket": samples.BUCKET,
        "TrailPrefix": "",
        "${StatePlace}": "DOC-EXAMPLE-STATE-BUCKET/ctvalidate/state",
        "${Alerts}": "arn:aws:sns:us-east-1:111122223333:alerts",
    }
    environment = {}
    for name, given in function["Environment"]["Variables"].items():
        value = given["If"][1] if "If" in given else given
        text = values[value["Ref"]] if "Ref" in value else value["Sub"]
        environment[name] = re.sub(r"\$\{\w+\}", lambda match: values[match[0]], text)
    settings = read_settings(environment)
    assert (settings.bucket, settings.prefix, settings.trail_arn) == (samples.BUCKET, None, samples.TRAIL_ARN)
    assert settings.state == "s3://DOC-EXAMPLE-STATE-BUCKET/ctvalidate/state"
    assert [target.name for target in settings.targets] == ["sns:arn:aws:sns:us-east-1:111122223333:alerts"]
    module, _, name = function["Handler"].rpartition(".")
    assert callable(getattr(sys.modules[module], name))


# -- Prometheus ------------------------------------------------------------------------------------------------------


@needs("promtool")
def test_prometheus_takes_the_rules() -> None:
    shell("promtool", "check", "rules", str(RULES_FILE)).check_returncode()
    done = subprocess.run(
        ["promtool", "test", "rules", "prometheus-rules.test.yml"],
        cwd=RULES_FILE.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@needs("promtool")
def test_promtool_takes_the_metrics(tmp_path: Path) -> None:
    for told in (*samples.verdicts().values(), samples.hostile()):
        write_textfile(str(tmp_path / "ct.prom"), measure(told))
        with (tmp_path / "ct.prom").open() as file:
            done = subprocess.run(
                ["promtool", "check", "metrics"], stdin=file, capture_output=True, text=True, timeout=60, check=False
            )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_rules_watch_metrics_that_there_are(tmp_path: Path) -> None:
    write_textfile(str(tmp_path / "ct.prom"), measure(samples.telling()))
    written = set(re.findall(r"^# TYPE (\w+) gauge$", (tmp_path / "ct.prom").read_text(), re.MULTILINE))
    named = set(re.findall(r"ctvalidate_\w+", RULES_FILE.read_text()))
    assert named <= written
    rules = [rule["alert"] for rule in yaml.safe_load(RULES_FILE.read_text())["groups"][0]["rules"]]
    tested = (EXAMPLES / "monitoring" / "prometheus-rules.test.yml").read_text()
    assert [rule for rule in rules if f"alertname: {rule}" not in tested] == []
    assert len(RULES) > 20
