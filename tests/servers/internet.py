"""AWS by its host names: a proxy that opens TLS, as a company's does, and answers in the place of every host.

A client that is given `Internet.env` reaches it by HTTP CONNECT. The certificates are of an authority of its own. Requests
for S3, STS, CloudTrail and other APIs go on to moto; what moto lacks is answered here: buckets that lie in one region and
belong to one account, IAM Identity Center's portal, and the sign-in service of `aws login`. Every request is kept in
`visits`, as AWS would see it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.servers import faults
from tests.servers.certificates import Authority
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.servers.hosts import Place, place_of

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

OWNER: Final = "123456789012"  # moto's own account
_SCOPE: Final = re.compile(r"Credential=(?P<key>[^/,]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a bucket lies and whose it is. `tells_region` is false where a redirect says no more than that it is one."""

    region: str
    owner: str = OWNER
    tells_region: bool = True


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as it arrived. `bucket` is that of the host or of the path; header names are in lower case."""

    host: str
    place: Place
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def bucket(self) -> str:
        return self.place.bucket or (self.path.split("/")[1] if self.place.service == "s3" else "")

    @property
    def access_key(self) -> str:
        """Whose signature it bears."""
        scope = _SCOPE.search(self.headers.get("authorization", ""))
        return scope["key"] if scope else ""

    @property
    def signed_for(self) -> str:
        """The region in the scope of its signature."""
        scope = _SCOPE.search(self.headers.get("authorization", ""))
        return scope["region"] if scope else ""

    @property
    def operation(self) -> str:
        """The name of a JSON or query operation."""
        return (
            self.headers.get("x-amz-target", "").rpartition(".")[2]
            or parse_qs(self.body.decode("latin-1")).get("Action", [""])[0]
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Visit], Reply | None]


class Internet:
    """A running proxy. `answers` are asked first, in order; the first that is no None is sent."""

    def __init__(self, aws: AwsServer, folder: Path) -> None:
        self._aws = aws
        self.authority = Authority(folder)
        self.visits: list[Visit] = []
        self.answers: list[Answer] = []
        self.buckets: dict[str, Bucket] = {}
        self.strange: list[str] = []
        """Hosts that were asked for and are not AWS's."""
        self.proxy_password = ""
        """`user:password` that the proxy wants, empty for none."""
        self._server = _Proxy(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The proxy's address, with its password."""
        user = f"{self.proxy_password}@" if self.proxy_password else ""
        return f"http://{user}127.0.0.1:{self._server.server_address[1]}"

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that leads every client here and lets it trust what it finds: credentials, but no region."""
        return {
            "HTTPS_PROXY": self.url,
            "AWS_CA_BUNDLE": str(self.authority.ca_file),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def hosts(self, service: str = "") -> set[str]:
        """The hosts that were visited, all or those of one service."""
        return {visit.host for visit in self.visits if service in ("", visit.place.service)}

    def visited(self, service: str) -> list[Visit]:
        """The requests to one service."""
        return [visit for visit in self.visits if visit.place.service == service]

    def reply(self, visit: Visit) -> Reply:
        """Answer one request."""
        self.visits.append(visit)
        for answer in self.answers:
            made = answer(visit)
            if made is not None:
                return made
        signed = visit.signed_for
        if visit.place.service == "s3":
            refused = self._refuse(visit)
            if refused is not None:
                return refused
        elif signed and signed != visit.place.region and not visit.host.endswith("sts.amazonaws.com"):
            return api_error(403, "InvalidSignatureException", f"Credential should be scoped to {visit.place.region}.")
        return self.forward(visit)

    def _refuse(self, visit: Visit) -> Reply | None:
        """What S3 says where a request comes to the wrong region, or expects the wrong owner."""
        bucket = self.buckets.get(visit.bucket)
        if bucket is None:
            return None
        told = {"x-amz-bucket-region": bucket.region} if bucket.tells_region else {}
        region = f"<Region>{bucket.region}</Region>" if bucket.tells_region else ""
        if visit.place.region != bucket.region:
            return s3_error(visit, 301, "PermanentRedirect", "The bucket must be addressed elsewhere.", region, told)
        if visit.signed_for != bucket.region:
            message = f"The authorization header is malformed; the region '{visit.signed_for}' is wrong."
            return s3_error(visit, 400, "AuthorizationHeaderMalformed", message, region, told)
        expected = visit.headers.get("x-amz-expected-bucket-owner", bucket.owner)
        if expected != bucket.owner:
            return s3_error(visit, 403, "AccessDenied", "Access Denied", "", told)
        return None

    def forward(self, visit: Visit) -> Reply:
        """Let moto answer. It finds buckets in the path, and the region in the signature."""
        address = urlsplit(self._aws.endpoint)
        assert address.hostname is not None
        path = f"/{visit.place.bucket}{visit.path}" if visit.place.bucket else visit.path
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        headers = {name: value for name, value in visit.headers.items() if name not in ("host", "connection")}
        try:
            connection.request(
                visit.method, f"{path}?{visit.query}" if visit.query else path, visit.body or None, headers
            )
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        kept = {k.lower(): v for k, v in answer.getheaders() if k.lower() not in ("connection", "transfer-encoding")}
        bucket = self.buckets.get(visit.bucket) if visit.place.service == "s3" else None
        if bucket is not None and bucket.tells_region:
            kept["x-amz-bucket-region"] = bucket.region
        return Reply(answer.status, body, kept)

    def stop(self) -> None:
        """Stop serving and close every connection."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def s3_error(
    visit: Visit, status: int, code: str, message: str, more: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """An error as S3 words it; without a body for HEAD, as HTTP has it."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>".encode()
    return Reply(
        status, b"" if visit.method == "HEAD" else body, {"content-type": "application/xml", **(headers or {})}
    )


def api_error(status: int, code: str, message: str) -> Reply:
    """An error as JSON services word it."""
    made = faults.api_error(status, code, message)
    return Reply(made.status, made.body, {"content-type": made.content_type, "x-amzn-errortype": code})


def query_error(status: int, code: str, message: str) -> Reply:
    """An error as STS words it."""
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return Reply(status, body.encode(), {"content-type": "text/xml"})


def portal(visit: Visit) -> Reply | None:
    """IAM Identity Center: credentials of a role, for whoever bears the token of the test's login."""
    if visit.place.service != "sso":
        return None
    if visit.headers.get("x-amz-sso_bearer_token") != "token-of-the-login":
        return api_error(401, "UnauthorizedException", "Session token not found or invalid")
    keys = {
        "accessKeyId": "ASIASSOEXAMPLE",
        "secretAccessKey": SECRET_KEY,
        "sessionToken": "sso-session",
        "expiration": int((time.time() + 3600) * 1000),
    }
    return _json({"roleCredentials": keys})


def signin(visit: Visit) -> Reply | None:
    """What `aws login` signs in at: fresh credentials for a refresh token."""
    if visit.place.service != "signin":
        return None
    asked = json.loads(visit.body)
    if asked.get("refreshToken") != "refresh-token-of-the-login" or "dpop" not in visit.headers:
        return Reply(401, b'{"error": "TOKEN_EXPIRED", "message": "The refresh token has expired"}', _REFUSED)
    token = {"accessKeyId": "ASIALOGINEXAMPLE", "secretAccessKey": SECRET_KEY, "sessionToken": "login-session"}
    return _json(
        {
            "accessToken": token,
            "tokenType": "aws_sigv4",
            "expiresIn": 900,
            "refreshToken": "refresh-token-of-the-login",
        }
    )


_REFUSED: Final = {"content-type": "application/json", "x-amzn-errortype": "AccessDeniedException"}


def _json(value: Mapping[str, Any]) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"content-type": "application/json"})


