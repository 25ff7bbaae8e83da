"""Reads AWS's answers into facts. Pure; a wrong shape raises one of `aws.session.MALFORMED`, which the caller handles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import utc
from cloudtrail_validate.doctor.facts import (
    AccessLog,
    AclGrant,
    AdvancedSelector,
    BasicSelector,
    Caller,
    Encryption,
    FieldSelector,
    FunctionHook,
    Head,
    Key,
    LifecycleRule,
    ObjectLock,
    Organization,
    PublicBlock,
    ReplicationRule,
    Sample,
    Selectors,
    Trail,
    TrailStatus,
    Versioning,
)

Answer = Mapping[str, Any]
YEAR: Final = 365  # days, as S3 counts a year of retention
_OPERATORS: Final = ("Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith")


def caller(answer: Answer) -> Caller:
    """GetCallerIdentity."""
    return Caller(str(answer["Arn"]), str(answer["Account"]))


def trail(item: Answer) -> Trail:
    """One item of DescribeTrails, or GetTrail's. A ValueError where its ARN is none."""
    arn = parse_trail_arn(str(item["TrailARN"]))
    if arn is None:
        raise ValueError("TrailARN")
    return Trail(
        arn=str(item["TrailARN"]),
        name=arn.name,
        partition=arn.partition,
        account=arn.account,
        home_region=str(item.get("HomeRegion") or arn.region),
        bucket=str(item.get("S3BucketName") or ""),
        prefix=str(item.get("S3KeyPrefix") or ""),
        multi_region=bool(item.get("IsMultiRegionTrail")),
        global_events=bool(item.get("IncludeGlobalServiceEvents")),
        validation=bool(item.get("LogFileValidationEnabled")),
        organization=bool(item.get("IsOrganizationTrail")),
        log_group=str(item.get("CloudWatchLogsLogGroupArn") or ""),
        sns_topic=str(item.get("SnsTopicARN") or item.get("SnsTopicName") or ""),
        kms_key=str(item.get("KmsKeyId") or ""),
    )


def trails(answer: Answer) -> tuple[Trail, ...]:
    """DescribeTrails."""
    return tuple(trail(item) for item in answer["trailList"])


def status(answer: Answer) -> TrailStatus:
    """GetTrailStatus."""
    return TrailStatus(
        logging=bool(answer["IsLogging"]),
        stopped=_time(answer.get("StopLoggingTime")),
        delivered=_time(answer.get("LatestDeliveryTime")),
        delivery_error=str(answer.get("LatestDeliveryError") or ""),
        digest_delivered=_time(answer.get("LatestDigestDeliveryTime")),
        digest_error=str(answer.get("LatestDigestDeliveryError") or ""),
        log_group_error=str(answer.get("LatestCloudWatchLogsDeliveryError") or ""),
    )


def selectors(answer: Answer) -> Selectors:
    """GetEventSelectors."""
    return Selectors(
        tuple(
            BasicSelector(
                str(item.get("ReadWriteType") or "All"),
                bool(item.get("IncludeManagementEvents", True)),
                tuple(
                    (str(resource["Type"]), str(value))
                    for resource in item.get("DataResources", ())
                    for value in resource.get("Values", ())
                ),
                tuple(map(str, item.get("ExcludeManagementEventSources", ()))),
            )
            for item in answer.get("EventSelectors", ())
        ),
        tuple(
            AdvancedSelector(
                str(item.get("Name") or ""),
                tuple(
                    FieldSelector(str(field["Field"]), operator, tuple(map(str, field[operator])))
                    for field in item["FieldSelectors"]
                    for operator in _OPERATORS
                    if field.get(operator)
                ),
            )
            for item in answer.get("AdvancedEventSelectors", ())
        ),
    )


def organization(answer: Answer) -> Organization:
    """DescribeOrganization."""
    return Organization(str(answer["Organization"]["Id"]), str(answer["Organization"]["MasterAccountId"]))


