"""The examination in the AWS Security Finding Format, one finding a check, also where it is well (`PASSED`).

As with a validation, all findings name one account and region, where whoever ran it can import them: the caller's
account, else the trail's; the trail's home region. A later import with the same id updates the finding. Limits of length:
Security Hub API reference, AwsSecurityFinding.
"""

from __future__ import annotations

from typing import Any, Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.regions import partition_of
from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.report import DoctorReport, Result
from cloudtrail_validate.doctor.results import message, severity
from cloudtrail_validate.report.asff import cut
from cloudtrail_validate.report.references import account_of, region_of, to_json

_TITLE, _DESCRIPTION, _ADVICE, _FIELD, _ID, _REQUIREMENTS = 256, 1_024, 512, 2_048, 512, 32
_NO_ACCOUNT: Final = "000000000000"  # to be filled in before import
_COMPLIANCE: Final = {
    Health.OK: "PASSED",
    Health.WEAK: "WARNING",
    Health.BAD: "FAILED",
    Health.UNKNOWN: "NOT_AVAILABLE",
}
_RESOURCES: Final = {"cloudtrail": "AwsCloudTrailTrail", "s3": "AwsS3Bucket", "kms": "AwsKmsKey"}


def render(report: DoctorReport) -> str:
    """Return a JSON array of findings with a closing newline."""
    caller = account_of(":".join((report.run.caller_arn or "").split(":")[4:5]))
    return to_json([_finding(report, result, caller) for result in report.results]) + "\n"


def _finding(report: DoctorReport, result: Result, caller: str | None) -> dict[str, Any]:
    account = caller or account_of(result.account) or _NO_ACCOUNT
    region = region_of(result.region) or "us-east-1"
    now = isoformat(report.run.finished)
    out: dict[str, Any] = {
        "SchemaVersion": "2018-10-08",
        "Id": f"ctvalidate/{result.id}",
        "ProductArn": f"arn:{partition_of(region)}:securityhub:{region}:{account}:product/{account}/default",
        "GeneratorId": cut(f"ctvalidate/{result.check}", _ID),
        "AwsAccountId": account,
        "Types": [f"Software and Configuration Checks/AWS Security Best Practices/{result.check}"],
        "FirstObservedAt": now,
        "LastObservedAt": now,
        "CreatedAt": now,
        "UpdatedAt": now,
        "Severity": {"Label": severity(result.status).upper(), "Original": str(result.status)},
        "Title": cut(f"CloudTrail set-up: {result.title}", _TITLE),
        "Description": cut(message(result), _DESCRIPTION),
        "Compliance": {"Status": _COMPLIANCE[result.status]},
        "ProductFields": _fields(report, result),
        "Resources": [_resource(result, region)],
        "Workflow": {"Status": "RESOLVED" if result.status is Health.OK else "NEW"},
        "RecordState": "ACTIVE",
    }
    if result.also:
        out["Compliance"]["RelatedRequirements"] = list(result.also[:_REQUIREMENTS])
    if result.remedy:
        out["Remediation"] = {"Recommendation": {"Text": cut(" ".join(result.remedy), _ADVICE)}}
    return out


def _fields(report: DoctorReport, result: Result) -> dict[str, str]:
    facts = {
        "Status": result.status,
        "Axes": ", ".join(result.axes),
        "Trail": report.trail_arn,
        "Bucket": report.bucket,
        "Evidence": result.evidence,
        "Why": result.why,
        "MissingActions": ", ".join(result.missing_actions),
        "Version": report.tool.version,
    }
    return {f"ctvalidate/{name}": cut(str(value), _FIELD) for name, value in facts.items() if value and value.strip()}


def _resource(result: Result, region: str) -> dict[str, Any]:
    service = result.resource.split(":")[2] if result.resource.count(":") > 4 else ""
    name = cut(result.resource, _ID) or "cloudtrail"
    return {"Type": _RESOURCES.get(service, "Other"), "Id": name, "Region": region, "Partition": partition_of(region)}
