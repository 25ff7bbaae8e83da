"""Checks of who is told of what happens in the bucket, and of what has happened already."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.text import plural
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.bucket.prefixes import KINDS, reaches
from cloudtrail_validate.doctor.facts import Facts, FunctionHook
from cloudtrail_validate.doctor.model import Answer, Axis, Check, Subject, Unread, bad, ok, unknown, weak
from cloudtrail_validate.doctor.trail.events import recorders


def judge_access_log(facts: Facts) -> Answer:
    """Whether it is written down anywhere who reads, writes and deletes."""
    target = facts.bucket.logging
    if isinstance(target, Unread):
        return unknown(target)
    if target is not None:
        if target.bucket == facts.bucket.name:
            return weak("access logs go into the bucket itself: whoever deletes logs deletes them too")
        return ok(f"access logs go to {target.bucket}")
    recording, unread = recorders(facts)
    if recording:
        return ok(f"no access logs, but {recording[0]} records writes and deletions as data events")
    return (
        unknown("no access logs", *unread) if unread else bad("neither access logs nor data events: nobody knows who")
    )


def judge_notification(facts: Facts) -> Answer:
    """Whether a function runs on each new file: it may rewrite what it is told of."""
    hooks = facts.bucket.hooks
    if isinstance(hooks, Unread):
        return unknown(hooks)
    strangers = [hook.arn for hook in hooks if _fires(facts, hook) and hook.arn not in facts.scope.functions]
    if strangers:
        return weak(f"{', '.join(dict.fromkeys(strangers))} runs on new files; --expect-function ARN if it should")
    return ok("no function runs on new files" if not hooks else "only expected functions run on new files")


def _fires(facts: Facts, hook: FunctionHook) -> bool:
    created = any(event.startswith("s3:ObjectCreated") for event in hook.events)
    return created and any(reaches(hook.prefix, facts.base, kind) for kind in KINDS)


def judge_markers(facts: Facts) -> Answer:
    """Whether files of the last day were deleted or written twice."""
    sample = facts.bucket.sample
    if isinstance(sample, Unread):
        return unknown(sample)
    parts = [
        f"{plural(len(keys), 'file')} {what}, such as {keys[0]}"
        for keys, what in ((sample.deleted, "deleted"), (sample.rewritten, "written more than once"))
        if keys
    ]
    if parts:
        return weak(f"of the last day: {'; '.join(parts)}")
    return ok(f"{plural(sample.listed, 'version')} of the last day: none deleted, none written twice")


WATCHING: Final = (
    Check(
        id="bucket-access-log",
        subject=Subject.BUCKET,
        axes=(Axis.NOTICE,),
        title="Reads, writes and deletions are written down",
        asks=(*asks.TRAIL, asks.GET_LOGGING, asks.GET_EVENT_SELECTORS),
        finds="bad: neither server access logs nor data events of the bucket; weak: access logs in the same bucket",
        why="When ctvalidate finds a file changed or missing, these lines are what says by whom, and from where.",
        remedy=(
            (
                "aws s3api put-bucket-logging --bucket {bucket} --bucket-logging-status"
                " 'LoggingEnabled={TargetBucket=ACCESS_LOG_BUCKET,TargetPrefix=cloudtrail/}'"
            ),
        ),
        judge=judge_access_log,
        also=(
            "CIS 5.0 3.4",
            "Security Hub CloudTrail.7",
            "Security Hub S3.9",
            "Prowler cloudtrail_logs_s3_bucket_access_logging_enabled",
        ),
    ),
    Check(
        id="bucket-notification",
        subject=Subject.BUCKET,
        axes=(Axis.NOTICE,),
        title="No unknown function runs on new files",
        asks=(*asks.TRAIL, asks.GET_NOTIFICATION),
        finds="weak: a Lambda function is told of new logs or digests and is not among --expect-function",
        why="A function with write access can change each log minutes after it came, before anybody validates it.",
        remedy=(
            "aws s3api get-bucket-notification-configuration --bucket {bucket}",
            "# If the function is meant to be there: ctvalidate doctor --expect-function ARN",
        ),
        judge=judge_notification,
    ),
    Check(
        id="bucket-markers",
        subject=Subject.BUCKET,
        axes=(Axis.NOTICE,),
        title="No new file was deleted or written twice",
        asks=(*asks.TRAIL, asks.LIST_VERSIONS),
        finds="weak: delete markers, or keys with more than one version, among the home region's files of the last day",
        why="CloudTrail writes each file once and deletes none.",
        remedy=("ctvalidate --trail-arn {trail} --last 7d --versions",),
        judge=judge_markers,
    ),
)
