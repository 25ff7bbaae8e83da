"""What was gathered, as frozen values: AWS's answers cut down to what checks look at.

A fact is a value or `Unread`. None means that AWS says there is none. Strings are AWS's own and may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from cloudtrail_validate.core.layout import base_of
from cloudtrail_validate.doctor.model import NOT_ASKED, Unread

ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes that cannot be read without a restore."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `retention_days` is how long logs must stay; `functions` may be told of new logs."""

    trail_arn: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    regions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    retention_days: int = 365
    functions: tuple[str, ...] = ()


class Caller(msgspec.Struct, frozen=True):
    """Who asks, as STS says."""

    arn: str
    account: str


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """One trail, as DescribeTrails or GetTrail describes it. `prefix` is empty where it has none."""

    arn: str
    name: str
    partition: str
    account: str
    home_region: str
    bucket: str
    prefix: str
    multi_region: bool
    global_events: bool
    validation: bool
    organization: bool
    log_group: str
    sns_topic: str
    kms_key: str

    @property
    def base(self) -> str:
        """Where its `AWSLogs/` lies."""
        return base_of(self.prefix or None)


class TrailStatus(msgspec.Struct, frozen=True, kw_only=True):
    """GetTrailStatus in one region. Errors are S3's code, empty where there is none."""

    logging: bool
    stopped: datetime | None
    delivered: datetime | None
    delivery_error: str
    digest_delivered: datetime | None
    digest_error: str
    log_group_error: str


class BasicSelector(msgspec.Struct, frozen=True):
    """An event selector of the older kind. `resources` are pairs of type and ARN prefix."""

    read_write: str
    management: bool
    resources: tuple[tuple[str, str], ...]
    excluded: tuple[str, ...]


class FieldSelector(msgspec.Struct, frozen=True):
    """A condition of an advanced event selector: the operator in CloudTrail's spelling, with its values."""

    field: str
    operator: str
    values: tuple[str, ...]


class AdvancedSelector(msgspec.Struct, frozen=True):
    """An advanced event selector: an event is recorded where all its conditions hold."""

    name: str
    fields: tuple[FieldSelector, ...]


class Selectors(msgspec.Struct, frozen=True):
    """What a trail records. CloudTrail has one kind or the other in use."""

    basic: tuple[BasicSelector, ...]
    advanced: tuple[AdvancedSelector, ...]


class EventRule(msgspec.Struct, frozen=True):
    """A rule of the default event bus in the trail's home region. `targets` is asked only of rules that may matter."""

    name: str
    pattern: str
    enabled: bool
    targets: int | Unread


class MetricFilter(msgspec.Struct, frozen=True):
    """A metric filter of the trail's log group, and how many alarms on its metrics tell somebody."""

    name: str
    pattern: str
    alarms: int | Unread


class Organization(msgspec.Struct, frozen=True):
    """The organization that the caller's account is in."""

    id: str
    management_account: str


class ControlPolicy(msgspec.Struct, frozen=True):
    """A service control policy that applies to the trail's account, and where it is attached."""

    id: str
    name: str
    target: str
    content: str


class Head(msgspec.Struct, frozen=True):
    """The bucket as HeadBucket tells of it."""

    region: str


class Versioning(msgspec.Struct, frozen=True):
    """Empty strings where the bucket never had a setting."""

    status: str
    mfa_delete: str


class ObjectLock(msgspec.Struct, frozen=True):
    """Object Lock with its default retention; `mode` is empty and `days` 0 where there is none. A year is 365 days."""

    mode: str
    days: int


class LifecycleRule(msgspec.Struct, frozen=True, kw_only=True):
    """A lifecycle rule. Days are None where it has no such part; `archives` is the storage class it moves objects to."""

    name: str
    enabled: bool
    prefix: str
    tagged: bool
    expires: int | None
    noncurrent_expires: int | None
    archives: str
    archives_after: int | None
    source: Mapping[str, object]


class PublicBlock(msgspec.Struct, frozen=True):
    """The four settings of a bucket's Block Public Access."""

    acls: bool
    ignore_acls: bool
    policy: bool
    restrict: bool

    @property
    def whole(self) -> bool:
        """All four are on."""
        return self.acls and self.ignore_acls and self.policy and self.restrict


class AclGrant(msgspec.Struct, frozen=True):
    """A grant of the bucket's access control list; `grantee` is a group's URI or an account's canonical id."""

    grantee: str
    permission: str
    owner: bool


class ReplicationRule(msgspec.Struct, frozen=True, kw_only=True):
    """A replication rule. `account` is empty where the copies stay the source account's."""

    name: str
    enabled: bool
    prefix: str
    tagged: bool
    bucket: str
    account: str
    markers: bool


class AccessLog(msgspec.Struct, frozen=True):
    """Where server access logs go."""

    bucket: str
    prefix: str


