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
    ],
)
def test_a_trouble_is_known_by_its_code_or_its_words(code: str, text: str, trouble: Trouble) -> None:
    assert diagnose(code, text) is trouble


def test_every_trouble_has_a_cause_and_advice() -> None:
    for trouble in Trouble:
        assert isinstance(cause_of(trouble), Cause)
        said = advice(trouble, permission="s3:ListBucket")
        assert said
        assert not said.endswith(".")
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
