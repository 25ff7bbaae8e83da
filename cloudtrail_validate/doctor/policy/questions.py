"""The questions that are put to a bucket policy: who writes, whose trail may deliver, whose must."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from cloudtrail_validate.core.layout import LOG_KIND
from cloudtrail_validate.doctor.facts import Facts, Organization, Trail
from cloudtrail_validate.doctor.model import Unread
from cloudtrail_validate.doctor.policy.conditions import ABSENT, Truth, compare
from cloudtrail_validate.doctor.policy.decide import Decision, Outcome, Request, candidates, context_of, decide
from cloudtrail_validate.doctor.policy.document import Document, Principal, Sort
from cloudtrail_validate.doctor.policy.patterns import is_plain

CLOUDTRAIL: Final = Principal(Sort.SERVICE, "cloudtrail.amazonaws.com")
MEMBER: Final = "member of the organization"
STRANGER: Final = "000000000000"  # no account has it: what a policy allows this one it allows everybody's
OBJECT_ACTIONS: Final = (
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutObjectAcl",
    "s3:PutObjectRetention",
    "s3:BypassGovernanceRetention",
    "s3:ReplicateObject",
    "s3:ReplicateDelete",
)
BUCKET_ACTIONS: Final = (
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketVersioning",
    "s3:PutBucketAcl",
    "s3:PutReplicationConfiguration",
    "s3:PutEncryptionConfiguration",
    "s3:PutBucketPublicAccessBlock",
    "s3:DeleteBucket",
)
"""Calls by which files come, go or change, and those that make the first possible."""


class Writer(msgspec.Struct, frozen=True):
    """A principal that the policy lets write or delete: what it may do, what it may under conditions, and by which text."""

    principal: Principal
    allowed: tuple[str, ...]
    maybe: tuple[str, ...]
    statements: tuple[str, ...]
    open: tuple[str, ...]


def folders(facts: Facts) -> list[str]:
    """ARN patterns of the folders that logs and digests lie in, of every account that is known to be in the bucket."""
    trail = facts.trail if isinstance(facts.trail, Trail) else None
    organization = facts.organization.id if isinstance(facts.organization, Organization) else "o-*"
    pairs = [(trail.account, facts.base)] if trail and trail.bucket == facts.bucket.name else []
    pairs += [] if isinstance(facts.bucket.accounts, Unread) else facts.bucket.accounts
    found = [f"{base}{account}/CloudTrail*" for account, base in pairs]
    if trail and trail.organization:
        found.append(f"{facts.base}{organization}/*")
    return [f"{facts.bucket_arn}/{each}" for each in dict.fromkeys(found or [f"{facts.base}*"])]


def distinct(document: Document, resources: list[str]) -> list[str]:
    """One resource of each sort that the document tells apart: a bucket of a thousand accounts has a few."""
    patterns = {
        pattern
        for statement in document.statements
        if statement.resources is not None
        for pattern in statement.resources.patterns
    }
    found: dict[tuple[Truth, ...], str] = {}
    for resource in resources:
        found.setdefault(tuple(compare(pattern, resource) for pattern in sorted(patterns)), resource)
    return list(found.values())


def writers(facts: Facts, document: Document) -> list[Writer]:
    """Whoever may write, delete, or make that possible. CloudTrail's own PutObject is no finding."""
    found = []
    calls = list(_calls(facts, document))
    for principal in candidates(document):
        context = context_of(principal, _organization(facts, principal))
        allowed: dict[str, None] = {}
        maybe: dict[str, None] = {}
        statements: dict[str, None] = {}
        unread: dict[str, None] = {}
        for action, resource in calls:
            if principal == CLOUDTRAIL and action == "s3:PutObject":
                continue
            decision = decide(document, Request(principal, action, resource, context))
            if decision.outcome is Outcome.REFUSED:
                continue
            (allowed if decision.outcome is Outcome.ALLOWED else maybe)[action] = None
            statements |= dict.fromkeys(decision.statements)
            unread |= dict.fromkeys(decision.open)
        if allowed or maybe:
            left = tuple(action for action in maybe if action not in allowed)
            found.append(Writer(principal, tuple(allowed), left, tuple(statements), tuple(unread)))
    return found


def _calls(facts: Facts, document: Document) -> Iterable[tuple[str, str]]:
    for folder in distinct(document, folders(facts)):
        for action in OBJECT_ACTIONS:
            yield action, folder
    for action in BUCKET_ACTIONS:
        yield action, facts.bucket_arn


