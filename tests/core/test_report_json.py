"""The report as JSON: what any run may have found keeps the published schema, and reads back as it was."""

from __future__ import annotations

import hashlib
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

from cloudtrail_validate.core.findings import Findings, FindingSet
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
    isoformat,
)
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.report import Report, RequestEcho, Run, from_json
from cloudtrail_validate.report.build import build, public_keys, record
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
MOMENTS = st.datetimes(datetime(2013, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis's bounds
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
OPTIONAL = ("relied_on", "incidents")  # of this version; readers of the schema must do without
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
        *OPTIONAL,
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
    (key,) = document["public_keys"]
    own = public(signer())
    assert key == {
        "fingerprint": own.fingerprint,
        "region": REGION,
        "source": "file",
        "sha256": hashlib.sha256(own.der).hexdigest(),
        "not_before": isoformat(own.not_before),
        "not_after": isoformat(own.not_after),
    }
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
    elif field in OPTIONAL:
        assert errors(document) == []
        from_json(json.dumps(document))
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


def test_a_key_says_when_aws_was_asked_or_which_file_it_came_from() -> None:
    first, later = START, START + timedelta(hours=5)
    key = public(signer())
    issued = msgspec.structs.replace(key, source="aws", asked=later)
    again = msgspec.structs.replace(issued, asked=first)
    filed = msgspec.structs.replace(key, file="keys\udcff.json", file_sha256="ab" * 32)
    aws, file = public_keys({issued, again, filed})
    assert (aws.source, aws.asked_at, aws.file) == ("aws", first, msgspec.UNSET)
    assert (file.source, file.asked_at) == ("file", msgspec.UNSET)
    assert (file.file, file.file_sha256) == ("keys\\udcff.json", "ab" * 32)


def test_what_was_relied_on_names_the_roots() -> None:
    report = sample()["relied_on"]
    assert "PKCS#1 v1.5 with SHA-256" in report[0]
    assert "nobody compared with AWS" in report[1]
    assert "2026-01-05T00:00:00Z" in report[2]
    assert "cryptography" in report[3]
    asked = msgspec.structs.replace(public(signer()), source="aws", asked=START)
    for endpoint, where in (
        (msgspec.UNSET, "configuration of the caller leads"),
        ("http://127.0.0.1:5000", "at http://127.0.0.1:5000"),
    ):
        echo = msgspec.structs.replace(REQUEST, endpoint_url=endpoint)
        relied = build(Outcome((), Findings(), WINDOW, keys=(asked,)), echo, RUN).relied_on
        assert isinstance(relied, tuple)
        assert f"ListPublicKeys in {REGION} answered" in relied[1]
        assert where in relied[1]
        assert "asked 2026-01-05T00:00:00Z" in relied[1]
