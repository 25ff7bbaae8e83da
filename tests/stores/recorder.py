"""A server that keeps the head of every request as it came, and answers what it was told to."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    import ssl
    from collections.abc import Iterator

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "x"\r\n\r\nok'


@dataclass(frozen=True, slots=True)
class Request:
    """Start line's target, and headers by lower-case name."""

    target: str
    headers: dict[str, str]


@dataclass(slots=True)
class Recorder:
    """What came, and what is answered: `answers` one after the other, then `last` for ever. None closes without one.

    Answers are held back for `delay` seconds; with `drip` the bytes of the body come one by one, so many seconds apart. With
    `closes` no connection is used twice.
    """

    endpoint: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[bytes | None] = field(default_factory=list)
    last: bytes | None = OK
    connections: int = 0
    delay: float = 0.0
    drip: float = 0.0
    closes: bool = False


@contextlib.contextmanager
def recording(tls: ssl.SSLContext | None = None) -> Iterator[Recorder]:
    """Listen while the body runs, over TLS where a context is given."""
    recorder = Recorder()

    class Handler(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if tls is not None:
                self.request = tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
                try:
                    self.request.do_handshake()
                except OSError:
                    self.request.close()
                    raise
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def handle(self) -> None:
            recorder.connections += 1
            while head := _head(self.rfile):
                recorder.requests.append(head)
                answer = recorder.answers.pop(0) if recorder.answers else recorder.last
                if answer is None:
                    return
                time.sleep(recorder.delay)
                at_once = answer.find(b"\r\n\r\n") + 4 if recorder.drip else len(answer)
                self.wfile.write(answer[:at_once])
                for byte in answer[at_once:]:
                    time.sleep(recorder.drip)
                    self.wfile.write(bytes([byte]))
                if recorder.closes:
                    return

    with _Server(("127.0.0.1", 0), Handler) as server:
        recorder.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is none of the server's errors."""


def _head(stream: io.BufferedIOBase) -> Request | None:
    lines: list[str] = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    if not lines:
        return None
    pairs = (line.partition(":") for line in lines[1:])
    return Request(lines[0].split(" ")[1], {name.strip().lower(): value.strip() for name, _, value in pairs})
