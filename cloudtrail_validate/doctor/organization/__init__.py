"""Checks of the organization around the trail."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import ControlPolicy, Facts, Organization, Trail
from cloudtrail_validate.doctor.model import Answer, Axis, Check, Subject, Unread, ok, on_trail, unknown, weak
from cloudtrail_validate.doctor.policy.conditions import Truth, any_of
from cloudtrail_validate.doctor.policy.decide import Request, context_of, denied
from cloudtrail_validate.doctor.policy.document import Principal, Sort, parse

SILENCING: Final = (
    "cloudtrail:StopLogging",
    "cloudtrail:DeleteTrail",
    "cloudtrail:UpdateTrail",
    "cloudtrail:PutEventSelectors",
)


@on_trail
def judge_organization(facts: Facts, trail: Trail) -> Answer:
    """Whether the whole organization is recorded, by a trail that its members cannot change."""
    if trail.organization:
        return ok("organization trail: members cannot stop or change it")
    if isinstance(facts.organization, Unread):
        return unknown(facts.organization)
    if facts.organization is None:
        return ok("the account is in no organization")
    others = () if isinstance(facts.others, Unread) else facts.others
    wide = next((other for other in others if other.organization), None)
    if wide is not None:
        return ok(f"{wide.arn} records the whole organization")
    said = f"the account is in organization {facts.organization.id}, and no organization trail is known"
    return unknown(said, facts.others) if isinstance(facts.others, Unread) else weak(said)


@on_trail
def judge_control(facts: Facts, trail: Trail) -> Answer:
    """Whether a service control policy keeps administrators of the trail's account from stopping it."""
    organization = facts.organization
    if isinstance(organization, Unread):
        return unknown(organization)
    if organization is None:
        return weak("the account is in no organization: nothing above its administrators protects the trail")
    if organization.management_account == trail.account:
        return ok("the trail belongs to the management account, which service control policies do not bind")
    return unknown(facts.control) if isinstance(facts.control, Unread) else _denials(facts.control, organization, trail)


def _denials(control: tuple[ControlPolicy, ...], organization: Organization, trail: Trail) -> Answer:
    """Judge by a role that no policy can have thought of: exceptions for named administrators do not count against it."""
    somebody = Principal(Sort.AWS, f"arn:{trail.partition}:iam::{trail.account}:role/any-role-of-the-account")
    context = context_of(somebody, {"aws:principalorgid": organization.id})
    documents = [parse(policy.content) for policy in control]
    found = {
        action: any_of(denied(document, Request(somebody, action, trail.arn, context)) for document in documents)
        for action in SILENCING
    }
    free = [action for action, truth in found.items() if truth is Truth.NO]
    if free:
        return weak(f"no service control policy denies {', '.join(free)} in {trail.account}")
    if any(truth is not Truth.YES for truth in found.values()):
        return unknown("service control policies deny it under conditions that are not known here: read them")
    return ok(f"service control policies deny {', '.join(SILENCING)}")


CHECKS: Final = (
    Check(
        id="trail-organization",
        subject=Subject.ORGANIZATION,
        axes=(Axis.NOTICE,),
        title="One trail records the whole organization",
        asks=(*asks.TRAIL, asks.DESCRIBE_ORGANIZATION),
        finds="weak: the account is in an organization that has no organization trail, as far as the caller sees",
        why="An organization trail is written for new accounts from their first minute, and members cannot switch it off.",
        remedy=(
            "# As the management account, which owns the trail; a trail of a member cannot become one: create it there.",
            (
                "aws cloudtrail update-trail --profile MANAGEMENT_PROFILE --region {home} --name {name}"
                " --is-organization-trail"
            ),
        ),
        judge=judge_organization,
        also=("NIST 800-53 AU-12",),
    ),
    Check(
        id="trail-scp",
        subject=Subject.ORGANIZATION,
        axes=(Axis.PREVENT,),
        title="A service control policy protects the trail",
        asks=(
            *asks.TRAIL,
            asks.DESCRIBE_ORGANIZATION,
            asks.LIST_PARENTS,
            asks.LIST_POLICIES,
            asks.DESCRIBE_POLICY,
        ),
        finds="weak: none denies StopLogging, DeleteTrail, UpdateTrail and PutEventSelectors, or there is no organization",
        why="Administrators of the account can stop the trail that records them, unless something above them forbids it.",
        remedy=(
            "# As the management account, in an organization with all features and service control policies enabled:",
            (
                "aws organizations create-policy --profile MANAGEMENT_PROFILE --type SERVICE_CONTROL_POLICY"
                " --name protect-cloudtrail --description 'Nobody stops or changes the trail' --content {control_policy}"
            ),
            "aws organizations attach-policy --profile MANAGEMENT_PROFILE --policy-id POLICY_ID --target-id {account}",
        ),
        judge=judge_control,
        also=("NIST 800-53 AU-9(4)",),
    ),
)
