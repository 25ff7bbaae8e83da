"""Chains that go on in another folder have one name; without a link two of one name are two."""

from __future__ import annotations

from cloudtrail_validate.core.continuation import Continuation, identity, one_name
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import ChainId, Kind
from cloudtrail_validate.core.plan import AccountRegion

ACCOUNT, REGION, ORGANIZATION = "111122223333", "us-east-1", "o-exampleorgid"
FOLDERS = tuple(Folder("b", base, ACCOUNT, REGION) for base in (f"AWSLogs/{ORGANIZATION}/", "AWSLogs/"))


def chain(organization: str | None, trail: str = "mgmt", kind: Kind = Kind.STANDARD) -> ChainId:
    return ChainId(ACCOUNT, REGION, trail, REGION, organization, kind)


PLAIN, WHOLE = chain(None), chain(ORGANIZATION)


def test_two_chains_of_one_name_are_two() -> None:
    own = identity(AccountRegion(ACCOUNT, REGION, FOLDERS), ())
    assert (own(PLAIN), own(WHOLE)) == (PLAIN, WHOLE)


def test_a_link_makes_them_one_in_either_direction_and_with_their_backfills() -> None:
    for link in (Continuation(PLAIN, WHOLE), Continuation(WHOLE, PLAIN)):
        own = identity(AccountRegion(ACCOUNT, REGION, FOLDERS), (link,))
        assert (own(PLAIN), own(WHOLE)) == (WHOLE, WHOLE)
        assert own(chain(None, kind=Kind.BACKFILL)) == chain(ORGANIZATION, kind=Kind.BACKFILL)
        assert own(chain(None, "other")) == chain(None, "other")


def test_links_join_more_than_two() -> None:
    other = chain("o-exampleother")
    names = one_name((Continuation(PLAIN, WHOLE), Continuation(chain(None, "x"), chain("o-x", "x"))))
    assert names["mgmt", REGION, None] == ORGANIZATION
    assert names["x", REGION, None] == "o-x"
    joined = one_name((Continuation(PLAIN, WHOLE), Continuation(PLAIN, other)))
    assert len(set(joined.values())) == 1
    assert len(joined) == 3


def test_a_trail_that_aws_describes_has_all_folders() -> None:
    described = AccountRegion(ACCOUNT, REGION, FOLDERS, trail="mgmt", home_region=REGION, one_trail=True)
    assert identity(described, ())(PLAIN) == WHOLE
    named = AccountRegion(ACCOUNT, REGION, FOLDERS, trail="mgmt", home_region=REGION)
    assert identity(named, ())(PLAIN) == PLAIN
