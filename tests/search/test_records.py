"""Events are found in whatever a log holds, however it is cut into pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.evidence import events
from cloudtrail_validate.search.records import MAX_EVENT_BYTES, Splitter, whole

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=5)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def split(data: bytes, size: int = 1 << 20) -> list[bytes]:
    splitter = Splitter()
    return [event for piece in pieces(data, size) for event in splitter.feed(piece)]


@given(EVENTS, st.integers(1, 40), st.sampled_from([None, 2]), st.booleans())
def test_a_log_in_pieces_has_the_events_of_the_whole(
    log: list[dict[str, object]], size: int, indent: int | None, escaped: bool
) -> None:
    data = json.dumps({"Records": log}, indent=indent, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    expected = [data[begin:end] for begin, end in events.split(data)]
    assert split(data, size) == expected
    records = whole(data)
    assert records is None or [bytes(raw) for raw in records] == expected  # None: it names Records in an event as well


@given(st.binary(max_size=300), st.integers(1, 9))
def test_whatever_bytes_come_nothing_is_raised(data: bytes, size: int) -> None:
    split(data, size)
    whole(data)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"Records":[{"a":1},{"b":2},{"c', [b'{"a":1}', b'{"b":2}']),
        (b'{"Records":[{"a":1},!!,{"b":2}]}', [b'{"a":1}', b'{"b":2}']),
        (b'{"records":[{"a":1}]}', [b'{"a":1}']),
        (b'{"Records":[{"a":1}]}{"Records":[{"b":2}]}', [b'{"a":1}', b'{"b":2}']),
        (b'{"Records":[{"a":1}],"Records":[{"b":2}]}', [b'{"a":1}', b'{"b":2}']),
        (b'{"Records":[{"a":"]}\\\\\\"{"}]}', [b'{"a":"]}\\\\\\"{"}']),
        (b"no JSON at all", []),
        (b"", []),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_broken_logs_lose_only_what_is_broken(content: bytes, found: list[bytes], size: int) -> None:
    assert split(content, size) == found
    assert whole(content) is None or found[0].startswith(b'{"a":"]')


def test_what_is_larger_than_an_event_is_passed_over_and_counted() -> None:
    large = b'{"x":"%b"}' % (b"y" * (MAX_EVENT_BYTES + 1))
    splitter = Splitter()
    content = b'{"Records":[{"a":1},' + large + b',{"b":2}]}'
    assert [e for piece in pieces(content, 1 << 20) for e in splitter.feed(piece)] == [b'{"a":1}', b'{"b":2}']
    assert (splitter.events, splitter.too_large) == (2, 1)


def test_a_deep_log_is_no_trouble() -> None:
    deep = b'{"Records":[{"a":' + b"[" * 200_000 + b"]" * 200_000 + b'},{"b":2}]}'
    assert split(deep)[1:] == [b'{"b":2}']
    assert whole(deep) is None or len(whole(deep) or ()) == 2


def test_a_log_as_cloudtrail_writes_it_has_no_room_for_a_second_list() -> None:
    events = [b'{"a":1}', b'{"b":[2]}']
    assert whole(b'{"Records":[' + b",".join(events) + b"]}") == events
    assert whole(b'{"Records":[]}') == []
    assert whole(b'{ "Records" : [ ' + b" , ".join(events) + b" ] }\n") == events
    for other in (
        b'"Records":[{"c":3}],',
        b'"Record\\u0073":[{"c":3}],"x":"\\"Records\\"",',
        b'"x":{"Records":[{"c":3}]},',
    ):
        assert whole(b"{" + other + b'"Records":[' + b",".join(events) + b"]}") in (None, events)
    assert whole(b'{"Records":[{"c":3}],"Records":[{"a":1}]}') is None
