"""Where a trail must have digests: before any is read, and by what proven ones show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core.expectation import (
    DEFAULT_REGIONS,
    default_regions,
    expected_accounts,
    expected_regions,
    further,
    parse_expected,
    without_chain,
)
from cloudtrail_validate.core.layout import REGION, Folder
from cloudtrail_validate.core.model import ChainId, ChainReport, Interval, Kind
from cloudtrail_validate.core.plan import AccountRegion, ExpectedPlace, Target

OWNER, MEMBER, OTHER = "111122223333", "444455556666", "999999999999"
ORGANIZATION = "o-exampleorgid"
HOME = "us-east-1"
ALL = set(DEFAULT_REGIONS["aws"])


def chain(account: str, region: str, trail: str = "mgmt", home: str = HOME, organization: str | None = None) -> ChainId:
    return ChainId(account, region, trail, home, organization, Kind.STANDARD)


def site(account: str, region: str, base: str = "AWSLogs/") -> AccountRegion:
    return AccountRegion(account, region, (Folder("b", base, account, region),))


def trail(**options: Any) -> Target:
    return Target("b", None, "mgmt", HOME, OWNER, **options)


def reported(chains: Iterable[ChainId], there: Iterable[ChainId] = ()) -> list[ChainReport]:
    """The chains as they are accounted for; those that are `there` cover an hour."""
    hour, covered = Interval(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC)), frozenset(there)
    return [ChainReport(item, covered=(hour,) if item in covered else ()) for item in chains]


def missing(
    target: Target,
    sites: Iterable[AccountRegion],
    proven: Iterable[ChainId],
    judged: Iterable[ChainId] | None = None,
    there: Iterable[ChainId] = (),
) -> set[tuple[str, str]]:
    proven = tuple(proven)
    reports = reported(proven if judged is None else judged, there)
    found = further(target, tuple(sites), proven, reports)
    assert len({(item.trail, item.account, item.region) for item in found}) == len(found)
    return {(item.account, item.region) for item in found}


def test_the_default_regions() -> None:
    assert {partition: len(set(regions)) for partition, regions in DEFAULT_REGIONS.items()} == {
        "aws": 17,
        "aws-cn": 2,
        "aws-us-gov": 2,
    }
    assert all(REGION.fullmatch(region) for regions in DEFAULT_REGIONS.values() for region in regions)


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        (HOME, "aws"),
        ("af-south-1", "aws"),  # an opt-in region is of the same partition
        ("cn-north-1", "aws-cn"),
        ("us-gov-east-1", "aws-us-gov"),
        ("us-iso-east-1", None),  # a partition whose regions are not public
        ("us-isob-east-1", None),
        ("eu-isoe-west-1", None),
        ("eusc-de-east-1", None),
    ],
)
def test_the_partition_of_a_region(region: str, partition: str | None) -> None:
    assert default_regions(region) == (DEFAULT_REGIONS[partition] if partition else ())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (OWNER, ExpectedPlace(OWNER)),
        (f"{OWNER}/{HOME}", ExpectedPlace(OWNER, HOME)),
        (f"{OWNER}/", None),
        ("", None),
        (HOME, None),
        (f"{HOME}/{OWNER}", None),
        (f"{OWNER}/{HOME}/", None),
        (f" {OWNER}", None),
        (f"{OWNER}\n", None),
        ("1" * 13, None),
        ("١" * 12, None),
    ],
)
def test_what_names_a_place(text: str, place: ExpectedPlace | None) -> None:
    assert parse_expected(text) == place


# -- before a digest is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "owners", "members"),
    [
        (Target("b", None), set(), set()),
        (trail(), {HOME}, set()),  # whether it is an organization's is not known
        (trail(members=(MEMBER,)), {HOME}, {HOME}),
        (trail(organization=True), {HOME}, {HOME}),
        (trail(multi_region=False, expected_regions=("af-south-1",)), {HOME}, {HOME}),
        (trail(multi_region=True), ALL, ALL),
        (trail(multi_region=True, expected_regions=("af-south-1", HOME)), ALL | {"af-south-1"}, ALL),
        (trail(multi_region=True, regions=("eu-west-1",)), {"eu-west-1"}, {"eu-west-1"}),
        (trail(expect=(ExpectedPlace(MEMBER, "me-south-1"), ExpectedPlace(MEMBER))), {HOME}, {"me-south-1"}),
        (Target("b", None, expect=(ExpectedPlace(OWNER, "eu-west-1"),)), {"eu-west-1"}, set()),
        (Target("b", None, regions=(HOME,), expect=(ExpectedPlace(OWNER, "eu-west-1"),)), {HOME}, {HOME}),
        (Target("b", None, "mgmt", "cn-north-1", OWNER, multi_region=True), {*DEFAULT_REGIONS["aws-cn"]}, None),
    ],
)
def test_regions_that_are_expected_at_first(target: Target, owners: set[str], members: set[str] | None) -> None:
    assert set(expected_regions(target, OWNER)) == owners
    assert set(expected_regions(target, MEMBER)) == (owners if members is None else members)
    assert all(expected_regions(target, OWNER).values())


def test_accounts_that_are_expected() -> None:
    named = (ExpectedPlace(OTHER), ExpectedPlace(OTHER, HOME))
    assert expected_accounts(trail()) == ()
    assert expected_accounts(trail(members=(MEMBER, OWNER), expect=named)) == (OWNER, MEMBER, OTHER)
    assert expected_accounts(trail(members=(MEMBER, OWNER), expect=named, accounts=(MEMBER,))) == (MEMBER,)
    assert expected_accounts(Target("b", None, accounts=(OTHER, MEMBER))) == (MEMBER, OTHER)


# -- what proven digests show -----------------------------------------------------------------------------------------


def test_a_trail_that_proves_nothing_but_its_home_is_expected_nowhere_else() -> None:
    assert missing(Target("b", None), [site(OWNER, HOME)], [chain(OWNER, HOME)]) == set()


def test_a_digest_away_from_home_shows_a_multi_region_trail() -> None:
    sites = [site(OWNER, HOME), site(OWNER, "eu-west-1")]
    proven = [chain(OWNER, HOME), chain(OWNER, "eu-west-1")]
    assert missing(Target("b", None), sites, proven) == {(OWNER, region) for region in ALL - {HOME, "eu-west-1"}}
    alone = missing(Target("b", None), sites[1:], proven[1:])
    assert alone == {(OWNER, region) for region in ALL - {"eu-west-1"}}  # its home region has gone as well


def test_a_home_that_is_no_default_region_is_expected() -> None:
    proven = [chain(OWNER, "eu-west-1", home="af-south-1")]
    assert (OWNER, "af-south-1") in missing(Target("b", None), [site(OWNER, "eu-west-1")], proven)


def test_a_backfill_digest_shows_it_too_and_accounts_for_nothing() -> None:
    backfill = ChainId(OWNER, "eu-west-1", "mgmt", HOME, None, Kind.BACKFILL)
    assert missing(Target("b", None), [site(OWNER, "eu-west-1")], [backfill]) == {(OWNER, region) for region in ALL}


def test_what_is_judged_already_is_told_once() -> None:
    """A chain that ended before the window, or one whose absence is told: with its trail's name or without."""
    sites = [site(OWNER, "eu-west-1"), site(OWNER, HOME), site(OWNER, "sa-east-1")]
    proven = [chain(OWNER, "eu-west-1")]
    judged = [*proven, chain(OWNER, HOME), ChainId(OWNER, "sa-east-1", "", "", None, Kind.STANDARD)]
    left = ALL - {"eu-west-1", HOME, "sa-east-1"}
    assert missing(Target("b", None), sites, proven, judged) == {(OWNER, region) for region in left}


