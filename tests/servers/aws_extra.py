"""The AWS operations that moto lacks or answers too simply, as functions of a state that a test can set."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.cloudtrail.models import cloudtrail_backends
from moto.kms.models import kms_backends

from tests.servers.aws_calls import REQUEST_ID, Answer, Call, error
from tests.servers.clients import session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JSON_TYPE: Final = "application/x-amz-json-1.1"
REGIONS_PER_PAGE: Final = 20  # account:ListRegions, where the caller names no MaxResults
_Item = TypeVar("_Item")

# The regions that every account has from the start: those in which a multi-region trail writes without any opt-in.
DEFAULT_REGIONS: Final = frozenset(
    {
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
        "ap-south-1",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "eu-north-1",
        "sa-east-1",
    }
)


@cache
def all_regions() -> tuple[str, ...]:
    """Every region of the standard partition that botocore knows, sorted."""
    return tuple(sorted({*session().get_available_regions("ec2"), *DEFAULT_REGIONS}))


class PublicKey(TypedDict):
    """One key of ListPublicKeys. `Value` is DER, sent as it is; times are aware; nothing is checked."""

    Value: bytes
    ValidityStartTime: datetime
    ValidityEndTime: datetime
    Fingerprint: str


@dataclass(frozen=True, slots=True)
class DigestDelivery:
    """What GetTrailStatus says of a trail's digests: when the last one was delivered (aware), and what hindered it."""

    time: datetime | None = None
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class AwsState:
    """What a test sets and reads. All of it goes back to these defaults with `reset`."""

    public_keys: dict[str, list[PublicKey]] = field(default_factory=dict)
    """Keys by region, in the order in which they are listed."""
    page_size: int = 2
    """Keys on one page of ListPublicKeys: small, so that whoever forgets NextToken loses keys."""
    digest_delivery: dict[tuple[str, str], DigestDelivery] = field(default_factory=dict)
    """By (trail name, region)."""
    denied: set[str] = field(default_factory=set)
    """Actions as a policy names them, `cloudtrail:DescribeTrails`, `s3:ListBucket`: they answer AccessDenied."""
    enabled_regions: set[str] = field(default_factory=lambda: set(DEFAULT_REGIONS))
    """In all others every service but S3 answers that it does not know the credentials."""
    history: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """CloudTrail events by region, as LookupEvents tells them: those of the last 90 days before `history_now`."""
    log_groups: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """CloudTrail events by log group name, as FilterLogEvents tells them."""
    history_now: float | None = None
    """The time (seconds since 1970) that event history goes back from; None for the clock's."""
    throttled: Counter[str] = field(default_factory=Counter)
    """By action: so many of the next requests are answered with ThrottlingException."""
    event_log_group: str | None = None
    """CloudWatchLogsLogGroupArn that DescribeTrails names of every trail."""
    raw: dict[str, bytes] = field(default_factory=dict)
    """By permission: a body that is answered with status 200 as it is, whatever it is."""
    selectors: Mapping[str, Any] | None = None
    """GetEventSelectors' answer, None for moto's own."""
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each (permission, region) was asked for, denied or not."""
    asked: bool = False
    """Whether anything was asked for at all: tests begin `calls` anew, and what they wrote is still there."""


def list_public_keys(state: AwsState, call: Call, request: Mapping[str, Any]) -> Answer:
    """CloudTrail ListPublicKeys (API reference): the region's keys whose validity overlaps the time range.

    A bound that is not given is the current time. InvalidTimeRangeException where the range runs backwards,
    InvalidTokenException where NextToken is not from the same request.
    """
    now = time.time()
    start, end = float(request.get("StartTime", now)), float(request.get("EndTime", now))
    if start > end:
        return error(call, 400, "InvalidTimeRangeException", "The start time is after the end time.")
    keys = [
        key
        for key in state.public_keys.get(call.region, [])
        if key["ValidityStartTime"].timestamp() <= end and key["ValidityEndTime"].timestamp() >= start
    ]
    page = _page(keys, state.page_size, request)
    if page is None:
        return error(call, 400, "InvalidTokenException", "The token is invalid.")
    items, token = page
    listed = [
        {
            "Value": base64.b64encode(key["Value"]).decode(),
            "ValidityStartTime": key["ValidityStartTime"].timestamp(),
            "ValidityEndTime": key["ValidityEndTime"].timestamp(),
            "Fingerprint": key["Fingerprint"],
        }
        for key in items
    ]
    return json_answer({"PublicKeyList": listed, **token})


HISTORY_SECONDS: Final = 90 * 86_400
_EVENTS_A_PAGE: Final = 50  # LookupEvents' MaxResults, at the most


def lookup_events(state: AwsState, call: Call, request: Mapping[str, Any]) -> Answer:
    """CloudTrail LookupEvents (API reference): newest first, 50 a page, two requests a second, 90 days.

    Of lookup attributes one is taken, EventSource, EventName or EventId. InvalidTimeRangeException and
    InvalidMaxResultsException as documented; InvalidNextTokenException for a token of another request.
    """
    if state.throttled["LookupEvents"] > 0:
        state.throttled["LookupEvents"] -= 1
        return error(call, 400, "ThrottlingException", "Rate exceeded")
    now = state.history_now or time.time()
    start, end = float(request.get("StartTime", now - HISTORY_SECONDS)), float(request.get("EndTime", now))
    if start > end:
        return error(call, 400, "InvalidTimeRangeException", "The start time is after the end time.")
    most = int(request.get("MaxResults", _EVENTS_A_PAGE))
    if not 1 <= most <= _EVENTS_A_PAGE:
        return error(call, 400, "InvalidMaxResultsException", "MaxResults must be between 1 and 50.")
    wanted = {one["AttributeKey"]: one["AttributeValue"] for one in request.get("LookupAttributes", ())}
    names = {"EventSource": "eventSource", "EventName": "eventName", "EventId": "eventID"}
    found = [
        event
        for event in state.history.get(call.region, ())
        if max(start, now - HISTORY_SECONDS) <= _seconds_of(event) <= end
        and all(event.get(names[key]) == value for key, value in wanted.items())
    ]
    found.sort(key=_seconds_of, reverse=True)
    page = _page(found, most, request)
    if page is None:
        return error(call, 400, "InvalidNextTokenException", "The token is invalid.")
    items, token = page
    listed = [
        {
            "EventId": event.get("eventID"),
            "EventName": event.get("eventName"),
            "EventSource": event.get("eventSource"),
            "EventTime": _seconds_of(event),
            "CloudTrailEvent": json.dumps(event),
        }
        for event in items
    ]
    return json_answer({"Events": listed, **token})


def filter_log_events(state: AwsState, call: Call, request: Mapping[str, Any]) -> Answer:
    """CloudWatch Logs FilterLogEvents: oldest first, pages that may be empty, times in milliseconds."""
    if state.throttled["FilterLogEvents"] > 0:
        state.throttled["FilterLogEvents"] -= 1
        return error(call, 400, "ThrottlingException", "Rate exceeded")
    name = str(request.get("logGroupName") or str(request.get("logGroupIdentifier", "")).rpartition("log-group:")[2])
    if name not in state.log_groups:
        return error(call, 400, "ResourceNotFoundException", "The specified log group does not exist.")
    found = [
        event
        for event in state.log_groups[name]
        if request.get("startTime", 0) <= _seconds_of(event) * 1_000 <= request.get("endTime", 1 << 60)
    ]
    asked = {"NextToken": request.get("nextToken")} if request.get("nextToken") else {}
    page = _page(sorted(found, key=_seconds_of), state.page_size, asked)
    if page is None:
        return error(call, 400, "InvalidParameterException", "The specified nextToken is invalid.")
    items, token = page
    events = [
        {"timestamp": int(_seconds_of(event) * 1_000), "message": json.dumps(event), "eventId": str(number)}
        for number, event in enumerate(items)
    ]
    return json_answer(
        {"events": events, "searchedLogStreams": [], **({"nextToken": token["NextToken"]} if token else {})}
    )


def _seconds_of(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(event["eventTime"])).timestamp()


def trail_status(
    state: AwsState, call: Call, request: Mapping[str, Any], answer: Mapping[str, Any]
) -> Mapping[str, Any]:
    """moto's GetTrailStatus with the digest fields of the trail in the call's region added."""
    name = str(request.get("Name", "")).rpartition("/")[2]
    delivery = state.digest_delivery.get((name, call.region), DigestDelivery())
    more: dict[str, Any] = {}
    if delivery.time is not None:
        more["LatestDigestDeliveryTime"] = delivery.time.timestamp()
    if delivery.error is not None:
        more["LatestDigestDeliveryError"] = delivery.error
    return {**answer, **more}


def described_trails(
    request: Mapping[str, Any], answer: Mapping[str, Any], log_group: str | None = None
) -> Mapping[str, Any]:
    """moto's DescribeTrails cut down to the `trailNameList` (names or ARNs) that it leaves unread, with a log group."""
    if log_group is not None:
        answer = {"trailList": [{**trail, "CloudWatchLogsLogGroupArn": log_group} for trail in answer["trailList"]]}
    wanted = request.get("trailNameList")
    if not wanted:
        return answer
    trails = [trail for trail in answer["trailList"] if {trail["Name"], trail["TrailARN"]} & set(wanted)]
    return {**answer, "trailList": trails}


