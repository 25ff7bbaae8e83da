"""S3 with the keys that only S3 has, and with listings that break off."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, StoreError
from cloudtrail_validate.core.model import Cause, Locator
from tests.servers import faults
from tests.stores.kit import gz, sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtrail_validate.stores.protocol import Store
    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy
    from tests.stores.kit import Place

# An empty segment, dots, control characters and a closing slash: what URLs and XML do not take as it is.
STRANGE = ("a//x", "a/./x", "a/../x", "a/\x01\x1b[2Jx", "a/b\x7f", "a/tab\t", "a/x//", "a/b/../../c")
PLAIN = ("a/1", "a/b/1", "a/é", "a/zz")


def test_keys_that_no_path_can_be_are_listed_and_read(bucket: Place) -> None:
    for key in (*STRANGE, *PLAIN):
        bucket.put(key, gz(key.encode()), {"signature": "ab"})
    assert bucket.keys("a/") == sorted((*STRANGE, *PLAIN))
    for key in (*STRANGE, *PLAIN):
        assert bucket.content(key).sha256 == sha256(key.encode())
        kept, _, metadata = bucket.digest(key)
        assert kept == key.encode()
        assert metadata is not None
        assert metadata["signature"] == "ab"
        info = bucket.exact(key)
        assert info is not None
        assert info.key == key


@pytest.mark.parametrize("key", STRANGE)
def test_one_strange_key_hides_no_other(bucket: Place, key: str) -> None:
    bucket.fill([*PLAIN, key])
    assert bucket.keys("a/") == sorted((*PLAIN, key))
    level = bucket.children("a/")
    assert {"b"} <= set(level.folders)
    assert {"a/1", "a/é", "a/zz"} <= {info.key for info in level.objects}


def test_a_strange_key_on_a_later_page(bucket: Place) -> None:
    keys = [f"a/{number:04d}" for number in range(1_500)]
    bucket.fill([*keys, "a/1200//x", "a/1400/../x"])
    expected = sorted([*keys, "a/1200//x", "a/1400/../x"])
    assert bucket.keys("a/") == expected
    assert bucket.keys("a/", "a/1100", "a/1400/") == [key for key in expected if "a/1100" <= key < "a/1400/"]


@pytest.mark.parametrize("prefix", ["logs//", "logs/../", "a\x7f/", "/", "a/./b/"])
def test_prefixes_that_no_path_can_be(bucket: Place, prefix: str) -> None:
    keys = [f"{prefix}x", f"{prefix}y/1", f"{prefix}y/2", f"{prefix}z"]
    bucket.fill([*keys, "other/x"])
    assert bucket.keys(prefix) == keys
    assert bucket.keys(prefix, f"{prefix}y/2", f"{prefix}zz") == keys[2:]
    level = bucket.children(prefix)
    assert level.folders == ("y",)
    assert [info.key for info in level.objects] == [keys[0], keys[3]]


def test_an_object_and_its_marker_are_two(bucket: Place) -> None:
    bucket.put("a/x", b"object", None)
    bucket.put("a/x/", b"", None)
    bucket.put("a/y/", b"not empty", None)
    with_slash, without = bucket.exact("a/x/"), bucket.exact("a/x")
    assert with_slash is not None
    assert without is not None
    assert (with_slash.size, without.size) == (0, 6)
    assert bucket.exact("a/y") is None
    assert bucket.keys("a/") == ["a/x", "a/x/", "a/y/"]
    assert bucket.keys("a/", "a/y/") == ["a/y/"]


def test_a_bucket_that_is_not_there(bucket: Place) -> None:
    async def scan(store: Store) -> None:
        async for _ in store.scan("no-such-bucket", "a/"):
            pass

    with pytest.raises(BucketAbsentError):
        bucket.run(scan)
    with pytest.raises(BucketAbsentError):
        bucket.run(lambda store: store.children("no-such-bucket", ""))
    with pytest.raises(BucketAbsentError):
        bucket.run(lambda store: store.exact("no-such-bucket", "a"))
    with pytest.raises(BucketAbsentError):
        bucket.run(lambda store: store.content(Locator("no-such-bucket", "a"), None))


def test_times_are_those_of_the_server(bucket: Place) -> None:
    bucket.put("a/x", b"", None)
    bucket.put("a/x/y", b"", None)
    (first, second), (alone,) = bucket.pages("a/")[0], bucket.pages("a/", "a/x/")[0]
    assert first.modified.utcoffset() == alone.modified.utcoffset() == timedelta(0)
    assert second.modified >= first.modified


@pytest.fixture
def proxy(aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """What stands between the tool and moto."""
    made = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", made.endpoint)
    return made


@pytest.mark.parametrize(
    "action",
    [
        faults.Truncate(5_000),
        faults.Reset(),
        faults.slow_down(),
        faults.internal_error(),
    ],
    ids=lambda action: type(action).__name__,
)
@pytest.mark.parametrize("strange", [False, True])
def test_a_listing_that_breaks_off_is_taken_up_again(
    proxy: FaultProxy, bucket: Place, action: faults.Action, strange: bool
) -> None:
    keys = [f"a/{number:04d}" for number in range(1_200)]
    keys += ["a/1199/../x"] if strange else []
    bucket.fill(keys)
    rule = proxy.fault(action, query="list-type=2", nth=2)
    assert bucket.keys("a/") == keys
    assert rule.fired == 1


@pytest.mark.parametrize(
    ("action", "cause"),
    [
        (faults.slow_down(), Cause.THROTTLED),
        (faults.internal_error(), Cause.NETWORK),
        (faults.Reset(), Cause.NETWORK),
        (faults.Truncate(3), Cause.NETWORK),
        (faults.access_denied(), Cause.ACCESS_DENIED),
        (faults.kms_denied(), Cause.KMS_DENIED),
        (faults.archived(), Cause.ARCHIVED),
        (faults.expired_token(), Cause.ACCESS_DENIED),
        (faults.s3_error(404, "NoSuchUpload", "unheard of"), Cause.NETWORK),
        (faults.Respond(407, b"<html>log in first</html>", "text/html"), Cause.NETWORK),
    ],
)
def test_what_lasts_is_a_store_error(proxy: FaultProxy, bucket: Place, action: faults.Action, cause: Cause) -> None:
    bucket.put("a/x", gz(b"content"), None)
    proxy.fault(action, path="amzn-s3-demo-bucket(/a/x)?$", method="GET")
    asks: list[Callable[[], object]] = [
        lambda: bucket.children("a/"),
        lambda: bucket.keys("a/"),
        lambda: bucket.exact("a/x"),
        lambda: bucket.content("a/x"),
        lambda: bucket.digest("a/x"),
    ]
    for ask in asks:
        with pytest.raises(StoreError) as caught:
            ask()
        assert caught.value.cause is cause
        assert "\n" not in caught.value.detail
    proxy.clear()
    assert bucket.content("a/x").sha256 == sha256(b"content")


def test_bodies_that_come_late_hold_up_nobody_twice(proxy: FaultProxy, bucket: Place) -> None:
    """A digest's body is taken with its head. Where one had to be waited for, the event loop waits for no other."""
    names = [f"a/{number}" for number in range(4)]
    for name in names:
        bucket.put(name, gz(name.encode()), {"signature": name})
    proxy.fault(faults.Dribble(0, 0.4, 100_000), path="/a/[0-9]$", method="GET")

    async def ask(store: Store) -> list[int]:
        turns: list[int] = []
        for name in names:
            reading = asyncio.create_task(store.digest(Locator(bucket.bucket, name)))
            turns.append(0)
            while not reading.done():
                await asyncio.sleep(0.01)
                turns[-1] += 1
            inflater, metadata = await reading
            assert inflater.finish().sha256 == sha256(name.encode())
            assert metadata is not None
            assert metadata["signature"] == name
        return turns

    first, *later = bucket.run(ask)
    assert all(turns >= 5 for turns in later), (first, later)


def test_headers_that_are_no_text_hide_no_content(bucket: Place, aws: AwsServer) -> None:
    """Whoever may write an object chooses its headers: they must not turn an altered log into a network failure."""
    body = gz(b"content")
    aws.client("s3").put_object(Bucket=bucket.bucket, Key="a/x", Body=body, ContentDisposition="filename=\u00e9.gz")
    for size in (None, len(body)):
        assert bucket.content("a/x", size).sha256 == sha256(b"content")
    assert bucket.digest("a/x")[1].sha256 == sha256(b"content")


def test_an_answer_that_says_absent_is_absence(proxy: FaultProxy, bucket: Place) -> None:
    bucket.fill(["a/x"])
    proxy.fault(faults.no_such_key(), path="/a/x$", method="GET")
    with pytest.raises(AbsentError):
        bucket.content("a/x")
