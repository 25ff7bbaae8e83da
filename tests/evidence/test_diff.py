from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.cli.diff import command
from cloudtrail_validate.evidence import diff
from cloudtrail_validate.evidence.diff import LogDiff, TooLargeError, compare
from cloudtrail_validate.evidence.events import (
    MAX_EVENT_BYTES,
    NotAnEventError,
    Number,
    Repeated,
    as_text,
    differences,
    parse,
    split,
)
from tests.evidence.kit import BUCKET, Trail, without_first_event


def log(*events: Any) -> bytes:
    return json.dumps({"Records": list(events)}).encode()


def event(event_id: str, **more: Any) -> dict[str, Any]:
    return {"eventID": event_id, "eventName": "PutObject", **more}


def of(original: bytes, altered: bytes) -> LogDiff:
    return compare([original], [altered])


def numbers(found: LogDiff) -> tuple[int, int, int, int]:
    counts = found.counts
    return counts.removed, counts.changed, counts.added, counts.unchanged


def test_every_sort_of_difference_is_told() -> None:
    before = log(event("a"), event("b", sourceIPAddress="192.0.2.1", x={"y": [1, None]}), event("c"))
    after = log(event("d"), event("b", sourceIPAddress="198.51.100.7", x={"y": [1]}, z=True), event("a"))
    found = of(gzip.compress(before), after)
    assert found.verdict == "different"
    assert numbers(found) == (1, 1, 1, 1)
    assert [item.event_id for item in found.removed] == ["c"]
    assert [item.event_id for item in found.added] == ["d"]
    assert found.changed[0].event.event_id == "b"
    assert [(change.path, change.before, change.after) for change in found.changed[0].changes] == [
        ("sourceIPAddress", '"192.0.2.1"', '"198.51.100.7"'),
        ("x.y[1]", "null", None),
        ("z", None, "true"),
    ]
    assert found.changed[0].total == 3


def test_order_and_formatting_do_not_count() -> None:
    one = b'{"Records":[{"eventID":"a","n":1.50,"m":{"p":1,"q":"\\u0041"}},{"eventID":"b"}]}'
    other = b'{ "version" : [1],\n"Records" : [ {"eventID":"b"} , {"m":{"q":"A","p":1},"n":15e-1,"eventID":"a"}]}'
    found = of(one, other)
    assert found.verdict == "same"
    assert numbers(found) == (0, 0, 0, 2)
    assert found.original.sha256 != found.altered.sha256


_IDS = st.sampled_from(["a", "b", "c", "d", "e"])
_EVENTS = st.lists(st.builds(lambda i, v: {"eventID": i, "v": v}, _IDS, st.integers(0, 3)), max_size=8)


@given(_EVENTS, _EVENTS)
def test_counts_agree_with_a_naive_count(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    found = of(log(*before), log(*after))
    ours, theirs = (Counter((e["eventID"], e["v"]) for e in events) for events in (before, after))
    equal = ours & theirs
    removed = changed = added = 0
    for name in "abcde":
        gone = sum(n for (i, _), n in (ours - equal).items() if i == name)
        new = sum(n for (i, _), n in (theirs - equal).items() if i == name)
        changed += min(gone, new)
        removed += max(0, gone - new)
        added += max(0, new - gone)
    assert numbers(found) == (removed, changed, added, equal.total())
    assert (found.verdict == "same") == (ours == theirs)
    repeated = {n for e in (before, after) for n, c in Counter(x["eventID"] for x in e).items() if c > 1}
    assert {item.event_id for item in found.duplicates} == repeated


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(_JSON, max_size=5), st.sampled_from([None, 1, (",", ":")]))
def test_events_are_found_where_a_json_parser_finds_them(values: list[Any], style: Any) -> None:
    events = [{"eventID": str(number), "value": value} for number, value in enumerate(values)]
    separators = style if isinstance(style, tuple) else None
    indent = style if isinstance(style, int) else None
    document = {"a": values, "Records": events, "b": {"Records": values}}
    data = json.dumps(document, separators=separators, indent=indent).encode()
    assert [json.loads(data[begin:end]) for begin, end in split(data)] == events