def listed_trails() -> Mapping[str, Any]:
    """ListTrails: the trails of all regions, of which moto names those that the asked region shows."""
    regions = cloudtrail_backends["123456789012"]
    trails = [trail for name in sorted(regions) for trail in regions[name].trails.values()]
    return {"Trails": [trail.short() for trail in trails]}


def kms_sign(call: Call, request: Mapping[str, Any]) -> Answer | None:
    """KMS Sign of a digest, which moto would hash once more; PSS with a salt as long as the hash, as KMS documents it."""
    if request.get("MessageType") != "DIGEST":
        return None
    hashed, algorithm = base64.b64decode(request["Message"]), request["SigningAlgorithm"]
    (hash_,) = (kind for kind in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()) if kind.name[3:] in algorithm)
    if len(hashed) != hash_.digest_size:
        return error(call, 400, "ValidationException", f"Digest is invalid length for algorithm {algorithm}.")
    backend = kms_backends["123456789012"][call.region]
    key = backend.describe_key(request["KeyId"])
    if algorithm not in key.signing_algorithms:
        return error(call, 400, "InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with the key.")
    private: Any = vars(key.private_key)["private_key"]
    if algorithm.startswith("ECDSA"):
        signature = private.sign(hashed, ECDSA(Prehashed(hash_)))
    else:
        pss = PSS(mgf=MGF1(hash_), salt_length=hash_.digest_size)
        signature = private.sign(hashed, pss, Prehashed(hash_))
    told = {"KeyId": key.arn, "Signature": base64.b64encode(signature).decode(), "SigningAlgorithm": algorithm}
    return json_answer(told)


