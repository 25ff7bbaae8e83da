"""What is asked about findings once they are known: events, lifecycle rules, older versions. A clean run asks nothing."""

from __future__ import annotations

import asyncio
from datetime import datetime

from cloudtrail_validate.engine import Outcome
from cloudtrail_validate.evidence.versions import witness
from cloudtrail_validate.lookup import lifecycle_rules, look_up, removed_by
from cloudtrail_validate.model import Status
from cloudtrail_validate.report.build import Evidence
from cloudtrail_validate.request import Request
from cloudtrail_validate.setting import Setting
from cloudtrail_validate.why import Trail, explain, reaches


async def gather(request: Request, outcome: Outcome, setting: Setting, now: datetime) -> Evidence:
    """What explains the findings: events in proven logs, CloudTrail's event history if asked, lifecycle rules."""
    findings = outcome.ledger.findings()
    aws, target = setting.aws, setting.target
    trail = Trail(target.bucket, target.owner, target.home_region)
    events = dict(await explain(findings, outcome.proofs, setting.store, setting.pace, trail))
    if aws is None:
        return Evidence(events)
    if request.lookup_events:
        hours = reaches(findings)
        told = await asyncio.to_thread(look_up, hours, aws, target.home_region, target.bucket, now)
        events |= {finding: found for finding, found in told.items() if finding not in events}
    missing = [finding for finding in findings if finding.status is Status.MISSING and finding.where]
    rules = await asyncio.to_thread(lifecycle_rules, aws, target.bucket) if missing else ()
    fitting = {finding: removed_by(finding, rules, now) for finding in missing} if rules else {}
    versions = await asyncio.to_thread(witness, findings, aws, setting.keys.region) if request.versions else {}
    return Evidence(events, {finding: rule for finding, rule in fitting.items() if rule}, versions)
