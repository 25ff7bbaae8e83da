"""What is known of one rule, and the steps that several rules share."""

from __future__ import annotations

import msgspec

from cloudtrail_validate.core.model import Status


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
        """Tell whether `--tolerate` takes it: only what is uncovered or unverifiable may be passed over."""
        return bool({self.status, self.also} & {Status.UNVERIFIABLE, Status.UNCOVERED})


# Steps that several rules share, so that a responder meets the same words for the same act.
KEEP_VERSIONS = (
    "Keep the evidence: every version (aws s3api list-object-versions --bucket BUCKET --prefix KEY, get-object "
    "--version-id ID) and the metadata (head-object)."
)
WHO_WROTE = (
    "Find who wrote it: PutObject and CopyObject on the key in the bucket's S3 data events or server access logs, "
    "around the object's LastModified. CloudTrail itself writes as cloudtrail.amazonaws.com."
)
WHO_DELETED = (
    "Find who deleted it: DeleteObject and DeleteObjects in the bucket's S3 data events or server access logs, and "
    "expiry in aws s3api get-bucket-lifecycle-configuration --bucket BUCKET."
)
PUT_BACK = (
    "Where an earlier version survives, put it into a copy of the tree and run ctvalidate --source DIR on it: the "
    "digests show whether that version is the one AWS delivered."
)
TRAIL_CHANGES = (
    "List what was done to the trail: aws cloudtrail lookup-events --region HOME_REGION --lookup-attributes "
    "AttributeKey=EventName,AttributeValue=NAME for StopLogging, UpdateTrail, DeleteTrail and CreateTrail (90 days)."
)
DELIVERY_ERRORS = (
    "Read LatestDeliveryError and LatestDigestDeliveryError: aws cloudtrail get-trail-status --name TRAIL_ARN, and "
    "compare the bucket policy with its earlier states (PutBucketPolicy events, AWS Config)."
)
GRANT = (
    "Act on the cause: access-denied needs s3:GetObject on the object and s3:ListBucket on the bucket; kms-denied "
    "needs kms:Decrypt on the object's key; archived needs aws s3api restore-object; throttled and network need a "
    "second run."
)
OTHER_SOURCES = (
    "Fill the hours from elsewhere and mark them as such: a replica of the bucket, CloudTrail Lake, a SIEM copy, aws "
    "cloudtrail lookup-events for management events of the last 90 days."
)
