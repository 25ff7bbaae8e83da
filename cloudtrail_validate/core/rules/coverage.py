"""What can be found of hours and chains.

In the order of the contract.
"""

from __future__ import annotations

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules.ids import (
    CHAIN_ABSENT,
    CHAIN_RESTART,
    GAP_BROKEN,
    GAP_LATE_START,
    GAP_RESTART,
    GAP_TAIL,
    HISTORY_REWRITTEN,
)
from cloudtrail_validate.core.rules.rule import DELIVERY_ERRORS, OTHER_SOURCES, TRAIL_CHANGES, WHO_DELETED, Rule

COVERAGE = (
    Rule(
        id=GAP_BROKEN,
        status=Status.UNCOVERED,
        title="Hours lost with a digest",
        when="Hours that no proven digest covers because a digest is missing, altered or unreadable.",
        means="The chain goes on after these hours, so digests were made for them, and those are lost or worthless.",
        does_not_mean="That the logs of these hours are false; they are unproven (log-undigested).",
        next_steps=(
            "Resolve the digest finding of the same account, region and hours: it is the cause.",
            "Recover the digest from a version or a replica, and validate again.",
            OTHER_SOURCES,
        ),
    ),
    Rule(
        id=GAP_RESTART,
        status=Status.UNCOVERED,
        title="Hours between two chains",
        when=(
            "Hours between the end of one chain and the beginning of the next, up to the end of its starting digest: "
            "that one bears the hour before logging began, and proves nothing about it."
        ),
        means=(
            "Logging or log file validation was off, or digests could not be delivered, and began anew. No digest was "
            "ever made for these hours."
        ),
        does_not_mean=(
            "Tampering with files. Turning logging off is itself a known way to hide, though, and a broken bucket "
            "policy or service trouble ends a chain too."
        ),
        next_steps=(TRAIL_CHANGES, DELIVERY_ERRORS, OTHER_SOURCES),
    ),
    Rule(
        id=GAP_LATE_START,
        status=Status.UNCOVERED,
        title="Window begins before first digest",
        when=(
            "The window begins before the first digest of the chain. A starting digest that names no logs covers "
            "nothing: its hour is the one before logging began."
        ),
        means=(
            "The trail, its validation, or the region came later than the start that was asked for, or the oldest "
            "digests have expired or were removed."
        ),
        does_not_mean="That digests ever existed for these hours: nothing that remains names one.",
        next_steps=(
            (
                "Compare with when validation began: aws cloudtrail get-trail-status --name TRAIL_ARN "
                "(StartLoggingTime), CreateTrail and UpdateTrail events, and the day the region was enabled."
            ),
            "Look for expiry: aws s3api get-bucket-lifecycle-configuration --bucket BUCKET.",
            "If the trail is younger than the window, validate from the first digest's start.",
        ),
    ),
    Rule(
        id=GAP_TAIL,
        status=Status.UNCOVERED,
        title="Digests stop before the window ends",
        when="The window ends after the newest digest by more than delivery explains (2 hours).",
        means=(
            "No digest arrived for the last hours: logging or validation is off, delivery fails, or the newest digests "
            "were removed. With no successor left to name them, their removal cannot be told from the rest."
        ),
        does_not_mean=(
            "Tampering by itself; nor its absence. Cutting off the end is the one deletion no chain can show."
        ),
        next_steps=(
            (
                "Compare with AWS's own record: aws cloudtrail get-trail-status --name TRAIL_ARN --region REGION. A "
                "LatestDigestDeliveryTime later than the newest digest means that digests were removed."
            ),
            TRAIL_CHANGES,
            WHO_DELETED,
        ),
    ),
    Rule(
        id=CHAIN_ABSENT,
        status=Status.UNCOVERED,
        title="Account or region without digests",
        when=(
            "A region or account in which the trail should write has no digest at all. Expected are the home region, "
            "those with log files of the window, the regions that are enabled in every account if it is a multi-region "
            "trail (CloudTrail says so, or a proven digest lies in a region that is not its home), further enabled "
            "regions and the organization's accounts as far as known, and what --expect names."
        ),
        means=(
            "Nothing about this account and region is proven: validation was off there, or all its digests were "
            "removed."
        ),
        does_not_mean="That it was quiet: a quiet region still gets an empty digest every hour.",
        next_steps=(
            (
                "See what lies there: aws s3 ls s3://BUCKET/PREFIX/AWSLogs/ACCOUNT/CloudTrail-Digest/REGION/ "
                "--recursive (with the organization's id after AWSLogs/ for an organization trail)."
            ),
            (
                "See whether the trail covers it: aws cloudtrail describe-trails (IsMultiRegionTrail, "
                "IsOrganizationTrail, LogFileValidationEnabled), and when the region or account was added."
            ),
            WHO_DELETED,
        ),
    ),
    Rule(
        id=HISTORY_REWRITTEN,
        status=Status.ALTERED,
        title="Proven history was rewritten",
        when=(
            "What an earlier run proved is no longer there nor led to by the chain: the newest digest that its state "
            "remembers, or the files of an hour whose listing was remembered with it. Both values are given."
        ),
        means=(
            "A chain that checks out by itself may have been put in the place of the one that was proven before, or hours "
            "that were proven have lost their digests since. The state of the earlier run is the witness."
        ),
        does_not_mean=(
            "Anything, if the state itself is wrong: whoever can write the state can make this finding, or hide it. Of "
            "hours that a lifecycle rule of the bucket has removed it is a notice, not an accusation."
        ),
        next_steps=(
            "Compare with the report of the run that proved these hours, and with any snapshot or replica of that time.",
            WHO_DELETED,
            TRAIL_CHANGES,
            "Each run finds it until the same is there again. Once it is explained, keep the state and begin a new one.",
        ),
    ),
    Rule(
        id=CHAIN_RESTART,
        status=Status.NOTICE,
        title="Chain began anew, no hour lost",
        when="A new chain starts with no hour lost.",
        means=(
            "Logging or log file validation was turned off and on, or the trail was replaced, and the new chain's "
            "starting digest adjoins or overlaps the old chain."
        ),
        does_not_mean=(
            "A loss of coverage. The chains do not vouch for each other, though: no successor names the old one's last "
            "digest."
        ),
        next_steps=(TRAIL_CHANGES, "Ask whoever made that call why; keep the event with the report."),
    ),
)
