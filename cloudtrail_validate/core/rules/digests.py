"""What can be found of digests.

In the order of the contract.
"""

from __future__ import annotations

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules.ids import (
    DIGEST_ALGORITHM_UNSUPPORTED,
    DIGEST_KEY_UNKNOWN,
    DIGEST_LINK_BROKEN,
    DIGEST_MALFORMED,
    DIGEST_MISSING,
    DIGEST_MOVED,
    DIGEST_SIGNATURE_INVALID,
    DIGEST_SIGNATURE_MISSING,
    DIGEST_TRAILING_DATA,
    DIGEST_UNLINKED,
    DIGEST_UNREADABLE,
)
from cloudtrail_validate.core.rules.rule import (
    GRANT,
    KEEP_VERSIONS,
    PUT_BACK,
    TRAIL_CHANGES,
    WHO_DELETED,
    WHO_WROTE,
    Rule,
)

DIGESTS = (
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
        next_steps=(KEEP_VERSIONS, WHO_DELETED, PUT_BACK),
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
        next_steps=(KEEP_VERSIONS, WHO_WROTE, PUT_BACK),
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
            KEEP_VERSIONS,
            WHO_WROTE,
            (
                "Compare the logs that the digest lists with those that lie in its hours: an entry that was cut out "
                "points at the log somebody wanted to hide."
            ),
            PUT_BACK,
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
            KEEP_VERSIONS,
            WHO_WROTE,
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
            KEEP_VERSIONS,
            WHO_WROTE,
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
            KEEP_VERSIONS,
            WHO_WROTE,
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
            KEEP_VERSIONS,
            "Look at the place that the digest names: was it deleted there (digest-missing), or does it lie at both?",
            WHO_WROTE,
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
        next_steps=(KEEP_VERSIONS, "Keep the appended bytes apart and look at what they hold.", WHO_WROTE),
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
            KEEP_VERSIONS,
            WHO_WROTE,
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
            TRAIL_CHANGES,
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
            GRANT,
            (
                "If it used to be readable, find what changed: PutBucketPolicy, PutObjectAcl, PutKeyPolicy, DisableKey "
                "and ScheduleKeyDeletion events."
            ),
            "Run the same command again.",
        ),
    ),
)
