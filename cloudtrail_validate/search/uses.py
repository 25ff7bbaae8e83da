"""Questions with a name: what monitoring of an account looks for, as `--use NAME`. Pure data and small functions.

Sources: CIS AWS Foundations Benchmark, "Monitoring", and the AWS CloudTrail User Guide's examples of alarms. A name counts
with its source, since services share names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from cloudtrail_validate.search.event import ROOT, Event, value_of
from cloudtrail_validate.search.prefilter import Needle

Test = Callable[[Event, str], bool]
NEW_REGION: Final = "new-region"


class Use(msgspec.Struct, frozen=True):
    """A named question: what it finds, its number in CIS's monitoring section, and how.

    `literals` are those of which each hit has one (see `Needle`); none means that every event is looked at. `test` is given
    the event and the bucket that the trail writes to (empty: not known).
    """

    title: str
    literals: tuple[tuple[str, str], ...]
    test: Test
    cis: str = ""


def _names(*names: str, source: str = "") -> tuple[tuple[tuple[str, str], ...], Test]:
    wanted = frozenset(names)

    def test(event: Event, _bucket: str) -> bool:
        return event.name in wanted and source in ("", event.source)

    return tuple(("eventName", name) for name in names), test


def _said(raw: msgspec.Raw, name: str) -> Any:
    value = value_of(raw)
    return value.get(name) if isinstance(value, dict) else None


def _login_failed(event: Event, _bucket: str) -> bool:
    failed = _said(event.response, "ConsoleLogin") == "Failure" or event.error is not None
    return event.name == "ConsoleLogin" and failed


def _no_mfa(event: Event, _bucket: str) -> bool:
    kind = event.identity.type if event.identity else None
    return (
        event.name == "ConsoleLogin"
        and kind in ("IAMUser", ROOT)
        and _said(event.response, "ConsoleLogin") == "Success"
        and _said(event.additional, "MFAUsed") != "Yes"
    )


def _by_root(event: Event, _bucket: str) -> bool:
    identity = event.identity
    own = identity is not None and identity.type == ROOT and identity.invoked_by is None
    return own and event.type != "AwsServiceEvent"


def _denied(event: Event, _bucket: str) -> bool:
    code = event.error or ""
    return code.startswith("AccessDenied") or code.endswith("UnauthorizedOperation")


def _by_somebody(event: Event, _bucket: str) -> bool:
    kind = event.identity.type if event.identity else None
    return not event.reads and kind not in (None, "AWSService") and event.type != "AwsServiceEvent"


_ON_BUCKET: Final = (
    *("DeleteObject", "DeleteObjects", "PutObject", "DeleteBucket", "PutBucketAcl", "PutBucketPolicy"),
    *("DeleteBucketPolicy", "PutBucketLifecycle", "PutBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    *("DeleteBucketLifecycle", "PutBucketVersioning", "PutBucketReplication", "DeleteBucketReplication"),
    *("PutBucketEncryption", "DeleteBucketEncryption", "PutObjectLockConfiguration", "PutBucketPublicAccessBlock"),
    *("PutBucketNotification", "PutBucketLogging", "PutBucketOwnershipControls", "DeleteObjectVersion"),
)


def _on_log_bucket(event: Event, bucket: str) -> bool:
    if event.name not in _ON_BUCKET or event.source != "s3.amazonaws.com":
        return False
    if event.identity is not None and event.identity.invoked_by == "cloudtrail.amazonaws.com":
        return False  # the deliveries themselves, where data events of the bucket are recorded
    return not bucket or _said(event.parameters, "bucketName") == bucket


def _use(title: str, found: tuple[tuple[tuple[str, str], ...], Test], cis: str = "") -> Use:
    return Use(title, found[0], found[1], cis)


USES: Final[Mapping[str, Use]] = MappingProxyType(
    {
        "console-failed": Use("console logins that failed", (("eventName", "ConsoleLogin"),), _login_failed, "4.6"),
        "no-mfa": Use("console logins without MFA", (("eventName", "ConsoleLogin"),), _no_mfa, "4.2"),
        "root-use": Use("use of the root user", (("type", ROOT),), _by_root, "4.3"),
        "denied": Use("calls that were denied", (("", "AccessDenied"), ("", "UnauthorizedOperation")), _denied, "4.1"),
        "policy-change": _use(
            "changes of IAM policies and roles",
            _names(
                *("CreatePolicy", "DeletePolicy", "CreatePolicyVersion", "DeletePolicyVersion"),
                *("SetDefaultPolicyVersion", "AttachRolePolicy", "DetachRolePolicy", "AttachUserPolicy"),
                *("DetachUserPolicy", "AttachGroupPolicy", "DetachGroupPolicy", "PutRolePolicy", "DeleteRolePolicy"),
                *("PutUserPolicy", "DeleteUserPolicy", "PutGroupPolicy", "DeleteGroupPolicy", "CreateRole"),
                *("DeleteRole", "UpdateRole", "UpdateAssumeRolePolicy", "PutRolePermissionsBoundary"),
                *("DeleteRolePermissionsBoundary", "PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary"),
                source="iam.amazonaws.com",
            ),
            "4.4",
        ),
        "key-created": _use(
            "new access keys and console passwords",
            _names("CreateAccessKey", "CreateLoginProfile", "UpdateLoginProfile", source="iam.amazonaws.com"),
        ),
        "trail-change": _use(
            "changes of trails and of what they record",
            _names(
                *("CreateTrail", "UpdateTrail", "DeleteTrail", "StartLogging", "StopLogging", "PutEventSelectors"),
                *("PutInsightSelectors", "DeleteEventDataStore", "UpdateEventDataStore", "StopEventDataStoreIngestion"),
                source="cloudtrail.amazonaws.com",
            ),
            "4.5",
        ),
        "trail-bucket": Use(
            "changes of the bucket that holds the logs, and of what lies in it",
            tuple(("eventName", name) for name in _ON_BUCKET),
            _on_log_bucket,
        ),
        "kms-kill": _use(
            "keys disabled or scheduled for deletion",
            _names("DisableKey", "ScheduleKeyDeletion", "DeleteImportedKeyMaterial", source="kms.amazonaws.com"),
            "4.7",
        ),
        "bucket-policy": _use(
            "who may use a bucket",
            _names(
                *("PutBucketAcl", "PutBucketPolicy", "DeleteBucketPolicy", "PutBucketCors", "DeleteBucketCors"),
                *("PutBucketLifecycle", "DeleteBucketLifecycle", "PutBucketReplication", "DeleteBucketReplication"),
                *("PutBucketPublicAccessBlock", "DeleteBucketPublicAccessBlock", "PutAccountPublicAccessBlock"),
                source="s3.amazonaws.com",
            ),
            "4.8",
        ),
        "config-change": _use(
            "changes of AWS Config's recorder",
            _names(
                *("StopConfigurationRecorder", "DeleteDeliveryChannel", "PutDeliveryChannel"),
                *("PutConfigurationRecorder", "DeleteConfigurationRecorder"),
                source="config.amazonaws.com",
            ),
            "4.9",
        ),
        "sg-change": _use(
            "changes of security groups",
            _names(
                *("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress", "RevokeSecurityGroupIngress"),
                *("RevokeSecurityGroupEgress", "CreateSecurityGroup", "DeleteSecurityGroup"),
                *("ModifySecurityGroupRules",),
                source="ec2.amazonaws.com",
            ),
            "4.10",
        ),
        "network-change": _use(
            "changes of network ACLs, gateways, route tables and VPCs",
            _names(
                *("CreateNetworkAcl", "CreateNetworkAclEntry", "DeleteNetworkAcl", "DeleteNetworkAclEntry"),
                *("ReplaceNetworkAclEntry", "ReplaceNetworkAclAssociation", "CreateCustomerGateway"),
                *("DeleteCustomerGateway", "AttachInternetGateway", "CreateInternetGateway", "DeleteInternetGateway"),
                *("DetachInternetGateway", "CreateRoute", "CreateRouteTable", "ReplaceRoute", "DeleteRoute"),
                *("ReplaceRouteTableAssociation", "DeleteRouteTable", "DisassociateRouteTable", "CreateVpc"),
                *("DeleteVpc", "ModifyVpcAttribute", "AcceptVpcPeeringConnection", "CreateVpcPeeringConnection"),
                *("DeleteVpcPeeringConnection", "RejectVpcPeeringConnection"),
                source="ec2.amazonaws.com",
            ),
            "4.11 to 4.14",
        ),
        "organization-change": _use(
            "changes of the organization",
            _names(
                *("AcceptHandshake", "AttachPolicy", "CreateAccount", "CreateOrganizationalUnit", "CreatePolicy"),
                *("DeclineHandshake", "DeleteOrganization", "DeleteOrganizationalUnit", "DeletePolicy", "DetachPolicy"),
                *("DisablePolicyType", "EnablePolicyType", "InviteAccountToOrganization", "LeaveOrganization"),
                *("MoveAccount", "RemoveAccountFromOrganization", "UpdatePolicy", "UpdateOrganizationalUnit"),
                *("DisableAWSServiceAccess", "DeregisterDelegatedAdministrator", "CloseAccount"),
                source="organizations.amazonaws.com",
            ),
            "4.15",
        ),
        "instances": _use(
            "instances started, stopped and terminated",
            _names(
                *("RunInstances", "StartInstances", "StopInstances", "TerminateInstances", "RebootInstances"),
                source="ec2.amazonaws.com",
            ),
        ),
        NEW_REGION: Use("the first change by a person or role in each account and region", (), _by_somebody),
    }
)
"""By name. `new-region` is every such change here; whoever gathers the hits keeps the first of each account and region."""


def needle_of(names: tuple[str, ...]) -> Needle | None:
    """Return the needle of several questions of which one must be met, None where one of them looks at every event."""
    uses = [USES[name] for name in names]
    if not uses or not all(use.literals for use in uses):
        return None
    return Needle(literal for use in uses for literal in use.literals)
