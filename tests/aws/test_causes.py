"""Messages that name the cause: what stood in the way, and the permission or setting that mends it, on one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate import AccessError, ConfigurationError
from tests.aws.kit import REGION, everywhere, refusal
from tests.aws.test_ways_in import BUCKET, proven
from tests.faults.helpers import Trail
from tests.servers.internet import Bucket, Internet, Reply, Visit, api_error, s3_error

if TYPE_CHECKING:
    from ssl import SSLContext

IDENTITY = {
    "ExpiredToken": ("The provided token has expired.", "the credentials have expired: set AWS_ACCESS_KEY_ID"),
    "InvalidAccessKeyId": ("The AWS Access Key Id you provided does not exist.", "the credentials are not valid"),
    "SignatureDoesNotMatch": ("The request signature we calculated does not match.", "the credentials are not valid"),
    "RequestTimeTooSkewed": ("The difference between the request time and ours is too large.", "clock is wrong"),
}


@pytest.mark.parametrize(("code", "told"), IDENTITY.items(), ids=IDENTITY)
@pytest.mark.parametrize("by_trail", [True, False], ids=["trail", "bucket"])
def test_credentials_and_clock(net: Internet, trail: Trail, code: str, told: tuple[str, str], by_trail: bool) -> None:
    net.answers.append(everywhere(code, told[0]))
    line = refusal(trail, ConfigurationError, **({"trail_arn": trail.arn} if by_trail else {}))
    assert told[1] in line
    assert code in line
    assert "allow" not in line


def test_clock_as_cloudtrail_words_it(net: Internet, trail: Trail) -> None:
    message = "Signature expired: 20260307T000000Z is now earlier than 20260307T001000Z (20260307T001500Z - 5 min.)"
    net.answers.append(everywhere("InvalidSignatureException", message))
    assert "this computer's clock is wrong" in refusal(trail, ConfigurationError, trail_arn=trail.arn)


@pytest.mark.parametrize("by_trail", [True, False], ids=["trail", "bucket"])
def test_a_certificate_that_is_refused(trail: Trail, monkeypatch: pytest.MonkeyPatch, by_trail: bool) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    line = refusal(trail, ConfigurationError, **({"trail_arn": trail.arn} if by_trail else {}))
    assert "the certificate is not trusted" in line
    assert "AWS_CA_BUNDLE" in line
    assert f"{REGION}.amazonaws.com" in line


def watch_handshakes(net: Internet, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts whose certificate was shown, in order."""
    opened: list[str] = []
    make = net.authority.context

    def context(host: str) -> SSLContext:
        opened.append(host)
        return make(host)

    monkeypatch.setattr(net.authority, "context", context)
    return opened


