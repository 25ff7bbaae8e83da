"""Where an object's file lies, what a listing out of memory says, and manifests of a hostile hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.snapshot.index import Index
from cloudtrail_validate.snapshot.manifest import NotASnapshotError, checksum, decode, encode, path_of

MAIN = "amzn-s3-demo-bucket"
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "schema": "ctvalidate.snapshot/1",
    "tool": {"name": "ctvalidate", "version": "1"},
    "created": "2026-01-02T00:00:00Z",
    "trail_arn": None,
    "source": "s3://amzn-s3-demo-bucket/",
    "bucket": MAIN,
    "request": {
        "trail_arn": None,
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-01T01:00:00Z",
        "source": "s3://amzn-s3-demo-bucket/",
        "regions": [],
        "accounts": [],
    },
    "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00Z", "asked": "2026-01-02T00:00:00Z"},
    "tolerate": [],
    "target": {"bucket": MAIN, "prefix": None},
    "keys": [],
    "signed_by": None,
    "files": [{"path": path, "sha256": "0" * 64, "size": 0} for path in ("keys.json", "report.json")],
    "left_out": [],
}


class TestPath:
    @pytest.mark.parametrize(
        ("bucket", "key", "path"),
        [
            (MAIN, "AWSLogs/x.gz", "tree/AWSLogs/x.gz"),
            (MAIN, "logs//AWSLogs/x.gz", "tree/logs/AWSLogs/x.gz"),
            (MAIN, "/AWSLogs/x.gz", "tree/AWSLogs/x.gz"),
            (MAIN, "a b/ü\x1b.gz", "tree/a b/ü\x1b.gz"),
            ("doc-example-bucket", "AWSLogs/x.gz", "trees/doc-example-bucket/AWSLogs/x.gz"),
            (MAIN, "AWSLogs/" + "x" * 241, "tree/AWSLogs/" + "x" * 241),
        ],
    )
    def test_is_that_of_a_local_copy(self, bucket: str, key: str, path: str) -> None:
        assert path_of(Locator(bucket, key), MAIN) == (path, "")

    @pytest.mark.parametrize(
        ("bucket", "key", "reason"),
        [
            (MAIN, "AWSLogs/1//x.gz", "empty segment"),
            (MAIN, "AWSLogs/x/", "empty segment"),
            (MAIN, "", "empty segment"),
            (MAIN, "../AWSLogs/x", "segment of dots"),
            (MAIN, "AWSLogs/../../x", "segment of dots"),
            (MAIN, "AWSLogs/./x", "segment of dots"),
            (MAIN, "AWSLogs/\0", "character"),
            (MAIN, "AWSLogs/\udcff", "character"),
            (MAIN, "AWSLogs/" + "x" * 242, "too long"),
            (MAIN, "AWSLogs/" + "é" * 130, "too long"),
            (MAIN, "AWSLogs/" + "x" * 200 + ("/" + "x" * 200) * 16, "so long a path"),
            (MAIN, "AWSLogs/x.json.gz.metadata.json", "kept for metadata"),
            ("..", "AWSLogs/x", "bucket's name"),
            ("a/b", "AWSLogs/x", "bucket's name"),
            ("", "AWSLogs/x", "bucket's name"),
        ],
    )
    def test_is_none_where_no_file_can_be(self, bucket: str, key: str, reason: str) -> None:
        path, why = path_of(Locator(bucket, key), MAIN)
        assert path == ""
        assert reason in why

    @given(st.text(), st.sampled_from(["", MAIN, "doc-example-bucket", "../x"]))
    def test_never_leaves_the_folder_whatever_the_key(self, key: str, bucket: str) -> None:
        path, reason = path_of(Locator(bucket, key), MAIN)
        assert bool(path) != bool(reason)
        assert path == "" or path.split("/")[0] in ("tree", "trees")
        assert not {"", ".", ".."} & set(path.split("/")[1:])


class TestDecode:
    def test_takes_what_it_wrote(self) -> None:
        data = msgspec.json.encode(GOOD)
        assert encode(decode(data)) == encode(decode(encode(decode(data))))
        assert checksum(b"")[:64] == b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @pytest.mark.parametrize(
        "path",
        [
            "../etc/passwd",
            "/etc/passwd",
            "tree/../../x",
            "tree//x",
            "tree/./x",
            "tree/",
            "tree",
            "trees/x",
            "",
            "manifest.json",
            "tree/a\0",
            "other/x",
            "tree/x/",
        ],
    )
    def test_refuses_a_path_that_leaves_the_snapshot(self, path: str) -> None:
        files = [*GOOD["files"], {"path": path, "sha256": "0" * 64, "size": 1}]
        with pytest.raises(NotASnapshotError, match="a file that cannot be"):
            decode(msgspec.json.encode({**GOOD, "files": files}))

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: m | {"schema": "ctvalidate.snapshot/2"},
            lambda m: m | {"more": 1},
            lambda m: m | {"files": m["files"] * 2},
            lambda m: m | {"files": []},
            lambda m: m | {"files": [{**m["files"][0], "sha256": "0" * 63}, m["files"][1]]},
            lambda m: m | {"files": [{**m["files"][0], "size": -1}, m["files"][1]]},
            lambda m: m | {"window": m["window"] | {"end": "2025-01-01T00:00:00Z"}},
            lambda m: m | {"window": m["window"] | {"end": "2025-01-01T00:00:00"}},
            lambda m: {name: value for name, value in m.items() if name != "target"},
            lambda m: [m],
        ],
    )
    def test_refuses_another_document(self, change: Callable[[dict[str, Any]], object]) -> None:
        with pytest.raises(NotASnapshotError):
            decode(msgspec.json.encode(change(GOOD)))

    @pytest.mark.parametrize("data", [b"", b"{", b"null", b"\xff", b"[" * 100_000])
    def test_refuses_what_is_no_json(self, data: bytes) -> None:
        with pytest.raises(NotASnapshotError):
            decode(data)


KEYS = st.lists(st.text("ab/é", min_size=1, max_size=6), max_size=12)


class TestIndex:
    @given(
        KEYS, st.sampled_from(["", "a/", "b/", "a/b/", "é/"]), st.text("ab/é", max_size=3), st.text("ab/é", max_size=3)
    )
    def test_lists_as_a_naive_listing_does(self, keys: list[str], prefix: str, after: str, before: str) -> None:
        index = Index((MAIN, ObjectInfo(key, 1, WHEN)) for key in keys)
        ordered = sorted(set(keys), key=str.encode)
        expected = [k for k in ordered if k.startswith(prefix) and k >= after and (not before or k < before)]
        assert [info.key for info in index.scan(MAIN, prefix, after, before or None)] == expected
        assert index.scan("doc-example-bucket", prefix, after, None) == []
        below = [key[len(prefix) :] for key in ordered if key.startswith(prefix) and key != prefix]
        level = index.children(MAIN, prefix)
        assert set(level.folders) == {name.partition("/")[0] for name in below if "/" in name}
        assert [info.key[len(prefix) :] for info in level.objects] == [name for name in below if "/" not in name]
        assert all((index.exact(Locator(MAIN, key)) is not None) == (key in keys) for key in (*keys, "a", "zz"))
