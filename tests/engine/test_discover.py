"""From a bucket or a folder to the accounts and regions to validate, whatever lies beside them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloudtrail_validate.core.errors import BucketAbsentError
from cloudtrail_validate.core.expectation import default_regions
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.plan import ExpectedPlace, Plan, Target
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.stores.local import Local

OWNER, MEMBER, OTHER = "111122223333", "444455556666", "999999999999"
ORGANIZATION = "o-exampleorgid"
HOME = "us-east-1"


def plant(root: Path, *keys: str) -> None:
    """Files with something in them; a key that ends in a slash is an empty folder."""
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if key.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(b"x")


def plan_of(root: Path, target: Target) -> Plan:
    async def ask() -> Plan:
        store = Local(root)
        try:
            return await discover(store, target)
        finally:
            await store.close()

    return asyncio.run(ask())


def sites(plan: Plan) -> list[tuple[str, str]]:
    return sorted((site.account, site.region) for site in plan.sites)


def of(account: str, region: str, *, base: str = "AWSLogs/", kind: str = "CloudTrail-Digest") -> str:
    return f"{base}{account}/{kind}/{region}/2026/03/07/x.json.gz"


def trail(**options: Any) -> Target:
    given: dict[str, Any] = {"trail": "management-events", "home_region": HOME, "owner": OWNER, **options}
    return Target("", None, **given)


def test_everything_that_is_there(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME), of(OWNER, "eu-west-1", kind="CloudTrail"), of(MEMBER, "sa-east-1"))
    plan = plan_of(tmp_path, Target("", None))
    assert sites(plan) == [(OWNER, "eu-west-1"), (OWNER, HOME), (MEMBER, "sa-east-1")]
    assert {site.region: site.has_logs for site in plan.sites} == {HOME: False, "eu-west-1": True, "sa-east-1": False}
    assert not any(site.expected for site in plan.sites)


def test_other_things_in_the_bucket_are_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME), "AWSLogs/readme.txt", "AWSLogs/12345/CloudTrail/us-east-1/x", "elsewhere/x")
    plant(tmp_path, "AWSLogs/o-UPPER/x", f"AWSLogs/{OWNER}/vpcflowlogs/us-east-1/x", "AWSLogs/o-short/x/y")
    assert sites(plan_of(tmp_path, Target("", None))) == [(OWNER, HOME)]


@pytest.mark.parametrize("prefix", ["logs", "a/b/c", "logs with space/é"])
def test_a_prefix(tmp_path: Path, prefix: str) -> None:
    plant(tmp_path, of(OWNER, HOME, base=f"{prefix}/AWSLogs/"), of(OTHER, HOME))
    assert sites(plan_of(tmp_path, Target("", prefix))) == [(OWNER, HOME)]


def test_an_organization_is_found_by_its_folder(tmp_path: Path) -> None:
    base = f"AWSLogs/{ORGANIZATION}/"
    plant(tmp_path, of(OWNER, HOME, base=base), of(MEMBER, HOME, base=base), of(OTHER, HOME))
    assert sites(plan_of(tmp_path, Target("", None))) == [(OWNER, HOME), (MEMBER, HOME), (OTHER, HOME)]
    plan = plan_of(tmp_path, trail(organization=True))
    assert sites(plan) == [(OWNER, HOME), (MEMBER, HOME)]
    assert {site.organization_id for site in plan.sites} == {ORGANIZATION}


def test_a_trail_of_one_account_beside_an_organization(tmp_path: Path) -> None:
    plant(tmp_path, of(MEMBER, HOME, base=f"AWSLogs/{ORGANIZATION}/"), of(OWNER, HOME))
    assert sites(plan_of(tmp_path, trail(organization=False))) == [(OWNER, HOME)]


def test_a_trail_that_became_an_organizations_is_one_site_of_two_folders(tmp_path: Path) -> None:
    base = f"AWSLogs/{ORGANIZATION}/"
    plant(tmp_path, of(OWNER, HOME, base=base), of(OWNER, HOME))
    (site,) = plan_of(tmp_path, trail(organization=True)).sites
    assert site.folders == (Folder("", base, OWNER, HOME), Folder("", "AWSLogs/", OWNER, HOME))


def test_members_without_any_file_are_looked_for(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME, base=f"AWSLogs/{ORGANIZATION}/"))
    plan = plan_of(tmp_path, trail(organization=True, members=(OWNER, MEMBER)))
    assert sites(plan) == [(OWNER, HOME), (MEMBER, HOME)]
    assert all(site.expected for site in plan.sites)


def test_what_a_trail_should_write_is_expected(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, "eu-west-1"))
    one = plan_of(tmp_path, trail())
    assert {site.region: bool(site.expected) for site in one.sites} == {"eu-west-1": False, HOME: True}
    many = plan_of(tmp_path, trail(multi_region=True, expected_regions=("eu-west-1", "af-south-1")))
    assert {site.region for site in many.sites if site.expected} == {*default_regions(HOME), "af-south-1"}


def test_a_multi_region_trail_is_expected_in_the_default_regions_of_each_account(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME, base=f"AWSLogs/{ORGANIZATION}/"))
    plan = plan_of(tmp_path, trail(organization=True, multi_region=True, members=(OWNER, MEMBER)))
    assert {(site.account, site.region) for site in plan.sites if site.expected} == {
        (account, region) for account in (OWNER, MEMBER) for region in default_regions(HOME)
    }
    assert {folder.base for site in plan.sites for folder in site.folders} == {f"AWSLogs/{ORGANIZATION}/"}
    narrowed = plan_of(tmp_path, trail(organization=True, multi_region=True, members=(MEMBER,), regions=("sa-east-1",)))
    assert sites(narrowed) == [(OWNER, "sa-east-1"), (MEMBER, "sa-east-1")]


def test_an_organizations_accounts_are_expected_where_its_folder_is_gone(tmp_path: Path) -> None:
    plant(tmp_path, "AWSLogs/")
    plan = plan_of(tmp_path, trail(organization=True, members=(OWNER, MEMBER)))
    assert sites(plan) == [(OWNER, HOME), (MEMBER, HOME)]


def test_what_is_named_is_expected_whatever_is_there(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME, base=f"AWSLogs/{ORGANIZATION}/"), of(OWNER, "eu-west-1", kind="CloudTrail"))
    named = (ExpectedPlace(OWNER, "eu-west-1"), ExpectedPlace(OWNER, "sa-east-1"), ExpectedPlace(MEMBER))
    plan = plan_of(tmp_path, Target("", None, expect=named))
    found = {(site.folders[0].base, site.account, site.region): bool(site.expected) for site in plan.sites}
    assert found == {
        ("AWSLogs/", OWNER, "eu-west-1"): True,  # where a folder of the region is
        ("AWSLogs/", OWNER, "sa-east-1"): True,  # there is none: in the first place
        (f"AWSLogs/{ORGANIZATION}/", OWNER, HOME): False,
    }
    assert plan.empty == (MEMBER,)
    one = trail(organization=False, expect=(ExpectedPlace(MEMBER), ExpectedPlace(OWNER, "sa-east-1")))
    assert {(site.account, site.region) for site in plan_of(tmp_path, one).sites if site.expected} == {
        (OWNER, HOME),
        (OWNER, "sa-east-1"),
        (MEMBER, HOME),
    }


def test_an_empty_folder_of_a_trail_still_has_its_home(tmp_path: Path) -> None:
    plant(tmp_path, "AWSLogs/")
    (site,) = plan_of(tmp_path, trail()).sites
    assert (site.account, site.region, bool(site.expected)) == (OWNER, HOME, True)
    assert plan_of(tmp_path, Target("", None)).sites == ()


def test_narrowing_to_regions_and_accounts(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME), of(OWNER, "eu-west-1"), of(MEMBER, HOME))
    assert sites(plan_of(tmp_path, Target("", None, regions=(HOME,)))) == [(OWNER, HOME), (MEMBER, HOME)]
    assert sites(plan_of(tmp_path, Target("", None, accounts=(MEMBER,)))) == [(MEMBER, HOME)]
    asked = plan_of(tmp_path, Target("", None, regions=("sa-east-1",), accounts=(OWNER,)))
    assert [(site.account, site.region, bool(site.expected)) for site in asked.sites] == [(OWNER, "sa-east-1", True)]
    assert sites(plan_of(tmp_path, Target("", None, regions=(HOME,), accounts=(OTHER,)))) == [(OTHER, HOME)]


def test_files_beside_the_regions_are_kept_as_strays(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME), f"AWSLogs/{OWNER}/CloudTrail/evil.json.gz", of(OWNER, "eu-west-1"))
    plan = plan_of(tmp_path, Target("", None))
    strays = [info.key for site in plan.sites for info in site.strays]
    assert strays == [f"AWSLogs/{OWNER}/CloudTrail/evil.json.gz"]


def test_delivery_times_belong_to_the_owner(tmp_path: Path) -> None:
    base = f"AWSLogs/{ORGANIZATION}/"
    plant(tmp_path, of(OWNER, HOME, base=base), of(MEMBER, HOME, base=base))
    delivered = datetime(2026, 3, 7, 12, tzinfo=UTC)
    plan = plan_of(tmp_path, trail(organization=True, delivered={HOME: delivered}))
    assert {site.account: site.delivered for site in plan.sites} == {OWNER: delivered, MEMBER: None}


def test_what_cannot_be_listed_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    plant(tmp_path, of(OWNER, HOME), of(MEMBER, HOME))
    folder = tmp_path / "AWSLogs" / MEMBER / "CloudTrail-Digest"
    folder.chmod(0)
    plan = plan_of(tmp_path, Target("", None))
    folder.chmod(0o700)
    assert sites(plan) == [(OWNER, HOME)]
    ((unlisted),) = plan.unlisted
    assert (unlisted.account, unlisted.prefix) == (MEMBER, f"AWSLogs/{MEMBER}/CloudTrail-Digest/")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert plan_of(tmp_path, Target("", None)).sites == ()
    with pytest.raises(BucketAbsentError):
        asyncio.run(Local(tmp_path / "gone").children("", ""))
