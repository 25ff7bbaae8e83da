"""Checks of the KMS key: whoever destroys it destroys every file that it encrypts."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Key, Trail
from cloudtrail_validate.doctor.model import (
    Answer,
    Axis,
    Check,
    Subject,
    Unread,
    bad,
    ok,
    on_trail,
    unknown,
    weak,
    worst,
)
from cloudtrail_validate.doctor.policy.conditions import ABSENT
from cloudtrail_validate.doctor.policy.decide import Outcome, Request, candidates, context_of, decide
from cloudtrail_validate.doctor.policy.document import Document, Principal, parse
from cloudtrail_validate.doctor.policy.questions import CLOUDTRAIL, STRANGER, some_trail

DESTROYING: Final = ("kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy", "kms:DeleteImportedKeyMaterial")
"""Calls that make a key's files unreadable, or allow somebody to. Grants cannot hold any of them (CreateGrant)."""
_CONTEXT: Final = "kms:encryptioncontext:aws:cloudtrail:arn"
_NO_KEY: Final = "files are not encrypted with a KMS key of one's own, so there is none to lose"
_DEAD: Final = frozenset({"Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion", "Unavailable"})


@on_trail
def judge_state(facts: Facts, trail: Trail) -> Answer:
    """Whether the key is there and will stay."""
    key = facts.key
    if not trail.kms_key:
        return ok(_NO_KEY)
    if isinstance(key, Unread):
        return unknown(key)
    if key is None:
        return bad(f"there is no key {trail.kms_key}: what it encrypted cannot be read any more")
    if key.state in _DEAD:
        on = f", to be deleted on {isoformat(key.deletion)}" if key.deletion else ""
        return bad(f"the key is {key.state}{on}: neither CloudTrail nor anybody else can use it")
    if key.expires is not None:
        return bad(f"the key's imported material expires on {isoformat(key.expires)}")
    return ok(f"the key is {key.state}, its material of {key.origin}")


@on_trail
def judge_policy(facts: Facts, trail: Trail) -> Answer:
    """Whether anybody who should not can destroy the key, or have CloudTrail use it for a trail of their own."""
    key, policy = facts.key, facts.key_policy
    if not trail.kms_key:
        return ok(_NO_KEY)
    if not isinstance(key, Key) or not isinstance(policy, str):
        unread = [fact for fact in (key, policy) if isinstance(fact, Unread)]
        return unknown(*unread) if unread else unknown("there is no such key")
    document = parse(policy)
    return worst(
        [
            *(_destroyer(key, document, principal) for principal in candidates(document)),
            *(
                [weak(f"the key belongs to {key.account}, the trail's own account")]
                if key.account == trail.account
                else []
            ),
            *_strangers(facts, key, document),
            *map(unknown, document.problems),
        ],
        f"only account {key.account} can destroy the key",
    )


def _destroyer(key: Key, document: Document, principal: Principal) -> Answer:
    context = context_of(principal, {})
    decisions = {action: decide(document, Request(principal, action, key.arn, context)) for action in DESTROYING}
    able = [action for action, decision in decisions.items() if decision.outcome is Outcome.ALLOWED]
    maybe = [decision for decision in decisions.values() if decision.outcome is Outcome.MAYBE]
    if principal.account == key.account:
        return ok("")
    if able:
        return bad(f"{principal} may {', '.join(able)}")
    if maybe:
        return unknown(f"{principal} may destroy the key if {', '.join(maybe[0].open)} holds")
    return ok("")


def _strangers(facts: Facts, key: Key, document: Document) -> list[Answer]:
    """Whether CloudTrail would use the key for any trail: whoever fills the bucket with files of theirs needs that."""
    strange = some_trail(facts.partition, STRANGER)
    known = {_CONTEXT: strange, "aws:sourcearn": strange, "aws:sourceaccount": STRANGER, "aws:sourceorgid": ABSENT}
    request = Request(CLOUDTRAIL, "kms:GenerateDataKey", key.arn, context_of(CLOUDTRAIL, known))
    decision = decide(document, request)
    if decision.outcome is not Outcome.ALLOWED:
        return []
    by = ", ".join(decision.statements)
    return [weak(f"CloudTrail may use the key for a trail of any account ({by} names no trail)")]


KMS: Final = (
    Check(
        id="kms-state",
        subject=Subject.KEYS,
        axes=(Axis.UNDO,),
        title="The KMS key is there and will stay",
        asks=(*asks.TRAIL, asks.DESCRIBE_KEY),
        finds="bad: the key is disabled, waits for its deletion, is gone, or has imported material that expires",
        why="Scheduling a key's deletion is one call, and after 7 days it makes every log unreadable for ever.",
        remedy=(
            "aws kms cancel-key-deletion --region {key_region} --key-id {key}",
            "aws kms enable-key --region {key_region} --key-id {key}",
        ),
        judge=judge_state,
        also=("Security Hub KMS.3", "Prowler kms_cmk_not_deleted_unintentionally"),
    ),
    Check(
        id="kms-policy",
        subject=Subject.KEYS,
        axes=(Axis.PREVENT,),
        title="Nobody else can destroy or use the KMS key",
        asks=(*asks.TRAIL, asks.DESCRIBE_KEY, asks.GET_KEY_POLICY),
        finds=(
            "bad: anyone, or another account than the key's, may disable it, schedule its deletion or change its policy;"
            " weak: the key belongs to the trail's own account, or CloudTrail may use it for any account's trail"
        ),
        why="A key in the watched account gives its administrators a switch that turns all logs off, past and future.",
        remedy=(
            "aws kms get-key-policy --region {key_region} --key-id {key} --policy-name default --output text",
            "# The statement for CloudTrail with its condition:",
            "# {key_statement}",
        ),
        judge=judge_policy,
        also=("Security Hub KMS.5", "Prowler kms_key_not_publicly_accessible"),
    ),
)
