"""Whatever a log holds and however it comes: every event that a plain reading finds is found, in bounded memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtrail_validate.core.gzip import Content, digest_of, digest_of_pieces
from cloudtrail_validate.search import records, scanner
from cloudtrail_validate.search.event import read_event
from cloudtrail_validate.search.query import Matcher, Query
from cloudtrail_validate.search.scanner import Scanner, Searched
from tests.search.events import ROOT, USER, event, log

FIELDS = st.sampled_from(
    [
        *({}, {"eventName": "StartInstances"}, {"userIdentity": ROOT}, {"userIdentity": USER}, {"eventTime": None}),
        *({"errorCode": "AccessDenied"}, {"requestParameters": {"Records": [{"a": 1}]}}, {"readOnly": "yes"}),
        *({"userAgent": '\U0001f600 "x" \\ {[}]'}, {"userAgent": "\ud800"}, {"sourceIPAddress": "198.51.100.1"}),
    ]
)
QUERIES = [
    *(Query(), Query(events=("Stop*",)), Query(users=("alice", "root")), Query(addresses=("203.0.113.0/24",))),
    *(Query(uses=("denied", "root-use")), Query(where="eventName=='StopInstances'"), Query(errors=("*",))),
    *(Query(resources=("i-0123",)), Query(read_only=False)),
]


def scan(matcher: Matcher, pieces: Iterable[bytes], *, plain: bool = False) -> Searched:
    made = Scanner(matcher, accept_plain=plain)
    for piece in pieces:
        made.feed(piece)
    return made.finish()


def ids(found: Searched) -> list[str]:
    return [json.loads(one.raw)["eventID"] for one, _ in found.found]


@settings(max_examples=50)
@given(
    st.lists(FIELDS, max_size=8),
    st.sampled_from(QUERIES),
    st.sampled_from(["whole", "plain", "behind", "behind plain"]),
    st.integers(20, 400),
    st.booleans(),
    st.booleans(),
)
def test_every_event_is_found_wherever_and_in_whatever_pieces_it_comes(
    fields: list[dict[str, Any]], query: Query, way: str, size: int, small: bool, escaped: bool
) -> None:
    events = [event(**one, eventID=str(number)) for number, one in enumerate(fields)]
    data = json.dumps({"Records": events}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    stored = {
        "whole": gzip.compress(data, 1),
        "plain": data,
        "behind": gzip.compress(b'{"Records":[]}') + gzip.compress(data, 1),
        "behind plain": gzip.compress(b'{"Records":[]}') + data,
    }[way]
    matcher = Matcher(query)
    expected = []
    for one in events:
        raw = json.dumps(one).encode()
        read = read_event(raw)
        assert read is not None
        if matcher.matches(read, raw) is not None:
            expected.append(one["eventID"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "WHOLE_BYTES", 100 if small else 1 << 20)
        found = scan(matcher, [stored[at : at + size] for at in range(0, len(stored), size)])
    assert ids(found) == expected
    plain = digest_of(stored)
    assert Content(found.sha256, found.size, found.flaw) == plain


@given(st.binary(max_size=200), st.integers(0, 300), st.booleans())
def test_damage_raises_nothing_and_changes_no_hash(noise: bytes, at: int, plain: bool) -> None:
    stored = bytearray(gzip.compress(log(event(), event(eventName="Other")), 1))
    stored[at : at + len(noise)] = noise
    found = scan(Matcher(Query()), [bytes(stored)], plain=plain)
    alone = digest_of(bytes(stored), accept_plain=plain)
    assert (found.sha256, found.size, found.flaw) == (alone.sha256, alone.size, alone.flaw)
    list(found.found)


def bomb(piece: bytes, times: int) -> list[bytes]:
    return [gzip.compress(b'{"Records":[' + piece * times + b"{}]}", 6)]


@pytest.mark.parametrize("piece", [b'{"a":"b"},', b'"x",', b"[", b'{"a":', b'"' + b"y" * 1000, b"\\", b'{"a":"\\"},'])
def test_a_bomb_is_held_in_pieces(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "MOST_FOUND", 1_000)
    monkeypatch.setattr(records, "MOST_BRACKETS", 20_000)
    monkeypatch.setattr(scanner, "WHOLE_BYTES", 2 * 1024 * 1024)
    stored = bomb(piece, 20_000_000 // len(piece))
    tracemalloc.start()
    found = scan(Matcher(Query()), stored)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * 1024 * 1024
    assert found.size > 10_000_000
    assert sum(1 for _ in found.found) <= 1_000
    assert found.unsearched or not piece.startswith((b"{", b"["))


def test_more_hits_than_are_kept_of_one_log_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "MOST_FOUND", 3)
    found = scan(Matcher(Query()), [gzip.compress(log(*[event()] * 5))])
    assert (len(list(found.found)), found.unsearched.lost) == (3, 2)


def test_hits_that_memory_does_not_hold_come_back_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "WHOLE_BYTES", 2_000)
    events = [event(eventID=str(number)) for number in range(50)]
    assert ids(scan(Matcher(Query()), [gzip.compress(log(*events))])) == [str(number) for number in range(50)]


def test_no_room_on_disk_is_told_and_is_no_error_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scanner, "WHOLE_BYTES", 2_000)
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    found = scan(Matcher(Query()), [gzip.compress(log(*[event()] * 50))])
    assert found.unsearched.lost > 40
    assert digest_of_pieces([gzip.compress(log(*[event()] * 50))]).sha256 == found.sha256


@pytest.mark.parametrize("query", [Query(events=("StopInstances",)), Query(events=("StopInstances", "StopFleet"))])
def test_no_event_hides_from_a_search_by_escapes(query: Query) -> None:
    """The one literal that is looked for in each event may be written with escapes in one of them."""
    plain, hidden = event(eventID="1"), event(eventID="2", eventName="X")
    content = log(plain, hidden, event(eventID="3", eventName="Stop")).replace(b'"X"', b'"Stop\\u0049nstances"')
    assert ids(scan(Matcher(query), [gzip.compress(content)])) == ["1", "2"]
