"""Which AWS action a request is, and how each service words a refusal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, assert_never
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLER_ARN: Final = "arn:aws:iam::123456789012:user/auditor"
REQUEST_ID: Final = "EXAMPLE123456789"
_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")

# Query parameters that make another action of a request for a bucket. Source: Service Authorization Reference, S3.
_BUCKET_READS: Mapping[str, str] = MappingProxyType(
    {
        "versions": "ListBucketVersions",
        "uploads": "ListBucketMultipartUploads",
        "location": "GetBucketLocation",
        "versioning": "GetBucketVersioning",
        "policy": "GetBucketPolicy",
        "policyStatus": "GetBucketPolicyStatus",
        "acl": "GetBucketAcl",
        "encryption": "GetEncryptionConfiguration",
        "object-lock": "GetBucketObjectLockConfiguration",
        "publicAccessBlock": "GetBucketPublicAccessBlock",
        "lifecycle": "GetLifecycleConfiguration",
        "logging": "GetBucketLogging",
        "notification": "GetBucketNotification",
        "tagging": "GetBucketTagging",
    }
)


class Protocol(StrEnum):
    """How a service is spoken to, as far as errors differ."""

    S3 = "rest-xml"
    EC2 = "ec2"
    QUERY = "query"
    JSON = "json"
    REST_JSON = "rest-json"


@dataclass(frozen=True, slots=True)
class Call:
    """A request to AWS: signing name of the service, region of the signature, name of the IAM action.

    For S3 the action is the permission that is needed (`ListBucket` for ListObjectsV2), elsewhere the operation.
    """

    protocol: Protocol
    service: str
    region: str
    action: str
    parameters: Mapping[str, str]

    @property
    def permission(self) -> str:
        """The action as a policy names it, such as `s3:ListBucket`."""
        return f"{self.service}:{self.action}"


def identify(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Call:
    """Tell the call from the request. `path` is percent-decoded, `body` is looked at for query services only.

    A request without a SigV4 header is one to S3 in us-east-1, as for moto. Pure; an operation that cannot be told is
    an empty action.
    """
    scope = _SCOPE.search(headers.get("Authorization", ""))
    service, region = (scope["service"], scope["region"]) if scope else ("s3", "us-east-1")
    if service == "s3":
        parameters = _flatten(parse_qs(query, keep_blank_values=True))
        return Call(Protocol.S3, service, region, _s3_action(method, path, parameters), parameters)
    if service == "monitoring":  # the name that CloudWatch signs with; policies call it cloudwatch
        operation = path.rpartition("/")[2] or headers.get("X-Amz-Target", "").rpartition(".")[2]
        return Call(Protocol.JSON, "cloudwatch", region, operation, {})
    if target := headers.get("X-Amz-Target"):
        return Call(Protocol.JSON, service, region, target.rpartition(".")[2], {})
    if service == "securityhub":
        action = {"/findings/import": "BatchImportFindings", "/findings": "GetFindings"}.get(path, "")
        return Call(Protocol.REST_JSON, service, region, action, {})
    if service == "account":
        name = path.strip("/")
        return Call(Protocol.REST_JSON, service, region, name[:1].upper() + name[1:], {})
    parameters = _flatten(parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True))
    protocol = Protocol.EC2 if service == "ec2" else Protocol.QUERY
    return Call(protocol, service, region, parameters.get("Action", ""), parameters)


def _flatten(parsed: Mapping[str, list[str]]) -> Mapping[str, str]:
    return {name: values[-1] for name, values in parsed.items()}


def _s3_action(method: str, path: str, parameters: Mapping[str, str]) -> str:
    bucket, _, key = path.removeprefix("/").partition("/")
    if not bucket:
        return "ListAllMyBuckets"
    if key:
        return _object_action(method, parameters)
    if method in ("GET", "HEAD"):
        return next((action for name, action in _BUCKET_READS.items() if name in parameters), "ListBucket")
    if method == "POST":
        return "DeleteObject" if "delete" in parameters else "PutObject"
    if method == "DELETE":
        return "DeleteBucket"
    reads = [action for name, action in _BUCKET_READS.items() if name in parameters]
    return reads[0].replace("Get", "Put", 1) if reads else "CreateBucket"


def _object_action(method: str, parameters: Mapping[str, str]) -> str:
    version = "Version" if "versionId" in parameters else ""
    if method in ("GET", "HEAD"):
        part = next((name for name in ("tagging", "acl", "retention") if name in parameters), "")
        return f"GetObject{version}{part.capitalize()}"
    return f"DeleteObject{version}" if method == "DELETE" else "PutObject"


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send instead of moto's answer."""

    status: int
    body: bytes
    content_type: str
    error_type: str = ""  # the x-amzn-ErrorType header, by which REST services name an error


def error(call: Call, status: int, code: str, message: str) -> Answer:
    """An error in the protocol of the call's service."""
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    match call.protocol:
        case Protocol.JSON:
            body = json.dumps({"__type": code, "message": message}).encode()
            return Answer(status, body, "application/x-amz-json-1.1")
        case Protocol.REST_JSON:
            return Answer(status, json.dumps({"message": message}).encode(), "application/json", code)
        case Protocol.S3:
            text = f"<Error>{inner}<RequestId>{REQUEST_ID}</RequestId><HostId>{REQUEST_ID}</HostId></Error>"
        case Protocol.EC2:
            text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
        case Protocol.QUERY:
            text = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>{REQUEST_ID}</RequestId>"
            text += "</ErrorResponse>"
        case _:
            assert_never(call.protocol)
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), "text/xml")


def denied(call: Call) -> Answer:
    """What IAM says where no policy allows the call."""
    message = (
        f"User: {CALLER_ARN} is not authorized to perform: {call.permission}"
        f" because no identity-based policy allows the {call.permission} action"
    )
    match call.protocol:
        case Protocol.EC2:
            return error(call, 403, "UnauthorizedOperation", f"You are not authorized: {message}")
        case Protocol.JSON:
            return error(call, 400, "AccessDeniedException", message)
        case Protocol.REST_JSON:
            return error(call, 403, "AccessDeniedException", message)
        case Protocol.QUERY | Protocol.S3:
            return error(call, 403, "AccessDenied", message)
        case _:
            assert_never(call.protocol)


def region_disabled(call: Call) -> Answer:
    """What a service says in a region that the account has not enabled: it does not know the credentials there."""
    message = "The security token included in the request is invalid."
    match call.protocol:
        case Protocol.EC2:
            return error(call, 401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        case Protocol.JSON | Protocol.REST_JSON:
            return error(call, 400, "UnrecognizedClientException", message)
        case Protocol.QUERY | Protocol.S3:
            return error(call, 403, "InvalidClientTokenId", message)
        case _:
            assert_never(call.protocol)
