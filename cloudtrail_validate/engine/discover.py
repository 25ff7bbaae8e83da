"""Discovers the account-regions of a target by delimiter listings, without Organizations permission.

The layout (organization id, accounts, regions) is read off the bucket by delimiter listings. What CloudTrail, Organizations
and the Account API add, where they may be asked, is what *should* be there: a denial of theirs is no finding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.expectation import expected_accounts, expected_regions
from cloudtrail_validate.core.layout import ACCOUNT, DIGEST_KIND, LOG_KIND, ORGANIZATION, Folder, base_of
from cloudtrail_validate.core.model import ObjectInfo
from cloudtrail_validate.core.plan import AccountRegion, Plan, Target, Unlisted
from cloudtrail_validate.stores.protocol import Children, Store

_LEVELS_AT_ONCE: Final = 64


async def discover(store: Store, target: Target) -> Plan:
    """Find the sites of a target. Raises `StoreError` or `AbsentError` only where the bucket itself cannot be listed."""
    root = base_of(target.prefix)
    unlisted: list[Unlisted] = []
    gate = asyncio.Semaphore(_LEVELS_AT_ONCE)

    async def look(base: str, account: str) -> _Account:
        async with gate:
            digests, logs = await asyncio.gather(
                _level(store, target.bucket, f"{base}{account}/{DIGEST_KIND}/", account, unlisted),
                _level(store, target.bucket, f"{base}{account}/{LOG_KIND}/", account, unlisted),
            )
        return _Account(
            base, account, frozenset(digests.folders), frozenset(logs.folders), logs.objects + digests.objects
        )

    if target.trail and target.organization is False and not (target.accounts or target.expect):
        # Only the owner's folders can be meant: the bucket is asked no more than whether it can be listed.
        _, own = await asyncio.gather(store.children(target.bucket, root), look(root, target.owner))
        return Plan(tuple(_sites(target, [own])), tuple(unlisted))
    top = await store.children(target.bucket, root)
    bases = {root: [name for name in top.folders if ACCOUNT.fullmatch(name)]}
    if target.organization is not False:
        for name in top.folders:
            if ORGANIZATION.fullmatch(name):
                below = await _level(store, target.bucket, f"{root}{name}/", None, unlisted)
                bases[f"{root}{name}/"] = [account for account in below.folders if ACCOUNT.fullmatch(account)]
    accounts = _accounts(target, root, bases)
    found = await asyncio.gather(*(look(base, account) for base, account in accounts))
    sites = tuple(_sites(target, found))
    there = {site.account for site in sites} | {item.account for item in unlisted}
    return Plan(sites, tuple(unlisted), tuple(account for account in expected_accounts(target) if account not in there))


class _Account(msgspec.Struct, frozen=True):
    """Holds the regions and stray objects of one account's folders."""

    base: str
    account: str
    digest_regions: frozenset[str]
    log_regions: frozenset[str]
    strays: tuple[ObjectInfo, ...]


async def _level(store: Store, bucket: str, prefix: str, account: str | None, unlisted: list[Unlisted]) -> Children:
    try:
        return await store.children(bucket, prefix)
    except AbsentError:
        pass
    except StoreError as error:
        unlisted.append(Unlisted(prefix, account, error.cause, error.detail))
    return Children((), ())


def _accounts(target: Target, root: str, bases: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Return the account folders that belong to the target, each with its base."""
    organizations = [base for base in bases if base != root]
    own = organizations
    if not target.trail:
        out = [(base, account) for base, accounts in bases.items() for account in accounts]
    else:
        own = [base for base in organizations if target.owner in bases[base]] or organizations
        if target.organization is None and any(target.owner in accounts for accounts in bases.values()):
            own = [base for base in own if target.owner in bases[base]]  # else its own account may have been erased
        out = [(base, account) for base in own for account in sorted(bases[base])]
        if target.owner in bases[root] or not out:
            out.append((root, target.owner))
        elif all(account != target.owner for _, account in out):
            out.append((own[0], target.owner))  # it writes in its owner's account as in all others
    wanted = [pair for pair in out if not target.accounts or pair[1] in target.accounts]
    known = {account for _, account in wanted}
    base = own[0] if own and target.organization is not False else root
    return wanted + [(base, account) for account in expected_accounts(target) if account not in known]


def _sites(target: Target, found: Iterable[_Account]) -> Iterable[AccountRegion]:
    """Yield one site for each account and region; folders with and without an organization's id are one site."""
    by_account: dict[str, list[_Account]] = {}
    for item in found:
        by_account.setdefault(item.account, []).append(item)
    for account, all_of_it in by_account.items():
        asked = expected_regions(target, account)
        if target.trail:
            yield from _of_account(target, all_of_it, asked)
            continue
        # A trail may have become an organization's: its chain goes on in the other folder (`core.continuation`).
        yield from _of_account(target, [*all_of_it[1:], all_of_it[0]], asked)


def _of_account(target: Target, group: list[_Account], expected: Mapping[str, str]) -> Iterable[AccountRegion]:
    """Yield the sites of one account's folders; `expected` are regions that must have digests, with the reason."""
    account = group[0].account
    regions = set().union(*(item.digest_regions | item.log_regions for item in group))
    names = sorted(region for region in {*regions, *expected} if not target.regions or region in target.regions)
    strays = tuple(info for item in group for info in item.strays if info.size) if not target.regions else ()
    for index, region in enumerate(names):
        # Where no folder is, what must be there is looked for in the last place, which is the plain one if there is one.
        there = [item for item in group if target.trail or region in item.digest_regions | item.log_regions]
        folders = tuple(Folder(target.bucket, item.base, account, region) for item in there or group[-1:])
        yield AccountRegion(
            account,
            region,
            folders,
            expected=expected.get(region, ""),
            delivered=target.delivered.get(region) if account == target.owner else None,
            strays=strays if index == 0 else (),
            has_logs=any(region in item.log_regions for item in group),
            excused=any(trail.writes(folder) for trail in target.unvalidated for folder in folders),
            trail=target.trail,
            home_region=target.home_region,
            one_trail=bool(target.trail) and target.organization is not None,
        )
