"""A small S3, CloudTrail and STS, as a process of its own: `python -m benchmarks.server '{"objects": "made-up"}'`.

It listens on 127.0.0.1, on a port of the system's choice, and prints one line of JSON (`plan.Served`) once it is ready;
the argument is a `plan.Plan` in JSON. It ends when its standard input does. It takes any signature for a good one,
speaks HTTP/1.1 with connections that stay open, and holds every answer back for the plan's latency.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qsl, unquote

import msgspec
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from benchmarks.answers import LOCATION, Answer, aws_call, listing, s3_error
from benchmarks.harness import ROOT
from benchmarks.made_up import MadeUp
from benchmarks.plan import BUCKET, Connections, Plan, Served
from benchmarks.stored import Objects, Simulated

_BACKLOG: Final = 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_TARGET: Final = re.compile(rb"\r\nx-amz-target: *([A-Za-z0-9_.]+)", re.IGNORECASE)
_REGION: Final = re.compile(rb"Credential=[^/,]+/[0-9]{8}/([a-z0-9-]+)/")
_RANGE: Final = re.compile(rb"\r\nrange: *bytes=([0-9]+)-([0-9]*)", re.IGNORECASE)
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    416: "Range Not Satisfiable",
}
_OBJECT: Final = f"/{BUCKET}/"
COUNTED: Final = "/-/counted"  # `Connections` in JSON; a bucket's name begins otherwise


class Connection(asyncio.Protocol):
    """One client's connection: requests in, answers out in the same order."""

    def __init__(self, objects: Objects, plan: Plan, counted: Connections) -> None:
        self._objects = objects
        self._plan = plan
        self._counted = counted
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, which is none of asyncio's
        self._counted.connections += 1
        session = transport.get_extra_info("ssl_object")
        self._counted.resumed += session is not None and session.session_reused

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        """Forget it."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        buffer = self._buffer + data if self._buffer else data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head, following = buffer[:end], end + 4
            if not head.startswith((b"GET", b"HEAD")):
                length = _LENGTH.search(head)
                following += int(length[1]) if length else 0
                if len(buffer) < following:
                    break
            answer = self._answer(head, buffer[end + 4 : following])
            buffer = buffer[following:]
            if self._plan.latency:
                self._loop.call_later(self._plan.latency, self._send, answer)
            else:
                self._send(answer)
        self._buffer = buffer

    def _send(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        method, url, _ = head[: head.find(b"\r\n")].decode("ascii").split(" ")
        path, _, query = url.partition("?")
        if path == COUNTED:
            return _message(Answer(200, "application/json", msgspec.json.encode(self._counted)), method)
        self._counted.requests += 1
        if path.startswith(_OBJECT) and len(path) > len(_OBJECT):
            return self._object(method, unquote(path[len(_OBJECT) :]), _RANGE.search(head))
        if path.rstrip("/") == f"/{BUCKET}":
            return self._bucket(method, dict(parse_qsl(query, keep_blank_values=True)))
        if method == "POST":
            target, region = _TARGET.search(head), _REGION.search(head)
            name = target[1].decode() if target else ""
            where = region[1].decode() if region else self._plan.home_region
            return _message(aws_call(self._objects, self._plan, name, body, where), method)
        return _message(s3_error(404, "NoSuchBucket"), method)

    def _object(self, method: str, key: str, wanted: re.Match[bytes] | None) -> bytes:
        stored = self._objects.get(key)
        if method not in ("GET", "HEAD"):
            return _message(s3_error(405, "MethodNotAllowed"), method)
        if stored is None:
            return _message(s3_error(404, "NoSuchKey"), method)
        body, status, part = stored.body, "200 OK", ""
        if wanted is not None:
            first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
            if first > last:
                return _message(s3_error(416, "InvalidRange"), method)
            status, part = "206 Partial Content", f"Content-Range: bytes {first}-{last}/{len(body)}\r\n"
            body = body[first : last + 1]
        metadata = "".join(f"x-amz-meta-{name}: {value}\r\n" for name, value in stored.metadata.items())
        head = (
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{part}Content-Type: application/json\r\n"
            f'Content-Encoding: gzip\r\nETag: "{stored.modified:x}"\r\nLast-Modified: {_http_date(stored.modified)}\r\n'
            f"{metadata}\r\n"
        ).encode("ascii")
        return head + body if method == "GET" else head

    def _bucket(self, method: str, query: dict[str, str]) -> bytes:
        if method == "HEAD":
            return _message(Answer(200, "application/xml", b""), method)
        if "location" in query:
            return _message(Answer(200, "application/xml", LOCATION), method)
        return _message(listing(self._objects, query), method)


def _message(answer: Answer, method: str) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nContent-Length: {len(answer.body)}\r\n"
        f"Content-Type: {answer.content_type}\r\nx-amz-bucket-region: us-east-1\r\nx-amzn-RequestId: EXAMPLE\r\n\r\n"
    ).encode("ascii")
    return head if method == "HEAD" else head + answer.body


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def objects_of(plan: Plan) -> Objects:
    """What a plan describes, made."""
    return Simulated(plan) if plan.objects == "simulated" else MadeUp(plan)


async def serve(plan: Plan, objects: Objects) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    counted = Connections()
    with contextlib.ExitStack() as stack:
        ca_file, context = stack.enter_context(certified()) if plan.tls else (None, None)
        server = await loop.create_server(
            lambda: Connection(objects, plan, counted), "127.0.0.1", 0, backlog=_BACKLOG, ssl=context
        )
        port = server.sockets[0].getsockname()[1]
        scheme = "https" if plan.tls else "http"
        await _until_told(Served(endpoint=f"{scheme}://127.0.0.1:{port}", plan=plan, ca_file=ca_file))
        server.close()


@contextlib.contextmanager
def certified() -> Iterator[tuple[str, ssl.SSLContext]]:
    """A certificate for 127.0.0.1 that lasts while the body runs: its file, and a context that answers with it."""
    issuer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(
        "benchmark", issuer, issuer, ca=True
    )  # apart from the next: rustls takes no root for a server's
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    leaf = _certificate("127.0.0.1", key, issuer, names, ca=False)
    with tempfile.TemporaryDirectory(prefix="ctvalidate-benchmark-") as folder:
        trusted, certificate, secret = (Path(folder, name) for name in ("root.pem", "certificate.pem", "key.pem"))
        trusted.write_bytes(root.public_bytes(Encoding.PEM))
        certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, secret)
        yield str(trusted), context


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
    ca: bool,
) -> x509.Certificate:
    """A certificate that is valid today, signed by `issuer`, whose name is always the same."""
    now, subject = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")]),
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    ).add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer, SHA256())


async def _until_told(ready: Served) -> None:
    """Say that the responder is ready, and wait for the end of standard input."""
    loop = asyncio.get_running_loop()
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    done = asyncio.Event()

    def wait() -> None:
        while os.read(0, 4096):  # not through sys.stdin, whose lock would outlive an interrupt
            pass
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=wait, daemon=True).start()
    await done.wait()


@contextlib.contextmanager
def serving(plan: Plan) -> Iterator[Served]:
    """Run the responder beside this process while the body runs. Raises RuntimeError where it does not start."""
    command = [sys.executable, "-m", "benchmarks.server", msgspec.json.encode(plan).decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None  # noqa: S101  # it is a pipe
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the responder did not start; its standard error says why")
            yield msgspec.json.decode(line, type=Served)
        finally:
            process.stdin.close()


def main(arguments: list[str] | None = None) -> None:
    """Serve the plan that the command line gives."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        sys.exit(__doc__)
    plan = msgspec.json.decode(given[0], type=Plan)
    uvloop.run(serve(plan, objects_of(plan)))


if __name__ == "__main__":
    main()
