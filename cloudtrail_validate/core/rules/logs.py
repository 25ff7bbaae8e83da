"""What can be found of log files.

In the order of the contract.
"""

from __future__ import annotations

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules.ids import (
    LOG_ALTERED,
    LOG_EXTRA,
    LOG_MALFORMED,
    LOG_MISSING,
    LOG_PENDING,
    LOG_REWRITTEN,
    LOG_TRAILING_DATA,
    LOG_UNDIGESTED,
    LOG_UNREADABLE,
)
from cloudtrail_validate.core.rules.rule import (
    GRANT,
    KEEP_VERSIONS,
    OTHER_SOURCES,
    PUT_BACK,
    WHO_DELETED,
    WHO_WROTE,
    Rule,
)

LOGS = (
    Rule(
        id=LOG_ALTERED,
        status=Status.ALTERED,
        title="Log content was changed",
        when="The SHA-256 of a log's content differs from the one in its digest.",
        means=(
            "The inflated content of the log file is not what CloudTrail delivered: events were edited, removed or "
            "added, or the file was exchanged for another."
        ),
        does_not_mean=(
            "Which event was changed. It is no transfer error: damage to the gzip container is log-malformed, a failed "
            "download log-unreadable."
        ),
        next_steps=(
            KEEP_VERSIONS,
            (
                "Find the version whose inflated SHA-256 is the expected one (gunzip -c FILE | sha256sum) and compare "
                "the events: the difference is what somebody wanted changed."
            ),
            WHO_WROTE,
            "Treat every event of the file as untrusted until a version with the expected hash is found.",
        ),
    ),
    Rule(
        id=LOG_MALFORMED,
        status=Status.ALTERED,
        title="Log file is damaged",
        when="A log file is not gzip, has a bad checksum, or is truncated.",
        means="CloudTrail delivers whole gzip files. This one was overwritten, cut off or damaged after delivery.",
        does_not_mean="That events were edited: a broken copy looks alike. What can be inflated is not proven.",
        next_steps=(KEEP_VERSIONS, WHO_WROTE, PUT_BACK),
    ),
    Rule(
        id=LOG_TRAILING_DATA,
        status=Status.ALTERED,
        title="Bytes follow the log",
        when="There are bytes after the one gzip member of a log file.",
        means=(
            "The file was appended to after delivery. Readers that join gzip members (gunzip, many pipelines) show "
            "events that AWS never delivered, while a checker that stops at the first member sees nothing."
        ),
        does_not_mean="That the first member changed: its hash is compared as well, and would be log-altered.",
        next_steps=(
            KEEP_VERSIONS,
            "Keep the appended bytes apart, inflate them, and find where those events were relied on.",
            WHO_WROTE,
        ),
    ),
    Rule(
        id=LOG_MISSING,
        status=Status.MISSING,
        title="Log file is gone",
        when="A log that a proven digest references is not there.",
        means="CloudTrail delivered this log at this key, and it has since been deleted, renamed or expired.",
        does_not_mean=(
            "Intent: lifecycle rules and incomplete copies delete too. Nothing is said about its events; the digest "
            "holds only its hash and the times of its oldest and newest event."
        ),
        next_steps=(KEEP_VERSIONS, WHO_DELETED, PUT_BACK, OTHER_SOURCES),
    ),
    Rule(
        id=LOG_EXTRA,
        status=Status.EXTRA,
        title="Log file that no digest knows",
        when=(
            "A log lies in hours that proven digests cover, and no digest of any trail in the folder, backfill "
            "included, references it. The hours of its name and of its last write are proven for every trail that is "
            "known to write there, and every digest that could name it, up to 35 days on, was read."
        ),
        means=(
            "CloudTrail vouches for every log of those hours, and not for this one. It was planted, or copied here "
            "from elsewhere, or delivered by a trail that has log file validation off."
        ),
        does_not_mean=(
            "Forgery for certain: a trail without validation may share the folder, and a log that was delivered late "
            "may still be named by a backfill digest to come."
        ),
        next_steps=(
            "Do not rely on its events. Keep it: aws s3api get-object and head-object --bucket BUCKET --key KEY.",
            WHO_WROTE,
            (
                "List trails that write there without validation: aws cloudtrail describe-trails, S3BucketName and "
                "LogFileValidationEnabled, in every account that may write to the bucket."
            ),
            "For a log of the last 30 days, validate again later: a backfill digest may name it.",
        ),
    ),
    Rule(
        id=LOG_UNREADABLE,
        status=Status.UNVERIFIABLE,
        title="Log could not be read",
        when="A log exists but cannot be read: access-denied, kms-denied, archived, throttled or network.",
        means="A digest names the log and it is listed, but its content could not be hashed in this run.",
        does_not_mean=(
            "Evidence of change. Nor its absence: an object made unreadable may hide one, so read it and see."
        ),
        next_steps=(
            GRANT,
            (
                "If it used to be readable, find what changed: PutBucketPolicy, PutObjectAcl, PutKeyPolicy, DisableKey "
                "and ScheduleKeyDeletion events."
            ),
            "Run the same command again.",
        ),
    ),
    Rule(
        id=LOG_UNDIGESTED,
        status=Status.UNVERIFIABLE,
        title="Log in hours without a digest",
        when=(
            "A log lies in hours that no proven digest covers, or in a folder to which a trail without validation is "
            "known to write."
        ),
        means="Nothing signed says whether this log is genuine, complete or unchanged.",
        does_not_mean="That it is false. It is as good as any unsigned file in the bucket.",
        next_steps=(
            "Look at the gap or altered digest of the same account, region and hours first: it is the cause.",
            "Recover the digest of those hours, if one was delivered, and validate again.",
            (
                "Where a trail has no validation: aws cloudtrail update-trail --name TRAIL_ARN "
                "--enable-log-file-validation. It proves nothing backwards."
            ),
        ),
    ),
    Rule(
        id=LOG_PENDING,
        status=Status.NOTICE,
        title="Log newer than the newest digest",
        when="A log is newer than the newest digest of its chain; the next digest should name it.",
        means=(
            "Digests are made hourly and arrive about half an hour after their hour, so the last logs are not proven "
            "yet."
        ),
        does_not_mean="That anything is wrong, or that these logs are proven.",
        next_steps=(
            "Validate the same window again in two hours.",
            (
                "If the log is still unnamed then, look at LatestDigestDeliveryError: aws cloudtrail get-trail-status "
                "--name TRAIL_ARN."
            ),
        ),
    ),
    Rule(
        id=LOG_REWRITTEN,
        status=Status.NOTICE,
        title="Proven log was written again",
        when="A log's content is proven, but it was written after its digest ended, or more than one version exists.",
        means=(
            "The object in the bucket is not the one that CloudTrail wrote, though it holds the same content. "
            "Replication, restoring, re-encrypting in place and bucket migrations do this."
        ),
        does_not_mean="That an event changed: the hash is the one that the digest holds.",
        next_steps=(
            "See who wrote when: aws s3api list-object-versions --bucket BUCKET --prefix KEY.",
            (
                "Compare with known migrations; an unexplained rewrite may be a change that was undone: look at the "
                "versions in between."
            ),
        ),
    ),
)
