"""What the state remembers as open, as alerts know it: under the ids that findings have in every format."""

from __future__ import annotations

from collections.abc import Iterable

from cloudtrail_validate.core.model import Finding
from cloudtrail_validate.notify.event import OpenFinding, OpenFindings, brief
from cloudtrail_validate.report.build import record
from cloudtrail_validate.report.references import identities
from cloudtrail_validate.state.model import OpenFinding as StateFinding


def open_findings(kept: Iterable[StateFinding]) -> OpenFindings:
    """The findings that a state holds open."""
    items = tuple(kept)
    records = [
        record(Finding(item.rule, item.status, item.account, item.region, item.trail, item.where, item.interval))
        for item in items
    ]
    return OpenFindings(
        tuple(
            OpenFinding(
                id=identity,
                finding=brief(told),
                first_seen=item.first_seen,
                last_seen=item.last_seen,
                times=item.times,
            )
            for item, told, identity in zip(items, records, identities(records), strict=True)
        )
    )
