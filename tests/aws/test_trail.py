"""What the control plane says of a trail, and what becomes of it where it says less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import AccessError, ConfigurationError, Request
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.aws.trail import locate
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.plan import Target, Unvalidated
from tests.servers.aws_extra import DEFAULT_REGIONS, DigestDelivery

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

BUCKET = "amzn-s3-demo-bucket"
NAME = "management-events"
ARN = f"arn:aws:cloudtrail:us-east-1:123456789012:trail/{NAME}"
WINDOW = Interval(datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC))
OPTIONAL = {"account:ListRegions", "ec2:DescribeRegions", "organizations:ListAccounts"}
OPTIONAL |= {"sts:GetCallerIdentity", "cloudtrail:GetTrailStatus"}


def create(aws: AwsServer, name: str = NAME, **options: Any) -> None:
    if BUCKET not in [item["Name"] for item in aws.client("s3").list_buckets()["Buckets"]]:
        aws.client("s3").create_bucket(Bucket=BUCKET)
    given = {"S3BucketName": BUCKET, "EnableLogFileValidation": True, **options}
    aws.client("cloudtrail").create_trail(Name=name, **given)


def target(window: Interval = WINDOW, **options: Any) -> Target:
    request = Request(**{"start": window.start, "end": window.end, "trail_arn": ARN, **options})
    return locate(request, Aws(attempts=1), window)


def test_a_trail_of_one_region(aws: AwsServer) -> None:
    create(aws, S3KeyPrefix="logs")
    found = target()
    assert (found.bucket, found.prefix, found.trail, found.home_region) == (BUCKET, "logs", NAME, "us-east-1")
    assert (found.owner, found.organization, found.multi_region) == ("123456789012", False, False)
    assert (found.expected_regions, found.members, found.delivered, found.unvalidated) == ((), (), {}, ())
    assert aws.calls["account:ListRegions", "us-east-1"] == 0


def test_a_multi_region_trail_expects_every_enabled_region(aws: AwsServer) -> None:
    create(aws, IsMultiRegionTrail=True)
    aws.enabled_regions = {*DEFAULT_REGIONS, "eu-south-1"}
    assert set(target().expected_regions) == aws.enabled_regions
    aws.denied.add("account:ListRegions")
    assert set(target().expected_regions) == aws.enabled_regions
    aws.denied.add("ec2:DescribeRegions")
    assert target().expected_regions == ()


def test_the_regions_of_another_account_are_not_known(aws: AwsServer) -> None:
    create(aws, IsMultiRegionTrail=True)
    aws.denied.add("sts:GetCallerIdentity")
    found = target()
    assert (found.multi_region, found.expected_regions, found.delivered) == (True, (), {})


def test_regions_asked_for_are_the_only_ones(aws: AwsServer) -> None:
    create(aws, IsMultiRegionTrail=True)
    found = target(regions=("eu-west-1",))
    assert (found.regions, found.expected_regions) == (("eu-west-1",), ())
    assert {region for (permission, region) in aws.calls if permission == "cloudtrail:GetTrailStatus"} == {"eu-west-1"}


def test_delivery_times_by_region(aws: AwsServer) -> None:
    create(aws, IsMultiRegionTrail=True)
    delivered = datetime(2026, 3, 7, 12, 29, tzinfo=UTC)
    aws.digest_delivery[NAME, "us-east-1"] = DigestDelivery(delivered)
    aws.digest_delivery[NAME, "eu-west-1"] = DigestDelivery(delivered + timedelta(minutes=1))
    aws.digest_delivery[NAME, "sa-east-1"] = DigestDelivery(error="AccessDenied")
    assert target().delivered == {"us-east-1": delivered, "eu-west-1": delivered + timedelta(minutes=1)}
    assert target(regions=("us-east-1",)).delivered == {"us-east-1": delivered}


def test_delivery_times_say_nothing_of_another_bucket(aws: AwsServer) -> None:
    create(aws)
    aws.digest_delivery[NAME, "us-east-1"] = DigestDelivery(WINDOW.start)
    found = target(bucket="amzn-s3-demo-bucket-copy", prefix="copy")
    assert (found.bucket, found.prefix, found.delivered) == ("amzn-s3-demo-bucket-copy", "copy", {})


def test_an_organization_trail_has_members(aws: AwsServer) -> None:
    organizations = aws.client("organizations")
    organizations.create_organization()
    created = organizations.create_account(AccountName="audit", Email="audit@example.com")
    member = created["CreateAccountStatus"]["AccountId"]
    create(aws, IsOrganizationTrail=True)
    future = Interval(WINDOW.start, datetime.now(UTC) + timedelta(days=1))
    found = target(future)
    assert found.organization is True
    assert set(found.members) == {"123456789012", member}
    # Who joined after the window is not expected to have digests in it.
    assert target().members == ()
    assert target(future, accounts=(member,)).members == ()
    aws.denied.add("organizations:ListAccounts")
    assert target(future).members == ()


def test_a_trail_without_validation_in_the_same_folder(aws: AwsServer) -> None:
    create(aws, S3KeyPrefix="logs")
    create(aws, "unvalidated", EnableLogFileValidation=False)
    assert target().unvalidated == ()  # it writes to another prefix
    create(aws, "unvalidated-too", EnableLogFileValidation=False, S3KeyPrefix="logs")
    create(aws, "everywhere", EnableLogFileValidation=False, S3KeyPrefix="logs", IsMultiRegionTrail=True)
    expected = {Unvalidated("123456789012", "us-east-1", False), Unvalidated("123456789012", "", False)}
    assert set(target().unvalidated) == expected


def test_a_trail_that_lost_its_validation_excuses_nothing_itself(aws: AwsServer) -> None:
    create(aws, EnableLogFileValidation=False)
    assert target().unvalidated == ()


def test_a_trail_without_validation_whose_home_is_elsewhere(aws: AwsServer) -> None:
    """DescribeTrails, asked in the trail's home region, leaves it out; ListTrails names it."""
    create(aws, S3KeyPrefix="logs")
    aws.client("cloudtrail", "eu-west-1").create_trail(
        Name="of-another-region", S3BucketName=BUCKET, S3KeyPrefix="logs", EnableLogFileValidation=False
    )
    assert target().unvalidated == (Unvalidated("123456789012", "eu-west-1", False),)
    aws.denied.add("cloudtrail:ListTrails")
    assert target().unvalidated == ()


