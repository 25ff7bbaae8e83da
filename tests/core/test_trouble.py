"""What AWS, TLS and the network answer, sorted into causes; and what is advised for each."""

from __future__ import annotations

import pytest

from cloudtrail_validate.core.errors import AccessError, ConfigurationError, StoreError
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.core.trouble import HOPELESS, OF_SETTINGS, Login, Trouble, advice, cause_of, diagnose, refused


@pytest.mark.parametrize(
    ("code", "text", "trouble"),
    [
        ("ExpiredToken", "", Trouble.EXPIRED),
        ("", "ExpiredToken: The provided token has expired.", Trouble.EXPIRED),
        ("InvalidAccessKeyId", "", Trouble.INVALID),
        ("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier", Trouble.SKEWED),
        ("RequestTimeTooSkewed", "", Trouble.SKEWED),
        ("AccessDenied", "no identity-based policy allows the s3:ListBucket action", Trouble.DENIED),
        ("AccessDenied", "User is not authorized to perform: kms:Decrypt", Trouble.KMS),
        ("KMS.DisabledException", "", Trouble.KMS),
        ("SlowDown", "", Trouble.THROTTLED),
        ("503", "", Trouble.THROTTLED),
        ("InvalidObjectState", "", Trouble.ARCHIVED),
        ("OptInRequired", "", Trouble.DISABLED),
        ("PermanentRedirect", "", Trouble.MISPLACED),
        ("SSLError", "", Trouble.CERTIFICATE),
        ("EndpointConnectionError", "certificate verify failed", Trouble.CERTIFICATE),
        ("EndpointConnectionError", "Name or service not known", Trouble.DNS),
        ("EndpointConnectionError", "", Trouble.UNREACHABLE),
        ("", "Could not resolve host: s3.nowhere", Trouble.DNS),
        ("", "CONNECT tunnel failed, response 403", Trouble.PROXY),
        ("ResponseParserError", "", Trouble.STRANGE),
        ("", "", Trouble.NETWORK),
        ("NobodyKnows", "something", Trouble.NETWORK),
        ("", "cloudtrail:ListPublicKeys in us-east-1: ExpiredTokenException: expired", Trouble.EXPIRED),
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
        ("", "the transfer broke off", Trouble.NETWORK),
    ],
)
def test_a_trouble_is_known_by_its_code_or_its_words(code: str, text: str, trouble: Trouble) -> None:
    assert diagnose(code, text) is trouble


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_has_advice_and_a_cause(trouble: Trouble) -> None:
    for login in (None, Login("sso", "audit")):
        told = advice(trouble, permission="s3:ListBucket", on="arn:aws:s3:::b", login=login)
        assert told
        assert not told.endswith(".")
    assert cause_of(trouble) in Cause


def test_a_trouble_has_the_cause_that_findings_bear() -> None:
    assert cause_of(Trouble.KMS) is Cause.KMS_DENIED
    assert cause_of(Trouble.DNS) is Cause.NETWORK


@pytest.mark.parametrize(
    ("login", "step"),
    [
        (Login("sso", "audit"), "run aws sso login --profile audit"),
        (Login("sso", "default"), "run aws sso login"),
        (Login("env"), "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew"),
        (Login("shared-credentials-file", "audit"), "write fresh ones to the profile audit"),
        (Login("something-new"), "sign in again (such as by aws sso login), then run again"),
    ],
)
def test_expired_credentials_are_renewed_as_they_were_come_by(login: Login, step: str) -> None:
    assert advice(Trouble.EXPIRED, login=login) == step


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredToken", ConfigurationError),
        ("SSLError", ConfigurationError),
        ("AccessDenied", AccessError),
        ("SlowDown", AccessError),
    ],
)
def test_a_refusal_is_a_setting_or_access_and_one_line(code: str, kind: type[Exception]) -> None:
    error = refused(
        StoreError(Cause.ACCESS_DENIED, "x\n\x1b[2J", code=code),
        "cannot list s3://b",
        permission="s3:ListBucket",
        on="b",
    )
    assert type(error) is kind
    assert not {"\n", "\x1b"} & set(str(error))
    assert ("s3:ListBucket on b" in str(error)) is (code == "AccessDenied")


def test_what_another_try_may_mend_is_not_hopeless() -> None:
    assert not HOPELESS & {Trouble.NETWORK, Trouble.THROTTLED, Trouble.DNS, Trouble.STRANGE}
    assert {Trouble.EXPIRED, Trouble.CERTIFICATE} <= OF_SETTINGS


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
    expired = StoreError(error.cause, error.detail, code="ExpiredToken")
    assert isinstance(refused(expired, "x", permission=""), ConfigurationError)
    assert isinstance(refused(error, "x", permission=""), AccessError)
