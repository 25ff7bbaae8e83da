"""JSON documents that remedies hand to AWS, made of what is there: calls that replace a whole setting keep the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from cloudtrail_validate.core.layout import DIGEST_KIND, LOG_KIND
from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.doctor.bucket.lifecycle import NONCURRENT_DAYS, rules_for
from cloudtrail_validate.doctor.facts import ARCHIVES, BasicSelector, Encryption, Facts, LifecycleRule, Selectors, Trail
from cloudtrail_validate.doctor.model import Unread
from cloudtrail_validate.doctor.organization import SILENCING as ACTIONS
from cloudtrail_validate.doctor.policy.amend import amended
from cloudtrail_validate.doctor.policy.questions import CLOUDTRAIL, some_trail
from cloudtrail_validate.doctor.trail.alarm import SILENCING

Value = dict[str, Any] | list[Any] | None


def alarm_pattern(_: Facts | None = None) -> dict[str, Any]:
    """Return the event pattern of the calls that silence a trail."""
    return {
        "source": ["aws.cloudtrail"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventSource": ["cloudtrail.amazonaws.com"], "eventName": list(SILENCING)},
    }


def topic_policy(facts: Facts) -> Value:
    """Return the policy by which EventBridge may publish to the alarm's topic."""
    if not isinstance(facts.trail, Trail):
        return None
    place = f"{facts.trail.home_region}:{facts.trail.account}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": f"arn:{facts.partition}:sns:{place}:cloudtrail-stopped",
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": f"arn:{facts.partition}:events:{place}:rule/cloudtrail-stopped"}
                },
            }
        ],
    }


def management_selectors(facts: Facts) -> Value:
    """Return selectors that record all management events, and the data events that are recorded today."""
    known = facts.selectors.get(facts.trail.arn) if isinstance(facts.trail, Trail) else None
    everything = {
        "Name": "Management events",
        "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}],
    }
    return [everything, *(_data_selectors(known) if isinstance(known, Selectors) else [])]


def _data_selectors(selectors: Selectors) -> list[dict[str, Any]]:
    found = [data for basic in selectors.basic for data in _converted(basic)]
    for selector in selectors.advanced:
        if any(field.field == "eventCategory" and "Management" in field.values for field in selector.fields):
            continue
        fields: dict[str, dict[str, Any]] = {}
        for field in selector.fields:
            fields.setdefault(field.field, {"Field": field.field})[field.operator] = list(field.values)
        found.append({"Name": selector.name or "Data events", "FieldSelectors": list(fields.values())})
    return found


def _converted(basic: BasicSelector) -> list[dict[str, Any]]:
    """A basic selector's data events as advanced selectors, one a type: a trail has selectors of one kind only."""
    read_only = {"ReadOnly": ["true"], "WriteOnly": ["false"]}.get(basic.read_write)
    found = []
    for sort in dict.fromkeys(sort for sort, _ in basic.resources):
        values = [value for other, value in basic.resources if other == sort]
        fields: list[dict[str, Any]] = [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": [sort]},
        ]
        if all(value.count(":") >= 5 for value in values):  # shorter ones, such as arn:aws:s3, stand for everything
            fields.append({"Field": "resources.ARN", "StartsWith": values})
        if read_only:
            fields.append({"Field": "readOnly", "Equals": read_only})
        found.append({"Name": f"Data events of {sort}", "FieldSelectors": fields})
    return found


def bucket_selectors(facts: Facts) -> Value:
    """Return selectors that record who writes to the log bucket and deletes from it."""
    if not facts.bucket.name:
        return None
    return [
        {
            "Name": "Writes to the log bucket",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                {"Field": "resources.ARN", "StartsWith": [f"{facts.bucket_arn}/"]},
                {"Field": "readOnly", "Equals": ["false"]},
            ],
        }
    ]


def lock_configuration(facts: Facts) -> Value:
    """Return the default retention in compliance mode for the days that are wanted."""
    retention = {"Mode": "COMPLIANCE", "Days": facts.scope.retention_days}
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}


def replication(facts: Facts) -> Value:
    """Return a replication to a bucket of another account, which deletions do not follow."""
    rule = {
        "ID": "cloudtrail",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {"Prefix": facts.base},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {
            "Bucket": f"arn:{facts.partition}:s3:::ARCHIVE_BUCKET",
            "Account": "ARCHIVE_ACCOUNT",
            "AccessControlTranslation": {"Owner": "Destination"},
        },
    }
    return {"Role": "REPLICATION_ROLE_ARN", "Rules": [rule]}


