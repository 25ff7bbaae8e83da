"""The findings in the AWS Security Finding Format, ready for Security Hub's BatchImportFindings (100 a call).

Security Hub's default product takes findings only from the account and in the region that they name. So all findings of
a report name one account and region, where whoever ran it can import them: the caller's account, else the trail's, else
the finding's own; the trail's home region, else the finding's. The chain's account and region are in `ProductFields`,
its region in the resource as well. Limits of length: Security Hub API reference, AwsSecurityFinding.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.regions import partition_of
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import FindingRecord, Report
from cloudtrail_validate.report.references import (
    account_of,
    identities,
    object_arn,
    region_of,
    severity,
    to_json,
)
from cloudtrail_validate.report.wording import explanations, how_far, title

MOST: Final = 100  # findings of one BatchImportFindings (Security Hub API reference)
_TITLE, _DESCRIPTION, _ADVICE, _FIELD = 256, 1_024, 512, 2_048  # characters, as Security Hub counts them
_REGION: Final = 16  # characters of a resource's region
_NO_ACCOUNT: Final = "000000000000"  # where neither caller, trail nor finding names one: to be filled in before import
_PARTITIONS: Final = frozenset({"aws", "aws-cn", "aws-us-gov"})
_TYPES: Final = {
    Status.ALTERED: "TTPs/Defense Evasion",
    Status.MISSING: "TTPs/Defense Evasion",
    Status.EXTRA: "TTPs/Defense Evasion",
    Status.UNVERIFIABLE: "Software and Configuration Checks/AWS Security Best Practices",
    Status.UNCOVERED: "Software and Configuration Checks/AWS Security Best Practices",
    Status.NOTICE: "Software and Configuration Checks/AWS Security Best Practices",
}


class Importer(msgspec.Struct, frozen=True, kw_only=True):
    """Who imports findings where, None for each finding's own account or region; and of which run they are.

    `stopped` is how far that run had come, where it was interrupted.
    """

    account: str | None
    region: str | None
    now: datetime
    trail_arn: str | None
    version: str
    stopped: str | None = None


def render(report: Report) -> str:
    """A JSON array of all findings with a closing newline; empty where nothing was found."""
    return to_json(_findings(report)) + "\n"


def parts(report: Report) -> list[str]:
    """The same in arrays of as many as one call takes, `MOST` each; at least one, which may be empty."""
    findings = _findings(report)
    return [to_json(findings[at : at + MOST]) + "\n" for at in range(0, len(findings) or 1, MOST)]


def _findings(report: Report) -> list[dict[str, Any]]:
    trail = parse_trail_arn(report.request.trail_arn or "")
    caller = account_of(":".join((report.run.caller_arn or "").split(":")[4:5]))
    importer = Importer(
        account=caller or (trail.account if trail else None),
        region=trail.region if trail else None,
        now=report.run.finished,
        trail_arn=report.request.trail_arn,
        version=report.tool.version,
        stopped=how_far(report) if report.stopped else None,
    )
    ids = identities(report.findings)
    return [security_finding(finding, ids[i], importer) for i, finding in enumerate(report.findings)]


def cut(text: str, limit: int) -> str:
    """`text`, printable, in at most `limit` characters: the middle of a longer one goes, keys differ at their ends."""
    text = printable(text)
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def security_finding(finding: FindingRecord, identity: str, importer: Importer) -> dict[str, Any]:
    """One finding in the AWS Security Finding Format, as new."""
    account = importer.account or account_of(finding.account) or _NO_ACCOUNT
    region = importer.region or region_of(finding.region) or "us-east-1"
    now = isoformat(importer.now)
    rule = RULES.get(finding.rule)
    out: dict[str, Any] = {
        "SchemaVersion": "2018-10-08",
        "Id": f"ctvalidate/{identity}",
        "ProductArn": f"arn:{partition_of(region)}:securityhub:{region}:{account}:product/{account}/default",
        "GeneratorId": cut(f"ctvalidate/{finding.rule}", 512),
        "AwsAccountId": account,
        "Types": [f"{_TYPES[finding.status]}/{cut(finding.rule, _TITLE)}"],
        "FirstObservedAt": now,
        "LastObservedAt": now,
        "CreatedAt": now,
        "UpdatedAt": now,
        "Severity": {"Label": severity(finding.status).upper(), "Original": str(finding.status)},
        "Title": cut(f"CloudTrail: {title(finding.rule)}", _TITLE),
        "Description": cut(finding.message, _DESCRIPTION) or "-",
        "ProductFields": _fields(finding, importer),
        "Resources": [_resource(finding, importer.trail_arn)],
        "Workflow": {"Status": "NEW"},
        "RecordState": "ACTIVE",
    }
    if rule is not None:
        out["Remediation"] = {"Recommendation": {"Text": cut(rule.next_steps[0], _ADVICE)}}
    return out


def _fields(finding: FindingRecord, importer: Importer) -> dict[str, str]:
    facts = {
        "Status": finding.status,
        "Account": finding.account,
        "Region": finding.region,
        "Trail": finding.trail,
        "Bucket": finding.bucket,
        "Key": finding.key,
        "Start": isoformat(finding.start) if finding.start else None,
        "End": isoformat(finding.end) if finding.end else None,
        "Cause": finding.cause,
        "Expected": finding.expected,
        "Actual": finding.actual,
        "Version": importer.version,
        "Interrupted": importer.stopped,
    } | {f"Explanation/{number:02}": line for number, line in enumerate(explanations(finding), 1)}
    return {f"ctvalidate/{name}": cut(str(value), _FIELD) for name, value in facts.items() if value and value.strip()}


def _resource(finding: FindingRecord, trail_arn: str | None) -> dict[str, Any]:
    arn, region = object_arn(finding), region_of(finding.region)
    of = partition_of(region)
    if arn is None and trail_arn and finding.key is None:
        kind, name = "AwsCloudTrailTrail", cut(trail_arn, 512)
    else:
        kind, name = ("AwsS3Object", arn) if arn else ("Other", cut(finding.key or _place(finding), 512))
    resource: dict[str, Any] = {"Type": kind, "Id": name}
    resource |= {"Partition": of} if of in _PARTITIONS else {}
    return resource | ({"Region": region} if region and len(region) <= _REGION else {})


def _place(finding: FindingRecord) -> str:
    return "/".join(name for name in (finding.account, finding.region, finding.trail) if name) or "cloudtrail"
