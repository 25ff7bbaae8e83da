"""The hours of open findings by account-region are those that a walk over all findings gives."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import HOUR, Interval, Status
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.report.references import CHANGE
from cloudtrail_validate.state.model import OpenFinding
from cloudtrail_validate.state.open_findings import OpenHours

NOW: Final = datetime(2026, 1, 3, tzinfo=UTC)
WINDOW: Final = Interval(NOW - timedelta(days=1), NOW)
ACCOUNTS: Final = ("111122223333", "444455556666")
REGIONS: Final = ("us-east-1", "eu-west-1")


def drawn(chance: random.Random) -> OpenFinding:
    """Draw a finding: of one account-region, of all of an account or of everything, with hours or without."""
    start = NOW - HOUR * chance.randrange(1, 9)
    return OpenFinding(
        rules.DIGEST_UNREADABLE,
        chance.choice((Status.ALTERED, Status.UNVERIFIABLE)),
        chance.choice((*ACCOUNTS, None)),
        chance.choice((*REGIONS, None)),
        None,
        None,
        chance.choice((Interval(start, start + HOUR), None)),
        NOW,
        NOW,
    )


def test_each_account_region_is_given_its_own_hours_and_those_of_findings_about_all() -> None:
    chance = random.Random(7)
    for number in range(200):
        findings = [drawn(chance) for _ in range(number % 9)]
        indexed = OpenHours(findings)
        for account in ACCOUNTS:
            for region in REGIONS:
                site = AccountRegion(account, region, (Folder("b", "AWSLogs/", account, region),))
                for only in (tuple(Status), CHANGE):
                    walked = [
                        item.interval or WINDOW
                        for item in findings
                        if item.account in {None, account} and item.region in {None, region} and item.status in only
                    ]
                    assert sorted(indexed.of(site, WINDOW, only=only)) == sorted(walked)
