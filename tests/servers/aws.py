"""AWS for the tests: moto behind a real HTTP server, with what CloudTrail validation needs and moto lacks.

Added in front of moto: `cloudtrail:ListPublicKeys` (paged), the digest fields of `GetTrailStatus`, the
`trailNameList` of `DescribeTrails`, other regions' trails in `ListTrails`, `account:ListRegions` and an
`ec2:DescribeRegions` that agrees with it, `kms:Sign` of a digest, regions that are not enabled, and denied actions. moto
does not check signatures: rclone does.

moto keeps its state in the process: two servers in one process share buckets and trails, but not what is added here.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, overload

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Request, Response

from tests.servers import aws_extra
from tests.servers.aws_calls import Answer, Call, denied, error, identify, region_disabled
from tests.servers.aws_extra import AwsState
from tests.servers.clients import REGION, environment, make_client

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from mypy_boto3_cloudtrail import CloudTrailClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient


AMENDED = ("cloudtrail:GetTrailStatus", "cloudtrail:DescribeTrails", "cloudtrail:ListTrails")


@dataclass(slots=True, kw_only=True)
class AwsServer(AwsState):
    """A running server: where it is, and what a test sets and reads (see `AwsState`). The account is 123456789012."""

    endpoint: str
    env: Mapping[str, str]

    @overload
    def client(self, service: Literal["s3"], region: str = ..., *, endpoint: str = ...) -> S3Client: ...
    @overload
    def client(self, service: Literal["cloudtrail"], region: str = ..., *, endpoint: str = ...) -> CloudTrailClient: ...
    @overload
    def client(self, service: Literal["sts"], region: str = ..., *, endpoint: str = ...) -> STSClient: ...
    @overload
    def client(self, service: str, region: str = ..., *, endpoint: str = ...) -> Any: ...
    def client(self, service: str, region: str = REGION, *, endpoint: str = "") -> Any:
        """A boto3 client that asks once; another `endpoint` to go through a proxy."""
        return make_client(service, endpoint or self.endpoint, region=region)

    def reset(self) -> None:
        """Forget every bucket, trail, key and setting."""
        if self.asked:  # moto's part takes 0.06 s, and who asked nothing left nothing
            moto_api_backend.reset()
        fresh = AwsState()
        for part in fields(AwsState):
            setattr(self, part.name, getattr(fresh, part.name))


class _Application:
    """The WSGI application: answers what moto cannot, passes the rest on to moto."""

    def __init__(self) -> None:
        self.state = AwsState()
        self._lock = threading.Lock()
        self._moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        body: bytes = environ["wsgi.input"].getvalue()
        query = request.query_string.decode("latin-1")
        call = identify(request.method, request.path, query, dict(request.headers), body)
        with self._lock:
            self.state.calls[call.permission, call.region] += 1
            self.state.asked = True
        answer = self._answer(call, body)
        if answer is not None:
            return _response(answer)(environ, start_response)
        try:
            if call.permission in AMENDED:
                return self._amend(call, body, environ)(environ, start_response)
            return self._moto(environ, start_response)
        except NotImplementedError as unknown:
            return _response(error(call, 501, "NotImplemented", str(unknown)))(environ, start_response)
        except Exception as failure:  # told to the client, where the test sees it, instead of a log
            text = f"moto failed: {type(failure).__name__}: {failure}"
            return _response(error(call, 500, "InternalFailure", text))(environ, start_response)

    def _answer(self, call: Call, body: bytes) -> Answer | None:  # noqa: PLR0911  # one a special case
        """The answer to what moto is not asked."""
        if call.permission in self.state.denied:
            return denied(call)
        if call.service != "s3" and call.region not in self.state.enabled_regions:
            return region_disabled(call)
        if call.permission in self.state.raw:
            return Answer(200, self.state.raw[call.permission], aws_extra.JSON_TYPE)
        if call.permission == "ec2:DescribeRegions":
            return aws_extra.describe_regions(self.state, call)
        if call.permission == "cloudtrail:GetEventSelectors" and self.state.selectors is not None:
            return aws_extra.json_answer(self.state.selectors)
        if call.permission == "kms:Sign":
            return aws_extra.kms_sign(call, json.loads(body or b"{}"))
        answer = aws_extra.ANSWERS.get(call.permission)
        return answer(self.state, call, json.loads(body or b"{}")) if answer else None

    def _amend(self, call: Call, body: bytes, environ: WSGIEnvironment) -> Response:
        """moto's answer with what it leaves out."""
        response = Response.from_app(self._moto, environ, buffered=True)
        if response.status_code == 200:
            asked, answered = json.loads(body or b"{}"), json.loads(response.get_data())
            if call.action == "GetTrailStatus":
                amended = aws_extra.trail_status(self.state, call, asked, answered)
            elif call.action == "ListTrails":
                amended = aws_extra.listed_trails()
            else:
                amended = aws_extra.described_trails(asked, answered, self.state.event_log_group)
            response.set_data(json.dumps(amended))
        return response


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, content_type=answer.content_type)
    if answer.error_type:
        response.headers["x-amzn-ErrorType"] = answer.error_type
    return response


class _Handler(MotoRequestHandler):
    """werkzeug's handler, except that it keeps connections open, which werkzeug never does.

    For that the request's body must be read to its end whatever becomes of it, so the application finds it in memory.
    """

    protocol_version = "HTTP/1.1"
    # Head and body are two writes: with Nagle's algorithm the second would wait for the client's delayed ACK, 40 ms.
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        chunked = environ.get("wsgi.input_terminated", False)
        stream = environ["wsgi.input"]
        environ["wsgi.input"] = io.BytesIO(stream.read() if chunked else stream.read(self._content_length()))
        response = Response.from_app(self.server.app, environ, buffered=True)
        body = response.get_data()
        if response.status_code < 200 or response.status_code in (204, 304):
            body = b""
            response.headers.pop("Content-Length", None)
        elif self.command != "HEAD":  # where the header is the length of what GET would answer
            response.headers["Content-Length"] = str(len(body))
        self.send_response_only(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if "Date" not in response.headers:
            self.send_header("Date", self.date_time_string())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _content_length(self) -> int:
        return int(self.headers.get("Content-Length") or 0)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  # werkzeug's name
        """Say nothing: standard error belongs to the tests."""


class _Server(ThreadedWSGIServer):
    """werkzeug's threaded server, which can also close the connections that clients hold."""

    def __init__(self, app: WSGIApplication) -> None:
        self._open: set[socket.socket] = set()
        super().__init__("127.0.0.1", 0, app, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def moto_aws() -> Iterator[AwsServer]:
    """Serve S3, STS, CloudTrail, Organizations, EC2, Account and whatever else moto knows, in a thread."""
    app = _Application()
    server = _Server(app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="moto", daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        app.state = aws = AwsServer(endpoint=endpoint, env=environment(endpoint))
        yield aws
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        moto_api_backend.reset()
