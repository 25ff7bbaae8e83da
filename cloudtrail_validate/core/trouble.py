"""Sorts what AWS, TLS and the network answer into causes that a person can act on, and says what to do about each.

One table of error codes and one of words serve every client: botocore names its exceptions, S3 and the JSON services their
codes, OpenSSL, rustls and libcurl their reasons. Pure: no I/O, nothing raised on any text.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import (
    AbsentError,
    AccessError,
    BucketAbsentError,
    ConfigurationError,
    StoreError,
)
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.core.text import printable

_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion"})


class Trouble(StrEnum):
    """Names the reasons for which a request was not answered. The value is how a message begins."""

    EXPIRED = "the credentials have expired"
    INVALID = "the credentials are not valid"
    ABSENT = "there are no credentials"
    SKEWED = "this computer's clock is wrong"
    DENIED = "access denied"
    KMS = "KMS denied"
    ARCHIVED = "archived"
    THROTTLED = "throttled"
    FOREIGN = "not visited"
    BEYOND = "not copied"
    DISABLED = "the region is not enabled"
    CLOSED = "AWS has closed the account or the bucket"
    SERVICE = "AWS had an error of its own"
    MISPLACED = "the bucket lies in another region"
    CERTIFICATE = "the certificate is not trusted"
    PROXY = "the proxy does not let it through"
    DNS = "there is no such host"
    UNREACHABLE = "cannot connect"
    STRANGE = "this is no answer of AWS"
    NETWORK = "network"


class Login(msgspec.Struct, frozen=True):
    """Names the source of the credentials.

    These are botocore's name of the method (`sso`, `env`, …), and the profile, if one is used.
    """

    method: str = ""
    profile: str = ""

    @property
    def renewal(self) -> str:
        """Return the step that gives fresh credentials, as a clause without its first capital."""
        named = f" --profile {self.profile}" if self.profile and self.profile != "default" else ""
        return _RENEWALS.get(self.method, _RENEWAL).format(named=named, profile=self.profile or "default")


_RENEWALS: Final[dict[str, str]] = {
    "sso": "run aws sso login{named}",
    "login": "run aws login{named}",
    "env": "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew",
    "shared-credentials-file": "write fresh ones to the profile {profile}",
    "config-file": "write fresh ones to the profile {profile}",
    "custom-process": "see that credential_process of the profile {profile} gives fresh ones",
}
_RENEWAL: Final = "sign in again (such as by aws sso login), then run again"
# What services and botocore call it. Sources: S3 API reference, "List of error codes"; "Common errors" of STS, CloudTrail
# and EC2; botocore.exceptions.
_EXPIRED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "UnauthorizedSSOTokenError"}
    | {"SSOTokenLoadError", "SSOError", "TokenRetrievalError", "LoginRefreshRequired", "LoginTokenLoadError"}
    | {"LoginError", "RefreshWithMFAUnsupportedError", "ExpiredCredentials"}
)
_INVALID: Final = frozenset(
    {"InvalidAccessKeyId", "InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"}
    | {"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken"}
    | {"MissingAuthenticationTokenException", "InvalidIdentityToken", "InvalidSecurity"}
)
_SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess", "Forbidden", "403", "401"}
)
_CLOSED: Final = frozenset({"AllAccessDisabled", "AccountProblem", "NotSignedUp"})
_SERVICE: Final = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "InternalServiceError", "InternalServiceException"}
    | {"ServiceFailure", "OperationAborted", "500"}
)
_THROTTLED: Final = frozenset(
    {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "TooManyRequests", "TooManyRequestsException"}
    | {"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"}
    | {"BandwidthLimitExceeded", "PriorRequestNotComplete", "503", "429"}
)
_MISPLACED: Final = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
    | {"301", "302", "307", "308"}
)
_BY_CODE: Final[dict[str, Trouble]] = {
    **dict.fromkeys(_EXPIRED, Trouble.EXPIRED),
    **dict.fromkeys(_INVALID, Trouble.INVALID),
    **dict.fromkeys(_SKEWED, Trouble.SKEWED),
    **dict.fromkeys(_DENIED, Trouble.DENIED),
    **dict.fromkeys(_CLOSED, Trouble.CLOSED),
    **dict.fromkeys(_SERVICE, Trouble.SERVICE),
    **dict.fromkeys(_THROTTLED, Trouble.THROTTLED),
    **dict.fromkeys(_MISPLACED, Trouble.MISPLACED),
    "InvalidObjectState": Trouble.ARCHIVED,
    "OptInRequired": Trouble.DISABLED,
    "NoCredentialsError": Trouble.ABSENT,
    "SSLError": Trouble.CERTIFICATE,
    "ProxyConnectionError": Trouble.PROXY,
    "EndpointConnectionError": Trouble.UNREACHABLE,
    "ConnectTimeoutError": Trouble.UNREACHABLE,
    "ResponseParserError": Trouble.STRANGE,
    "ForeignBucket": Trouble.FOREIGN,
    "BeyondCopy": Trouble.BEYOND,
}
# What no code tells. In this order: a certificate that is refused is also a connection that failed.
_BY_WORDS: Final[dict[Trouble, re.Pattern[str]]] = {
    Trouble.FOREIGN: re.compile(r"which was not asked for|does not belong to"),
    Trouble.BEYOND: re.compile(r"of which this is a copy"),
    Trouble.SKEWED: re.compile(r"Signature (?:expired|not yet current)|too skewed", re.IGNORECASE),
    Trouble.PROXY: re.compile(r"\bproxy\b|\bCONNECT tunnel", re.IGNORECASE),
    Trouble.CERTIFICATE: re.compile(r"certificate|UnknownIssuer|\bSSL\b|\bTLS\b|wrong version number", re.IGNORECASE),
    Trouble.DNS: re.compile(
        r"name or service not known|nodename nor servname|name resolution|getaddrinfo|could not resolve|dns error"
        r"|failed to lookup address|no address associated|no such host",
        re.IGNORECASE,
    ),
    Trouble.UNREACHABLE: re.compile(
        r"cannot connect|could not connect|connection refused|connect timeout|unreachable|no route", re.IGNORECASE
    ),
    Trouble.STRANGE: re.compile(r"no answer of|unable to parse response|invalid XML", re.IGNORECASE),
}
_OF_KMS: Final = re.compile(r"kms:|KMS|ciphertext")
_CODES: Final = re.compile(r"\b([A-Za-z][A-Za-z0-9]{3,63}|[0-9]{3}): ")  # as messages here begin

OF_IDENTITY: Final = frozenset({Trouble.EXPIRED, Trouble.INVALID, Trouble.ABSENT, Trouble.SKEWED})
"""Troubles with who asks: every other request meets them too, and no permission helps."""
OF_THE_WAY: Final = frozenset(
    {Trouble.CERTIFICATE, Trouble.PROXY, Trouble.DNS, Trouble.UNREACHABLE, Trouble.STRANGE, Trouble.NETWORK}
)
"""Troubles on the way to AWS: nothing was refused, because nobody heard."""
IN_EVERY_WAY: Final = OF_IDENTITY | {Trouble.CERTIFICATE, Trouble.PROXY, Trouble.DNS, Trouble.UNREACHABLE}
"""Troubles that the next request to the same service meets as well; a broken answer may be followed by a whole one."""
OF_SETTINGS: Final = OF_IDENTITY | {Trouble.CERTIFICATE, Trouble.MISPLACED}
"""Troubles that a setting of this computer mends (CONTRACT: exit code 2); the others are AWS's or the network's (3)."""
HOPELESS: Final = OF_IDENTITY | {
    *(Trouble.CERTIFICATE, Trouble.DENIED, Trouble.FOREIGN, Trouble.DISABLED, Trouble.BEYOND, Trouble.CLOSED)
}
"""Troubles that another try does not mend."""


def diagnose(code: str, text: str) -> Trouble:
    """Return what an error is about.

    `code` is a service's error code, an HTTP status where there is none, or the name of a client's exception; `text` its
    message, in which a code (`ExpiredToken: …`) counts where `code` is empty.
    """
    if not code:
        named = next((word for word in _CODES.findall(text) if word in _BY_CODE or word.startswith("KMS")), "")
        if named:
            return diagnose(named, text)
    known = Trouble.KMS if code.startswith("KMS") else _BY_CODE.get(code)
    if known is Trouble.DENIED:
        return Trouble.KMS if _OF_KMS.search(text) else known
    if known is Trouble.INVALID:
        return Trouble.SKEWED if _BY_WORDS[Trouble.SKEWED].search(text) else known
    if known is None or known is Trouble.UNREACHABLE:
        worded = (trouble for trouble, words in _BY_WORDS.items() if words.search(text))
        return next(worded, known or Trouble.NETWORK)
    return known


def cause_of(trouble: Trouble) -> Cause:
    """Return the report's word for it (CONTRACT: `cause`)."""
    if trouble is Trouble.KMS:
        return Cause.KMS_DENIED
    if trouble is Trouble.ARCHIVED:
        return Cause.ARCHIVED
    if trouble is Trouble.THROTTLED:
        return Cause.THROTTLED
    return Cause.NETWORK if trouble in OF_THE_WAY | {Trouble.SERVICE} else Cause.ACCESS_DENIED