def _organization(facts: Facts, principal: Principal) -> dict[str, str]:
    """aws:PrincipalOrgID where it is known: of accounts that are members, and of all others that it is another's."""
    if not isinstance(facts.organization, Organization) or isinstance(facts.members, Unread):
        return {}
    if not principal.account:
        return {"aws:principalorgid": "*"} if principal.sort is Sort.ANYONE else {}
    member = principal.account in facts.members
    return {"aws:principalorgid": facts.organization.id if member else ABSENT}


def delivery(facts: Facts, document: Document, source: str, account: str, resource: str) -> Decision:
    """Decide whether CloudTrail may put a file there for a trail. `source` is its ARN, or a pattern for "some trail"."""
    known = {
        "aws:sourcearn": source,
        "aws:sourceaccount": account,
        "s3:x-amz-acl": "bucket-owner-full-control",
        "aws:securetransport": "true",
    }
    if isinstance(facts.organization, Organization) and not isinstance(facts.members, Unread):
        known["aws:sourceorgid"] = facts.organization.id if account in facts.members else ABSENT
    elif account == STRANGER:
        known["aws:sourceorgid"] = ABSENT
    return decide(document, Request(CLOUDTRAIL, "s3:PutObject", resource, context_of(CLOUDTRAIL, known)))


def own_folder(facts: Facts, trail: Trail, account: str) -> str:
    """ARN pattern of the folder that a trail delivers an account's logs to."""
    organization = facts.organization.id if isinstance(facts.organization, Organization) else "o-*"
    base = f"{facts.base}{organization}/" if trail.organization else facts.base
    return f"{facts.bucket_arn}/{base}{account}/{LOG_KIND}/*"


def other_trail(trail: Trail) -> str:
    """ARN of a trail that is not the one examined, in the same account."""
    return f"arn:{trail.partition}:cloudtrail:{trail.home_region}:{trail.account}:trail/{trail.name}.other"


def some_trail(partition: str, account: str) -> str:
    """ARN pattern of any trail of an account."""
    return f"arn:{partition}:cloudtrail:*:{account}:trail/*"


def expected(facts: Facts, trail: Trail) -> dict[str, str]:
    """Accounts that must be able to deliver, each with why it is expected.

    Those asked for; else those of an organization trail; else whoever has a folder in the bucket or a statement in the
    policy, and, where these are several, the other members of the organization.
    """
    if facts.scope.accounts:
        return dict.fromkeys(facts.scope.accounts, "--account-id")
    members = () if isinstance(facts.members, Unread) else facts.members
    if trail.organization:
        return dict.fromkeys(members, "recorded by the organization's trail") | {trail.account: "the trail's own"}
    found = {trail.account: "the trail's own"}
    if not isinstance(facts.bucket.accounts, Unread):
        own = [account for account, base in facts.bucket.accounts if base.endswith("AWSLogs/")]
        found |= {account: "has a folder in the bucket" for account in own if account not in found}
    if len(found) > 1:
        found |= {each: MEMBER for each in members if each not in found}
    return found


def names_source(document: Document) -> list[str]:
    """Labels of statements that let CloudTrail write without saying for which trail."""
    return [
        statement.label
        for statement in document.statements
        if statement.allows
        and statement.who is not None
        and not statement.who.negated
        and CLOUDTRAIL in statement.who.principals
        and any(_putting(pattern) for pattern in statement.actions.patterns)
        and not any(condition.key == "aws:sourcearn" for condition in statement.conditions)
    ]


def _putting(pattern: str) -> bool:
    return pattern == "s3:putobject" if is_plain(pattern) else "s3:putobject".startswith(pattern.partition("*")[0])


def shut_out(facts: Facts, trail: Trail, document: Document) -> tuple[dict[str, str], list[str]]:
    """Expected accounts that CloudTrail may deliver nothing for, with why they are expected, and conditions left open."""
    bases = {} if isinstance(facts.bucket.accounts, Unread) else dict(facts.bucket.accounts)
    shut: dict[str, str] = {}
    unsure: dict[str, None] = {}
    for account, why in expected(facts, trail).items():
        mine = account == trail.account or trail.organization
        if mine:
            decision = delivery(facts, document, trail.arn, trail.account, own_folder(facts, trail, account))
        else:
            below = bases.get(account, "*AWSLogs/")
            resource = f"{facts.bucket_arn}/{below}{account}/{LOG_KIND}/*"
            decision = delivery(facts, document, some_trail(facts.partition, account), account, resource)
        if decision.outcome is Outcome.REFUSED:
            shut[account] = why
        elif decision.outcome is Outcome.MAYBE:
            unsure |= dict.fromkeys(decision.open)
    return shut, list(unsure)
