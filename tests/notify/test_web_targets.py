"""Webhooks, heartbeats, files and Apprise, on servers of this computer: what is sent, refused and kept secret."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.notify.event import build_event
from cloudtrail_validate.notify.heartbeat import beat, check_heartbeat
from cloudtrail_validate.notify.http import Attempts, check_url, send
from cloudtrail_validate.notify.target import DeliveryError, parse_target
from cloudtrail_validate.notify.webhook import MAX_TEXT, SECRET, SIGNATURE, WebhookTarget, payload
from cloudtrail_validate.report import Report, Verdict
from tests.notify.helpers import Sender, changed, healed, many
from tests.report import samples
from tests.servers.receiver import Reply, self_signed
from tests.servers.receiver import receiver as serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.receiver import Receiver

QUICK = Attempts(timeout=2.0, tries=3, wait=0.0)


# -- webhook ---------------------------------------------------------------------------------------------------------


def test_webhook_posts_the_event_and_a_text(receiver: Receiver) -> None:
    assert parse_target(f"webhook:{receiver.url}/hook/T0KEN").deliver(changed(), Sender()) is None
    (got,) = receiver.got
    assert (got.method, got.path, got.headers["content-type"]) == ("POST", "/hook/T0KEN", "application/json")
    body = json.loads(got.body)
    assert body["schema"] == "ctvalidate.event/1"
    assert body["text"].startswith("ctvalidate CHANGED: 1 altered - mgmt\n```\n")
    assert (body["verdict"], body["exit_code"], body["dedup_key"]) == ("changed", 1, changed().id)
    assert [item["id"] for item in body["opened"]] == [item.id for item in changed().opened]
    assert SIGNATURE.lower() not in got.headers


def test_webhook_is_signed_with_a_secret_from_the_environment(receiver: Receiver) -> None:
    parse_target(f"webhook:{receiver.url}/").deliver(changed(), Sender(**{SECRET: "s3cret"}))
    (got,) = receiver.got
    wanted = hmac.new(b"s3cret", got.body, hashlib.sha256).hexdigest()
    assert got.headers[SIGNATURE.lower()] == f"sha256={wanted}"
    assert b"s3cret" not in got.body


@pytest.mark.parametrize("told", [samples.hostile(), samples.huge(), samples.empty()], ids=["hostile", "huge", "empty"])
def test_webhook_text_holds_nothing_that_a_chat_obeys(told: Report) -> None:
    event = build_event(told)
    whole, chat = json.loads(payload(event)), json.loads(payload(event, text_only=True))
    assert list(chat) == ["text"]  # Google Chat refuses a message with fields that it does not know
    assert chat["text"] == whole["text"]
    assert len(chat["text"]) < MAX_TEXT + 200
    inner = chat["text"].split("```")
    assert len(inner) == 3
    assert not set("<>@*|") & set(inner[0] + inner[1])
    assert payload(event).isascii()
    assert len(payload(event)) < 2_000_000


def test_webhook_body_is_capped() -> None:
    body = json.loads(payload(many(300)))
    assert (len(body["opened"]), body["numbers"]["opened"]) == (100, 300)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    with serve() as elsewhere:
        receiver.replies = [Reply(status, {"Location": f"{elsewhere.url}/stolen"})]
        with pytest.raises(DeliveryError, match=f"HTTP status {status}, a redirect, not followed"):
            WebhookTarget(f"{receiver.url}/", QUICK).deliver(changed(), Sender())
        assert elsewhere.got == []
    assert len(receiver.got) == 1


def test_passing_failures_are_tried_again(receiver: Receiver) -> None:
    receiver.replies = [Reply(503), Reply(429, {"Retry-After": "0"}), Reply(204, body=b"")]
    WebhookTarget(f"{receiver.url}/", QUICK).deliver(changed(), Sender())
    assert len(receiver.got) == 3
    assert len({got.body for got in receiver.got}) == 1


def test_a_refusal_is_not_tried_again(receiver: Receiver) -> None:
    receiver.replies = [Reply(403)]
    with pytest.raises(DeliveryError, match="HTTP status 403"):
        WebhookTarget(f"{receiver.url}/", QUICK).deliver(changed(), Sender())
    assert len(receiver.got) == 1


def test_it_gives_up_in_the_end(receiver: Receiver) -> None:
    receiver.replies = [Reply(500)] * 9
    with pytest.raises(DeliveryError, match="HTTP status 500"):
        WebhookTarget(f"{receiver.url}/", QUICK).deliver(changed(), Sender())
    assert len(receiver.got) == QUICK.tries


def test_waits_double_and_obey_retry_after_within_reason(receiver: Receiver) -> None:
    waits: list[float] = []
    receiver.replies = [Reply(503, {"Retry-After": "7"}), Reply(503, {"Retry-After": "99999"}), Reply(503), Reply(200)]
    send(f"{receiver.url}/", attempts=Attempts(timeout=2.0, tries=4, wait=1.0), sleep=waits.append)
    assert waits == [7.0, 30.0, 4.0]


def test_silence_ends(receiver: Receiver) -> None:
    receiver.replies = [Reply(hang=30.0)]
    with pytest.raises(DeliveryError, match="timed out"):
        send(f"{receiver.url}/SECRET", attempts=Attempts(timeout=0.3, tries=1))


def test_nonsense_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(b"\x00\x01garbage\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(DeliveryError, match="no answer: BadStatusLine"):
            send(
                f"http://127.0.0.1:{server.getsockname()[1]}/SECRET", attempts=Attempts(timeout=2.0, tries=2, wait=0.0)
            )
        thread.join(5)


def test_certificates_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    with serve((certificate, key)) as server:
        with pytest.raises(DeliveryError, match=r"certificate: self.signed certificate"):
            WebhookTarget(f"{server.url}/SECRET", QUICK).deliver(changed(), Sender())
        assert server.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        WebhookTarget(f"{server.url}/SECRET", QUICK).deliver(changed(), Sender())
        assert server.paths == ["/SECRET"]


def test_another_hosts_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path, "alerts.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serve((certificate, key)) as server, pytest.raises(DeliveryError, match="certificate: Hostname mismatch"):
        WebhookTarget(f"{server.url}/", QUICK).deliver(changed(), Sender())
    assert server.got == []


SECRETS = ("T0KEN", "hunter2", "jane")


@pytest.mark.parametrize(
    "text",
    [
        "webhook:https://jane:hunter2@alerts.invalid:8443/services/T0KEN?key=hunter2#T0KEN",
        "apprise:mailto://jane:hunter2@smtp.invalid?to=T0KEN",
    ],
)
def test_no_secret_of_a_url_is_shown(text: str) -> None:
    target = parse_target(text)
    shown = [target.name, repr(target), str(target)]
    assert not any(secret in line for secret in SECRETS for line in shown), shown


def test_no_secret_of_a_url_is_in_an_error() -> None:
    for url in ("http://127.0.0.1:1/T0KEN", "https://jane:hunter2@127.0.0.1:1/T0KEN"):
        with pytest.raises(DeliveryError) as caught:
            send(url, attempts=Attempts(timeout=1.0, tries=1))
        assert not any(secret in str(caught.value) for secret in SECRETS), caught.value


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com/T0KEN", "file:///etc/passwd", "https://", "https:///T0KEN"),
        *("http://example.com/T0KEN", "http://10.0.0.1/T0KEN", "http://127.0.0.1.example.com/T0KEN"),
        *("https://example.com/T0KEN\r\nX: y", "https://example.com/T0 KEN", "https://exämple.com/T0KEN"),
        *("https://example.com:99999/T0KEN", "https://[::1/T0KEN", "javascript:T0KEN"),
    ],
)
def test_urls_that_cannot_be_meant_are_refused_without_repeating_them(url: str) -> None:
    for check in (lambda text: parse_target(f"webhook:{text}"), check_heartbeat):
        with pytest.raises(RequestError) as caught:
            check(url)
        assert "T0KEN" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/x", "http://[::1]:1/x", "http://127.9.9.9/x", "https://example.com/x?y=z"]
)
def test_urls_that_are_taken(url: str) -> None:
    assert check_url("--heartbeat", url) == url


# -- heartbeat -------------------------------------------------------------------------------------------------------


def test_heartbeat_is_fetched_with_what_it_asks_for(receiver: Receiver) -> None:
    beat(check_heartbeat(f"{receiver.url}/ping/UUID"), Verdict.CHANGED, 1)
    beat(check_heartbeat(f"{receiver.url}/ping/{{exit_code}}?status={{verdict}}"), Verdict.UNPROVEN, 3)
    assert [(got.method, got.path) for got in receiver.got] == [
        ("GET", "/ping/UUID"),
        ("GET", "/ping/3?status=unproven"),
    ]


def test_heartbeat_that_fails_is_told(receiver: Receiver) -> None:
    receiver.replies = [Reply(404)]
    with pytest.raises(DeliveryError, match="HTTP status 404"):
        beat(f"{receiver.url}/ping/T0KEN", Verdict.VALID, 0)


# -- file ------------------------------------------------------------------------------------------------------------


def test_file_grows_by_a_line_a_run(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for event in (changed(), healed(), build_event(samples.hostile())):
        assert parse_target(f"file:{path}").deliver(event, Sender()) is None
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["changed", "valid", "changed"]
    assert all(line.isascii() for line in lines)
    assert [item["id"] for item in json.loads(lines[1])["healed"]] == [item.id for item in changed().opened]


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files")
def test_file_is_not_for_everybody(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        parse_target(f"file:{tmp_path / 'events.jsonl'}").deliver(changed(), Sender())
    finally:
        os.umask(old)
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o7 == 0


def test_file_lines_of_many_runs_do_not_mix(tmp_path: Path) -> None:
    target, event = parse_target(f"file:{tmp_path / 'events.jsonl'}"), many(60)
    threads = [threading.Thread(target=target.deliver, args=(event, Sender())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert len(lines) == 16
    assert {len(json.loads(line)["opened"]) for line in lines} == {60}


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_file_on_a_full_disk_is_told() -> None:
    with pytest.raises(DeliveryError, match="No space left on device"):
        parse_target("file:/dev/full").deliver(changed(), Sender())


def test_file_in_no_folder_is_refused(tmp_path: Path) -> None:
    for text in (f"file:{tmp_path / 'no' / 'events'}", f"file:{tmp_path}", "file:"):
        with pytest.raises(RequestError, match="--notify"):
            parse_target(text)


# -- Apprise ---------------------------------------------------------------------------------------------------------


def test_apprise_delivers(receiver: Receiver) -> None:
    address = receiver.url.removeprefix("http://")
    target = parse_target(f"apprise:json://{address}/T0KEN")
    for event in (changed(), build_event(samples.verdicts()[Verdict.UNPROVEN]), healed()):
        assert target.deliver(event, Sender()) is None
    told = [json.loads(got.body) for got in receiver.got]
    assert [one["type"] for one in told] == ["failure", "warning", "success"]
    assert told[0]["title"] == "ctvalidate CHANGED: 1 altered - mgmt"
    assert "log-altered [altered]" in told[0]["message"]


def test_apprise_that_fails_is_told_without_its_url(receiver: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    receiver.replies = [Reply(500)]
    address = receiver.url.removeprefix("http://")
    with pytest.raises(DeliveryError, match="not delivered") as caught:
        parse_target(f"apprise:json://jane:hunter2@{address}/T0KEN").deliver(changed(), Sender())
    said = capfd.readouterr()
    assert not any(secret in text for secret in SECRETS for text in (str(caught.value), said.out, said.err))


def test_apprise_url_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(RequestError, match="expected a URL that Apprise knows, got 'nonsense'"):
        parse_target("apprise:nonsense://T0KEN")


def test_apprise_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(RequestError, match=r"pip install 'ctvalidate\[notify\]'"):
        parse_target("apprise:json://localhost")
