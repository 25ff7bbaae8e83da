"""Whether somebody hears when the trail is stopped, deleted or blinded: EventBridge rules, metric filters with alarms."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Trail
from cloudtrail_validate.doctor.model import Answer, Axis, Check, Subject, Unread, ok, on_trail, unknown, weak

SILENCING: Final = ("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors")
"""Calls that end what a trail records, or leave out part of it."""
MAX_PATTERN: Final = 65_536  # characters; EventBridge's own limit is 4,096
_NAMED: Final = r"\$\.eventName\s*=\s*\"?{}\"?(?![A-Za-z])"


def matches(pattern: str, name: str) -> bool | None:
    """Whether an EventBridge pattern matches CloudTrail's event of an API call; None where that cannot be told.

    Source: EventBridge User Guide, "Comparison operators". Fields of which nothing is known here are not judged.
    """
    if len(pattern) > MAX_PATTERN:
        return None
    try:
        value = json.loads(pattern)
    except (ValueError, RecursionError):
        return None
    event = {
        "source": "aws.cloudtrail",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {"eventSource": "cloudtrail.amazonaws.com", "eventName": name, "readOnly": False},
    }
    return _object(value, event) if isinstance(value, dict) else None


def _object(pattern: dict[str, Any], event: dict[str, Any]) -> bool | None:
    found: list[bool | None] = []
    for field, wanted in pattern.items():
        if field not in event or not isinstance(wanted, (dict, list)):
            found.append(None)
        elif isinstance(wanted, dict):
            inner = event[field]
            found.append(_object(wanted, inner) if isinstance(inner, dict) else False)
        else:
            found.append(_any(_value(entry, event[field]) for entry in wanted))
    return False if False in found else None if None in found else True


def _any(found: Iterable[bool | None]) -> bool | None:
    listed = list(found)
    return True if True in listed else None if None in listed else False


_OPERATORS: Final[Mapping[tuple[str, type], Callable[[str, Any], bool]]] = {
    ("prefix", str): str.startswith,
    ("suffix", str): str.endswith,
    ("equals-ignore-case", str): lambda value, wanted: value.lower() == wanted.lower(),
    ("wildcard", str): lambda value, wanted: fnmatchcase(value, wanted.replace("[", "[[]").replace("?", "[?]")),
    ("exists", bool): lambda _, wanted: bool(wanted),
    ("anything-but", str): lambda value, wanted: value != wanted,
    ("anything-but", list): lambda value, wanted: value not in wanted,
}


def _value(entry: Any, value: Any) -> bool | None:
    if not isinstance(entry, dict):
        return bool(entry == value and isinstance(entry, bool) is isinstance(value, bool))
    if len(entry) != 1 or not isinstance(value, str):
        return None
    ((operator, wanted),) = entry.items()
    judge = _OPERATORS.get((operator, type(wanted)))
    return judge(value, wanted) if judge else None


def filters(pattern: str, name: str) -> bool:
    """Whether a metric filter's pattern names an event."""
    return re.search(_NAMED.format(name), pattern) is not None


def may_matter(pattern: str) -> bool:
    """Whether a rule may match one of the calls that silence a trail, so that its targets are worth a question."""
    return any(matches(pattern, name) is not False for name in SILENCING)


@on_trail
def judge_alarm(facts: Facts, _: Trail) -> Answer:
    """Whether each of the calls that silence a trail makes somebody hear of it."""
    heard: dict[str, str] = {}
    unread: list[Unread | str] = []
    for by_rule in (_rules(facts), _filters(facts)):
        heard |= by_rule[0]
        unread += by_rule[1]
    deaf = [name for name in SILENCING if name not in heard]
    if not deaf:
        by = ", ".join(dict.fromkeys(heard.values()))
        return ok(f"{', '.join(SILENCING)} are told of by {by}")
    said = f"nobody is told of {', '.join(deaf)}"
    return unknown(f"as far as could be read, {said}", *unread) if unread else weak(said)


def _rules(facts: Facts) -> tuple[dict[str, str], list[Unread | str]]:
    """Who is told by EventBridge of which call, and what could not be read of that."""
    if isinstance(facts.rules, Unread):
        return {}, [facts.rules]
    heard: dict[str, str] = {}
    unread: list[Unread | str] = []
    for rule in facts.rules:
        told = {name: matches(rule.pattern, name) for name in SILENCING}
        if not rule.enabled or not rule.targets or not any(found is not False for found in told.values()):
            continue
        if isinstance(rule.targets, Unread):
            unread.append(rule.targets)
            continue
        heard |= dict.fromkeys((name for name, found in told.items() if found), f"rule {rule.name}")
        if None in told.values():
            unread.append(f"the pattern of rule {rule.name} asks for more than the call's name")
    return heard, unread


def _filters(facts: Facts) -> tuple[dict[str, str], list[Unread | str]]:
    """Who is told by CloudWatch of which call, and what could not be read of that."""
    if isinstance(facts.filters, Unread):
        return {}, [facts.filters]
    heard: dict[str, str] = {}
    unread: list[Unread | str] = []
    for each in facts.filters:
        named = [name for name in SILENCING if filters(each.pattern, name)]
        if named and isinstance(each.alarms, Unread):
            unread.append(each.alarms)
        elif each.alarms:
            heard |= dict.fromkeys(named, f"metric filter {each.name}")
    return heard, unread


ALARM: Final = (
    Check(
        id="stop-alarm",
        subject=Subject.TRAIL,
        axes=(Axis.NOTICE,),
        title="Somebody is told when the trail is stopped",
        asks=(
            *asks.TRAIL,
            asks.LIST_RULES,
            asks.LIST_TARGETS,
            asks.DESCRIBE_METRIC_FILTERS,
            asks.DESCRIBE_ALARMS,
        ),
        finds="weak: no enabled EventBridge rule with a target, and no metric filter with an alarm, for one of StopLogging,"
        " DeleteTrail, UpdateTrail and PutEventSelectors",
        why="A gap in the logs is found days later; the call that made it can be told within minutes.",
        remedy=(
            "aws sns create-topic --region {home} --name cloudtrail-stopped",
            "aws events put-rule --region {home} --name cloudtrail-stopped --event-pattern {alarm_pattern}",
            (
                "aws events put-targets --region {home} --rule cloudtrail-stopped"
                " --targets Id=sns,Arn=arn:{partition}:sns:{home}:{account}:cloudtrail-stopped"
            ),
            (
                "aws sns set-topic-attributes --region {home}"
                " --topic-arn arn:{partition}:sns:{home}:{account}:cloudtrail-stopped"
                " --attribute-name Policy --attribute-value {topic_policy}"
            ),
            (
                "aws sns subscribe --region {home} --topic-arn arn:{partition}:sns:{home}:{account}:cloudtrail-stopped"
                " --protocol email --notification-endpoint MAIL_ADDRESS"
            ),
        ),
        judge=judge_alarm,
        also=(
            "CIS 5.0 4.5",
            "Security Hub CloudWatch.5",
            "Prowler cloudwatch_log_metric_filter_and_alarm_for_cloudtrail_configuration_changes_enabled",
        ),
    ),
)
