"""Gathers what is known of the trail: which one it is, its status in each region, its selectors, who hears of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Caller, EventRule, MetricFilter, Scope, Selectors, Trail, TrailStatus
from cloudtrail_validate.doctor.gather import parse
from cloudtrail_validate.doctor.gather.calls import Calls, settled
from cloudtrail_validate.doctor.model import Unread
from cloudtrail_validate.doctor.trail.alarm import SILENCING, filters, may_matter

Found = tuple[Trail | Unread | None, tuple[Trail, ...] | Unread]
MOST_TRAILS = 10  # other trails whose selectors are read: an account has 5 a region


def find(calls: Calls, scope: Scope) -> Found:
    """Find the trail that is meant, and the others that the caller sees. Raises `RequestError` where several may be."""
    arn = parse_trail_arn(scope.trail_arn) if scope.trail_arn else None
    region = arn.region if arn else None
    seen = calls.ask(asks.DESCRIBE_TRAILS, parse.trails, region, includeShadowTrails=True)
    if isinstance(seen, Unread):
        if scope.trail_arn is None:
            return seen, seen
        alone = calls.ask(asks.GET_TRAIL, lambda answer: parse.trail(answer["Trail"]), region, Name=scope.trail_arn)
        if isinstance(alone, Trail):
            calls.forgive(seen)
        return alone, seen
    trails = seen or ()
    mine = _chosen(trails, scope)
    others = tuple(trail for trail in trails if mine is None or trail.arn != mine.arn)
    if mine is None and scope.trail_arn is None and scope.bucket is not None:
        return Unread("", None, f"no trail that the caller sees delivers to {scope.bucket}: give --trail-arn"), others
    return mine, others


def _chosen(trails: Iterable[Trail], scope: Scope) -> Trail | None:
    if scope.trail_arn is not None:
        return next((trail for trail in trails if trail.arn == scope.trail_arn), None)
    fitting = [
        trail
        for trail in trails
        if scope.bucket is None or (trail.bucket == scope.bucket and scope.prefix in (None, trail.prefix))
    ]
    if len(fitting) > 1:
        names = ", ".join(printable(trail.arn) for trail in fitting)
        raise RequestError(f"--trail-arn: expected one of the trails that were found: {names}")
    return fitting[0] if fitting else None


def elsewhere(found: Trail | Unread | None, caller: Caller | Unread, scope: Scope) -> Trail | Unread | None:
    """Return what was found; a trail that another account may have is not absent because this one does not see it."""
    arn = parse_trail_arn(scope.trail_arn) if scope.trail_arn else None
    if found is None and arn is not None and (isinstance(caller, Unread) or caller.account != arn.account):
        account = "an unknown account" if isinstance(caller, Unread) else caller.account
        return Unread("", None, f"the trail is account {arn.account}'s, and {account} does not see it")
    return found


def regions(calls: Calls) -> tuple[str, ...] | Unread:
    """Regions that are enabled for the caller's account, by whichever of two questions may be asked."""
    by_account = calls.items(
        asks.LIST_REGIONS,
        "Regions",
        lambda item: str(item["RegionName"]),
        RegionOptStatusContains=["ENABLED", "ENABLED_BY_DEFAULT"],
    )
    if not isinstance(by_account, Unread):
        return by_account or ()
    by_ec2 = calls.ask(
        asks.DESCRIBE_REGIONS, lambda answer: tuple(str(item["RegionName"]) for item in answer["Regions"])
    )
    if isinstance(by_ec2, Unread):
        return by_account
    calls.forgive(by_account)
    return by_ec2 or ()


def status(calls: Calls, arn: str, region: str) -> TrailStatus | Unread | None:
    """Tell what GetTrailStatus says in a region."""
    return calls.ask(asks.GET_TRAIL_STATUS, parse.status, region, Name=arn)


def selectors(calls: Calls, trail: Trail) -> Selectors | Unread:
    """Return what a trail records."""
    found = calls.ask(asks.GET_EVENT_SELECTORS, parse.selectors, trail.home_region, TrailName=trail.arn)
    return settled(found, Selectors((), ()))


def event_rules(calls: Calls, trail: Trail) -> tuple[EventRule, ...] | Unread:
    """Return the rules of the default event bus in the home region, with the number of targets where it may matter."""
    region = trail.home_region
    listed = calls.items(
        asks.LIST_RULES,
        "Rules",
        lambda item: EventRule(
            str(item["Name"]),
            str(item.get("EventPattern") or ""),
            str(item.get("State") or "").startswith("ENABLED"),
            0,
        ),
        region,
    )
    if isinstance(listed, Unread) or listed is None:
        return settled(listed, ())
    count = partial(calls.items, asks.LIST_TARGETS, "Targets", lambda item: str(item["Arn"]), region)
    found = []
    for rule in listed:
        if rule.enabled and rule.pattern and may_matter(rule.pattern):
            targets = count(Rule=rule.name)
            number = targets if isinstance(targets, Unread) else len(targets or ())
            found.append(EventRule(rule.name, rule.pattern, rule.enabled, number))
    return tuple(found)


def metric_filters(calls: Calls, trail: Trail) -> tuple[MetricFilter, ...] | Unread:
    """Return the metric filters of the trail's log group that name a call of interest, with the number of alarms."""
    parts = trail.log_group.split(":")
    if len(parts) < 7:
        return ()
    region = parts[3] or trail.home_region
    listed = calls.items(
        asks.DESCRIBE_METRIC_FILTERS, "metricFilters", lambda item: item, region, logGroupName=parts[6]
    )
    if isinstance(listed, Unread) or listed is None:
        return settled(None if listed is None else listed, ())
    found = []
    for item in listed:
        pattern = str(item.get("filterPattern") or "")
        if any(filters(pattern, name) for name in SILENCING):
            found.append(MetricFilter(str(item.get("filterName") or ""), pattern, _alarms(calls, region, item)))
    return tuple(found)


def _alarms(calls: Calls, region: str, item: parse.Answer) -> int | Unread:
    total = 0
    for metric in item.get("metricTransformations", ()):
        number = calls.ask(
            asks.DESCRIBE_ALARMS,
            parse.alarms,
            region,
            MetricName=str(metric["metricName"]),
            Namespace=str(metric["metricNamespace"]),
        )
        if isinstance(number, Unread):
            return number
        total += number or 0
    return total
