"""An AWS that answers what a world says: AWS's own answers as botocore shapes them, served over HTTP.

moto knows how AWS behaves, but cannot be made to say everything that AWS may say: a delivery error, a key that waits for
its deletion, a denial of one question. A world is data: `calls` by `service:Operation`, each an answer in botocore's
names, `{"error": CODE, "status": 403}`, `{"raw": HTML, "status": 200}`, or a list of cases that are tried in order, and
`objects`, keys that S3 lists.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.model import ListShape, Shape, StructureShape
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from tests.servers.aws_calls import Call, Protocol, error, identify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moto.core.model import OperationModel

MOST_KEYS: Final = 1_000
_SERVICES: Final = {"monitoring": "cloudwatch"}  # signing names that are not botocore's names


@dataclass(slots=True)
class World:
    """What AWS says, and how often it was asked: by operation and region."""

    calls: Mapping[str, Any] = field(default_factory=dict)
    objects: tuple[str, ...] = ()
    asked: Counter[tuple[str, str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as a world can tell requests apart."""

    call: Call
    operation: str
    parameters: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{_SERVICES.get(self.call.service, self.call.service)}:{self.operation}"


class AnswerServer:
    """Where the server is, and the world that it serves, which a test exchanges."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.world = World()
        self.lock = threading.Lock()

    def answer(self, asked: Asked) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of an answer."""
        with self.lock:
            self.world.asked[asked.name, asked.call.region, json.dumps(asked.parameters, sort_keys=True)] += 1
        told = _case(self.world.calls.get(asked.name), asked)
        if told is None:
            told = _listed(self.world.objects, asked)
        if told is None:
            told = {"error": "NotImplemented", "status": 501, "message": f"the world has no {asked.name}"}
        if "raw" in told:
            return int(told["status"]), {"Content-Type": "text/html"}, told["raw"].encode()
        if "error" in told:
            status = int(told.get("status", 400))
            answer = error(asked.call, status, told["error"], told.get("message", told["error"]))
            headers = {"Content-Type": answer.content_type, "x-amzn-ErrorType": answer.error_type}
            return answer.status, {name: value for name, value in headers.items() if value}, answer.body
        model = _service(asked.name.partition(":")[0]).operation_model(asked.operation)
        return _serialize(model, told)


def _case(entry: Any, asked: Asked) -> Mapping[str, Any] | None:
    """The answer of the first case whose `when` fits; an entry that is no list is its only case."""
    for case in entry if isinstance(entry, list) else [{"answer": entry}] if entry is not None else []:
        known = {**asked.parameters, "region": asked.call.region}
        if all(known.get(name) == value for name, value in case.get("when", {}).items()):
            found: Mapping[str, Any] = case["answer"]
            return found
    return None


def _listed(objects: tuple[str, ...], asked: Asked) -> Mapping[str, Any] | None:
    """S3's answers about the world's objects."""
    if asked.call.protocol is not Protocol.S3:
        return None
    prefix, after = asked.parameters.get("prefix", ""), asked.parameters.get("start-after", "")
    keys = [key for key in sorted(objects) if key.startswith(prefix) and key > after]
    match asked.operation:
        case "ListObjectsV2":
            delimiter = asked.parameters.get("delimiter")
            rest = {key: key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "") for key in keys}
            folders = dict.fromkeys(f"{prefix}{head}{slash}" for head, slash, _ in rest.values() if slash)
            most = int(asked.parameters.get("max-keys", MOST_KEYS))
            contents = [{"Key": key, "Size": 1} for key in keys if not rest[key][1]][:most]
            return {"Contents": contents, "CommonPrefixes": [{"Prefix": folder} for folder in folders]}
        case "ListObjectVersions":
            marker = asked.parameters.get("key-marker", "")
            return {"Versions": [{"Key": key, "VersionId": "1"} for key in keys if key > marker]}
        case "GetObject":
            known = asked.parameters["Key"] in objects
            return {"Body": b"\x1f"} if known else {"error": "NoSuchKey", "status": 404}
        case _:
            return None


def _serialize(model: OperationModel, told: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
    protocol = str(model.service_model.resolved_protocol)
    serializer = get_serializer_class(model.service_model.service_name, protocol)(model)
    value = _typed(told, model.output_shape)
    body = value.pop("Body", None) if isinstance(value, dict) else None
    sent = serializer.serialize(value)
    text = body if body is not None else sent["body"]
    content = text if isinstance(text, bytes) else str(text).encode()
    return int(sent["status_code"]), {str(name): str(it) for name, it in sent["headers"].items()}, content


def _typed(value: Any, shape: Shape | None) -> Any:
    """Times of a world are ISO 8601: as the model says which they are."""
    match shape:
        case None:
            return {}
        case StructureShape():
            unknown = set(value) - set(shape.members)
            assert not unknown, f"{shape.name} has no {unknown}"
            return {name: _typed(item, shape.members[name]) for name, item in value.items()}
        case ListShape():
            return [_typed(item, shape.member) for item in value]
        case _:
            return datetime.fromisoformat(value) if shape.type_name == "timestamp" else value


@cache
def _service(name: str) -> Any:
    return get_service_model(name)


@cache
def _s3_operations() -> tuple[tuple[str, str, bool, frozenset[str]], ...]:
    """Name, method, whether it has a key, and the query parameters that make it, the most first."""
    model = _service("s3")
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        static = frozenset(part for part in query.split("&") if part and "{" not in part)
        found.append((name, http["method"], "{Key+}" in path, static))
    return tuple(sorted(found, key=lambda entry: (-len(entry[3]), -len(entry[0]))))  # of two names the older is shorter


def asked_of(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Asked:
    """Tell the operation and its parameters from a request."""
    parts = urlsplit(target)
    call = identify(method, unquote(parts.path), parts.query, headers, body)
    if call.protocol is Protocol.S3:
        return _asked_of_s3(method, parts.path, parts.query, headers, call)
    if call.protocol in (Protocol.QUERY, Protocol.EC2):
        return Asked(call, call.action, call.parameters)
    value = json.loads(body or b"{}")
    return Asked(call, call.action, {name: item for name, item in value.items() if isinstance(item, str)})


def _asked_of_s3(method: str, path: str, query: str, headers: Mapping[str, str], call: Call) -> Asked:
    key = unquote(path.removeprefix("/").partition("/")[2])
    given = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    pairs = {name if not value else f"{name}={value}" for name, value in given.items()}
    plain = {
        name
        for name, verb, keyed, static in _s3_operations()
        if verb == method and keyed == bool(key) and static <= pairs
    }
    operation = next(name for name, *_ in _s3_operations() if name in plain)
    extra = {"Key": key} if key else {}
    expected = {name.lower(): value for name, value in headers.items() if name.lower() == "x-amz-expected-bucket-owner"}
    return Asked(call, operation, {**given, **extra, **expected})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: AnswerServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one write

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = asked_of(self.command, self.path, dict(self.headers), body)
        status, headers, content = self.server.answers.answer(asked)
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_HEAD = do_PUT = _serve  # noqa: N815  # http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's
        """Say nothing: standard error belongs to the tests."""


@contextlib.contextmanager
def answer_server() -> Iterator[AnswerServer]:
    """Serve worlds in a thread."""
    server = _Server(("127.0.0.1", 0), _Handler)
    answers = AnswerServer(f"http://127.0.0.1:{server.server_port}")
    server.answers = answers
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="answers", daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