def list_regions(state: AwsState, call: Call, request: Mapping[str, Any]) -> Answer:
    """Account Management ListRegions: every region with its opt-in status, paged."""
    enabled = {
        region: "ENABLED_BY_DEFAULT" if region in DEFAULT_REGIONS else "ENABLED" for region in state.enabled_regions
    }
    statuses = {region: enabled.get(region, "DISABLED") for region in all_regions()}
    wanted = request.get("RegionOptStatusContains") or set(statuses.values())
    regions = [
        {"RegionName": region, "RegionOptStatus": status} for region, status in statuses.items() if status in wanted
    ]
    page = _page(regions, int(request.get("MaxResults", REGIONS_PER_PAGE)), request)
    if page is None:
        return error(call, 400, "ValidationException", "NextToken is invalid.")
    items, token = page
    return json_answer({"Regions": items, **token})


def describe_regions(state: AwsState, call: Call) -> Answer:
    """EC2 DescribeRegions: the enabled regions, or with AllRegions all; the only filter is `opt-in-status`."""
    wanted = _opt_in_filter(call.parameters)
    if wanted is None:
        return error(call, 400, "InvalidParameterValue", "The filter is invalid: this server knows opt-in-status only")
    every = call.parameters.get("AllRegions", "").lower() == "true"
    items = []
    for region in all_regions():
        status = "opt-in-not-required" if region in DEFAULT_REGIONS else "opted-in"
        if region not in state.enabled_regions:
            status = "not-opted-in"
        if (every or status != "not-opted-in") and (not wanted or status in wanted):
            items.append(
                f"<item><regionName>{region}</regionName><regionEndpoint>ec2.{region}.amazonaws.com</regionEndpoint>"
                f"<optInStatus>{status}</optInStatus></item>"
            )
    text = (
        '<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>{REQUEST_ID}</requestId><regionInfo>{''.join(items)}</regionInfo></DescribeRegionsResponse>"
    )
    return Answer(200, text.encode(), "text/xml")


def _opt_in_filter(parameters: Mapping[str, str]) -> set[str] | None:
    """The values of the opt-in-status filter; None where there is another filter or a list of names."""
    names = [value for name, value in parameters.items() if name.startswith("Filter.") and name.endswith(".Name")]
    if any(name != "opt-in-status" for name in names) or any(name.startswith("RegionName.") for name in parameters):
        return None
    return {value for name, value in parameters.items() if name.startswith("Filter.") and ".Value." in name}


def _page(
    items: Sequence[_Item], size: int, request: Mapping[str, Any]
) -> tuple[Sequence[_Item], Mapping[str, str]] | None:
    """One page and, unless it is the last, the token of the next; None for a token that belongs to another request."""
    rest = {name: value for name, value in request.items() if name not in ("NextToken", "MaxResults")}
    seal = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]
    offset = 0
    if token := request.get("NextToken"):
        number, _, of = str(token).partition("-")
        if of != seal or not number.isdigit():
            return None
        offset = int(number)
    last = offset + size
    return items[offset:last], {"NextToken": f"{last}-{seal}"} if last < len(items) else {}


def json_answer(value: Mapping[str, Any]) -> Answer:
    """An answer in the JSON protocol."""
    return Answer(200, json.dumps(value).encode(), JSON_TYPE)


ANSWERS: Final = {
    "cloudtrail:ListPublicKeys": list_public_keys,
    "cloudtrail:LookupEvents": lookup_events,
    "logs:FilterLogEvents": filter_log_events,
    "account:ListRegions": list_regions,
}
"""What moto is not asked, by permission, answered from a state, a call and its JSON."""
