"""The one sentence that says what was seen, written from a finding's data.

Findings carry values and never text, so every format's message comes from here. What a sentence uses, beside the object
(`where`), the hours (`interval`) and the place (`account`, `region`, `trail`):

- `expected` and `actual`, wherever two values were compared, and `detail`, always: in brackets behind the sentence,
  unless the sentence itself speaks of them;
- `cause`: which permission or step is missing.

All of these may come from a hostile bucket: they are made `printable` and cut to `MAX_VALUE`. No formatting marks.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, assert_never

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Cause, Interval, Status, isoformat
from cloudtrail_validate.core.text import duration, printable
from cloudtrail_validate.core.trouble import OF_IDENTITY, OF_THE_WAY, Trouble, advice, diagnose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloudtrail_validate.core.model import Finding

_NO_PERMISSION_HELPS: Final = (
    OF_IDENTITY | OF_THE_WAY | {Trouble.FOREIGN, Trouble.BEYOND, Trouble.DISABLED, Trouble.CLOSED, Trouble.SERVICE}
) - {Trouble.NETWORK}
_UNREADABLE: Final = frozenset(
    {rules.DIGEST_UNREADABLE, rules.LOG_UNREADABLE, rules.LAKE_SIGN_UNREADABLE, rules.LAKE_RESULT_UNREADABLE}
)
MAX_VALUE: Final = 1_200  # characters a value; an S3 key has at most 1,024 bytes, a signature in hex 512

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        rules.DIGEST_MISSING: "The digest {object} is not there, though its successor names it",
        rules.DIGEST_MALFORMED: "The object {object} is not a digest that can be read",
        rules.DIGEST_SIGNATURE_INVALID: (
            "The signature of the digest {object} does not fit its content, end time, place and predecessor"
        ),
        rules.DIGEST_SIGNATURE_MISSING: "The metadata of the digest {object} hold no {detail}",
        rules.DIGEST_KEY_UNKNOWN: (
            "No public key has the fingerprint {actual} that the digest {object} names, so its signature {verdict}"
        ),
        rules.DIGEST_ALGORITHM_UNSUPPORTED: (
            "The digest {object} names the algorithm {actual} where CloudTrail uses {expected}"
        ),
        rules.DIGEST_MOVED: "The digest {object} says that it was delivered as {expected}",
        rules.DIGEST_TRAILING_DATA: "Bytes follow the gzip member of the digest {object}",
        rules.DIGEST_LINK_BROKEN: "The digest {object} is not the one that its successor recorded",
        rules.DIGEST_UNLINKED: (
            "The digest {object} is validly signed and in its place, but no chain leads to it and it starts none"
        ),
        rules.DIGEST_UNREADABLE: "The digest {object} is there and could not be read",
        rules.LOG_ALTERED: "The content of the log {object} is not what its digest recorded",
        rules.LOG_MALFORMED: "The log {object} is not an intact gzip file",
        rules.LOG_TRAILING_DATA: "Bytes follow the gzip member of the log {object}",
        rules.LOG_MISSING: "The log {object} is not there, though a proven digest names it",
        rules.LOG_EXTRA: "No digest names the log {object}, though proven digests cover its hours",
        rules.LOG_UNREADABLE: "The log {object} is there and could not be read",
        rules.LOG_UNDIGESTED: "No proven digest vouches for the log {object}",
        rules.LOG_PENDING: "The log {object} is newer than the newest digest, and the next one should name it",
        rules.LOG_REWRITTEN: "The content of the log {object} is proven, but CloudTrail was not the last to write it",
        rules.GAP_BROKEN: (
            "No proven digest covers {hours} of {place}: a digest of these hours is missing, altered or unreadable"
        ),
        rules.GAP_RESTART: "No digest covers {hours} of {place}: one chain ended and the next began later",
        rules.GAP_LATE_START: "No digest covers {hours} of {place}: the window begins before the first digest",
        rules.GAP_TAIL: "No digest covers {hours} of {place}: digests stop well before the window ends",
        rules.HISTORY_REWRITTEN: "What an earlier run proved of {hours} of {place} is not there any more",
        rules.CHAIN_ABSENT: "There is no digest at all for {hours} of {place}",
        rules.CHAIN_RESTART: "A new chain of {place} begins with {object}, and no hour is lost",
        rules.LAKE_RESULT_ALTERED: "The query result {object} is not what its sign file lists",
        rules.LAKE_RESULT_RENAMED: "The query result {object} is listed under another name: {detail}",
        rules.LAKE_RESULT_MISSING: "The query result {object} is not there, though its sign file lists it",
        rules.LAKE_RESULT_EXTRA: "The file {object} lies among query results, and no sign file lists it",
        rules.LAKE_RESULT_UNREADABLE: "The query result {object} is there and could not be read",
        rules.LAKE_SIGN_MISSING: "There is no sign file {object} with the query results",
        rules.LAKE_SIGN_MALFORMED: "The sign file {object} is none that CloudTrail writes",
        rules.LAKE_SIGN_UNREADABLE: "The sign file {object} is there and could not be read",
        rules.LAKE_SIGNATURE_INVALID: "The signature of the sign file {object} does not fit the hashes that it lists",
        rules.LAKE_KEY_UNKNOWN: (
            "No public key has the fingerprint {actual} that the sign file {object} names, so its signature {verdict}"
        ),
        rules.LAKE_ALGORITHM_UNSUPPORTED: (
            "The sign file {object} names the algorithm {actual} where CloudTrail uses {expected}"
        ),
        rules.LAKE_MOVED: "The sign file {object} is not of the place, region or time that it is said to be: {detail}",
        rules.WITNESS_EVENT_ABSENT: (
            "The event {actual} of {place} is in no log, though proven digests cover its hours: {detail}"
        ),
        rules.WITNESS_EVENT_DIFFERS: "The log {object} tells an event otherwise than AWS does elsewhere: {detail}",
    }
)
"""What each rule says. `describe` fills the fields in."""


def describe(finding: Finding) -> str:
    """Return one sentence that says what was seen: plain text on one line, safe to show.

    Raises KeyError for a rule that is not in `rules.RULES`, and nothing on any content.
    """
    template = SENTENCES[finding.rule]
    if finding.rule == rules.DIGEST_UNREADABLE and finding.where is None:
        template = "Not everything could be looked at"
    if finding.rule == rules.HISTORY_REWRITTEN and finding.where is not None:
        template = "The digest {object}, which an earlier run proved, is another one now or gone"
    sentence = template.format(
        object=_value(str(finding.where)) if finding.where else "(no object)",
        hours=_hours(finding.interval),
        place=_place(finding),
        expected=_value(finding.expected),
        actual=_value(finding.actual),
        detail=_value(finding.detail or "signature"),
        verdict="is not CloudTrail's" if finding.status is Status.ALTERED else "cannot be checked",
    )
    aside = []
    if finding.expected is not None and "{expected}" not in template:
        word = "SHA-256" if finding.rule == rules.LOG_REWRITTEN else "expected"  # nothing differs from what is expected
        aside.append(f"{word} {_value(finding.expected)}")
    if finding.actual is not None and "{actual}" not in template and finding.actual != str(finding.where):
        aside.append(f"found {_value(finding.actual)}")
    if finding.detail and "{detail}" not in template:
        aside.append(_value(finding.detail))
    brackets = f" ({', '.join(aside)})" if aside else ""
    reason = f"; {remedy(finding.rule, finding.cause, finding.detail)}" if finding.cause else ""
    return f"{sentence}{brackets}{reason}."


def remedy(rule: str, cause: Cause, detail: str | None = None) -> str:
    """Return why something could not be read and what is missing: the permission, by its IAM name, or the step.

    `detail` is what AWS or the network said: where that is about the credentials or the way to AWS, so is the advice.
    """
    trouble = diagnose("", detail or "")
    no_key = rule in (rules.DIGEST_KEY_UNKNOWN, rules.LAKE_KEY_UNKNOWN)
    perhaps_disabled = no_key and trouble in (Trouble.INVALID, Trouble.DISABLED)
    if cause in (Cause.ACCESS_DENIED, Cause.NETWORK) and trouble in _NO_PERMISSION_HELPS and not perhaps_disabled:
        return f"{trouble}: {advice(trouble)}"
    if no_key:
        denied = "allow cloudtrail:ListPublicKeys, and see that the region is enabled, or give --public-keys FILE"
    elif rule in _UNREADABLE:
        denied = (
            "allow s3:GetObject on the object, and s3:ListBucket on the bucket so that a missing key can be told "
            "from a denied one"
        )
    else:
        denied = "allow s3:ListBucket on the bucket"
    match cause:
        case Cause.ACCESS_DENIED:
            return f"access denied: {denied}"
        case Cause.KMS_DENIED:
            return "KMS denied: allow kms:Decrypt on the KMS key of the object"
        case Cause.ARCHIVED:
            return "archived: restore it first (aws s3api restore-object), then run again"
        case Cause.THROTTLED:
            return "throttled: AWS kept asking for fewer requests, run again later"
        case Cause.NETWORK:
            return "network: the connection failed or broke off, run again"
        case _:
            assert_never(cause)


def _value(text: str | None) -> str:
    """Make a hostile value fit to show. The middle of an overlong one goes: keys differ at their ends."""
    if text is None:
        return "(unknown)"
    if len(text) > MAX_VALUE:
        half = MAX_VALUE // 2
        text = f"{text[:half]}[{len(text) - 2 * half:,} characters left out]{text[-half:]}"
    return printable(text)


def _hours(interval: Interval | None) -> str:
    if interval is None:
        return "the window"
    return f"{isoformat(interval.start)} to {isoformat(interval.end)} ({duration(interval.seconds)})"


def _place(finding: Finding) -> str:
    named = (("account", finding.account), ("region", finding.region), ("trail", finding.trail))
    return ", ".join(f"{noun} {_value(name)}" for noun, name in named if name) or "the trail"
