"""The proxy relays what it should leave alone, and does to the rest what it is told."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.servers import faults
from tests.servers.clients import ACCESS_KEY
from tests.servers.proxy import FaultProxy
from tests.servers.raw import BODY, BUCKET, KEY, Raw, error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.aws import AwsServer
    from tests.servers.rclone import RcloneServer


@pytest.fixture
def proxy(bucket: RcloneServer, fault_proxy: Callable[[str], FaultProxy]) -> FaultProxy:
    """A proxy in front of rclone with one object."""
    return fault_proxy(bucket.endpoint)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[str]:
    """A web server without signatures, for raw clients: the object is `/object`."""
    (tmp_path / "object").write_bytes(BODY)
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()  # "Serving HTTP on 127.0.0.1 port 12345 (http://127.0.0.1:12345/) ..."
        yield line.partition("(")[2].partition("/)")[0]
        process.terminate()


@pytest.fixture
def raw_proxy(plain: str, fault_proxy: Callable[[str], FaultProxy]) -> FaultProxy:
    """A proxy in front of a server without signatures."""
    return fault_proxy(plain)


def test_signatures_verify_through_the_proxy(bucket: RcloneServer, proxy: FaultProxy) -> None:
    s3 = bucket.client(endpoint=proxy.endpoint)
    assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == BODY
    assert s3.head_object(Bucket=BUCKET, Key=KEY)["ContentLength"] == len(BODY)
    s3.put_object(Bucket=BUCKET, Key="up", Body=BODY * 100)
    assert (bucket.root / BUCKET / "up").read_bytes() == BODY * 100
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET, Prefix="AWSLogs/")["Contents"]] == [KEY]
    with pytest.raises(ClientError) as caught:
        bucket.client(endpoint=proxy.endpoint, secret_key="wrong").get_object(Bucket=BUCKET, Key=KEY)
    assert error_of(caught) == (403, "SignatureDoesNotMatch")
    assert proxy.requests["GET", f"/{BUCKET}/{KEY}"] == 2
    assert proxy.requests["HEAD", f"/{BUCKET}/{KEY}"] == 1
    assert proxy.count("GET", query="prefix=AWSLogs/") == 1
    assert proxy.count("PUT") == 1


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (faults.slow_down(), (503, "SlowDown")),
        (faults.internal_error(), (500, "InternalError")),
        (faults.access_denied(), (403, "AccessDenied")),
        (faults.kms_denied(), (403, "AccessDenied")),
        (faults.archived(), (403, "InvalidObjectState")),
        (faults.expired_token(), (400, "ExpiredToken")),
        (faults.no_such_key(), (404, "NoSuchKey")),
    ],
)
def test_answers_in_the_servers_place(
    bucket: RcloneServer, proxy: FaultProxy, action: faults.Respond, expected: tuple[int, str]
) -> None:
    s3 = bucket.client(endpoint=proxy.endpoint)
    rule = proxy.fault(action, method="GET", path=r"a b\+c\.json\.gz$")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=BUCKET, Key=KEY)
    assert error_of(caught) == expected
    assert caught.value.response["Error"]["Message"] in action.body.decode()
    assert s3.head_object(Bucket=BUCKET, Key=KEY)["ContentLength"] == len(BODY)
    assert (rule.hits, rule.fired) == (1, 1)
    assert proxy.max_connections == 1
    with Raw(proxy.endpoint) as raw:
        status, body = raw.ask("GET", "/" + BUCKET + "/" + KEY.replace(" ", "%20"))
        assert (status, body) == (action.status, action.body)


def test_kms_denial_names_the_key_and_archival_the_class() -> None:
    assert b"kms:Decrypt on resource: arn:aws:kms:" in faults.kms_denied().body
    assert b"<StorageClass>DEEP_ARCHIVE</StorageClass>" in faults.archived("DEEP_ARCHIVE").body


def test_api_errors_by_operation(aws: AwsServer, fault_proxy: Callable[[str], FaultProxy]) -> None:
    proxy = fault_proxy(aws.endpoint)
    cloudtrail = aws.client("cloudtrail", endpoint=proxy.endpoint)
    proxy.fault(faults.throttling(), operation="^ListPublicKeys$", first=1)
    with pytest.raises(ClientError) as caught:
        cloudtrail.list_public_keys()
    assert error_of(caught) == (400, "ThrottlingException")
    assert cloudtrail.list_public_keys()["PublicKeyList"] == []
    assert cloudtrail.describe_trails()["trailList"] == []
    assert proxy.count(operation="ListPublicKeys") == 2


def test_head_has_no_body(raw_proxy: FaultProxy) -> None:
    rule = raw_proxy.fault(faults.access_denied(), nth=2)
    with Raw(raw_proxy.endpoint) as raw:
        assert raw.ask("HEAD", "/object") == (200, b"")
        assert raw.ask("HEAD", "/object") == (403, b"")
        assert raw.ask("GET", "/object") == (200, BODY)
    assert (rule.hits, rule.fired) == (3, 1)
    assert raw_proxy.max_connections == 1


def test_reset(raw_proxy: FaultProxy) -> None:
    raw_proxy.fault(faults.Reset())
    with Raw(raw_proxy.endpoint) as raw, pytest.raises(ConnectionResetError):
        raw.ask("GET", "/object")


@pytest.mark.parametrize("after", [0, 1, 5000, len(BODY) - 1])
def test_truncated_body_keeps_its_length(raw_proxy: FaultProxy, after: int) -> None:
    raw_proxy.fault(faults.Truncate(after))
    with Raw(raw_proxy.endpoint) as raw:
        raw.connection.request("GET", "/object")
        response = raw.connection.getresponse()
        assert response.getheader("Content-Length") == str(len(BODY))
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert caught.value.partial == BODY[:after]


def test_slow_body(raw_proxy: FaultProxy) -> None:
    raw_proxy.fault(faults.Dribble(after=len(BODY) - 10, delay=0.01, piece=2))
    began = time.monotonic()  # before the first piece can have come
    with Raw(raw_proxy.endpoint) as raw:
        assert raw.ask("GET", "/object") == (200, BODY)
    assert time.monotonic() - began >= 0.04  # five pauses, each of which a loop may end a little early


def test_hang(raw_proxy: FaultProxy) -> None:
    raw_proxy.fault(faults.Hang(), first=1)
    with Raw(raw_proxy.endpoint, timeout=0.05) as raw, pytest.raises(TimeoutError):
        raw.ask("GET", "/object")
    with Raw(raw_proxy.endpoint) as raw:
        assert raw.ask("GET", "/object") == (200, BODY)


def test_a_hanging_client_does_not_keep_the_proxy_from_stopping(plain: str) -> None:
    with FaultProxy(plain) as proxy:
        proxy.fault(faults.Hang())
        connection = socket.create_connection((urlsplit(proxy.endpoint).hostname, urlsplit(proxy.endpoint).port))
        connection.sendall(b"GET /object HTTP/1.1\r\nHost: x\r\n\r\n")
        while proxy.count() == 0:
            time.sleep(0.005)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    with connection:
        assert connection.recv(1) == b""


def test_latency(raw_proxy: FaultProxy) -> None:
    raw_proxy.latency_ms = 30
    with Raw(raw_proxy.endpoint) as raw:
        began = time.monotonic()
        assert raw.ask("GET", "/object")[0] == 200
        assert time.monotonic() - began >= 0.029  # a timer may end a little early


def test_first_hits_of_each_path(raw_proxy: FaultProxy) -> None:
    raw_proxy.fault(faults.slow_down(), path="^/object", first=1, per_path=True)
    with Raw(raw_proxy.endpoint) as raw:
        statuses = [raw.ask("GET", path)[0] for path in ("/object", "/object2", "/object", "/object2")]
    assert statuses == [503, 503, 200, 404]


def test_probability_is_the_same_for_the_same_seed(raw_proxy: FaultProxy) -> None:
    def draw(seed: int) -> list[int]:
        raw_proxy.clear()
        raw_proxy.fault(faults.slow_down(), probability=0.3, seed=seed)
        with Raw(raw_proxy.endpoint) as raw:
            return [raw.ask("HEAD", "/object")[0] for _ in range(100)]

    once = draw(1)
    assert once == draw(1)
    assert once != draw(2)
    assert 15 <= once.count(503) <= 45


def test_the_first_rule_that_fires_is_the_only_one(raw_proxy: FaultProxy) -> None:
    raw_proxy.fault(faults.slow_down(), first=1)
    second = raw_proxy.fault(faults.access_denied(), first=1)
    with Raw(raw_proxy.endpoint) as raw:
        assert [raw.ask("GET", "/object")[0] for _ in range(3)] == [503, 403, 200]
    assert (second.hits, second.fired) == (2, 1)


def test_counters(raw_proxy: FaultProxy) -> None:
    raw_proxy.fault(faults.Hang())
    clients = [Raw(raw_proxy.endpoint) for _ in range(4)]
    for raw in clients:
        raw.connection.request("GET", "/object?x=%20+")
    while raw_proxy.count() < 4:
        time.sleep(0.005)
    assert (raw_proxy.max_connections, raw_proxy.max_in_flight, raw_proxy.open_connections) == (4, 4, 4)
    assert raw_proxy.requests == {("GET", "/object"): 4}
    assert {seen.query for seen in raw_proxy.seen} == {"x=  "}
    for raw in clients:
        raw.connection.close()
    while raw_proxy.open_connections:
        time.sleep(0.005)
    raw_proxy.reset_counters()
    assert (raw_proxy.max_connections, raw_proxy.max_in_flight, raw_proxy.seen) == (0, 0, ())


class Framings(BaseHTTPRequestHandler):
    """Answers in the two framings that neither rclone nor moto uses: chunks (with a trailer), and until the end."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):  # the proxy leaves where it has cut an answer short
            super().handle()

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (BODY[:1], BODY[1:5000], BODY[5000:]):
                self.wfile.write(b"%x;part=1\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\nX-Trailer: yes\r\n\r\n")
        else:
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def framings(fault_proxy: Callable[[str], FaultProxy]) -> Iterator[FaultProxy]:
    """A proxy in front of `Framings`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Framings) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield fault_proxy(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_chunked_answers(framings: FaultProxy) -> None:
    with Raw(framings.endpoint) as raw:
        assert [raw.ask("GET", "/chunked") for _ in range(2)] == [(200, BODY)] * 2
    assert framings.max_connections == 1
    framings.fault(faults.Truncate(6000))
    with socket.create_connection((urlsplit(framings.endpoint).hostname, urlsplit(framings.endpoint).port)) as plug:
        plug.sendall(b"GET /chunked HTTP/1.1\r\nHost: example.com\r\n\r\n")
        with plug.makefile("rb") as stream:
            received = stream.read()
    assert received.endswith(b"\r\n%x;part=1\r\n%b" % (len(BODY) - 5000, BODY[5000:6000]))


def test_answers_that_end_with_the_connection(framings: FaultProxy) -> None:
    with Raw(framings.endpoint) as raw:
        assert [raw.ask("GET", "/close") for _ in range(2)] == [(200, BODY)] * 2
    assert framings.count() == 2


def test_chunked_requests(aws: AwsServer, fault_proxy: Callable[[str], FaultProxy]) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    scope = "20260101/us-east-1/s3/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, Signature=0"}
    with Raw(fault_proxy(aws.endpoint).endpoint) as raw:
        for name in ("one", "two"):
            raw.connection.request("PUT", f"/{BUCKET}/{name}", iter([b"piece ", b"by ", b"piece"]), headers)
            response = raw.connection.getresponse()
            assert (response.status, response.read()) == (200, b"")
    assert [s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in ("one", "two")] == [b"piece by piece"] * 2


def test_an_upload_that_is_refused_ends_with_its_answer(bucket: RcloneServer, proxy: FaultProxy) -> None:
    s3 = bucket.client(endpoint=proxy.endpoint)
    proxy.fault(faults.slow_down(), method="PUT", first=1)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=BUCKET, Key="up", Body=BODY * 100)
    assert error_of(caught) == (503, "SlowDown")
    s3.put_object(Bucket=BUCKET, Key="up", Body=BODY * 100)
    assert s3.get_object(Bucket=BUCKET, Key="up")["Body"].read() == BODY * 100


def test_a_server_that_is_gone_is_a_closed_connection(fault_proxy: Callable[[str], FaultProxy]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with Raw(fault_proxy(f"http://127.0.0.1:{port}").endpoint) as raw, pytest.raises(ConnectionError):
            raw.ask("GET", "/object")
