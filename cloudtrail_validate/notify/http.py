"""One HTTP request that leaves nothing open: HTTPS verified, no redirect followed, bounded in time, tried again.

A URL of a webhook is a password, so no error repeats it. Plain HTTP is for this computer only.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.target import DeliveryError
from cloudtrail_validate.runtime.redirects import opener_without_redirects

ANSWER_BYTES: Final = 4_096  # read of an answer, and not used: so that the connection can be closed in order
MAX_WAIT: Final = 30.0  # seconds that a Retry-After is obeyed
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})  # what passes, as curl --retry has it


class Attempts(msgspec.Struct, frozen=True):
    """How patient to be. `timeout` is seconds of silence, `wait` seconds before the second try, doubled before the third."""

    timeout: float = 10.0
    tries: int = 3
    wait: float = 1.0


def check_url(option: str, url: str) -> str:
    """The URL, if a request may go there. Raises `RequestError`, which repeats no secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    clean = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("https", "http") or not host or port == 0 or not clean:
        raise RequestError(f"{option}: expected a URL such as https://alerts.example.com/path")
    if parts.scheme == "http" and not _is_local(host):
        raise RequestError(f"{option}: expected https:// (plain http:// is for this computer only), got http://{host}")
    return url


def shown(url: str) -> str:
    """A URL as anybody may see it: scheme, host and port."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/…"


def send(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    attempts: Attempts | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """POST `body`, or GET where there is none, until an answer 2xx. Raises `DeliveryError`."""
    patience = attempts or Attempts()
    opener = opener_without_redirects()
    told = {"User-Agent": f"ctvalidate/{version('ctvalidate')}", **(headers or {})}
    failure, wait = "no attempt", 0.0
    for attempt in range(patience.tries):
        if attempt:
            sleep(wait)
        wait = patience.wait * 2**attempt
        request = urllib.request.Request(url, data=body, headers=told, method="GET" if body is None else "POST")  # noqa: S310  # check_url has looked
        try:
            with opener.open(request, timeout=patience.timeout) as answer:
                answer.read(ANSWER_BYTES)
                if 200 <= answer.status < 300:
                    return
                failure = f"HTTP status {answer.status}"
        except urllib.error.HTTPError as error:
            with error:
                failure = f"HTTP status {error.code}" + (
                    ", a redirect, not followed" if 300 <= error.code < 400 else ""
                )
                if error.code not in _AGAIN:
                    break
                wait = min(MAX_WAIT, max(wait, _retry_after(error.headers.get("Retry-After"))))
        except ssl.SSLCertVerificationError as error:
            failure = f"certificate: {error.verify_message}"
            break
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                failure = f"certificate: {error.reason.verify_message}"
                break
            failure = f"no connection: {_kind(error.reason)}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            failure = f"no answer: {_kind(error)}"
    raise DeliveryError(printable(failure))


def _kind(error: object) -> str:
    """What went wrong, in words that hold no URL: the system's own, or the exception's name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "timed out" if isinstance(error, TimeoutError) else type(error).__name__


def _retry_after(text: str | None) -> float:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