@pytest.mark.parametrize(
    ("trail", "written"),
    [
        (Unvalidated("123456789012", "us-east-1", False), {"own us-east-1"}),
        (Unvalidated("123456789012", "", False), {"own us-east-1", "own eu-west-1"}),
        (Unvalidated("123456789012", "", True), {"in the organization", "a member"}),
        (Unvalidated("444455556666", "", False), {"another account"}),
        (Unvalidated("444455556666", "sa-east-1", True), set()),
    ],
)
def test_where_a_trail_without_validation_writes(trail: Unvalidated, written: set[str]) -> None:
    folders = {
        "own us-east-1": Folder(BUCKET, "AWSLogs/", "123456789012", "us-east-1"),
        "own eu-west-1": Folder(BUCKET, "AWSLogs/", "123456789012", "eu-west-1"),
        "another account": Folder(BUCKET, "AWSLogs/", "444455556666", "us-east-1"),
        "in the organization": Folder(BUCKET, "AWSLogs/o-exampleorgid/", "123456789012", "us-east-1"),
        "a member": Folder(BUCKET, "AWSLogs/o-exampleorgid/", "444455556666", "eu-west-1"),
    }
    assert {name for name, folder in folders.items() if trail.writes(folder)} == written


def test_every_refusal_of_what_only_helps_is_survived(aws: AwsServer) -> None:
    create(aws, IsMultiRegionTrail=True, IsOrganizationTrail=True)
    aws.denied |= OPTIONAL
    found = target()
    assert (found.bucket, found.multi_region, found.organization) == (BUCKET, True, True)
    assert (found.expected_regions, found.members, found.delivered) == ((), (), {})


def test_get_trail_for_describe_trails(aws: AwsServer) -> None:
    create(aws, S3KeyPrefix="logs", IsMultiRegionTrail=True)
    whole = target()
    aws.denied.add("cloudtrail:DescribeTrails")
    assert target() == whole


def test_neither(aws: AwsServer) -> None:
    create(aws)
    aws.denied |= {"cloudtrail:DescribeTrails", "cloudtrail:GetTrail"}
    with pytest.raises(AccessError, match=r"cloudtrail:DescribeTrails.*cloudtrail:GetTrail.*--s3-bucket"):
        target()
    found = target(bucket=BUCKET, prefix="logs")
    assert (found.bucket, found.prefix, found.trail, found.owner) == (BUCKET, "logs", NAME, "123456789012")
    assert (found.organization, found.multi_region) == (None, None)


def test_no_such_trail(aws: AwsServer) -> None:
    with pytest.raises(ConfigurationError, match="there is no trail"):
        target()
    assert target(bucket=BUCKET).trail == NAME


def test_a_trail_that_is_not_there_is_told_with_those_that_are(aws: AwsServer) -> None:
    create(aws)
    other = ARN.replace(NAME, NAME.upper())
    with pytest.raises(ConfigurationError, match=f"there is no trail {other}; there are {ARN}; give --s3-bucket"):
        target(trail_arn=other)


def test_no_trail_at_all(aws: AwsServer) -> None:
    found = target(trail_arn=None, bucket=BUCKET, prefix="logs", regions=("eu-west-1",), accounts=("444455556666",))
    assert found == Target(BUCKET, "logs", regions=("eu-west-1",), accounts=("444455556666",))
    assert not aws.calls


def test_a_trail_of_another_home_region(aws: AwsServer) -> None:
    create(aws, IsMultiRegionTrail=True)
    with pytest.raises(ConfigurationError):
        target(trail_arn=ARN.replace("us-east-1", "eu-west-1"))
