"""A reverse proxy that injects faults: it stands between a client and moto or rclone.

Everything is relayed byte for byte, the Host header too, so the client's SigV4 signature still fits behind it. Each
client connection has one connection to the server of its own.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
import weakref
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, assert_never
from urllib.parse import unquote, unquote_plus, urlsplit

from tests.servers.faults import (
    Action,
    Behead,
    Dribble,
    Emptied,
    Hang,
    Match,
    Mend,
    Reset,
    ResetLater,
    Respond,
    Rule,
    Seen,
    Truncate,
)
from tests.servers.http1 import (
    MAX_HEAD,
    Framing,
    Head,
    read_body,
    read_head,
    request_framing,
    response_framing,
)

if TYPE_CHECKING:
    from types import TracebackType

# A peer that leaves, resets or stops in the middle of a message ends its connection, not the proxy.
_PEER_GONE = (ConnectionError, asyncio.IncompleteReadError, TimeoutError)


@dataclass(slots=True)
class _Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class FaultProxy:
    """A proxy in front of the server at `upstream` (`http://host:port`), in a thread of its own.

    Use it as a context manager, or call `start` and `stop`. Rules may be added and counters read at any time.
    """

    def __init__(self, upstream: str, *, latency_ms: float = 0) -> None:
        parts = urlsplit(upstream)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"upstream needs a host and a port: {upstream!r}")
        self._upstream = parts.hostname, parts.port
        self.latency_ms = latency_ms  # added to every request, before any fault
        self._port: Future[int] = Future()
        self._thread = threading.Thread(target=self._main, name=f"fault-proxy to {parts.netloc}", daemon=True)
        self._lock = threading.Lock()  # guards everything below: the loop's thread writes, the test's thread reads
        self._rules: list[Rule] = []
        self._seen: list[Seen] = []
        self._connections = self._max_connections = 0
        self._in_flight = self._max_in_flight = 0
        self._errors: list[Exception] = []
        self._transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()

    # What a test says and asks.

    @property
    def endpoint(self) -> str:
        """Where clients connect, `http://127.0.0.1:port`."""
        return f"http://127.0.0.1:{self._port.result(timeout=10)}"

    def fault(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str = "",
        query: str = "",
        operation: str = "",
        nth: int | None = None,
        first: int | None = None,
        probability: float | None = None,
        per_path: bool = False,
        seed: int = 0,
    ) -> Rule:
        """Do `action` to the requests that match (see `Match`, `Rule`). The first rule that fires is the only one."""
        match = Match(method, path, query, operation)
        rule = Rule(action, match, nth=nth, first=first, probability=probability, per_path=per_path, seed=seed)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget rules and latency."""
        with self._lock:
            self._rules.clear()
        self.latency_ms = 0

    def reset_counters(self) -> None:
        """Forget the requests seen; the maxima start again from what is open now."""
        with self._lock:
            self._seen.clear()
            self._max_connections, self._max_in_flight = self._connections, self._in_flight

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request since the start or the last `reset_counters`, in order of arrival."""
        with self._lock:
            return tuple(self._seen)

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """How many requests there were for each (method, decoded path)."""
        return Counter((seen.method, seen.path) for seen in self.seen)

    def count(self, method: str | None = None, path: str = "", *, query: str = "", operation: str = "") -> int:
        """How many requests match (see `Match`)."""
        return sum(map(Match(method, path, query, operation), self.seen))

    @property
    def open_connections(self) -> int:
        """Client connections open now."""
        with self._lock:
            return self._connections

    @property
    def max_connections(self) -> int:
        """The most client connections that were open at one time."""
        with self._lock:
            return self._max_connections

    @property
    def max_in_flight(self) -> int:
        """The most requests that were under way at one time: head received, answer not yet sent to its end."""
        with self._lock:
            return self._max_in_flight

    # Start and stop.

    def start(self) -> Self:
        """Listen. Raises OSError where no port is to be had."""
        self._thread.start()
        self._port.result(timeout=10)
        return self

    def stop(self) -> None:
        """Close every connection and end the thread. Raises ExceptionGroup where the proxy itself went wrong."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout=10)
        if self._errors:
            raise ExceptionGroup("the fault proxy failed", self._errors)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except Exception as error:
            if not self._port.done():
                self._port.set_exception(error)
            self._errors.append(error)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._transports.add(writer.transport)
            task = asyncio.create_task(self._serve(_Stream(reader, writer)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=MAX_HEAD)
        self._port.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in self._transports:
            transport.abort()  # a task may have been cancelled before it began, or before its last bytes were sent
        await asyncio.sleep(0)  # the turn of the loop in which the sockets are closed

    # One client connection.

    async def _serve(self, client: _Stream) -> None:
        with self._lock:
            self._connections += 1
            self._max_connections = max(self._max_connections, self._connections)
        connection = _Connection(client, self._upstream, self._transports)
        try:
            while (head := await read_head(client.reader)) is not None:
                if not await self._exchange(connection, head):
                    break
        except _PEER_GONE:
            pass
        except Exception as error:  # kept for stop(), which raises it in the test's thread
            with self._lock:
                self._errors.append(error)
        finally:
            with self._lock:
                self._connections -= 1
            connection.close()

    async def _exchange(self, connection: _Connection, head: Head) -> bool:
        """Answer one request. False where the connection can carry no further one."""
        seen = _see(head)
        with self._lock:
            self._seen.append(seen)
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
            action = next((rule.action for rule in self._rules if rule.fires(seen)), None)
        try:
            if self.latency_ms:
                await asyncio.sleep(self.latency_ms / 1000)
            return await connection.answer(head, action)
        finally:
            with self._lock:
                self._in_flight -= 1


class _Connection:
    """A client's connection, and the one to the server that belongs to it."""

    def __init__(
        self, client: _Stream, upstream: tuple[str, int], transports: weakref.WeakSet[asyncio.WriteTransport]
    ) -> None:
        self._client = client
        self._address = upstream
        self._transports = transports
        self._server: _Stream | None = None

    def close(self) -> None:
        self._disconnect()
        self._client.writer.close()

    async def answer(self, head: Head, action: Action | None) -> bool:
        """Do `action`, or relay. False where the connection is used up."""
        match action:
            case Respond():
                return await self._respond(head, action)
            case Emptied():
                emptied = action.answer(_see(head))
                return await (self._respond(head, emptied) if emptied else self._relay(head, None))
            case Reset():
                _reset(self._client.writer)
                return False
            case Hang():
                while await self._client.reader.read(MAX_HEAD):  # what the client still sends goes nowhere
                    pass
                return False
            case Truncate() | Behead() | Mend() | ResetLater() | Dribble() | None:
                return await self._relay(head, action)
            case _:
                assert_never(action)

    async def _respond(self, head: Head, action: Respond) -> bool:
        # A client that waits for "100 Continue" has not sent its body and will not after a final answer.
        waits = "expect" in head.headers
        if not waits:
            async for _ in read_body(self._client.reader, request_framing(head)):
                pass
        keep = head.keeps_alive and not waits
        lines = (
            f"HTTP/1.1 {action.status} {HTTPStatus(action.status).phrase}",
            f"Content-Type: {action.content_type}",
            f"Content-Length: {len(action.body)}",
            *(f"{name}: {value}" for name, value in action.headers),
            f"Connection: {'keep-alive' if keep else 'close'}",
        )
        body = b"" if head.start[0] == "HEAD" else action.body
        self._client.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self._client.writer.drain()
        return keep

    async def _relay(self, head: Head, action: Truncate | Behead | Mend | ResetLater | Dribble | None) -> bool:
        framing = request_framing(head)
        reused = self._server is not None
        server = await self._send(head)
        upload = None if framing.empty else asyncio.create_task(_pump(self._client, server, framing))
        try:
            answer = await read_head(server.reader)
            if answer is None and reused and upload is None:
                # The server closed an idle connection while the request was on its way: that is no fault of its own.
                self._disconnect()
                server = await self._send(head)
                answer = await read_head(server.reader)
            while answer is not None and answer.status < 200:
                self._client.writer.write(answer.raw)
                answer = await read_head(server.reader)
            if answer is None:
                return False
            body = response_framing(answer, head.start[0])
            if isinstance(action, Behead):
                self._client.writer.write(answer.raw[: action.after])
                await self._client.writer.drain()
                return False
            if isinstance(action, Mend):
                pieces = [wire async for wire, content in read_body(server.reader, body) if content]
                self._client.writer.write(_mended(answer, b"".join(pieces)[: action.after]))
                whole = True
            else:
                self._client.writer.write(answer.raw)
                whole = await self._relay_body(server, body, action)
            await self._client.writer.drain()
            sent = upload is None or upload.done()
        finally:
            if upload is not None:
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)
        return whole and sent and not body.until_close and head.keeps_alive and answer.keeps_alive

    async def _relay_body(
        self, server: _Stream, framing: Framing, action: Truncate | ResetLater | Dribble | None
    ) -> bool:
        """Relay the answer's body. False where it was cut short."""
        writer = self._client.writer
        passed = 0
        async for wire, content in read_body(server.reader, framing):
            match action:
                case Truncate(after) | ResetLater(after) if content and passed + content > after:
                    writer.write(wire[: after - passed])
                    await writer.drain()
                    if isinstance(action, ResetLater):
                        await asyncio.sleep(0.01)  # a reset overtakes what the client has not read yet
                        _reset(writer)
                    return False
                case Dribble(after) if content and passed + content > after:
                    at_once = max(0, after - passed)
                    writer.write(wire[:at_once])
                    await _dribble(writer, wire[at_once:], action)
                case _:
                    writer.write(wire)
            passed += content
            await writer.drain()
        return True

    async def _send(self, head: Head) -> _Stream:
        """Send a request's head to the server, over the connection there is or a new one."""
        if self._server is not None and self._server.reader.at_eof():
            self._disconnect()
        if self._server is None:
            self._server = _Stream(*await asyncio.open_connection(*self._address, limit=MAX_HEAD))
            self._transports.add(self._server.writer.transport)
        self._server.writer.write(head.raw)
        await self._server.writer.drain()
        return self._server

    def _disconnect(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.writer.close()


async def _pump(client: _Stream, server: _Stream, framing: Framing) -> None:
    """Relay a request's body while the answer is awaited: the server may want to answer before it has it all."""
    async for wire, _ in read_body(client.reader, framing):
        server.writer.write(wire)
        await server.writer.drain()


async def _dribble(writer: asyncio.StreamWriter, data: bytes, action: Dribble) -> None:
    for start in range(0, len(data), action.piece):
        await asyncio.sleep(action.delay)
        writer.write(data[start : start + action.piece])
        await writer.drain()


def _mended(answer: Head, body: bytes) -> bytes:
    """An answer with another body, and a head that announces just that."""
    head = re.sub(rb"(?i)(?<=\r\n)(?:content-length|transfer-encoding):[^\r]*\r\n", b"", answer.raw)
    return head[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: a socket that lingers for no time at all throws away what is unsent."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _see(head: Head) -> Seen:
    method, target, _ = head.start
    path, _, query = target.partition("?")
    operation = head.headers.get("x-amz-target", "").rpartition(".")[2]
    return Seen(method, unquote(path), unquote_plus(query), operation)
