"""Everything in `examples/` is run as it stands there."""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore import xform_name

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.simulate import FolderSink, S3Sink, Simulation, TrailSpec, simulate
from tests.servers import faults
from tests.servers.clients import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy
    from tests.servers.receiver import Receiver

ROOT: Final = Path(__file__).parent.parent
EXAMPLES: Final = ROOT / "examples"
PACKAGE: Final = ROOT / "cloudtrail_validate"
BUCKET: Final = "amzn-s3-demo-bucket"
STATE_BUCKET: Final = "amzn-s3-demo-state-bucket"
SPEC: Final = TrailSpec(accounts=("123456789012",), bucket=BUCKET, hours=12, logs_per_hour=2)  # moto's own account
TIMEOUT: Final = 180

linux = pytest.mark.skipif(shutil.which("flock") is None, reason="the shell scripts use flock and GNU coreutils")


def shell(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example with the tool and the AWS CLI of this environment on its PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": "100", **variables}
    return subprocess.run(command, env=env, cwd=ROOT, text=True, capture_output=True, timeout=TIMEOUT, check=False)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a document that are in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def deliver(aws: AwsServer, spec: TrailSpec = SPEC, *, versioning: bool = False, **trail: Any) -> Simulation:
    """A trail with its bucket and keys, as if moto's CloudTrail had written it."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=spec.bucket)
    if versioning:
        s3.put_bucket_versioning(Bucket=spec.bucket, VersioningConfiguration={"Status": "Enabled"})
    simulation = simulate(spec, S3Sink(spec.bucket, s3, threads=4))
    for key in simulation.keys:
        start, end = key.valid
        aws.public_keys.setdefault(key.region, []).append(
            {"Value": key.der, "ValidityStartTime": start, "ValidityEndTime": end, "Fingerprint": key.fingerprint}
        )
    cloudtrail = aws.client("cloudtrail", spec.home)
    cloudtrail.create_trail(Name=spec.trail_name, S3BucketName=spec.bucket, EnableLogFileValidation=True, **trail)
    aws.calls.clear()
    return simulation


def question(simulation: Simulation) -> dict[str, str]:
    """The variables by which the examples are told what to validate."""
    manifest = simulation.manifest
    return {
        "TRAIL_ARN": manifest.trail_arn,
        "BUCKET": manifest.bucket,
        "START": isoformat(manifest.start),
        "END": isoformat(manifest.end),
    }


def window(simulation: Simulation) -> list[str]:
    """The simulation's window as options."""
    asked = question(simulation)
    return ["--start-time", asked["START"], "--end-time", asked["END"]]


def keys_below(aws: AwsServer, kind: str) -> list[str]:
    """Keys of the bucket's digests or logs, in order of time."""
    listed = aws.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [item["Key"] for item in listed if f"/{kind}/" in item["Key"] and item["Key"].endswith(".gz")]


# -- incident runbook ------------------------------------------------------------------------------------------------


def runbook(tmp_path: Path, simulation: Simulation) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the runbook from its first block to its last, in one shell that stops at the first failure."""
    case = tmp_path / "case"
    script = "\n".join(blocks(EXAMPLES / "incident-runbook.md", "sh"))
    variables = {**question(simulation), "CASE": str(case), "EXAMPLES": str(EXAMPLES)}
    return shell("/bin/sh", "-euc", script, **variables), case


def findings(report: Path) -> set[tuple[str, str]]:
    """(rule, key) of what a report says beyond notices."""
    document = json.loads(report.read_text(encoding="utf-8"))
    return {(item["rule"], item["key"]) for item in document["findings"] if item["status"] != "notice"}


@linux
def test_runbook_names_what_was_done_and_gets_the_genuine_record_back(aws: AwsServer, tmp_path: Path) -> None:
    simulation = deliver(aws, versioning=True)
    s3 = aws.client("s3")
    logs, digests = keys_below(aws, "CloudTrail"), keys_below(aws, "CloudTrail-Digest")
    s3.put_object(Bucket=BUCKET, Key=logs[1], Body=gzip.compress(b'{"Records":[]}'))
    s3.delete_object(Bucket=BUCKET, Key=logs[4])
    s3.put_object(Bucket=BUCKET, Key=digests[2], Body=gzip.compress(b"{}"))

    done, case = runbook(tmp_path, simulation)

    assert done.returncode == 0, done.stderr
    accused = findings(case / "report.json")
    assert {("log-altered", logs[1]), ("log-missing", logs[4]), ("digest-malformed", digests[2])} <= accused
    assert json.loads((case / "report.json").read_text())["exit_code"] == 1
    changes = (case / "changes.txt").read_text()
    assert logs[1].rpartition("/")[2][:40] in changes.replace("\n", "").replace(" ", "")
    assert "removed" in changes
    assert "as it was proven" in (case / "verified.txt").read_text()
    recovered = json.loads((case / "recovered.json").read_text())
    assert (recovered["exit_code"], findings(case / "recovered.json")) == (0, set())
    assert "IsLogging" in json.loads((case / "trail-status.json").read_text())
    shell("/bin/sh", "-c", f"cd {shlex.quote(str(case))} && sha256sum --check --quiet SHA256SUMS").check_returncode()


@linux
def test_runbook_does_not_clear_what_has_no_genuine_version(aws: AwsServer, tmp_path: Path) -> None:
    simulation = deliver(aws)  # no versioning: what is deleted is gone
    lost, model = keys_below(aws, "CloudTrail")[3:5]
    planted = re.sub(r"_[A-Za-z0-9]{16}\.json", "_PlantedPlanted00.json", model)
    s3 = aws.client("s3")
    s3.delete_object(Bucket=BUCKET, Key=lost)
    s3.put_object(Bucket=BUCKET, Key=planted, Body=gzip.compress(b'{"Records":[]}'))

    done, case = runbook(tmp_path, simulation)

    assert done.returncode == 0, done.stderr
    expected = {("log-missing", lost), ("log-extra", planted)}
    assert findings(case / "report.json") == findings(case / "recovered.json") == expected
    assert json.loads((case / "recovered.json").read_text())["exit_code"] == 1


# -- cron ------------------------------------------------------------------------------------------------------------


def cron(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return shell(str(EXAMPLES / "cron" / "ctvalidate-cron.sh"), str(folder), *options)


def local(tmp_path: Path, *tampers: str) -> list[str]:
    """A simulated folder, as the options that validate it."""
    simulation = simulate(SPEC, FolderSink(tmp_path / "trail"), tampers)
    keys = tmp_path / "keys.json"
    keys.write_text(simulation.keys.as_json())
    return ["--source", str(tmp_path / "trail"), "--public-keys", str(keys), *window(simulation)]


@linux
@pytest.mark.parametrize(
    ("tampers", "code", "words"),
    [((), 0, ""), (("log-altered",), 1, "EVIDENCE OF CHANGE"), (("gap-tail",), 3, "not everything could be proven")],
)
def test_cron_is_silent_only_about_success(tmp_path: Path, tampers: tuple[str, ...], code: int, words: str) -> None:
    folder = tmp_path / "reports"
    done = cron(folder, *local(tmp_path, *tampers))
    assert done.returncode == code, done.stderr
    assert words in done.stdout
    assert bool(done.stdout) == bool(code)
    (line,) = (folder / "runs.log").read_text().splitlines()
    assert line.split()[1] == str(code)
    (report,) = folder.glob("*.json")
    assert json.loads(report.read_text())["exit_code"] == code


@linux
def test_cron_tells_of_a_wrong_command_and_of_no_digest(tmp_path: Path) -> None:
    wrong = cron(tmp_path / "wrong", "--trail-arn", "management-events", "--last", "26h")
    assert wrong.returncode == 2
    assert "--trail-arn: expected arn:aws:cloudtrail" in wrong.stdout
    (tmp_path / "empty").mkdir()
    keys = local(tmp_path)[3]
    empty = cron(tmp_path / "none", "--source", str(tmp_path / "empty"), "--public-keys", keys, "--last", "26h")
    assert empty.returncode in (2, 4)
    assert "exit code" in empty.stdout


@linux
def test_cron_does_not_run_twice_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    with subprocess.Popen(
        ["flock", str(folder / "lock"), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as held:
        assert held.stdin is not None
        assert held.stdout is not None
        held.stdin.write(b"locked\n")
        held.stdin.flush()
        held.stdout.readline()  # cat answers: flock has the lock
        done = cron(folder, "--last", "1h")
        held.stdin.close()
    assert (done.returncode, done.stdout) == (75, "")
    assert not (folder / "runs.log").exists()


def crontab() -> Iterator[tuple[str, str]]:
    """(name, value) of the crontab's variables, and ("", command) of its jobs."""
    for line in (EXAMPLES / "cron" / "crontab").read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        variable = re.fullmatch(r"([A-Z_]+)=(.*)", line)
        if variable:
            yield variable[1], variable[2]
        else:
            fields = line.split(maxsplit=5)
            assert all(re.fullmatch(r"\*|\d{1,2}", field) for field in fields[:5]), line
            yield "", fields[5]


def tool(folder: Path) -> Path:
    """The command of this environment. Where it keeps no state yet, one that passes `--state` over."""
    real = Path(sys.executable).with_name("ctvalidate")
    if "--state" in shell(str(real), "validate", "--help").stdout:
        return real
    stateless = folder / "ctvalidate"
    stateless.write_text(
        "#!/bin/sh\nfor word do\n    shift\n"
        '    if [ "$word" = --state ]; then skip=1; elif [ "${skip:-}" ]; then skip=; else set -- "$@" "$word"; fi\n'
        f'done\nexec {shlex.quote(str(real))} "$@"\n'
    )
    stateless.chmod(0o755)
    return stateless


def hourly(aws: AwsServer, hours: int = 28) -> Simulation:
    """A trail whose newest digest is that of the last hour, and a bucket for the state."""
    last_hour = (datetime.now(UTC) - timedelta(minutes=31)).replace(minute=0, second=0, microsecond=0)
    spec = TrailSpec(
        accounts=SPEC.accounts, bucket=BUCKET, start=last_hour - timedelta(hours=hours), hours=hours, logs_per_hour=1
    )
    aws.client("s3").create_bucket(Bucket=STATE_BUCKET)
    return deliver(aws, spec)


@linux
def test_crontab_lines_work_as_they_stand(aws: AwsServer, receiver: Receiver, tmp_path: Path) -> None:
    """The hourly window lies within the trail; the weekly one begins before its first digest, which is exit code 3."""
    simulation = hourly(aws)
    topic = aws.client("sns").create_topic(Name="cloudtrail-integrity")["TopicArn"]
    settings = tmp_path / "ctvalidate.env"
    example = (EXAMPLES / "cron" / "ctvalidate.env.example").read_text()
    example = re.sub(r"arn:aws:sns:[^ \"]+", topic, example).replace("https://hc-ping.com", receiver.url)
    settings.write_text(example)
    config = tmp_path / "config"
    config.write_text("[profile ctvalidate]\nregion = us-east-1\n")
    variables = dict(item for item in crontab() if item[0])
    variables |= {
        "TRAIL_ARN": simulation.manifest.trail_arn,
        "EXAMPLES": str(EXAMPLES),
        "CTVALIDATE": str(tool(tmp_path)),
        "CTVALIDATE_ENV": str(settings),
        "AWS_CONFIG_FILE": str(config),
        "STATE": f"s3://{STATE_BUCKET}/ctvalidate/state",
        "REPORTS": str(tmp_path / "reports"),
    }
    (tmp_path / "reports").mkdir()
    aws.calls.clear()
    every_hour, weekly = (shell("/bin/sh", "-c", job, **variables) for name, job in crontab() if not name)
    assert (every_hour.returncode, every_hour.stdout) == (0, ""), every_hour.stdout + every_hour.stderr
    assert weekly.returncode == 3, weekly.stdout + weekly.stderr
    assert "gap-late-start" in weekly.stdout
    assert [path.rpartition("/")[2] for path in receiver.paths] == ["0", "3"]  # the heartbeat tells the exit codes
    assert aws.calls["sns:Publish", "us-east-1"] == 1  # a pass is not told of


@linux
def test_cron_prunes_old_reports_and_keeps_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    times = {"20250101T004000Z": 0, "20250101T014000Z": 1, "20250101T024000Z": 3}
    (folder / "runs.log").write_text("".join(f"{time} {code} text\n" for time, code in times.items()))
    names = [f"{time}.{ending}" for time in times for ending in ("json", "txt", "log")] + [
        "notes.txt",
        "2025-audit.json",
    ]
    old = (datetime.now(UTC) - timedelta(days=91)).timestamp()
    for name in names:
        (folder / name).write_text("{}")
        os.utime(folder / name, (old, old))
    (folder / "20250101T034000Z.json").write_text("{}")  # written just now, whatever its name says
    shell(str(EXAMPLES / "cron" / "ctvalidate-cron.sh"), str(folder), *local(tmp_path)).check_returncode()
    left = {path.name for path in folder.iterdir() if path.name in names}
    assert left == {name for name in names if "T014000Z" in name} | {"notes.txt", "2025-audit.json"}
    assert (folder / "20250101T034000Z.json").exists()


# -- permissions -----------------------------------------------------------------------------------------------------

S3_PERMISSIONS: Final = {  # Service Authorization Reference: the permission's name is not the operation's
    "head_bucket": {"s3:ListBucket"},
    "list_objects_v2": {"s3:ListBucket"},
    "get_object": {"s3:GetObject", "s3:GetObjectVersion"},
    "head_object": {"s3:GetObject"},
    "put_object": {"s3:PutObject"},
    "list_object_versions": {"s3:ListBucketVersions"},
    "get_bucket_versioning": {"s3:GetBucketVersioning"},
    "get_bucket_lifecycle_configuration": {"s3:GetLifecycleConfiguration"},
}
ON_REQUEST: Final = {  # --lookup-events, --versions
    "cloudtrail:LookupEvents",
    "s3:ListBucketVersions",
    "s3:GetBucketVersioning",
    "s3:GetObjectVersion",
}
BY_S3: Final = "kms:Decrypt"  # S3 asks KMS in the caller's name
FREE: Final = "sts:GetCallerIdentity"  # needs no permission


def policy_actions(name: str = "policy.json") -> set[str]:
    policy = json.loads((EXAMPLES / "iam" / name).read_text())
    assert policy["Version"] == "2012-10-17"
    actions: set[str] = set()
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)
    return actions


