"""The findings as OCSF 1.5 events: a JSON array, for Security Lake and other stores that speak it.

The class is Detection Finding (2004), not Compliance Finding (2003): a finding is evidence seen in the data, and
measures nobody against a control of a standard, which a Compliance Finding must name. The first evidence is the finding's
own; each CloudTrail event that may explain it is one more. Times are milliseconds since 1970: `time` is when the finding
happened, `finding_info.created_time` when the run found it. Source: schema.ocsf.io, version 1.5.0, class
`detection_finding`, profile `cloud`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from msgspec import to_builtins

from cloudtrail_validate.core.regions import partition_of
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import FindingRecord, Report
from cloudtrail_validate.report.references import (
    Severity,
    encodable,
    hours,
    identities,
    object_arn,
    object_uri,
    severity,
    to_json,
)
from cloudtrail_validate.report.wording import sentence, title, version_lines

VERSION: Final = "1.5.0"
_CLASS: Final = 2004
_CREATE: Final = 1
_SEVERITY_ID: Final = {
    Severity.INFORMATIONAL: 1,
    Severity.MEDIUM: 3,
    Severity.HIGH: 4,
    Severity.CRITICAL: 5,
}


def render(report: Report) -> str:
    """A JSON array of events with a closing newline; empty where nothing was found."""
    organizations = {(chain.account, chain.region): chain.organization_id for chain in report.chains}
    ids = identities(report.findings)
    events = []
    for finding, identity in zip(report.findings, ids, strict=True):
        organization = organizations.get((finding.account or "", finding.region or ""))
        events.append(_event(finding, identity, organization, report))
    return to_json(events) + "\n"


def milliseconds(moment: datetime) -> int:
    """OCSF's `timestamp_t`."""
    return int(moment.timestamp() * 1_000)


def _event(finding: FindingRecord, identity: str, organization: str | None, report: Report) -> dict[str, Any]:
    found, when = milliseconds(report.run.finished), hours(finding)
    rank = severity(finding.status)
    rule = RULES.get(finding.rule)
    event: dict[str, Any] = {
        "activity_id": _CREATE,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Detection Finding",
        "type_uid": _CLASS * 100 + _CREATE,
        "type_name": "Detection Finding: Create",
        "time": milliseconds(when.start) if when else found,
        "severity_id": _SEVERITY_ID[rank],
        "severity": str(rank),
        "status_id": 1,
        "status": "New",
        "message": printable(finding.message),
        "metadata": _metadata(finding, identity, report),
        "cloud": _cloud(finding, organization),
        "finding_info": _information(finding, identity, found),
        "resources": [_resource(finding, report)],
        "evidences": [{"data": _evidence(finding)}, *({"data": to_builtins(one)} for one in finding.explanations)],
    }
    if finding.start is not None:
        event["start_time"] = milliseconds(finding.start)
    if finding.end is not None:
        event["end_time"] = milliseconds(finding.end)
    if report.stopped:
        event["unmapped"] = {"interrupted": True, "run": sentence(report)}
    if rule is not None:
        event["remediation"] = {"desc": "\n".join(rule.next_steps)}
    return event


def _metadata(finding: FindingRecord, identity: str, report: Report) -> dict[str, Any]:
    return {
        "version": VERSION,
        "uid": identity,
        "event_code": printable(finding.rule),
        "profiles": ["cloud"],
        "product": {"name": report.tool.name, "vendor_name": report.tool.name, "version": report.tool.version},
    }


def _information(finding: FindingRecord, identity: str, found: int) -> dict[str, Any]:
    rule = RULES.get(finding.rule)
    analytic = {"type_id": 1, "type": "Rule", "uid": printable(finding.rule), "name": title(finding.rule)}
    return {
        "uid": identity,
        "title": title(finding.rule),
        "types": [str(finding.status)],
        "created_time": found,
        "analytic": analytic,
    } | ({"desc": rule.means} if rule else {})


def _cloud(finding: FindingRecord, organization: str | None) -> dict[str, Any]:
    cloud: dict[str, Any] = {"provider": "AWS"}
    if finding.region:
        cloud["region"] = printable(finding.region)
    if finding.account:
        account = printable(finding.account)
        cloud["account"] = {"uid": account, "name": account, "type": "AWS Account", "type_id": 10}
    if organization:
        cloud["org"] = {"uid": printable(organization)}
    return cloud


def _resource(finding: FindingRecord, report: Report) -> dict[str, Any]:
    if finding.key is None:
        trail = printable(report.request.trail_arn or finding.trail or report.request.source)
        resource = {"type": "AWS::CloudTrail::Trail", "uid": trail}
    else:
        uid = object_arn(finding) or object_uri(finding, report) or ""
        resource = {"type": "AWS::S3::Object", "uid": uid, "name": printable(finding.key)}
    resource["cloud_partition"] = partition_of(finding.region)
    return resource | ({"region": printable(finding.region)} if finding.region else {})


def _evidence(finding: FindingRecord) -> dict[str, str]:
    facts = {
        "rule": finding.rule,
        "status": finding.status,
        "trail": finding.trail,
        "bucket": finding.bucket,
        "key": finding.key,
        "cause": finding.cause,
        "expected": finding.expected,
        "actual": finding.actual,
    }
    facts["lifecycle"] = finding.lifecycle if isinstance(finding.lifecycle, str) else None
    facts["versions"] = "\n".join(version_lines(finding)) or None
    return {name: encodable(value) for name, value in facts.items() if value is not None}
