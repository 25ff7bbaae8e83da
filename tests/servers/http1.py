"""HTTP/1.1 messages as raw bytes: enough to relay them unchanged (RFC 9112), and no more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_HEAD: Final = 256 * 1024  # bytes of start line and headers; also the buffer of a stream
PIECE: Final = 64 * 1024  # bytes of a body that are relayed at once


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1."""


@dataclass(frozen=True)
class Head:
    """Start line and headers. `raw` is what was received, with the empty line that ends it."""

    raw: bytes

    @cached_property
    def start(self) -> tuple[str, str, str]:
        """Method, target, version of a request; version, status, reason of an answer. Raises ProtocolError."""
        line = self.raw[: self.raw.index(b"\r\n")].decode("latin-1")
        parts = line.split(" ", 2)
        if len(parts) < 2:
            raise ProtocolError(line)
        return parts[0], parts[1], parts[2] if len(parts) == 3 else ""

    @cached_property
    def headers(self) -> dict[str, str]:
        """Values by lower-case name; of a repeated header the last."""
        lines = self.raw.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start[1])

    @property
    def keeps_alive(self) -> bool:
        """Whether the sender will use the connection for a further message."""
        connection = self.headers.get("connection", "").lower()
        version = self.start[0] if self.start[0].startswith("HTTP/") else self.start[2]
        return "keep-alive" in connection if version == "HTTP/1.0" else "close" not in connection


@dataclass(frozen=True, slots=True)
class Framing:
    """Where a body ends: after `length` bytes, or with the last chunk, or (neither) with the connection."""

    length: int | None = None
    chunked: bool = False

    @property
    def empty(self) -> bool:
        """No body at all."""
        return self.length == 0

    @property
    def until_close(self) -> bool:
        """The body ends with the connection, which can carry no further message."""
        return self.length is None and not self.chunked


def request_framing(head: Head) -> Framing:
    """Framing of a request's body (RFC 9112, 6.3: without a length or chunks there is none)."""
    framing = _framing(head)
    return Framing(0) if framing.until_close else framing


def response_framing(head: Head, method: str) -> Framing:
    """Framing of the body of an answer to `method`."""
    if method == "HEAD" or head.status in (204, 304) or head.status < 200:
        return Framing(0)
    return _framing(head)


def _framing(head: Head) -> Framing:
    if "chunked" in head.headers.get("transfer-encoding", "").lower():
        return Framing(chunked=True)
    length = head.headers.get("content-length")
    return Framing(int(length)) if length is not None else Framing()


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next message's head, or None where the peer closed the connection in good order before it."""
    try:
        return Head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise ProtocolError("head too long") from error


async def read_body(reader: asyncio.StreamReader, framing: Framing) -> AsyncIterator[tuple[bytes, int]]:
    """The body in pieces as they come: the bytes on the wire, and how many of them are content.

    The two differ for chunked bodies, whose size lines and trailers are wire bytes without content. Raises
    IncompleteReadError where the peer closes the connection too early.
    """
    if framing.chunked:
        async for piece in _read_chunks(reader):
            yield piece
    elif framing.length is not None:
        async for data in _read_exactly(reader, framing.length):
            yield data, len(data)
    else:
        while data := await reader.read(PIECE):
            yield data, len(data)


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, int]]:
    while True:
        line = await reader.readuntil(b"\r\n")
        yield line, 0
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        async for data in _read_exactly(reader, size):
            yield data, len(data)
        yield await reader.readexactly(2), 0
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        yield line, 0
    yield line, 0


async def _read_exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    left = length
    while left:
        data = await reader.read(min(PIECE, left))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(data)
        yield data
