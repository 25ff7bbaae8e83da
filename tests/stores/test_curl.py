"""The transport: whole answers or none, in bounded time and memory, and nothing read from the environment."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.httpsession import where

from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores import curl as transport
from cloudtrail_validate.stores.connections import PIECE_BYTES, Connections
from cloudtrail_validate.stores.curl import Curl
from cloudtrail_validate.stores.curl_thread import CurlThread
from cloudtrail_validate.stores.transfer import Answer, Broken, Route, TransferError
from tests.stores.recorder import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from tests.stores.recorder import Recorder

QUICK = Timeouts(connect=2.0, read=0.3, retries=0, give_up=1.0)
PATIENT = Timeouts(connect=5.0, read=10.0, retries=0, give_up=1.0)
PLAIN = Route(where())


@pytest.fixture(autouse=True, params=["on the loop", "on a thread"])
def driven(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds wherever the connections live; the thread is for systems without epoll."""
    if request.param == "on a thread":
        monkeypatch.setattr(transport, "drive", CurlThread)
    elif sys.platform != "linux":
        pytest.skip("there is no epoll")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


def run(ask: Callable[[Curl], Coroutine[Any, Any, Any]], timeouts: Timeouts = PATIENT, most: int = 8) -> Any:
    """Ask through a transport that is closed behind it."""

    async def asking() -> Any:
        curl = Curl(timeouts, most)
        try:
            return await asyncio.wait_for(ask(curl), 30)
        finally:
            await curl.close()

    return asyncio.run(asking())


def get(recorder: Recorder, limit: int = 1000, route: Route = PLAIN, timeouts: Timeouts = PATIENT) -> Answer:
    answer = run(lambda curl: curl.get(route, f"{recorder.endpoint}/x", limit), timeouts)
    assert isinstance(answer, Answer)
    return answer


async def arrived(recorder: Recorder) -> None:
    """Wait for a request to be at the server."""
    while not recorder.requests:  # noqa: ASYNC110  # the server is on a thread of its own
        await asyncio.sleep(0.01)


def fails(recorder: Recorder, limit: int = 1000, timeouts: Timeouts = PATIENT, route: Route = PLAIN) -> TransferError:
    with pytest.raises(TransferError) as caught:
        get(recorder, limit, route, timeouts)
    return caught.value


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines))
    return head.encode("latin-1") + b"\r\n\r\n" + body


def test_an_answer_has_status_headers_and_body(recorder: Recorder) -> None:
    recorder.last = answer(b"content", 'ETag:"a"', "x-amz-meta-Odd: \xff\x01", "etag: second", status="404 Not Found")
    found = get(recorder)
    assert (found.status, found.body, found.size) == (404, b"content", 7)
    assert (found.header(b"etag"), found.header(b"et"), found.header(b"x-amz-meta-odd")) == ('"a"', None, "\ufffd\x01")


def test_only_the_last_head_counts_and_no_trailer(recorder: Recorder) -> None:
    recorder.last = (
        b"HTTP/1.1 100 Continue\r\nETag: first\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: ETag\r\n"
        b"\r\n2\r\nok\r\n0\r\nETag: trailing\r\n\r\n"
    )
    found = get(recorder)
    assert (found.status, found.body, found.header(b"etag")) == (200, b"ok", None)


def test_connections_are_used_again(recorder: Recorder) -> None:
    async def ask(curl: Curl) -> None:
        for _ in range(5):
            await curl.get(PLAIN, f"{recorder.endpoint}/x", 10)

    run(ask)
    assert (len(recorder.requests), recorder.connections) == (5, 1)


def test_no_more_requests_are_under_way_than_allowed(recorder: Recorder) -> None:
    async def ask(curl: Curl) -> None:
        await asyncio.gather(*(curl.get(PLAIN, f"{recorder.endpoint}/{number}", 10) for number in range(40)))

    run(ask, most=3)
    assert len(recorder.requests) == 40
    assert recorder.connections <= 3


@pytest.mark.parametrize(
    "cut",
    [
        None,
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd",
        b"SSH-2.0-x\r\n\r\n",
    ],
    ids=["closed", "nothing", "half a head", "half a body", "no HTTP"],
)
def test_what_is_not_whole_is_no_answer(recorder: Recorder, cut: bytes | None) -> None:
    recorder.last, recorder.closes = cut, True
    assert fails(recorder).where is Broken.OTHERWISE


def test_a_chunked_body_that_breaks_off_is_no_answer(recorder: Recorder) -> None:
    recorder.last, recorder.closes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", True
    assert fails(recorder).where is Broken.OTHERWISE


@pytest.mark.parametrize("announced", [True, False])
def test_more_than_the_limit_is_not_taken(recorder: Recorder, announced: bool) -> None:
    body = bytes(300_000)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + body + b"\r\n0\r\n\r\n"
    recorder.last = answer(body) if announced else chunked
    assert fails(recorder, limit=1000).where is Broken.TOO_LONG
    assert get(recorder, limit=300_000).size == 300_000


