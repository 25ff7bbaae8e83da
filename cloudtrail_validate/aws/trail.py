"""Asks AWS about a trail: where it delivers, whose it is, what it should write and when it last did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from cloudtrail_validate.aws.errors import ANY_ERROR, from_botocore
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core.errors import AccessError, ConfigurationError, StoreError
from cloudtrail_validate.core.layout import TrailArn, parse_trail_arn
from cloudtrail_validate.core.model import Cause, Interval, utc
from cloudtrail_validate.core.plan import Target, Unvalidated
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.trouble import IN_EVERY_WAY, OF_SETTINGS, Trouble, advice, diagnose
from cloudtrail_validate.request import Request

T = TypeVar("T")
_QUESTIONS_AT_ONCE: Final = 16
_NAMED: Final = 5  # trails in a message about one that there is not


class _Trail(msgspec.Struct, frozen=True):
    bucket: str
    prefix: str | None
    home_region: str
    multi_region: bool
    organization: bool


def locate(request: Request, aws: Aws, window: Interval) -> Target:
    """Return where to look and what to expect there, asking no more of AWS than is needed and surviving every refusal.

    With a bucket given, no CloudTrail read permission is needed; what may be read is still used to know what to expect.
    Raises `AccessError` or `ConfigurationError` where there is no bucket to look into.
    """
    regions, accounts = request.regions, request.accounts
    arn = parse_trail_arn(request.trail_arn) if request.trail_arn else None
    if arn is None:
        return Target(
            request.bucket or "", request.prefix, regions=regions, accounts=accounts, also_buckets=request.also_buckets
        )
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE, "ctvalidate-trail") as threads:
        return _locate(request, arn, aws, window, threads)


def _locate(request: Request, arn: TrailArn, aws: Aws, window: Interval, threads: Executor) -> Target:
    """Locate a trail as `locate` does; what does not wait for an answer is asked at once."""
    regions, accounts = request.regions, request.accounts
    client = aws.client("cloudtrail", arn.region)
    caller = threads.submit(aws.account)
    threads.submit(_try, partial(aws.client, "s3"), None)  # made (40 ms) while AWS thinks
    trail = _describe(aws, client, request.trail_arn or "", required=request.bucket is None)
    if trail is None:
        return Target(
            request.bucket or "",
            request.prefix,
            arn.name,
            arn.region,
            arn.account,
            regions=regions,
            accounts=accounts,
            also_buckets=request.also_buckets,
        )
    threads.submit(_try, partial(aws.bucket_region, request.bucket or trail.bucket), None)
    asked_for = (request.bucket, request.prefix or None)
    elsewhere = request.bucket is not None and asked_for != (trail.bucket, trail.prefix or None)
    name = request.trail_arn or ""
    unvalidated = threads.submit(_unvalidated, aws, client, trail, name)
    members = threads.submit(_members, aws, window) if trail.organization and not accounts else None
    enabled: tuple[str, ...] = ()
    delivered: dict[str, datetime] = {}
    if caller.result() == arn.account:
        enabled = _enabled_regions(aws, arn.region) if trail.multi_region and not regions else ()
        written = regions or ({*enabled, trail.home_region} if trail.multi_region else {trail.home_region})
        delivered = {} if elsewhere else _delivered(aws, name, sorted(written), threads)
    return Target(
        request.bucket or trail.bucket,
        request.prefix if request.bucket is not None else trail.prefix,
        arn.name,
        trail.home_region,
        arn.account,
        organization=trail.organization,
        multi_region=trail.multi_region,
        regions=regions,
        accounts=accounts,
        expected_regions=enabled,
        members=members.result() if members else (),
        delivered=delivered,
        unvalidated=unvalidated.result(),
        also_buckets=request.also_buckets,
    )


def _describe(aws: Aws, client: Any, arn: str, *, required: bool) -> _Trail | None:
    """Return the trail as DescribeTrails or GetTrail, whichever answers, describes it."""
    refusals: dict[str, StoreError] = {}
    for permission, ask in (
        ("cloudtrail:DescribeTrails", lambda: client.describe_trails(trailNameList=[arn])["trailList"]),
        ("cloudtrail:GetTrail", lambda: [client.get_trail(Name=arn)["Trail"]]),
    ):
        try:
            for item in ask():
                if item.get("TrailARN", arn) == arn and item.get("S3BucketName"):
                    return _Trail(
                        item["S3BucketName"],
                        item.get("S3KeyPrefix"),
                        item.get("HomeRegion") or arn.split(":")[3],
                        bool(item.get("IsMultiRegionTrail")),
                        bool(item.get("IsOrganizationTrail")),
                    )
        except ANY_ERROR as error:
            failure = from_botocore(error)
            refusals[permission] = (
                failure if isinstance(failure, StoreError) else StoreError(Cause.NETWORK, str(failure))
            )
            if diagnose(refusals[permission].code, refusals[permission].detail) in IN_EVERY_WAY:
                break  # whoever asks is not known, or not heard: the other would meet the same
    if not required:
        return None
    if refusals and not all(refusal.code == "TrailNotFoundException" for refusal in refusals.values()):
        raise _cannot_look_up(aws, arn, refusals)
    nothing: tuple[dict[str, Any], ...] = ()
    there = sorted({str(item.get("TrailARN")) for item in _try(partial(_described, client), nothing)} - {arn})
    others = f"; there are {', '.join(there[:_NAMED])}{' and more' if len(there) > _NAMED else ''}" if there else ""
    line = f"--trail-arn: there is no trail {arn}{others}; give --s3-bucket to validate what it left behind"
    raise ConfigurationError(printable(line))


def _cannot_look_up(aws: Aws, arn: str, refusals: Mapping[str, StoreError]) -> AccessError | ConfigurationError:
    """Return the line about a trail that could not be looked up: what stands in the way of both calls."""
    troubles = {name: diagnose(refusal.code, refusal.detail) for name, refusal in refusals.items()}
    told = "; ".join(f"{name}: {refusal.detail}" for name, refusal in refusals.items())
    doing = "cannot look up the trail"
    worst = next((trouble for trouble in troubles.values() if trouble in OF_SETTINGS), None)
    if worst is not None:
        return ConfigurationError(printable(f"{doing}: {worst}: {advice(worst, login=aws.login)} ({told})"))
    trouble = next((item for item in troubles.values() if item is not Trouble.DENIED), Trouble.DENIED)
    if trouble is Trouble.DENIED:
        hint = f"allow {' or '.join(refusals)} on {arn}, or give --s3-bucket"
    else:
        hint = advice(trouble) if trouble in IN_EVERY_WAY else f"{advice(trouble)}, or give --s3-bucket"
    return AccessError(printable(f"{doing}: {trouble}: {hint} ({told})"))


def _try(ask: Callable[[], T], default: T) -> T:
    """Return an answer that helps but is not needed: a refusal is no finding."""
    try:
        return ask()
    except (*ANY_ERROR, ConfigurationError, StoreError):
        return default


def _enabled_regions(aws: Aws, region: str) -> tuple[str, ...]:
    """Return the regions enabled for the caller's account, by whichever of the two APIs may be asked."""

    def by_account() -> tuple[str, ...]:
        pages = aws.client("account", region).get_paginator("list_regions")
        status = ["ENABLED", "ENABLED_BY_DEFAULT"]
        found = [
            item["RegionName"] for page in pages.paginate(RegionOptStatusContains=status) for item in page["Regions"]
        ]
        return tuple(found)

    def by_ec2() -> tuple[str, ...]:
        return tuple(item["RegionName"] for item in aws.client("ec2", region).describe_regions()["Regions"])

    return _try(by_account, ()) or _try(by_ec2, ())


