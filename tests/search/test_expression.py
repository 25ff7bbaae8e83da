"""No expression runs for ever or fills the memory, and those that people write are not given up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudtrail_validate.search import query
from cloudtrail_validate.search.event import read_event
from cloudtrail_validate.search.expression import Expression, TooLongError, compile_expression
from cloudtrail_validate.search.query import GivenUpError, Matcher, Query
from tests.search.events import event, raw

DOUBLED = "[@,@]" + "|[@,@]" * 40


@pytest.mark.parametrize(
    "expression",
    [
        f"{DOUBLED}|to_string(@)",
        f"{DOUBLED} == ({DOUBLED})",
        "[@,@]" + "[][[@,@],[@,@]]" * 40,
        "[@]" + "|[@,@][]" * 60 + "|length(@)",
        "join('" + "x" * 2000 + "', " + "to_array(eventName)|[@,@][]" + "|[@,@][]" * 25 + ")",
        "to_string(@)" + "|join('',[@,@])" * 60,
        "[@]" + "|[*].[@,@][]" * 40,
        "map(&map(&@,[@,@]), [@,@])" + "|[@,@]" * 50,
        "{a:@,b:@}" + "|{a:@,b:@}" * 60 + "|to_string(@)",
        "merge({a:@},{b:@})" + "|merge({a:@},{b:@})" * 60,
        "sort_by([@,@]" + "|[@,@][]" * 40 + ", &eventName)",
    ],
)
def test_what_grows_without_end_is_given_up(expression: str) -> None:
    value = event()
    with pytest.raises(TooLongError):
        compile_expression(expression).holds(value, len(json.dumps(value)))


@pytest.mark.parametrize("number", [1, 1_000, 20_000])
def test_a_large_event_is_looked_at_whole(number: int) -> None:
    parameters = {"items": [{"id": f"i-{index:08x}", "tags": [{"key": "a", "value": "b"}]} for index in range(number)]}
    data = raw(requestParameters=parameters)
    value = json.loads(data)
    for expression in (
        f"requestParameters.items[?id=='i-{number - 1:08x}']",
        "requestParameters.items[].tags[?key=='a'].value[]",
        f"contains(requestParameters.items[].id, 'i-{number - 1:08x}')",
        f"length(requestParameters.items) == `{number}`",
    ):
        assert compile_expression(expression).holds(value, len(data))


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("eventName", True),
        ("nothing", False),
        ("`0`", True),
        ("`false`", False),
        ("`[]`", False),
        ("''", False),
        ("@", True),
        ("readOnly == `false`", True),
        ("abs(eventName)", False),
        ("to_number(eventName) > `1`", False),
        ("starts_with(eventName, 'Stop')", True),
        ("a.b.c == null", True),
    ],
)
def test_truth_is_that_of_jmespath(expression: str, holds: bool) -> None:
    assert compile_expression(expression).holds(event(), 1000) is holds


def test_after_a_hundred_events_an_expression_is_tried_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def holds(_: Any, size: int) -> bool:
        tried.append(size)
        raise TooLongError

    monkeypatch.setattr(query, "compile_expression", lambda _: Expression(holds, ()))
    matcher = Matcher(Query(where="any"))
    data: bytes = raw()
    read = read_event(data)
    assert read is not None
    for _ in range(150):
        with pytest.raises(GivenUpError):
            matcher.matches(read, data)
    assert len(tried) == 100
