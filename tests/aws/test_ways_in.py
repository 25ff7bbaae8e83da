"""Every way into AWS that docs/ways-in.md names, on AWS's own host names behind TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cloudtrail_validate import run
from cloudtrail_validate.core.regions import choose_region
from tests.aws.kit import INTERFACE, REGION, SMALL, trail_in
from tests.faults.helpers import QUICK, Trail, real
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.servers.internet import Bucket, Internet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloudtrail_validate.report import Report
    from tests.servers.aws import AwsServer

BUCKET = SMALL.bucket
LOGS = SMALL.hours * 2


def names_of_tests(files: Iterable[Path]) -> set[str]:
    """The names of the tests in some files."""
    return set(
        re.findall(r"^def (test_[a-z0-9_]+)\(", "\n".join(file.read_text("utf-8") for file in files), re.MULTILINE)
    )


def proven(trail: Trail, **options: Any) -> Report:
    """The report of a validation that proved everything."""
    session = options.pop("session", None)
    report = run(trail.request(**options), session=session, now=trail.simulation.manifest.as_of, timeouts=QUICK).report
    assert (report.exit_code, real(report), report.summary.logs.valid) == (0, [], LOGS)
    return report


# -- partition and region ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("region", "domain"), [("us-gov-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")])
def test_partition_of_the_trail_s_arn(net: Internet, aws_server: AwsServer, region: str, domain: str) -> None:
    trail = trail_in(net, aws_server, region)
    report = proven(trail, trail_arn=trail.arn)
    assert report.run.caller_arn is not None
    assert report.run.caller_arn.split(":")[1] == trail.arn.split(":")[1]
    assert net.hosts() == {f"{BUCKET}.s3.{region}.{domain}", f"cloudtrail.{region}.{domain}", f"sts.{region}.{domain}"}


def test_partition_of_the_regions_asked_for(net: Internet, aws_server: AwsServer) -> None:
    proven(trail_in(net, aws_server, "us-gov-west-1"), regions=("us-gov-west-1",))
    assert {visit.place.region for visit in net.visits} == {"us-gov-west-1"}


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_region_of_the_environment(
    net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "cn-north-1")
    proven(trail_in(net, aws_server, "cn-north-1"))
    assert all(host.endswith(".amazonaws.com.cn") for host in net.hosts())


def test_region_of_the_profile(net: Internet, aws_server: AwsServer, home: Path) -> None:
    (home / ".aws" / "config").write_text("[profile audit]\nregion = us-gov-west-1\ncredential_source = Environment\n")
    (home / ".aws" / "credentials").write_text(
        f"[audit]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
    proven(trail_in(net, aws_server, "us-gov-west-1"), profile="audit")
    assert {visit.place.region for visit in net.visits} == {"us-gov-west-1"}


def test_region_of_a_session(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    session = boto3.Session("AKIASESSIONEXAMPLE", SECRET_KEY, region_name="us-gov-west-1")
    proven(trail_in(net, aws_server, "us-gov-west-1"), session=session)
    assert {visit.access_key for visit in net.visits} == {"AKIASESSIONEXAMPLE"}
    assert {visit.place.region for visit in net.visits} == {"us-gov-west-1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "us-east-1"),
        ({"role_arn": "arn:aws-us-gov:iam::123456789012:role/auditor"}, "us-gov-west-1"),
        ({"role_arn": "arn:aws-cn:iam::123456789012:role/auditor"}, "cn-north-1"),
        ({"configured": "eu-north-1"}, "eu-north-1"),
        ({"configured": "eu-north-1", "environ": {"AWS_DEFAULT_REGION": "eu-west-2"}}, "eu-west-2"),
        ({"environ": {"AWS_DEFAULT_REGION": "eu-west-2", "AWS_REGION": "eu-west-3"}}, "eu-west-3"),
        ({"environ": {"AWS_REGION": "eu-west-3"}, "explicit": "sa-east-1"}, "sa-east-1"),
        ({"explicit": "sa-east-1", "asked": ("ca-central-1", "us-west-1")}, "ca-central-1"),
        (
            {"asked": ("ca-central-1",), "trail_arn": "arn:aws-cn:cloudtrail:cn-north-1:123456789012:trail/abc"},
            "cn-north-1",
        ),
        ({"asked": ("ca-central-1",), "trail_arn": "no ARN"}, "ca-central-1"),
        ({"environ": {"AWS_REGION": " "}, "configured": "eu-north-1"}, "eu-north-1"),
        ({"environ": {"AWS_REGION": "no region"}, "configured": "eu-north-1"}, "eu-north-1"),
        ({"environ": {"AWS_REGION": "no region"}}, "no region"),
    ],
)
def test_order_of_what_says_the_region(given: dict[str, Any], expected: str) -> None:
    assert choose_region(**{"environ": {}, **given}) == expected


# -- endpoints --------------------------------------------------------------------------------------------------------


def test_regional_endpoints(net: Internet, aws_server: AwsServer) -> None:
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)
    names = {"s3": f"{BUCKET}.s3", "cloudtrail": "cloudtrail", "sts": "sts"}
    assert {service: net.hosts(service) for service in names} == {
        service: {f"{name}.{REGION}.amazonaws.com"} for service, name in names.items()
    }


def test_fips_endpoints(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    trail = trail_in(net, aws_server, "us-west-2")
    proven(trail, trail_arn=trail.arn)
    assert net.hosts() == {
        f"{BUCKET}.s3-fips.us-west-2.amazonaws.com",
        "cloudtrail-fips.us-west-2.amazonaws.com",
        "sts-fips.us-west-2.amazonaws.com",
    }


def test_dualstack_endpoints(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)
    assert net.hosts("s3") == {f"{BUCKET}.s3.dualstack.{REGION}.amazonaws.com"}
    assert all(visit.place.dualstack for visit in net.visits)


def test_interface_endpoint(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    host = INTERFACE.format(region=REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://{host}")
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)
    assert {visit.host.removeprefix(f"{BUCKET}.") for visit in net.visited("s3")} == {host}
    assert net.hosts("sts") == {f"sts.{REGION}.amazonaws.com"}


def test_interface_endpoint_of_the_profile(net: Internet, aws_server: AwsServer, home: Path) -> None:
    host = INTERFACE.format(region=REGION)
    (home / ".aws" / "config").write_text(
        f"[default]\nservices = private\n[services private]\ns3 =\n  endpoint_url = https://{host}\n"
    )
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)
    assert {visit.host.removeprefix(f"{BUCKET}.") for visit in net.visited("s3")} == {host}


def test_configured_endpoints_ignored(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://example.com")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)
    assert net.hosts("s3") == {f"{BUCKET}.s3.{REGION}.amazonaws.com"}
    assert not net.strange


@pytest.mark.parametrize(
    ("style", "host"), [("path", f"s3.{REGION}.amazonaws.com"), ("virtual", f"{BUCKET}.s3.{REGION}.amazonaws.com")]
)
def test_addressing_style(net: Internet, aws_server: AwsServer, home: Path, style: str, host: str) -> None:
    (home / ".aws" / "config").write_text(f"[default]\nregion = {REGION}\ns3 =\n  addressing_style = {style}\n")
    proven(trail_in(net, aws_server))
    assert net.hosts("s3") == {host}


# -- buckets ----------------------------------------------------------------------------------------------------------


def test_bucket_in_another_region(net: Internet, aws_server: AwsServer) -> None:
    trail = trail_in(net, aws_server)
    aws_server.client("s3", "eu-central-1")  # the trail's home stays where it was
    net.buckets[BUCKET] = Bucket("eu-central-1")
    proven(trail, trail_arn=trail.arn)
    objects = {visit.host for visit in net.visited("s3") if visit.method == "GET"}
    assert objects == {f"{BUCKET}.s3.eu-central-1.amazonaws.com"}


@pytest.mark.parametrize("name", ["Legacy_Bucket", "amzn-s3-demo-UPPER", "amzn.s3.demo.dots", "amzn_s3_demo"])
def test_legacy_bucket_names(net: Internet, aws_server: AwsServer, name: str) -> None:
    proven(trail_in(net, aws_server, "us-east-1", bucket=name))
    assert {visit.bucket for visit in net.visited("s3")} == {name}
    assert all(visit.host.startswith("s3.") for visit in net.visited("s3"))


def test_a_bucket_whose_region_no_answer_tells(
    net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As other S3-compatible services answer: no header, and the region that is set is right."""
    monkeypatch.setenv("AWS_REGION", REGION)
    trail = trail_in(net, aws_server)
    net.buckets[BUCKET] = Bucket(REGION, tells_region=False)
    proven(trail)