class _Proxy(socketserver.ThreadingTCPServer):
    """Takes connections, each on a thread of its own."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, internet: Internet) -> None:
        self.internet = internet
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Tunnel)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that refuse a certificate leave in the middle."""

    def server_close(self) -> None:
        super().server_close()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Tunnel(socketserver.BaseRequestHandler):
    """One connection: CONNECT, TLS, then requests."""

    server: _Proxy

    def handle(self) -> None:
        head = self._head()
        if head is None:
            return
        method, target = head.split("\r\n", 1)[0].split(" ")[:2]
        internet = self.server.internet
        wanted = internet.proxy_password
        if wanted and f"\r\nproxy-authorization: basic {_basic(wanted)}".lower() not in head.lower():
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host = target.rpartition(":")[0]
        place = place_of(host.lower()) if method == "CONNECT" else None
        if place is None:
            internet.strange.append(target)
            self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contextlib.suppress(ssl.SSLError, OSError):
            tls = internet.authority.context(host.lower()).wrap_socket(self.request, server_side=True)
            with contextlib.closing(tls):
                _Requests(tls, host, place, internet)

    def _head(self) -> str | None:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            piece = self.request.recv(1)
            if not piece:
                return None
            data += piece
        return data.decode("latin-1")


class _Requests(BaseHTTPRequestHandler):
    """The requests that come through one tunnel."""

    protocol_version = "HTTP/1.1"

    def __init__(self, tls: ssl.SSLSocket, host: str, place: Place, internet: Internet) -> None:
        self.host, self.place, self.internet = host, place, internet
        super().__init__(tls, ("127.0.0.1", 0), None)  # type: ignore[arg-type]  # the server is not asked for anything

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        visit = Visit(self.host, self.place, self.command, url.path, url.query, headers, body)
        reply = self.internet.reply(visit)
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            if not (name == "content-length" and self.command != "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD" or "content-length" not in reply.headers:
            self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  # http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
        """Say nothing: standard error belongs to the tests."""


def _basic(password: str) -> str:
    import base64

    return base64.b64encode(password.encode()).decode()


@contextlib.contextmanager
def internet(aws: AwsServer, folder: Path) -> Iterator[Internet]:
    """Serve, until the block ends."""
    made = Internet(aws, folder)
    try:
        yield made
    finally:
        made.stop()
