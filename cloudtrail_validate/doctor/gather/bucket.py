"""Gathers what is known of the bucket: its settings, who owns it, what lies in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError

from cloudtrail_validate.core.layout import ACCOUNT, DIGEST_KIND, LOG_KIND, Folder, day_path, parse_digest_key
from cloudtrail_validate.core.model import Kind
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Head, Newest, Read, Sample, Trail
from cloudtrail_validate.doctor.gather import parse
from cloudtrail_validate.doctor.gather.calls import Calls, settled
from cloudtrail_validate.doctor.model import Ask, Unread

T = TypeVar("T")
MOST_SIBLINGS: Final = 200  # prefixes beside the trail's that are looked into for further accounts
_DAY: Final = timedelta(days=1)

Settings = Mapping[str, Callable[[], Any]]


def head(calls: Calls, name: str) -> Head | Unread | None:
    """Tell whether the bucket is there, and in which region."""

    def call(client: Any) -> Head:
        return parse.head(client.head_bucket(Bucket=name))

    return calls.run(asks.HEAD_BUCKET, call)


def owner(calls: Calls, name: str, region: str | None, accounts: Iterable[str]) -> str | Unread | None:
    """Find which of some accounts the bucket belongs to; None where it is none of them."""

    def call(client: Any, account: str) -> bool:
        try:
            client.head_bucket(Bucket=name, ExpectedBucketOwner=account)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (403, 412):
                return False
            raise
        return True

    for account in dict.fromkeys(accounts):
        belongs = calls.run(asks.HEAD_BUCKET, partial(call, account=account), region)
        if isinstance(belongs, Unread):
            return belongs
        if belongs:
            return account
    return None


def settings(calls: Calls, name: str, region: str | None, now: datetime) -> Settings:
    """The bucket's settings: one question each, by the field of `facts.Bucket` that the answer goes to."""

    def ask(what: Ask, read: Callable[[Mapping[str, Any]], Any]) -> Callable[[], Any]:
        return partial(calls.ask, what, read, region, Bucket=name)

    def listed(what: Ask, read: Callable[[Mapping[str, Any]], tuple[Any, ...]]) -> Callable[[], Any]:
        return lambda: settled(ask(what, read)(), ())

    return {
        "versioning": ask(asks.GET_VERSIONING, parse.versioning),
        "lock": ask(asks.GET_OBJECT_LOCK, parse.object_lock),
        "lifecycle": listed(asks.GET_LIFECYCLE, partial(parse.lifecycle, now=now)),
        "policy": ask(asks.GET_POLICY, lambda answer: str(answer["Policy"])),
        "public": lambda: settled(
            ask(asks.GET_POLICY_STATUS, lambda answer: bool(answer["PolicyStatus"]["IsPublic"]))(), otherwise=False
        ),
        "block": ask(asks.GET_PUBLIC_BLOCK, parse.public_block),
        "acl": listed(asks.GET_ACL, parse.acl),
        "ownership": ask(asks.GET_OWNERSHIP, parse.ownership),
        "replication": listed(asks.GET_REPLICATION, parse.replication),
        "logging": ask(asks.GET_LOGGING, parse.logging),
        "hooks": listed(asks.GET_NOTIFICATION, parse.hooks),
        "encryption": ask(asks.GET_ENCRYPTION, parse.encryption),
    }


def listing(calls: Calls, name: str, region: str | None, **parameters: Any) -> tuple[str, ...] | Unread:
    """Keys of the first page of a listing."""
    return settled(calls.ask(asks.LIST_OBJECTS, parse.keys, region, Bucket=name, **parameters), ())


def prefixes(calls: Calls, name: str, region: str | None, prefix: str) -> tuple[str, ...] | Unread:
    """Folders right below a prefix."""
    found = calls.ask(asks.LIST_OBJECTS, parse.folders, region, Bucket=name, Prefix=prefix, Delimiter="/")
    return settled(found, ())


