"""A listing is read the same whether its objects are read by pattern or as XML, however it is written or damaged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.stores import s3_answers
from cloudtrail_validate.stores.columns import Columns, line_of
from cloudtrail_validate.stores.s3_answers import Asked, NotS3Error, Page, parse_page

ASKED = Asked("amzn-s3-demo-bucket", "AWSLogs/")
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>amzn-s3-demo-bucket</Name><Prefix>AWSLogs/</Prefix><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
)
URL = "<EncodingType>url</EncodingType>"
TAIL = "</ListBucketResult>"


def item(
    key: str = "AWSLogs/a.gz", size: str = "12", etag: str = "&quot;5d41&quot;", more: str = "", between: str = ""
) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-03-01T00:01:00.000Z</LastModified>"
        f"<ETag>{etag}</ETag>{more}<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>{between}"
    )


def outcome(body: bytes) -> Page | str:
    try:
        return parse_page(body, ASKED)
    except NotS3Error:
        return "refused"


def both(body: bytes) -> Page | str:
    """What comes of a document, read either way."""
    quick = outcome(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3_answers, "_row", lambda _: None)
        assert outcome(body) == quick
    return quick


def test_a_page_of_s3s_own_making_is_read_by_pattern() -> None:
    more = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
    body = (HEAD + URL + item("AWSLogs/a%2Bb+c") + item("AWSLogs/b", etag='"x"', more=more) + TAIL).encode()
    assert s3_answers._row(body) is not None
    page = both(body)
    assert isinstance(page, Page)
    assert [(info.key, info.size, info.etag) for info in page.objects] == [
        ("AWSLogs/a+b c", 12, "5d41"),
        ("AWSLogs/b", 12, "x"),
    ]
    assert page.objects[0].modified == datetime(2026, 3, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "inside",
    [
        f"<!--{item()}-->",
        f"<![CDATA[{item()}]]>",
        f"<?x {item()}?>",
        f"<Other>{item()}</Other>",
        f"<Prefix>AWSLogs/{item()}</Prefix>",
        f"{item()}<Contents/>",
        f"<Contents/>{item()}",
        f"{item()}<Contents a='1'><Key>AWSLogs/b</Key></Contents>",
        f"{item()}<CommonPrefixes><Prefix>AWSLogs/b/</Prefix></CommonPrefixes>{item('AWSLogs/c')}",
        f"{item()}<IsTruncated>true</IsTruncated>",
        f"{item()}<KeyCount>2</KeyCount>",
        f"<KeyCount>1</KeyCount>{item()}",
        item(between="\n") + item("AWSLogs/b"),
        item() + item(),
        item("AWSLogs/&amp;"),
        item("AWSLogs/é"),
        item("AWSLogs/%ff"),
        item("AWSLogs/]]>"),
        item(""),
        item("elsewhere"),
        item(size="-1"),
        item(size="1234567890123456"),
        item(etag="5d41"),
        item(etag="'5d41'"),
        item(etag='""5d41""'),
        item(more="<Size>13</Size>"),
        item(more="<Key>AWSLogs/z</Key>"),
        item()[:-5],
        item().replace("2026-03-01T00:01:00.000Z", "2026-13-01T00:01:00.000Z"),
        item().replace("2026-03-01T00:01:00.000Z", "2026-03-01T00:01:00+02:00"),
        f"{item()}</ListBucketResult><ListBucketResult>{item()}",
    ],
)
@pytest.mark.parametrize("encoded", ["", URL])
def test_other_pages_come_to_the_same(inside: str, encoded: str) -> None:
    both((HEAD + encoded + inside + TAIL).encode())
    both((HEAD + inside + encoded + TAIL).encode())


ROW = "".join(item(f"AWSLogs/{letter}", str(ord(letter))) for letter in "abcdefgh")


@given(
    st.integers(0, len(ROW)),
    st.sampled_from([0, 1, 3, 40]),
    st.sampled_from([*"<>&\"'\t\n\0\x7f9Z", "", "&lt;", URL, "<Size>"]),
)
def test_a_row_that_is_damaged_anywhere_comes_to_the_same(at: int, cut: int, put: str) -> None:
    """Read by a pattern that its first object gives, with nothing left over between two of them."""
    both((HEAD + ROW[:at] + put + ROW[at + cut :] + TAIL).encode())


def test_objects_of_a_row_are_a_sequence() -> None:
    page = both((HEAD + ROW + TAIL).encode())
    assert isinstance(page, Page)
    assert isinstance(page.objects, Columns)
    assert page.objects[-1].key == "AWSLogs/h"
    assert [info.key for info in page.objects[2:4]] == ["AWSLogs/c", "AWSLogs/d"]
    assert page.objects.lines[0] == line_of(page.objects[0])
    between = page.objects.between("AWSLogs/bb", "AWSLogs/d")
    assert (list(between.keys), len(between), list(between)) == (["AWSLogs/c"], 1, [page.objects[2]])
    assert page.objects.between("", None) is page.objects


PIECES = st.sampled_from(
    [
        *(item(f"AWSLogs/{name}") for name in ("a", "b", "c%20d", "d&lt;")),
        item("AWSLogs/e").replace("Contents>", "CommonPrefixes>"),
        *("<Contents>", "</Contents>", "<Contents/>", "<!--", "-->", "<![CDATA[", "]]>", "&quot;", " ", "\n", "<Key>"),
        *("<KeyCount>1</KeyCount>", "<IsTruncated>true</IsTruncated>", "<Other>", "</Other>", URL, HEAD, TAIL, "x"),
    ]
)


@given(st.lists(PIECES, max_size=8), st.data())
def test_pages_drawn_at_random_come_to_the_same(pieces: list[str], data: st.DataObject) -> None:
    text = HEAD + "".join(pieces) + TAIL
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 3, 40]))
    both((text[:at] + text[at + cut :]).encode())