SENDING: Final = ("notify", "metrics")  # rooms that send with the caller's own rights, not with the auditor's role
WITNESSING: Final = {"cloudtrail:GetEventSelectors", "logs:FilterLogEvents"}  # what only a witness asks: witness.json
SIGNING: Final = {"kms:GetPublicKey", "kms:Sign", "kms:Verify"}  # with a key of the caller's own: see ctvalidate policy
KEEPING: Final = {"s3:PutObject"}  # a state, or the part of a shard, into a bucket of its own: state.json


def modules(rooms: tuple[str, ...] | None) -> Iterator[Path]:
    """The source of some rooms, or of all that read: the simulator writes trails, with a developer's rights."""
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        sends = place.parts[0] in SENDING
        if "simulate" not in place.as_posix() and (not sends if rooms is None else place.parts[0] in rooms):
            yield path


def actions_in_source(rooms: tuple[str, ...] | None = None) -> set[str]:
    """What the tool's own boto3 calls need: services by `client("…")`, operations by attribute or paginator name."""
    services, names = set(), set()
    for path in modules(rooms):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    if node.func.attr == "client":
                        services.add(first.value)
                    elif node.func.attr == "get_paginator":
                        names.add(first.value)
    actions: set[str] = set()
    for service in services:
        model = session().client(service, "us-east-1").meta.service_model  # type: ignore[call-overload]  # by name
        for operation in model.operation_names:
            method = xform_name(operation)
            if method in names:
                actions |= S3_PERMISSIONS[method] if service == "s3" else {f"{service}:{operation}"}
    return actions - {FREE}


