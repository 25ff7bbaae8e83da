"""Checks of the trail's own settings."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Trail, TrailStatus
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


def judge_exists(facts: Facts) -> Answer:
    """Whether there is a trail at all."""
    if isinstance(facts.trail, Unread):
        return unknown(facts.trail)
    if facts.trail is None:
        asked = facts.scope.trail_arn
        return bad(f"there is no trail {asked}" if asked else "the account has no trail that the caller can see")
    return ok(f"{facts.trail.arn} delivers to {facts.trail.bucket}")


@on_trail
def judge_logging(facts: Facts, trail: Trail) -> Answer:
    """Whether the trail is switched on, in every region that it should write in."""
    answers = [_logging(region, status) for region, status in sorted(facts.statuses.items())]
    if trail.multi_region and not facts.scope.regions and isinstance(facts.regions, Unread):
        answers.append(unknown(facts.regions))
    return worst(answers, f"logging in {plural(len(facts.statuses), 'region')}")


def _logging(region: str, status: TrailStatus | Unread | None) -> Answer:
    if isinstance(status, Unread):
        return unknown(status)
    if status is None:
        return bad(f"there is no such trail in {region}")
    if not status.logging:
        return bad(f"stopped in {region}" + (f" since {isoformat(status.stopped)}" if status.stopped else ""))
    return ok("")


@on_trail
def judge_validation(_: Facts, trail: Trail) -> Answer:
    """Whether digests are written."""
    if trail.validation:
        return ok("log file validation is on")
    return bad("log file validation is off: no digests are written, and nothing can be proven")


@on_trail
def judge_all_regions(_: Facts, trail: Trail) -> Answer:
    """Whether the trail records in all regions."""
    if trail.multi_region:
        return ok("multi-region trail")
    return bad(f"the trail records in {trail.home_region} only: whatever is done in another region is in no log")


@on_trail
def judge_global_events(_: Facts, trail: Trail) -> Answer:
    """Whether events of IAM, STS and other global services are recorded."""
    if trail.global_events:
        return ok("events of global services are included")
    return bad("events of IAM, STS and CloudFront are not recorded")


@on_trail
def judge_second_copy(facts: Facts, trail: Trail) -> Answer:
    """Whether what was recorded exists a second time, out of reach of whoever can write to the first copy."""
    if isinstance(facts.others, Unread):
        return unknown(facts.others)
    others = [other for other in facts.others if other.bucket != trail.bucket and other.multi_region]
    validated = [other for other in others if other.validation]
    if validated:
        return ok(f"{validated[0].arn} delivers to {validated[0].bucket} as well")
    copies = facts.bucket.replication
    if not isinstance(copies, Unread) and any(rule.enabled for rule in copies):
        return ok("the bucket is replicated; see bucket-replication")
    if others:
        return weak(f"the second trail, {others[0].arn}, writes no digests: its copy cannot be proven")
    if isinstance(copies, Unread):
        return unknown("no second trail to another bucket", copies)
    return weak(f"one trail, one bucket: what is lost in {trail.bucket} is lost")


@on_trail
def judge_log_group(facts: Facts, trail: Trail) -> Answer:
    """Whether somebody hears of events within minutes: a log group or a topic."""
    status = facts.statuses.get(trail.home_region)
    if trail.log_group:
        if isinstance(status, Unread):
            return unknown(f"events go to {trail.log_group}, unless CloudTrail is refused there", status)
        if status is not None and status.log_group_error:
            return weak(f"CloudTrail cannot write to {trail.log_group}: {status.log_group_error}")
        return ok(f"events go to {trail.log_group}")
    if trail.sns_topic:
        return ok(f"each delivery is announced to {trail.sns_topic}")
    return weak(
        "neither a CloudWatch log group nor an SNS topic: nothing is told before somebody looks into the bucket"
    )


SETTINGS: Final = (
    Check(
        id="trail-exists",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="There is a trail",
        asks=asks.TRAIL,
        finds="bad: no trail, or none of the name that was asked for",
        why="Without a trail nothing is recorded beyond the 90 days of event history, and there is nothing to prove.",
        remedy=(
            (
                "aws cloudtrail create-trail --region {home} --name {name} --s3-bucket-name {bucket}"
                " --is-multi-region-trail --include-global-service-events --enable-log-file-validation"
            ),
            "aws cloudtrail start-logging --region {home} --name {name}",
        ),
        judge=judge_exists,
        also=("Security Hub CloudTrail.3", "Prowler cloudtrail_multi_region_enabled", "NIST 800-53 AU-2"),
    ),
    Check(
        id="trail-logging",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="The trail is switched on in every region",
        asks=(*asks.TRAIL, asks.GET_TRAIL_STATUS, asks.LIST_REGIONS, asks.DESCRIBE_REGIONS),
        finds="bad: IsLogging is false in a region that the trail should write in",
        why="StopLogging is the quickest way to act unseen: digests end, and what follows is in no file.",
        remedy=("aws cloudtrail start-logging --region {home} --name {trail}",),
        judge=judge_logging,
        also=(
            "CIS 5.0 3.1",
            "Security Hub CloudTrail.1",
            "Prowler cloudtrail_multi_region_enabled",
            "NIST 800-53 AU-12",
        ),
    ),
    Check(
        id="trail-validation",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="CloudTrail writes signed digests",
        asks=asks.TRAIL,
        finds="bad: LogFileValidationEnabled is false",
        why="Without digests nobody can tell a log that AWS delivered from one that somebody wrote.",
        remedy=("aws cloudtrail update-trail --region {home} --name {trail} --enable-log-file-validation",),
        judge=judge_validation,
        also=(
            "CIS 5.0 3.2",
            "Security Hub CloudTrail.4",
            "Prowler cloudtrail_log_file_validation_enabled",
            "NIST 800-53 AU-9(3)",
        ),
    ),
    Check(
        id="trail-all-regions",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="The trail records in all regions",
        asks=asks.TRAIL,
        finds="bad: a trail of a single region",
        why="Whoever wants not to be seen works in a region where nobody looks.",
        remedy=("aws cloudtrail update-trail --region {home} --name {trail} --is-multi-region-trail",),
        judge=judge_all_regions,
        also=(
            "CIS 5.0 3.1",
            "Security Hub CloudTrail.1",
            "Prowler cloudtrail_multi_region_enabled",
        ),
    ),
    Check(
        id="trail-global-events",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="The trail records global services",
        asks=asks.TRAIL,
        finds="bad: IncludeGlobalServiceEvents is false",
        why="New users, keys and roles are events of IAM and STS: without them the first step of an intrusion is missing.",
        remedy=("aws cloudtrail update-trail --region {home} --name {trail} --include-global-service-events",),
        judge=judge_global_events,
    ),
    Check(
        id="trail-second-copy",
        subject=Subject.TRAIL,
        axes=(Axis.UNDO,),
        title="The same events are kept a second time",
        asks=(*asks.TRAIL, asks.GET_REPLICATION),
        finds="weak: one trail to one bucket without replication, or a second trail without digests",
        why="What is deleted in the only copy is gone. A second one, in another account, also shows what was changed.",
        remedy=(
            "# A second trail to a bucket of another account; or replicate this one (bucket-replication).",
            (
                "aws cloudtrail create-trail --region {home} --name {name}-2 --s3-bucket-name SECOND_BUCKET"
                " --is-multi-region-trail --include-global-service-events --enable-log-file-validation"
            ),
            "aws cloudtrail start-logging --region {home} --name {name}-2",
        ),
        judge=judge_second_copy,
        also=("NIST 800-53 AU-9(2)",),
    ),
    Check(
        id="trail-log-group",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="Events reach somebody within minutes",
        asks=(*asks.TRAIL, asks.GET_TRAIL_STATUS),
        finds="weak: neither a CloudWatch log group nor an SNS topic, or CloudTrail cannot write to the log group",
        why="A log group is a copy that the bucket's administrators do not hold, and what alarms are made of.",
        remedy=(
            (
                "aws cloudtrail update-trail --region {home} --name {trail} --cloud-watch-logs-log-group-arn LOG_GROUP_ARN"
                " --cloud-watch-logs-role-arn ROLE_ARN"
            ),
        ),
        judge=judge_log_group,
        also=("Security Hub CloudTrail.5", "Prowler cloudtrail_cloudwatch_logging_enabled"),
    ),
)
