"""What every store answers alike: a local copy, S3 as moto serves it, and two servers that check signatures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import AbsentError
from cloudtrail_validate.core.gzip import Content, Flaw
from tests.stores.kit import content_of, gz, noise, sha256

if TYPE_CHECKING:
    from tests.stores.kit import Place

TREE = ("a/1", "a/b-c", "a/b/1", "a/b/2", "a/b0", "a/c.gz", "a/c/d/e", "a/z", "ab/1", "b")
UNDER_A = [key for key in TREE if key.startswith("a/")]
RANGES: list[tuple[str, str | None]] = [
    ("", None),
    ("a/b", None),
    ("a/b/", None),
    ("a/b/1", None),
    ("a/b/1", "a/b/2"),
    ("a/b/10", "a/c.gz"),
    ("a/b0", "a/c/"),
    ("a/c.gz", "a/c/d/e"),
    ("a/c/", "a/zz"),
    ("", "a/b/"),
    ("", "a/b"),
    ("a/z", "b"),
    ("a/z0", None),
    ("a/c", "a/c"),
    ("a/c/d", "a/c/d/f"),
]
ODD_NAMES = ("with space + plus.gz", "100%.gz", "%2F%41.gz", "ü é ～ \U0001f600.gz", "=?&#;:@'\"<>[]{}|^`~.gz")


class TestScan:
    def test_is_in_the_order_of_bytes(self, place: Place) -> None:
        names = ("Z", "a", "b!", "b/c", "b0", "z", "é", "～", "\U0001f600")
        keys = [f"logs/{name}" for name in names]
        place.fill(keys)
        found = place.keys("logs/")
        assert found == sorted(keys, key=str.encode)

    def test_takes_what_is_from_after_to_before(self, place: Place) -> None:
        place.fill(TREE)
        for after, before in RANGES:
            expected = [key for key in UNDER_A if after <= key and (before is None or key < before)]
            assert place.keys("a/", after, before) == expected, (after, before)

    def test_says_size_and_time(self, place: Place) -> None:
        place.put("a/x", b"12345", None)
        ((info,),) = place.pages("a/")
        assert (info.key, info.size) == ("a/x", 5)
        assert abs(datetime.now(UTC) - info.modified) < timedelta(minutes=1)

    def test_goes_on_past_a_thousand_keys(self, roomy_place: Place) -> None:
        keys = [f"a/{number // 100:02d}/{number:04d}" for number in range(2_003)]
        roomy_place.fill(keys)
        pages = roomy_place.pages("a/")
        assert [info.key for page in pages for info in page] == keys
        assert len(pages) >= 3
        assert max(map(len, pages)) <= 1_000
        assert roomy_place.keys("a/", keys[999], keys[2_001]) == keys[999:2_001]

    def test_of_what_is_not_there_is_empty(self, place: Place) -> None:
        place.fill(TREE)
        assert [place.keys(prefix) for prefix in ("none/", "a/none/", "a/1/")] == [[], [], []]


class TestChildren:
    def test_are_one_level(self, place: Place) -> None:
        place.fill(TREE)
        level = place.children("a/")
        assert level.folders == ("b", "c")
        assert [info.key for info in level.objects] == ["a/1", "a/b-c", "a/b0", "a/c.gz", "a/z"]

    def test_of_the_root(self, place: Place) -> None:
        place.fill(TREE)
        level = place.children("")
        assert level.folders == ("a", "ab")
        assert [(info.key, info.size) for info in level.objects] == [("b", len(content_of("b")))]

    def test_go_on_past_a_thousand(self, roomy_place: Place) -> None:
        names = [f"{number:04d}" for number in range(1_002)]
        roomy_place.fill([f"a/{name}/x" for name in names])
        assert roomy_place.children("a/").folders == tuple(names)

    def test_of_what_is_not_there_are_none(self, place: Place) -> None:
        place.fill(TREE)
        for prefix in ("none/", "a/1/"):
            level = place.children(prefix)
            assert (level.folders, level.objects) == ((), ())


class TestExact:
    def test_is_the_object_of_that_key_only(self, place: Place) -> None:
        place.fill(TREE)
        found = place.exact("a/c.gz")
        assert found is not None
        assert (found.key, found.size) == ("a/c.gz", len(content_of("a/c.gz")))
        for key in ("a/c", "a/c/d", "a/c.g", "a/c.gz0", "none"):
            assert place.exact(key) is None


class TestContent:
    # Inflated bytes. Noise is as long compressed: small, over the 32 KiB that inflate in a thread, and streamed.
    @pytest.mark.parametrize("size", [0, 1, 700, 100_000, 5_000_000])
    def test_of_any_size(self, place: Place, size: int) -> None:
        data = noise(size)
        body = gz(data)
        place.put("logs/x.json.gz", body, None)
        for listed in (len(body), None):
            content = place.content("logs/x.json.gz", listed)
            assert (content.sha256, content.size, content.flaw) == (sha256(data), size, None)

    @pytest.mark.parametrize(("size", "said"), [(100, 50_000_000), (5_000_000, 10)])
    def test_does_not_believe_the_listing(self, place: Place, size: int, said: int) -> None:
        data = noise(size)
        place.put("x", gz(data), None)
        content = place.content("x", said)
        assert (content.sha256, content.flaw) == (sha256(data), None)

    def test_that_inflates_a_thousandfold(self, place: Place) -> None:
        data = bytes(20_000_000)
        place.put("x", gz(data), None)
        assert place.content("x").sha256 == sha256(data)

    @pytest.mark.parametrize("size", [500, 5_000_000])
    def test_tells_what_is_wrong_with_it(self, place: Place, size: int) -> None:
        data = noise(size)
        whole = gz(data)
        place.put("cut", whole[:-9], None)
        place.put("followed", whole + gz(b"more"), None)
        place.put("damaged", whole[:-8] + b"\0" * 8, None)
        assert place.content("cut").flaw is Flaw.TRUNCATED
        followed = place.content("followed")
        assert (followed.flaw, followed.sha256) == (Flaw.TRAILING, sha256(data))
        assert place.content("damaged").flaw is Flaw.DAMAGED

    def test_of_what_is_not_there(self, place: Place) -> None:
        place.fill(TREE)
        for key in ("none", "a/none", "a/b", "a/1/x"):
            with pytest.raises(AbsentError):
                place.content(key)
            with pytest.raises(AbsentError):
                place.digest(key)

    def test_under_odd_keys(self, place: Place) -> None:
        keys = [f"a/{name}" for name in ODD_NAMES]
        for key in keys:
            place.put(key, gz(key.encode()), {"signature": "ab"})
        assert place.keys("a/") == sorted(keys)
        assert [info.key for info in place.children("a/").objects] == sorted(keys)
        for key in keys:
            assert place.content(key).sha256 == sha256(key.encode())
            assert place.digest(key)[0] == key.encode()
            info = place.exact(key)
            assert info is not None
            assert info.key == key


class TestDigest:
    @pytest.mark.parametrize("size", [2, 100_000])
    def test_comes_with_its_metadata(self, place: Place, size: int) -> None:
        data = noise(size)
        place.put("digest.json.gz", gz(data), {"signature": "ab" * 256, "signature-algorithm": "SHA256withRSA"})
        kept, content, metadata = place.digest("digest.json.gz")
        assert (kept, content.sha256, content.flaw) == (data, sha256(data), None)
        assert metadata is not None
        named = {name.lower(): value for name, value in metadata.items()}
        assert (named["signature"], named["signature-algorithm"]) == ("ab" * 256, "SHA256withRSA")

    def test_without_metadata(self, place: Place) -> None:
        place.put("digest.json.gz", gz(b"{}"), None)
        metadata = place.digest("digest.json.gz")[2]
        if place.name in ("local", "copy"):
            assert metadata is None  # whoever copied it may have lost it
        else:
            assert metadata is not None
            assert "signature" not in {name.lower() for name in metadata}


class TestStored:
    @pytest.mark.parametrize("size", [0, 700, 5_000_000])
    def test_hands_over_the_bytes_as_they_lie_there(self, place: Place, size: int) -> None:
        body = gz(noise(size))
        place.put("a/log.json.gz", body, {"signature": "ab" * 256})
        content, stored = place.stored("a/log.json.gz")
        assert content == Content(sha256(noise(size)), size)
        assert stored.metadata is not None
        assert {name.lower(): value for name, value in stored.metadata.items()}["signature"] == "ab" * 256
        assert stored.modified is not None
        assert abs(datetime.now(UTC) - stored.modified) < timedelta(minutes=1)

    def test_what_is_no_gzip_is_handed_over_too(self, place: Place) -> None:
        place.put("a/log.json.gz", b"plain", None)
        assert place.stored("a/log.json.gz")[0].flaw is Flaw.NOT_GZIP

    def test_is_absent_where_nothing_is(self, place: Place) -> None:
        place.put("a/log.json.gz", b"1", None)
        for key in ("a/other.json.gz", "a/log.json.gz/below", "a"):
            with pytest.raises(AbsentError):
                place.stored(key)

    def test_odd_names(self, place: Place) -> None:
        for name in ODD_NAMES:
            place.put(f"a/{name}", gz(b"1"), None)
            assert place.stored(f"a/{name}")[0].sha256 == sha256(b"1")
