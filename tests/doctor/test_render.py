"""Every format says the same of one examination, and nothing that AWS answered can act in any of them."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import botocore.session
import jsonschema
import msgspec
import pytest
from botocore.validate import ParamValidator
from rich.cells import cell_len
from rich.console import Console

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.doctor import alerts, results
from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.registry import CHECKS
from cloudtrail_validate.doctor.render import FORMATS, asff, by_ending, html, renderer, sarif, table
from cloudtrail_validate.doctor.render import json as as_json
from cloudtrail_validate.doctor.report import DoctorReport, decide
from cloudtrail_validate.notify import wording
from cloudtrail_validate.notify.event import still_open
from cloudtrail_validate.report import Verdict
from cloudtrail_validate.report.examination import read_examination
from tests.doctor.samples import WEAKNESSES, hostile, report_of, world

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from tests.servers.answers import AnswerServer

SARIF: Final = Path(__file__).parents[1] / "report" / "schemas" / "sarif-2.1.0-rtm.5.json"


@pytest.fixture(params=["healthy", "weak", "hostile"])
def sample(request: pytest.FixtureRequest, answers: AnswerServer, auditor: Aws) -> DoctorReport:
    made = {"healthy": world(), "weak": world(*WEAKNESSES), "hostile": hostile()}
    return report_of(answers, auditor, made[request.param])[1]


@pytest.fixture
def weak(answers: AnswerServer, auditor: Aws) -> DoctorReport:
    return report_of(answers, auditor, world(*WEAKNESSES))[1]


def shown(report: DoctorReport, width: int = 100, **options: Any) -> str:
    out = io.StringIO()
    table.render(report, Console(file=out, width=width, color_system=None), **options)
    return out.getvalue()


# -- verdict


@pytest.mark.parametrize(
    ("statuses", "verdict", "code"),
    [
        (["ok", "ok"], "ok", 0),
        (["ok", "weak"], "weak", 3),
        (["unknown", "ok"], "unknown", 3),
        (["unknown", "weak"], "weak", 3),
        (["unknown", "weak", "bad", "ok"], "bad", 1),
        ([], "unknown", 3),
    ],
)
def test_the_exit_code_is_a_function_of_the_statuses(statuses: list[str], verdict: str, code: int) -> None:
    assert decide(map(Health, statuses)) == (verdict, code)


def test_counts_and_verdict_agree_with_the_results(sample: DoctorReport) -> None:
    for health in Health:
        assert getattr(sample.summary, health) == sum(result.status is health for result in sample.results)
    assert (sample.verdict, sample.exit_code) == decide(result.status for result in sample.results)
    assert len(sample.results) + len(sample.skipped) == len(CHECKS) + 1  # the sample skips one that was examined


# -- JSON


def test_json_keeps_its_schema(sample: DoctorReport) -> None:
    schema = as_json.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    text = as_json.render(sample)
    assert text.isascii()
    document = json.loads(text)
    validator.validate(document)
    assert document["schema"] == "ctvalidate.doctor/1"
    document["results"][0]["status"] = "fine"
    assert not validator.is_valid(document)
    assert msgspec.json.decode(text, type=DoctorReport).results == sample.results
    beside = read_examination(text.encode())  # what a validation's HTML shows of it
    assert [result.check for result in beside.results] == [result.check for result in sample.results]


def test_ids_stay_the_same_whatever_is_found(answers: AnswerServer, auditor: Aws) -> None:
    _, well = report_of(answers, auditor, world())
    _, ill = report_of(answers, auditor, world(*WEAKNESSES))
    assert [result.id for result in well.results] == [result.id for result in ill.results]
    assert len({result.id for result in well.results}) == len(well.results)


# -- table


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_keeps_its_width_and_tells_everything_that_is_not_well(sample: DoctorReport, width: int) -> None:
    text = shown(sample, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    told = re.findall(r"^(bad|weak|unknown) +([a-z-]+)$", text, re.MULTILINE)
    assert sorted(told) == sorted((r.status.value, r.check) for r in sample.results if r.status is not Health.OK)
    assert f"exit code {sample.exit_code}" in " ".join(text.split())
    assert all(f" {result.check}" in text or result.check in text for result in sample.results)


def test_off_a_terminal_commands_are_whole(weak: DoctorReport) -> None:
    text = shown(weak, 80, whole=True)
    for result in weak.results:
        for line in result.remedy:
            assert line.removeprefix("#").strip() in text


def test_quiet_and_verbose(weak: DoctorReport) -> None:
    quiet, verbose = shown(weak, quiet=True), shown(weak, verbose=True)
    assert "trail-exists" not in quiet
    assert "s3://amzn-s3-demo-bucket\n" not in quiet
    assert re.search(r"^ok +trail-exists$", verbose, re.MULTILINE)
    assert "delivers to amzn-s3-demo-bucket" in verbose


def test_a_console_without_utf8_gets_ascii(weak: DoctorReport) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    table.render(weak, Console(file=out, width=80, color_system=None))
    out.flush()
    assert "wanted: " in out.buffer.getvalue().decode("ascii")


# -- SARIF


def test_sarif_fits_the_schema(sample: DoctorReport) -> None:
    log = json.loads(sarif.render(sample))
    jsonschema.Draft4Validator(json.loads(SARIF.read_text())).validate(log)
    run = log["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [result.check for result in sample.results]
    for result, item in zip(sample.results, run["results"], strict=True):
        assert run["tool"]["driver"]["rules"][item["ruleIndex"]]["id"] == item["ruleId"] == result.check
        assert (item["kind"], item["level"]) == sarif.level(result.status)
        assert item["level"] == "none" or item["kind"] == "fail"  # the standard, 3.27.10


# -- ASFF


def test_asff_is_what_security_hub_takes(sample: DoctorReport) -> None:
    findings = json.loads(asff.render(sample))
    shape = botocore.session.get_session().get_service_model("securityhub").operation_model("BatchImportFindings")
    assert shape.input_shape is not None
    report = ParamValidator().validate({"Findings": findings}, shape.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert len({finding["Id"] for finding in findings}) == len(findings) <= 100
    compliance = {"ok": "PASSED", "weak": "WARNING", "bad": "FAILED", "unknown": "NOT_AVAILABLE"}
    for result, finding in zip(sample.results, findings, strict=True):
        assert finding["Compliance"]["Status"] == compliance[result.status]
        assert finding["Compliance"].get("RelatedRequirements", []) == list(result.also)
        assert len(finding["Title"]) <= 256
        assert len(finding["Description"]) <= 1_024
        assert all(finding["ProductFields"].values())
        assert len(finding["Resources"][0]["Id"]) <= 512


# -- HTML


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_html_loads_nothing_and_runs_nothing(sample: DoctorReport) -> None:
    document = html.render(sample)
    parser = _Tags()
    parser.feed(document)
    tags = {tag for tag, _ in parser.seen}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "form", "a"}
    assert not [name for _, attrs in parser.seen for name in attrs if name.startswith("on") or name in ("style", "src")]
    policy = next(
        attrs["content"] for tag, attrs in parser.seen if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    rows = [str(attrs.get("id")) for tag, attrs in parser.seen if tag == "code"]
    told = sorted(row.removeprefix("check-") for row in rows if row.startswith("check-"))
    assert told == sorted(result.check for result in sample.results)


# -- all formats


def test_nothing_that_aws_answered_acts_in_any_format(answers: AnswerServer, auditor: Aws) -> None:
    _, report = report_of(answers, auditor, hostile())
    texts = {name: renderer(name)(report) for name in FORMATS} | {
        "table": shown(report, 100),
        "whole": shown(report, whole=True),
    }
    for name, text in texts.items():
        assert "\x1b" not in text, name
        assert "\u202e" not in text, name
        assert "\x07" not in text, name
    assert "<img" not in texts["html"]
    assert "alert(1)" in texts["html"]
    assert all(printable(line) == line for line in texts["whole"].splitlines())


def test_endings() -> None:
    assert [by_ending(f"x{ending}") for ending, _ in FORMATS.values()] == list(FORMATS)
    assert by_ending("x.txt") is None


# -- findings and alerts


def test_findings_are_what_is_not_well_under_the_ids_of_the_results(weak: DoctorReport) -> None:
    found = results.findings(weak)
    assert [(finding.id, finding.rule) for finding in found] == [
        (result.id, result.check) for result in weak.results if result.status is not Health.OK
    ]
    assert all(printable(finding.message) == finding.message for finding in found)
    assert "rule r0 deletes logs after 1 day" in next(f.message for f in found if f.rule == "bucket-lifecycle")


def test_alerts_open_stay_and_heal(answers: AnswerServer, auditor: Aws) -> None:
    _, ill = report_of(answers, auditor, world(*WEAKNESSES))
    _, better = report_of(answers, auditor, world(*WEAKNESSES[1:]))
    _, blind = report_of(answers, auditor, world(*WEAKNESSES[:1], "self-permissions/denied"))
    first = alerts.event(ill)
    assert {item.finding.rule for item in first.opened} == {f.rule for f in results.findings(ill)}
    second = alerts.event(better, still_open(first))
    assert [item.finding.rule for item in second.healed] == ["bucket-policy-writers"]
    assert not second.opened
    assert all(item.times == 2 for item in second.again)
    third = alerts.event(blind, still_open(first))
    assert "bucket-versioning" in {item.finding.rule for item in third.again}
    assert third.id == second.id == first.id
    assert len({first.state, second.state, third.state}) == 3


def test_an_alert_of_the_doctor_is_never_evidence_of_change(answers: AnswerServer, auditor: Aws) -> None:
    _, ill = report_of(answers, auditor, world(*WEAKNESSES))
    told = alerts.event(ill)
    assert ill.exit_code == 1
    assert told.verdict is Verdict.UNPROVEN
    assert wording.attributes(told)["exit_code"] == "3"
    assert wording.subject(told).startswith("ctvalidate SET-UP: ")
    body = wording.body(told)
    assert "bucket-versioning [bad] wanted: The bucket keeps every version of a file" in body
    assert "CHANGED" not in body
    _, well = report_of(answers, auditor, world())
    assert alerts.event(well).verdict is Verdict.VALID
