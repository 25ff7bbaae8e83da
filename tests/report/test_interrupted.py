"""A run that was stopped, in every format: nobody may take what it found until then for all there is."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from junitparser import JUnitXml
from msgspec import UNSET
from msgspec.structs import replace
from rich.console import Console

from cloudtrail_validate.core import rules
from cloudtrail_validate.report import ProgressRecord, Report, asff, from_json, junit, ocsf, sarif
from cloudtrail_validate.report import csv as csv_format
from cloudtrail_validate.report import json as json_format
from cloudtrail_validate.report import jsonl as jsonl_format
from cloudtrail_validate.report.html import render as html
from cloudtrail_validate.report.html.heat import heat
from cloudtrail_validate.report.table import render as table
from tests.report.samples import SECOND, finding, interrupted, log_key

SAID = "after 17 s: 12,106 of at least 21,168 objects"
CHANGED = [finding(rules.LOG_MISSING, log_key())]


def shown(report: Report, width: int = 80, **options: Any) -> list[str]:
    stream = io.StringIO()
    table(report, Console(file=stream, width=width), **options)
    return stream.getvalue().splitlines()


def test_the_first_line_of_the_table() -> None:
    first, second, *_ = shown(interrupted())
    assert first.startswith(f"! INTERRUPTED {SAID}. ")
    assert f"{first} {second.strip()}".endswith("No evidence of change until then (exit code 130).")
    changed = " ".join(line.strip() for line in shown(interrupted(CHANGED))[:2])
    assert changed == f"✗ CHANGED  Evidence of change: 1 missing. INTERRUPTED {SAID} (exit code 1)."


@pytest.mark.parametrize(
    ("done", "known", "all_known", "said"),
    [
        (0, 0, False, "after 17 s, before any object was looked at"),
        (0, 5, False, "after 17 s: 0 of at least 5 objects"),
        (1, 1, True, "after 17 s: 1 of 1 object"),
        (1204, 5000, True, "after 17 s: 1,204 of 5,000 objects"),
    ],
)
def test_how_far_it_had_come(done: int, known: int, all_known: bool, said: str) -> None:
    told = interrupted()
    came = ProgressRecord(objects_done=done, objects_known=known, all_known=all_known)
    assert said in " ".join(line.strip() for line in shown(replace(told, progress=came))[:2])


def test_unfinished_chains_are_a_row_of_their_own() -> None:
    lines = shown(interrupted())
    (row,) = [line for line in lines if "unfinished" in line]
    assert row.split()[:2] == ["2", "unfinished"]
    assert row.split()[-3:] == ["0%", "24", "7"]
    assert sum("us-east-1" in line and "100%" in line for line in lines) == 1
    assert any(line.endswith("not looked at, or no digest due yet") for line in lines)
    wrong = [finding(rules.LOG_MISSING, log_key(region="eu-west-1"), region="eu-west-1")]
    told = interrupted(wrong)
    counts = replace(told.chains[1].logs, missing=1)
    told = replace(told, chains=(told.chains[0], replace(told.chains[1], logs=counts), told.chains[2]))
    text = "\n".join(shown(told, 120))
    assert "logs: 1 missing; unfinished" in text
    assert "  1 unfinished" in text
    everything = "\n".join(shown(told, 120, show=None))
    assert SECOND in everything


def test_no_permission_is_asked_for() -> None:
    text = "\n".join(shown(interrupted()))
    assert "allow" not in text
    assert "unreadable" not in text


@pytest.mark.parametrize("findings", [(), CHANGED], ids=["nothing found", "change found"])
def test_the_documents_say_so(findings: list[Any]) -> None:
    report = interrupted(findings)
    document = json.loads(json_format.render(report))
    assert document["interrupted"] is True
    assert document["exit_code"] == (1 if findings else 130)
    assert document["progress"] == {"objects_done": 12_106, "objects_known": 21_168, "all_known": False}
    assert [chain.get("unfinished") for chain in document["chains"]] == [None, True, True]
    assert from_json(json_format.render(report)) == report
    last = json.loads(jsonl_format.render(report).splitlines()[-1])
    assert (last["type"], last["interrupted"], last["progress"]) == ("summary", True, document["progress"])
    rows = list(csv.reader(io.StringIO(csv_format.render(report), newline="")))
    assert (rows[1][0], SAID in rows[1][12]) == ("", True)
    assert len(rows) == 2 + len(findings)
    run = json.loads(sarif.render(report))["runs"][0]
    assert run["properties"]["interrupted"] is True
    assert run["invocations"][0]["executionSuccessful"] is False
    assert run["invocations"][0]["exitCode"] == document["exit_code"]
    assert SAID in run["invocations"][0]["exitCodeDescription"]
    for event in json.loads(ocsf.render(report)):
        assert event["unmapped"]["interrupted"] is True
    for event in json.loads(asff.render(report)):
        assert event["ProductFields"]["ctvalidate/Interrupted"] == SAID


def test_junit_is_red_and_what_was_not_looked_at_has_not_passed() -> None:
    suites = list(JUnitXml.fromstring(junit.render(interrupted()).encode()))
    (verdict,) = list(suites[0])
    assert [type(result).__name__ for result in verdict.result] == ["Error"]
    assert SAID in verdict.result[0].text
    told = [{type(result).__name__ for case in suite for result in case.result} for suite in suites[1:]]
    assert told == [set(), {"Skipped"}, {"Skipped"}]


def test_the_page_says_so() -> None:
    page = html(interrupted())
    assert "<title>Interrupted: " in page
    assert "</span>Interrupted</h1>" in page
    assert f"Interrupted {SAID}; no evidence of change until then." in page
    assert "</span>Evidence of change, interrupted</h1>" in html(interrupted(CHANGED))
    drawn, _ = heat(interrupted())
    letters = {(row["account"], row["region"]): set(row["cover"]) for row in drawn["rows"]}
    assert letters == {
        ("111122223333", "us-east-1"): {"c"},
        ("111122223333", "eu-west-1"): {"u"},
        (SECOND, "us-east-1"): {"u"},
    }


def test_a_run_that_came_to_its_end_says_nothing_of_it() -> None:
    whole = replace(interrupted(), interrupted=UNSET, progress=UNSET)
    assert "interrupted" not in json.loads(json_format.render(whole))
    assert "interrupted" not in json.loads(jsonl_format.render(whole).splitlines()[-1])
