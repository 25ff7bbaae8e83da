"""Gathers what surrounds trail and bucket: the organization, the KMS key, public keys, the caller's own powers."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cloudtrail_validate.aws.public_keys import list_public_keys
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.caller import POWERS
from cloudtrail_validate.doctor.facts import Caller, ControlPolicy, Key, Organization, Trail
from cloudtrail_validate.doctor.gather import parse
from cloudtrail_validate.doctor.gather.calls import Calls, settled
from cloudtrail_validate.doctor.model import Unread

MOST_LEVELS: Final = 7  # an organization's root, five levels of units, and the account
_MONTH: Final = timedelta(days=30)  # a key is valid for 30 days


def organization(calls: Calls) -> Organization | Unread | None:
    """Return the organization that the caller's account is in."""
    return calls.ask(asks.DESCRIBE_ORGANIZATION, parse.organization)


def members(calls: Calls) -> tuple[str, ...] | Unread:
    """Return the organization's active accounts; the management account and delegated administrators may ask."""
    found = calls.items(
        asks.LIST_ACCOUNTS, "Accounts", lambda item: str(item["Id"]) if item.get("Status") == "ACTIVE" else ""
    )
    return found if isinstance(found, Unread) else tuple(filter(None, found or ()))


def control_policies(calls: Calls, account: str) -> tuple[ControlPolicy, ...] | Unread:
    """Return the service control policies of an account and of everything above it, AWS's own left out."""
    found: dict[str, ControlPolicy] = {}
    target, root = account, False
    for _ in range(MOST_LEVELS):
        attached = calls.items(
            asks.LIST_POLICIES,
            "Policies",
            lambda item: (str(item["Id"]), str(item.get("Name") or ""), bool(item.get("AwsManaged"))),
            TargetId=target,
            Filter="SERVICE_CONTROL_POLICY",
        )
        if isinstance(attached, Unread):
            return attached
        for identifier, name, managed in attached or ():
            if managed or identifier in found:
                continue
            content = calls.ask(
                asks.DESCRIBE_POLICY, lambda answer: str(answer["Policy"]["Content"]), PolicyId=identifier
            )
            if isinstance(content, Unread):
                return content
            found[identifier] = ControlPolicy(identifier, name, target, content or "{}")
        if root:
            break
        above = calls.items(
            asks.LIST_PARENTS, "Parents", lambda item: (str(item["Id"]), str(item["Type"])), ChildId=target
        )
        if isinstance(above, Unread):
            return above
        if not above:
            break
        target, root = above[0][0], above[0][1] == "ROOT"
    return tuple(found.values())


def key(calls: Calls, trail: Trail) -> Key | Unread | None:
    """Return the trail's KMS key."""
    return calls.ask(asks.DESCRIBE_KEY, parse.key, key_region(trail), KeyId=trail.kms_key)


def key_policy(calls: Calls, trail: Trail) -> str | Unread | None:
    """Return the key's policy."""
    read = partial(calls.ask, asks.GET_KEY_POLICY, lambda answer: str(answer["Policy"]), key_region(trail))
    return read(KeyId=trail.kms_key, PolicyName="default")


def key_region(trail: Trail) -> str:
    """Return the region that the key lives in."""
    parts = trail.kms_key.split(":")
    return parts[3] if len(parts) > 5 and parts[3] else trail.home_region


def public_keys(calls: Calls, region: str, now: datetime) -> int | Unread:
    """Count the public keys that CloudTrail tells of the last month in a region."""
    found = calls.run(
        asks.LIST_PUBLIC_KEYS, lambda client: len(list_public_keys(client, region, now - _MONTH, now)), region
    )
    return settled(found, 0)


def powers(calls: Calls, caller: Caller, resources: tuple[str, ...]) -> tuple[str, ...] | Unread:
    """Return which of `POWERS` the caller's own policies give it, by IAM's own simulation."""
    source = _source(calls, caller)
    if source is None:
        return POWERS
    if isinstance(source, Unread):
        return source
    found = calls.items(
        asks.SIMULATE,
        "EvaluationResults",
        lambda item: str(item["EvalActionName"]) if item.get("EvalDecision") == "allowed" else "",
        PolicySourceArn=source,
        ActionNames=list(POWERS),
        ResourceArns=list(resources),
    )
    if found is None:
        return Unread("", None, f"iam:SimulatePrincipalPolicy does not know {source}")
    return found if isinstance(found, Unread) else tuple(dict.fromkeys(filter(None, found)))


def _source(calls: Calls, caller: Caller) -> str | Unread | None:
    """The identity whose policies count: of a session its role's. None for the root user, whom nothing forbids."""
    parts = caller.arn.split(":", 5)
    if len(parts) != 6:
        return Unread("", None, f"who is {caller.arn}?")
    if parts[5] == "root":
        return None
    if not parts[5].startswith("assumed-role/"):
        return caller.arn
    role = parts[5].split("/")[1]
    known = calls.ask(asks.GET_ROLE, lambda answer: str(answer["Role"]["Arn"]), RoleName=role)
    if isinstance(known, Unread):
        calls.forgive(known)  # only a role with a path needs it
    return known if isinstance(known, str) else f"arn:{parts[1]}:iam::{parts[4]}:role/{role}"
