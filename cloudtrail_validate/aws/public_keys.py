"""Public keys from who issued them: CloudTrail's ListPublicKeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.parsers import ResponseParserError
from msgspec.structs import replace

from cloudtrail_validate.aws.errors import ANY_ERROR, MALFORMED, from_botocore
from cloudtrail_validate.core.errors import ConfigurationError, StoreError
from cloudtrail_validate.core.model import EPOCH, Cause, Interval, utc
from cloudtrail_validate.core.signature import PublicKey, RegionKeys, index_keys
from cloudtrail_validate.core.trouble import Trouble, diagnose
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

WIDEN: Final = timedelta(days=35)  # each key is valid 30 days and keys overlap
_MAX_PAGES: Final = 1000  # an answer that never ends is no answer
_TRIES: Final = 3  # of a page that was cut short


class AwsKeys:
    """Keys from ListPublicKeys, asked for once a region for the whole window, widened."""

    def __init__(self, aws: Aws, window: Interval, now: datetime) -> None:
        self._aws = aws
        self._start = window.start - WIDEN if window.start - EPOCH > WIDEN else EPOCH
        self._end = min(window.end + WIDEN, max(now, window.start))

    def region(self, region: str) -> RegionKeys:
        """Return CloudTrail's own answer for a region. One that the caller has not enabled answers with an error."""
        try:
            keys = self.ask(region)
        except ConfigurationError as error:  # no region's name: somebody else than CloudTrail made that folder
            return RegionKeys(detail=f"cloudtrail:ListPublicKeys in {region}: {error}")
        except StoreError as error:
            return RegionKeys(cause=error.cause, detail=f"cloudtrail:ListPublicKeys in {region}: {error.detail}")
        asked = now_utc().replace(microsecond=0)
        return RegionKeys(index_keys(replace(key, asked=asked) for key in keys), issuer=True)

    def ask(self, region: str) -> list[PublicKey]:
        """Return the keys that CloudTrail has in a region. Raises `StoreError` and `ConfigurationError`."""
        client = self._aws.client("cloudtrail", region)
        try:
            return list_public_keys(client, region, self._start, self._end)
        except ANY_ERROR as error:
            failure = from_botocore(error)
            if not isinstance(failure, StoreError):
                raise StoreError(Cause.NETWORK, str(failure)) from error
            if diagnose(failure.code, failure.detail) is Trouble.INVALID and self._aws.caller_arn() is not None:
                # A region that is not enabled knows no credentials at all; those that STS knows are not to blame.
                detail = f"the region is not enabled for the account ({failure.detail})"
                raise StoreError(failure.cause, detail, code="OptInRequired") from error
            raise failure from error


def list_public_keys(client: Any, region: str, start: datetime, end: datetime) -> list[PublicKey]:
    """Return all pages of ListPublicKeys. Raises botocore's exceptions."""
    keys: list[PublicKey] = []
    token: str | None = None
    seen: set[str] = set()
    for _ in range(_MAX_PAGES):
        ask = partial(client.list_public_keys, StartTime=start, EndTime=end, **({"NextToken": token} if token else {}))
        listed, token = _insist(ask, region)
        keys += listed
        if not token or token in seen:
            break
        seen.add(token)
    return keys


def _insist(ask: Callable[[], Any], region: str) -> tuple[list[PublicKey], str | None]:
    """Return one page. What is cut short is asked for again: botocore takes it for an answer, and a lost key for none."""
    for _ in range(_TRIES - 1):
        with suppress(*MALFORMED):
            return _page(ask(), region)
    try:
        return _page(ask(), region)
    except MALFORMED as error:
        raise ResponseParserError(f"this is no answer of CloudTrail: {error!r}") from error


def _der(value: object) -> bytes:
    """Return a key's bytes. Raises TypeError for anything else: `bytes(2**40)` would be a terabyte of zeros."""
    if not isinstance(value, bytes):
        raise TypeError(f"Value is {type(value).__name__}, not bytes")
    return value


def _page(page: Mapping[str, Any], region: str) -> tuple[list[PublicKey], str | None]:
    keys = [
        PublicKey(
            str(item["Fingerprint"]).lower(),
            _der(item["Value"]),
            utc(item["ValidityStartTime"]),
            utc(item["ValidityEndTime"]),
            region,
            "aws",
        )
        for item in page["PublicKeyList"]
    ]
    return keys, page.get("NextToken")
