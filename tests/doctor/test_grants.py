"""`ctvalidate policy`: what it grants is what is asked, no more, and Access Analyzer's grammar takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import pytest

from cloudtrail_validate.cli import SUBCOMMANDS, group
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Scope
from cloudtrail_validate.doctor.grants.documents import (
    Places,
    bucket_policy,
    caller_policy,
    identity_policy,
    key_policy,
)
from cloudtrail_validate.doctor.grants.needs import LOCAL, WITH_NEEDS, WITHOUT_NEEDS, needs
from cloudtrail_validate.doctor.model import Ask
from tests.cli.helpers import call, spawn
from tests.doctor.test_gather import DENIED
from tests.doctor.test_remedies import lint
from tests.doctor.worlds import TRAIL, gathered, healthy
from tests.examples_kit import BUCKET, deliver, keys_below, window
from tests.servers.answers import World

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from tests.servers.answers import AnswerServer
    from tests.servers.aws import AwsServer

ROLE: Final = "arn:aws:iam::123456789012:role/auditor"
KEY: Final = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PLACES: Final = Places(bucket="amzn-s3-demo-bucket", trail_arn=TRAIL, key=KEY, grantee=ROLE)
CASES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "validate": ("validate", {"trail_arn": TRAIL}),
    "bucket": ("validate", {"bucket": "amzn-s3-demo-bucket"}),
    "everything": (
        "validate",
        {
            "trail_arn": TRAIL,
            "also_buckets": ("amzn-s3-demo-bucket1",),
            "versions": True,
            "lookup_events": True,
            "state": "s3://amzn-s3-demo-bucket2/state/",
            "notify": (
                "sns:arn:aws:sns:us-east-1:111122223333:alarms",
                "eventbridge:security",
                "eventbridge:arn:aws:events:us-east-1:111122223333:event-bus/security",
                "securityhub",
                "webhook:https://example.com",
                "file:alerts.jsonl",
            ),
            "metrics": ("cloudwatch:ctvalidate", "run.prom", "emf:-"),
        },
    ),
    "doctor": ("doctor", {"trail_arn": TRAIL}),
    "snapshot": ("snapshot", {"trail_arn": TRAIL, "sign_with": f"kms:{KEY}"}),
    "shard": ("validate", {"trail_arn": TRAIL, "part": "s3://amzn-s3-demo-bucket2/part-1.json"}),
    "recheck": ("recheck", {"checksum_report": "s3://amzn-s3-demo-bucket2/job/manifest.json", "bucket": "b"}),
    "plan": ("plan", {"trail_arn": TRAIL}),
    "merge": ("merge", {"parts": ("s3://amzn-s3-demo-bucket2/part-1", "part-2")}),
    "recover": ("recover", {}),
    "fetch-signatures": ("fetch-signatures", {"bucket": "amzn-s3-demo-bucket"}),
    "file": ("file", {"where": "s3://amzn-s3-demo-bucket/AWSLogs/x"}),
    "diff": ("diff", {"original": "s3://amzn-s3-demo-bucket/a", "altered": "b"}),
    "simulate": ("simulate", {"dest": "s3://amzn-s3-demo-bucket/"}),
    "keys": ("keys export", {}),
}


def granted(policy: dict[str, Any]) -> dict[str, set[str]]:
    """Actions by resource."""
    found: dict[str, set[str]] = {}
    for statement in policy["Statement"]:
        actions = statement["Action"]
        found.setdefault(statement["Resource"], set()).update([actions] if isinstance(actions, str) else actions)
    return found


def actions(policy: dict[str, Any]) -> set[str]:
    return set().union(*granted(policy).values())


# -- grammar


def test_policies_keep_the_grammar_and_name_actions_that_exist(tmp_path: Path) -> None:
    """By cfn-lint: grammar of policies of identities and resources, and the actions of every service."""
    files = []
    for name, (command, options) in CASES.items():
        found = needs(command, options)
        resources: dict[str, Any] = {
            "Identity": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": identity_policy(found, PLACES)},
            },
            "Caller": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": caller_policy(found, PLACES, ROLE)},
            },
        }
        bucket, key = bucket_policy(found, PLACES), key_policy(found, PLACES)
        if bucket is not None:
            properties = {"Bucket": "amzn-s3-demo-bucket", "PolicyDocument": bucket}
            resources["Bucket"] = {"Type": "AWS::S3::BucketPolicy", "Properties": properties}
        if key is not None:
            keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
            resources["Key"] = {"Type": "AWS::KMS::Key", **keep, "Properties": {"KeyPolicy": key}}
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
        files.append(file)
    lint(*files)


def test_the_linter_would_have_found_a_mistake(tmp_path: Path) -> None:
    policy = identity_policy(needs("validate", {"trail_arn": TRAIL}), PLACES)
    policy["Statement"][0] |= {"Effect": "Permit", "Action": "cloudtrail:ListPublicKey"}
    resources = {"P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": policy}}}
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    with pytest.raises(AssertionError, match=r"(?s)E3510.*W3037|W3037.*E3510"):
        lint(file)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_granted_on_everything_that_could_be_narrowed(name: str) -> None:
    policy = identity_policy(needs(*CASES[name]), PLACES)
    everywhere = granted(policy).get("*", set())
    assert not {action for action in everywhere if action.startswith(("s3:", "kms:", "sns:", "events:Put"))}
    reading = ("Get", "List", "Describe", "Lookup", "Simulate")
    writing = {action for action in actions(policy) if not action.partition(":")[2].startswith(reading)}
    allowed = {
        "everything": {"s3:PutObject", "sns:Publish", "events:PutEvents", "securityhub:BatchImportFindings"}
        | {"cloudwatch:PutMetricData"},
        "shard": {"s3:PutObject"},
        "simulate": {"s3:PutObject"},
        "snapshot": {"kms:Sign"},
    }
    assert writing - {"kms:Decrypt"} == allowed.get(name, set())
    for statement in policy["Statement"]:
        if "kms:Decrypt" in statement["Action"]:
            assert statement["Condition"] == {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}


def test_china_is_another_partition() -> None:
    places = Places(partition="aws-cn", bucket="b", trail_arn=TRAIL.replace("arn:aws:", "arn:aws-cn:"))
    text = json.dumps(identity_policy(needs("validate", {"trail_arn": places.trail_arn}), places))
    assert "arn:aws:" not in text
    assert "s3.*.amazonaws.com.cn" in text


# -- exactly what is asked


@pytest.mark.parametrize("arguments", [(), ("--versions", "--lookup-events")], ids=["plain", "more"])
def test_validation_asks_what_its_policy_grants(
    arguments: tuple[str, ...], aws: AwsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation = deliver(aws, versioning=True, IsMultiRegionTrail=True, IsOrganizationTrail=True)
    aws.client("s3").delete_object(Bucket=BUCKET, Key=keys_below(aws, "CloudTrail")[3])
    line = ["--trail-arn", simulation.manifest.trail_arn, *window(simulation), *arguments]
    policy = json.loads(call(capsys, "policy", "--bucket", BUCKET, *line).out)
    aws.calls.clear()
    assert spawn(*line).code == 1
    asked = {permission for permission, _ in aws.calls} - {"sts:GetCallerIdentity"}
    unasked = {"cloudtrail:LookupEvents", "s3:GetBucketVersioning"} if arguments else set()  # for want of an occasion
    assert asked == actions(policy) - {"kms:Decrypt"} - unasked


def test_the_doctor_needs_no_more_than_its_policy_grants(answers: AnswerServer, auditor: Aws) -> None:
    """Everything that the policy does not name is denied, and no check misses it."""
    allowed = actions(identity_policy(needs("doctor", {"trail_arn": TRAIL}), PLACES))
    every = [ask for ask in vars(asks).values() if isinstance(ask, Ask)]
    denied = {ask.name: DENIED for ask in every if not set(ask.grants) <= allowed}
    assert set(denied) == {"cloudtrail:GetTrail", "ec2:DescribeRegions"}
    facts = gathered(answers, auditor, World({**healthy().calls, **denied}, healthy().objects), Scope(trail_arn=TRAIL))
    assert facts.denied == ()
    used = {action for ask in every for action in ask.grants} - {"cloudtrail:GetTrail", "ec2:DescribeRegions"}
    assert allowed == used


def test_fewer_checks_need_less() -> None:
    found = needs("doctor", {"trail_arn": TRAIL, "chosen": ("bucket-versioning",)})
    assert {need.action for need in found} == {"cloudtrail:DescribeTrails", "s3:GetBucketVersioning"}
    rest = needs("doctor", {"trail_arn": TRAIL, "skipped": ("self-writes",)})
    assert "iam:SimulatePrincipalPolicy" not in {need.action for need in rest}


def test_narrower_options_need_less() -> None:
    whole = {need.action for need in needs("validate", {"trail_arn": TRAIL})}
    narrow = {
        need.action for need in needs("validate", {"trail_arn": TRAIL, "regions": ("us-east-1",), "accounts": ("1",)})
    }
    assert whole - narrow == {"account:ListRegions", "organizations:ListAccounts"}
    copy = needs("validate", {"source": Path("copy"), "public_keys": Path("keys.json")})
    assert copy == ()
    required = {need.action for need in needs("validate", {"bucket": "b", "trail_arn": TRAIL}) if need.required}
    assert required == {"s3:GetObject", "s3:ListBucket", "kms:Decrypt", "cloudtrail:ListPublicKeys"}


def test_every_option_is_known_to_need_something_or_nothing() -> None:
    """An option that is new must say what it needs: in `grants.needs`."""
    context = click.Context(group)
    for name in set(SUBCOMMANDS) - LOCAL - {"simulate"}:
        found = group.get_command(context, name)
        assert found is not None
        commands = found.commands.values() if isinstance(found, click.Group) else [found]
        for command in commands:
            options = {str(param.name) for param in command.params if isinstance(param, click.Option)}
            assert options - WITH_NEEDS - WITHOUT_NEEDS == set(), name
    assert not WITH_NEEDS & WITHOUT_NEEDS


# -- the command


def test_policy_is_one_document_and_remarks_go_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "policy", "--trail-arn", TRAIL, "--last", "24h")
    assert answer.code == 0
    assert "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*" in granted(json.loads(answer.out))
    assert "DOC-EXAMPLE-BUCKET" in answer.err
    named = call(
        capsys,
        "policy",
        "--kms-key",
        KEY,
        "--trail-arn",
        TRAIL,
        "--last",
        "24h",
        "--s3-bucket",
        "b",
        "--s3-prefix",
        "p",
    )
    assert set(granted(json.loads(named.out))) == {"*", TRAIL, KEY, "arn:aws:s3:::b", "arn:aws:s3:::b/p/AWSLogs/*"}
    assert named.err == ""


def test_policies_for_another_account(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--trail-arn", TRAIL, "--last", "24h", "--s3-bucket", "b", "--role-arn", ROLE]
    key = json.loads(call(capsys, "policy", "--kind", "key", *line).out)["Statement"]
    assert [(each["Principal"]["AWS"], each["Action"], each["Resource"]) for each in key] == [
        (ROLE, "kms:Decrypt", "*")
    ]
    bucket = json.loads(call(capsys, "policy", "--kind", "bucket", *line).out)["Statement"]
    assert {each["Resource"] for each in bucket} == {"arn:aws:s3:::b", "arn:aws:s3:::b/AWSLogs/*"}
    caller = json.loads(call(capsys, "policy", "--kind", "caller", *line).out)["Statement"]
    assert [(each["Action"], each["Resource"]) for each in caller] == [("sts:AssumeRole", ROLE)]


POINT: Final = "arn:aws:s3:eu-central-1:111122223333:accesspoint/trail-copy"


@pytest.mark.parametrize(
    ("named", "files"),
    [
        ("s3://amzn-s3-demo-bucket/a/", "arn:aws:s3:::amzn-s3-demo-bucket/a/AWSLogs/*"),
        ("arn:aws:s3:::amzn-s3-demo-bucket", "arn:aws:s3:::amzn-s3-demo-bucket/AWSLogs/*"),
        (POINT, f"{POINT}/object/AWSLogs/*"),
    ],
)
def test_a_bucket_is_named_in_every_way_that_validation_takes(
    capsys: pytest.CaptureFixture[str], named: str, files: str
) -> None:
    answer = call(capsys, "policy", "--s3-bucket", named, "--last", "24h", "--public-keys", "keys.json")
    assert granted(json.loads(answer.out))[files] == {"s3:GetObject"}


@pytest.mark.parametrize("named", ["amzn-s3-demo-bucket", "s3://amzn-s3-demo-bucket/AWSLogs/111122223333/"])
def test_signatures_are_fetched_with_one_permission(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, named: str
) -> None:
    answer = call(capsys, "policy", "--required-only", "fetch-signatures", named, str(tmp_path))
    assert granted(json.loads(answer.out)) == {"arn:aws:s3:::amzn-s3-demo-bucket/AWSLogs/*": {"s3:GetObject"}}


def test_alerts_are_sent_by_the_caller_and_never_by_the_role(capsys: pytest.CaptureFixture[str]) -> None:
    topic = "arn:aws:sns:us-east-1:111122223333:alarms"
    line = ["--trail-arn", TRAIL, "--last", "24h", "--notify", f"sns:{topic}", "--metrics", "cloudwatch:ctvalidate"]
    alone = json.loads(call(capsys, "policy", *line).out)
    assert {"sns:Publish", "cloudwatch:PutMetricData"} <= actions(alone)
    role = json.loads(call(capsys, "policy", *line, "--role-arn", ROLE).out)
    assert not {"sns:Publish", "cloudwatch:PutMetricData"} & actions(role)
    caller = json.loads(call(capsys, "policy", "--kind", "caller", *line, "--role-arn", ROLE).out)
    assert actions(caller) == {"sts:AssumeRole", "sns:Publish", "cloudwatch:PutMetricData"}


def test_a_plan_only_lists() -> None:
    found = {need.action for need in needs("plan", {"bucket": "b"})}
    assert found == {"s3:ListBucket"}


def test_policy_of_what_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "policy", "explain")
    assert (answer.code, answer.out) == (0, "")
    assert "needs no identity policy" in answer.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["nothing-like-this"], "no such command"),
        (["keys", "import"], "no such command"),
        (["--last-but-one", "24h"], "No such option"),
        (["--trail-arn", "arn:aws:s3:::x", "--last", "24h"], "--trail-arn: expected"),
        (["--kind", "everything"], "--kind"),
        (["doctor", "--retention-days", "0"], "--retention-days"),
    ],
)
def test_a_line_that_would_not_run_has_no_policy(
    line: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = call(capsys, "policy", *line)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.line


def test_policy_asks_aws_nothing() -> None:
    answer = spawn("policy", "doctor", "--trail-arn", TRAIL, env={"PATH": "", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert answer.code == 0
    assert "cloudtrail:DescribeTrails" in actions(json.loads(answer.out))
