"""The examination as SARIF 2.1.0: a check is a rule, and each answer a result, those that are well as kind `pass`.

The standard's own kinds fit: what could not be read is `open`, "insufficient information to decide". Only a failure has
a level.
"""

from __future__ import annotations

from typing import Any, Final, assert_never
from urllib.parse import quote

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.doctor.model import Check, Health
from cloudtrail_validate.doctor.registry import CHECKS
from cloudtrail_validate.doctor.render.sentences import verdict
from cloudtrail_validate.doctor.report import DoctorReport, Result
from cloudtrail_validate.doctor.results import message
from cloudtrail_validate.report.references import encodable, to_json
from cloudtrail_validate.report.sarif import SCHEMA_URI, plain_message

FINGERPRINT: Final = "ctvalidate.doctor/v1"


def render(report: DoctorReport) -> str:
    """Return one SARIF log with one run; a closing newline."""
    ids = [result.check for result in report.results]
    places = {check: place for place, check in enumerate(ids)}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "rules": [_descriptor(CHECKS[check]) if check in CHECKS else {"id": encodable(check)} for check in ids],
            }
        },
        "invocations": [_invocation(report)],
        "results": [_result(report, result, places[result.check]) for result in report.results],
        "properties": {
            "verdict": report.verdict,
            "request": report.request,
            "summary": report.summary,
            "skipped": report.skipped,
        },
    }
    return to_json({"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}) + "\n"


def level(health: Health) -> tuple[str, str]:
    """SARIF's kind and level for a status."""
    match health:
        case Health.BAD:
            return "fail", "error"
        case Health.WEAK:
            return "fail", "warning"
        case Health.UNKNOWN:
            return "open", "none"
        case Health.OK:
            return "pass", "none"
        case _:
            assert_never(health)


def _invocation(report: DoctorReport) -> dict[str, Any]:
    invocation: dict[str, Any] = {
        "executionSuccessful": True,
        "exitCode": report.exit_code,
        "exitCodeDescription": verdict(report),
        "startTimeUtc": isoformat(report.run.started),
        "endTimeUtc": isoformat(report.run.finished),
    }
    return invocation | ({"account": encodable(report.run.caller_arn)} if report.run.caller_arn else {})


def _descriptor(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "name": "".join(word.capitalize() for word in check.id.split("-")),
        "shortDescription": {"text": f"{check.title}."},
        "fullDescription": {"text": check.finds},
        "help": {"text": f"{check.why}\n\nAlso asked for by: {', '.join(check.also) or 'nobody else'}"},
        "defaultConfiguration": {"level": "warning"},
        "properties": {"tags": ["cloudtrail", *check.axes, *check.also]},
    }


def _result(report: DoctorReport, result: Result, place: int) -> dict[str, Any]:
    kind, strength = level(result.status)
    uri = f"s3://{report.bucket}" if report.bucket else "s3://"
    return {
        "ruleId": result.check,
        "ruleIndex": place,
        "kind": kind,
        "level": strength,
        "message": {"text": plain_message(message(result))},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": quote(uri, safe=":/", errors="backslashreplace")}},
                "logicalLocations": [
                    {"fullyQualifiedName": printable(result.resource) or result.check, "kind": "resource"}
                ],
            }
        ],
        "partialFingerprints": {FINGERPRINT: result.id},
        "properties": {
            "status": result.status,
            "axes": result.axes,
            "account": result.account,
            "region": result.region,
            "missingActions": result.missing_actions,
            "remedy": result.remedy,
            "also": result.also,
        },
    }
