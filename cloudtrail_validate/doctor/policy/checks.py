"""Checks of the bucket policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

from cloudtrail_validate.core.text import plural
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Trail
from cloudtrail_validate.doctor.model import (
    Answer,
    Axis,
    Check,
    Judge,
    Subject,
    Unread,
    bad,
    ok,
    on_trail,
    unknown,
    weak,
    worst,
)
from cloudtrail_validate.doctor.policy.conditions import Truth
from cloudtrail_validate.doctor.policy.decide import Outcome, Request, context_of, denied
from cloudtrail_validate.doctor.policy.document import ANYONE, Document, Sort, parse
from cloudtrail_validate.doctor.policy.questions import (
    MEMBER,
    STRANGER,
    Writer,
    delivery,
    expected,
    names_source,
    other_trail,
    own_folder,
    shut_out,
    some_trail,
    writers,
)

FEW: Final = 5  # names that a sentence holds


def on_policy(judge: Callable[[Facts, Document], Answer], *, whole: bool = False) -> Judge:
    """Make a judge of one that needs the bucket policy; what was not understood in it makes a good answer unknown.

    `whole`: where something is missing in the policy, it may be in the part that was not understood.
    """

    @wraps(judge)
    def with_policy(facts: Facts) -> Answer:
        policy = facts.bucket.policy
        if isinstance(policy, Unread):
            return unknown(policy)
        document = parse(policy) if policy else Document()
        if document.problems and whole:
            return unknown(*document.problems)
        answer = judge(facts, document)
        return worst([answer, *map(unknown, document.problems)], "") if document.problems else answer

    return with_policy


def few(names: list[str]) -> str:
    """Name the first of many."""
    more = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {more:,} more" if more > 0 else "")


@on_policy
def judge_writers(facts: Facts, document: Document) -> Answer:
    """Whether anybody but CloudTrail may write, delete, or make that possible."""
    answers = [_writer(facts, writer) for writer in writers(facts, document)]
    return worst(answers, "the policy lets nobody but CloudTrail write, and nobody delete")


def _writer(facts: Facts, writer: Writer) -> Answer:
    by = f"by {few(list(writer.statements))}"
    if not writer.allowed:
        return unknown(f"{writer.principal} may {few(list(writer.maybe))} {by}, if {few(list(writer.open))} holds")
    said = f"{writer.principal} may {few(list(writer.allowed))} {by}"
    match writer.principal.sort:
        case Sort.SERVICE:
            return weak(f"{said}; CloudTrail needs s3:PutObject alone, and other services a folder of their own")
        case Sort.AWS if writer.principal.account and writer.principal.account == facts.bucket.owner:
            return weak(f"{said}; it is in the bucket's own account")
        case Sort.AWS if isinstance(facts.bucket.owner, Unread):
            return weak(f"{said}; whether it is in the bucket's own account is not known")
        case _:
            return bad(said)


@on_trail
def judge_source(facts: Facts, trail: Trail) -> Answer:
    """Whether another trail may write here: a decoy, with valid signatures and other events."""
    return on_policy(lambda facts, document: _source(facts, trail, document))(facts)


def _source(facts: Facts, trail: Trail, document: Document) -> Answer:
    strange = some_trail(facts.partition, STRANGER)
    anywhere = delivery(facts, document, strange, STRANGER, f"{facts.bucket_arn}/*AWSLogs/{STRANGER}/*")
    openly = delivery(facts, document, strange, STRANGER, f"{facts.bucket_arn}/{facts.base}{STRANGER}/*")
    sibling = delivery(facts, document, other_trail(trail), trail.account, own_folder(facts, trail, trail.account))
    labels = names_source(document)
    lacking = f" ({few(labels)} without aws:SourceArn)" if labels else ""
    answers = []
    if openly.outcome is Outcome.ALLOWED:
        answers.append(
            bad(f"a trail of any AWS account may write into this bucket by {few(list(openly.statements))}{lacking}")
        )
    elif anywhere.outcome is Outcome.ALLOWED:
        by = few(list(anywhere.statements))
        answers.append(weak(f"a trail of any AWS account, with a prefix of its choice, may write by {by}{lacking}"))
    if sibling.outcome is Outcome.ALLOWED:
        by = few(list(sibling.statements))
        answers.append(weak(f"any other trail of {trail.account} may write beside this one by {by}{lacking}"))
    answers += [
        unknown(f"whether other trails may write depends on {few(list(decision.open))}")
        for decision in (openly, anywhere, sibling)
        if decision.outcome is Outcome.MAYBE
    ]
    return worst(answers, "each statement for CloudTrail names the trails that it is for")


@on_trail
def judge_accounts(facts: Facts, trail: Trail) -> Answer:
    """Whether every account that should deliver may."""
    return on_policy(lambda facts, document: _accounts(facts, trail, document), whole=True)(facts)


def _accounts(facts: Facts, trail: Trail, document: Document) -> Answer:
    shut, unsure = shut_out(facts, trail, document)
    answers = [_shut(shut, why) for why in dict.fromkeys(shut.values())]
    if unsure:
        answers.append(unknown(f"whether every account may deliver depends on {few(unsure)}"))
    if trail.organization and isinstance(facts.members, Unread) and not facts.scope.accounts:
        answers.append(unknown(facts.members))
    return worst(answers, f"CloudTrail may deliver for {plural(len(expected(facts, trail)), 'account')}")


def _shut(shut: dict[str, str], why: str) -> Answer:
    accounts = few([account for account, reason in shut.items() if reason == why])
    said = f"the policy lets CloudTrail deliver nothing for {accounts} ({why})"
    return weak(said) if why == MEMBER else bad(said)


def judge_tls(facts: Facts) -> Answer:
    """Whether requests without TLS are refused."""
    return on_policy(_tls, whole=True)(facts)


def _tls(facts: Facts, document: Document) -> Answer:
    context = context_of(ANYONE, {"aws:securetransport": "false"})
    calls = (("s3:PutObject", f"{facts.bucket_arn}/*"), ("s3:GetObject", f"{facts.bucket_arn}/*"))
    refused = [denied(document, Request(ANYONE, action, resource, context)) for action, resource in calls]
    if all(truth is Truth.YES for truth in refused):
        return ok("requests without TLS are denied")
    return weak("requests without TLS are not denied: what is read and written can be changed on its way")


_WITH_ACCOUNTS: Final = (
    *asks.TRAIL,
    asks.GET_POLICY,
    asks.LIST_OBJECTS,
    asks.DESCRIBE_ORGANIZATION,
    asks.LIST_ACCOUNTS,
)

POLICY: Final = (
    Check(
        id="bucket-policy-writers",
        subject=Subject.POLICY,
        axes=(Axis.PREVENT,),
        title="Nobody but CloudTrail may write or delete",
        asks=(*_WITH_ACCOUNTS, asks.HEAD_BUCKET),
        finds=(
            "bad: anyone, or another account, may put, delete, replicate or unlock files, or change policy, lifecycle or"
            " versioning; weak: a principal of the bucket's own account may; unknown: it depends on a condition"
        ),
        why=(
            "The policy is where write access from outside hides. Policies of identities in the bucket's account can allow"
            " more, and are not read."
        ),
        remedy=(
            "aws s3api get-bucket-policy --bucket {bucket} --query Policy --output text",
            "# Take the statements named above out of it, or narrow them to reading, and put it back:",
            "# aws s3api put-bucket-policy --bucket {bucket} --policy file://policy.json",
        ),
        judge=judge_writers,
        also=(
            "Security Hub S3.6",
            "Prowler s3_bucket_policy_public_write_access",
            "Prowler s3_bucket_cross_account_access",
            "NIST 800-53 AU-9(4)",
        ),
    ),
    Check(
        id="bucket-policy-source",
        subject=Subject.POLICY,
        axes=(Axis.PREVENT,),
        title="The policy names the trails that may deliver",
        asks=(*asks.TRAIL, asks.GET_POLICY, asks.DESCRIBE_ORGANIZATION, asks.LIST_ACCOUNTS),
        finds=(
            "bad: a trail of any AWS account may write into the bucket; weak: only under a prefix of its choice, or any"
            " trail of the trail's own account"
        ),
        why=(
            "CloudTrail writes for whoever made the trail. A decoy trail delivers genuine digests, with valid signatures,"
            " of events that somebody chose."
        ),
        remedy=("aws s3api put-bucket-policy --bucket {bucket} --policy {policy}",),
        judge=judge_source,
    ),
    Check(
        id="bucket-policy-accounts",
        subject=Subject.POLICY,
        axes=(Axis.NOTICE,),
        title="CloudTrail may deliver for every account",
        asks=_WITH_ACCOUNTS,
        finds=(
            "bad: an account that is asked for, or has a folder in the bucket, may not deliver; weak: a member of the"
            " organization may not"
        ),
        why="An account whose statement is taken out of the policy falls silent, and nothing else changes.",
        remedy=("aws s3api put-bucket-policy --bucket {bucket} --policy {policy}",),
        judge=judge_accounts,
    ),
    Check(
        id="bucket-policy-tls",
        subject=Subject.POLICY,
        axes=(Axis.PREVENT,),
        title="Requests without TLS are refused",
        asks=(*asks.TRAIL, asks.GET_POLICY),
        finds="weak: no statement denies requests with aws:SecureTransport false",
        why="Without TLS, a digest and its logs can be exchanged together on their way to whoever validates them.",
        remedy=("aws s3api put-bucket-policy --bucket {bucket} --policy {policy}",),
        judge=judge_tls,
        also=("CIS 5.0 2.1.1", "Security Hub S3.5", "Prowler s3_bucket_secure_transport_policy"),
    ),
)
