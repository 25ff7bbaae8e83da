"""Decide in which account-regions a trail must have digests (CONTRACT: `chain-absent`).

What must be there follows from three sources, asked at two moments:

1. Before a digest is read (`expected_accounts`, `expected_regions`): what was asked for, what AWS says of the trail, what
   `--expect` names or an earlier run remembers.
2. Once digests are proven (`further`, `without_chain`): a digest whose region is not its home region was written by a
   multi-region trail, and such a trail writes an empty digest every hour where nothing happens.

Log files of the window in a folder without digests are the third; the listing of the logs shows those. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cloudtrail_validate.core.continuation import Continuation, joined
from cloudtrail_validate.core.layout import ACCOUNT, REGION, Folder
from cloudtrail_validate.core.model import ChainId, ChainReport, Kind
from cloudtrail_validate.core.plan import AccountRegion, ExpectedPlace, Target

DEFAULT_REGIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "aws": (
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
            "ca-central-1",
            "sa-east-1",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "eu-central-1",
            "eu-north-1",
            "ap-south-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
        ),
        "aws-cn": ("cn-north-1", "cn-northwest-1"),
        "aws-us-gov": ("us-gov-west-1", "us-gov-east-1"),
    }
)
"""The regions of each partition that are enabled in every account and cannot be disabled.

AWS Account Management guide, "Enable or disable AWS Regions": Regions that are enabled by default. Later ones are opt-in.
"""

HOME: Final = "the trail's home region"
EVERYWHERE: Final = "the trail is a multi-region trail"
ENABLED: Final = "the region is enabled for the trail's account"
ASKED: Final = "it was asked for"
NAMED: Final = "it is named as expected"
_PARTITIONS: Final = re.compile(r"(?P<cn>cn-)|(?P<gov>us-gov-)|(?P<apart>(?:us|eu)-iso[a-z]*-|eusc-)")


def default_regions(region: str) -> tuple[str, ...]:
    """Return the regions that are enabled in every account of a region's partition; none where they are not known."""
    match = _PARTITIONS.match(region)
    partition = {"cn": "aws-cn", "gov": "aws-us-gov", None: "aws"}.get(match.lastgroup if match else None, "")
    return DEFAULT_REGIONS.get(partition, ())


def parse_expected(text: str) -> ExpectedPlace | None:
    """Read `ACCOUNT` or `ACCOUNT/REGION`; None where it is neither."""
    account, slash, region = text.partition("/")
    if ACCOUNT.fullmatch(account) is None or (slash and REGION.fullmatch(region) is None):
        return None
    return ExpectedPlace(account, region)


def expected_accounts(target: Target) -> tuple[str, ...]:
    """Return the accounts that must have digests whatever the bucket shows, in order."""
    named = {*target.accounts, *target.members, *(place.account for place in target.expect)}
    return tuple(sorted(account for account in named if not target.accounts or account in target.accounts))


def expected_regions(target: Target, account: str) -> dict[str, str]:
    """Return the regions in which an account must have digests, as far as is known before any is read, with the reason."""
    if target.regions:
        return dict.fromkeys(target.regions, ASKED)
    out = {place.region: NAMED for place in target.expect if place.account == account and place.region}
    undescribed = target.organization is None and target.multi_region is None
    if undescribed and account not in (target.owner, *target.members):
        return out  # whether the trail is an organization's is for its digests to show: `further`
    if target.multi_region and account == target.owner:
        out |= dict.fromkeys(target.expected_regions, ENABLED)
    if target.multi_region:
        out |= dict.fromkeys(default_regions(target.home_region), EVERYWHERE)
    if target.home_region:
        out[target.home_region] = HOME
    return out


