"""Checks of what survives a deletion: versions, locks, replicas."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.text import plural
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.bucket.prefixes import KINDS, reaches
from cloudtrail_validate.doctor.facts import Facts, ObjectLock, ReplicationRule
from cloudtrail_validate.doctor.model import Answer, Axis, Check, Subject, Unread, bad, ok, unknown, weak, worst


def judge_versioning(facts: Facts) -> Answer:
    """Whether a deleted or overwritten file can be had again."""
    versioning = facts.bucket.versioning
    if isinstance(versioning, Unread):
        return unknown(versioning)
    if versioning.status == "Enabled":
        return ok("versioning is on")
    said = f"versioning is {versioning.status.lower()}" if versioning.status else "versioning was never switched on"
    return bad(f"{said}: what is deleted or overwritten cannot be had again")


def judge_mfa_delete(facts: Facts) -> Answer:
    """Whether a stolen session can delete versions. A lock that nobody can lift is worth more."""
    versioning, lock = facts.bucket.versioning, facts.bucket.lock
    if isinstance(lock, ObjectLock) and lock.mode == "COMPLIANCE":
        return ok("versions are locked in compliance mode, which MFA delete would add nothing to")
    if isinstance(versioning, Unread):
        return unknown(versioning)
    if versioning.mfa_delete == "Enabled":
        return ok("MFA delete is on")
    said = "no MFA is needed to delete a version"
    return unknown(said, lock) if isinstance(lock, Unread) else weak(said)


def judge_object_lock(facts: Facts) -> Answer:
    """Whether anybody at all can delete a file before its time."""
    lock, wanted = facts.bucket.lock, facts.scope.retention_days
    if isinstance(lock, Unread):
        return unknown(lock)
    if lock is None:
        return weak("no Object Lock: whoever may delete versions can delete all there is")
    if not lock.mode:
        return weak("Object Lock has no default retention, and CloudTrail asks for none: its files are not locked")
    answers = []
    if lock.mode != "COMPLIANCE":
        answers.append(weak("mode GOVERNANCE: whoever holds s3:BypassGovernanceRetention can delete"))
    if lock.days < wanted:
        answers.append(weak(f"files are locked for {plural(lock.days, 'day')}, {wanted:,} are wanted"))
    return worst(answers, f"files are locked for {plural(lock.days, 'day')} in compliance mode")


def judge_replication(facts: Facts) -> Answer:
    """Whether a copy lies where the bucket's administrators do not reach."""
    rules = facts.bucket.replication
    if isinstance(rules, Unread):
        return unknown(rules)
    copies = [rule for rule in rules if _copies(facts, rule)]
    if not copies:
        return weak("no replication rule copies logs and digests")
    return worst(
        [_safe(facts, rule) for rule in copies], f"copied to {copies[0].bucket} of account {copies[0].account}"
    )


def _copies(facts: Facts, rule: ReplicationRule) -> bool:
    return rule.enabled and not rule.tagged and all(reaches(rule.prefix, facts.base, kind) for kind in KINDS)


def _safe(facts: Facts, rule: ReplicationRule) -> Answer:
    own = facts.bucket.owner
    same = not rule.account or rule.account == own
    return worst(
        [
            *([weak(f"deletions are copied to {rule.bucket} as well (DeleteMarkerReplication)")] * rule.markers),
            *([weak(f"the copies in {rule.bucket} belong to the same account")] * same),
        ],
        "",
    )


KEEPING: Final = (
    Check(
        id="bucket-versioning",
        subject=Subject.BUCKET,
        axes=(Axis.UNDO,),
        title="The bucket keeps every version of a file",
        asks=(*asks.TRAIL, asks.GET_VERSIONING),
        finds="bad: versioning is suspended or was never switched on",
        why="With versions, ctvalidate recover brings back the file that AWS delivered; without, it is gone.",
        remedy=("aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled",),
        judge=judge_versioning,
        also=("Security Hub S3.14", "Prowler s3_bucket_object_versioning", "NIST 800-53 CP-10"),
    ),
    Check(
        id="bucket-mfa-delete",
        subject=Subject.BUCKET,
        axes=(Axis.PREVENT,),
        title="Deleting a version needs a second factor",
        asks=(*asks.TRAIL, asks.GET_VERSIONING, asks.GET_OBJECT_LOCK),
        finds="weak: MFA delete is off, and no lock in compliance mode stands in for it",
        why="A stolen access key is enough to delete versions one by one, and nothing is left to recover.",
        remedy=(
            "# As the account's root user. MFA delete excludes lifecycle rules; Object Lock in compliance mode does not.",
            (
                "aws s3api put-bucket-versioning --bucket {bucket}"
                " --versioning-configuration Status=Enabled,MFADelete=Enabled --mfa 'MFA_SERIAL CODE'"
            ),
        ),
        judge=judge_mfa_delete,
        also=(
            "CIS 5.0 2.1.2",
            "Security Hub S3.20",
            "Prowler cloudtrail_bucket_requires_mfa_delete",
            "Prowler s3_bucket_no_mfa_delete",
        ),
    ),
    Check(
        id="bucket-object-lock",
        subject=Subject.BUCKET,
        axes=(Axis.UNDO, Axis.PREVENT),
        title="Nobody can delete a file before its time",
        asks=(*asks.TRAIL, asks.GET_OBJECT_LOCK),
        finds="weak: no Object Lock, no default retention, GOVERNANCE mode, or fewer days than --retention-days",
        why="In compliance mode not even the root user deletes a locked version: evidence outlives a lost account.",
        remedy=(
            "# It cannot be undone or shortened, and files that lie there already stay unlocked. When you are sure:",
            (
                "# aws s3api put-object-lock-configuration --bucket {bucket} --object-lock-configuration"
                " {lock_configuration}"
            ),
        ),
        judge=judge_object_lock,
        also=("Security Hub S3.15", "Prowler s3_bucket_object_lock", "NIST 800-53 AU-9(1)"),
    ),
    Check(
        id="bucket-replication",
        subject=Subject.BUCKET,
        axes=(Axis.UNDO,),
        title="Another account holds a copy",
        asks=(*asks.TRAIL, asks.GET_REPLICATION, asks.HEAD_BUCKET),
        finds="weak: no rule that copies logs and digests; copies that stay the same account's; deletions that are copied",
        why="Whoever rules the account rules the bucket. ctvalidate proves a replica as well as the original (--copy-of).",
        remedy=(
            "# The bucket of the other account needs versioning and a policy for the replication role; both exist first.",
            "aws s3api put-bucket-replication --bucket {bucket} --replication-configuration {replication}",
        ),
        judge=judge_replication,
        also=("Security Hub S3.7", "Prowler s3_bucket_cross_region_replication", "NIST 800-53 AU-9(2)"),
    ),
)