def accounts(calls: Calls, name: str, region: str | None, base: str) -> tuple[tuple[str, str], ...] | Unread:
    """Accounts with a folder in the bucket, with the base that it lies below.

    Looks below the trail's own `AWSLogs/` and the organizations in it; where the trail has a prefix, below the prefixes
    beside it as well: some buckets give each account one.
    """
    top = prefixes(calls, name, region, base)
    if isinstance(top, Unread):
        return top
    found = _accounts(base, top)
    for folder in top:
        if folder.removeprefix(base).startswith("o-"):
            below = prefixes(calls, name, region, folder)
            found |= {} if isinstance(below, Unread) else _accounts(folder, below)
    prefix = base.removesuffix("AWSLogs/").removesuffix("/")
    if prefix:
        parent = f"{prefix.rpartition('/')[0]}/" if "/" in prefix else ""
        siblings = prefixes(calls, name, region, parent)
        for sibling in () if isinstance(siblings, Unread) else siblings[:MOST_SIBLINGS]:
            if sibling not in (f"{prefix}/", "AWSLogs/"):
                below = prefixes(calls, name, region, f"{sibling}AWSLogs/")
                found |= {} if isinstance(below, Unread) else _accounts(f"{sibling}AWSLogs/", below)
    return tuple(found)


def _accounts(base: str, folders: Iterable[str]) -> dict[tuple[str, str], None]:
    names = (folder.removeprefix(base).rstrip("/") for folder in folders)
    return {(name, base): None for name in names if ACCOUNT.fullmatch(name)}


def newest(calls: Calls, folder: Folder, region: str | None, trail: Trail | None, now: datetime) -> Newest | Unread:
    """Find the newest digest of the last day in an account-region; of the trail, where it is known."""
    path = folder.path(DIGEST_KIND)
    found = listing(calls, folder.bucket, region, Prefix=path, StartAfter=path + day_path(now - _DAY))
    if isinstance(found, Unread):
        return found
    best = Newest("", None)
    for key in found:
        digest = parse_digest_key(folder, key)
        if digest is None or digest.chain.kind is not Kind.STANDARD:
            continue
        if trail and (digest.chain.trail, digest.chain.home_region) != (trail.name, trail.home_region):
            continue
        if best.end is None or digest.end > best.end:
            best = Newest(key, digest.end)
    return best


def first_log(calls: Calls, folder: Folder, region: str | None, now: datetime) -> str | Unread:
    """Find a log of the last day; empty where there is none."""
    path = folder.path(LOG_KIND)
    found = listing(calls, folder.bucket, region, Prefix=path, StartAfter=path + day_path(now - _DAY), MaxKeys=1)
    return found if isinstance(found, Unread) else found[0] if found else ""


def read(calls: Calls, name: str, region: str | None, key: str | Unread) -> Read | Unread:
    """Try to read the first byte of an object: for that, too, KMS must decrypt."""
    if isinstance(key, Unread):
        return key
    if not key:
        return Read("")

    def first_byte(answer: Mapping[str, Any]) -> bool:
        return bool(answer["Body"].read() is not None)

    found = calls.ask(asks.GET_OBJECT, first_byte, region, Bucket=name, Key=key, Range="bytes=0-0")
    if found is None:
        return Read("")
    return Read(key, found) if isinstance(found, Unread) else Read(key)


def sample(calls: Calls, folder: Folder, region: str | None, now: datetime) -> Sample | Unread:
    """Look at the versions of the last day's digests and logs of an account-region, at most 1,000 of each."""
    parts = []
    for kind in (DIGEST_KIND, LOG_KIND):
        path = folder.path(kind)
        found = calls.ask(
            asks.LIST_VERSIONS,
            parse.sample,
            region,
            Bucket=folder.bucket,
            Prefix=path,
            KeyMarker=path + day_path(now - _DAY),
        )
        if isinstance(found, Unread):
            return found
        if found is not None:
            parts.append(found)
    return Sample(
        sum(part.listed for part in parts),
        tuple(dict.fromkeys(key for part in parts for key in part.deleted)),
        tuple(dict.fromkeys(key for part in parts for key in part.rewritten)),
    )
