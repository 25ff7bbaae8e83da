"""Everything that is asked of AWS, each with the IAM actions that allow it.

Source: Service Authorization Reference; S3's names of actions differ from those of its operations.
"""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.doctor.model import Ask

GET_CALLER_IDENTITY: Final = Ask("sts", "GetCallerIdentity", ())  # "no permissions are required", API reference

DESCRIBE_TRAILS: Final = Ask("cloudtrail", "DescribeTrails", absent=("TrailNotFoundException",))
GET_TRAIL: Final = Ask("cloudtrail", "GetTrail", absent=("TrailNotFoundException",))
GET_TRAIL_STATUS: Final = Ask("cloudtrail", "GetTrailStatus", absent=("TrailNotFoundException",))
GET_EVENT_SELECTORS: Final = Ask("cloudtrail", "GetEventSelectors", absent=("TrailNotFoundException",))
LIST_PUBLIC_KEYS: Final = Ask("cloudtrail", "ListPublicKeys")
LIST_REGIONS: Final = Ask("account", "ListRegions")
DESCRIBE_REGIONS: Final = Ask("ec2", "DescribeRegions")
LIST_RULES: Final = Ask("events", "ListRules")
LIST_TARGETS: Final = Ask("events", "ListTargetsByRule", absent=("ResourceNotFoundException",))
DESCRIBE_METRIC_FILTERS: Final = Ask("logs", "DescribeMetricFilters", absent=("ResourceNotFoundException",))
DESCRIBE_ALARMS: Final = Ask("cloudwatch", "DescribeAlarmsForMetric")

DESCRIBE_ORGANIZATION: Final = Ask(
    "organizations", "DescribeOrganization", absent=("AWSOrganizationsNotInUseException",)
)
LIST_ACCOUNTS: Final = Ask("organizations", "ListAccounts", absent=("AWSOrganizationsNotInUseException",))
LIST_PARENTS: Final = Ask("organizations", "ListParents", absent=("AWSOrganizationsNotInUseException",))
LIST_POLICIES: Final = Ask("organizations", "ListPoliciesForTarget", absent=("AWSOrganizationsNotInUseException",))
DESCRIBE_POLICY: Final = Ask("organizations", "DescribePolicy", absent=("PolicyNotFoundException",))

HEAD_BUCKET: Final = Ask("s3", "HeadBucket", ("s3:ListBucket",), ("404", "NoSuchBucket"))
LIST_OBJECTS: Final = Ask("s3", "ListObjectsV2", ("s3:ListBucket",))
LIST_VERSIONS: Final = Ask("s3", "ListObjectVersions", ("s3:ListBucketVersions",))
GET_OBJECT: Final = Ask("s3", "GetObject", ("s3:GetObject", "kms:Decrypt"), ("NoSuchKey",))
GET_VERSIONING: Final = Ask("s3", "GetBucketVersioning")
GET_OBJECT_LOCK: Final = Ask(
    "s3",
    "GetObjectLockConfiguration",
    ("s3:GetBucketObjectLockConfiguration",),
    ("ObjectLockConfigurationNotFoundError",),
)
GET_LIFECYCLE: Final = Ask(
    "s3", "GetBucketLifecycleConfiguration", ("s3:GetLifecycleConfiguration",), ("NoSuchLifecycleConfiguration",)
)
GET_POLICY: Final = Ask("s3", "GetBucketPolicy", absent=("NoSuchBucketPolicy",))
GET_POLICY_STATUS: Final = Ask("s3", "GetBucketPolicyStatus", absent=("NoSuchBucketPolicy",))
GET_PUBLIC_BLOCK: Final = Ask(
    "s3", "GetPublicAccessBlock", ("s3:GetBucketPublicAccessBlock",), ("NoSuchPublicAccessBlockConfiguration",)
)
GET_ACL: Final = Ask("s3", "GetBucketAcl")
GET_OWNERSHIP: Final = Ask("s3", "GetBucketOwnershipControls", absent=("OwnershipControlsNotFoundError",))
GET_REPLICATION: Final = Ask(
    "s3", "GetBucketReplication", ("s3:GetReplicationConfiguration",), ("ReplicationConfigurationNotFoundError",)
)
GET_LOGGING: Final = Ask("s3", "GetBucketLogging")
GET_NOTIFICATION: Final = Ask("s3", "GetBucketNotificationConfiguration", ("s3:GetBucketNotification",))
GET_ENCRYPTION: Final = Ask(
    "s3",
    "GetBucketEncryption",
    ("s3:GetEncryptionConfiguration",),
    ("ServerSideEncryptionConfigurationNotFoundError",),
)

DESCRIBE_KEY: Final = Ask("kms", "DescribeKey", absent=("NotFoundException",))
GET_KEY_POLICY: Final = Ask("kms", "GetKeyPolicy", absent=("NotFoundException",))

GET_ROLE: Final = Ask("iam", "GetRole", absent=("NoSuchEntity", "NoSuchEntityException"))
SIMULATE: Final = Ask("iam", "SimulatePrincipalPolicy", absent=("NoSuchEntity", "NoSuchEntityException"))

TRAIL: Final = (GET_CALLER_IDENTITY, DESCRIBE_TRAILS)
"""What every check stands on: who asks, and which trail and bucket it is about. GET_TRAIL where that is denied."""
