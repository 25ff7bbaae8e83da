"""Messages that name the cause: what stood in the way, and the permission or setting that mends it, on one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cloudtrail_validate import AccessError, ConfigurationError, validate
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.core.trouble import Login, Trouble, advice, cause_of, diagnose, refused
from tests.aws.kit import REGION, trail_in
from tests.aws.test_ways_in import BUCKET, proven
from tests.cli.helpers import Answer, finish, start
from tests.faults.helpers import QUICK, Trail
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.servers.internet import Bucket, Internet, Reply, Visit, api_error, query_error, s3_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from ssl import SSLContext

    from tests.servers.aws import AwsServer


@pytest.fixture
def trail(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Trail:
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    return trail_in(net, aws_server)


def refusal(trail: Trail, kind: type[Exception], **options: Any) -> str:
    """The one line that nothing was validated with."""
    from cloudtrail_validate import run

    with pytest.raises(kind) as caught:
        run(trail.request(**options), timeouts=QUICK)
    line = str(caught.value)
    assert "\n" not in line
    assert "internal error" not in line
    return line


def everywhere(code: str, message: str) -> Callable[[Visit], Reply]:
    """A refusal of every request, as each service words it."""

    def answer(visit: Visit) -> Reply:
        if visit.place.service == "s3":
            return s3_error(visit, 400 if code == "ExpiredToken" else 403, code, message)
        if visit.place.service == "sts":
            return query_error(403, code, message)
        return api_error(400, code, message)

    return answer


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


WHAT_STANDS_IN_EVERY_WAY = {
    "expired": ("the credentials have expired", 2),
    "certificate": ("the certificate is not trusted", 2),
    "proxy": ("the proxy does not let it through", 3),
}


@pytest.mark.parametrize("what", WHAT_STANDS_IN_EVERY_WAY)
@pytest.mark.parametrize("by_trail", [True, False], ids=["trail", "bucket"])
def test_the_doctor_says_once_what_stands_in_every_way(
    net: Internet, trail: Trail, monkeypatch: pytest.MonkeyPatch, what: str, by_trail: bool
) -> None:
    if what == "expired":
        net.answers.append(everywhere("ExpiredToken", "The provided token has expired."))
    elif what == "certificate":
        monkeypatch.delenv("AWS_CA_BUNDLE")
    else:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    told, code = WHAT_STANDS_IN_EVERY_WAY[what]
    which = ["--trail-arn", trail.arn] if by_trail else ["--s3-bucket", BUCKET]
    answer = finish(start("doctor", *which, env=dict(os.environ)))
    assert (answer.code, answer.out) == (code, "")
    assert told in answer.line
    assert answer.line.count(told) == 1
    assert "Missing permissions" not in answer.err


OBJECTS_OF_ONE_S_OWN = {
    "state": ("--s3-bucket", BUCKET, "--last", "24h", "--state", f"s3://{BUCKET}/trail.state"),
    "state show": ("state", "show", f"s3://{BUCKET}/trail.state"),
    "merge": ("merge", f"s3://{BUCKET}/1.part"),
    "merge of a folder": ("merge", f"s3://{BUCKET}/parts/"),
    "fetch-signatures": ("fetch-signatures", BUCKET, "."),
}


@pytest.mark.parametrize("words", OBJECTS_OF_ONE_S_OWN.values(), ids=OBJECTS_OF_ONE_S_OWN)
def test_objects_of_one_s_own_are_refused_by_their_cause(
    net: Internet, trail: Trail, tmp_path: Path, words: tuple[str, ...]
) -> None:
    net.answers.append(everywhere("ExpiredToken", "The provided token has expired."))
    answer = finish(start(*words, env=dict(os.environ), cwd=tmp_path))
    assert (answer.code, answer.out) == (2, "")
    assert "the credentials have expired" in answer.line
    assert "internal error" not in answer.line


def test_an_object_of_one_s_own_that_is_not_there(net: Internet, trail: Trail) -> None:
    object_ = finish(start("merge", f"s3://{BUCKET}/1.part", env=dict(os.environ)))
    assert (object_.code, object_.line) == (
        2,
        f"ctvalidate: cannot read s3://{BUCKET}/1.part: there is no such object",
    )
    bucket = finish(start("merge", "s3://amzn-s3-demo-no-bucket/parts/", env=dict(os.environ)))
    assert bucket.line == "ctvalidate: cannot list s3://amzn-s3-demo-no-bucket/parts/: there is no such bucket"


def test_a_login_that_ends_amid_fetch_signatures_is_told_once(net: Internet, trail: Trail, tmp_path: Path) -> None:
    for key in trail.digests:
        place = tmp_path / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    expired = everywhere("ExpiredToken", "The provided token has expired.")
    net.answers.append(lambda visit: expired(visit) if visit.path.endswith(".json.gz") else None)
    answer = finish(start("fetch-signatures", BUCKET, str(tmp_path), env=dict(os.environ)))
    assert (answer.code, answer.out) == (2, "")
    assert "the credentials have expired" in answer.line  # one line, not one a digest


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


# -- redirects --------------------------------------------------------------------------------------------------------


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


# -- credentials that expire in the middle ----------------------------------------------------------------------------


class Clockwork:
    """Refuses an access key from some request on."""

    def __init__(self, access_key: str) -> None:
        self.access_key = access_key
        self.refused = 0

    def __call__(self, visit: Visit) -> Reply | None:
        if visit.access_key != self.access_key or visit.place.service != "cloudtrail":
            return None
        self.refused += 1
        return api_error(400, "ExpiredTokenException", "The security token included in the request is expired")


def test_credentials_that_were_written_anew(
    net: Internet, trail: Trail, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One refresh: the file of credentials has fresh ones by now."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = home / ".aws" / "credentials"
    text = f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\naws_session_token = x\n"
    file.write_text(text)
    aws = Aws(attempts=1)
    client = aws.client("cloudtrail")
    client.describe_trails()
    expiry = Clockwork(ACCESS_KEY)
    net.answers.append(expiry)
    file.write_text(text.replace(ACCESS_KEY, "ASIAFRESHEXAMPLE"))
    client.describe_trails()
    assert expiry.refused == 1
    assert net.visits[-1].access_key == "ASIAFRESHEXAMPLE"
    assert aws.renew(ACCESS_KEY)
    assert not aws.renew("ASIAFRESHEXAMPLE")


def test_credentials_that_stay_expired_are_refreshed_once(net: Internet, trail: Trail) -> None:
    expiry = Clockwork(ACCESS_KEY)
    net.answers.append(expiry)
    line = refusal(trail, ConfigurationError, trail_arn=trail.arn)
    assert "the credentials have expired" in line
    assert expiry.refused == 1  # nothing else was at hand, so that nothing was asked again


def test_a_role_s_session_that_ends_early_is_renewed(net: Internet, trail: Trail) -> None:
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    aws = Aws(session, role_arn="arn:aws:iam::123456789012:role/auditor", attempts=1)
    client = aws.client("cloudtrail")
    client.describe_trails()
    expiry = Clockwork(net.visits[-1].access_key)
    net.answers.append(expiry)
    client.describe_trails()
    assert expiry.refused == 1
    assert net.visits[-1].access_key != expiry.access_key
    assert [visit.operation for visit in net.visits].count("AssumeRole") == 2


def test_a_cached_session_that_ends_early_is_renewed(
    net: Internet, trail: Trail, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the AWS CLI cached is not taken again once AWS has called it expired."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    keys = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    role = "role_arn = arn:aws:iam::123456789012:role/auditor\nsource_profile = base\n"
    (home / ".aws" / "config").write_text(f"[profile audit]\n{role}[profile base]\n{keys}")
    proven(trail, profile="audit")
    expiry = Clockwork(net.visited("s3")[-1].access_key)
    net.answers.append(expiry)
    proven(trail, profile="audit", trail_arn=trail.arn)
    assert expiry.refused >= 1
    assert [visit.operation for visit in net.visits].count("AssumeRole") == 2


def test_keys_that_expired_meanwhile_are_no_finding_about_permissions(net: Internet, trail: Trail) -> None:
    def expired(visit: Visit) -> Reply | None:
        keys = visit.operation == "ListPublicKeys"
        return api_error(400, "ExpiredTokenException", "The token has expired.") if keys else None

    net.answers.append(expired)
    report = validate(trail.request())
    (message,) = {finding.message.rpartition(";")[2] for finding in report.findings if finding.cause is not None}
    assert message == " the credentials have expired: sign in again (such as by aws sso login), then run again."


# -- the command ------------------------------------------------------------------------------------------------------


def ask(trail: Trail, *arguments: str) -> Answer:
    return finish(start("--s3-bucket", BUCKET, *trail.times(), *arguments, env=dict(os.environ)))


def test_keys_export_says_it_once(net: Internet, trail: Trail) -> None:
    net.answers.append(everywhere("ExpiredTokenException", "The token has expired."))
    answer = finish(start("keys", "export", "--last", "24h", env=dict(os.environ)))
    assert answer.code == 2
    assert "cannot ask for keys: the credentials have expired" in answer.line
    assert len(net.hosts("cloudtrail")) == 1


def test_keys_export_groups_regions_by_what_they_said(net: Internet, trail: Trail) -> None:
    net.answers.append(
        lambda visit: (
            None
            if visit.place.service != "cloudtrail" or visit.place.region in (REGION, "us-east-1")
            else api_error(400, "AccessDeniedException", "No.")
        )
    )
    answer = finish(
        start("keys", "export", "--start-time", "2026-03-07", "--end-time", "2026-03-08", env=dict(os.environ))
    )
    assert answer.code == 0
    left_out, summary = answer.err.splitlines()
    assert left_out.startswith("ctvalidate: left out ")
    assert " more: access denied: allow cloudtrail:ListPublicKeys" in left_out
    assert summary == "ctvalidate: 1 key of 2 regions"
    assert len(net.hosts("cloudtrail")) > 20


def test_the_command_ends_with_one_line_and_no_traceback(net: Internet, trail: Trail) -> None:
    net.answers.append(everywhere("ExpiredToken", "The provided token has expired."))
    answer = ask(trail)
    assert (answer.code, answer.out) == (2, "")
    assert answer.line.startswith("ctvalidate: ")
    assert "the credentials have expired" in answer.line


# -- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "trouble"),
    [
        ("", "ExpiredToken: The provided token has expired.", Trouble.EXPIRED),
        ("", "cloudtrail:ListPublicKeys in us-east-1: ExpiredTokenException: expired", Trouble.EXPIRED),
        ("AccessDenied", "User is not authorized to perform: kms:Decrypt", Trouble.KMS),
        ("KMS.DisabledException", "the key is disabled", Trouble.KMS),
        ("403", "Forbidden", Trouble.DENIED),
        ("AllAccessDisabled", "All access to this object has been disabled.", Trouble.CLOSED),
        ("NotSignedUp", "Your account is not signed up for the Amazon S3 service.", Trouble.CLOSED),
        ("InternalError", "We encountered an internal error. Please try again.", Trouble.SERVICE),
        ("InternalFailure", "", Trouble.SERVICE),
        ("ReadTimeoutError", "Read timed out.", Trouble.NETWORK),
        ("UnrecognizedClientException", "The security token included in the request is invalid.", Trouble.INVALID),
        ("InvalidSignatureException", "Signature not yet current: 1 is still later than 0", Trouble.SKEWED),
        ("EndpointConnectionError", "cannot connect to x: Name or service not known", Trouble.DNS),
        ("EndpointConnectionError", "cannot connect to x: Connection refused", Trouble.UNREACHABLE),
        ("", "error sending request: invalid peer certificate: UnknownIssuer", Trouble.CERTIFICATE),
        ("", "SSL certificate problem: unable to get local issuer certificate", Trouble.CERTIFICATE),
        ("", "Could not resolve host: s3.example.com", Trouble.DNS),
        ("", "Could not resolve proxy: proxy.example.com", Trouble.PROXY),
        ("", "CONNECT tunnel failed, response 407", Trouble.PROXY),
        ("", "dns error: failed to lookup address information", Trouble.DNS),
        ("", "Failed to connect to 10.0.0.1 port 443: No route to host", Trouble.UNREACHABLE),
        ("InvalidObjectState", "The operation is not valid for the object's storage class", Trouble.ARCHIVED),
        ("503", "slow", Trouble.THROTTLED),
        ("", "", Trouble.NETWORK),
        ("", "the transfer broke off", Trouble.NETWORK),
    ],
)
def test_what_an_error_is_about(code: str, text: str, trouble: Trouble) -> None:
    assert diagnose(code, text) is trouble


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_has_advice_and_a_cause(trouble: Trouble) -> None:
    told = advice(trouble, permission="s3:ListBucket", on="arn:aws:s3:::b", login=Login("sso", "audit"))
    assert told
    assert not told.endswith(".")
    assert cause_of(trouble) in Cause


@pytest.mark.parametrize(
    ("login", "says"),
    [
        (Login("sso", "audit"), "run aws sso login --profile audit"),
        (Login("sso", "default"), "run aws sso login"),
        (Login("login", "audit"), "run aws login --profile audit"),
        (Login("env"), "set AWS_ACCESS_KEY_ID"),
        (Login("shared-credentials-file", ""), "write fresh ones to the profile default"),
        (Login("custom-process", "audit"), "credential_process of the profile audit"),
        (Login("iam-role"), "sign in again"),
        (Login(), "sign in again"),
    ],
)
def test_what_to_do_about_credentials_that_expired(login: Login, says: str) -> None:
    assert says in advice(Trouble.EXPIRED, login=login)


def test_hostile_text_is_shown_harmless() -> None:
    error = StoreError(Cause.NETWORK, "\x1b[2J\nno", code="X")
    line = str(refused(error, "cannot list", permission="s3:ListBucket"))
    assert "\x1b" not in line
    assert "\n" not in line
    assert isinstance(refused(replace_code(error, "ExpiredToken"), "x", permission=""), ConfigurationError)
    assert isinstance(refused(error, "x", permission=""), AccessError)


def replace_code(error: StoreError, code: str) -> StoreError:
    return StoreError(error.cause, error.detail, code=code)
