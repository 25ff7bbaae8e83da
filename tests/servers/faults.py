"""What a `FaultProxy` can do to a request, and to which."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

CALLER_ARN: Final = "arn:aws:sts::111122223333:assumed-role/auditor/session"
KMS_KEY_ARN: Final = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
REQUEST_ID: Final = "EXAMPLE123456789"
_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer with `status`, `body` and further `headers` in the server's place; the server never sees the request."""

    status: int
    body: bytes
    content_type: str = "application/xml"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Emptied:
    """Answer a listing with one of that bucket and prefix that shows nothing; anything else is relayed."""

    @staticmethod
    def answer(seen: Seen) -> Respond | None:
        """The answer to a listing, None for another request."""
        query = parse_qs(seen.query)
        if "list-type" not in query:
            return None
        fields = {
            "Name": seen.path.strip("/"),
            "Prefix": query.get("prefix", [""])[0],
            "KeyCount": "0",
            "MaxKeys": "1000",
            "IsTruncated": "false",
        }
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        return Respond(200, f"{_XML}<ListBucketResult {space}>{inner}</ListBucketResult>".encode())


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (RST) before any answer."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """Relay the head unchanged (with its Content-Length) and `after` bytes of the body, then close the connection."""

    after: int


@dataclass(frozen=True, slots=True)
class Behead:
    """Relay `after` bytes of the head, then close the connection."""

    after: int


@dataclass(frozen=True, slots=True)
class Mend:
    """Relay `after` bytes of the body and a head whose Content-Length says that this is all."""

    after: int


@dataclass(frozen=True, slots=True)
class ResetLater:
    """Relay the head unchanged and `after` bytes of the body, then reset the connection (RST)."""

    after: int


@dataclass(frozen=True, slots=True)
class Dribble:
    """Relay `after` bytes of the body at once, the rest in pieces of `piece` bytes with `delay` seconds before each."""

    after: int
    delay: float
    piece: int = 1


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer; hold the connection until the client leaves or the proxy stops."""


Action = Respond | Emptied | Reset | Truncate | Behead | Mend | ResetLater | Dribble | Hang


def s3_error(status: int, code: str, message: str, **more: str) -> Respond:
    """An error as S3 words it; `more` are further elements, such as StorageClass."""
    fields = {"Code": code, "Message": message, **more, "RequestId": REQUEST_ID, "HostId": REQUEST_ID}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return Respond(status, f"{_XML}<Error>{inner}</Error>".encode())


def api_error(status: int, code: str, message: str) -> Respond:
    """An error as the JSON services word it (CloudTrail, Organizations)."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return Respond(status, body, "application/x-amz-json-1.1")


def slow_down() -> Respond:
    """503: S3 throttles."""
    return s3_error(503, "SlowDown", "Please reduce your request rate.")


def internal_error() -> Respond:
    """500: S3 failed."""
    return s3_error(500, "InternalError", "We encountered an internal error. Please try again.")


def access_denied() -> Respond:
    """403 without a reason, as S3 answers where the caller may not know more."""
    return s3_error(403, "AccessDenied", "Access Denied")


def kms_denied() -> Respond:
    """403 because the caller may read the object but not use the key that encrypts it."""
    action = "kms:Decrypt"
    return s3_error(
        403,
        "AccessDenied",
        f"User: {CALLER_ARN} is not authorized to perform: {action} on resource: {KMS_KEY_ARN}"
        f" because no identity-based policy allows the {action} action",
    )


def archived(storage_class: str = "GLACIER") -> Respond:
    """403: the object lies in an archive and must be restored first."""
    message = "The operation is not valid for the object's storage class"
    return s3_error(403, "InvalidObjectState", message, StorageClass=storage_class)


def expired_token() -> Respond:
    """400: the session's credentials have run out."""
    return s3_error(400, "ExpiredToken", "The provided token has expired.")


def no_such_key() -> Respond:
    """404: the object is not there."""
    return s3_error(404, "NoSuchKey", "The specified key does not exist.")


def throttling() -> Respond:
    """400: CloudTrail throttles (its limit is two requests a second)."""
    return api_error(400, "ThrottlingException", "Rate exceeded")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that reached the proxy. `path` and `query` are percent-decoded.

    `operation` is the API operation's name for the JSON services (the last part of X-Amz-Target), else empty.
    """

    method: str
    path: str
    query: str
    operation: str


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests are meant: every part that is given must fit; patterns are searched for, not anchored."""

    method: str | None = None
    path: str = ""
    query: str = ""
    operation: str = ""

    def __call__(self, seen: Seen) -> bool:
        return (
            self.method in (None, seen.method)
            and re.search(self.path, seen.path) is not None
            and re.search(self.query, seen.query) is not None
            and re.search(self.operation, seen.operation) is not None
        )


@dataclass(slots=True)
class Rule:
    """An action for the requests that match, or for some of them.

    `nth` is the one hit that fires (from 1), `first` the number of hits that fire, `probability` the share; without any
    of them every hit fires. With `per_path` each path has its own count of hits. The draw of `probability` depends on
    `seed`, the path and its number of hits only, so the order in which concurrent requests arrive changes nothing.
    """

    action: Action
    match: Match
    nth: int | None = None
    first: int | None = None
    probability: float | None = None
    per_path: bool = False
    seed: int = 0
    hits: int = 0
    fired: int = 0
    _by_path: Counter[str] = field(default_factory=Counter)

    def fires(self, seen: Seen) -> bool:
        """Count the request if it matches, and say whether the action is to be done to it."""
        if not self.match(seen):
            return False
        self.hits += 1
        self._by_path[seen.path] += 1
        of_path = self._by_path[seen.path]
        number = of_path if self.per_path else self.hits
        fires = (
            (self.nth is None or number == self.nth)
            and (self.first is None or number <= self.first)
            and (self.probability is None or self._draw(seen.path, of_path) < self.probability)
        )
        self.fired += fires
        return fires

    def _draw(self, path: str, number: int) -> float:
        return random.Random(f"{self.seed}\0{path}\0{number}").random()