def further(
    target: Target,
    sites: Sequence[AccountRegion],
    proven: Iterable[ChainId],
    reports: Iterable[ChainReport],
    continuations: Iterable[Continuation] = (),
) -> tuple[AccountRegion, ...]:
    """Return the account-regions in which a trail must have digests, as proven digests show, and that nobody looked for.

    `sites` are those validated so far, `proven` the chains of which something is proven in any of them, `reports` what is
    accounted for already. An account of an organization in which a chain covers hours, or logs lie without any digest, is in
    each of the organization's trails. Each result is to be validated for its own `trail` and `home_region` alone: where it
    has a folder its chain may begin after the window (`gap-late-start`), else it is absent. Its logs are others' to list.
    A trail that is known to go on in other folders (`continuations`) is told of where it is told of in either.
    """
    trails: dict[tuple[str, ...], set[ChainId]] = {}
    for chain in proven:
        if target.selects(chain):
            trails.setdefault(_trail(chain), set()).add(chain)
    judged = {report.chain: report for report in reports}
    there = [chain for chain, report in judged.items() if report.covered or not chain.trail]
    members = [chain for chain in there if not target.accounts or chain.account in target.accounts]
    same = joined((_trail(item.older), _trail(item.newer)) for item in continuations)
    told = {
        (*name, chain.account, chain.region)
        for chain in judged
        if chain.kind is Kind.STANDARD
        for name in same.get(_trail(chain), (_trail(chain),))
    }
    out: list[AccountRegion] = []
    models = _models(sites)  # by index: an organization has 100,000 of either, and each may be asked for
    with_folder = {site.account for site in sites}
    for trail, chains in sorted(trails.items()):
        example = min(chains)
        multi_region = any(chain.region != chain.home_region for chain in chains)
        accounts = {chain.account for chain in chains}
        if example.organization_id:
            accounts |= {account for account in expected_accounts(target) if account in with_folder}
            accounts |= {item.account for item in members if item.organization_id == example.organization_id}
            accounts |= {site.account for site in sites if target.trail and _lies_in(site, example.organization_id)}
        for account in sorted(accounts):
            for region, reason in _regions(target, example.home_region, multi_region=multi_region).items():
                nameless = (example.organization_id or account, "", "", account, region)
                if told.isdisjoint({(*trail, account, region), nameless}):
                    organization = example.organization_id
                    like = models.get((organization, account)) or models.get((organization, None)) or sites[0]
                    out.append(_site(target, like, example, account, region, reason))
    return tuple(out)


def without_chain(target: Target, judged: Iterable[ChainId], told: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the accounts that must have digests and of which the report accounts for no chain at all; `told` are known."""
    there = {*told, *(chain.account for chain in judged if chain.kind is Kind.STANDARD)}
    return tuple(account for account in expected_accounts(target) if account not in there)


def _trail(chain: ChainId) -> tuple[str, ...]:
    """Return a trail's identity: an organization's trail is one in all accounts, any other that of its account."""
    return (chain.organization_id or chain.account, chain.trail, chain.home_region)


def _regions(target: Target, home: str, *, multi_region: bool) -> dict[str, str]:
    regions = dict.fromkeys(default_regions(home), EVERYWHERE) if multi_region else {}
    regions[home] = HOME
    return {region: reason for region, reason in regions.items() if not target.regions or region in target.regions}


def _lies_in(site: AccountRegion, organization: str) -> bool:
    return any(folder.organization_id == organization for folder in site.folders)


def _models(sites: Iterable[AccountRegion]) -> dict[tuple[str | None, str | None], AccountRegion]:
    """The first account-region of each organization and account, and of each organization (account None)."""
    models: dict[tuple[str | None, str | None], AccountRegion] = {}
    for site in sites:
        for organization in dict.fromkeys(folder.organization_id for folder in site.folders):
            models.setdefault((organization, site.account), site)
            models.setdefault((organization, None), site)
    return models


def _site(target: Target, like: AccountRegion, chain: ChainId, account: str, region: str, reason: str) -> AccountRegion:
    """Return the account-region, with the folders of another one of the trail: of the same account, where there is any."""
    own = [folder for folder in like.folders if like.one_trail or folder.organization_id == chain.organization_id]
    return AccountRegion(
        account,
        region,
        tuple(Folder(folder.bucket, folder.base, account, region) for folder in own or like.folders),
        expected=reason,
        delivered=target.delivered.get(region) if account == target.owner else None,
        has_logs=False,
        logs_elsewhere=True,
        trail=chain.trail,
        home_region=chain.home_region,
        one_trail=like.one_trail,
    )
