"""Reports to render: of the healthy world, of one with many weaknesses, of one where AWS's answers are hostile."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cloudtrail_validate.doctor.examine import examine
from cloudtrail_validate.doctor.facts import Facts
from cloudtrail_validate.doctor.registry import CHECKS
from cloudtrail_validate.doctor.report import DoctorReport, build
from tests.doctor.worlds import NOW, VECTORS, gathered, healthy, load
from tests.servers.answers import World

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from tests.servers.answers import AnswerServer

HOSTILE: Final = "\x1b[31m\x07\r\n</script><img src=x onerror=alert(1)>\u202e{0} [a](javascript:b) 'x'; rm -rf / #"
WEAKNESSES: Final = (
    *("bucket-policy-writers/other-account", "bucket-versioning/suspended", "bucket-lifecycle/one-day"),
    *(
        "trail-selectors/identity-left-out",
        "stop-alarm/none",
        "bucket-object-lock/governance",
        "bucket-access-log/neither",
    ),
    *("bucket-replication/none", "bucket-public/unblocked", "bucket-ownership/lists", "bucket-encryption/open"),
    *("kms-state/pending", "kms-policy/foreign", "self-writes/administrator", "bucket-notification/stranger"),
)


def world(*names: str) -> World:
    """The healthy world with the weaknesses of vectors."""
    calls = dict(healthy().calls)
    for name in names:
        calls |= load(VECTORS / f"{name}.json").calls
    return World(calls, healthy().objects)


def report_of(server: AnswerServer, aws: Aws, of: World) -> tuple[Facts, DoctorReport]:
    """An examination of a world, three seconds long."""
    facts = gathered(server, aws, of)
    return facts, build(
        facts, examine(facts, CHECKS.values()), NOW + timedelta(seconds=3), {"trail-log-group": "--skip"}
    )


def hostile() -> World:
    """Wherever AWS repeats what somebody chose, somebody chose badly."""
    base = dict(healthy().calls)
    statement = {
        "Sid": HOSTILE,
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::123456789012:role/{HOSTILE}"},
        "Action": "s3:*",
        "Resource": "*",
    }
    base |= {
        "sts:GetCallerIdentity": {
            "Account": "111122223333",
            "UserId": "x",
            "Arn": f"arn:aws:iam::111122223333:user/{HOSTILE}",
        },
        "s3:GetBucketPolicy": {"Policy": json.dumps({"Statement": [statement]})},
        "s3:GetBucketNotificationConfiguration": {
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": "arn:x'; rm -rf / #", "Events": ["s3:ObjectCreated:*"]}
            ]
        },
        "s3:GetBucketLifecycleConfiguration": {
            "Rules": [{"ID": "'; rm -rf / #", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
        },
        "cloudtrail:GetTrailStatus": {
            "IsLogging": True,
            "LatestDeliveryError": HOSTILE,
            "LatestDigestDeliveryError": HOSTILE,
        },
        "events:ListRules": {"Rules": [{"Name": HOSTILE, "State": "ENABLED", "EventPattern": HOSTILE}]},
        "kms:GetKeyPolicy": {"Policy": json.dumps({"Statement": [statement]})},
    }
    return World(base, healthy().objects)
