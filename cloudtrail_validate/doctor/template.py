"""`--fix-plan cloudformation`: what is missing altogether, as a CloudFormation template for the trail's home region.

Only new resources are in it: what would mend an existing trail or bucket is a command, since a stack that took them over
could also delete them.
"""

from __future__ import annotations

import json
from typing import Any, Final

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.doctor.documents import alarm_pattern, bucket_selectors
from cloudtrail_validate.doctor.facts import Facts
from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.report import DoctorReport

_MANAGEMENT: Final = {
    "Name": "Management events",
    "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}],
}
_MENDS: Final = {
    "stop-alarm": "alarm",
    "trail-exists": "trail",
    "trail-second-copy": "second",
    "trail-bucket-events": "second",
}
"""Checks that a new resource mends, and the part of the template that does."""


def template(facts: Facts, report: DoctorReport) -> str | None:
    """Return the template as JSON; None where nothing that was found is mended by a new resource."""
    parts = {
        _MENDS[result.check]: None
        for result in report.results
        if result.check in _MENDS and result.status in (Health.BAD, Health.WEAK)
    }
    if not parts:
        return None
    resources: dict[str, Any] = {}
    if "alarm" in parts:
        resources |= _alarm()
    if "trail" in parts:
        arn = parse_trail_arn(facts.scope.trail_arn or "")
        resources |= _trail(facts, "Main", arn.name if arn else "management-events", [_MANAGEMENT])
    elif "second" in parts:
        selectors = bucket_selectors(facts)
        resources |= _trail(facts, "Second", "second-copy", [_MANAGEMENT, *(selectors or [])])
    value = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "What ctvalidate doctor found missing. Settings of what exists: ctvalidate doctor --fix-plan",
        **(_MAIL if "alarm" in parts else {}),
        "Resources": resources,
    }
    return json.dumps(value, indent=2) + "\n"


_MAIL: Final = {
    "Parameters": {
        "MailAddress": {
            "Type": "String",
            "Default": "",
            "Description": "Who is told when a trail is stopped or changed; empty to subscribe later",
        }
    },
    "Conditions": {"Mail": {"Fn::Not": [{"Fn::Equals": [{"Ref": "MailAddress"}, ""]}]}},
}


def _alarm() -> dict[str, Any]:
    return {
        "StopTopic": {"Type": "AWS::SNS::Topic"},
        "StopTopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [{"Ref": "StopTopic"}],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "events.amazonaws.com"},
                            "Action": "sns:Publish",
                            "Resource": {"Ref": "StopTopic"},
                            "Condition": {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["StopRule", "Arn"]}}},
                        }
                    ],
                },
            },
        },
        "StopRule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Description": "A trail is stopped, deleted, changed, or records less",
                "EventPattern": alarm_pattern(),
                "Targets": [{"Id": "sns", "Arn": {"Ref": "StopTopic"}}],
            },
        },
        "StopMail": {
            "Type": "AWS::SNS::Subscription",
            "Condition": "Mail",
            "Properties": {
                "TopicArn": {"Ref": "StopTopic"},
                "Protocol": "email",
                "Endpoint": {"Ref": "MailAddress"},
            },
        },
    }


def _trail(facts: Facts, part: str, name: str, selectors: list[Any]) -> dict[str, Any]:
    """A trail with a bucket of its own, as every check wants them. Both stay when the stack is deleted."""
    keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    bucket = f"{part}Bucket"
    source = {"Fn::Sub": f"arn:${{AWS::Partition}}:cloudtrail:${{AWS::Region}}:${{AWS::AccountId}}:trail/{name}"}
    return {
        bucket: {
            "Type": "AWS::S3::Bucket",
            **keep,
            "Properties": {
                "VersioningConfiguration": {"Status": "Enabled"},
                "ObjectLockEnabled": True,
                "ObjectLockConfiguration": {
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": facts.scope.retention_days}},
                },
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
            },
        },
        f"{bucket}Policy": {"Type": "AWS::S3::BucketPolicy", **keep, "Properties": _policy(bucket, source)},
        f"{part}Trail": {
            "Type": "AWS::CloudTrail::Trail",
            **keep,
            "DependsOn": [f"{bucket}Policy"],
            "Properties": {
                "TrailName": name,
                "S3BucketName": {"Ref": bucket},
                "IsLogging": True,
                "IsMultiRegionTrail": True,
                "IncludeGlobalServiceEvents": True,
                "EnableLogFileValidation": True,
                "AdvancedEventSelectors": selectors,
            },
        },
    }


def _policy(bucket: str, source: dict[str, str]) -> dict[str, Any]:
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    below = {"Fn::Sub": f"${{{bucket}.Arn}}/*"}
    service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    return {
        "Bucket": {"Ref": bucket},
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "CloudTrailAclCheck",
                    **service,
                    "Action": "s3:GetBucketAcl",
                    "Resource": arn,
                    "Condition": {"StringEquals": {"aws:SourceArn": source}},
                },
                {
                    "Sid": "CloudTrailWrite",
                    **service,
                    "Action": "s3:PutObject",
                    "Resource": {"Fn::Sub": f"${{{bucket}.Arn}}/AWSLogs/${{AWS::AccountId}}/*"},
                    "Condition": {
                        "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", "aws:SourceArn": source}
                    },
                },
                {
                    "Sid": "DenyRequestsWithoutTls",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [arn, below],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ],
        },
    }
