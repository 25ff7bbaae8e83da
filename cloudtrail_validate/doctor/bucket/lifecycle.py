"""The check of lifecycle rules: what the bucket itself deletes or archives, and when."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.layout import DIGEST_KIND, LOG_KIND
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.bucket.prefixes import KINDS, reaches
from cloudtrail_validate.doctor.facts import ARCHIVES, Facts, LifecycleRule
from cloudtrail_validate.doctor.model import Answer, Axis, Check, Subject, Unread, bad, ok, unknown, weak, worst

NONCURRENT_DAYS: Final = 30  # time to find out, by a monthly proof at the latest, and to bring a version back


def rules_for(facts: Facts, kind: str) -> list[LifecycleRule]:
    """Rules that act on the trail's files of a kind. Rules on tags do not: CloudTrail sets none."""
    rules = facts.bucket.lifecycle
    if isinstance(rules, Unread):
        return []
    return [rule for rule in rules if rule.enabled and not rule.tagged and reaches(rule.prefix, facts.base, kind)]


def judge_lifecycle(facts: Facts) -> Answer:
    """Whether the bucket keeps logs, digests and old versions for as long as they are wanted, where they can be read."""
    if isinstance(facts.bucket.lifecycle, Unread):
        return unknown(facts.bucket.lifecycle)
    relevant = {rule.name: rule for kind in KINDS for rule in rules_for(facts, kind)}
    return worst(
        [
            *_expiry(facts),
            *(_versions(rule) for rule in relevant.values()),
            *(_archive(rule) for rule in relevant.values()),
        ],
        f"nothing is deleted within {plural(facts.scope.retention_days, 'day')}",
    )


def _expiry(facts: Facts) -> list[Answer]:
    wanted = facts.scope.retention_days
    logs, digests = _shortest(facts, LOG_KIND), _shortest(facts, DIGEST_KIND)
    answers = [
        bad(f"{rule.name} deletes {what} after {plural(rule.expires or 0, 'day')}, {wanted:,} are wanted")
        for rule, what in ((logs, "logs"), (digests, "digests"))
        if rule is not None and (rule.expires or 0) < wanted
    ]
    if digests is not None and (logs is None or (digests.expires or 0) < (logs.expires or 0)):
        answers.append(bad(f"{digests.name} deletes digests before the logs that they prove"))
    return answers


def _shortest(facts: Facts, kind: str) -> LifecycleRule | None:
    expiring = [rule for rule in rules_for(facts, kind) if rule.expires is not None]
    return min(expiring, key=lambda rule: rule.expires or 0, default=None)


def _versions(rule: LifecycleRule) -> Answer:
    days = rule.noncurrent_expires
    if days is None or days >= NONCURRENT_DAYS:
        return ok("")
    return weak(f"{rule.name} deletes replaced and deleted versions after {plural(days, 'day')}")


def _archive(rule: LifecycleRule) -> Answer:
    if rule.archives not in ARCHIVES:
        return ok("")
    after = plural(rule.archives_after or 0, "day")
    return weak(f"{rule.name} moves files to {rule.archives} after {after}: they must be restored to be proven again")


LIFECYCLE: Final = (
    Check(
        id="bucket-lifecycle",
        subject=Subject.BUCKET,
        axes=(Axis.UNDO,),
        title="Lifecycle rules delete nothing before its time",
        asks=(*asks.TRAIL, asks.GET_LIFECYCLE),
        finds=(
            "bad: logs or digests are deleted before --retention-days, or digests before logs; weak: old versions go"
            " within 30 days, or files move to a class that cannot be read at once"
        ),
        why="A rule that expires everything after a day deletes more quietly than any call, and leaves no event a file.",
        remedy=(
            "aws s3api put-bucket-lifecycle-configuration --bucket {bucket} --lifecycle-configuration {lifecycle}",
            "# The call replaces all rules: those that do not touch the trail's files are repeated in it.",
        ),
        judge=judge_lifecycle,
        also=("Security Hub S3.13", "Prowler s3_bucket_lifecycle_enabled", "NIST 800-53 AU-11", "PCI DSS 4.0 10.5.1"),
    ),
)
