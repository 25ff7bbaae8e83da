"""Which actions a command line needs, by its subcommand and its options. Pure data and small functions over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.registry import CHECKS

ANY: Final = "*"
BUCKET: Final = "bucket"
OBJECTS: Final = "objects"
KEY: Final = "key"
TRAIL: Final = "trail"
"""Sorts of resources; whatever else is an ARN or `s3://` place of its own."""


class Need(msgspec.Struct, frozen=True, order=True):
    """One action. Without those that are not `required` the answer is weaker, as the permissions' documentation says.

    `sender`: whoever runs the tool needs it, never the role of `--role-arn`, which shall read and nothing else.
    """

    action: str
    resource: str
    required: bool = True
    condition: tuple[tuple[str, str, str], ...] = ()
    sender: bool = False


_VIA_S3: Final = (("StringLike", "kms:ViaService", "s3.*.{suffix}"),)
READING: Final = (
    Need("s3:GetObject", OBJECTS),
    Need("s3:ListBucket", BUCKET),
    Need("kms:Decrypt", KEY, True, _VIA_S3),
)
PUBLIC_KEYS: Final = (Need("cloudtrail:ListPublicKeys", ANY),)
VERSIONS: Final = (
    Need("s3:ListBucketVersions", BUCKET),
    Need("s3:GetBucketVersioning", BUCKET),
    Need("s3:GetObjectVersion", OBJECTS),
)
WITNESS: Final = (
    Need("cloudtrail:LookupEvents", ANY),
    Need("cloudtrail:GetEventSelectors", ANY, False),
    Need("logs:FilterLogEvents", ANY, False),
)
_FROM_HISTORY: Final = (*WITNESS, Need("cloudtrail:DescribeTrails", ANY, False))
_BY_RESOURCE: Final = {
    BUCKET: (
        *("s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration"),
        *("s3:GetBucketPolicy", "s3:GetBucketPolicyStatus", "s3:GetBucketPublicAccessBlock", "s3:GetBucketAcl"),
        *("s3:GetBucketOwnershipControls", "s3:GetReplicationConfiguration", "s3:GetBucketLogging"),
        *("s3:GetBucketNotification", "s3:GetEncryptionConfiguration", "s3:ListBucket", "s3:ListBucketVersions"),
    ),
    OBJECTS: ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"),
    KEY: ("kms:Decrypt", "kms:DescribeKey", "kms:GetKeyPolicy"),
    TRAIL: ("cloudtrail:GetTrailStatus",),
}
_RESOURCES: Final = {action: resource for resource, actions in _BY_RESOURCE.items() for action in actions}
"""What an action is asked on. Selectors of other trails are asked too; lists and LookupEvents take no resource."""

_SECOND_WAYS: Final = frozenset({"ec2:DescribeRegions", "cloudtrail:GetTrail"})
"""Actions that are asked only where the first way to the same answer is denied."""

_ALWAYS: Final = {
    "keys export": PUBLIC_KEYS,
    "fetch-signatures": (Need("s3:GetObject", OBJECTS), Need("s3:ListBucket", BUCKET, False)),
}
"""Subcommands that need the same whatever their options."""

LOCAL: Final = frozenset(
    {
        "explain",
        "schema",
        "demo",
        "verify-snapshot",
        "report",
        "compare",
        "completion",
        "help",
        "policy",
        "merge",
        "diff",
        "state show",
        "state sign",
        "recheck",
    }
)
"""Subcommands that ask nothing of AWS, beside what their `s3://` arguments say."""

WITHOUT_NEEDS: Final = frozenset(
    {
        # what is validated
        *("start_time", "end_time", "last", "day", "prefix", "copy_of", "follow_links", "expect", "key"),
        # who asks, and how much at once
        *("profile", "endpoint_url", "external_id", "concurrency", "max_rate", "max_wait"),
        *("max_duration", "executor", "trust"),
        # parts and memory
        *("shard", "shards", "plan", "require_state", "recheck", "relist", "inventory", "memory"),
        # what is shown, and where it goes
        *("format", "format_", "output", "outputs", "output_format", "show", "verbose", "quiet"),
        *("progress", "no_progress", "to", "folder", "force"),
        # how the command behaves
        *("tolerate", "rule", "notify_when", "heartbeat", "config", "debug", "help"),
        # doctor
        *("retention_days", "chosen", "skipped", "functions", "last_report", "fix_plan"),
        # search
        *("events", "event_sources", "users", "access_keys", "addresses", "resources", "errors"),
        *("event_ids", "event_id", "where", "uses", "rules", "read_only", "write_only"),
        *("proven_only", "summary", "timeline"),
        # snapshot, witness, lake, simulate
        *("timestamp", "timestamp_ca", "public_key", "only_lost", "keep", "budget", "queries"),
    }
)
"""Options that change nothing about what is asked of AWS, or only narrow it."""
WITH_NEEDS: Final = frozenset(
    {
        *("place", "trail_arn", "bucket", "also_buckets", "accounts", "regions", "source", "public_keys", "role_arn"),
        *("versions", "lookup_events", "from_history", "state", "state_sign_with", "sign_with", "notify", "metrics"),
        *("part", "checksum_report"),
    }
)
"""Options that bring needs with them, or take them away."""


def needs(command: str, options: Mapping[str, Any]) -> tuple[Need, ...]:
    """Return what a subcommand needs with these options (click's names and values), sorted, each once."""
    found = {*_of_command(command, options), *_of_targets(options)}
    if command in ("doctor", "state show"):  # they read a state, and write none
        found = {need for need in found if need.action != "s3:PutObject"}
    return tuple(sorted(found))


def _of_command(command: str, options: Mapping[str, Any]) -> Iterable[Need]:
    if command in LOCAL:
        return _places(options.values(), "s3:GetObject")
    return _ALWAYS.get(command) or _by_options(command, options)


def _by_options(command: str, options: Mapping[str, Any]) -> Iterable[Need]:
    match command:
        case "simulate":
            return _places(options.values(), "s3:PutObject")
        case "doctor":
            return _of_doctor(options)
        case "lake":
            return _of_lake(options)
        case "recover":
            return _FROM_HISTORY if options.get("from_history") else (*READING, *VERSIONS)
        case "file":
            return (*(() if options.get("source") else READING), *_keys(options))
        case _:
            return _of_validation(command, options)


def _of_validation(command: str, options: Mapping[str, Any]) -> Iterable[Need]:
    """What validation asks, and every subcommand that validates on the way; a plan only lists."""
    if command != "plan":
        yield from _keys(options)
    if options.get("source"):
        return
    if command == "plan":
        yield Need("s3:ListBucket", BUCKET)
    else:
        yield from READING
        yield Need("s3:GetLifecycleConfiguration", BUCKET, False)
    if options.get("trail_arn"):
        yield Need("cloudtrail:DescribeTrails", ANY, not options.get("bucket"))
        yield Need("cloudtrail:ListTrails", ANY, False)
        yield Need("cloudtrail:GetTrailStatus", TRAIL, False)
        if not options.get("regions"):
            yield Need("account:ListRegions", ANY, False)
        if not options.get("accounts"):
            yield Need("organizations:ListAccounts", ANY, False)
    for name in _texts(options.get("also_buckets")):
        yield from (Need("s3:GetObject", f"s3://{name}/"), Need("s3:ListBucket", f"s3://{name}"))
    if options.get("versions"):
        yield from VERSIONS
    if options.get("lookup_events"):
        yield Need("cloudtrail:LookupEvents", ANY)
    if command == "witness":
        yield from WITNESS


def _of_lake(options: Mapping[str, Any]) -> Iterable[Need]:
    """What verifying query results asks: of the bucket that its argument names, nothing of a folder's."""
    yield from _keys(options)
    place = str(options.get("place") or "")
    if place.startswith("s3://"):
        yield from _places([place], "s3:GetObject")
        yield Need("s3:ListBucket", _bucket(place))


def _keys(options: Mapping[str, Any]) -> tuple[Need, ...]:
    return () if options.get("public_keys") else PUBLIC_KEYS


def _of_doctor(options: Mapping[str, Any]) -> Iterable[Need]:
    chosen, skipped = options.get("chosen") or (), options.get("skipped") or ()
    checks = [check for check in CHECKS.values() if (not chosen or check.id in chosen) and check.id not in skipped]
    actions = {action for check in checks for action in check.actions} - _SECOND_WAYS
    if options.get("regions"):
        actions -= set(asks.LIST_REGIONS.grants)
    for action in actions:
        condition = _VIA_S3 if action == "kms:Decrypt" else ()
        yield Need(action, _RESOURCES.get(action, ANY), True, condition)


def _of_targets(options: Mapping[str, Any]) -> Iterable[Need]:
    """What states, notifications, metrics and signatures need, wherever they may be given."""
    for place in _texts(options.get("state")):
        if place.startswith("s3://"):
            bucket, key = _bucket(place), place.removeprefix("s3://").partition("/")[2]
            yield from (Need("s3:GetObject", place), Need("s3:PutObject", place))
            yield Need("s3:ListBucket", bucket, True, (("StringLike", "s3:prefix", f"{key}*"),))
    for place in _texts(options.get("part")):
        if place.startswith("s3://"):
            yield Need("s3:PutObject", place)
    for place in _texts(options.get("checksum_report")):
        if place.startswith("s3://"):
            yield Need("s3:GetObject", place)
    for target in _texts(options.get("notify")):
        yield from _notification(target)
    for target in _texts(options.get("metrics")):
        if target.startswith("cloudwatch:"):
            name = target.removeprefix("cloudwatch:")
            yield Need("cloudwatch:PutMetricData", ANY, True, (("StringEquals", "cloudwatch:namespace", name),), True)
    for signer in (*_texts(options.get("sign_with")), *_texts(options.get("state_sign_with"))):
        if signer.startswith(("kms:", "arn:")):
            key = signer.removeprefix("kms:")
            yield from (Need("kms:Sign", key, sender=True), Need("kms:GetPublicKey", key, sender=True))


def _notification(target: str) -> Iterable[Need]:
    kind, _, where = target.partition(":")
    match kind:
        case "sns":
            yield Need("sns:Publish", where, sender=True)
        case "eventbridge":
            bus = where if where.startswith("arn:") else f"arn:{{partition}}:events:*:*:event-bus/{where or 'default'}"
            yield Need("events:PutEvents", bus, sender=True)
        case "securityhub":
            product = "arn:{partition}:securityhub:*:*:product/*/default"
            yield Need("securityhub:BatchImportFindings", product, sender=True)


def _places(values: Iterable[Any], action: str) -> Iterable[Need]:
    for value in values:
        for place in _texts(value):
            if place.startswith("s3://"):
                yield Need(action, place)
                if action == "s3:GetObject":
                    yield Need("kms:Decrypt", KEY, True, _VIA_S3)


def _bucket(place: str) -> str:
    return f"s3://{place.removeprefix('s3://').partition('/')[0]}"


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(str(item) for item in value)
    return (str(value),) if value else ()