def test_silence_ends_a_request(recorder: Recorder) -> None:
    recorder.last = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"  # and then nothing
    error = fails(recorder, timeouts=QUICK)
    assert "stalled for 0.3 s" in error.detail


def test_a_drip_is_bounded_by_its_progress() -> None:
    """A byte in time, each time, for ever: it ends when it has taken too long for so little."""
    with recording() as recorder:
        recorder.drip = 0.05
        recorder.last = answer(bytes(100_000))
        error = fails(recorder, timeouts=QUICK, limit=100_000)
    assert "too slow" in error.detail


def test_those_who_wait_for_their_turn_do_not_time_out(recorder: Recorder) -> None:
    """With one request at a time, the last of ten begins long after the first's time is up."""
    recorder.delay = 0.1

    async def ask(curl: Curl) -> int:
        got = await asyncio.gather(*(curl.get(PLAIN, f"{recorder.endpoint}/{number}", 10) for number in range(10)))
        return len(got)

    assert run(ask, QUICK, most=1) == 10


def test_nobody_follows_a_redirect(recorder: Recorder) -> None:
    with recording() as other:
        recorder.last = answer(b"", f"Location: {other.endpoint}/elsewhere", status="301 Moved")
        assert get(recorder, route=Route(where(), headers=("X-Amz-Security-Token: secret",))).status == 301
        assert other.requests == []


def test_encoded_content_stays_as_it_is(recorder: Recorder) -> None:
    recorder.last = answer(b"\x1f\x8bnot inflated", "Content-Encoding: gzip")
    assert get(recorder).body == b"\x1f\x8bnot inflated"
    assert "accept-encoding" not in recorder.requests[0].headers


