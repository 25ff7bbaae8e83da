"""Requests that libcurl signs bear the signature that botocore would give them; what it cannot sign, boto3 does."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.session import Session as Inner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core.errors import AbsentError
from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores.curl import Curl
from cloudtrail_validate.stores.s3_ways import Ways
from tests.servers.clients import ACCESS_KEY, REGION, SECRET_KEY
from tests.stores.recorder import recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.stores.recorder import Recorder, Request

BUCKET = "amzn-s3-demo-bucket"
TOKEN = "AQoDYXdzEJr//+/=EXAMPLE"
LIMITS = Timeouts(connect=5.0, read=5.0, retries=0, give_up=1.0)
KEYS = (
    "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/111122223333_CloudTrail_us-east-1_20260101T0000Z_aB3.json.gz",
    *(
        "with space + plus",
        "100%",
        "%2F%41%2e",
        "a//b",
        "/a",
        "//",
        "a/",
        "a/ /b",
        "ü é ～ \U0001f600",
        "a!*()$,;'",
        "?x=1",
    ),
    *(
        "=?&#;:@'\"<>[]{}|^`~",
        "tab\t",
        "line\nfeed",
        "\x01\x7f",
        "\\",
        "..a/b..",
        ".a",
        "a.",
        "...",
        "a/.../b",
        "~",
        "#x",
        "+",
    ),
)
DOTTED = (".", "..", "a/../b", "./a", "../a", "a/.", "a/..", "a/./b", "/../a", "é/../%2e")


class Sender:
    """Sends requests as the store does, by one identity, and shows what arrives."""

    def __init__(self, recorder: Recorder, inner: Inner | None = None, token: str | None = TOKEN) -> None:
        session = boto3.Session(ACCESS_KEY, SECRET_KEY, token, region_name=REGION, botocore_session=inner)
        self._aws = Aws(session, endpoint_url=recorder.endpoint, connect=5, read=5, attempts=1)
        self._recorder = recorder
        self._threads = ThreadPoolExecutor(4)

    def get(self, keys: Sequence[str]) -> list[Request]:
        """What arrives when objects are asked for."""
        return asyncio.run(self._send(keys, ()))

    def pages(self, pages: Sequence[Mapping[str, Any]]) -> list[Request]:
        """What arrives when pages of a listing are asked for."""
        return asyncio.run(self._send((), pages))

    async def _send(self, keys: Sequence[str], pages: Sequence[Mapping[str, Any]]) -> list[Request]:
        curl, ways = Curl(LIMITS, 4), Ways(lambda: self._aws, self._threads)
        way = await ways.to(BUCKET)
        self._recorder.requests.clear()
        for key in keys:
            await curl.get(*await ways.to_object(way, key), 100)
        for page in pages:
            await curl.get(*await ways.to_page(way, page), 100)
        await curl.close()
        return list(self._recorder.requests)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture(scope="module")
def sender(recorder: Recorder) -> Sender:
    return Sender(recorder)


def expected(request: Request) -> str:
    """The Authorization header that botocore makes for what was received."""
    said = re.search(r"SignedHeaders=([^,]+)", request.headers["authorization"])
    assert said is not None
    auth = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)
    headers = {name: request.headers[name] for name in said[1].split(";")}
    again = AWSRequest("GET", f"http://{request.headers['host']}{request.target}", headers)
    again.context["timestamp"] = request.headers["x-amz-date"]
    signed = auth.signed_headers(auth.headers_to_sign(again))
    made = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(again)}, SignedHeaders={signed}, Signature={made}"


def key_of(request: Request) -> str:
    """The key that a server takes a request to be for."""
    return unquote(request.target.partition("?")[0].removeprefix(f"/{BUCKET}/"), errors="strict")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), min_size=1, max_size=8)
)
@example(keys=list(KEYS))
@example(keys=list(DOTTED))
def test_any_key_arrives_as_it_is_and_rightly_signed(sender: Sender, keys: list[str]) -> None:
    requests = sender.get(keys)
    assert [key_of(request) for request in requests] == keys
    for request in requests:
        assert request.headers["authorization"] == expected(request)
        assert request.headers["x-amz-security-token"] == TOKEN
        assert "x-amz-security-token" in request.headers["authorization"]
        assert "user-agent" not in request.headers["authorization"], "what stands between may change it"
        assert request.headers["user-agent"].startswith("ctvalidate/")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=2, max_size=2)
)
@example(texts=["AWSLogs/o-exampleorgid/", "a+b c%/=&~"])
@example(texts=["é \x01/", "1/token+with=&signs/=="])
def test_any_page_is_asked_for_as_meant_and_rightly_signed(sender: Sender, texts: list[str]) -> None:
    prefix, other = texts
    first = {"Prefix": prefix, "MaxKeys": 1000, "StartAfter": other}
    second = {"Prefix": prefix, "MaxKeys": 1, "Delimiter": "/", "ContinuationToken": other}
    requests = sender.pages([first, second])
    asked = [parse_qs(request.target.partition("?")[2], strict_parsing=True) for request in requests]
    shared = {"list-type": ["2"], "encoding-type": ["url"], "prefix": [prefix]}
    assert asked[0] == {**shared, "max-keys": ["1000"], "start-after": [other]}
    assert asked[1] == {**shared, "max-keys": ["1"], "delimiter": ["/"], "continuation-token": [other]}
    for request in requests:
        assert request.headers["authorization"] == expected(request)


def test_a_key_that_none_can_be_is_absent(sender: Sender) -> None:
    for key in ("", "\ud800"):
        with pytest.raises(AbsentError):
            sender.get([key])


def configured(**options: Any) -> Inner:
    """A session of botocore's with a configuration of its own."""
    inner = Inner()
    inner.set_default_client_config(Config(**options))
    return inner


def test_what_is_to_be_unsigned_is(recorder: Recorder) -> None:
    for request in Sender(recorder, configured(signature_version=UNSIGNED)).get([*KEYS[:3], "a/../b"]):
        assert not {"authorization", "x-amz-security-token", "x-amz-date"} & request.headers.keys()


def test_other_signatures_than_version_4_are_boto3s(recorder: Recorder) -> None:
    sender = Sender(recorder, configured(signature_version="s3"))
    requests = [*sender.get([*KEYS[:3], "a/../b"]), *sender.pages([{"Prefix": "a b/", "MaxKeys": 7}])]
    assert [key_of(request) for request in requests[:-1]] == [*KEYS[:3], "a/../b"]
    assert all(request.headers["authorization"].startswith(f"AWS {ACCESS_KEY}:") for request in requests)
    assert parse_qs(requests[-1].target.partition("?")[2])["prefix"] == ["a b/"]


def test_without_a_token_there_is_none(recorder: Recorder) -> None:
    for request in Sender(recorder, token=None).get([KEYS[0], "a/../b"]):
        assert "x-amz-security-token" not in request.headers
        assert request.headers["authorization"] == expected(request)
