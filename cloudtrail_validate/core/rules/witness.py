"""What independent sources say against the logs: CloudTrail's event history, and the trail's CloudWatch Logs group."""

from __future__ import annotations

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules.ids import WITNESS_EVENT_ABSENT, WITNESS_EVENT_DIFFERS
from cloudtrail_validate.core.rules.rule import KEEP_VERSIONS, TRAIL_CHANGES, WHO_WROTE, Rule

WITNESS = (
    Rule(
        id=WITNESS_EVENT_ABSENT,
        status=Status.UNVERIFIABLE,
        title="Event known elsewhere, in no log",
        when=(
            "Event history or the trail's CloudWatch Logs group tells of an event, proven digests cover its hour and the "
            "next, all their logs were read, none holds it, and the trail's event selectors do not leave it out."
        ),
        means=(
            "The digests prove the files that were delivered, and this event is in none of them. Either it was not "
            "recorded by this trail, or it is delivered later than is usual."
        ),
        does_not_mean=(
            "Tampering for certain. Benign reasons: selectors or read-only exclusions that were in force then and are not "
            "now, delivery delayed for hours or (backfill digests) up to 30 days, and global services, whose events a trail "
            "of a single region does not record."
        ),
        next_steps=(
            (
                "See what the trail records and recorded: aws cloudtrail get-event-selectors --trail-name TRAIL_ARN, and "
                "PutEventSelectors events."
            ),
            TRAIL_CHANGES,
            "For an event of the last 30 days, ask again later: a backfill digest may name its log.",
            "Keep the event: ctvalidate witness --keep DIR keeps what the sources told, each event with its source.",
        ),
    ),
    Rule(
        id=WITNESS_EVENT_DIFFERS,
        status=Status.ALTERED,
        title="Log and event history differ",
        when=(
            "An event is in a log and in event history or the CloudWatch Logs group, and a field that both have is not the "
            "same."
        ),
        means=(
            "One of two records that AWS wrote of the same event was changed. In a log that is not proven, this is what "
            "was edited; whoever holds the bucket cannot reach event history."
        ),
        does_not_mean=(
            "Which of the two is right where the log is proven: then the log is what AWS delivered, and the other source "
            "is to be looked into."
        ),
        next_steps=(
            "Compare both: ctvalidate diff ORIGINAL ALTERED where the original log survives, and the kept event beside it.",
            KEEP_VERSIONS,
            WHO_WROTE,
        ),
    ),
)