def head(answer: Answer) -> Head:
    """HeadBucket."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return Head(str(answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or ""))


def versioning(answer: Answer) -> Versioning:
    """GetBucketVersioning."""
    return Versioning(str(answer.get("Status") or ""), str(answer.get("MFADelete") or ""))


def object_lock(answer: Answer) -> ObjectLock | None:
    """GetObjectLockConfiguration."""
    configuration = answer.get("ObjectLockConfiguration", {})
    if configuration.get("ObjectLockEnabled") != "Enabled":
        return None
    retention = configuration.get("Rule", {}).get("DefaultRetention", {})
    days = int(retention.get("Days") or 0) + YEAR * int(retention.get("Years") or 0)
    return ObjectLock(str(retention.get("Mode") or ""), days)


def lifecycle(answer: Answer, now: datetime) -> tuple[LifecycleRule, ...]:
    """GetBucketLifecycleConfiguration. A date counts as the days until then, none where it is past."""
    return tuple(_lifecycle_rule(item, number, now) for number, item in enumerate(answer.get("Rules", ()), 1))


def _lifecycle_rule(item: Answer, number: int, now: datetime) -> LifecycleRule:
    chosen = item.get("Filter", {})
    both = chosen.get("And", {})
    noncurrent = item.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
    moves = sorted(
        item.get("Transitions", ()), key=lambda move: str(move.get("StorageClass")) not in ("GLACIER", "DEEP_ARCHIVE")
    )
    return LifecycleRule(
        name=f"rule {item.get('ID') or number}",
        enabled=item.get("Status") == "Enabled",
        prefix=str(item.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or ""),
        tagged=bool(chosen.get("Tag") or both.get("Tags")),
        expires=_days(item.get("Expiration", {}), now),
        noncurrent_expires=int(noncurrent) if noncurrent is not None else None,
        archives=str(moves[0].get("StorageClass") or "") if moves else "",
        archives_after=_days(moves[0], now) if moves else None,
        source=dict(item),
    )


def _days(item: Answer, now: datetime) -> int | None:
    if item.get("Days") is not None:
        return int(item["Days"])
    date = _time(item.get("Date"))
    return max(0, (date - now).days) if date is not None else None


def public_block(answer: Answer) -> PublicBlock:
    """GetPublicAccessBlock."""
    block = answer["PublicAccessBlockConfiguration"]
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return PublicBlock(*(bool(block.get(name)) for name in names))


def acl(answer: Answer) -> tuple[AclGrant, ...]:
    """GetBucketAcl."""
    owner = answer.get("Owner", {}).get("ID")
    found = []
    for grant in answer.get("Grants", ()):
        grantee = grant.get("Grantee", {})
        name = str(grantee.get("URI") or grantee.get("ID") or grantee.get("EmailAddress") or "")
        found.append(
            AclGrant(name, str(grant.get("Permission") or ""), owner is not None and grantee.get("ID") == owner)
        )
    return tuple(found)


def ownership(answer: Answer) -> str:
    """GetBucketOwnershipControls."""
    return str(answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"])


def replication(answer: Answer) -> tuple[ReplicationRule, ...]:
    """GetBucketReplication."""
    return tuple(
        _replication_rule(item, number)
        for number, item in enumerate(answer["ReplicationConfiguration"].get("Rules", ()), 1)
    )


def _replication_rule(item: Answer, number: int) -> ReplicationRule:
    chosen = item.get("Filter", {})
    both = chosen.get("And", {})
    return ReplicationRule(
        name=str(item.get("ID") or number),
        enabled=item.get("Status") == "Enabled",
        prefix=str(item.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or ""),
        tagged=bool(chosen.get("Tag") or both.get("Tags")),
        bucket=str(item["Destination"]["Bucket"]).rpartition(":")[2],
        account=str(item["Destination"].get("Account") or ""),
        markers=item.get("DeleteMarkerReplication", {}).get("Status") == "Enabled",
    )


def logging(answer: Answer) -> AccessLog | None:
    """GetBucketLogging."""
    target = answer.get("LoggingEnabled")
    return AccessLog(str(target["TargetBucket"]), str(target.get("TargetPrefix") or "")) if target else None


def hooks(answer: Answer) -> tuple[FunctionHook, ...]:
    """GetBucketNotificationConfiguration: the functions."""
    return tuple(
        FunctionHook(
            str(item["LambdaFunctionArn"]),
            tuple(map(str, item.get("Events", ()))),
            _key_rule(item, "prefix"),
            _key_rule(item, "suffix"),
        )
        for item in answer.get("LambdaFunctionConfigurations", ())
    )


def _key_rule(item: Answer, name: str) -> str:
    rules = item.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    return next((str(rule.get("Value") or "") for rule in rules if str(rule.get("Name")).lower() == name), "")


def encryption(answer: Answer) -> Encryption:
    """GetBucketEncryption."""
    (rule, *_) = answer["ServerSideEncryptionConfiguration"]["Rules"]
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    blocked = rule.get("BlockedEncryptionTypes", {}).get("EncryptionType", ())
    key = str(default.get("KMSMasterKeyID") or "")
    return Encryption(
        str(default.get("SSEAlgorithm") or ""), key, bool(rule.get("BucketKeyEnabled")), tuple(map(str, blocked))
    )


def sample(answer: Answer) -> Sample:
    """ListObjectVersions."""
    versions = Counter(str(item["Key"]) for item in answer.get("Versions", ()))
    deleted = dict.fromkeys(str(item["Key"]) for item in answer.get("DeleteMarkers", ()))
    return Sample(versions.total(), tuple(deleted), tuple(key for key, number in versions.items() if number > 1))


def keys(answer: Answer) -> tuple[str, ...]:
    """ListObjectsV2: the objects' keys."""
    return tuple(str(item["Key"]) for item in answer.get("Contents", ()))


def folders(answer: Answer) -> tuple[str, ...]:
    """ListObjectsV2 with a delimiter: the prefixes."""
    return tuple(str(item["Prefix"]) for item in answer.get("CommonPrefixes", ()))


def key(answer: Answer) -> Key:
    """DescribeKey."""
    metadata = answer["KeyMetadata"]
    return Key(
        arn=str(metadata["Arn"]),
        account=str(metadata["AWSAccountId"]),
        state=str(metadata["KeyState"]),
        deletion=_time(metadata.get("DeletionDate")),
        origin=str(metadata.get("Origin") or ""),
        expires=_time(metadata.get("ValidTo")) if metadata.get("ExpirationModel") == "KEY_MATERIAL_EXPIRES" else None,
    )


def alarms(answer: Answer) -> int:
    """DescribeAlarmsForMetric: how many tell somebody."""
    return sum(bool(item.get("ActionsEnabled") and item.get("AlarmActions")) for item in answer.get("MetricAlarms", ()))


def _time(value: Any) -> datetime | None:
    return utc(value) if isinstance(value, datetime) else None
