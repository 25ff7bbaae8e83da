"""SARIF, ASFF and OCSF: documents that the schemas of those who read them take, and that say what the report says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import pytest
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator
from msgspec.structs import replace
from py_ocsf_models.events.findings.detection_finding import DetectionFinding  # type: ignore[import-untyped]

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules import RULES, TRAIL_RULES
from cloudtrail_validate.report import Report, Run, Verdict, asff, ocsf, sarif
from cloudtrail_validate.report.references import Severity, hours, severity
from tests.report import samples
from tests.report.samples import ACCOUNT, BUCKET, SECOND, single

SCHEMAS = Path(__file__).parent / "schemas"


# --- SARIF


def sarif_schema() -> Any:
    return json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text())


def test_sarif_fits_the_schema(sample: Report) -> None:
    schema = sarif_schema()
    jsonschema.Draft4Validator.check_schema(schema)
    validator = jsonschema.Draft4Validator(schema)
    log = json.loads(sarif.render(sample))
    validator.validate(log)
    log["runs"][0]["results"].append({"level": "grave"})
    assert {error.validator for error in validator.iter_errors(log)} == {"required", "enum"}


def test_sarif_says_what_the_report_says() -> None:
    sample = samples.telling()
    (run,) = json.loads(sarif.render(sample))["runs"]
    described = run["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in described} == set(TRAIL_RULES)
    for rule in described:
        assert rule["shortDescription"]["text"] == f"{RULES[rule['id']].title}."
        for step in RULES[rule["id"]].next_steps:
            assert step in rule["help"]["markdown"]
            assert step in rule["help"]["text"]
    for result, one in zip(run["results"], sample.findings, strict=True):
        assert described[result["ruleIndex"]]["id"] == result["ruleId"] == one.rule
        assert result["level"] == sarif.level(one.status)
        assert result["properties"].get("expected") == one.expected
        assert result["properties"].get("actual") == one.actual
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert uri == (f"s3://{BUCKET}/{one.key}" if one.key else f"s3://{BUCKET}")
        assert location["logicalLocations"][0]["fullyQualifiedName"] == f"{one.account}/{one.region}/mgmt"
    prints = [result["partialFingerprints"][sarif.FINGERPRINT] for result in run["results"]]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("status", "level"), list(zip(Status, ["error"] * 3 + ["warning"] * 2 + ["note"], strict=True))
)
def test_sarif_levels(status: Status, level: str) -> None:
    assert sarif.level(status) == level


@pytest.mark.parametrize("verdict", Verdict)
def test_a_sarif_run_that_found_something_was_successful(verdict: Verdict) -> None:
    sample = samples.verdicts()[verdict]
    (run,) = json.loads(sarif.render(sample))["runs"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    assert invocation["exitCode"] == sample.exit_code
    assert invocation["startTimeUtc"] < invocation["endTimeUtc"]
    assert invocation["account"] == sample.run.caller_arn
    assert run["properties"]["verdict"] == verdict


def test_sarif_of_a_key_makes_neither_link_nor_placeholder() -> None:
    assert sarif.plain_message("see [a](https://attacker.example) {0}") == r"see \[a\](https://attacker.example) {{0}}"
    assert sarif.plain_message("[3 characters left out] {x}") == "[3 characters left out] {x}"


# --- ASFF


def walk(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """What of `value` the service model's patterns, enums and ranges forbid: botocore itself checks none of these."""
    match shape:
        case StructureShape():
            for name, item in value.items():
                yield from walk(shape.members[name], item, f"{path}.{name}")
        case ListShape():
            for item in value:
                yield from walk(shape.member, item, f"{path}[]")
        case MapShape():
            for name, item in value.items():
                yield from walk(shape.key, name, f"{path}.key")
                yield from walk(shape.value, item, f"{path}.{name}")
        case StringShape():
            if shape.enum and value not in shape.enum:
                yield f"{path}: {value} is none of {shape.enum}"
            if not re.search(shape.metadata.get("pattern", ""), value):
                yield f"{path}: {value!r} does not fit {shape.metadata['pattern']}"


def test_asff_is_what_security_hub_takes(sample: Report) -> None:
    findings = json.loads(asff.render(sample))
    model = botocore.session.get_session().get_service_model("securityhub")
    shape = model.operation_model("BatchImportFindings").input_shape
    assert shape is not None
    assert len(findings) == len(sample.findings)
    if findings:
        problems = ParamValidator().validate({"Findings": findings}, shape)
        assert problems.generate_report() == ""
        assert list(walk(shape, {"Findings": findings})) == []
    assert list(walk(shape, {"Findings": [{"Id": " ", "RecordState": "GONE"}]}))
    assert len({one["Id"] for one in findings}) == len(findings)
    for one in findings:
        assert len(one["Title"]) <= 256
        assert len(one["Description"]) <= 1_024
        assert len(one["Id"]) <= 512
        assert len(one["GeneratorId"]) <= 512
        assert len(one["Remediation"]["Recommendation"]["Text"]) <= 512
        assert len(one["ProductFields"]) <= 50
        assert all(len(name) <= 128 and len(value) <= 2_048 for name, value in one["ProductFields"].items())
        assert len(json.dumps(one)) < 240 * 1_024
        for name in ("CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt"):
            assert datetime.fromisoformat(one[name]) == sample.run.finished


