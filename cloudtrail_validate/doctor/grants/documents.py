"""Needs as policies: of the identity that validates, of the KMS key and of the bucket in another account. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.layout import base_of
from cloudtrail_validate.doctor.grants.needs import ANY, BUCKET, KEY, OBJECTS, TRAIL, Need

VERSION: Final = "2012-10-17"
_SIDS: Final = {
    ANY: "AskAws",
    BUCKET: "ReadTheBucketsSettings",
    OBJECTS: "ReadTheFiles",
    KEY: "UseTheKey",
    TRAIL: "AskForTheTrail",
}
_SUFFIXES: Final = {"aws-cn": "amazonaws.com.cn"}
_ACTION: Final = re.compile(r"^([a-z0-9-]+):")


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The real names. `bucket`, `key` and `grantee` are placeholders of AWS's documentation where they are not known.

    `prefix` is None where it is not known: then the whole bucket may be read.
    """

    partition: str = "aws"
    bucket: str = "DOC-EXAMPLE-BUCKET"
    prefix: str | None = None
    trail_arn: str | None = None
    key: str | None = None
    grantee: str | None = None

    def arn(self, resource: str) -> str:
        """Return the ARN of a need's resource."""
        point = self.bucket.startswith("arn:")  # an access point's ARN stands for a bucket's name
        bucket = self.bucket if point else f"arn:{self.partition}:s3:::{self.bucket}"
        objects = f"{bucket}/object" if point else bucket
        known = {
            ANY: ANY,
            BUCKET: bucket,
            OBJECTS: f"{objects}/*" if self.prefix is None else f"{objects}/{base_of(self.prefix or None)}*",
            KEY: self.key or f"arn:{self.partition}:kms:*:*:key/*",
            TRAIL: self.trail_arn or f"arn:{self.partition}:cloudtrail:*:*:trail/*",
        }
        if resource.startswith("s3://"):
            name, slash, key = resource.removeprefix("s3://").partition("/")
            below = f"{key}*" if slash and (not key or key.endswith("/")) else key
            return f"arn:{self.partition}:s3:::{name}{slash}{below}"
        return known.get(resource) or resource.replace("{partition}", self.partition)


def identity_policy(needs: Iterable[Need], places: Places) -> dict[str, Any]:
    """Return the policy of the identity that runs the command: a user, or the role of `--role-arn`."""
    groups: dict[tuple[str, tuple[tuple[str, str, str], ...]], list[str]] = {}
    for need in sorted(needs):
        groups.setdefault((need.resource, need.condition), []).append(need.action)
    statements: list[dict[str, Any]] = []
    names: dict[str, int] = {}
    for (resource, condition), actions in groups.items():
        sid = _SIDS.get(resource) or f"Use{_service(actions[0])}"
        names[sid] = names.get(sid, 0) + 1
        statement = {
            "Sid": sid if names[sid] == 1 else f"{sid}{names[sid]}",
            "Effect": "Allow",
            "Action": actions[0] if len(actions) == 1 else actions,
            "Resource": places.arn(resource),
        }
        statements.append(statement | _condition(condition, places))
    return {"Version": VERSION, "Statement": statements}


def caller_policy(needs: Iterable[Need], places: Places, role_arn: str) -> dict[str, Any]:
    """Return the policy of whoever assumes the role, and tells others of the run as themselves."""
    statement = {"Sid": "AssumeTheRole", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn}
    told = identity_policy((need for need in needs if need.sender), places)
    return {"Version": VERSION, "Statement": [statement, *told["Statement"]]}


def key_policy(needs: Iterable[Need], places: Places) -> dict[str, Any] | None:
    """Return the statements for the key's policy, which must name an identity of another account; None without need.

    They are added to the key's policy: put-key-policy replaces it.
    """
    groups: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for need in sorted(needs):
        if need.resource == KEY:
            groups.setdefault(need.condition, []).append(need.action)
    statements = [
        {
            "Sid": "AuditorsMayDecryptTheFiles" if condition else "AuditorsMayReadTheKeysSettings",
            "Effect": "Allow",
            "Principal": {"AWS": _grantee(places)},
            "Action": _actions(actions),
            "Resource": ANY,
            **_condition(condition, places),
        }
        for condition, actions in groups.items()
    ]
    return {"Version": VERSION, "Statement": statements} if statements else None


def bucket_policy(needs: Iterable[Need], places: Places) -> dict[str, Any] | None:
    """Return the bucket policy's statements for an identity of another account; None where the bucket is not asked.

    They are added to the bucket's policy: put-bucket-policy replaces it.
    """
    listed = list(needs)
    statements = []
    for resource, sid in ((OBJECTS, "AuditorsMayReadTheFiles"), (BUCKET, "AuditorsMayReadTheBucketsSettings")):
        actions = [need.action for need in sorted(listed) if need.resource == resource]
        if actions:
            statements.append(
                {
                    "Sid": sid,
                    "Effect": "Allow",
                    "Principal": {"AWS": _grantee(places)},
                    "Action": _actions(actions),
                    "Resource": places.arn(resource),
                }
            )
    return {"Version": VERSION, "Statement": statements} if statements else None


def _grantee(places: Places) -> str:
    return places.grantee or f"arn:{places.partition}:iam::999999999999:role/ctvalidate"


def _actions(actions: Iterable[str]) -> str | list[str]:
    listed = list(dict.fromkeys(actions))
    return listed[0] if len(listed) == 1 else listed


def _condition(condition: tuple[tuple[str, str, str], ...], places: Places) -> dict[str, Any]:
    suffix = _SUFFIXES.get(places.partition, "amazonaws.com")
    written: dict[str, dict[str, str]] = {}
    for operator, key, value in condition:
        written.setdefault(operator, {})[key] = value.replace("{suffix}", suffix)
    return {"Condition": written} if written else {}


def _service(action: str) -> str:
    match = _ACTION.match(action)
    return match[1].capitalize().replace("-", "") if match else "It"