# -- proxies and certificates -----------------------------------------------------------------------------------------


def test_proxy_with_a_password(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    net.proxy_password = "auditor:secret"
    monkeypatch.setenv("HTTPS_PROXY", net.url)
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)
    assert len(net.hosts()) == 3


def test_no_proxy(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = trail_in(net, aws_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server.endpoint)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    proven(trail, trail_arn=trail.arn)
    assert not net.visits


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_ca_bundle_of_the_environment(
    net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    monkeypatch.setenv(name, str(net.authority.ca_file))
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)


def test_ca_bundle_of_the_profile(
    net: Internet, aws_server: AwsServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    (home / ".aws" / "config").write_text(f"[default]\nca_bundle = {net.authority.ca_file}\n")
    trail = trail_in(net, aws_server)
    proven(trail, trail_arn=trail.arn)


# -- the document -----------------------------------------------------------------------------------------------------


def test_the_document_names_each_of_these_and_no_other() -> None:
    folder = Path(__file__).parent
    text = (folder.parents[1] / "docs" / "ways-in.md").read_text("utf-8")
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    ways = ("causes", "causes_commands", "expiry", "foreign_buckets", "identity", "sign_in", "ways_in")
    there = names_of_tests(folder / f"test_{name}.py" for name in ways)
    assert named - there - names_of_tests([folder.parent / "core" / "test_trouble.py"]) == set()
    assert there - named == {"test_the_document_names_each_of_these_and_no_other"}