def test_an_organizations_trail_is_one_in_all_accounts() -> None:
    base = f"AWSLogs/{ORGANIZATION}/"
    sites = [site(OWNER, HOME, base), site(OWNER, "eu-west-1", base), site(MEMBER, HOME, base), site(OTHER, HOME)]
    proven = [
        chain(OWNER, HOME, organization=ORGANIZATION),
        chain(OWNER, "eu-west-1", organization=ORGANIZATION),
        chain(MEMBER, HOME, organization=ORGANIZATION),
        chain(OTHER, HOME),  # its own trail of the same name, beside the organization's
    ]
    found = missing(Target("b", None), sites, proven)
    assert found == {(OWNER, region) for region in ALL - {HOME, "eu-west-1"}} | {
        (MEMBER, region) for region in ALL - {HOME}
    }
    items = further(Target("b", None), sites, proven, reported(proven))
    assert {item.folders[0].base for item in items} == {base}
    assert all(item.folders[0].region == item.region and item.organization_id == ORGANIZATION for item in items)
    assert all(item.expected and not item.has_logs and item.trail == "mgmt" for item in items)


def test_an_account_with_logs_alone_is_the_organizations_trails_too() -> None:
    base = f"AWSLogs/{ORGANIZATION}/"
    sites = [site(OWNER, HOME, base), site(OWNER, "eu-west-1", base), site(MEMBER, HOME, base)]
    proven = [chain(OWNER, region, organization=ORGANIZATION) for region in ALL]
    logs = ChainId(MEMBER, HOME, "", "", ORGANIZATION, Kind.STANDARD)
    judged = [*proven, logs]
    assert missing(Target("b", None), sites, proven, judged) == {(MEMBER, region) for region in ALL - {HOME}}
    own = ChainId(MEMBER, HOME, "", "", None, Kind.STANDARD)  # logs of a trail of its own
    assert missing(Target("b", None), sites, proven, [*proven, own]) == set()
    assert missing(Target("b", None, accounts=(OWNER,)), sites, proven, judged) == set()