@given(_JSON, _JSON)
def test_no_difference_means_the_same_json(one: Any, other: Any) -> None:
    values = [parse(json.dumps({"v": value}).encode()) for value in (one, other)]
    exact = [json.dumps(value, sort_keys=True) for value in (one, other)]
    found = list(differences(*values))
    if exact[0] == exact[1]:
        assert found == []
    elif not any(symbol in text for text in exact for symbol in ".eE"):  # 1.0 and 1 are one number, written two ways
        assert found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("100", "1e2", True),
        ("9007199254740993", "9007199254740992", False),
        ("1e400", "2e400", False),
        ("0.1", "0.10000000000000001", False),
        ("1", "true", False),
        ("1", '"1"', False),
        ("0", "false", False),
        ("null", '""', False),
        ("1e99999999999999999999999", "1e99999999999999999999998", False),
        ("9" * 100_000, "9" * 99_999 + "8", False),
        ("[]", "{}", False),
    ],
)
def test_values_are_compared_as_written(one: str, other: str, same: bool) -> None:
    before, after = (f'{{"Records":[{{"eventID":"a","v":{value}}}]}}'.encode() for value in (one, other))
    found = of(before, after)
    assert (found.verdict == "same") is same
    if not same:
        assert [change.path for change in found.changed[0].changes] == ["v"]


def test_a_name_that_occurs_twice_is_a_change() -> None:
    before = b'{"Records":[{"eventID":"a","sourceIPAddress":"192.0.2.1"}]}'
    after = b'{"Records":[{"eventID":"a","sourceIPAddress":"198.51.100.7","sourceIPAddress":"192.0.2.1"}]}'
    found = of(before, after)
    assert [(change.before, change.after) for change in found.changed[0].changes] == [
        ('"192.0.2.1"', '"198.51.100.7" and again "192.0.2.1"')
    ]
    assert parse(b'{"a":1,"a":[1]}') == {"a": Repeated([Number("1"), [Number("1")]])}


def test_events_without_a_usable_id_are_compared_whole() -> None:
    before = log({"eventName": "x"}, {"eventID": 5}, {"eventID": None, "n": 1}, 7, [event("in an array")])
    after = log({"eventID": None, "n": 2}, {"eventName": "x"}, {"eventID": {"a": "b"}}, [event("in an array")])
    found = of(before, after)
    assert numbers(found) == (3, 0, 2, 2)
    assert [item.event_id for item in found.added] == [None, '{"a": "b"}']
    assert [item.problem for item in found.removed] == [None, None, "no JSON object"]


