"""The evaluator against a naive one that knows all of a request: whoever gets through is named, or said to be open."""

from __future__ import annotations

import itertools
import json
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtrail_validate.doctor.policy.decide import Outcome, Request, candidates, context_of, decide
from cloudtrail_validate.doctor.policy.document import ANYONE, Principal, Sort, parse

ACCOUNTS: Final = ("111122223333", "444455556666")
ROLES: Final = tuple(f"arn:aws:iam::{account}:role/{name}" for account in ACCOUNTS for name in ("keeper", "reader"))
SERVICE: Final = "cloudtrail.amazonaws.com"
ACTIONS: Final = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
ROOT: Final = "arn:aws:s3:::amzn-s3-demo-bucket/"
FOLDER: Final = f"{ROOT}a/*"
OBJECTS: Final = (f"{ROOT}a/x", f"{ROOT}a/y", f"{ROOT}a/b/x")


class Asked(NamedTuple):
    """One request of which everything is known."""

    principal: str  # a role's ARN, or the service
    action: str
    resource: str
    secure: bool
    inside: bool  # of the network that conditions ask about


EVERY: Final = [
    Asked(*parts) for parts in itertools.product((*ROLES, SERVICE), ACTIONS, OBJECTS, (True, False), (True, False))
]


# -- the naive evaluator


def allowed(policy: list[dict[str, Any]], asked: Asked) -> bool:
    hits = [statement["Effect"] for statement in policy if _hits(statement, asked)]
    return "Allow" in hits and "Deny" not in hits


def _hits(statement: dict[str, Any], asked: Asked) -> bool:
    who = statement.get("Principal", statement.get("NotPrincipal"))
    named = any(_named(name, asked.principal) for name in _names(who))
    acts = statement["Action"] if "Action" in statement else statement["NotAction"]
    acted = any(fnmatchcase(asked.action.lower(), pattern.lower()) for pattern in acts)
    reached = any(fnmatchcase(asked.resource, pattern) for pattern in statement["Resource"])
    return (
        named is ("Principal" in statement)
        and acted is ("Action" in statement)
        and reached
        and all(_holds(operator, keys, asked) for operator, keys in statement.get("Condition", {}).items())
    )


def _names(who: Any) -> list[str]:
    return ["*"] if who == "*" else [name for listed in who.values() for name in listed]


def _named(name: str, principal: str) -> bool:
    return name in ("*", principal) or (name.isdigit() and f"::{name}:" in principal)


def _holds(operator: str, keys: dict[str, Any], asked: Asked) -> bool:
    role = asked.principal if asked.principal in ROLES else None
    (values,) = keys.values()
    match operator:
        case "ArnLike":
            return role is not None and any(fnmatchcase(role, value) for value in values)
        case "ArnNotLike":
            return role is None or not any(fnmatchcase(role, value) for value in values)
        case "Bool":
            return bool(values == ["true" if asked.secure else "false"])
        case _:
            return asked.inside


# -- policies to decide on

principals = st.sampled_from(
    [
        "*",
        {"AWS": ["*"]},
        {"Service": [SERVICE]},
        *({"AWS": [name]} for name in (*ROLES, *ACCOUNTS)),
        {"AWS": [ROLES[0], ACCOUNTS[1]]},
    ]
)
actions = st.lists(st.sampled_from([*ACTIONS, "s3:*", "s3:Put*", "*"]), min_size=1, max_size=2)
resources = st.lists(
    st.sampled_from([f"{ROOT}*", FOLDER, f"{ROOT}a/b/*", f"{ROOT}?/x", f"{ROOT}c/*", *OBJECTS]), min_size=1, max_size=2
)


def _of_arn(arns: list[str]) -> st.SearchStrategy[dict[str, list[str]]]:
    return st.sampled_from(arns).map(lambda arn: {"aws:PrincipalArn": [arn]})


conditions = st.fixed_dictionaries(
    {},
    optional={
        "ArnLike": _of_arn([*ROLES, f"arn:aws:iam::{ACCOUNTS[0]}:role/*"]),
        "ArnNotLike": _of_arn([*ROLES, "arn:aws:iam::*:role/keeper"]),
        "Bool": st.sampled_from(["true", "false"]).map(lambda value: {"aws:SecureTransport": [value]}),
        "IpAddress": st.just({"aws:SourceIp": ["192.0.2.0/24"]}),
    },
)
statements = st.builds(
    lambda effect, who, who_key, acts, act_key, where, when: {
        "Effect": effect, who_key: who, act_key: acts, "Resource": where, **({"Condition": when} if when else {})
    },
    st.sampled_from(["Allow", "Allow", "Deny"]),
    principals,
    st.sampled_from(["Principal", "Principal", "Principal", "NotPrincipal"]),
    actions,
    st.sampled_from(["Action", "Action", "NotAction"]),
    resources,
    conditions,
)  # fmt: skip
policies = st.lists(statements, min_size=1, max_size=4)


def value_of(principal: str) -> Principal:
    return Principal(Sort.SERVICE if principal == SERVICE else Sort.AWS, principal)


def outcome(policy: list[dict[str, Any]], principal: Principal, action: str, resource: str) -> Outcome:
    request = Request(principal, action, resource, context_of(principal, {}))
    return decide(parse(json.dumps({"Statement": policy})), request).outcome


@settings(max_examples=300)
@given(policies)
def test_nobody_who_gets_through_is_said_to_be_refused(policy: list[dict[str, Any]]) -> None:
    through = {(asked.principal, asked.action) for asked in EVERY if allowed(policy, asked)}
    for principal, action in through:
        assert outcome(policy, value_of(principal), action, FOLDER) is not Outcome.REFUSED


@settings(max_examples=300)
@given(policies)
def test_nobody_is_accused_who_does_not_get_through(policy: list[dict[str, Any]]) -> None:
    """Of one object, and of policies whose Denies the requester cannot choose to avoid."""
    if any(statement["Effect"] == "Deny" and "Bool" in statement.get("Condition", {}) for statement in policy):
        return
    for principal, action, resource in itertools.product((*ROLES, SERVICE), ACTIONS, OBJECTS):
        if outcome(policy, value_of(principal), action, resource) is Outcome.ALLOWED:
            same = [asked for asked in EVERY if asked[:3] == (principal, action, resource)]
            assert any(allowed(policy, asked) for asked in same)


@settings(max_examples=300)
@given(policies)
def test_whoever_gets_through_stands_among_the_candidates(policy: list[dict[str, Any]]) -> None:
    document = parse(json.dumps({"Statement": policy}))
    for principal, action in {(asked.principal, asked.action) for asked in EVERY if allowed(policy, asked)}:
        standing = [
            candidate
            for candidate in candidates(document)
            if candidate in (value_of(principal), ANYONE)
            or (candidate.sort is Sort.AWS and candidate.value.isdigit() and f"::{candidate.value}:" in principal)
        ]
        outcomes = {outcome(policy, candidate, action, FOLDER) for candidate in standing}
        assert outcomes - {Outcome.REFUSED}
