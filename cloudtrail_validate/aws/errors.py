"""Sorts what botocore raises, and S3's error codes, into the errors of a store."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError
from botocore.parsers import ResponseParserError

from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, StoreError
from cloudtrail_validate.core.model import Cause

_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion"})
_THROTTLED: Final = frozenset(
    {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "TooManyRequests", "Throttling", "ThrottlingException"}
    | {"RequestThrottled", "503", "429"}
)
_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "Forbidden"}
)
_UNTRUSTED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
    | {"TokenRefreshRequired", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "UnrecognizedClientException"}
    | {"InvalidClientTokenId", "OptInRequired", "403", "401"}
)


def from_botocore(error: ClientError | BotoCoreError | ResponseParserError | OSError) -> StoreError | AbsentError:
    """Sort an exception of botocore."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        return by_code(str(answer.get("Code", "")), str(answer.get("Message", "")) or str(error))
    if isinstance(error, (HTTPClientError, ResponseParserError, IncompleteReadError, FlexibleChecksumError, OSError)):
        return StoreError(Cause.NETWORK, brief(str(error)))
    return StoreError(Cause.ACCESS_DENIED, brief(str(error)), code=type(error).__name__)


def by_code(code: str, message: str) -> StoreError | AbsentError:
    """Sort an S3 error code (or a status where S3 gave none)."""
    if code == "NoSuchBucket":
        return BucketAbsentError(message)
    if code in _ABSENT:
        return AbsentError(message)
    if code in _DENIED or code in _UNTRUSTED or code.startswith("KMS"):
        kms = code.startswith("KMS") or "kms:" in message or "KMS" in message or "ciphertext" in message
        detail = message if code in ("", "AccessDenied", "403") else f"{code}: {message}"
        return StoreError(Cause.KMS_DENIED if kms else Cause.ACCESS_DENIED, detail, code=code)
    if code == "InvalidObjectState":
        return StoreError(Cause.ARCHIVED, message, code=code)
    if code in _THROTTLED:
        return StoreError(Cause.THROTTLED, f"{code}: {message}", code=code)
    return StoreError(Cause.NETWORK, f"{code}: {message}" if code else message, code=code)


def brief(text: str) -> str:
    """Return the first line, without the debug dump that follows it."""
    line = text.split("\n", 1)[0].strip()
    return line if len(line) <= 300 else line[:299] + "…"