class FunctionHook(msgspec.Struct, frozen=True):
    """A Lambda function that the bucket tells of events."""

    arn: str
    events: tuple[str, ...]
    prefix: str
    suffix: str


class Encryption(msgspec.Struct, frozen=True):
    """Default encryption, and the kinds of encryption that the bucket refuses."""

    algorithm: str
    key: str
    bucket_key: bool
    blocked: tuple[str, ...]


class Sample(msgspec.Struct, frozen=True):
    """What ListObjectVersions shows of a day: keys with a delete marker, and keys with more than one version."""

    listed: int
    deleted: tuple[str, ...]
    rewritten: tuple[str, ...]


class Read(msgspec.Struct, frozen=True):
    """An object that was read, or could not be. `key` is empty where there was none to read."""

    key: str
    failure: Unread | None = None


class Newest(msgspec.Struct, frozen=True):
    """The trail's newest digest of an account in a region; `key` is empty and `end` None where the last day has none."""

    key: str
    end: datetime | None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about the bucket.

    `owner` is its account, None where it is none that is known: not the trail's, not the caller's, and none that the policy
    names. `accounts` are those with a folder in it, each with the base that the folder lies below.
    """

    name: str
    head: Head | Unread | None = NOT_ASKED
    owner: str | Unread | None = NOT_ASKED
    versioning: Versioning | Unread = NOT_ASKED
    lock: ObjectLock | Unread | None = NOT_ASKED
    lifecycle: tuple[LifecycleRule, ...] | Unread = NOT_ASKED
    policy: str | Unread | None = NOT_ASKED
    public: bool | Unread = NOT_ASKED
    block: PublicBlock | Unread | None = NOT_ASKED
    acl: tuple[AclGrant, ...] | Unread = NOT_ASKED
    ownership: str | Unread | None = NOT_ASKED
    replication: tuple[ReplicationRule, ...] | Unread = NOT_ASKED
    logging: AccessLog | Unread | None = NOT_ASKED
    hooks: tuple[FunctionHook, ...] | Unread = NOT_ASKED
    encryption: Encryption | Unread | None = NOT_ASKED
    accounts: tuple[tuple[str, str], ...] | Unread = NOT_ASKED
    sample: Sample | Unread = NOT_ASKED
    digest: Read | Unread = NOT_ASKED
    log: Read | Unread = NOT_ASKED
    newest: Mapping[tuple[str, str], Newest | Unread] = {}


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """The KMS key that the trail encrypts its files with."""

    arn: str
    account: str
    state: str
    deletion: datetime | None
    origin: str
    expires: datetime | None


class LastProof(msgspec.Struct, frozen=True):
    """The last validation that is known: when it ended, its exit code, and where that is written down."""

    finished: datetime
    exit_code: int
    source: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the checks judge by. `trail` is None where there is none; `others` are the account's other trails."""

    now: datetime
    scope: Scope
    caller: Caller | Unread = NOT_ASKED
    trail: Trail | Unread | None = NOT_ASKED
    others: tuple[Trail, ...] | Unread = NOT_ASKED
    regions: tuple[str, ...] | Unread = NOT_ASKED
    statuses: Mapping[str, TrailStatus | Unread | None] = {}
    selectors: Mapping[str, Selectors | Unread] = {}
    rules: tuple[EventRule, ...] | Unread = NOT_ASKED
    filters: tuple[MetricFilter, ...] | Unread = NOT_ASKED
    organization: Organization | Unread | None = NOT_ASKED
    members: tuple[str, ...] | Unread = NOT_ASKED
    control: tuple[ControlPolicy, ...] | Unread = NOT_ASKED
    bucket: Bucket = Bucket(name="")
    key: Key | Unread | None = NOT_ASKED
    key_policy: str | Unread | None = NOT_ASKED
    public_keys: Mapping[str, int | Unread] = {}
    powers: tuple[str, ...] | Unread = NOT_ASKED
    last: LastProof | Unread | None = NOT_ASKED
    denied: tuple[Unread, ...] = ()

    @property
    def base(self) -> str:
        """Where the trail's `AWSLogs/` lies in the bucket; with only a bucket given, where the user says."""
        if isinstance(self.trail, Trail) and self.trail.bucket == self.bucket.name:
            return self.trail.base
        return base_of(self.scope.prefix)

    @property
    def partition(self) -> str:
        """The AWS partition of the trail, else of the caller."""
        if isinstance(self.trail, Trail):
            return self.trail.partition
        return self.caller.arn.split(":")[1] if isinstance(self.caller, Caller) and ":" in self.caller.arn else "aws"

    @property
    def bucket_arn(self) -> str:
        """The bucket's ARN."""
        return f"arn:{self.partition}:s3:::{self.bucket.name}"
