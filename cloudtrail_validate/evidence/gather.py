"""What is asked about findings once they are known: events, lifecycle rules, older versions. A clean run asks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.engine.stages import RegionResult
from cloudtrail_validate.evidence.event_history import lifecycle_rules, look_up, removed_by
from cloudtrail_validate.evidence.explain import Trail, explain, reaches
from cloudtrail_validate.evidence.versions import witness
from cloudtrail_validate.report.build import Evidence
from cloudtrail_validate.request import Request
from cloudtrail_validate.session import Session


async def gather(
    request: Request, outcome: Outcome, results: Sequence[RegionResult], session: Session, now: datetime
) -> Evidence:
    """What explains the findings: events in proven logs, CloudTrail's event history if asked, lifecycle rules."""
    findings = outcome.findings.kept
    aws, target = session.aws, session.target
    trail = Trail(target.bucket, target.owner, target.home_region)
    events = dict(await explain(findings, results, session.store, session.limiter, trail))
    if aws is None:
        return Evidence(events)
    if request.lookup_events:
        hours = reaches(findings)
        told = await asyncio.to_thread(look_up, hours, aws, target.home_region, target.bucket, now)
        events |= {finding: found for finding, found in told.items() if finding not in events}
    # A copy has lifecycle rules of its own, and those of the place that was copied may not be asked for.
    asked = [] if session.copy is not None else findings
    missing = [finding for finding in asked if finding.status is Status.MISSING and finding.where]
    rules = await asyncio.to_thread(lifecycle_rules, aws, target.bucket) if missing else ()
    fitting = {finding: removed_by(finding, rules, now) for finding in missing} if rules else {}
    versions = await asyncio.to_thread(witness, findings, aws, session.keys.region) if request.versions else {}
    return Evidence(events, {finding: rule for finding, rule in fitting.items() if rule}, versions)