def test_asff_says_what_the_report_says() -> None:
    sample = samples.telling()
    for one, found in zip(json.loads(asff.render(sample)), sample.findings, strict=True):
        assert one["ProductArn"] == f"arn:aws:securityhub:us-east-1:{SECOND}:product/{SECOND}/default"
        assert one["AwsAccountId"] == SECOND  # whoever ran it is who can import it
        assert one["ProductFields"]["ctvalidate/Account"] == found.account
        assert one["GeneratorId"] == f"ctvalidate/{found.rule}"
        assert one["Severity"]["Label"] == severity(found.status).upper()
        assert re.fullmatch(r"(TTPs|Software and Configuration Checks)/[A-Za-z ]+/[a-z-]+", one["Types"][0])
        (resource,) = one["Resources"]
        if found.key:
            assert (resource["Type"], resource["Id"]) == ("AwsS3Object", f"arn:aws:s3:::{BUCKET}/{found.key}")
        else:
            assert (resource["Type"], resource["Id"]) == ("AwsCloudTrailTrail", samples.TRAIL_ARN)


@pytest.mark.parametrize(
    ("caller", "trail", "account", "region", "expected"),
    [
        (None, samples.TRAIL_ARN, SECOND, "eu-west-1", ("aws", "us-east-1", ACCOUNT)),
        (None, None, SECOND, "eu-west-1", ("aws", "eu-west-1", SECOND)),
        (None, None, SECOND, "cn-north-1", ("aws-cn", "cn-north-1", SECOND)),
        ("arn:aws:iam::123456789012:root", None, SECOND, "eu-west-1", ("aws", "eu-west-1", "123456789012")),
        (None, None, "../etc", "<b>", ("aws", "us-east-1", "000000000000")),
    ],
)
def test_asff_names_an_account_that_can_import(
    caller: str | None, trail: str | None, account: str, region: str, expected: tuple[str, str, str]
) -> None:
    sample = single(account=account, region=region)
    run = Run(started=sample.run.started, finished=sample.run.finished, caller_arn=caller)
    sample = replace(sample, run=run, request=replace(sample.request, trail_arn=trail))
    (found,) = json.loads(asff.render(sample))
    of, where, who = expected
    assert found["ProductArn"] == f"arn:{of}:securityhub:{where}:{who}:product/{who}/default"


def test_asff_cuts_the_middle() -> None:
    assert asff.cut("abc", 3) == "abc"
    assert asff.cut("a" * 300 + "b" * 300, 256) == "a" * 127 + "…" + "b" * 127


# --- OCSF


def test_ocsf_fits_the_model_and_nothing_of_it_is_dropped(sample: Report) -> None:
    events = json.loads(ocsf.render(sample))
    assert len(events) == len(sample.findings)
    for event in events:
        model = DetectionFinding.model_validate(event)
        assert model.model_dump(mode="json", exclude_unset=True) == event
        assert model.type_uid == model.class_uid * 100 + model.activity_id


def test_ocsf_says_what_the_report_says() -> None:
    sample = samples.telling()
    events = json.loads(ocsf.render(sample))
    assert len({event["finding_info"]["uid"] for event in events}) == len(events)
    for event, found in zip(events, sample.findings, strict=True):
        when = hours(found)
        assert when is not None
        assert event["time"] == when.start.timestamp() * 1_000
        assert event["finding_info"]["created_time"] == sample.run.finished.timestamp() * 1_000
        assert event["message"] == found.message
        assert event["cloud"]["account"]["uid"] == found.account
        assert event["cloud"]["region"] == found.region
        evidence, *others = event["evidences"]
        assert len(others) == len(found.explanations)
        assert evidence["data"].get("expected") == found.expected
        assert evidence["data"].get("actual") == found.actual
        assert event["severity"] == severity(found.status)
        assert event.get("start_time") == (found.start.timestamp() * 1_000 if found.start else None)


def test_ocsf_names_the_organization() -> None:
    sample = samples.huge(accounts=1, regions=1, days=20, findings=1)
    (event,) = json.loads(ocsf.render(sample))
    assert event["cloud"]["org"] == {"uid": "o-exampleorgid"}


def test_severity_ranks_evidence_above_open_questions() -> None:
    ranks = list(Severity)
    assert [ranks.index(severity(status)) for status in Status] == [3, 2, 2, 1, 1, 0]
