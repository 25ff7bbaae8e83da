"""What can be found of the results of CloudTrail Lake queries, as they lie in S3 with their sign file."""

from __future__ import annotations

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules.ids import (
    LAKE_ALGORITHM_UNSUPPORTED,
    LAKE_KEY_UNKNOWN,
    LAKE_MOVED,
    LAKE_RESULT_ALTERED,
    LAKE_RESULT_EXTRA,
    LAKE_RESULT_MISSING,
    LAKE_RESULT_RENAMED,
    LAKE_RESULT_UNREADABLE,
    LAKE_SIGN_MALFORMED,
    LAKE_SIGN_MISSING,
    LAKE_SIGN_UNREADABLE,
    LAKE_SIGNATURE_INVALID,
)
from cloudtrail_validate.core.rules.rule import GRANT, KEEP_VERSIONS, WHO_DELETED, WHO_WROTE, Rule

_RUN_AGAIN = (
    "Run the query again and save its results, while the event data store keeps the events: aws cloudtrail start-query "
    "--query-statement STATEMENT --delivery-s3-uri s3://BUCKET. Compare, knowing that late events may have come in."
)
_ORIGINAL = (
    "Where an earlier version or another copy survives, put it into a folder with its sign file and run ctvalidate lake "
    "on that: the signature shows whether it is what AWS delivered."
)
_WHICH_QUERY = (
    "Look up the query (90 days): aws cloudtrail lookup-events --lookup-attributes "
    "AttributeKey=EventName,AttributeValue=StartQuery, and compare statement and time."
)