def test_a_word_of_another_type_is_shown_as_json() -> None:
    hostile = {
        "eventID": "a",
        "eventTime": ["x"],
        "userIdentity": "y",
        "eventName": "\ud800",
        "sourceIPAddress": {"b": 1e5},
    }
    found = of(log(), log(hostile))
    shown = found.added[0]
    assert (shown.time, shown.actor, shown.name, shown.address) == ('["x"]', "y", "\\ud800", '{"b": 100000.0}')


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is no JSON"),
        (b"[]", "has no Records"),
        (b'[{"Records": []}]', "has no Records"),
        (b"7", "has no Records"),
        (b'"Records', "is no JSON"),
        (b"]]]]", "is no JSON"),
        (b'{"Records": 7}', "has no Records"),
        (b'{"x": {"Records": []}}', "has no Records"),
        (b'{"x": "Records", "y": []}', "has no Records"),
        (b'{"Records": [], "Rec\\u006frds": []}', "has 2 Records"),
        (b'{"Records": 1, "Records": []}', "has 2 Records"),
        (b"\x1f\x8b", "gzip stream ends too early"),
    ],
)
def test_a_side_that_is_no_log_is_told(content: bytes, problem: str) -> None:
    good = log(event("a"))
    altered, original, both = of(good, content), of(content, good), of(content, content + b" ")
    assert (altered.verdict, original.verdict, both.verdict) == ("different", "unknown", "unknown")
    assert (altered.altered.problem or "").startswith(problem)
    assert (original.original.problem or "").startswith(problem)
    assert not altered.altered.readable
    assert numbers(altered) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("content", "problem", "expected"),
    [
        (b'{"Records": [{"eventID": "a"}, {"eventID": "b"', "is no JSON", (1, 0, 0, 1)),
        (b'{"Records": [{"eventID": "a"}, {"eventID": "', "is no JSON", (1, 0, 0, 1)),
        (b'{"Records": [{"eventID": "a"}, {"eventID": "b"}]} and more', "is no JSON", (0, 0, 0, 2)),
        (b'{"Records": [{"eventID": "a"}, {"eventID": "b", "n": NaN}]}', "is no JSON", (1, 0, 1, 1)),
        (b'{"Records": [{"eventID": "a"}, {"eventID": "b", "n": "\\ud800"}]}', "is no JSON", (0, 1, 0, 1)),
        (b'{"Records": [{"eventID": "a"}, ' + b"[" * 99_999 + b"]" * 99_999 + b"]}", "is nested too", (1, 0, 1, 1)),
        (
            gzip.compress(b'{"Records": [{"eventID": "a"}, {"eventID": "b"}]}', mtime=0)[:-9],
            "gzip stream ends",
            (0, 0, 0, 2),
        ),
    ],
)
def test_a_broken_side_is_compared_as_far_as_it_goes(
    content: bytes, problem: str, expected: tuple[int, int, int, int]
) -> None:
    whole = b'{"Records": [{"eventID": "a"}, {"eventID": "b"}]}'
    found = of(whole, content)
    assert found.verdict == "different"
    assert (found.altered.problem or "").startswith(problem)
    assert numbers(found) == expected
    assert of(content, whole).verdict == "unknown"


def test_bytes_behind_the_content_are_a_difference() -> None:
    content = gzip.compress(log(event("a")))
    appended = content + gzip.compress(log(event("hidden")))
    found = of(content, appended)
    assert found.verdict == "different"
    assert (found.altered.flaw, numbers(found)) == ("bytes after the gzip member", (0, 0, 0, 1))
    assert of(appended, appended).verdict == "unknown"


def test_events_that_cannot_be_parsed_still_differ() -> None:
    def odd(tail: bytes) -> bytes:
        return b'{"Records":[{"eventID":"a","v":"' + b"x" * 20_000 + b"\xff" + tail + b'"}]}'

    found = of(odd(b"1"), odd(b"2"))
    assert numbers(found) == (0, 1, 0, 0)
    assert found.changed[0].changes[0].path == ""
    assert (found.changed[0].event.problem or "").startswith("not readable")
    assert len(found.changed[0].changes[0].before or "") < 3_000
    with pytest.raises(NotAnEventError):
        parse(b'{"a":"' + b"x" * MAX_EVENT_BYTES + b'"}')


def test_depth_within_an_event_raises_nothing() -> None:
    def deep(value: int) -> bytes:
        return b'{"Records":[{"eventID":"a","v":' + b'{"k":' * 300 + str(value).encode() + b"}" * 300 + b"}]}"

    found = of(deep(1), deep(2))
    assert found.changed[0].changes[0].path.startswith("v.k.k.k")
    assert found.changed[0].changes[0].after == "2"


def test_what_is_too_large_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(diff, "MAX_STORED", 2_000)
    monkeypatch.setattr(diff, "MAX_EVENTS", 20)
    with pytest.raises(TooLargeError, match=r"^altered: inflates to more than 1\.0 MB, which is more"):
        of(log(), gzip.compress(log(event("a", v="x" * 1_000_000))))
    with pytest.raises(TooLargeError, match=r"^original: has more than 2\.0 kB"):
        compare(iter(lambda: b" " * 500, b""), [log()])
    with pytest.raises(TooLargeError, match=r"^original: has more than 20 events"):
        of(log(*({} for _ in range(21))), log())