def test_policy_holds_exactly_what_the_source_calls() -> None:
    assert policy_actions() == actions_in_source() - KEEPING - SIGNING - WITNESSING | {BY_S3}
    assert policy_actions("witness.json") == WITNESSING | {"cloudtrail:LookupEvents", "cloudtrail:DescribeTrails"}


def test_policy_of_sending_holds_exactly_what_the_source_sends() -> None:
    assert policy_actions("telling.json") == actions_in_source(SENDING)


def test_policy_of_the_state_can_write_the_state_and_nothing_else() -> None:
    """ListBucket tells a state that is not there from one that may not be read."""
    assert policy_actions("state.json") == {"s3:GetObject", "s3:PutObject", "s3:ListBucket"}
    source = "".join(path.read_text(encoding="utf-8") for path in modules(("state",)))
    assert set(re.findall(r"\.((?:get|put|delete|copy|list)_object\w*)\(", source)) == {"get_object", "put_object"}


def test_each_permission_is_explained() -> None:
    table = re.findall(r"^\| `([a-z0-9]+:[A-Za-z]+)` \|", (EXAMPLES / "iam" / "README.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(policy_actions())


def test_policy_holds_exactly_what_is_asked_of_aws(aws: AwsServer) -> None:
    """One run that is allowed everything, and one that must take the second way where there is one."""
    simulation = deliver(aws, IsMultiRegionTrail=True, IsOrganizationTrail=True)
    aws.client("s3").delete_object(Bucket=BUCKET, Key=keys_below(aws, "CloudTrail")[3])
    asked: set[str] = set()
    for denied in (set[str](), {"cloudtrail:DescribeTrails", "account:ListRegions"}):
        aws.denied = denied
        aws.calls.clear()
        done = shell("ctvalidate", "--trail-arn", simulation.manifest.trail_arn, *window(simulation))
        assert done.returncode == 1, done.stderr
        asked |= {permission for permission, _ in aws.calls}
    assert asked - {FREE} == policy_actions() - {BY_S3} - ON_REQUEST


# -- another account, KMS --------------------------------------------------------------------------------------------


def test_cross_account_role(aws: AwsServer) -> None:
    folder = EXAMPLES / "cross-account"
    created = shell(str(folder / "create-role.sh"))
    assert created.returncode == 0, created.stderr
    iam = aws.client("iam")
    role = iam.get_role(RoleName="ctvalidate")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    external_id = statement["Condition"]["StringEquals"]["sts:ExternalId"]
    script = (folder / "validate.sh").read_text()
    assert f"EXTERNAL_ID:={external_id}" in script
    policy = iam.get_role_policy(RoleName="ctvalidate", PolicyName="read-cloudtrail-files")["PolicyDocument"]
    assert policy == json.loads((EXAMPLES / "iam" / "policy.json").read_text())

    simulation = deliver(aws)
    (command,) = blocks(folder / "README.md", "sh")
    command = command.strip().replace("--last 24h", f"{shlex.join(window(simulation))} --format json")
    done = shell("/bin/sh", "-c", command, **question(simulation))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["run"]["caller_arn"] == "arn:aws:sts::999999999999:assumed-role/ctvalidate/ctvalidate"
    assert sum(number for (permission, _), number in aws.calls.items() if permission == "sts:AssumeRole") == 1


def test_kms_refusal_is_named_and_is_no_tampering(aws: AwsServer, fault_proxy: Callable[[str], FaultProxy]) -> None:
    simulation = deliver(aws)
    proxy = fault_proxy(aws.endpoint)
    proxy.fault(faults.kms_denied(), method="GET", path=r"/CloudTrail/.*\.json\.gz$")
    document = EXAMPLES / "kms" / "README.md"
    (command,) = blocks(document, "sh")
    done = shell("/bin/sh", "-c", command, **question(simulation), AWS_ENDPOINT_URL_S3=proxy.endpoint)
    assert done.returncode == 3, done.stderr
    (shown,) = blocks(document, "text")
    logs = simulation.manifest.logs
    for line in shown.replace("10", str(logs)).splitlines():
        assert line in done.stdout
    assert f"Logs          0        0        0      0  {logs:12}" in done.stdout


def test_key_policy_statement_is_for_the_role() -> None:
    statement = json.loads((EXAMPLES / "kms" / "key-policy-statement.json").read_text())
    assert f"ROLE_ARN:={statement['Principal']['AWS']}}}" in (EXAMPLES / "cross-account" / "validate.sh").read_text()
    (mine,) = (
        item
        for item in json.loads((EXAMPLES / "iam" / "policy.json").read_text())["Statement"]
        if item["Action"] == statement["Action"]
    )
    assert mine["Condition"] == statement["Condition"]


# -- Python ----------------------------------------------------------------------------------------------------------


def library(*arguments: str) -> subprocess.CompletedProcess[str]:
    return shell(sys.executable, str(EXAMPLES / "library.py"), *arguments)


def test_library(tmp_path: Path) -> None:
    _, source, _, keys, _, start, _, end = local(tmp_path, "log-altered", "log-missing:2")
    done = library(source, keys, start, end)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("verdict: changed, ")
    assert "  log-altered: 1\n  log-missing: 2\n" in done.stdout
    assert "  123456789012 us-east-1 standard: 12 h proven, 21 logs valid\n" in done.stdout
    assert len(re.findall(r"^(?:altered: log-altered|missing: log-missing) ", done.stderr, re.MULTILINE)) == 3


def test_library_tells_wrong_requests(tmp_path: Path) -> None:
    _, source, _, keys, _, start, _, end = local(tmp_path)
    for arguments in (
        (source, keys, end, start),
        (source, str(tmp_path / "no.json"), start, end),
        (source, keys, "x", end),
    ):
        done = library(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("wrong request: ")


@pytest.mark.parametrize("prefix", ["", "logs/"])
def test_local_copies_as_the_readme_makes_them(aws: AwsServer, tmp_path: Path, prefix: str) -> None:
    simulation = deliver(aws, replace(SPEC, prefix=prefix.rstrip("/")))
    (block,) = (text for text in blocks(ROOT / "README.md", "sh") if "fetch-signatures" in text)
    sync, fetch, _, validate = block.replace("amzn-s3-demo-bucket", f"{BUCKET}/{prefix}").splitlines()
    fetch = fetch.replace(f"{BUCKET}/{prefix}", f"s3://{BUCKET}/{prefix}")
    (tmp_path / "keys.json").write_text(simulation.keys.as_json())
    times = validate.index("--last")
    validate = f"{validate[:times]} {shlex.join(window(simulation))}"
    if prefix:
        validate += f" --copy-of s3://{BUCKET}/{prefix}"

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return shell("/bin/sh", "-c", f"cd {shlex.quote(str(tmp_path))} && {line}")

    run(sync).check_returncode()
    assert run(validate).returncode == 3  # nothing proves the newest digest, which no successor names
    fetched = run(fetch)
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stderr.startswith(f"ctvalidate: {simulation.manifest.digests} signatures fetched to copy, ")
    done = run(validate)
    assert done.returncode == 0, done.stdout
