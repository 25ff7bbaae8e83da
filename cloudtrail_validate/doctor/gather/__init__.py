"""Gathers facts: the only part of the doctor that talks to AWS. It reads, and changes nothing.

Questions that do not wait for each other are asked at once, each once; whatever goes wrong with one becomes that fact's
value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.trouble import IN_EVERY_WAY, diagnose, refused
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import (
    Bucket,
    Caller,
    Facts,
    Head,
    LastProof,
    Newest,
    Organization,
    Read,
    Scope,
    Trail,
)
from cloudtrail_validate.doctor.gather import around, parse
from cloudtrail_validate.doctor.gather import bucket as of_bucket
from cloudtrail_validate.doctor.gather import trail as of_trail
from cloudtrail_validate.doctor.gather.calls import Calls
from cloudtrail_validate.doctor.model import NOT_ASKED, Ask, Unread
from cloudtrail_validate.doctor.policy.decide import candidates
from cloudtrail_validate.doctor.policy.document import parse as parse_policy

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

T = TypeVar("T")
AT_ONCE: Final = 24  # questions under way; botocore's pool of connections holds 32
MOST_OWNERS: Final = 50  # accounts that are tried, one after the other, for the bucket's owner
MOST_ACCOUNTS: Final = 25  # accounts whose newest digests are looked for, in each region one request


def gather(aws: Aws, scope: Scope, wanted: frozenset[Ask], now: datetime, last: LastProof | Unread | None) -> Facts:
    """Ask AWS for everything that the wanted questions tell.

    Raises `RequestError` where the scope fits several trails, `ConfigurationError` and `AccessError` where nothing can be
    asked at all: by these credentials, or from here. An interrupt leaves the questions under way to themselves.
    """
    pool = ThreadPoolExecutor(AT_ONCE, "ctvalidate-doctor")
    try:
        return _Gathering(Calls(aws, wanted | {*asks.TRAIL, asks.GET_TRAIL}), scope, now, pool, last).facts()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Gathering:
    """One gathering: what was started, and what is known so far."""

    def __init__(
        self, calls: Calls, scope: Scope, now: datetime, pool: ThreadPoolExecutor, last: LastProof | Unread | None
    ) -> None:
        self._calls = calls
        self._scope = scope
        self._now = now
        self._pool = pool
        self._last = last

    def facts(self) -> Facts:
        """Ask in three rounds: who and which trail; everything that hangs on the trail; what lies in the bucket."""
        calls = self._calls
        caller = self._start(calls.ask, asks.GET_CALLER_IDENTITY, parse.caller)
        found = self._start(of_trail.find, calls, self._scope)
        regions = self._start(of_trail.regions, calls)
        organization = self._start(around.organization, calls)
        members = self._start(around.members, calls)
        who = caller.result()
        known = who if who is not None else NOT_ASKED
        mine, others = found.result()
        if isinstance(mine, Unread):
            self._refuse_what_cannot_be_asked()
        mine = of_trail.elsewhere(mine, known, self._scope)
        base = Facts(
            now=self._now,
            scope=self._scope,
            caller=known,
            trail=mine,
            others=others,
            regions=_own_regions(regions.result(), known, mine),
            organization=organization.result(),
            members=members.result(),
            last=self._last,
            bucket=Bucket(name=self._scope.bucket or (mine.bucket if isinstance(mine, Trail) else "")),
        )
        with_trail = self._of_trail(base, mine) if isinstance(mine, Trail) else {}
        regional = self._regional(base)
        bucket = self._of_bucket(base) if base.bucket.name else base.bucket
        told = _results(with_trail) | {name: _results(by_place) for name, by_place in regional.items()}
        whole = msgspec.structs.replace(base, bucket=bucket, **told)
        return msgspec.structs.replace(whole, denied=calls.denied)

    def _refuse_what_cannot_be_asked(self) -> None:
        """Raise where every answer would be the same: AWS does not take the credentials, or there is no way to it.

        Where only STS or only CloudTrail cannot be reached, the other has answered.
        """
        failures = self._calls.failures
        trail = failures.get(asks.GET_TRAIL) or failures.get(asks.DESCRIBE_TRAILS)
        caller = failures.get(asks.GET_CALLER_IDENTITY)
        if trail is None or caller is None:
            return
        if all(diagnose(each.code, each.detail) in IN_EVERY_WAY for each in (trail, caller)):
            login = self._calls.aws.login
            raise refused(trail, "cannot look up the trail", permission="cloudtrail:DescribeTrails", login=login)

    def _start(self, call: Callable[..., T], *arguments: Any, **named: Any) -> Future[T]:
        return self._pool.submit(call, *arguments, **named)

    def _begin(self, calls: Mapping[Any, Callable[[], Any]]) -> dict[Any, Future[Any]]:
        return {name: self._start(call) for name, call in calls.items()}

    def _of_trail(self, base: Facts, trail: Trail) -> dict[str, Future[Any]]:
        calls = self._calls
        foreign = not isinstance(base.caller, Caller) or base.caller.account != trail.account
        out_of_reach = Unread("", None, f"what account {trail.account} has set up is asked in that account alone")
        started: dict[str, Future[Any]] = {
            "powers": self._start(self._powers, base, trail),
            "rules": self._start(lambda: out_of_reach if foreign else of_trail.event_rules(calls, trail)),
            "filters": self._start(lambda: out_of_reach if foreign else of_trail.metric_filters(calls, trail)),
        }
        organization = base.organization
        if isinstance(organization, Organization) and organization.management_account != trail.account:
            started["control"] = self._start(around.control_policies, calls, trail.account)
        if trail.kms_key:
            started["key"] = self._start(around.key, calls, trail)
            started["key_policy"] = self._start(around.key_policy, calls, trail)
        return started

    def _powers(self, base: Facts, trail: Trail) -> tuple[str, ...] | Unread:
        if not isinstance(base.caller, Caller):
            return base.caller
        log = f"{base.bucket_arn}/{base.base}{trail.account}/CloudTrail/{trail.home_region}/log.json.gz"
        return around.powers(self._calls, base.caller, (base.bucket_arn, log, trail.arn))

    def _regional(self, base: Facts) -> dict[str, dict[Any, Future[Any]]]:
        """What is asked region by region, or trail by trail: public keys, status, selectors."""
        calls, trail = self._calls, base.trail
        regions = _regions(base)
        started = {
            "public_keys": self._begin(
                {region: partial(around.public_keys, calls, region, self._now) for region in regions}
            )
        }
        if isinstance(trail, Trail):
            others = () if isinstance(base.others, Unread) else base.others[: of_trail.MOST_TRAILS]
            written = regions if trail.multi_region else (trail.home_region,)
            status = {region: partial(of_trail.status, calls, trail.arn, region) for region in written}
            selectors = {each.arn: partial(of_trail.selectors, calls, each) for each in (trail, *others)}
            started |= {"statuses": self._begin(status), "selectors": self._begin(selectors)}
        return started

    def _of_bucket(self, base: Facts) -> Bucket:
        calls, name = self._calls, base.bucket.name
        head = of_bucket.head(calls, name)
        if head is None:
            return Bucket(name=name, head=None)
        region = head.region or None if isinstance(head, Head) else None
        questions: dict[Any, Callable[[], Any]] = {
            **of_bucket.settings(calls, name, region, self._now),
            "accounts": partial(of_bucket.accounts, calls, name, region, base.base),
        }
        bucket = Bucket(name=name, head=head, **_results(self._begin(questions)))
        owner = self._start(self._owner, base, bucket, region)
        content = self._content(base, bucket, region)
        return msgspec.structs.replace(bucket, owner=owner.result(), **content)

    def _owner(self, base: Facts, bucket: Bucket, region: str | None) -> str | Unread | None:
        """Which account the bucket is in: asked for every account that it could be."""
        if isinstance(bucket.head, Unread):
            return bucket.head
        known = [each.account for each in (base.trail, base.caller) if isinstance(each, (Trail, Caller))]
        named = candidates(parse_policy(bucket.policy)) if isinstance(bucket.policy, str) else ()
        likely = dict.fromkeys([*known, *(principal.account for principal in named if principal.account)])
        return of_bucket.owner(self._calls, bucket.name, region, list(likely)[:MOST_OWNERS])

    def _content(self, base: Facts, bucket: Bucket, region: str | None) -> dict[str, Any]:
        """What lies in the bucket: the newest digests, one digest and one log to read, the versions of a day."""
        calls = self._calls
        folders = _folders(base, bucket)
        if not folders:
            return {}
        trail = base.trail if isinstance(base.trail, Trail) else None
        looked: dict[Any, Callable[[], Any]] = {
            (folder.account, folder.region): partial(of_bucket.newest, calls, folder, region, trail, self._now)
            for folder in folders
        }
        newest: dict[Any, Newest | Unread] = _results(self._begin(looked))
        home = next((folder for folder in folders if trail and folder.region == trail.home_region), folders[0])
        there = [fact for fact in newest.values() if isinstance(fact, Newest) and fact.key]
        refused = next((fact for fact in newest.values() if isinstance(fact, Unread)), None)
        digest: str | Unread = there[0].key if there else refused or ""

        def log() -> Read | Unread:
            return of_bucket.read(calls, bucket.name, region, of_bucket.first_log(calls, home, region, self._now))

        tried: dict[Any, Callable[[], Any]] = {
            "digest": partial(of_bucket.read, calls, bucket.name, region, digest),
            "log": log,
            "sample": partial(of_bucket.sample, calls, home, region, self._now),
        }
        return {"newest": newest, **_results(self._begin(tried))}


def _results(started: Mapping[Any, Future[Any]]) -> dict[Any, Any]:
    return {name: future.result() for name, future in started.items()}


def _own_regions(
    regions: tuple[str, ...] | Unread, caller: Caller | Unread, trail: Trail | Unread | None
) -> tuple[str, ...] | Unread:
    """Regions of the trail's account: those of the caller's, where it is the same."""
    if isinstance(trail, Trail) and isinstance(caller, Caller) and caller.account != trail.account:
        return Unread("", None, f"which regions account {trail.account} has enabled is asked in that account alone")
    return regions


def _regions(base: Facts) -> tuple[str, ...]:
    """Regions to ask: those given, those enabled for a trail that writes in all, at least the home region."""
    if base.scope.regions:
        return base.scope.regions
    home = (base.trail.home_region,) if isinstance(base.trail, Trail) else ()
    if isinstance(base.trail, Trail) and not base.trail.multi_region:
        return home
    return home if isinstance(base.regions, Unread) else tuple(dict.fromkeys((*home, *base.regions)))


def _folders(base: Facts, bucket: Bucket) -> list[Folder]:
    """Account-regions whose newest digest is looked for: of the trail's own account, or of those that were asked for."""
    trail = base.trail
    there = () if isinstance(bucket.accounts, Unread) else bucket.accounts
    if base.scope.accounts:
        accounts = base.scope.accounts
    elif isinstance(trail, Trail):
        accounts = (trail.account,)
    else:
        accounts = tuple(dict.fromkeys(account for account, _ in there))
    found = []
    for account in accounts[:MOST_ACCOUNTS]:
        bases = [each for name, each in there if name == account]
        root = _root(base, bases)
        found += [Folder(bucket.name, root, account, region) for region in _regions(base)]
    return found


def _root(base: Facts, bases: list[str]) -> str:
    """Where an account's folder lies: an organization trail writes below the organization's id."""
    trail = base.trail
    if isinstance(trail, Trail) and trail.organization:
        if isinstance(base.organization, Organization):
            return f"{base.base}{base.organization.id}/"
        return next((each for each in bases if each != base.base), base.base)
    return base.base if not bases or base.base in bases else bases[0]