def test_each_trail_of_an_organization_is_in_each_account_that_one_of_them_covers() -> None:
    base = f"AWSLogs/{ORGANIZATION}/"
    sites = [site(account, HOME, base) for account in (OWNER, MEMBER)]
    second = [ChainId(OWNER, region, "second", HOME, ORGANIZATION, Kind.STANDARD) for region in ALL]
    first = [chain(account, HOME, organization=ORGANIZATION) for account in (OWNER, MEMBER)]
    proven = [*first, *second]
    assert missing(Target("b", None), sites, proven) == set()  # the other's hours there are not shown
    assert missing(Target("b", None), sites, proven, proven, first) == {(MEMBER, region) for region in ALL}


def test_trails_of_the_same_name_in_two_accounts_are_two() -> None:
    sites = [site(OWNER, HOME), site(MEMBER, HOME), site(MEMBER, "eu-west-1")]
    proven = [chain(OWNER, HOME), chain(MEMBER, HOME), chain(MEMBER, "eu-west-1")]
    assert {account for account, _ in missing(Target("b", None), sites, proven)} == {MEMBER}


def test_each_trail_of_a_bucket_is_expected_for_itself() -> None:
    sites = [site(OWNER, HOME), site(OWNER, "eu-west-1")]
    proven = [chain(OWNER, HOME, "a-trail"), chain(OWNER, "eu-west-1", "a-trail"), chain(OWNER, "eu-west-1", "b-trail")]
    found = further(Target("b", None), sites, proven, reported(proven))
    assert {item.region for item in found if item.trail == "a-trail"} == ALL - {HOME, "eu-west-1"}
    assert {item.region for item in found if item.trail == "b-trail"} == ALL - {"eu-west-1"}
    one = further(Target("b", None, "a-trail", HOME, OWNER), sites, proven, reported(proven))
    assert {item.trail for item in one} == {"a-trail"}


def test_narrowing_narrows_what_is_expected() -> None:
    sites, proven = [site(OWNER, "eu-west-1")], [chain(OWNER, "eu-west-1")]
    target = Target("b", None, regions=("eu-west-1", "sa-east-1", "af-south-1"))
    assert missing(target, sites, proven) == {(OWNER, "sa-east-1")}  # and of no region that is not in every account


def test_an_account_that_is_named_is_one_of_the_organizations() -> None:
    base = f"AWSLogs/{ORGANIZATION}/"
    sites = [site(OWNER, "eu-west-1", base), site(MEMBER, HOME, base)]
    proven = [chain(OWNER, "eu-west-1", organization=ORGANIZATION)]
    target = Target("b", None, expect=(ExpectedPlace(MEMBER), ExpectedPlace(OTHER)))
    found = missing(target, sites, proven)
    assert found == {(OWNER, region) for region in ALL - {"eu-west-1"}} | {(MEMBER, region) for region in ALL}
    assert without_chain(target, proven) == (MEMBER, OTHER)
    assert without_chain(target, proven, [OTHER]) == (MEMBER,)


def test_a_new_chain_of_another_place_keeps_all_folders() -> None:
    """A trail that became an organization's is one, and its folders are two."""
    folders = (Folder("b", f"AWSLogs/{ORGANIZATION}/", OWNER, "eu-west-1"), Folder("b", "AWSLogs/", OWNER, "eu-west-1"))
    both = AccountRegion(OWNER, "eu-west-1", folders, trail="mgmt", home_region=HOME, one_trail=True)
    proven = [chain(OWNER, "eu-west-1", organization=ORGANIZATION)]
    found = further(trail(), [both], proven, reported(proven))
    assert {tuple(folder.base for folder in item.folders) for item in found} == {
        (f"AWSLogs/{ORGANIZATION}/", "AWSLogs/")
    }
    apart = further(trail(), [replace(both, one_trail=False)], proven, reported(proven))
    assert {tuple(folder.base for folder in item.folders) for item in apart} == {(f"AWSLogs/{ORGANIZATION}/",)}


def test_the_accounts_of_a_named_trails_organization_are_in_it() -> None:
    """A member of which nothing is left but the folder, and what others wrote there."""
    base = f"AWSLogs/{ORGANIZATION}/"
    sites = [site(OWNER, HOME, base), site(MEMBER, "eu-west-1", base)]
    proven = [chain(OWNER, HOME, organization=ORGANIZATION)]
    found = further(trail(), sites, proven, reported(proven))
    assert [(item.account, item.region) for item in found] == [(MEMBER, HOME)]
    assert further(Target("b", None), sites, proven, reported(proven)) == ()