def advice(trouble: Trouble, *, permission: str = "", on: str = "", login: Login | None = None) -> str:
    """Return what to do: one clause without its first capital, no full stop.

    `permission` is the IAM action that was asked for and `on` the ARN or name it is needed on; `login` is whose
    credentials they are.
    """
    if trouble is Trouble.EXPIRED:
        return (login or Login()).renewal
    if trouble is Trouble.DENIED:
        return f"allow {permission or 'the request'}{f' on {on}' if on else ''}"
    return _ADVICE[trouble]


_ADVICE: Final[dict[Trouble, str]] = {
    Trouble.INVALID: "AWS does not know them, or the secret does not fit: check the profile, or sign in again",
    Trouble.ABSENT: "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run where a role provides them",
    Trouble.SKEWED: "set it by NTP, since AWS takes no requests that are more than a few minutes off",
    Trouble.KMS: "allow kms:Decrypt on the KMS key of the object",
    Trouble.ARCHIVED: "restore it first (aws s3api restore-object), then run again",
    Trouble.THROTTLED: "AWS kept asking for fewer requests: run again later, or with --max-rate",
    Trouble.FOREIGN: "if it is yours, name it with --also-bucket",
    Trouble.BEYOND: "copy that as well, or validate the place itself",
    Trouble.DISABLED: "enable it for the account, or leave it out with --region",
    Trouble.CLOSED: "no permission helps: ask whoever owns it, or AWS Support",
    Trouble.SERVICE: "run again; where it lasts, the AWS Health Dashboard may know of it",
    Trouble.MISPLACED: "S3 does not say in which: set AWS_REGION to the bucket's region",
    Trouble.CERTIFICATE: (
        "where a company's proxy opens TLS, set AWS_CA_BUNDLE to a PEM file with its certificate authority"
    ),
    Trouble.PROXY: "check HTTPS_PROXY and NO_PROXY",
    Trouble.DNS: "check the region, AWS_ENDPOINT_URL, AWS_USE_FIPS_ENDPOINT and the name server",
    Trouble.UNREACHABLE: "check the network, a VPC endpoint or HTTPS_PROXY, and AWS_ENDPOINT_URL",
    Trouble.STRANGE: "something between here and AWS answers in its place: check the proxy and AWS_ENDPOINT_URL",
    Trouble.NETWORK: "the connection failed or broke off, run again",
}


def refused(
    error: StoreError, doing: str, *, permission: str, on: str = "", login: Login | None = None
) -> AccessError | ConfigurationError:
    """Return the error that leaves the library where `doing` failed before anything could be read.

    `ConfigurationError` where a setting of this computer mends it, else `AccessError`. One line: what failed, why, and
    the permission or setting that is missing.
    """
    trouble = diagnose(error.code, error.detail)
    hint = advice(trouble, permission=permission, on=on, login=login)
    kind = ConfigurationError if trouble in OF_SETTINGS else AccessError
    return kind(printable(f"{doing}: {trouble}: {hint} ({error.detail})"))


def by_code(code: str, message: str) -> StoreError | AbsentError:
    """Sort an S3 error code (or a status where S3 gave none)."""
    if code == "NoSuchBucket":
        return BucketAbsentError(message)
    if code in _ABSENT:
        return AbsentError(message)
    plain = code in ("", "AccessDenied", "403", "InvalidObjectState")
    detail = message if plain else f"{code}: {message}"
    return StoreError(cause_of(diagnose(code, message)), detail, code=code)
