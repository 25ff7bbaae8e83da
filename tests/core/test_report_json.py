"""The report as JSON: what any run may have found keeps the published schema, and reads back as it was."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.findings import FindingSet
from cloudtrail_validate.core.model import (
    Cause,
    ChainId,
    ChainReport,
    Counts,
    Finding,
    Gap,
    Interval,
    Kind,
    Locator,
    Status,
)
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.report import Report, RequestEcho, Run, from_json
from cloudtrail_validate.report.build import build, record
from cloudtrail_validate.report.json import render

from .helpers import ACCOUNT, CHAIN, REGION, START, public, signer

T = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def _is_a_time(value: object) -> bool:
    """CONTRACT: T is `2026-01-01T00:00:00Z`, which is narrower than what JSON Schema calls a date-time."""
    return not isinstance(value, str) or T.fullmatch(value) is not None


@cache
def validator() -> jsonschema.Draft202012Validator:
    """By the schema as the command prints it."""
    command = [sys.executable, "-m", "cloudtrail_validate", "schema"]
    schema = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=FORMATS)


def errors(document: Any) -> list[str]:
    return [error.json_path for error in validator().iter_errors(document)]


TEXT = st.text(st.characters(), max_size=12)  # any character, lone surrogates and controls among them
MOMENTS = st.datetimes(datetime(2013, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
INTERVALS = st.builds(
    lambda start, length: Interval(start, start + length), MOMENTS, st.timedeltas(timedelta(0), timedelta(9))
)
COUNTS = st.builds(Counts, *[st.integers(0, 10**12)] * 5)
FINDINGS = st.builds(
    Finding,
    st.sampled_from(sorted(RULES)),
    st.sampled_from(Status),
    st.none() | st.just(ACCOUNT),
    st.none() | TEXT,
    st.none() | st.just("mgmt"),
    st.none() | st.builds(Locator, st.sampled_from(["", "b"]), TEXT),
    st.none() | INTERVALS,
    st.none() | st.sampled_from(Cause),
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | TEXT,
)
CHAINS = st.builds(
    ChainReport,
    st.builds(
        ChainId,
        st.just(ACCOUNT),
        st.just(REGION) | TEXT,
        st.just("mgmt"),
        st.just(REGION),
        st.none() | st.just("o-exampleorgid"),
        st.sampled_from(Kind),
    ),
    COUNTS,
    COUNTS,
    st.lists(INTERVALS, max_size=2).map(tuple),
    st.lists(
        st.builds(Gap, st.sampled_from(["gap-tail", "gap-broken"]), INTERVALS, st.integers(0, 10**9)), max_size=2
    ).map(tuple),
)
REQUEST = RequestEcho(
    trail_arn=None, start=START, end=START + timedelta(days=1), source="s3://b/", regions=(), accounts=(ACCOUNT,)
)
RUN = Run(started=START, finished=START, caller_arn=None)
WINDOW = Interval(START, START + timedelta(days=1))


def report_of(chains: list[ChainReport], findings: list[Finding]) -> Report:
    found = FindingSet()
    for item in findings:
        found.add(item)
    return build(Outcome(tuple(chains), found.freeze(), WINDOW, keys=(public(signer()),)), REQUEST, RUN)


@given(st.lists(CHAINS, max_size=2), st.lists(FINDINGS, max_size=3))
def test_any_report_keeps_the_schema_and_reads_back(chains: list[ChainReport], findings: list[Finding]) -> None:
    report = report_of(chains, findings)
    text = render(report)
    assert errors(json.loads(text)) == []
    assert from_json(text) == report
    assert from_json(text.encode("utf-8")) == report


def sample() -> dict[str, Any]:
    finding = Finding("gap-tail", Status.UNCOVERED, ACCOUNT, REGION, "mgmt", None, WINDOW)
    chain = ChainReport(CHAIN, Counts(3), Counts(4), (WINDOW,), (Gap("gap-tail", WINDOW, 2),))
    document: dict[str, Any] = json.loads(render(report_of([chain], [finding])))
    return document


def test_the_document_is_the_contracts() -> None:
    document = sample()
    assert list(document) == [
        "schema",
        "verdict",
        "exit_code",
        "tool",
        "run",
        "request",
        "summary",
        "chains",
        "findings",
        "public_keys",
        "findings_truncated",
    ]
    assert (document["schema"], document["verdict"], document["exit_code"]) == ("ctvalidate.report/1", "unproven", 3)
    day = ["2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"]
    counts = {"valid": 3, "altered": 0, "missing": 0, "extra": 0, "unverifiable": 0}
    assert document["chains"] == [
        {
            "account": ACCOUNT,
            "region": REGION,
            "trail": "mgmt",
            "home_region": REGION,
            "organization_id": None,
            "kind": "standard",
            "digests": counts,
            "logs": counts | {"valid": 4},
            "covered": [day],
            "gaps": [{"rule": "gap-tail", "start": day[0], "end": day[1], "undigested_logs": 2}],
        }
    ]
    (finding,) = document["findings"]
    assert finding.pop("message")
    assert finding == {
        "rule": "gap-tail",
        "status": "uncovered",
        "account": ACCOUNT,
        "region": REGION,
        "trail": "mgmt",
        "bucket": None,
        "key": None,
        "start": day[0],
        "end": day[1],
        "cause": None,
        "expected": None,
        "actual": None,
    }
    assert document["public_keys"] == [{"fingerprint": signer().fingerprint, "region": REGION, "source": "file"}]
    assert document["summary"]["window_seconds"] == document["summary"]["covered_seconds"] == 86_400


def test_the_sample_keeps_the_schema() -> None:
    assert errors(sample()) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"schema": "ctvalidate.report/2"}, "$.schema"),
        ({"verdict": "fine"}, "$.verdict"),
        ({"exit_code": "0"}, "$.exit_code"),
        ({"findings_truncated": None}, "$.findings_truncated"),
        ({"run": {"started": "2026-01-05T00:00:00Z", "finished": "2026-01-05", "caller_arn": None}}, "$.run.finished"),
        ({"run": {"started": 5, "finished": "2026-01-05T00:00:00Z", "caller_arn": None}}, "$.run.started"),
        ({"more": 1}, "$"),
        ({"chains": [{}]}, "$.chains[0]"),
        ({"findings": [{"rule": "x"}]}, "$.findings[0]"),
    ],
)
def test_another_document_is_no_report(change: dict[str, Any], path: str) -> None:
    document = sample() | change
    assert path in errors(document)
    if path != "$.run.finished":  # a date alone is midnight to the reader; the schema is the stricter of the two
        with pytest.raises(msgspec.ValidationError):
            from_json(json.dumps(document))


@pytest.mark.parametrize("field", sorted(sample()))
def test_every_field_is_there(field: str) -> None:
    document = sample()
    del document[field]
    if field == "schema":  # the one field with a default
        assert from_json(json.dumps(document)).schema == "ctvalidate.report/1"
    else:
        assert errors(document) == ["$"]


def test_a_key_that_is_no_utf8_is_published_in_escapes() -> None:
    """A file name on disk may hold any bytes; JSON may not."""
    finding = Finding("log-extra", Status.EXTRA, where=Locator("", "AWSLogs/\udcff\x1b[31m é"), actual="\ud800")
    published = record(finding)
    assert (published.key, published.actual, published.bucket) == ("AWSLogs/\\udcff\x1b[31m é", "\\ud800", None)
    assert "\x1b" not in published.message


def test_times_are_published_to_the_second() -> None:
    exact = Interval(START + timedelta(microseconds=999_999), START + timedelta(seconds=1, microseconds=1))
    published = record(Finding("gap-tail", Status.UNCOVERED, interval=exact))
    assert (published.start, published.end) == (START, START + timedelta(seconds=1))
