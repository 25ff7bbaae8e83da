"""Every connection of a transport: libcurl's multi handle, driven over its socket interface. Never waits for anything.

libcurl reads no configuration of its own here: no netrc, no cookies, no proxy variables, no redirects, no encodings.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, Final

import pycurl

from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores.poller import BROKEN, IN, OUT, Poller
from cloudtrail_validate.stores.transfer import Answer, Broken, Outcome, Route, Transfer, TransferError

PIECE_BYTES: Final = 1024 * 1024  # of a body that is handed on while it comes
_UNTAKEN: Final = 2  # such pieces in memory before the connection is told to wait
_PATIENCE: Final = 3  # times as long as a silence may last, an answer may take however slowly it drips;
_LEAST_SPEED: Final = 4096  # from then on it must have come with so many bytes a second
_BUFFER_BYTES: Final = 128 * 1024  # read from a socket at once; libcurl's 16 KiB make eight calls of it
_BROKEN: Final = {
    pycurl.E_PEER_FAILED_VERIFICATION: Broken.CERTIFICATE,
    pycurl.E_SSL_CONNECT_ERROR: Broken.CERTIFICATE,
    pycurl.E_SSL_CACERT_BADFILE: Broken.CERTIFICATE,
    pycurl.E_SSL_ISSUER_ERROR: Broken.CERTIFICATE,
    pycurl.E_COULDNT_RESOLVE_PROXY: Broken.PROXY,
    97: Broken.PROXY,  # CURLE_PROXY, which pycurl does not name
    pycurl.E_COULDNT_RESOLVE_HOST: Broken.UNREACHABLE,
    pycurl.E_COULDNT_CONNECT: Broken.UNREACHABLE,
    pycurl.E_OPERATION_TIMEDOUT: Broken.UNREACHABLE,
    pycurl.E_FILESIZE_EXCEEDED: Broken.TOO_LONG,
}
# Where libcurl's own words hold numbers: the same trouble is to read the same, since it is counted.
_WORDS: Final = {
    pycurl.E_PARTIAL_FILE: "the answer broke off",
    pycurl.E_GOT_NOTHING: "the connection was closed without an answer",
    pycurl.E_OPERATION_TIMEDOUT: "connect timeout",
}
_END: Final = frozenset({b"\r\n", b"\n"})  # of a head; the second is what libcurl bears with
CLOSED: Final = "the store is closed"
_TAKEN: Final = re.compile(r" after [0-9]+ ms")

Told = tuple[Callable[[Any], object], Outcome | bytes]


class Order(Enum):
    """Names what connections are told to do about a transfer: start it, let its next pieces come, give it up."""

    BEGIN = "begin"
    TAKEN = "taken"
    ABANDON = "abandon"


Orders = Sequence[tuple[Order, Transfer]]


class Handle(pycurl.Curl):
    """A handle of libcurl, the route that it is set up for, and what it is busy with."""

    # No values here: pycurl keeps attributes in a place of its own, and finds those of the class first.
    route: Route | None
    transfer: Transfer | None

    def __init__(self) -> None:
        super().__init__()
        self.route = self.transfer = None


class Connections:
    """All connections of one transport, on the thread that calls `turn`.

    `told` are outcomes and pieces with who is to be told of them: whoever calls `turn` does so afterwards, outside of
    libcurl's own callbacks. `due` is when `turn` wants to be called at the latest (monotonic seconds, None: by nothing but
    a socket or an order).
    """

    def __init__(self, timeouts: Timeouts, most: int, poller: Poller) -> None:
        self._timeouts = timeouts
        self._most = most
        self._poller = poller
        self._queue: deque[Transfer] = deque()
        self._active: set[Transfer] = set()
        self._idle: list[Handle] = []
        self._timer: float | None = None  # when libcurl wants to be called for time's sake
        self._swept = time.monotonic()
        self.told: list[Told] = []
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._remind)
        self._multi.setopt(pycurl.M_MAXCONNECTS, most)

    @property
    def due(self) -> float | None:
        """Return when to look at the time again."""
        if not self._active:
            return self._timer
        sweep = self._swept + self._pace()
        return sweep if self._timer is None else min(self._timer, sweep)

    def turn(self, ready: Iterable[tuple[int, int]], orders: Iterable[tuple[Order, Transfer]]) -> None:
        """Let libcurl do what there is to do, take what it has finished, start what was asked for."""
        for descriptor, events in ready:
            what = pycurl.CSELECT_IN if events & (IN | BROKEN) else 0
            what |= pycurl.CSELECT_OUT if events & OUT else 0
            self._multi.socket_action(descriptor, what | (pycurl.CSELECT_ERR if events & BROKEN else 0))
        now = time.monotonic()
        self._tick(now)
        if self._active and now - self._swept >= self._pace():
            self._sweep(now)
        self._collect()
        for order, transfer in orders:
            self._obey(order, transfer)
        begun = False
        while self._queue and len(self._active) < self._most:
            self._begin(self._queue.popleft())
            begun = True
        if begun:  # what is sent now need not wait for another look at the sockets
            self._tick(now)
            self._collect()

    def close(self, reason: str) -> None:
        """Give up all transfers, and close all connections."""
        self.told += [(transfer.done, TransferError(reason)) for transfer in (*self._active, *self._queue)]
        self._queue.clear()
        for transfer in list(self._active):
            self._remove(transfer)
        self._multi.close()

    def _tick(self, now: float) -> None:
        if self._timer is not None and now >= self._timer:
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _pace(self) -> float:
        """Return the seconds between two looks for what has stalled."""
        return min(1.0, self._timeouts.read / 8)

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            with suppress(KeyError):
                self._poller.unregister(descriptor)
        else:
            self._poller.register(
                descriptor, (IN if what & pycurl.POLL_IN else 0) | (OUT if what & pycurl.POLL_OUT else 0)
            )

    def _remind(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000 if milliseconds else 0.0

    def _obey(self, order: Order, transfer: Transfer) -> None:
        if order is Order.BEGIN:
            self._queue.append(transfer)
        elif transfer not in self._active:
            with suppress(ValueError):  # done meanwhile, or given up before it began
                self._queue.remove(transfer)
        elif order is Order.ABANDON:
            self._remove(transfer)
        else:
            transfer.untaken -= 1
            if transfer.paused and transfer.untaken < _UNTAKEN:
                transfer.paused = False
                transfer.moved = time.monotonic()
                with suppress(pycurl.error):  # it has failed: that is told otherwise
                    transfer.curl.pause(pycurl.PAUSE_CONT)

    def _begin(self, transfer: Transfer) -> None:
        curl = self._idle.pop() if self._idle else Handle()
        route = transfer.route
        try:
            if curl.route is not route:
                curl.reset()
                self._set_up(curl, route)
                curl.route = route
            curl.setopt(pycurl.URL, transfer.url)
            curl.setopt(pycurl.MAXFILESIZE_LARGE, transfer.limit)
            curl.setopt(pycurl.HEADERFUNCTION, transfer.lines.append)
            curl.setopt(pycurl.WRITEFUNCTION, transfer.body.append if transfer.piece is None else self._taker(transfer))
            curl.transfer = transfer
            transfer.curl = curl
            transfer.begun = transfer.moved = time.monotonic()
            self._multi.add_handle(curl)
        except (pycurl.error, ValueError) as error:  # a proxy or header that cannot be meant
            self.told.append((transfer.done, TransferError(str(error))))
            return
        self._active.add(transfer)

    def _set_up(self, curl: Handle, route: Route) -> None:
        """Set what requests of one route share. What libcurl would take from elsewhere is set to nothing."""
        timeouts = self._timeouts
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # S3 speaks no other
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.CAINFO, route.ca_file)  # the wheel's own is a path of the system it was built on
        curl.setopt(pycurl.PROXY_CAINFO, route.ca_file)
        curl.setopt(pycurl.PROXY, route.proxy)
        curl.setopt(pycurl.NOPROXY, "")  # else the environment's counts
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.HTTP_CONTENT_DECODING, 0)  # logs bear `Content-Encoding: gzip`, and their bytes are judged
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(timeouts.connect * 1000)))
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        curl.setopt(pycurl.USERAGENT, route.agent)
        curl.setopt(pycurl.HTTPHEADER, list(route.headers))
        if route.verbatim:
            curl.setopt(pycurl.PATH_AS_IS, 1)
        if route.signature is not None:
            curl.setopt(pycurl.AWS_SIGV4, f"aws:amz:{route.signature.region}:s3")
            curl.setopt(pycurl.USERNAME, route.signature.access_key)
            curl.setopt(pycurl.PASSWORD, route.signature.secret_key)

    def _taker(self, transfer: Transfer) -> Callable[[bytes], int | None]:
        """Return the callback that takes a body which is handed on in pieces."""

        def take(data: bytes) -> int | None:
            body, give = transfer.body, transfer.piece
            if give is None or not _is_content(transfer.lines):
                body.append(data)
                return None
            if transfer.untaken >= _UNTAKEN:
                transfer.paused = True
                return int(pycurl.WRITEFUNC_PAUSE)
            body.append(data)
            transfer.held += len(data)
            if transfer.held >= PIECE_BYTES:
                self.told.append((give, b"".join(body)))
                body.clear()
                transfer.held = 0
                transfer.untaken += 1
            return None

        return take

    def _collect(self) -> None:
        """Take what libcurl has finished."""
        left = 1
        while left:
            message: tuple[int, list[Any], list[Any]] = self._multi.info_read()
            left, done, failed = message
            for curl in done:
                self._done(curl, curl.transfer)
            for curl, number, text in failed:
                transfer = curl.transfer
                self._remove(transfer)
                words = _WORDS.get(number) or _TAKEN.sub("", text) or f"libcurl's error {number}"
                why = TransferError(words, _BROKEN.get(number, Broken.OTHERWISE))
                self.told.append((transfer.done, why))

    def _done(self, curl: Handle, transfer: Transfer) -> None:
        body = transfer.body
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        size = None if transfer.piece is None else curl.getinfo(pycurl.SIZE_DOWNLOAD_T)
        self._remove(transfer)
        lines = _own(transfer.lines)
        if lines is None:  # libcurl takes a head that breaks off for an answer without a body
            self.told.append((transfer.done, TransferError(_WORDS[pycurl.E_PARTIAL_FILE])))
            return
        whole = body[0] if len(body) == 1 else b"".join(body)
        if transfer.piece is not None and status == 200:
            if whole:
                self.told.append((transfer.piece, whole))
            whole = b""
        self.told.append((transfer.done, Answer(status, lines, whole, len(whole) if size is None else size)))

    def _remove(self, transfer: Transfer) -> None:
        """Let go of a transfer; its handle may serve another."""
        curl = transfer.curl
        self._active.discard(transfer)
        self._multi.remove_handle(curl)
        curl.transfer = None
        self._idle.append(curl)

    def _sweep(self, now: float) -> None:
        """End transfers that stand still, and those that drip so slowly that they would never end."""
        since, self._swept = now - self._swept, now
        silence = self._timeouts.read
        for transfer in list(self._active):
            curl = transfer.curl
            received = curl.getinfo(pycurl.SIZE_DOWNLOAD_T) + curl.getinfo(pycurl.HEADER_SIZE)
            if received != transfer.progress or transfer.paused:
                transfer.progress, transfer.moved = received, now
                transfer.begun += since if transfer.paused else 0  # it waits for us
            taken = now - transfer.begun
            if now - transfer.moved > silence:
                self._give_up(
                    transfer, f"no answer for {silence:g} s" if not received else f"stalled for {silence:g} s"
                )
            elif taken > _PATIENCE * silence + received / _LEAST_SPEED and not transfer.paused:
                self._give_up(transfer, f"too slow: {received:,} bytes in {taken:.0f} s")

    def _give_up(self, transfer: Transfer, why: str) -> None:
        self._remove(transfer)
        self.told.append((transfer.done, TransferError(why)))


def deliver(told: Sequence[Told]) -> None:
    """Tell everybody. On the event loop, and never from within `turn`."""
    for tell, what in told:
        tell(what)


def refuse(orders: Orders, reason: str) -> None:
    """Tell who asks for a transfer that there are no connections any more."""
    for order, transfer in orders:
        if order is Order.BEGIN:
            transfer.done(TransferError(reason))


def internal_error(error: Exception) -> str:
    """Say of an error of this program's own what transfers end with."""
    return f"internal error, please report it: {type(error).__name__}: {error}"


def _is_content(lines: Sequence[bytes]) -> bool:
    """Tell whether the last answer has the status 200, which libcurl does not tell while a transfer runs."""
    status = next((line for line in reversed(lines) if line.startswith(b"HTTP/")), b"")
    return status.split(b" ")[1:2] in ([b"200"], [b"200\r\n"])


def _own(lines: list[bytes]) -> tuple[bytes, ...] | None:
    """Return the header lines of the last answer: of none before it, and no trailers. None where its head is not whole."""
    if lines.count(b"\r\n") == 1 and lines[-1] == b"\r\n" and lines[0].startswith(b"HTTP/") and b"\n" not in lines:
        return tuple(lines[1:-1])
    start = max((index for index, line in enumerate(lines) if line.startswith(b"HTTP/")), default=-1) + 1
    own = lines[start:]
    end = next((index for index, line in enumerate(own) if line in _END), None)
    return None if end is None else tuple(own[:end])
