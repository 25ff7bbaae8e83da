"""Conditions of policy statements, judged by what is known of a request: yes, no, for some requests, or not known.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators". Nothing is guessed: an operator or key that is not
known makes the answer unknown, and the statement is reported as one to be read by a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from cloudtrail_validate.doctor.policy.document import Condition
from cloudtrail_validate.doctor.policy.patterns import covers, is_plain, meets


class Truth(StrEnum):
    """Whether a statement applies to what a request describes: to all of it, to some, to nothing, or nobody knows."""

    YES = "yes"
    SOME = "some"
    UNKNOWN = "unknown"
    NO = "no"


class _Mark(StrEnum):
    """Not values, and unlike any: no value of AWS's holds a NUL."""

    CHOSEN = "\0chosen"
    ABSENT = "\0absent"


CHOSEN: Final = _Mark.CHOSEN
"""A key that whoever sends the request sets as they like, or leaves out."""
ABSENT: Final = _Mark.ABSENT
"""A key that such a request does not have."""

Context = Mapping[str, str]
"""What is known of a request: keys in lower case; values are patterns, CHOSEN or ABSENT. Other keys are not known."""

CHOSEN_KEYS: Final = re.compile(
    r"s3:(x-amz-.*|prefix|delimiter|max-keys|tlsversion|signatureversion|signatureage|authtype|requestobjecttag.*|"
    r"object-lock-.*|versionid|if-match|if-none-match)|aws:(securetransport|referer|useragent|requesttag.*)"
)
"""Keys that the requester decides on, as far as this tool knows them."""

PERSONAL_KEYS: Final = re.compile(
    r"aws:(principaltag/.*|principalorgid|principalorgpaths|userid|username|multifactorauth.*|tokenissuetime)"
)
"""Keys of people and roles: a request that a service makes has none of them."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NEGATED: Final = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnlike",
    "arnnotlike": "arnlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
}
_TEXTS: Final = frozenset({"stringequals", "stringequalsignorecase", "stringlike", "arnlike", "arnequals", "bool"})


def all_of(truths: Iterable[Truth]) -> Truth:
    """Combine by "and": what is not known may still be no, so it outranks `SOME`."""
    return _first(truths, (Truth.NO, Truth.UNKNOWN, Truth.SOME), Truth.YES)


def any_of(truths: Iterable[Truth]) -> Truth:
    """Combine by "or"."""
    return _first(truths, (Truth.YES, Truth.SOME, Truth.UNKNOWN), Truth.NO)


def negate(truth: Truth) -> Truth:
    """Turn yes into no and no into yes."""
    return {Truth.YES: Truth.NO, Truth.NO: Truth.YES}.get(truth, truth)


def compare(pattern: str, described: str) -> Truth:
    """Whether what is described fits a pattern."""
    if covers(pattern, described):
        return Truth.YES
    return Truth.SOME if meets(pattern, described) else Truth.NO


def expand(pattern: str, context: Context) -> tuple[str, bool]:
    """Replace policy variables by what is known; true where all of them are."""
    known = True

    def value(match: re.Match[str]) -> str:
        nonlocal known
        name = match[1].partition(",")[0].strip().lower()
        if name in ("*", "?", "$"):
            known = known and name == "$"  # an escaped wildcard: the text itself, which patterns here cannot say
            return name
        found = lookup(name, context)
        known = known and found is not None and found not in (CHOSEN, ABSENT)
        return found if found is not None and found not in (CHOSEN, ABSENT) else "*"

    return _VARIABLE.sub(value, pattern), known


def lookup(key: str, context: Context) -> str | None:
    """What is known of a key; None where nothing is."""
    found = context.get(key)
    if found is None and CHOSEN_KEYS.fullmatch(key):
        return CHOSEN
    if found is None and PERSONAL_KEYS.fullmatch(key) and context.get("aws:principalisawsservice") == "true":
        return ABSENT
    return found


def judge(condition: Condition, context: Context) -> Truth:
    """Whether a condition holds for what a request describes."""
    name = condition.operator.lower()
    quantifier, _, rest = name.rpartition(":")
    if quantifier not in ("", "forallvalues", "foranyvalue"):
        return Truth.UNKNOWN
    if_exists = rest.endswith("ifexists")
    operator = rest.removesuffix("ifexists")
    known = lookup(condition.key, context)
    if operator == "null":
        return _null(condition, known)
    negated = operator in _NEGATED
    if known == ABSENT:
        return Truth.YES if negated or if_exists or quantifier == "forallvalues" else Truth.NO
    if known == CHOSEN:
        return Truth.SOME
    operator = _NEGATED.get(operator, operator)
    if known is None or operator not in _TEXTS:
        return Truth.UNKNOWN
    found = any_of(_compare(operator, value, known, context) for value in condition.values)
    return negate(found) if negated else found


def _null(condition: Condition, known: str | None) -> Truth:
    if known is None:
        return Truth.UNKNOWN
    if known == CHOSEN:
        return Truth.SOME
    absent = any_of(Truth.YES if value.lower() == "true" else Truth.NO for value in condition.values)
    return absent if known == ABSENT else negate(absent)


def _compare(operator: str, value: str, known: str, context: Context) -> Truth:
    pattern, certain = expand(value, context)
    if operator in ("stringequalsignorecase", "bool"):
        pattern, known = pattern.lower(), known.lower()
    if not certain:  # what stands in the variable's place is not known: only what else is in the value can say no
        return Truth.NO if compare(pattern, known) is Truth.NO else Truth.UNKNOWN
    match operator:
        case "stringlike":
            return compare(pattern, known)
        case "arnlike" | "arnequals":
            return _compare_arn(pattern, known)
        case _:
            return _equal(pattern, known)


def _equal(text: str, known: str) -> Truth:
    """StringEquals takes a star for itself: `text` is no pattern, what is known may be one."""
    if is_plain(known):
        return Truth.YES if text == known else Truth.NO
    if is_plain(text):
        return Truth.SOME if covers(known, text) else Truth.NO
    return Truth.UNKNOWN if meets(text, known) else Truth.NO


def _compare_arn(pattern: str, known: str) -> Truth:
    """ARNs are compared part by part: a star does not reach over a colon, but for the last part."""
    parts, facing = pattern.split(":", 5), known.split(":", 5)
    if pattern == "*":
        return Truth.YES
    if len(parts) != 6 or len(facing) != 6:
        return Truth.UNKNOWN
    return all_of(compare(part, face) for part, face in zip(parts, facing, strict=True))


def _first(truths: Iterable[Truth], ranks: tuple[Truth, ...], otherwise: Truth) -> Truth:
    found = set(truths)
    return next((truth for truth in ranks if truth in found), otherwise)
