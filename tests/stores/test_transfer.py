"""Answers of one HTTP request: headers by name, whatever a server makes of them."""

from __future__ import annotations

import pytest

from cloudtrail_validate.stores.transfer import Answer


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'ETag: "abc"', '"abc"'),
        (b"etag:abc", "abc"),
        (b"ETAG:  abc  ", "abc"),
        (b"ETag:", ""),
        (b"ETag: a:b", "a:b"),
        (b"ETag: \xff", "\ufffd"),
        (b"ETags: abc", None),
        (b"X-ETag: abc", None),
        (b"ETag", None),
        (b"", None),
    ],
)
def test_a_header_is_found_by_its_whole_name(line: bytes, value: str | None) -> None:
    assert Answer(200, (b"Content-Type: x", line), b"", 0).header(b"etag") == value


def test_the_first_of_several_counts() -> None:
    assert Answer(200, (b"etag: 1", b"etag: 2"), b"", 0).header(b"etag") == "1"