def lifecycle(facts: Facts) -> Value:
    """Return the bucket's rules, with logs, digests and versions kept for as long as is wanted, where they can be read."""
    rules = facts.bucket.lifecycle
    if isinstance(rules, Unread):
        return None
    logs, digests = rules_for(facts, LOG_KIND), rules_for(facts, DIGEST_KIND)
    kept = max([facts.scope.retention_days, *(rule.expires for rule in logs if rule.expires is not None)])
    forever = not any(rule.expires is not None for rule in logs)
    out = []
    for rule in rules:
        if rule not in logs and rule not in digests:
            out.append(dict(rule.source))
            continue
        mended = _mended(rule, None if forever and rule in digests else kept)
        if set(mended) & {"Expiration", "Transitions", "NoncurrentVersionExpiration", "NoncurrentVersionTransitions"}:
            out.append(mended)
    return {"Rules": out}


def _mended(rule: LifecycleRule, days: int | None) -> dict[str, Any]:
    source: dict[str, Any] = dict(rule.source)
    if rule.expires is not None:
        source.pop("Expiration", None)
        if days is not None:
            source["Expiration"] = {"Days": max(days, rule.expires)}
    noncurrent = source.get("NoncurrentVersionExpiration")
    if rule.noncurrent_expires is not None and rule.noncurrent_expires < NONCURRENT_DAYS:
        source["NoncurrentVersionExpiration"] = {**dict(noncurrent or {}), "NoncurrentDays": NONCURRENT_DAYS}
    moves = [move for move in source.pop("Transitions", ()) if move.get("StorageClass") not in ARCHIVES]
    return source | ({"Transitions": moves} if moves else {})


def encryption_configuration(facts: Facts) -> Value:
    """Return the bucket's default encryption as it is, with customer-provided keys refused."""
    known = facts.bucket.encryption
    if isinstance(known, Unread):
        return None
    default = known if isinstance(known, Encryption) else Encryption("AES256", "", False, ())
    by_default = {"SSEAlgorithm": default.algorithm or "AES256"} | (
        {"KMSMasterKeyID": default.key} if default.key else {}
    )
    return {
        "Rules": [
            {
                "ApplyServerSideEncryptionByDefault": by_default,
                "BucketKeyEnabled": default.bucket_key,
                "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
            }
        ]
    }


def control_policy(facts: Facts) -> Value:
    """Return the service control policy that keeps the trail as it is."""
    if not isinstance(facts.trail, Trail):
        return None
    statement = {"Sid": "KeepTheTrail", "Effect": "Deny", "Action": list(ACTIONS), "Resource": facts.trail.arn}
    return {"Version": "2012-10-17", "Statement": [statement]}


def key_statement(facts: Facts) -> Value:
    """Return the key policy's statement by which CloudTrail encrypts for this trail alone."""
    if not isinstance(facts.trail, Trail):
        return None
    return {
        "Sid": "CloudTrailEncrypts",
        "Effect": "Allow",
        "Principal": {"Service": CLOUDTRAIL.value},
        "Action": "kms:GenerateDataKey*",
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:SourceArn": facts.trail.arn},
            "StringLike": {
                "kms:EncryptionContext:aws:cloudtrail:arn": some_trail(facts.partition, facts.trail.account)
            },
        },
    }


DOCUMENTS: Final[Mapping[str, Callable[[Facts], Value]]] = {
    "alarm_pattern": alarm_pattern,
    "topic_policy": topic_policy,
    "management_selectors": management_selectors,
    "bucket_selectors": bucket_selectors,
    "lock_configuration": lock_configuration,
    "replication": replication,
    "lifecycle": lifecycle,
    "encryption_configuration": encryption_configuration,
    "policy": amended,
    "control_policy": control_policy,
    "key_statement": key_statement,
}
"""Documents by the name that remedies call them."""


def text_of(value: Value) -> str | None:
    """One line of JSON in ASCII, which no terminal obeys; None where there is no document."""
    return None if value is None else json.dumps(value, separators=(",", ":"), default=_encoded)


def _encoded(value: object) -> str:
    return isoformat(value) if isinstance(value, datetime) else str(value)
