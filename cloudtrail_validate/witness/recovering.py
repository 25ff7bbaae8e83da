"""What the sources still hold of the hours that a report lost. Blocking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.witness import Source, slots
from cloudtrail_validate.report import Report
from cloudtrail_validate.witness.hours import Place, lost_hours
from cloudtrail_validate.witness.keeping import Keep
from cloudtrail_validate.witness.sources import Answer, Sources, region_of_group, trail_settings

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws


def recover(
    report: Report, aws: Aws, keep: Keep, now: datetime, budget: int | None = None
) -> Iterable[tuple[Source, Place, Interval, Answer]]:
    """What the sources hold of the hours that a report lost, written to `keep` slot by slot. Blocking.

    Of accounts other than the caller's only the trail's log group can tell.
    """
    sources, hours = Sources(aws, keep, now, budget), lost_hours(report)
    own = aws.account()
    arn = parse_trail_arn(report.request.trail_arn or "")
    group = trail_settings(aws, report.request.trail_arn or "", arn.region)[0] if arn else None
    for place, spans in hours.items():
        for slot in slots(span.within(Interval(span.start, now)) for span in spans):
            if place[0] == own:
                yield Source.HISTORY, place, slot, sources.history(*place, slot)
            else:
                problem = f"event history of {place[0]} can be read with a role of that account only"
                yield Source.HISTORY, place, slot, Answer(problem=problem)
    if group is not None and arn is not None:
        account, region = own or arn.account, region_of_group(group, arn.region)
        for slot in slots(span for spans in hours.values() for span in spans):
            yield Source.GROUP, (account, region), slot, sources.group(group, account, region, slot)