def _members(aws: Aws, window: Interval) -> tuple[str, ...]:
    """Return the active accounts of the organization that had joined before the window ended."""

    def ask() -> tuple[str, ...]:
        pages = aws.client("organizations").get_paginator("list_accounts").paginate()
        accounts = [account for page in pages for account in page["Accounts"] if account.get("Status") == "ACTIVE"]
        return tuple(item["Id"] for item in accounts if utc(item["JoinedTimestamp"]) < window.end)

    return _try(ask, ())


def _delivered(aws: Aws, arn: str, regions: Sequence[str], threads: Executor) -> dict[str, datetime]:
    """Return CloudTrail's last delivery of a digest, region by region. Asked before the bucket is listed."""
    answers = threads.map(lambda region: _try(partial(_latest_delivery, aws, arn, region), None), regions)
    pairs = zip(regions, answers, strict=True)
    return {region: utc(delivered) for region, delivered in pairs if isinstance(delivered, datetime)}


def _latest_delivery(aws: Aws, arn: str, region: str) -> Any:
    return aws.client("cloudtrail", region).get_trail_status(Name=arn)["LatestDigestDeliveryTime"]


def _unvalidated(aws: Aws, client: Any, trail: _Trail, arn: str) -> tuple[Unvalidated, ...]:
    """Return other trails, without log file validation, that write to the same bucket and prefix."""

    def ask() -> tuple[Unvalidated, ...]:
        return tuple(
            Unvalidated(
                str(item["TrailARN"]).split(":")[4],
                "" if item.get("IsMultiRegionTrail") else str(item["HomeRegion"]),
                bool(item.get("IsOrganizationTrail")),
            )
            for item in described
            if item.get("S3BucketName") == trail.bucket
            and (item.get("S3KeyPrefix") or None) == (trail.prefix or None)
            and not item.get("LogFileValidationEnabled")
            and item.get("TrailARN") != arn
        )

    none: tuple[dict[str, Any], ...] = ()
    described = _try(partial(_described, client, includeShadowTrails=True), none)
    described += _try(partial(_homed_elsewhere, aws, client, described), none)
    return _try(ask, ())


def _described(client: Any, **which: Any) -> tuple[dict[str, Any], ...]:
    return tuple(client.describe_trails(**which)["trailList"])


def _homed_elsewhere(aws: Aws, client: Any, described: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return trails of the account that DescribeTrails left out.

    These are single-region trails of other regions, which ListTrails names.
    """
    known = {item["TrailARN"] for item in described}
    homes: dict[str, list[str]] = {}
    for page in client.get_paginator("list_trails").paginate():
        for item in page["Trails"]:
            if item["TrailARN"] not in known:
                homes.setdefault(str(item["HomeRegion"]), []).append(str(item["TrailARN"]))
    none: tuple[dict[str, Any], ...] = ()
    answers = (
        _try(partial(_described, aws.client("cloudtrail", region), trailNameList=arns), none)
        for region, arns in sorted(homes.items())
    )
    return tuple(item for answer in answers for item in answer)
