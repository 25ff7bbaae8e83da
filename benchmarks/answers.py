"""What the responder answers: S3 listings as XML, and the few calls of CloudTrail and STS that validators make.

Sources: Amazon S3 API Reference (ListObjectsV2, ListObjects, GetBucketLocation), AWS CloudTrail API Reference, AWS STS
API Reference. Whatever else is asked is denied, which validators must bear anyway.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape

from benchmarks.plan import BUCKET, OWNER, TRAIL, Plan
from benchmarks.stored import Entry, Objects

PAGE: Final = 1000  # S3's own maximum of a listing
_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_S3: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
LOCATION: Final = f"{_XML}<LocationConstraint {_S3}/>".encode()


class Answer(NamedTuple):
    """Status, content type and body."""

    status: int
    content_type: str
    body: bytes


def s3_error(status: int, code: str) -> Answer:
    """An error as S3 words it."""
    return Answer(
        status, "application/xml", f"{_XML}<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    )


def listing(objects: Objects, query: Mapping[str, str]) -> Answer:
    """ListObjectsV2, or ListObjects where `list-type` is not 2. The delimiter is one character or none."""
    second = query.get("list-type") == "2"
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = query.get("start-after" if second else "marker", "")
    start = query.get("continuation-token", after and after + "\0")
    if delimiter and after.endswith(delimiter):
        start = _behind(after)  # a folder that an earlier page ended with
    limit = min(PAGE, int(query.get("max-keys", PAGE)))
    items, following = _collect(objects, prefix, delimiter, max(prefix, start), limit)
    parts = [f"{_XML}<ListBucketResult {_S3}><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix>"]
    parts.append(f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(following is not None).lower()}</IsTruncated>")
    parts.append(f"<KeyCount>{len(items)}</KeyCount>" if second else f"<Marker>{escape(after)}</Marker>")
    encoded = query.get("encoding-type") == "url"
    if encoded:
        parts.append("<EncodingType>url</EncodingType>")
    shown = (lambda text: quote(text, safe="/")) if encoded else escape
    if following is not None and items:
        last = items[-1] if isinstance(items[-1], str) else items[-1].key
        token = f"<NextContinuationToken>{escape(following)}</NextContinuationToken>"
        parts.append(token if second else f"<NextMarker>{shown(last)}</NextMarker>")
    for item in items:
        if isinstance(item, str):
            parts.append(f"<CommonPrefixes><Prefix>{shown(item)}</Prefix></CommonPrefixes>")
        else:
            parts.append(
                f"<Contents><Key>{shown(item.key)}</Key><LastModified>{_moment(item.modified)}</LastModified>"
                f'<ETag>"{item.modified:x}"</ETag><Size>{item.size}</Size><StorageClass>STANDARD</StorageClass></Contents>'
            )
    parts.append("</ListBucketResult>")
    return Answer(200, "application/xml", "".join(parts).encode())


def _collect(
    objects: Objects, prefix: str, delimiter: str, start: str, limit: int
) -> tuple[list[Entry | str], str | None]:
    """One page of objects and folders (as strings), and where the next one starts."""
    items: list[Entry | str] = []
    while True:
        for entry in objects.entries(start):
            if not entry.key.startswith(prefix):
                return items, None
            if len(items) == limit:
                return items, entry.key
            cut = entry.key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                folder = entry.key[: cut + 1]
                items.append(folder)
                start = _behind(folder)
                break
            items.append(entry)
        else:
            return items, None


def _behind(folder: str) -> str:
    """The first key that sorts after everything in a folder."""
    return folder[:-1] + chr(ord(folder[-1]) + 1)


@lru_cache(maxsize=4096)
def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def aws_call(objects: Objects, plan: Plan, target: str, body: bytes, region: str) -> Answer:
    """A call that is not to S3: `target` is X-Amz-Target, empty for services that are spoken to in forms."""
    operation = target.rpartition(".")[2]
    if not operation:
        operation = parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        return _identity() if operation == "GetCallerIdentity" else _denied_form(operation)
    answer: dict[str, Any]
    if "CloudTrail" not in target:
        return _denied(operation)
    match operation:
        case "ListPublicKeys":
            answer = {"PublicKeyList": _keys(objects, region)}
        case "DescribeTrails":
            answer = {"trailList": [_trail(plan)]}
        case "GetTrail":
            answer = {"Trail": _trail(plan)}
        case "GetTrailStatus":
            answer = {"IsLogging": True, "LatestDigestDeliveryTime": plan.end.timestamp() + 1800}
        case _:
            return _denied(operation)
    return Answer(200, "application/x-amz-json-1.1", json.dumps(answer).encode())


def _trail(plan: Plan) -> dict[str, Any]:
    return {
        "Name": TRAIL,
        "S3BucketName": BUCKET,
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": plan.regions > 1,
        "HomeRegion": plan.home_region,
        "TrailARN": plan.trail_arn,
        "LogFileValidationEnabled": True,
        "IsOrganizationTrail": plan.organization is not None,
    }


def _keys(objects: Objects, region: str) -> list[dict[str, Any]]:
    return [
        {
            "Value": base64.b64encode(key.der).decode(),
            "Fingerprint": key.fingerprint,
            "ValidityStartTime": key.start.timestamp(),
            "ValidityEndTime": key.end.timestamp(),
        }
        for key in objects.keys(region)
    ]


def _identity() -> Answer:
    arn = f"arn:aws:iam::{OWNER}:user/auditor"
    text = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{arn}</Arn><UserId>AIDACKCEVSQ6C2EXAMPLE</UserId><Account>{OWNER}</Account></GetCallerIdentityResult>"
        "<ResponseMetadata><RequestId>EXAMPLE</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
    return Answer(200, "text/xml", text.encode())


def _denied(operation: str) -> Answer:
    text = {"__type": "AccessDeniedException", "message": f"not allowed: {operation}"}
    return Answer(400, "application/x-amz-json-1.1", json.dumps(text).encode())


def _denied_form(operation: str) -> Answer:
    error = f"<Error><Code>UnauthorizedOperation</Code><Message>not allowed: {escape(operation)}</Message></Error>"
    return Answer(403, "text/xml", f"{_XML}<Response><Errors>{error}</Errors></Response>".encode())