def test_a_certificate_is_not_tried_again(net: Internet, trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    opened = watch_handshakes(net, monkeypatch)
    refusal(trail, ConfigurationError)
    assert opened.count(f"{BUCKET}.s3.{REGION}.amazonaws.com") <= 3  # HeadBucket, ListObjectsV2 and libcurl, once each


def test_a_certificate_that_is_refused_is_told_once_by_whoever_looks_up_the_trail(
    net: Internet, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    opened = watch_handshakes(net, monkeypatch)
    line = refusal(trail, ConfigurationError, trail_arn=trail.arn)
    assert line.count("is refused") == 1
    assert opened.count(f"cloudtrail.{REGION}.amazonaws.com") == 1


def test_sts_is_not_asked_again_behind_a_certificate_that_is_refused(
    net: Internet, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    opened = watch_handshakes(net, monkeypatch)
    line = refusal(trail, ConfigurationError, role_arn="arn:aws:iam::123456789012:role/reader")
    assert "--role-arn" in line
    assert "the certificate is not trusted" in line
    assert opened == [f"sts.{REGION}.amazonaws.com"]


def test_a_host_that_is_not_there(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.nowhere.invalid")
    monkeypatch.setenv("NO_PROXY", "s3.nowhere.invalid")
    line = refusal(trail, AccessError)
    assert "there is no such host" in line
    assert "s3.nowhere.invalid" in line


def test_a_host_that_does_not_listen(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    line = refusal(trail, AccessError)
    assert "cannot connect" in line
    assert "127.0.0.1" in line


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://proxy.invalid:3128"])
def test_a_proxy_that_does_not_listen(trail: Trail, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert "the proxy does not let it through: check HTTPS_PROXY" in refusal(trail, AccessError)
    assert "check HTTPS_PROXY" in refusal(trail, AccessError, trail_arn=trail.arn)


def test_a_proxy_that_wants_another_password(net: Internet, trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    net.proxy_password = "auditor:secret"
    monkeypatch.setenv("HTTPS_PROXY", net.url.replace("secret", "guess"))
    line = refusal(trail, AccessError)
    assert "the proxy does not let it through" in line
    assert "guess" not in line


def test_a_hotel_s_page(net: Internet, trail: Trail) -> None:
    net.answers.append(lambda _: Reply(200, b"<html>Welcome to the hotel</html>", {"content-type": "text/html"}))
    assert "this is no answer of AWS" in refusal(trail, AccessError, trail_arn=trail.arn)


def test_throttling_that_does_not_end(net: Internet, trail: Trail) -> None:
    net.answers.append(everywhere("ThrottlingException", "Rate exceeded"))
    line = refusal(trail, AccessError, trail_arn=trail.arn)
    assert "throttled: AWS kept asking for fewer requests" in line


def test_a_listing_that_is_denied_names_permission_and_bucket(net: Internet, trail: Trail) -> None:
    net.answers.append(lambda visit: s3_error(visit, 403, "AccessDenied", "Access Denied") if s3(visit) else None)
    line = refusal(trail, AccessError)
    assert f"allow s3:ListBucket on arn:aws:s3:::{BUCKET}" in line


def test_a_trail_that_is_denied_names_permissions_and_trail(net: Internet, trail: Trail) -> None:
    net.answers.append(lambda visit: None if s3(visit) else api_error(400, "AccessDeniedException", "No."))
    line = refusal(trail, AccessError, trail_arn=trail.arn)
    assert f"allow cloudtrail:DescribeTrails or cloudtrail:GetTrail on {trail.arn}, or give --s3-bucket" in line


def s3(visit: Visit) -> bool:
    return visit.place.service == "s3"


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("code", ["PermanentRedirect", "TemporaryRedirect"])
def test_a_redirect_that_says_no_place(net: Internet, trail: Trail, status: int, code: str) -> None:
    net.answers.append(lambda visit: s3_error(visit, status, code, "Elsewhere.") if s3(visit) else None)
    line = refusal(trail, ConfigurationError)
    assert "the bucket lies in another region" in line
    assert "set AWS_REGION" in line


def test_a_bucket_that_tells_its_region_to_get_alone(net: Internet, trail: Trail) -> None:
    """HEAD is answered without a header; the error of GET has the region in its body."""

    def redirect(visit: Visit) -> Reply | None:
        if not s3(visit) or visit.place.region == "eu-central-1":
            return None
        return s3_error(visit, 301, "PermanentRedirect", "Elsewhere.", "<Region>eu-central-1</Region>")

    net.answers.append(redirect)
    net.buckets[BUCKET] = Bucket("eu-central-1")
    proven(trail)


def test_a_bucket_in_an_opt_in_region(net: Internet, trail: Trail) -> None:
    """From elsewhere it is a 400, to HEAD without a word."""

    def refuse(visit: Visit) -> Reply | None:
        if not s3(visit) or visit.place.region == "me-south-1":
            return None
        message = "The me-south-1 location constraint is incompatible for the region specific endpoint."
        return s3_error(visit, 400, "IllegalLocationConstraintException", message)

    net.answers.append(refuse)
    net.buckets[BUCKET] = Bucket("me-south-1")
    proven(trail)
