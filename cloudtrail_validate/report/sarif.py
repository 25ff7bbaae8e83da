"""The report as SARIF 2.1.0 (OASIS Standard, with errata 01), for code scanning services and their viewers.

A rule of the contract is a SARIF rule, a finding a result of kind `fail`: the standard wants level `none` beside every
other kind, and warnings and notes shall keep theirs. Whether the run itself went well is in `invocations[0]`, apart
from what it found: a run that found tampering was successful.
"""

from __future__ import annotations

import re
from typing import Any, Final, assert_never

from msgspec import UnsetType

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.rules import RULES, Rule
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import ExitCode, FindingRecord, Report
from cloudtrail_validate.report.references import encodable, identities, object_uri, source_uri, to_json
from cloudtrail_validate.report.wording import sentence, title

SCHEMA_URI: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT: Final = "ctvalidate/v1"  # raised when `identities` changes, so that consumers do not mix the two up


def render(report: Report) -> str:
    """One SARIF log with one run; a closing newline."""
    ids = list(dict.fromkeys(finding.rule for finding in report.findings))
    places = {rule: place for place, rule in enumerate(ids)}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "rules": [_descriptor(rule) for rule in ids],
            }
        },
        "invocations": [_invocation(report)],
        "results": [
            _result(finding, places[finding.rule], identity, report)
            for finding, identity in zip(report.findings, identities(report.findings), strict=True)
        ],
        "properties": {
            "verdict": report.verdict,
            "request": report.request,
            "summary": report.summary,
            "findingsTruncated": report.findings_truncated,
        }
        | ({"interrupted": True, "progress": report.progress} if report.stopped else {}),
    }
    return to_json({"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}) + "\n"


def level(status: Status) -> str:
    """SARIF's word for a status."""
    match status:
        case Status.ALTERED | Status.MISSING | Status.EXTRA:
            return "error"
        case Status.UNVERIFIABLE | Status.UNCOVERED:
            return "warning"
        case Status.NOTICE:
            return "note"
        case _:
            assert_never(status)


def _invocation(report: Report) -> dict[str, Any]:
    invocation: dict[str, Any] = {
        "executionSuccessful": report.exit_code != ExitCode.USAGE and not report.stopped,
        "exitCode": report.exit_code,
        "exitCodeDescription": sentence(report),
        "startTimeUtc": isoformat(report.run.started),
        "endTimeUtc": isoformat(report.run.finished),
    }
    return invocation | ({"account": encodable(report.run.caller_arn)} if report.run.caller_arn else {})


def _descriptor(rule_id: str) -> dict[str, Any]:
    if rule_id not in RULES:
        return {"id": encodable(rule_id)}
    rule = RULES[rule_id]
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.when},
        "help": {"text": _help_text(rule), "markdown": _help_markdown(rule)},
        "defaultConfiguration": {"level": level(rule.status)},
        "properties": {"tags": ["cloudtrail", "integrity", str(rule.status)]},
    }


def _help_text(rule: Rule) -> str:
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(rule.next_steps, 1))
    return f"{rule.means}\n\nWhat it does not mean: {rule.does_not_mean}\n\nWhat to do next:\n{steps}"


def _help_markdown(rule: Rule) -> str:
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(rule.next_steps, 1))
    return f"{rule.means}\n\n**What it does not mean.** {rule.does_not_mean}\n\n**What to do next**\n\n{steps}"


def _result(finding: FindingRecord, place: int, identity: str, report: Report) -> dict[str, Any]:
    names = [finding.account, finding.region, finding.trail]
    logical = "/".join(name for name in names if name) or title(finding.rule)
    # A gap has no object, but some services refuse results without a file: the place that should hold its digests.
    uri = object_uri(finding, report) or source_uri(report)
    facts = {
        "status": finding.status,
        "account": finding.account,
        "region": finding.region,
        "trail": finding.trail,
        "bucket": finding.bucket,
        "key": finding.key,
        "start": finding.start,
        "end": finding.end,
        "cause": finding.cause,
        "expected": finding.expected,
        "actual": finding.actual,
        "events": finding.explanations or None,
        "lifecycle": finding.lifecycle if isinstance(finding.lifecycle, str) else None,
        "versions": None if isinstance(finding.versions, UnsetType) else finding.versions,
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": place,
        "kind": "fail",
        "level": level(finding.status),
        "message": {"text": plain_message(finding.message)},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": uri}},
                "logicalLocations": [{"fullyQualifiedName": printable(logical), "kind": "resource"}],
            }
        ],
        "partialFingerprints": {FINGERPRINT: identity},
        "properties": {name: value for name, value in facts.items() if value is not None},
    }


def plain_message(text: str) -> str:
    """`text` without SARIF's own marks (§3.11.5, §3.11.6): a key shall make neither a placeholder nor a link."""
    text = re.sub(r"\{(\d+)\}", r"{{\1}}", printable(text))
    return text.replace("[", r"\[").replace("]", r"\]") if "](" in text else text