def test_nothing_is_read_from_the_environment(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    (tmp_path / ".curlrc").write_text('header = "X-From-Curlrc: yes"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    recorder.last = answer(b"ok", "Set-Cookie: a=b; Path=/")

    async def ask(curl: Curl) -> None:
        for _ in range(2):
            await curl.get(PLAIN, f"{recorder.endpoint}/x", 10)

    run(ask)
    for request in recorder.requests:
        assert set(request.headers) == {"host", "accept"}


def test_a_proxy_that_is_given_is_used_whatever_no_proxy_says(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 has judged NO_PROXY by then."""
    monkeypatch.setenv("NO_PROXY", "*")
    route = Route(where(), proxy=recorder.endpoint, headers=("X-Amz-Security-Token: secret",))
    run(lambda curl: curl.get(route, "http://s3.example.com/x", 10))
    assert recorder.requests[0].target == "http://s3.example.com/x"
    recorder.last = answer(b"no", status="407 Proxy Authentication Required")
    with pytest.raises(TransferError, match="407"):
        run(lambda curl: curl.get(route, "https://s3.example.com/x", 10))
    assert recorder.requests[1].target == "s3.example.com:443"
    assert "x-amz-security-token" not in recorder.requests[1].headers


def test_what_cannot_be_reached() -> None:
    for url, broken in (
        ("http://127.0.0.1:9/x", Broken.UNREACHABLE),
        ("http://nowhere.invalid/x", Broken.UNREACHABLE),
        ("ftp://127.0.0.1/x", Broken.OTHERWISE),
        ("http://[/x", Broken.OTHERWISE),
    ):
        with pytest.raises(TransferError) as caught:
            run(lambda curl, url=url: curl.get(PLAIN, url, 10))  # type: ignore[misc]  # bound at once
        assert caught.value.where is broken, url


def test_a_certificate_of_an_authority_that_is_not_trusted(tmp_path: Path) -> None:
    from tests.servers.certificates import Authority

    authority = Authority(tmp_path)
    with recording(authority.context("localhost")) as recorder:
        url = f"https://localhost:{recorder.endpoint.rpartition(':')[2]}/x"
        with pytest.raises(TransferError) as caught:
            run(lambda curl: curl.get(PLAIN, url, 10))
        assert caught.value.where is Broken.CERTIFICATE
        trusted = Route(str(authority.ca_file))
        assert run(lambda curl: curl.get(trusted, url, 10)).status == 200
        with pytest.raises(TransferError) as caught:  # a name that it was not made for
            run(lambda curl: curl.get(trusted, url.replace("localhost", "127.0.0.1"), 10))
        assert caught.value.where is Broken.CERTIFICATE


class TestStream:
    def test_large_bodies_come_in_pieces_and_wait_for_who_takes_them(self, recorder: Recorder) -> None:
        body = os.urandom(6 * PIECE_BYTES + 17)
        recorder.last = answer(body)
        pieces: list[bytes] = []

        async def take(piece: bytes) -> None:
            await asyncio.sleep(0.02)
            pieces.append(piece)

        found = run(lambda curl: curl.stream(PLAIN, f"{recorder.endpoint}/x", len(body), take))
        assert b"".join(pieces) == body
        assert (found.status, found.size, found.body) == (200, len(body), b"")
        assert max(map(len, pieces)) < 2 * PIECE_BYTES

    def test_slow_takers_are_no_stall(self, recorder: Recorder) -> None:
        body = bytes(6 * PIECE_BYTES)
        recorder.last = answer(body)
        taken = 0

        async def take(piece: bytes) -> None:
            nonlocal taken
            await asyncio.sleep(2.5 * QUICK.read)
            taken += len(piece)

        run(lambda curl: curl.stream(PLAIN, f"{recorder.endpoint}/x", len(body), take), QUICK)
        assert taken == len(body)

    def test_refusals_come_whole(self, recorder: Recorder) -> None:
        recorder.last = answer(b"<Error/>", status="404 Not Found")

        async def take(piece: bytes) -> None:
            raise AssertionError(piece)

        found = run(lambda curl: curl.stream(PLAIN, f"{recorder.endpoint}/x", 1000, take))
        assert (found.status, found.body) == (404, b"<Error/>")

    def test_what_the_taker_raises_comes_through(self, recorder: Recorder) -> None:
        recorder.last = answer(bytes(5 * PIECE_BYTES))

        async def take(piece: bytes) -> None:
            raise ZeroDivisionError

        async def ask(curl: Curl) -> int:
            with pytest.raises(ZeroDivisionError):
                await curl.stream(PLAIN, f"{recorder.endpoint}/x", 10 * PIECE_BYTES, take)
            recorder.last = answer(b"ok")
            return (await curl.get(PLAIN, f"{recorder.endpoint}/x", 10)).size

        assert run(ask) == 2


class TestClose:
    def test_ends_what_is_under_way_and_all_threads(self, recorder: Recorder) -> None:
        recorder.last = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"

        async def ask() -> None:
            curl = Curl(PATIENT, 2)
            asked = [asyncio.create_task(curl.get(PLAIN, f"{recorder.endpoint}/{n}", 10)) for n in range(4)]
            await arrived(recorder)
            await curl.close()
            for outcome in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(outcome, TransferError)
            with pytest.raises(TransferError):
                await curl.get(PLAIN, f"{recorder.endpoint}/late", 10)

        asyncio.run(ask())
        for thread in _threads():
            thread.join(10)
            assert not thread.is_alive()

    def test_a_loop_that_is_gone_is_no_error(self, recorder: Recorder) -> None:
        """Who is interrupted does not close, and the thread must not complain of a closed loop."""
        recorder.last = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"

        async def ask() -> Curl:
            curl = Curl(QUICK, 2)
            task = asyncio.create_task(curl.get(PLAIN, f"{recorder.endpoint}/x", 10))
            await arrived(recorder)
            task.cancel()
            return curl

        curl = asyncio.run(ask())
        assert curl._driver is not None
        if isinstance(curl._driver, CurlThread):
            curl._driver._stopping = True
            curl._driver._ring()
        for thread in _threads():
            thread.join(10)

    def test_a_cancelled_request_frees_its_place(self, recorder: Recorder) -> None:
        async def ask(curl: Curl) -> int:
            recorder.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"]
            task = asyncio.create_task(curl.get(PLAIN, f"{recorder.endpoint}/x", 10))
            await arrived(recorder)
            task.cancel()
            return (await curl.get(PLAIN, f"{recorder.endpoint}/y", 10)).size

        assert run(ask, most=1) == 2


def test_connections_that_the_server_closes_between_two_requests(recorder: Recorder) -> None:
    """Numbers of closed sockets are given to new ones, and what was known of the old must not count for these."""
    recorder.closes = True

    async def ask(curl: Curl) -> list[int]:
        sizes = []
        for _ in range(30):
            answers = await asyncio.gather(*(curl.get(PLAIN, f"{recorder.endpoint}/x", 10) for _ in range(3)))
            sizes += [answer.size for answer in answers]
        return sizes

    assert run(ask) == [2] * 90
    assert recorder.connections == 90


def test_what_came_while_the_loop_was_busy_has_not_stalled(recorder: Recorder) -> None:
    """Longer than the silence that ends a request, the loop does something else."""
    recorder.delay = 0.1

    async def ask(curl: Curl) -> int:
        asked = asyncio.create_task(curl.get(PLAIN, f"{recorder.endpoint}/x", 10))
        await arrived(recorder)
        time.sleep(3 * QUICK.read)  # noqa: ASYNC251  # that is the point
        return (await asked).size

    assert run(ask, QUICK) == 2


def test_an_error_of_our_own_leaves_nobody_waiting(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Connections) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Connections, "_collect", broken)

    async def ask(curl: Curl) -> None:
        for _ in range(2):
            with pytest.raises(TransferError, match="ZeroDivisionError"):
                await curl.get(PLAIN, f"{recorder.endpoint}/x", 10)

    run(ask)
    assert "ZeroDivisionError" in caplog.text


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ctvalidate-curl"]
