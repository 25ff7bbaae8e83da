"""What S3 is believed: content only as listed, absence only by S3's own word, a listing only if it is the one asked for."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.model import Cause, Locator
from tests.faults.every import CUSTOMER_KEY, WAYS, page
from tests.servers import faults
from tests.servers.raw import Raw
from tests.stores.kit import BUCKET, gz, noise, sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtrail_validate.core.gzip import Content
    from cloudtrail_validate.stores.protocol import Store
    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy
    from tests.stores.kit import Place

KEY = "a/log.json.gz"
OBJECT: dict[str, Any] = {"path": f"/{KEY}$", "method": "GET"}
LISTING: dict[str, Any] = {"query": "list-type=2"}
LARGE = 5_000_000  # bytes that do not compress: streamed


@pytest.fixture
def proxy(aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """What stands between the tool and moto."""
    made = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", made.endpoint)
    return made


def listed(bucket: Place) -> tuple[int, str]:
    """What the listing says of the object."""
    info = bucket.exact(KEY)
    assert info is not None
    return info.size, info.etag


def read(bucket: Place, size: int | None, etag: str = "") -> Content:
    return bucket.run(lambda store: store.content(Locator(bucket.bucket, KEY), size, etag))


def fails(bucket: Place, size: int | None, etag: str = "") -> StoreError:
    with pytest.raises(StoreError) as caught:
        read(bucket, size, etag)
    return caught.value


class TestContent:
    @pytest.mark.parametrize("size", [700, LARGE])
    @pytest.mark.parametrize("known", [True, False], ids=["listed", "not listed"])
    @pytest.mark.parametrize(
        "way",
        ["cut and mended", "cut to nothing and mended", "HTML", "XHTML", "an error under 200", "nothing under 200"],
    )
    def test_that_is_not_what_is_listed_is_asked_for_again(
        self, proxy: FaultProxy, bucket: Place, size: int, known: bool, way: str
    ) -> None:
        bucket.put(KEY, gz(noise(size)), None)
        place = listed(bucket) if known else (None, "")
        rule = proxy.fault(WAYS[way], first=1, **OBJECT)
        assert read(bucket, *place).sha256 == sha256(noise(size))
        assert rule.fired == 1
        proxy.fault(WAYS[way], **OBJECT)
        error = fails(bucket, *place)
        assert error.cause is Cause.NETWORK

    @pytest.mark.parametrize("size", [700, LARGE])
    def test_that_was_rewritten_since_counts_as_it_is_now(self, bucket: Place, size: int) -> None:
        bucket.put(KEY, gz(noise(size)), None)
        before = listed(bucket)
        for body in (gz(noise(size, seed=1)), gz(noise(size + 100)), gz(b"")):
            bucket.put(KEY, body, {"signature": "new"})
            content = read(bucket, *before)
            assert content == read(bucket, *listed(bucket))
            assert content.flaw is None
        kept, metadata = bucket.run(lambda store: digest(store, bucket, before))
        assert (kept, metadata["signature"]) == (b"", "new")

    def test_where_nothing_may_be_listed_two_reads_must_agree(self, proxy: FaultProxy, bucket: Place) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        proxy.fault(faults.access_denied(), **LISTING)
        proxy.reset_counters()
        assert read(bucket, None).sha256 == sha256(noise(700))
        assert proxy.count("GET", KEY) == 2
        rule = proxy.fault(faults.Mend(100), first=1, **OBJECT)
        assert read(bucket, None).sha256 == sha256(noise(700))
        assert rule.fired == 1

    def test_says_which_of_both_differs(self, proxy: FaultProxy, bucket: Place) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        size, etag = listed(bucket)
        proxy.fault(faults.access_denied(), **LISTING)
        proxy.fault(faults.Mend(100), **OBJECT)
        assert fails(bucket, size, etag).detail == f"100 bytes came of an object of {size:,}"
        proxy.clear()
        proxy.fault(faults.access_denied(), **LISTING)
        proxy.fault(faults.Respond(200, bytes(size)), **OBJECT)
        assert "another ETag" in fails(bucket, size, etag).detail

    def test_of_a_server_that_lists_no_etag_is_judged_by_its_length(self, bucket: Place) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        assert read(bucket, listed(bucket)[0], "").sha256 == sha256(noise(700))


async def digest(store: Store, bucket: Place, before: tuple[int, str]) -> tuple[bytes, Any]:
    inflater, metadata = await store.digest(Locator(bucket.bucket, KEY), *before)
    return inflater.kept(), metadata


class TestAbsence:
    @pytest.mark.parametrize("known", [True, False], ids=["listed", "not listed"])
    @pytest.mark.parametrize(
        "way", ["404", "404 without a body", "404 NoSuchKey", "404 NoSuchBucket", "absence under 200"]
    )
    def test_once_is_no_absence(self, proxy: FaultProxy, bucket: Place, known: bool, way: str) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        place = listed(bucket) if known else (None, "")
        rule = proxy.fault(WAYS[way], first=1, **OBJECT)
        assert read(bucket, *place).sha256 == sha256(noise(700))
        assert rule.fired == 1

    @pytest.mark.parametrize("way", ["404", "404 without a body", "absence under 200"])
    def test_without_s3s_own_word_there_is_none(self, proxy: FaultProxy, bucket: Place, way: str) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        proxy.fault(WAYS[way], **OBJECT)
        for place in (listed(bucket), (None, "")):
            assert fails(bucket, *place).cause is Cause.NETWORK

    def test_of_what_was_deleted_since_it_was_listed(self, bucket: Place, aws: AwsServer) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        place = listed(bucket)
        aws.client("s3").delete_object(Bucket=BUCKET, Key=KEY)
        for known in (place, (None, "")):
            with pytest.raises(AbsentError):
                read(bucket, *known)

    def test_takes_s3s_word_twice_where_nothing_may_be_listed(self, proxy: FaultProxy, bucket: Place) -> None:
        proxy.fault(faults.access_denied(), **LISTING)
        with pytest.raises(AbsentError):
            read(bucket, None)
        assert proxy.count("GET", KEY) == 2

    def test_of_a_bucket_takes_s3s_word_twice(self, proxy: FaultProxy, bucket: Place) -> None:
        bucket.put(KEY, b"", None)
        rule = proxy.fault(WAYS["404 NoSuchBucket"], first=1, **LISTING)
        assert bucket.keys("a/") == [KEY]
        assert rule.fired == 1
        for way in ("404 NoSuchBucket", "404", "404 NoSuchKey"):
            proxy.clear()
            proxy.fault(WAYS[way], **LISTING)
            for ask in (bucket.keys, bucket.children):
                with pytest.raises(BucketAbsentError if way == "404 NoSuchBucket" else StoreError):
                    ask("a/")


class TestCustomersKeys:
    def test_count_when_said_twice(self, proxy: FaultProxy, bucket: Place) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        answer = WAYS["customer's key"]
        rule = proxy.fault(answer, first=1, **OBJECT)
        assert read(bucket, *listed(bucket)).sha256 == sha256(noise(700))
        assert rule.fired == 1
        proxy.fault(answer, **OBJECT)
        assert isinstance(fails(bucket, *listed(bucket)), CustomerKeyError)

    def test_no_other_invalid_request_is_one(self, proxy: FaultProxy, bucket: Place) -> None:
        bucket.put(KEY, gz(noise(700)), None)
        proxy.fault(faults.s3_error(400, "InvalidArgument", CUSTOMER_KEY), **OBJECT)
        error = fails(bucket, *listed(bucket))
        assert not isinstance(error, CustomerKeyError)


class TestListing:
    def test_that_shows_nothing_is_asked_for_twice(self, proxy: FaultProxy, bucket: Place) -> None:
        bucket.fill(["a/1", "a/b/1"])
        asks: list[tuple[Callable[[], object], object]] = [
            (lambda: bucket.keys("a/"), ["a/1", "a/b/1"]),
            (lambda: bucket.children("a/").folders, ("b",)),
            (lambda: bucket.exact("a/1") is not None, True),
        ]
        for ask, expected in asks:
            rule = proxy.fault(faults.Emptied(), first=1)
            assert ask() == expected
            assert rule.fired == 1
            proxy.clear()
        proxy.reset_counters()
        assert (bucket.keys("none/"), bucket.exact("none")) == ([], None)
        assert bucket.children("none/").folders == ()
        assert proxy.count("GET", query="list-type=2") == 6

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("<Name>amzn-s3-demo-bucket</Name>", "<Name>amzn-s3-demo-bucket1</Name>"),
            ("<Name>amzn-s3-demo-bucket</Name>", ""),
            ("<Prefix>a/</Prefix>", "<Prefix>b/</Prefix>"),
            ("<Prefix>a/</Prefix>", ""),
            ("<IsTruncated>false</IsTruncated>", ""),
            ("<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>"),
            ("<IsTruncated>false</IsTruncated>", "<IsTruncated>FALSE</IsTruncated>"),
            ("<KeyCount>2</KeyCount>", "<KeyCount>3</KeyCount>"),
            ("<Size>14</Size>", "<Size>-14</Size>"),
            ("<Size>14</Size>", "<Size>1e9</Size>"),
            ("<Size>14</Size>", ""),
            ("<LastModified>", "<LastModified>x"),
            ("<Key>a/1</Key>", "<Key>a/3</Key>"),
            ("<Key>a/1</Key>", "<Key>a/2</Key>"),
            ("<Key>a/1</Key>", "<Key>b/1</Key>"),
            ("<Key>a/1</Key>", "<Key></Key>"),
            ("<Key>a/1</Key>", "<Key>a/%FF</Key>"),
            ("</Contents>", "</Contents><CommonPrefixes><Prefix>a/x/</Prefix></CommonPrefixes>"),
            ("ListBucketResult", "ListBucketResults"),
            ("http://s3.amazonaws.com/doc/2006-03-01/", "http://www.w3.org/1999/xhtml"),
            ("<ListBucketResult", '<!DOCTYPE x [<!ENTITY y "z">]><ListBucketResult'),
            ("<ListBucketResult", "<!DOCTYPE html><ListBucketResult"),
            ("</ListBucketResult>", ""),
            ("</ListBucketResult>", "</ListBucketResult><more/>"),
        ],
    )
    def test_that_is_not_the_one_asked_for_is_none(self, proxy: FaultProxy, bucket: Place, old: str, new: str) -> None:
        bucket.fill(["a/1", "a/2"])
        body = recorded(bucket, "a/")
        assert body.count(old) >= 1
        rule = proxy.fault(faults.Respond(200, body.replace(old, new).encode()), first=1, **LISTING)
        assert bucket.keys("a/") == ["a/1", "a/2"]
        assert rule.fired == 1
        proxy.fault(faults.Respond(200, body.replace(old, new).encode()), **LISTING)
        with pytest.raises(StoreError) as caught:
            bucket.keys("a/")
        assert caught.value.cause is Cause.NETWORK

    def test_as_it_was_recorded_is_taken(self, proxy: FaultProxy, bucket: Place) -> None:
        bucket.fill(["a/1", "a/2"])
        proxy.fault(faults.Respond(200, recorded(bucket, "a/").encode()), **LISTING)
        assert bucket.keys("a/") == ["a/1", "a/2"]

    @pytest.mark.parametrize("shown", [0, 2], ids=["nothing", "the same"])
    def test_that_goes_on_for_ever_ends(self, proxy: FaultProxy, bucket: Place, shown: int) -> None:
        bucket.fill(["a/1", "a/2"] if shown else ["b/1"])
        again = "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"
        body = recorded(bucket, "a/").replace("<IsTruncated>false</IsTruncated>", again)
        proxy.fault(faults.Respond(200, body.encode()), **LISTING)
        for ask in (bucket.keys, bucket.children):
            with pytest.raises(StoreError) as caught:
                ask("a/")
            assert caught.value.cause is Cause.NETWORK

    def test_of_an_access_point_bears_another_name(self, bucket: Place, proxy: FaultProxy) -> None:
        alias = "my-ap-aqfqprnstn7aefdfbarligizwgyfouse1a-s3alias"
        bucket.fill(["a/1", "a/2"])
        proxy.fault(faults.Respond(200, recorded(bucket, "a/").encode()), **LISTING)

        async def scan(store: Store, name: str) -> list[str]:
            return [info.key async for page in store.scan(name, "a/") for info in page]

        assert bucket.run(lambda store: scan(store, alias)) == ["a/1", "a/2"]
        with pytest.raises(StoreError):
            bucket.run(lambda store: scan(store, "amzn-s3-demo-bucket2"))


def recorded(bucket: Place, prefix: str) -> str:
    """A listing as moto gives it, with nothing between its elements."""
    with Raw(os.environ["AWS_ENDPOINT_URL"]) as raw:
        _, body = raw.ask("GET", f"/{bucket.bucket}?list-type=2&encoding-type=url&prefix={quote(prefix)}")
    return re.sub(r">\s+<", "><", body.decode())


def test_a_refusal_in_a_gateways_words_is_the_networks(proxy: FaultProxy, bucket: Place) -> None:
    """A company's proxy that says 403 is no permission that is missing."""
    bucket.put(KEY, gz(b""), None)
    place = listed(bucket)
    for status in (401, 403, 407, 451, 511):
        rule = proxy.fault(page(status), **OBJECT)
        error = fails(bucket, *place)
        assert error.cause is Cause.NETWORK, status
        assert f"HTTP {status}" in error.detail
        assert rule.fired > 1, "asked again"
        proxy.clear()
