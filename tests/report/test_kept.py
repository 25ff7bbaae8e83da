"""Kept reports are read with doubt: what no run has written is refused, what is read can be shown in every way."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from cloudtrail_validate.core import rules
from cloudtrail_validate.report import Report, Verdict, formats, from_json
from cloudtrail_validate.report.compared import UnlikeError, compare
from cloudtrail_validate.report.json import render as render_json
from cloudtrail_validate.report.kept import KeptError, read
from cloudtrail_validate.report.merged import Filter, merge, narrow
from cloudtrail_validate.report.table.comparison import render as render_comparison
from tests.report import samples
from tests.report.kept_kit import MISSING, TOOL, kept, of_window
from tests.report.samples import SECOND, chain, report
from tests.report.table_page import shown


@pytest.mark.parametrize("name", ["quiet", "telling", "hostile", "empty"])
def test_what_was_written_is_read_back(name: str) -> None:
    sample: Report = getattr(samples, name)()
    assert kept(sample).report == from_json(render_json(sample))
    assert len(kept(sample).sha256) == 64


def changed(**fields: Any) -> bytes:
    document = json.loads(render_json(samples.telling()))
    for path, value in fields.items():
        *parents, last = path.split("__")
        place = document
        for parent in parents:
            place = place[int(parent) if parent.isdecimal() else parent]
        place[int(last) if last.isdecimal() else last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "expected a report as --format json writes it"),
        (b"[" * 100_000, "expected a report as --format json writes it"),
        (b"\xff\xfe", "expected a report as --format json writes it"),
        (b'{"schema": "other/1\\u001b[31m"}', r"expected a report with the schema ctvalidate.report/1, got other/1\x1b[31m"),
        (b'{"schema": "ctvalidate.report/1"}', "not a report that can be read (written by version , this is 0.1.0)"),
        (changed(tool__version="9.9", more=1), "(written by version 9.9, this is 0.1.0): Object contains unknown field"),
        (changed(verdict="valid"), "it contradicts itself: verdict valid, exit code 1"),
        (changed(verdict="valid", exit_code=0), "its verdict is valid, and it holds evidence of change"),
        (changed(findings=[]), "its verdict is changed, and no finding says what was"),
        (changed(findings=[], verdict="unproven", exit_code=3), "and it holds evidence of change"),
        (changed(request__end="2026-01-01T00:00:00Z"), "its window is empty"),
        (changed(request__start="2001-01-01T00:00:00Z", request__end="8000-01-01T00:00:00Z"), "longer than 50 years"),
        (changed(request__start="0001-01-01T00:00:00Z"), "expected times in UTC"),
        (changed(run__started="2026-01-01T00:00:00+05:30"), "expected times in UTC"),
        (changed(chains__0__covered=[["9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"]]), "expected times in UTC"),
        (changed(summary__logs__valid=-1), "Expected `int` >= 0"),
        (changed(exit_code=10**30), "it contradicts itself: verdict changed, exit code 1000"),
        (changed(summary__log_bytes_hashed=2**70), "not a report that can be read"),
    ],
)  # fmt: skip
def test_what_no_run_has_written_is_refused_in_one_line(data: bytes, why: str) -> None:
    with pytest.raises(KeptError) as caught:
        read(data, "0.1.0")
    assert why in str(caught.value)
    assert str(caught.value).isprintable()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        ["0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "8999-12-31T23:59:59Z", "valid", "changed", "notice"]
    ),
    st.lists(st.none(), max_size=2),
    st.just({}),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from _paths(value[key], (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value[:4]):
            yield from _paths(item, (*path, number))


DOCUMENT = json.loads(render_json(report([chain(), chain(SECOND)], samples.every_rule())))
PATHS = [path for path in _paths(DOCUMENT) if path]


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_whatever_is_read_can_be_shown_merged_and_compared(edits: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = copy.deepcopy(DOCUMENT)
    for path, value in edits:
        place = document
        try:
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = value
        except (KeyError, IndexError, TypeError):  # an earlier edit took the place away
            continue
    try:
        one = read(msgspec.json.encode(document), "0.1.0")
    except (KeptError, UnicodeEncodeError):
        return
    other = kept(samples.quiet())
    merged = merge([one, other], TOOL)
    for sample in (one.report, merged, narrow(one.report, Filter(rules=(rules.LOG_ALTERED,)), one)):
        for name in formats.FORMATS:
            assert formats.documents(name, sample)
        shown(sample, width=100, show=None)
    try:
        found = compare(one, other)
    except UnlikeError:
        return
    render_comparison(found, Console(file=io.StringIO(), width=100))
    assert msgspec.json.encode(found)


def test_an_interrupted_report_is_read_back_with_the_code_that_it_bears() -> None:
    sample = of_window(0, 24, [chain()], [MISSING])
    changed_and_stopped = replace(sample, interrupted=True)
    assert kept(changed_and_stopped).report.exit_code == 1
    stopped = replace(of_window(0, 24, [chain()]), verdict=Verdict.UNPROVEN, exit_code=130, interrupted=True)
    assert kept(stopped).report.stopped
    for wrong in (replace(stopped, exit_code=3), replace(stopped, interrupted=msgspec.UNSET)):
        with pytest.raises(KeptError, match="contradicts itself"):
            kept(wrong)
    found = compare(kept(of_window(0, 24, [chain()])), kept(stopped))
    assert (found.exit_code, found.notes) == (3, ("NEW was interrupted and holds what was found until then",))
