"""JSON Lines and CSV: one line or row a finding, which no string from a bucket breaks or turns into a formula."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval, isoformat
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import FindingRecord, Report, from_json, jsonl
from cloudtrail_validate.report import csv as csv_format
from cloudtrail_validate.report.incidents import incidents
from cloudtrail_validate.report.references import hours
from tests.report import samples
from tests.report.samples import HOSTILE_KEYS, at, finding, single


def read_back(document: str) -> Report:
    """The report that a JSON Lines document holds."""
    lines = [json.loads(line) for line in document.splitlines()]
    head, tail = lines[0], lines[-1]
    assert (head.pop("type"), tail.pop("type")) == ("run", "summary")
    assert head.pop("started") == tail["run"]["started"]
    kinds = [line["type"] for line in lines[1:-1]]
    assert kinds == sorted(kinds, key=["finding", "chain"].index)
    rest: dict[str, list[Any]] = {"finding": [], "chain": []}
    for line in lines[1:-1]:
        rest[line.pop("type")].append(line)
    return from_json(json.dumps(head | tail | {"findings": rest["finding"], "chains": rest["chain"]}))


def test_jsonl_holds_the_whole_report(sample: Report) -> None:
    assert read_back(jsonl.render(sample)) == sample
    whole = replace(sample, incidents=incidents(sample), relied_on=("the clock",))
    assert read_back(jsonl.render(whole)) == whole
    (*_, streamed) = jsonl.footer_lines(whole, truncated=False).splitlines()
    assert "incidents" not in json.loads(streamed)


def test_a_lone_surrogate_has_no_utf8_and_becomes_an_escape() -> None:
    sample = single()
    bad = replace(sample, findings=(replace(sample.findings[0], key="odd\udcff", actual="\ud800"),))
    (found,) = read_back(jsonl.render(bad)).findings
    assert (found.key, found.actual) == (r"odd\udcff", r"\ud800")
    assert read_back(jsonl.render(bad)) == replace(bad, findings=(found,))


def test_a_stream_of_jsonl_has_the_shape_of_the_document() -> None:
    sample = samples.telling()
    stream = jsonl.header_line(sample.tool, sample.run.started, sample.request)
    for one in reversed(sample.findings):  # as found, not as sorted
        stream += jsonl.finding_line(one)
    stream += jsonl.footer_lines(replace(sample, findings_truncated=True), truncated=False)
    assert sorted(stream.splitlines()) == sorted(jsonl.render(sample).splitlines())
    assert jsonl.footer_lines(replace(sample, findings_truncated=True)).count('"findings_truncated":true') == 1


def test_a_line_of_jsonl_is_one_line() -> None:
    for key in HOSTILE_KEYS:
        line = jsonl.finding_line(finding(rules.LOG_EXTRA, key))
        assert line.count("\n") == 1
        assert len(line.splitlines()) == 1  # Python's idea of a line: U+2028 and U+0085 too
        assert line.isascii()
        assert printable(line[:-1]) == line[:-1]  # no terminal obeys it
        if "surrogate" not in key:
            assert json.loads(line)["key"] == key


def test_csv_has_a_row_a_finding_under_a_stable_header(sample: Report) -> None:
    document = csv_format.render(sample)
    rows = list(csv.DictReader(io.StringIO(document, newline=""), strict=True))
    assert document.split("\r\n", 1)[0] == (
        "rule,status,account,region,trail,bucket,key,start,end,cause,expected,actual,message,events,lifecycle,versions"
    )
    assert tuple(rows[0] if rows else csv_format.HEADER) == FindingRecord.__struct_fields__
    rows = rows[1:] if sample.stopped else rows  # above the findings stands that there may be more
    by_time = sorted(sample.findings, key=lambda one: hours(one) or Interval(at(9**5), at(9**5)))
    assert [row["rule"] for row in rows] == [one.rule for one in by_time]
    assert not re.search(r"[^\r]\n|\r[^\n]", document)
    for row, one in zip(rows, by_time, strict=True):
        assert row["start"] == (isoformat(one.start) if one.start else "")


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_no_cell_of_csv_is_a_formula(key: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_format.render(single(key=key, expected=key)), newline="")))
    for cell in rows[1]:
        assert not re.match(r"[\s\"']*[=+\-@\t\r]", cell) or cell.startswith("'")
        for part in cell.split(";"):
            assert not re.match(r"[\s\"]*[=+\-@]", part)
        assert printable(cell) == cell
    assert csv_format.cell("-1;=2") == "'-1;'=2"
    assert csv_format.cell("2026-01-01; a=b") == "2026-01-01; a=b"
