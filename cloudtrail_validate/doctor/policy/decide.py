"""Decides what a policy allows: who may do what to which resource, as far as the document alone tells.

Allow asks for one request that gets through, Deny must stop all of them. What the document does not settle (a condition
on an address, a tag, a key that is not known) is `MAYBE`, with the condition named. Policies of identities, service
control policies and permission boundaries may forbid more; they are not part of the document and not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from cloudtrail_validate.doctor.policy.conditions import (
    ABSENT,
    Context,
    Truth,
    all_of,
    any_of,
    compare,
    expand,
    judge,
    negate,
)
from cloudtrail_validate.doctor.policy.document import Document, Names, Principal, Sort, Statement, Who
from cloudtrail_validate.doctor.policy.patterns import covers, meets, narrower


class Outcome(StrEnum):
    """What becomes of a request, as far as the policy decides it."""

    ALLOWED = "allowed"
    MAYBE = "maybe"
    REFUSED = "refused"


class Request(msgspec.Struct, frozen=True):
    """One request, or all those that its patterns describe. `action` as in `s3:PutObject`."""

    principal: Principal
    action: str
    resource: str
    context: Context


class Decision(msgspec.Struct, frozen=True):
    """An outcome, the statements that brought it about, and the conditions that nobody could judge."""

    outcome: Outcome
    statements: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


def decide(document: Document, request: Request) -> Decision:
    """Decide on a request by the statements that allow it, less those that deny it."""
    denies = [statement for statement in document.statements if not statement.allows]
    found = [
        decision
        for statement in document.statements
        if statement.allows
        for narrowed in _narrowed(statement, request)
        if (decision := _through(statement, narrowed, denies)) is not None
    ]
    for outcome in (Outcome.ALLOWED, Outcome.MAYBE):
        of = [decision for decision in found if decision.outcome is outcome]
        if of:
            labels = dict.fromkeys(label for decision in of for label in decision.statements)
            return Decision(outcome, tuple(labels), tuple(dict.fromkeys(text for each in of for text in each.open)))
    return Decision(Outcome.REFUSED)


def denied(document: Document, request: Request) -> Truth:
    """Whether statements of the document deny all of a request, whatever allows it."""
    return any_of(applies(statement, request) for statement in document.statements if not statement.allows)


def applies(statement: Statement, request: Request) -> Truth:
    """Whether a statement is about a request: its principal, action and resource, and its conditions."""
    parts = [_who(statement.who, request), _names(statement.actions, request.action.lower(), request.context)]
    if statement.resources is not None:
        parts.append(_names(statement.resources, request.resource, request.context))
    if Truth.NO in parts:
        return Truth.NO
    return all_of([*parts, *(judge(condition, request.context) for condition in statement.conditions)])


def candidates(document: Document) -> tuple[Principal, ...]:
    """Return whoever may be allowed something: those an Allow statement names, and those that a Deny statement spares.

    All but somebody (NotPrincipal) is anyone; "anyone" asks as a stranger, whom no statement names.
    """
    found: dict[Principal, None] = {}
    for statement in document.statements:
        if statement.who is None:
            continue
        if statement.allows:
            found |= dict.fromkeys((Principal(Sort.ANYONE),) if statement.who.negated else statement.who.principals)
        elif statement.who.negated:
            found |= dict.fromkeys(statement.who.principals)
    return tuple(found)


def _narrowed(statement: Statement, request: Request) -> Iterable[Request]:
    """The request, once for each resource of the statement, cut down to what that resource has in common with it."""
    if statement.resources is None or statement.resources.negated:
        yield request
        return
    for pattern in statement.resources.patterns:
        expanded, _ = expand(pattern, request.context)
        if meets(expanded, request.resource):
            yield msgspec.structs.replace(request, resource=narrower(expanded, request.resource))


def _through(statement: Statement, request: Request, denies: Sequence[Statement]) -> Decision | None:
    allowed = applies(statement, request)
    if allowed is Truth.NO:
        return None
    stopped = [(deny, applies(deny, request)) for deny in denies]
    if any(truth is Truth.YES for _, truth in stopped):
        return None
    maybe = [deny for deny, truth in stopped if truth is Truth.UNKNOWN]
    open_ = _open(statement, request) if allowed is Truth.UNKNOWN else []
    open_ += [text for deny in maybe for text in _open(deny, request)]
    certain = allowed is not Truth.UNKNOWN and not maybe
    return Decision(Outcome.ALLOWED if certain else Outcome.MAYBE, (statement.label,), tuple(open_))


def _open(statement: Statement, request: Request) -> list[str]:
    """What a person must read in a statement."""
    conditions = [
        f"{condition.operator} {condition.key} in {statement.label}"
        for condition in statement.conditions
        if judge(condition, request.context) is Truth.UNKNOWN
    ]
    return conditions or [f"variables in {statement.label}"]


def _who(who: Who | None, request: Request) -> Truth:
    if who is None:
        return Truth.YES
    found = any_of(_is(named, request.principal) for named in who.principals)
    return negate(found) if who.negated else found


def _is(named: Principal, asking: Principal) -> Truth:
    """Whether the principal that a statement names is the one that asks."""
    if named.sort is Sort.ANYONE or named == asking:
        return Truth.YES
    if named.sort is not asking.sort or named.sort is not Sort.AWS or named.account != asking.account:
        return Truth.NO
    if named.value.isdigit():
        return Truth.YES  # an account stands for everybody in it
    return Truth.SOME if asking.value.isdigit() else _session(named.value, asking.value)


def _session(named: str, asking: str) -> Truth:
    """A session of a role acts as the role: its ARN is another one, and the role's path is not in it."""
    role = named.rpartition("/")[2]
    return Truth.YES if covers(f"arn:*:sts::*:assumed-role/{role}/*", asking) and ":role/" in named else Truth.NO


def _names(names: Names, described: str, context: Context) -> Truth:
    found = any_of(_fits(pattern, described, context) for pattern in names.patterns)
    return negate(found) if names.negated else found


def _fits(pattern: str, described: str, context: Context) -> Truth:
    expanded, certain = expand(pattern, context)
    found = compare(expanded, described)
    return found if certain or found is Truth.NO else Truth.UNKNOWN


def context_of(principal: Principal, known: Context) -> Context:
    """What is known of any request by a principal, beside what the caller knows of it."""
    if principal.sort is Sort.SERVICE:
        return {
            "aws:principalisawsservice": "true",
            "aws:principalservicename": principal.value,
            "aws:principalarn": ABSENT,
            "aws:principalaccount": ABSENT,
            **known,
        }
    account = principal.account
    plain = principal.sort is Sort.AWS and not principal.value.isdigit()
    return {
        "aws:principalisawsservice": "false",
        "aws:principalservicename": ABSENT,
        "aws:principalarn": principal.value if plain else f"arn:*:*::{account or '*'}:*",
        "aws:principalaccount": account or "*",
        "aws:sourcearn": ABSENT,
        "aws:sourceaccount": ABSENT,
        "aws:sourceorgid": ABSENT,
        **known,
    }
