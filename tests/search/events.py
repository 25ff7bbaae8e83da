"""Events as CloudTrail writes them, for the tests of the search."""

from __future__ import annotations

import json
from typing import Any

BASE: dict[str, Any] = {
    "eventVersion": "1.11",
    "userIdentity": {
        "type": "AssumedRole",
        "principalId": "AROA123456789EXAMPLE:alice",
        "arn": "arn:aws:sts::111122223333:assumed-role/Deployment/alice",
        "accountId": "111122223333",
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROA123456789EXAMPLE",
                "arn": "arn:aws:iam::111122223333:role/Deployment",
                "accountId": "111122223333",
                "userName": "Deployment",
            },
            "attributes": {"creationDate": "2026-01-01T00:00:00Z", "mfaAuthenticated": "false"},
        },
    },
    "eventTime": "2026-01-01T00:17:01Z",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "StopInstances",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "203.0.113.28",
    "userAgent": "aws-cli/2.22.12",
    "requestParameters": {"instancesSet": {"items": [{"instanceId": "i-0123456789abcdef0"}]}},
    "responseElements": None,
    "requestID": "c409fe48-1450-4ac5-a707-10cf66774c2f",
    "eventID": "6a7d5a79-388e-431d-afe4-bb07d39b3b1a",
    "readOnly": False,
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "recipientAccountId": "111122223333",
}
ROOT: dict[str, Any] = {"type": "Root", "arn": "arn:aws:iam::111122223333:root", "principalId": "111122223333"}
USER: dict[str, Any] = {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ops/bob", "userName": "bob"}


def event(**fields: Any) -> dict[str, Any]:
    """An event with some fields of its own; None as a value stays null, `...` leaves the field out."""
    return {name: value for name, value in (BASE | fields).items() if value is not ...}


def raw(**fields: Any) -> bytes:
    """The same as JSON."""
    return json.dumps(event(**fields), separators=(",", ":")).encode()


def log(*events: dict[str, Any]) -> bytes:
    """A log of events, inflated."""
    return json.dumps({"Records": events}, separators=(",", ":")).encode()


def escaped(data: bytes, every: int) -> bytes:
    r"""JSON with every so manieth letter or digit that stands in a string written as \u0041."""
    out, inside, number, skip = bytearray(), False, 0, False
    for byte in data:
        char = bytes([byte])
        if char == b'"' and not skip:
            inside = not inside
        if inside and not skip and char.isalnum():
            number += 1
            if number % every == 0:
                out += b"\\u%04x" % byte
                continue
        skip = inside and char == b"\\" and not skip
        out += char
    return bytes(out)
