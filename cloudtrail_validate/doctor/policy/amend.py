"""The bucket policy as it should be: what is there, made narrower, with what is missing. A proposal to read.

Statements that let others write are left as they are: only their owner knows what they are for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from cloudtrail_validate.core.layout import LOG_KIND
from cloudtrail_validate.doctor.facts import Facts, Trail
from cloudtrail_validate.doctor.model import Health, Unread
from cloudtrail_validate.doctor.policy.checks import judge_tls
from cloudtrail_validate.doctor.policy.document import Document, parse
from cloudtrail_validate.doctor.policy.questions import CLOUDTRAIL, names_source, own_folder, shut_out, some_trail

_ACCOUNT = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")


def amended(facts: Facts) -> dict[str, Any] | None:
    """Return the policy with aws:SourceArn, the missing accounts and TLS; None where it cannot be read or written."""
    trail, policy = facts.trail, facts.bucket.policy
    if not isinstance(trail, Trail) or isinstance(policy, Unread):
        return None
    document = parse(policy) if policy else Document()
    if document.problems:
        return None
    value: dict[str, Any] = json.loads(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    listed = value["Statement"] if isinstance(value["Statement"], list) else [value["Statement"]]
    labels = set(names_source(document))
    statements = [
        _sourced(facts, trail, item) if statement.label in labels else _exact(facts, trail, item)
        for item, statement in zip(listed, document.statements, strict=True)
    ]
    shut, _ = shut_out(facts, trail, document)
    if not any(_asks_for_acl(item) for item in statements):
        statements.append(_acl_check(facts, trail, shut))
    statements += [_delivery(facts, trail, account) for account in shut]
    if judge_tls(facts).health is not Health.OK:
        statements.append(_tls(facts))
    return {**value, "Statement": statements}


def _sourced(facts: Facts, trail: Trail, item: dict[str, Any]) -> dict[str, Any]:
    """A statement for CloudTrail that names no trail, with the trails of the accounts that its resources are for."""
    named = _accounts(item)
    there = () if isinstance(facts.bucket.accounts, Unread) else facts.bucket.accounts
    known = {trail.account, *(account for account, _ in there)}
    sources = [source for account in sorted(named or known) for source in _sources(facts, trail, account)]
    condition = dict(item.get("Condition", {}))
    condition["ArnLike"] = {**condition.get("ArnLike", {}), "aws:SourceArn": sources}
    return {**item, "Condition": condition}


def _exact(facts: Facts, trail: Trail, item: dict[str, Any]) -> dict[str, Any]:
    """A statement for CloudTrail whose aws:SourceArn fits any trail of the account, with those that deliver here."""
    if item.get("Effect") != "Allow" or CLOUDTRAIL.value not in json.dumps(item.get("Principal", "")):
        return item
    condition = {
        operator: {
            key: _narrowed(facts, trail, value) if key.lower() == "aws:sourcearn" else value
            for key, value in keys.items()
        }
        for operator, keys in item.get("Condition", {}).items()
    }
    return {**item, "Condition": condition} if condition else item


def _narrowed(facts: Facts, trail: Trail, value: Any) -> Any:
    listed = value if isinstance(value, list) else [value]
    own = re.compile(rf"arn:[a-z-]+:cloudtrail:[^:]*:{trail.account}:(trail/)?\*")
    if not any(isinstance(each, str) and own.fullmatch(each) for each in listed):
        return value
    kept = [each for each in listed if not (isinstance(each, str) and own.fullmatch(each))]
    return [*kept, *(source for source in _sources(facts, trail, trail.account) if source not in kept)]


def _sources(facts: Facts, trail: Trail, account: str) -> Iterable[str]:
    """The trails of an account that may deliver: known by name in the trail's own account, by their account elsewhere."""
    if account != trail.account:
        return [some_trail(facts.partition, account)]
    others = () if isinstance(facts.others, Unread) else facts.others
    mine = [other.arn for other in others if other.bucket == trail.bucket and other.account == account]
    return [trail.arn, *mine]


def _accounts(item: dict[str, Any]) -> set[str]:
    return set(_ACCOUNT.findall(json.dumps(item.get("Resource", ""))))


def _asks_for_acl(item: dict[str, Any]) -> bool:
    return "getbucketacl" in json.dumps(item.get("Action", "")).lower() and item.get("Effect") == "Allow"


def _acl_check(facts: Facts, trail: Trail, shut: Iterable[str]) -> dict[str, Any]:
    accounts = sorted({trail.account, *shut})
    return {
        "Sid": "CloudTrailAclCheck",
        "Effect": "Allow",
        "Principal": {"Service": CLOUDTRAIL.value},
        "Action": "s3:GetBucketAcl",
        "Resource": facts.bucket_arn,
        "Condition": {
            "ArnLike": {"aws:SourceArn": [each for name in accounts for each in _sources(facts, trail, name)]}
        },
    }


def _delivery(facts: Facts, trail: Trail, account: str) -> dict[str, Any]:
    """A statement for an account that has none, for the folder that it has in the bucket, else beside the trail's own."""
    mine = account == trail.account or trail.organization
    there = {} if isinstance(facts.bucket.accounts, Unread) else dict(facts.bucket.accounts)
    folder = f"{facts.bucket_arn}/{there.get(account, facts.base)}{account}/*"
    if mine:
        folder = own_folder(facts, trail, account).removesuffix(f"{LOG_KIND}/*") + "*"
    return {
        "Sid": f"CloudTrailWrite{account}",
        "Effect": "Allow",
        "Principal": {"Service": CLOUDTRAIL.value},
        "Action": "s3:PutObject",
        "Resource": folder,
        "Condition": {
            "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"},
            "ArnLike": {"aws:SourceArn": [trail.arn] if mine else list(_sources(facts, trail, account))},
        },
    }


def _tls(facts: Facts) -> dict[str, Any]:
    return {
        "Sid": "DenyRequestsWithoutTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [facts.bucket_arn, f"{facts.bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