LAKE = (
    Rule(
        id=LAKE_RESULT_ALTERED,
        status=Status.ALTERED,
        title="Query result was changed",
        when=(
            "The SHA-256 of a result file, compressed as it lies there, is neither the one that the sign file lists for "
            "it nor one that it lists at all."
        ),
        means="The file is not the one that CloudTrail Lake delivered: rows or the query statement may have been edited.",
        does_not_mean=(
            "Which row was changed. A copy tool that inflated or compressed the file again brings this about as well: the "
            "hash is over the compressed bytes."
        ),
        next_steps=(KEEP_VERSIONS, WHO_WROTE, _ORIGINAL, _RUN_AGAIN),
    ),
    Rule(
        id=LAKE_RESULT_RENAMED,
        status=Status.ALTERED,
        title="Query result under another name",
        when="A file's SHA-256 is one that the sign file lists under another name.",
        means=(
            "Files were swapped or renamed after delivery, or the names in the sign file were edited: CloudTrail signs the "
            "hashes and not the names."
        ),
        does_not_mean="That a row was changed: the content itself is one that AWS signed, where the signature is valid.",
        next_steps=(
            KEEP_VERSIONS,
            "Give the files the names that the sign file lists, in a copy, and run ctvalidate lake on that.",
            WHO_WROTE,
        ),
    ),
    Rule(
        id=LAKE_RESULT_MISSING,
        status=Status.MISSING,
        title="Query result is gone",
        when="A result file that the sign file lists is not there, under no name.",
        means="CloudTrail Lake delivered it, and it has since been deleted, moved or expired. Its rows are lacking.",
        does_not_mean="Intent: lifecycle rules and incomplete copies delete too.",
        next_steps=(WHO_DELETED, _ORIGINAL, _RUN_AGAIN),
    ),
    Rule(
        id=LAKE_RESULT_EXTRA,
        status=Status.EXTRA,
        title="File that no sign file lists",
        when="Something lies in the folder of a query's results that its sign file does not list.",
        means=(
            "CloudTrail Lake writes the sign file and the files that it lists into a folder of its own. Whoever reads all "
            "files of the folder reads rows that AWS never delivered."
        ),
        does_not_mean="That the listed files changed: they are judged by themselves.",
        next_steps=(
            "Do not rely on it. Keep it: aws s3api get-object and head-object --bucket BUCKET --key KEY.",
            WHO_WROTE,
        ),
    ),
    Rule(
        id=LAKE_RESULT_UNREADABLE,
        status=Status.UNVERIFIABLE,
        title="Query result could not be read",
        when="A file exists but cannot be read: access-denied, kms-denied, archived, throttled or network.",
        means="The file is there, but its content could not be hashed in this run.",
        does_not_mean="Evidence of change. Nor its absence: read it and see.",
        next_steps=(GRANT, "Run the same command again."),
    ),
    Rule(
        id=LAKE_SIGN_MISSING,
        status=Status.MISSING,
        title="Sign file is gone",
        when="A folder holds result files of a query and no result_sign.json.",
        means="Every query whose results are saved gets a sign file. Without it nothing proves these results.",
        does_not_mean="That a row was changed. Nor that it can be ruled out.",
        next_steps=(WHO_DELETED, _ORIGINAL, _RUN_AGAIN),
    ),
    Rule(
        id=LAKE_SIGN_MALFORMED,
        status=Status.ALTERED,
        title="Sign file is no sign file",
        when=(
            "The file is not JSON, lacks fields or has them twice, is of an unknown version, or names files as CloudTrail "
            "does not: result_1.csv.gz, result_2.csv.gz and so on."
        ),
        means="AWS writes well-formed sign files, so this one was overwritten, truncated or edited.",
        does_not_mean="That the results were changed: without a sign file nobody can say. No file that it names is opened.",
        next_steps=(KEEP_VERSIONS, WHO_WROTE, _ORIGINAL),
    ),
    Rule(
        id=LAKE_SIGN_UNREADABLE,
        status=Status.UNVERIFIABLE,
        title="Sign file could not be read",
        when="A sign file or a folder exists but cannot be read: access-denied, kms-denied, archived, throttled, network.",
        means="The results of this query could not be verified in this run.",
        does_not_mean="Evidence of change.",
        next_steps=(GRANT, "Run the same command again."),
    ),
    Rule(
        id=LAKE_SIGNATURE_INVALID,
        status=Status.ALTERED,
        title="Sign file's signature is wrong",
        when="The RSA signature does not fit the hashes that the sign file lists, or is no signature at all.",
        means="Hashes were edited, taken out, added or put into another order after AWS signed them, or the signature was.",
        does_not_mean="Which of the files is concerned: each that differs from its listed hash is reported by itself.",
        next_steps=(KEEP_VERSIONS, WHO_WROTE, _ORIGINAL, _RUN_AGAIN),
    ),
    Rule(
        id=LAKE_KEY_UNKNOWN,
        status=Status.ALTERED,
        also=Status.UNVERIFIABLE,
        title="Key of the sign file is unknown",
        when=(
            "No public key has the fingerprint that the sign file names, in its region or another. It is altered where "
            "CloudTrail itself listed other keys of that time, and unverifiable where it listed none, or the keys come "
            "from a file."
        ),
        means=(
            "Either somebody signed with a key of their own or edited the fingerprint, or the key that is needed is not "
            "at hand: no longer listed, or of another window or region than the key file."
        ),
        does_not_mean="Forgery where the keys come from a file: export the keys of the region and time first.",
        next_steps=(
            (
                "Export the keys: ctvalidate keys export --start-time TIME --end-time TIME --region REGION "
                "--output keys.json, around the time at which the query completed, and verify with --public-keys keys.json."
            ),
            KEEP_VERSIONS,
            WHO_WROTE,
        ),
    ),
    Rule(
        id=LAKE_ALGORITHM_UNSUPPORTED,
        status=Status.ALTERED,
        title="Sign file with another algorithm",
        when="A sign file names another algorithm than SHA-256 or SHA256withRSA.",
        means="CloudTrail uses these two only. The field was edited; a weaker algorithm would make forgery cheap.",
        does_not_mean="That the hashes are wrong: they are not looked at under another algorithm.",
        next_steps=(KEEP_VERSIONS, WHO_WROTE, _ORIGINAL),
    ),
    Rule(
        id=LAKE_MOVED,
        status=Status.ALTERED,
        title="Query result not in its place",
        when=(
            "The folder's day is not the one on which the query completed; or the same results lie under two queries; or "
            "the key that signed is of another region or time than the sign file says; or it was written before the query "
            "had completed."
        ),
        means=(
            "Region, time, account and query id are not signed. Here they contradict what is: genuine results were passed "
            "off as those of another day, query or region, or the sign file's fields were edited."
        ),
        does_not_mean=(
            "That a row was changed. And a folder that was moved to a place that fits cannot be told from one that lay "
            "there: the signature covers content only."
        ),
        next_steps=(_WHICH_QUERY, WHO_WROTE, KEEP_VERSIONS),
    ),
)
