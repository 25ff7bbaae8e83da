"""What a failed request means: the exceptions of obstore and of botocore, sorted into the errors of a store."""

from __future__ import annotations

import re
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError
from botocore.parsers import ResponseParserError
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from cloudtrail_validate.model import Cause
from cloudtrail_validate.stores import AbsentError, BucketAbsentError, StoreError

_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,400})</Message>")
_STATUS: Final = re.compile(r"non-2xx status code: ([0-9]{3})")
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


class UnaddressableError(Exception):
    """obstore cannot express this key, or cannot read a listing that holds such a key: ask botocore."""


Failure = StoreError | AbsentError | UnaddressableError


def from_obstore(error: Exception) -> Failure:
    """Sort an exception of obstore. Its text holds S3's own answer."""
    text = str(error)
    code = _CODE.search(text)
    if code is None:
        if type(error).__name__ == "InvalidPathError" or text.startswith("Could not parse path"):
            return UnaddressableError(text)
        if "xml" in text.lower() or "decoding response" in text.lower():
            return UnaddressableError(text)  # a key that XML 1.0 cannot hold: botocore asks for them URL-encoded
        if "non UTF-8" in text:
            return UnaddressableError(text)  # in a header, which whoever may write an object chooses
        status = _STATUS.search(text)
        if isinstance(error, FileNotFoundError):
            return AbsentError(_brief(text))
        refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
        return _by_code(status[1] if status else "403" if refused else "", _brief(text))
    message = _MESSAGE.search(text)
    return _by_code(code[1], message[1] if message else code[1])


def from_botocore(error: ClientError | BotoCoreError | ResponseParserError | OSError) -> StoreError | AbsentError:
    """Sort an exception of botocore."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        return _by_code(str(answer.get("Code", "")), str(answer.get("Message", "")) or str(error))
    if isinstance(error, (HTTPClientError, ResponseParserError, IncompleteReadError, FlexibleChecksumError, OSError)):
        return StoreError(Cause.NETWORK, _brief(str(error)))
    return StoreError(Cause.ACCESS_DENIED, _brief(str(error)), code=type(error).__name__)


def _by_code(code: str, message: str) -> StoreError | AbsentError:
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


def _brief(text: str) -> str:
    """The first line, without the debug dump that follows it."""
    line = text.split("\n", 1)[0].strip()
    return line if len(line) <= 300 else line[:299] + "…"
