"""One HTTP GET: where it goes, how it is signed, what came back. Values, and the record that `connections` keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec


class Broken(Enum):
    """Names where a transfer broke off. Values are the names of botocore's exceptions, which `core.trouble` knows."""

    CERTIFICATE = "SSLError"
    PROXY = "ProxyConnectionError"
    UNREACHABLE = "EndpointConnectionError"
    TOO_LONG = "too long"  # more bytes than `Transfer.limit`
    OTHERWISE = ""


class TransferError(Exception):
    """No whole answer came."""

    def __init__(self, detail: str, where: Broken = Broken.OTHERWISE) -> None:
        super().__init__(detail)
        self.detail = detail
        self.where = where


class Signature(msgspec.Struct, frozen=True):
    """Holds what libcurl signs with (AWS Signature Version 4 for S3): the region and the two halves of an access key."""

    region: str
    access_key: str
    secret_key: str


class Route(msgspec.Struct, frozen=True):
    """All that requests to one place have in common. Requests with the same route object share one set-up.

    `proxy` is a URL, empty for none; `ca_file` a PEM file; `headers` whole lines, signed where there is a signature;
    `agent` is the User-Agent, which is not, since what stands between may change it. `verbatim` sends the path as it is, dot
    segments and all, which libcurl refuses to sign.
    """

    ca_file: str
    proxy: str = ""
    agent: str = ""
    headers: tuple[str, ...] = ()
    signature: Signature | None = None
    verbatim: bool = False


class Way(msgspec.Struct, frozen=True):
    """Holds the way to one bucket.

    `url` is where its keys begin, without a slash, `root` where it is listed. With `own` libcurl signs (or nobody does,
    where `route` has no signature); else boto3 must sign each request. `since` is when the credentials were looked at
    (monotonic seconds).
    """

    bucket: str
    url: str
    root: str
    route: Route
    own: bool
    since: float


class Answer(msgspec.Struct, frozen=True):
    """Status, header lines of the answer itself (none of a proxy's, nor of a 100 before it) and body.

    The body is empty where it was handed on in pieces; `size` is its length either way, in bytes.
    """

    status: int
    lines: tuple[bytes, ...]
    body: bytes
    size: int

    def header(self, name: bytes) -> str | None:
        """Return the first value of a header, by its lower-case name."""
        start = len(name)
        for line in self.lines:
            # The colon first: it is seldom there, and costs less to look for.
            if line[start : start + 1] == b":" and line[:start].lower() == name:
                return line[start + 1 :].strip().decode("utf-8", "replace")
        return None


Outcome = Answer | TransferError


class Transfer:
    """One request on its way. `done` and `piece` are called on the event loop, all else belongs to `connections`.

    `piece` takes what comes with status 200 while it comes; None gathers the whole body. `progress` counts bytes of
    headers and body, `moved` and `begun` are the times of its last change and of the start.
    """

    __slots__ = (
        "begun",
        "body",
        "curl",
        "done",
        "held",
        "limit",
        "lines",
        "moved",
        "paused",
        "piece",
        "progress",
        "route",
        "untaken",
        "url",
    )

    def __init__(
        self,
        route: Route,
        url: str,
        limit: int,
        done: Callable[[Outcome], object],
        piece: Callable[[bytes], object] | None = None,
    ) -> None:
        self.route = route
        self.url = url
        self.limit = limit
        self.done = done
        self.piece = piece
        self.curl: Any = None
        self.lines: list[bytes] = []
        self.body: list[bytes] = []
        self.held = 0  # bytes in `body` of a transfer in pieces
        self.untaken = 0  # pieces that were handed on and are not dealt with yet
        self.paused = False
        self.begun = self.moved = 0.0
        self.progress = 0
