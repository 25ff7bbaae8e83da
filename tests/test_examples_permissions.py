"""`examples/iam`, `cross-account` and `kms`: policies hold what the source asks and AWS is asked, and no more."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore import xform_name

from tests.examples_kit import (
    BUCKET,
    EXAMPLES,
    ON_REQUEST,
    ROOT,
    blocks,
    deliver,
    keys_below,
    policy_actions,
    question,
    shell,
    window,
)
from tests.servers import faults
from tests.servers.clients import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy

PACKAGE: Final = ROOT / "cloudtrail_validate"

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

BY_S3: Final = "kms:Decrypt"  # S3 asks KMS in the caller's name
FREE: Final = "sts:GetCallerIdentity"  # needs no permission
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
