"""Sorts what botocore raises into the errors of a store."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.core.text import brief
from cloudtrail_validate.core.trouble import Trouble, by_code, diagnose

AWS_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError)
"""What a botocore call may raise; the last where a middlebox answers in AWS's place."""
MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError)
"""What botocore, and whoever reads what it returns, trips over where an answer is cut short or not AWS's.

RuntimeError is what it makes of a time beyond all calendars, and of an answer nested too deeply.
"""
ANY_ERROR: Final = (*AWS_ERRORS, *MALFORMED, OSError)
"""Everything that a call to AWS may raise, whatever answered."""

_ON_THE_WAY: Final = (
    BotoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    FlexibleChecksumError,
    ResponseParserError,
    OSError,
)
_REASON: Final = re.compile(
    r"""\[Errno -?[0-9]+\] ([^'")]+)|\[SSL: [A-Z_0-9]+\] ([^'"(]+)|(?:: |')([A-Z0-9][^:'"()]+)['")]*$"""
)


def from_botocore(error: Exception) -> StoreError | AbsentError:
    """Sort an exception of botocore, or of whoever trips over what it returns."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        return by_code(str(answer.get("Code", "")), str(answer.get("Message", "")) or str(error))
    name, detail = type(error).__name__, told(error)
    if isinstance(error, ParamValidationError):  # a name that no bucket or object can have
        return AbsentError(detail)
    if isinstance(error, MALFORMED) and not isinstance(error, (BotoCoreError, OSError, ResponseParserError)):
        return StoreError(Cause.NETWORK, f"this is no answer of AWS: {name}: {detail}", code="ResponseParserError")
    if isinstance(error, _ON_THE_WAY):
        return StoreError(Cause.NETWORK, detail, code=name)
    return StoreError(Cause.ACCESS_DENIED, detail, code=name)


def told(error: BaseException) -> str:
    """Return what an exception says in one line: which host, and the reason that the network or OpenSSL gave."""
    given = getattr(error, "kwargs", {})
    place = given.get("endpoint_url") or given.get("proxy_url") if isinstance(given, dict) else None
    if not isinstance(place, str):
        return brief(str(error)) or type(error).__name__
    host = urlsplit(place).hostname or place
    found = _REASON.findall(str(given.get("error") or ""))
    reason = next((part.strip() for part in found[-1] if part), "") if found else ""
    match diagnose(type(error).__name__, reason):
        case Trouble.CERTIFICATE:
            said = f"the certificate of {host} is refused"
        case Trouble.PROXY:
            said = f"cannot connect through the proxy {host}"
        case Trouble.DNS | Trouble.UNREACHABLE:
            said = f"cannot connect to {host}"
        case _:
            said = f"no answer from {host}"
    return brief(f"{said}: {reason}" if reason else said)
