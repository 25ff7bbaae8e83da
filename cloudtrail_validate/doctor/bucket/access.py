"""Checks of who reaches the bucket beside its policy: its account, public access, access control lists, encryption."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Trail
from cloudtrail_validate.doctor.model import (
    Answer,
    Axis,
    Check,
    Subject,
    Unread,
    bad,
    ok,
    on_trail,
    unknown,
    weak,
    worst,
)
from cloudtrail_validate.doctor.policy.conditions import Truth
from cloudtrail_validate.doctor.policy.decide import Request, context_of, denied
from cloudtrail_validate.doctor.policy.document import ANYONE, parse

GROUPS: Final = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
"""Groups that anybody is in: with or without an AWS account."""
_WRITES: Final = frozenset({"WRITE", "WRITE_ACP", "FULL_CONTROL"})
_CUSTOMER_KEY: Final = "s3:x-amz-server-side-encryption-customer-algorithm"


@on_trail
def judge_owner(facts: Facts, trail: Trail) -> Answer:
    """Whether the logs lie outside of the account that is watched."""
    owner = facts.bucket.owner
    if facts.bucket.head is None:
        return bad(f"there is no bucket {facts.bucket.name}: whoever makes one of that name gets the logs")
    if isinstance(owner, Unread):
        return unknown(owner)
    if owner == trail.account:
        return weak(f"the bucket belongs to {owner}, the trail's own account")
    return ok(f"the bucket belongs to {owner or 'another account than the trail'}")


def judge_public(facts: Facts) -> Answer:
    """Whether strangers reach the bucket, and whether a slip could let them."""
    bucket = facts.bucket
    answers = [unknown(fact) for fact in (bucket.public, bucket.block, bucket.acl) if isinstance(fact, Unread)]
    if bucket.public is True:
        answers.append(bad("the bucket policy is public"))
    if not isinstance(bucket.acl, Unread):
        answers += [
            bad(f"the access control list gives {grant.permission} to {grant.grantee.rpartition('/')[2]}")
            for grant in bucket.acl
            if grant.grantee in GROUPS
        ]
    if not isinstance(bucket.block, Unread) and (bucket.block is None or not bucket.block.whole):
        answers.append(weak("Block Public Access is not wholly on: one call can make the logs public"))
    return worst(answers, "not public, and Block Public Access is on")


def judge_ownership(facts: Facts) -> Answer:
    """Whether access control lists count at all."""
    ownership, acl = facts.bucket.ownership, facts.bucket.acl
    if isinstance(ownership, Unread):
        return unknown(ownership)
    if ownership == "BucketOwnerEnforced":
        return ok("access control lists are switched off")
    writers = [] if isinstance(acl, Unread) else [each for each in acl if not each.owner and each.permission in _WRITES]
    if writers:
        return bad(f"the access control list lets {writers[0].grantee} write ({writers[0].permission})")
    return weak(f"access control lists count ({ownership or 'no ownership controls'}): a file may belong to its writer")


def judge_encryption(facts: Facts) -> Answer:
    """Whether a file can be replaced by one that is encrypted with a key of the writer's own."""
    encryption, policy = facts.bucket.encryption, facts.bucket.policy
    if isinstance(encryption, Unread):
        return unknown(encryption)
    if encryption is not None and "SSE-C" in encryption.blocked:
        return ok("the bucket refuses customer-provided keys (SSE-C)")
    if isinstance(policy, str) and _refuses_customer_keys(facts, policy):
        return ok("the bucket policy denies writes with customer-provided keys (SSE-C)")
    said = "whoever may write can overwrite files with ones that only they can decrypt (SSE-C)"
    return unknown(said, policy) if isinstance(policy, Unread) else weak(said)


def _refuses_customer_keys(facts: Facts, policy: str) -> bool:
    context = context_of(ANYONE, {_CUSTOMER_KEY: "AES256"})
    request = Request(ANYONE, "s3:PutObject", f"{facts.bucket_arn}/{facts.base}*", context)
    return denied(parse(policy), request) is Truth.YES


ACCESS: Final = (
    Check(
        id="bucket-owner",
        subject=Subject.BUCKET,
        axes=(Axis.PREVENT,),
        title="The logs lie outside the account they watch",
        asks=(*asks.TRAIL, asks.HEAD_BUCKET),
        finds="bad: there is no such bucket (any more); weak: it belongs to the trail's own account",
        why="Administrators of the watched account are the ones whose deeds the logs hold.",
        remedy=(
            "# A bucket in a log archive account, then, with its policy in place (bucket-policy-accounts):",
            "aws cloudtrail update-trail --region {home} --name {trail} --s3-bucket-name ARCHIVE_BUCKET",
        ),
        judge=judge_owner,
        also=("NIST 800-53 AU-9(2)",),
    ),
    Check(
        id="bucket-public",
        subject=Subject.BUCKET,
        axes=(Axis.PREVENT,),
        title="Strangers do not reach the bucket",
        asks=(*asks.TRAIL, asks.GET_POLICY_STATUS, asks.GET_PUBLIC_BLOCK, asks.GET_ACL),
        finds="bad: a public policy or access control list; weak: Block Public Access is not wholly on",
        why="Logs say who may do what, and where: a public bucket is a map, and with write access a blank page.",
        remedy=(
            (
                "aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration"
                " BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
            ),
        ),
        judge=judge_public,
        also=(
            "CIS 5.0 2.1.4",
            "Security Hub CloudTrail.6",
            "Security Hub S3.8",
            "Prowler cloudtrail_logs_s3_bucket_is_not_publicly_accessible",
            "Prowler s3_bucket_level_public_access_block",
        ),
    ),
    Check(
        id="bucket-ownership",
        subject=Subject.BUCKET,
        axes=(Axis.PREVENT,),
        title="Access control lists are switched off",
        asks=(*asks.TRAIL, asks.GET_OWNERSHIP, asks.GET_ACL),
        finds="bad: the list lets somebody else write; weak: object ownership is not BucketOwnerEnforced",
        why="With lists, a file may belong to whoever wrote it, and rights hide where the policy does not show them.",
        remedy=(
            (
                "aws s3api put-bucket-ownership-controls --bucket {bucket}"
                " --ownership-controls 'Rules=[{ObjectOwnership=BucketOwnerEnforced}]'"
            ),
        ),
        judge=judge_ownership,
        also=("Security Hub S3.12", "Prowler s3_bucket_acl_prohibited"),
    ),
    Check(
        id="bucket-encryption",
        subject=Subject.BUCKET,
        axes=(Axis.PREVENT,),
        title="Nobody can lock logs away with their own key",
        asks=(*asks.TRAIL, asks.GET_ENCRYPTION, asks.GET_POLICY),
        finds="weak: neither the bucket nor its policy refuses customer-provided keys (SSE-C)",
        why="Files encrypted with SSE-C are as good as deleted for everybody but the writer. CloudTrail never uses it.",
        remedy=(
            (
                "aws s3api put-bucket-encryption --bucket {bucket} --server-side-encryption-configuration"
                " {encryption_configuration}"
            ),
        ),
        judge=judge_encryption,
    ),
)
