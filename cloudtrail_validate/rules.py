"""The rules: what can be found, what it means, what it does not mean, and what a responder does next.

A rule id is one string everywhere: in code, findings, `ctvalidate explain RULE`, documentation anchors and test
vectors.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from cloudtrail_validate.model import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGEST_MISSING = "digest-missing"
DIGEST_MALFORMED = "digest-malformed"
DIGEST_SIGNATURE_INVALID = "digest-signature-invalid"
DIGEST_SIGNATURE_MISSING = "digest-signature-missing"
DIGEST_KEY_UNKNOWN = "digest-key-unknown"
DIGEST_ALGORITHM_UNSUPPORTED = "digest-algorithm-unsupported"
DIGEST_MOVED = "digest-moved"
DIGEST_TRAILING_DATA = "digest-trailing-data"
DIGEST_LINK_BROKEN = "digest-link-broken"
DIGEST_UNLINKED = "digest-unlinked"
DIGEST_UNREADABLE = "digest-unreadable"
LOG_ALTERED = "log-altered"
LOG_MALFORMED = "log-malformed"
LOG_TRAILING_DATA = "log-trailing-data"
LOG_MISSING = "log-missing"
LOG_EXTRA = "log-extra"
LOG_UNREADABLE = "log-unreadable"
LOG_UNDIGESTED = "log-undigested"
LOG_PENDING = "log-pending"
LOG_REWRITTEN = "log-rewritten"
GAP_BROKEN = "gap-broken"
GAP_RESTART = "gap-restart"
GAP_LATE_START = "gap-late-start"
GAP_TAIL = "gap-tail"
CHAIN_ABSENT = "chain-absent"
CHAIN_RESTART = "chain-restart"


class Rule(msgspec.Struct, frozen=True):
    """One rule of the contract.

    `status` is what its findings are, unless the rule's own text gives a second possibility (`also`). `title` heads a
    list, `when` is the exact condition; all texts are plain: no formatting marks, placeholders in capitals.
    """

    id: str
    status: Status
    title: str
    when: str
    means: str
    does_not_mean: str
    next_steps: tuple[str, ...]
    also: Status | None = None

    @property
    def tolerable(self) -> bool:
        """Whether `--tolerate` takes it: only what is uncovered or unverifiable may be passed over."""
        return bool({self.status, self.also} & {Status.UNVERIFIABLE, Status.UNCOVERED})


# Steps that several rules share, so that a responder meets the same words for the same act.
_KEEP_VERSIONS = (
    "Keep the evidence: every version (aws s3api list-object-versions --bucket BUCKET --prefix KEY, get-object "
    "--version-id ID) and the metadata (head-object)."
)
_WHO_WROTE = (
    "Find who wrote it: PutObject and CopyObject on the key in the bucket's S3 data events or server access logs, "
    "around the object's LastModified. CloudTrail itself writes as cloudtrail.amazonaws.com."
)
_WHO_DELETED = (
    "Find who deleted it: DeleteObject and DeleteObjects in the bucket's S3 data events or server access logs, and "
    "expiry in aws s3api get-bucket-lifecycle-configuration --bucket BUCKET."
)
_PUT_BACK = (
    "Where an earlier version survives, put it into a copy of the tree and run ctvalidate --source DIR on it: the "
    "digests show whether that version is the one AWS delivered."
)
_TRAIL_CHANGES = (
    "List what was done to the trail: aws cloudtrail lookup-events --region HOME_REGION --lookup-attributes "
    "AttributeKey=EventName,AttributeValue=NAME for StopLogging, UpdateTrail, DeleteTrail and CreateTrail (90 days)."
)
_DELIVERY_ERRORS = (
    "Read LatestDeliveryError and LatestDigestDeliveryError: aws cloudtrail get-trail-status --name TRAIL_ARN, and "
    "compare the bucket policy with its earlier states (PutBucketPolicy events, AWS Config)."
)
_GRANT = (
    "Act on the cause: access-denied needs s3:GetObject on the object and s3:ListBucket on the bucket; kms-denied "
    "needs kms:Decrypt on the object's key; archived needs aws s3api restore-object; throttled and network need a "
    "second run."
)
_OTHER_SOURCES = (
    "Fill the hours from elsewhere and mark them as such: a replica of the bucket, CloudTrail Lake, a SIEM copy, aws "
    "cloudtrail lookup-events for management events of the last 90 days."
)

_DIGEST_RULES = (
    Rule(
        id=DIGEST_MISSING,
        status=Status.MISSING,
        title="Digest file is gone",
        when="A digest that its successor names is not there.",
        means=(
            "The next digest of the chain records this digest's name, hash and signature, so it was delivered and has "
            "since been deleted, renamed or expired. Its hours lose their proof: see gap-broken and log-undigested."
        ),
        does_not_mean=(
            "That the logs of its hours were changed: they may be intact, only unproven. A lifecycle rule or an "
            "incomplete copy leaves the same trace as an intruder."
        ),
        next_steps=(_KEEP_VERSIONS, _WHO_DELETED, _PUT_BACK),
    ),
    Rule(
        id=DIGEST_MALFORMED,
        status=Status.ALTERED,
        title="Digest file is not a digest",
        when="A digest file is not gzip, not JSON, or has fields that are absent or of the wrong type.",
        means=(
            "AWS delivers digests as one gzip member of well-formed JSON with a fixed set of fields. What lies at this "
            "key was overwritten, truncated or damaged afterwards, and proves nothing about its hours."
        ),
        does_not_mean=(
            "That the logs of its hours were changed, or that anyone meant harm: a broken copy or transfer looks "
            "alike. It is never caused by a failed download; that is digest-unreadable."
        ),
        next_steps=(_KEEP_VERSIONS, _WHO_WROTE, _PUT_BACK),
    ),
    Rule(
        id=DIGEST_SIGNATURE_INVALID,
        status=Status.ALTERED,
        title="Digest signature is invalid",
        when="The RSA check of a digest's signature fails, or the signature is not a signature.",
        means=(
            "The digest's content, its end time, its place or its link to its predecessor is not what AWS signed, or "
            "the signature in the object's metadata was replaced. It cannot vouch for its logs."
        ),
        does_not_mean=(
            "Which part was changed, or that a log was. Where only the signature was damaged, the successor can still "
            "prove the content, and then the hours stay covered."
        ),
        next_steps=(
            _KEEP_VERSIONS,
            _WHO_WROTE,
            (
                "Compare the logs that the digest lists with those that lie in its hours: an entry that was cut out "
                "points at the log somebody wanted to hide."
            ),
            _PUT_BACK,
        ),
    ),
    Rule(
        id=DIGEST_SIGNATURE_MISSING,
        status=Status.ALTERED,
        title="Digest has lost its signature",
        when="The object's metadata hold no signature.",
        means=(
            "CloudTrail stores the signature as S3 user metadata when it delivers a digest. An object without it was "
            "written again by someone or something else."
        ),
        does_not_mean=(
            "That the content changed: the successor's hash and copy of the signature can still prove it, and then the "
            "hours stay covered. Copying to a disk drops metadata, so a local copy says little about the bucket."
        ),
        next_steps=(
            (
                "Look at the original: aws s3api head-object --bucket BUCKET --key KEY, and keep the answer. For a "
                "local copy, validate the bucket itself."
            ),
            _KEEP_VERSIONS,
            _WHO_WROTE,
        ),
    ),
    Rule(
        id=DIGEST_KEY_UNKNOWN,
        status=Status.ALTERED,
        also=Status.UNVERIFIABLE,
        title="Digest names an unknown signing key",
        when=(
            "No public key has the fingerprint that the digest names. Altered where AWS lists other keys valid at the "
            "digest's end; unverifiable where it lists none for that time, or where the keys come from a file."
        ),
        means=(
            "The signature cannot be checked. Where AWS did answer for that time and has no such key, the digest was "
            "not signed by CloudTrail in that region."
        ),
        does_not_mean=(
            "Forgery, where the finding is unverifiable: AWS may no longer list keys of long ago, and an exported key "
            "file may be incomplete."
        ),
        next_steps=(
            (
                "Ask for the keys of that time yourself and keep the answer: aws cloudtrail list-public-keys --region "
                "REGION --start-time START --end-time END, 35 days to either side of the digest."
            ),
            "With --public-keys, export again for every region of the trail, or run once without it.",
            _KEEP_VERSIONS,
            _WHO_WROTE,
        ),
    ),
    Rule(
        id=DIGEST_ALGORITHM_UNSUPPORTED,
        status=Status.ALTERED,
        title="Digest names another algorithm",
        when="The digest or its metadata name an algorithm other than SHA256withRSA and SHA-256.",
        means=(
            "CloudTrail signs with SHA256withRSA and hashes with SHA-256, and has announced nothing else. Another name "
            "is a sign of editing, and no weaker check is tried in its stead."
        ),
        does_not_mean=(
            "That the content changed where only the metadata name it: the successor may prove the content, and then "
            "the hours stay covered."
        ),
        next_steps=(
            _KEEP_VERSIONS,
            _WHO_WROTE,
            (
                "Should every digest of a region since one day show it, look for an AWS announcement and a newer "
                "ctvalidate."
            ),
        ),
    ),
    Rule(
        id=DIGEST_MOVED,
        status=Status.ALTERED,
        title="Digest lies elsewhere than it says",
        when="A digest's bucket and key differ from those in its signed content.",
        means=(
            "The signature covers the place of delivery. A digest found elsewhere was copied or renamed, perhaps to "
            "stand in for a digest of another hour, region or account. It counts for nothing at this place."
        ),
        does_not_mean="That its content is false. A bucket copied whole to another name shows this for every digest.",
        next_steps=(
            _KEEP_VERSIONS,
            "Look at the place that the digest names: was it deleted there (digest-missing), or does it lie at both?",
            _WHO_WROTE,
        ),
    ),
    Rule(
        id=DIGEST_TRAILING_DATA,
        status=Status.ALTERED,
        title="Bytes follow the digest",
        when="There are bytes after the one gzip member of a digest file.",
        means=(
            "The file was appended to after delivery. Readers that join gzip members would see another digest than the "
            "one that AWS signed."
        ),
        does_not_mean="That the signed digest inside is false: where its signature holds, it still covers its hours.",
        next_steps=(_KEEP_VERSIONS, "Keep the appended bytes apart and look at what they hold.", _WHO_WROTE),
    ),
    Rule(
        id=DIGEST_LINK_BROKEN,
        status=Status.ALTERED,
        title="Digest is not what its successor saw",
        when="The successor's hash or signature of a digest differs from what the digest is.",
        means=(
            "The next digest was made when this one had another content or signature. Where its own signature is valid "
            "all the same, a genuine digest was replaced by another one with a valid signature."
        ),
        does_not_mean=(
            "That its successor is wrong: that one is judged by its own signature and by the digest after it."
        ),
        next_steps=(
            _KEEP_VERSIONS,
            _WHO_WROTE,
            (
                "Report a validly signed replacement to AWS Support with both digests: only CloudTrail holds the "
                "private key."
            ),
        ),
    ),
    Rule(
        id=DIGEST_UNLINKED,
        status=Status.NOTICE,
        title="Genuine digest outside every chain",
        when=(
            "A digest is validly signed and at its own place, but no chain leads to it and it starts none that leads "
            "on."
        ),
        means=(
            "AWS made it, yet the digests around it do not know it. Its logs are checked like all others. Service "
            "trouble and trails that were deleted and created again leave such digests."
        ),
        does_not_mean="Tampering: the signature and the place are right.",
        next_steps=(
            (
                "Compare it with its neighbours in the same folder: do their hours overlap, and do they list the same "
                "logs?"
            ),
            _TRAIL_CHANGES,
        ),
    ),
    Rule(
        id=DIGEST_UNREADABLE,
        status=Status.UNVERIFIABLE,
        title="Digest could not be read",
        when="A digest exists but cannot be read: access-denied, kms-denied, archived, throttled or network.",
        means="The object is listed, and its content could not be had in this run, so its hours are unproven.",
        does_not_mean=(
            "Evidence of change. Nor its absence: an object made unreadable may hide one, so read it and see."
        ),
        next_steps=(
            _GRANT,
            (
                "If it used to be readable, find what changed: PutBucketPolicy, PutObjectAcl, PutKeyPolicy, DisableKey "
                "and ScheduleKeyDeletion events."
            ),
            "Run the same command again.",
        ),
    ),
)

_LOG_RULES = (
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
            _KEEP_VERSIONS,
            (
                "Find the version whose inflated SHA-256 is the expected one (gunzip -c FILE | sha256sum) and compare "
                "the events: the difference is what somebody wanted changed."
            ),
            _WHO_WROTE,
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
        next_steps=(_KEEP_VERSIONS, _WHO_WROTE, _PUT_BACK),
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
            _KEEP_VERSIONS,
            "Keep the appended bytes apart, inflate them, and find where those events were relied on.",
            _WHO_WROTE,
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
        next_steps=(_KEEP_VERSIONS, _WHO_DELETED, _PUT_BACK, _OTHER_SOURCES),
    ),
    Rule(
        id=LOG_EXTRA,
        status=Status.EXTRA,
        title="Log file that no digest knows",
        when=(
            "A log lies in hours that proven digests cover, and no digest of any trail in the folder, backfill "
            "included, references it."
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
            _WHO_WROTE,
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
            _GRANT,
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

_COVERAGE_RULES = (
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
            _OTHER_SOURCES,
        ),
    ),
    Rule(
        id=GAP_RESTART,
        status=Status.UNCOVERED,
        title="Hours between two chains",
        when="Hours between the end of one chain and the starting digest of the next.",
        means=(
            "Logging or log file validation was off, or digests could not be delivered, and began anew. No digest was "
            "ever made for these hours."
        ),
        does_not_mean=(
            "Tampering with files. Turning logging off is itself a known way to hide, though, and a broken bucket "
            "policy or service trouble ends a chain too."
        ),
        next_steps=(_TRAIL_CHANGES, _DELIVERY_ERRORS, _OTHER_SOURCES),
    ),
    Rule(
        id=GAP_LATE_START,
        status=Status.UNCOVERED,
        title="Window begins before first digest",
        when="The window begins before the first digest of the chain.",
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
            _TRAIL_CHANGES,
            _WHO_DELETED,
        ),
    ),
    Rule(
        id=CHAIN_ABSENT,
        status=Status.UNCOVERED,
        title="Account or region without digests",
        when=(
            "A region or account in which the trail should write has no digest at all. Expected are the home region, "
            "those with log files of the window, and the enabled regions or the organization's accounts as far as "
            "known."
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
            _WHO_DELETED,
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
        next_steps=(_TRAIL_CHANGES, "Ask whoever made that call why; keep the event with the report."),
    ),
)

_ALL: tuple[Rule, ...] = _DIGEST_RULES + _LOG_RULES + _COVERAGE_RULES

RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in _ALL})