def test_a_flood_is_counted_and_its_list_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "LISTED", 3)
    monkeypatch.setattr(diff, "CHANGES", 2)
    before = log(*(event(f"r{n}") for n in range(5)), *(event(f"c{n}", v=[0] * 4) for n in range(5)))
    after = log(*(event(f"c{n}", v=[1] * 4) for n in range(5)))
    found = of(before, after)
    assert numbers(found) == (5, 5, 0, 0)
    assert (len(found.removed), len(found.changed)) == (3, 3)
    assert (len(found.changed[0].changes), found.changed[0].total) == (2, 4)


@given(_JSON, st.integers(1, 200))
def test_short_values_are_json_and_long_ones_are_cut(value: Any, limit: int) -> None:
    text = as_text(parse(json.dumps({"v": value}).encode())["v"], limit)
    text.encode()
    if text.endswith("…") and len(text) == limit + 1:
        return
    assert json.loads(text, parse_float=Decimal) == json.loads(json.dumps(value), parse_float=Decimal)


# --- the command


def invoke(*args: str) -> Result:
    return CliRunner().invoke(command, list(args), standalone_mode=False)


def test_two_versions_of_an_object_are_compared(trail: Trail) -> None:
    key = trail.logs[0]
    first, body = trail.version_of(key), trail.get(key)
    trail.put(key, without_first_event(body))
    cut = json.loads(gzip.decompress(body))["Records"][0]
    url = f"s3://{BUCKET}/{key}"

    found = invoke(f"{url}?versionId={first}", url, "--format", "json")

    assert found.return_value == 1
    answer = json.loads(found.stdout)
    assert answer["schema"] == "ctvalidate.diff/1"
    assert [item["event_id"] for item in answer["removed"]] == [cut["eventID"]]
    assert answer["counts"] == {"unchanged": 3, "removed": 1, "added": 0, "changed": 0, "duplicates": 0}
    assert answer["original"]["name"].endswith(first)
    assert invoke(url, url).return_value == 0


def test_the_table_shows_no_hostile_byte(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    hostile = "\x1b[2J[red]\u202e\r\n"
    one.write_bytes(log(event("a", v="x"), event("a"), event("b")))
    other.write_bytes(log(event("a", v=hostile, **{hostile: [hostile]}), {"eventID": hostile, "eventName": hostile}))
    found = invoke(str(one), str(other))
    assert found.return_value == 1
    assert not set(found.stdout) & set("\x1b\u202e\r")
    for shown in ("DIFFERENT", "Removed", "Changed", "Added", "occur more than once", "[red]", "\\x1b[2J", "(absent)"):
        assert shown in found.stdout


def test_a_table_of_equal_events_names_other_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json.gz", tmp_path / "other.json"
    one.write_bytes(gzip.compress(log(event("a"))))
    other.write_bytes(log(event("a")) + b"\n")
    found = invoke(str(one), str(other))
    assert found.return_value == 0
    assert "SAME" in found.stdout
    assert "The bytes differ" in found.stdout


def test_a_side_that_is_none_ends_with_two(trail: Trail, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_bytes(log())
    for name in (
        str(tmp_path / "absent"),
        str(tmp_path),
        "a\0b",
        "s3://",
        f"s3://{BUCKET}/absent",
        f"s3://{BUCKET}/{trail.logs[0]}?versionId=absent",
        "s3://amzn-s3-demo-no-such-bucket/key",
        "s3://not a bucket/\x1b[2J",
    ):
        found = invoke(str(good), name)
        assert found.return_value == 2, (name, found.output)
        assert found.stdout == ""
        assert len(found.stderr.splitlines()) == 1
        assert "\x1b" not in found.stderr


def test_a_side_that_cannot_be_read_ends_with_three(trail: Trail, tmp_path: Path, aws: Any) -> None:
    good = tmp_path / "good"
    good.write_bytes(log())
    aws.denied.add("s3:GetObject")
    found = invoke(f"s3://{BUCKET}/{trail.logs[0]}", str(good))
    assert found.return_value == 3
    assert f"s3://{BUCKET}/{trail.logs[0]}: " in found.stderr
    assert "allow s3:GetObject" in found.stderr
    assert invoke("/dev/zero", str(good)).return_value == 3
